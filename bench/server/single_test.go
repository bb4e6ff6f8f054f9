package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkRequest is a request on a connection that is kept alive.
func BenchmarkRequest(b *testing.B) {
	for _, impl := range []string{"handler", "nethttp", "std"} {
		ask := "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
		bounce(b, impl, impl, func(conn net.Conn) (string, int) { return ask, answerSize(b, conn, ask) })
	}
}

// BenchmarkEcho is a round trip of 64 bytes on a hijacked connection.
func BenchmarkEcho(b *testing.B) {
	for _, impl := range []string{"nng", "net"} {
		kind := map[string]string{"nng": "echo", "net": "stdecho"}[impl]
		bounce(b, impl, kind, func(conn net.Conn) (string, int) {
			upgrade(b, conn)
			return string(make([]byte, 64)), 64
		})
	}
}

// BenchmarkWrite is a Write of 64 KiB on a hijacked connection.
func BenchmarkWrite(b *testing.B) {
	for _, impl := range []string{"nng", "net"} {
		kind := map[string]string{"nng": "bulk", "net": "stdbulk"}[impl]
		b.Run("impl="+impl+"/conns=1", func(b *testing.B) {
			conn := dial(b, kind)
			upgrade(b, conn)
			block := make([]byte, 64<<10)
			b.SetBytes(int64(len(block)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := io.ReadFull(conn, block); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

var addrs = make(map[string]string)

// dial connects to the server of a kind. Servers live on until the tests end.
func dial(tb testing.TB, kind string) net.Conn {
	tb.Helper()
	if addrs[kind] == "" {
		addr, err := start(kind, "")
		require.NoError(tb, err)
		addrs[kind] = addr
	}
	conn, err := net.Dial("tcp", addrs[kind])
	require.NoError(tb, err)
	tb.Cleanup(func() { conn.Close() })
	require.NoError(tb, conn.SetDeadline(time.Now().Add(time.Minute)))
	return conn
}

// bounce sends a message and reads an answer of a known size, b.N times over a number of
// connections. It allocates nothing, so that what is counted is the server's.
func bounce(b *testing.B, impl, kind string, prepare func(net.Conn) (message string, answer int)) {
	for _, n := range []int{1, 16} {
		b.Run(fmt.Sprintf("impl=%s/conns=%d", impl, n), func(b *testing.B) {
			var rounds []func() error
			for range n {
				conn := dial(b, kind)
				text, size := prepare(conn)
				message, answer := []byte(text), make([]byte, size)
				rounds = append(rounds, func() error {
					if _, err := conn.Write(message); err != nil {
						return err
					}
					_, err := io.ReadFull(conn, answer)
					return err
				})
			}
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for i, round := range rounds {
				wg.Go(func() {
					for range (b.N + i) / n {
						if err := round(); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

// answerSize makes a request and returns the size of the whole answer.
func answerSize(tb testing.TB, conn net.Conn, ask string) int {
	_, err := io.WriteString(conn, ask)
	require.NoError(tb, err)
	var c counter
	in := bufio.NewReader(io.TeeReader(conn, &c))
	res, err := http.ReadResponse(in, nil)
	require.NoError(tb, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(tb, err)
	require.Equal(tb, hello, string(body))
	require.Zero(tb, in.Buffered())
	return int(c)
}

type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

func upgrade(tb testing.TB, conn net.Conn) {
	_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: bench\r\n\r\n")
	require.NoError(tb, err)
	head := make([]byte, len(upgraded))
	_, err = io.ReadFull(conn, head)
	require.NoError(tb, err)
	require.Equal(tb, upgraded, string(head))
}

// All kinds of servers start and answer.
func TestKinds(t *testing.T) {
	for _, kind := range []string{"handler", "nethttp", "std", "listener", "fasthttp"} {
		answerSize(t, dial(t, kind), "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
	}
	for _, kind := range []string{"echo", "stdecho", "bulk", "stdbulk", "idle"} {
		upgrade(t, dial(t, kind))
	}
	_, err := start("another", "")
	require.Error(t, err)
}
