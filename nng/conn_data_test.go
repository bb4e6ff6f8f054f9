package nng_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// dataPair is a pair of which OnData serves the second connection.
func dataPair(t *testing.T, p *pair, fn func(conn *nng.Conn, b []byte, err error)) (client net.Conn, server *nng.Conn) {
	t.Helper()
	client, s := mustPipe(t, p)
	server = s.(*nng.Conn)
	require.NoError(t, server.OnData(func(b []byte, err error) { fn(server, b, err) }))
	require.NoError(t, client.SetDeadline(time.Now().Add(10*time.Second)))
	return client, server
}

func echoData(conn *nng.Conn, b []byte, err error) {
	if err == nil {
		_, err = conn.Write(b)
	}
	if err != nil {
		conn.Close()
	}
}

// What goes in comes out, in order and whole, with the bytes that came behind the head.
func TestOnDataEchoes(t *testing.T) {
	eachTransport(t, func(t *testing.T, p *pair) {
		client, _ := dataPair(t, p, echoData)
		const size = 8 << 20
		in, out := sha256.New(), sha256.New()
		var sent sync.WaitGroup
		sent.Go(func() {
			r := rand.NewChaCha8([32]byte{1})
			_, _ = io.CopyN(io.MultiWriter(client, in), r, size)
		})
		n, err := io.CopyN(out, client, size)
		require.NoError(t, err)
		require.EqualValues(t, size, n)
		sent.Wait()
		assert.Equal(t, in.Sum(nil), out.Sum(nil))
	})
}

func TestOnDataGetsWhatCameBehindTheHead(t *testing.T) {
	p := newPair(t, false, false)
	raw, err := p.dial()
	require.NoError(t, err)
	defer raw.Close()
	fmt.Fprint(raw, "GET /take HTTP/1.1\r\nHost: x\r\n\r\nearly")
	server := <-p.from
	defer server.Close()
	got := make(chan string, 16)
	require.NoError(t, server.OnData(func(b []byte, err error) { got <- string(b) }))
	assert.Equal(t, "early", <-got)
	fmt.Fprint(raw, "late")
	assert.Equal(t, "late", <-got)
}

// The end of the stream is told once, and nothing behind it.
func TestOnDataTellsTheEndOnce(t *testing.T) {
	eachTransport(t, func(t *testing.T, p *pair) {
		told := make(chan error, 16)
		client, _ := dataPair(t, p, func(_ *nng.Conn, b []byte, err error) {
			if err != nil {
				assert.Empty(t, b)
				told <- err
			}
		})
		_, err := client.Write([]byte("last words"))
		require.NoError(t, err)
		require.NoError(t, client.Close())
		select {
		case err := <-told:
			assert.ErrorIs(t, err, io.EOF)
		case <-time.After(10 * time.Second):
			t.Fatal("nothing was told")
		}
		time.Sleep(20 * time.Millisecond)
		assert.Empty(t, told)
	})
}

// After Close, also from inside, the function is not called any more.
func TestOnDataAfterClose(t *testing.T) {
	eachTransport(t, func(t *testing.T, p *pair) {
		calls := make(chan int, 16)
		start := time.Now()
		client, _ := dataPair(t, p, func(conn *nng.Conn, b []byte, err error) {
			calls <- len(b)
			assert.NoError(t, conn.Close())
		})
		fmt.Fprint(client, "one")
		assert.Equal(t, 3, <-calls)
		_, err := io.ReadAll(client)
		assert.NoError(t, err, "the connection ends")
		assert.Less(t, time.Since(start), 5*time.Second)
		time.Sleep(20 * time.Millisecond)
		assert.Empty(t, calls)

		client, server := dataPair(t, p, func(*nng.Conn, []byte, error) { calls <- -1 })
		require.NoError(t, server.Close())
		fmt.Fprint(client, "two")
		time.Sleep(20 * time.Millisecond)
		assert.Empty(t, calls)
	})
}

// A panic, and a goroutine that is ended, close the connection and harm nothing else.
func TestOnDataFunctionsThatFail(t *testing.T) {
	for name, fail := range map[string]func(){"panic": func() { panic("on purpose") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			log := captureLog(t)
			p := newPair(t, false, true)
			for range 3 {
				client, _ := dataPair(t, p, func(*nng.Conn, []byte, error) { fail() })
				fmt.Fprint(client, "x")
				_, err := io.ReadAll(client)
				require.NoError(t, err)
			}
			if name == "panic" {
				assert.Contains(t, log.String(), "on purpose")
			}
			client, _ := dataPair(t, p, echoData)
			fmt.Fprint(client, "alive")
			b := make([]byte, 5)
			_, err := io.ReadFull(client, b)
			require.NoError(t, err)
			assert.Equal(t, "alive", string(b))
		})
	}
}

// Functions that block keep nobody else.
func TestOnDataFunctionsThatBlock(t *testing.T) {
	p := newPair(t, false, true)
	release := make(chan bool)
	var blocked sync.WaitGroup
	for range 24 {
		blocked.Add(1)
		client, _ := dataPair(t, p, func(_ *nng.Conn, b []byte, err error) {
			if err == nil {
				blocked.Done()
				<-release
			}
		})
		fmt.Fprint(client, "x")
	}
	blocked.Wait() // all of them at once
	client, _ := dataPair(t, p, echoData)
	fmt.Fprint(client, "alive")
	b := make([]byte, 5)
	_, err := io.ReadFull(client, b)
	require.NoError(t, err)
	close(release)
}

// Many connections at once, each with its own order.
func TestOnDataManyConnections(t *testing.T) {
	p := newPair(t, false, false)
	var all sync.WaitGroup
	for range 32 {
		client, _ := dataPair(t, p, echoData)
		all.Go(func() {
			want := make([]byte, 64)
			got := make([]byte, 64)
			for i := range 200 {
				copy(want, fmt.Sprint(i))
				if _, err := client.Write(want); !assert.NoError(t, err) {
					return
				}
				if _, err := io.ReadFull(client, got); !assert.NoError(t, err) || !assert.True(t, bytes.Equal(want, got)) {
					return
				}
			}
		})
	}
	all.Wait()
}

func TestOnDataRefusals(t *testing.T) {
	p := newPair(t, false, true)
	client, server := dataPair(t, p, echoData)
	assert.ErrorIs(t, server.OnData(nil), nng.ErrInvalid)
	assert.ErrorIs(t, server.OnData(func([]byte, error) {}), nng.ErrState)
	_, err := server.Read(make([]byte, 1))
	assert.ErrorIs(t, err, nng.ErrState)
	assert.ErrorIs(t, server.ReadAll(t.Context(), make([]byte, 1)), nng.ErrState)
	fmt.Fprint(client, "still")
	b := make([]byte, 5)
	_, err = io.ReadFull(client, b)
	require.NoError(t, err)
	require.NoError(t, server.Close())
	assert.ErrorIs(t, server.OnData(func([]byte, error) {}), nng.ErrClosed)

	// A read that has timed out is still in flight.
	c, s := mustPipe(t, p)
	require.NoError(t, s.SetReadDeadline(time.Now().Add(time.Millisecond)))
	_, err = s.Read(make([]byte, 1))
	require.Error(t, err)
	assert.ErrorIs(t, s.(*nng.Conn).OnData(func([]byte, error) {}), nng.ErrState)
	c.Close()

	lent := make(chan error, 1)
	srv := newServer(t, newHandler(t, "/", func(_ context.Context, conn *nng.Conn, _ *nng.Request) (*nng.Response, error) {
		lent <- conn.OnData(func([]byte, error) {})
		return nng.NewResponse()
	}))
	httpGet(t, httpURL(t, srv)+"/")
	assert.ErrorIs(t, <-lent, nng.ErrState)
}

// A peer that sends and does not read is not read from, either.
func TestOnDataSlowPeer(t *testing.T) {
	p := newPair(t, false, false)
	const size = 64 << 20
	stuck := make([]net.Conn, 8)
	for i := range stuck {
		client, _ := dataPair(t, p, echoData)
		stuck[i] = client
	}
	var all sync.WaitGroup
	for _, client := range stuck {
		all.Go(func() {
			assert.NoError(t, client.SetWriteDeadline(time.Now().Add(300*time.Millisecond)))
			n, err := client.Write(make([]byte, size))
			assert.Error(t, err)
			assert.Less(t, n, size, "what nobody reads is taken without end")
		})
	}
	all.Wait()
	client, _ := dataPair(t, p, echoData)
	fmt.Fprint(client, "alive")
	b := make([]byte, 5)
	_, err := io.ReadFull(client, b)
	require.NoError(t, err)
	// When the peer reads it gets all of it, and reading goes on.
	require.NoError(t, stuck[0].(*net.TCPConn).CloseWrite())
	require.NoError(t, stuck[0].SetReadDeadline(time.Now().Add(10*time.Second)))
	n, err := io.Copy(io.Discard, stuck[0])
	assert.NoError(t, err)
	assert.Greater(t, n, int64(1<<20))
}
