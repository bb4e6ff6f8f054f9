package nethttp

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// trConn is a connection that notes its Close.
type trConn struct {
	net.Conn
	closed chan struct{}
}

func (c *trConn) Close() error {
	close(c.closed)
	return nil
}

// The addresses of a host are tried as RFC 8305 has it, one after the other.
func TestTransportRace(t *testing.T) {
	boom, later := errors.New("boom"), errors.New("later")
	good := func() *trConn { return &trConn{closed: make(chan struct{})} }
	hang := func(ctx context.Context) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}

	t.Run("after a failure at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			start, want := time.Now(), good()
			conn, err := race(t.Context(), 3, func(_ context.Context, i int) (net.Conn, error) {
				if i < 2 {
					return nil, boom
				}
				return want, nil
			})
			require.NoError(t, err)
			assert.Same(t, want, conn)
			assert.Zero(t, time.Since(start))
		})
	})
	t.Run("after silence of 300 ms", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			start, want := time.Now(), good()
			conn, err := race(t.Context(), 3, func(ctx context.Context, i int) (net.Conn, error) {
				if i < 2 {
					return hang(ctx)
				}
				return want, nil
			})
			require.NoError(t, err)
			assert.Same(t, want, conn)
			assert.Equal(t, 2*dialStagger, time.Since(start))
		})
	})
	t.Run("the first error", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, err := race(t.Context(), 3, func(_ context.Context, i int) (net.Conn, error) {
				if i == 0 {
					return nil, boom
				}
				return nil, later
			})
			assert.Equal(t, boom, err)
		})
	})
	t.Run("no more after the context has ended", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			var mu sync.Mutex
			var tried []int
			_, err := race(ctx, 3, func(ctx context.Context, i int) (net.Conn, error) {
				mu.Lock()
				tried = append(tried, i)
				mu.Unlock()
				return hang(ctx)
			})
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			assert.Equal(t, []int{0}, tried)
		})
	})
	t.Run("a second connection is closed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			slow, want := good(), good()
			conn, err := race(t.Context(), 2, func(ctx context.Context, i int) (net.Conn, error) {
				if i == 0 {
					time.Sleep(time.Second) // does not notice that it is cancelled
					return slow, nil
				}
				return want, nil
			})
			require.NoError(t, err)
			assert.Same(t, want, conn)
			<-slow.closed
		})
	})
}

// What fails behind the handshake is not the handshake.
func TestTransportExplains(t *testing.T) {
	untrusted := &nng.OpError{Op: "read", Err: nng.ErrPeerAuth}
	for _, c := range []struct {
		tls, heard bool
		op         string
	}{{true, false, "tls handshake"}, {true, true, "read"}, {false, false, "read"}} {
		conn := &transportConn{tls: c.tls}
		conn.heard.Store(c.heard)
		var oe *nng.OpError
		require.ErrorAs(t, conn.explain(untrusted), &oe)
		assert.Equal(t, c.op, oe.Op)
		assert.ErrorIs(t, oe, nng.ErrPeerAuth)
	}
}
