package nng_test

import (
	"context"
	"io"
	"log/slog"
	"strings"
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

// An operation that nng ends twice is logged once, even if the log itself waits for nng, and all
// goes on.
func TestEndedTwice(t *testing.T) {
	nng.ForgetTwice()
	lines := make(chan string, 10)
	srv := newServer(t, newHandler(t, "/", text("hello")))
	old := slog.Default()
	slog.SetDefault(slog.New(hookHandler{func(r slog.Record) {
		if !strings.Contains(r.Message, "ended twice") {
			return // of another test's server, that ends
		}
		_, body, _ := httpGet(t, httpURL(t, srv)+"/")
		lines <- r.Message + ": " + body
	}}))
	defer slog.SetDefault(old)
	ended := make(chan error, 1)
	go func() {
		for range 5 {
			if err := nng.EndTwice(); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	select {
	case err := <-ended:
		require.NoError(t, err)
	case <-time.After(5 * time.Second):
		t.Fatal("the second end blocks")
	}
	select {
	case line := <-lines:
		require.Contains(t, line, "ended twice")
		require.Contains(t, line, ": hello")
	case <-time.After(5 * time.Second):
		t.Fatal("nothing is logged")
	}
	_, body, _ := httpGet(t, httpURL(t, srv)+"/")
	require.Equal(t, "hello", body, "the pump is alive")
	require.Empty(t, lines)
}

// A hookHandler passes on what is logged.
type hookHandler struct{ hook func(slog.Record) }

func (hookHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h hookHandler) Handle(_ context.Context, r slog.Record) error {
	h.hook(r)
	return nil
}

func (h hookHandler) WithAttrs([]slog.Attr) slog.Handler { return h }

func (h hookHandler) WithGroup(string) slog.Handler { return h }
