package hostile

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestShortReadsAndWrites speaks to the server in pieces of a byte, and takes what it sends
// through a window that is as small as the system makes it, in pieces of 100 bytes.
func TestShortReadsAndWrites(t *testing.T) {
	srv := live(t)
	narrow := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 1) })
	}}
	for _, tc := range []struct {
		door   int
		target string
		body   string
		want   int
	}{
		{Both, "/large", "", 100 << 10}, {Raw, "/dir/big.bin", "", 100 << 10}, {TLS, "/large", "", 100 << 10}, {Raw, "/static", "", 1000},
		{Raw, "/raw/collect", strings.Repeat("x", 700), 3}, {Raw, "/raw/stream", strings.Repeat("x", 700), 3}, {TLS, "/read", strings.Repeat("x", 700), 2},
	} {
		t.Run(tc.target, func(t *testing.T) {
			t.Parallel()
			conn, err := narrow.Dial("tcp", srv.Addr(tc.door))
			require.NoError(t, err)
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(2 * time.Minute))
			if tc.door == TLS {
				conn = tls.Client(conn, srv.client)
			}
			method := "GET"
			request := " " + tc.target + " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
			if tc.body != "" {
				method = "POST"
				request = strings.Replace(request, "\r\n\r\n", "\r\nContent-Length: 700\r\n\r\n", 1)
			}
			for _, b := range []byte(method + request + tc.body) {
				_, err := conn.Write([]byte{b})
				require.NoError(t, err)
			}
			res, err := http.ReadResponse(bufio.NewReaderSize(conn, 100), nil)
			require.NoError(t, err)
			n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, res.Body, make([]byte, 100))
			require.NoError(t, err)
			assert.Equal(t, http.StatusOK, res.StatusCode)
			assert.EqualValues(t, tc.want, n)
		})
	}
}

// A cutter passes connections on, and resets both sides after some bytes from one of them.
type cutter struct {
	net.Listener
	to   string
	wait sync.WaitGroup

	mu         sync.Mutex
	after      int64
	fromServer bool
}

func (c *cutter) set(after int64, fromServer bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.after, c.fromServer = after, fromServer
}

func newCutter(t *testing.T, to string) *cutter {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := &cutter{Listener: l, to: to}
	c.wait.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			c.mu.Lock()
			after, fromServer := c.after, c.fromServer
			c.mu.Unlock()
			c.wait.Go(func() { c.pass(client, after, fromServer) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		c.wait.Wait()
	})
	return c
}

func (c *cutter) pass(client net.Conn, after int64, fromServer bool) {
	server, err := net.Dial("tcp", c.to)
	if err != nil {
		_ = client.Close()
		return
	}
	cut := sync.OnceFunc(func() {
		for _, side := range []net.Conn{client, server} {
			_ = side.(*net.TCPConn).SetLinger(0)
			_ = side.Close()
		}
	})
	defer cut()
	limited, other := server, client
	if fromServer {
		limited, other = client, server
	}
	done := make(chan struct{})
	go func() {
		_, _ = io.Copy(other, limited)
		close(done)
	}()
	_, _ = io.CopyN(limited, other, after)
	if !fromServer {
		time.Sleep(time.Millisecond) // for what is under way
	}
	cut()
	<-done
}

// TestTLSResets resets TLS connections after every so many bytes, in the handshake and
// behind it, from either side, with the server and with a client of ours at the other end.
func TestTLSResets(t *testing.T) {
	srv, up := live(t), hostileServer(t)
	toServer, toUpstream := newCutter(t, srv.Addr(TLS)), newCutter(t, up.secure.Addr().String())
	for _, fromServer := range []bool{false, true} {
		for after := int64(0); after < 2500; after += 61 {
			toServer.set(after, fromServer)
			client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: srv.client, DisableKeepAlives: true}}
			if res, err := client.Get("https://" + toServer.Addr().String() + "/large"); err == nil {
				_, err := io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				require.True(t, err != nil || !fromServer, "100 KB have come through")
			}

			toUpstream.set(after, fromServer)
			url, done := up.Stage("https", []byte("HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n"+strings.Repeat("x", 3000)+Act('p', 20)), Player{})
			_, rest, _ := strings.Cut(url, "https://")
			_, path, _ := strings.Cut(rest, "/")
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			a := up.transact(ctx, "https://"+toUpstream.Addr().String()+"/"+path, true)
			require.NoError(t, ctx.Err(), "a client has not noticed the reset after %d bytes", after)
			cancel()
			done()
			if a.Err == nil && fromServer {
				require.Len(t, a.Body, 3000, "cut after %d bytes without an error", after)
			}
		}
	}
	require.NoError(t, srv.Healthy())
	require.NoError(t, up.Good(t.Context()))
}
