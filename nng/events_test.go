package nng_test

import (
	"context"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The pump comes and goes with those who need it, and what was begun before goes on.
func TestPumpComesAndGoes(t *testing.T) {
	for range 20 {
		srv := newServer(t, newHandler(t, "/", text("hello")))
		conn, _ := dialKeepAlive(t, srv)
		_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		_, err = conn.Read(make([]byte, 1024))
		require.NoError(t, err)
		require.NoError(t, srv.Close())
		// nng closes its side of the connection, whoever does the poller's work now.
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(5*time.Second)))
		_, err = conn.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
	}
}

// Any number of handlers run at once. Of their goroutines some wait for others, not all.
func TestWorkers(t *testing.T) {
	const n = 200
	var inside sync.WaitGroup
	inside.Add(n)
	srv := newServer(t, newHandler(t, "/", func(ctx context.Context, c *nng.Conn, r *nng.Request) (*nng.Response, error) {
		inside.Done()
		inside.Wait() // until all are here
		return text("hello")(ctx, c, r)
	}))
	var conns []io.Reader
	for range n {
		conn, _ := dialKeepAlive(t, srv)
		_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		conns = append(conns, conn)
	}
	for _, conn := range conns {
		_, err := conn.Read(make([]byte, 1024))
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return nng.IdleWorkers() == 128 }, 5*time.Second, time.Millisecond)
	require.NoError(t, srv.Close())
	assert.Eventually(t, func() bool { return nng.IdleWorkers() == 0 }, 5*time.Second, time.Millisecond, "nobody needs them any more")
}
