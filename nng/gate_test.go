package nng_test

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What works on the network waits while there are as many goroutines in C as there may be.
func TestGate(t *testing.T) {
	conns := make(chan *nng.Conn, 1)
	srv := newServer(t, newHandler(t, "/", text("hello")), newHandler(t, "/take", hijacker(conns)))
	taken, _ := dialKeepAlive(t, srv)
	_, err := io.WriteString(taken, "GET /take HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	conn := <-conns
	defer conn.Close()
	client, err := nng.NewClient(httpURL(t, srv))
	require.NoError(t, err)
	defer client.Close()
	for name, work := range map[string]func(ctx context.Context) error{
		"response": func(ctx context.Context) error {
			asking, in := dialKeepAlive(t, srv)
			if _, err := io.WriteString(asking, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
				return err
			}
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				return err
			}
			return res.Body.Close()
		},
		"Write":    func(context.Context) error { _, err := conn.Write([]byte("x")); return err },
		"WriteAll": func(ctx context.Context) error { return conn.WriteAll(ctx, []byte("x")) },
		"Read": func(context.Context) error {
			if _, err := io.WriteString(taken, "x"); err != nil {
				return err
			}
			_, err := conn.Read(make([]byte, 1))
			return err
		},
		"Connect": func(ctx context.Context) error {
			c, err := client.Connect(ctx)
			if err != nil {
				return err
			}
			return c.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			empty := nng.FillGate()
			done := make(chan error, 1)
			ctx := timeout(t, 10*time.Second)
			go func() { done <- work(ctx) }()
			select {
			case err := <-done:
				assert.Fail(t, "did not wait", "%v", err)
				empty()
				return
			case <-time.After(100 * time.Millisecond):
			}
			empty()
			require.NoError(t, <-done)
		})
	}
}

// What ends something waits for others, which may need to go to C for that, and so it does not
// wait for room.
func TestGateIsNotNeededToEnd(t *testing.T) {
	conns := make(chan *nng.Conn, 1)
	srv := newServer(t, newHandler(t, "/take", hijacker(conns)))
	taken, _ := dialKeepAlive(t, srv)
	_, err := io.WriteString(taken, "GET /take HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	conn := <-conns
	reading := make(chan error, 1)
	go func() {
		_, err := conn.Read(make([]byte, 1))
		reading <- err
	}()
	client, err := nng.NewClient(httpURL(t, srv))
	require.NoError(t, err)
	_, err = conn.Write([]byte("x"))
	require.NoError(t, err)
	empty := nng.FillGate()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		assert.NoError(t, conn.Close())
		assert.NoError(t, client.Close())
		assert.NoError(t, srv.Stop(timeout(t, 10*time.Second)))
		assert.NoError(t, srv.Close())
	}()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		assert.Fail(t, "still waiting")
	}
	empty()
	require.ErrorIs(t, <-reading, nng.ErrClosed)
}
