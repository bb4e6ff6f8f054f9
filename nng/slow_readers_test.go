package nng_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Clients that do not read what a quick handler has written keep none of nng's threads: the
// handler does not wait for them, nor does anything behind it.
func TestSlowReadersKeepNoThread(t *testing.T) {
	big := make([]byte, 16<<20)
	write := func(_ context.Context, conn *nng.Conn, _ *nng.Request) (*nng.Response, error) {
		if _, err := conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 16777216\r\n\r\n")); err != nil {
			return nil, err
		}
		_, err := conn.Write(big)
		return nil, err
	}
	small := func(_ context.Context, conn *nng.Conn, _ *nng.Request) (*nng.Response, error) {
		_, err := conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"))
		return nil, err
	}
	where := func(_ context.Context, conn *nng.Conn, _ *nng.Request) (*nng.Response, error) {
		res, err := nng.NewResponse()
		if err != nil {
			return nil, err
		}
		if bytes.Contains(debug.Stack(), []byte("(*runner).serve")) {
			return res, res.CopyData([]byte("thread"))
		}
		return res, res.CopyData([]byte("goroutine"))
	}
	var warm atomic.Bool
	srv := newServer(t, newHandler(t, "/where", where), newHandler(t, "/big",
		func(ctx context.Context, conn *nng.Conn, req *nng.Request) (*nng.Response, error) {
			if !warm.Load() { // until it is known to be quick
				return small(ctx, conn, req)
			}
			return write(ctx, conn, req)
		}))
	addr := address(t, srv)
	for range 300 {
		require.Contains(t, exchange(t, addr, "GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), "200 OK")
		exchange(t, addr, "GET /where HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	}
	warm.Store(true)
	for range 8 {
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		defer c.Close()
		_, err = io.WriteString(c, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
	}
	time.Sleep(100 * time.Millisecond)
	thread := 0
	start := time.Now()
	for range 50 {
		if strings.Contains(exchange(t, addr, "GET /where HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), "thread") {
			thread++
		}
	}
	assert.Less(t, time.Since(start), 5*time.Second)
	assert.Greater(t, thread, 40, "of 50 on one of nng's threads")
}
