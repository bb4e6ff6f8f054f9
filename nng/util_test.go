package nng_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/require"
)

// holdMu keeps tests apart between HoldServer and Start: until then everybody who
// asks for port 0 gets the same server, which is nng's rule.
var holdMu sync.Mutex

// newServer starts a server with the given handlers on a port of its own.
func newServer(t testing.TB, handlers ...*nng.Handler) *nng.Server {
	return newServerURL(t, "http://127.0.0.1:0", nil, handlers...)
}

func newServerURL(t testing.TB, url string, cfg *nng.TLSConfig, handlers ...*nng.Handler) *nng.Server {
	t.Helper()
	holdMu.Lock()
	defer holdMu.Unlock()
	srv, err := nng.HoldServer(url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, srv.Close()) })
	if cfg != nil {
		require.NoError(t, srv.SetTLS(cfg))
	}
	for _, h := range handlers {
		require.NoError(t, srv.AddHandler(h))
	}
	require.NoError(t, srv.Start())
	return srv
}

// newHandler makes a handler for a path.
func newHandler(t testing.TB, path string, fn nng.HandlerFunc, set ...func(*nng.Handler) error) *nng.Handler {
	t.Helper()
	h, err := nng.NewHandler(path, fn)
	require.NoError(t, err)
	for _, s := range set {
		require.NoError(t, s(h))
	}
	return h
}

// address returns host:port of a started server.
func address(t testing.TB, srv *nng.Server) string {
	t.Helper()
	a, err := srv.Addr()
	require.NoError(t, err)
	return a.String()
}

func httpURL(t testing.TB, srv *nng.Server) string { return "http://" + address(t, srv) }

// text is a handler that answers with a text.
func text(body string) nng.HandlerFunc {
	return func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
		res, err := nng.NewResponse()
		if err != nil {
			return nil, err
		}
		return res, res.CopyData([]byte(body))
	}
}

// hijacker is a handler that takes the connection and passes it on.
func hijacker(to chan<- *nng.Conn) nng.HandlerFunc {
	return func(_ context.Context, conn *nng.Conn, _ *nng.Request) (*nng.Response, error) {
		if err := conn.Hijack(); err != nil {
			return nil, err
		}
		to <- conn
		return nil, nil
	}
}

// timeout is a context that bounds a test's operation.
func timeout(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}
