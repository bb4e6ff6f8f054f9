package nng_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// How often each kind of operation is cancelled: before it starts, while it runs,
// around its completion and after it. A cancelled read or write ends its connection,
// so for those it is the number of connections. Together 11,000.
const (
	cancelConnects  = 4000
	cancelTransacts = 4000
	cancelReads     = 500
	cancelWrites    = 500
	cancelSilent    = 500 // over TCP, and again over TLS
	cancelWSDials   = 1000
)

// cancelMoments returns a context that ends at a random moment around the time an
// operation takes, or has ended already, or never ends.
func cancelMoment(i int) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	switch i % 5 {
	case 0:
		cancel() // before
	case 1:
		// after: the caller cancels when the operation is over
	default:
		time.AfterFunc(time.Duration(rand.IntN(400))*time.Microsecond, cancel)
	}
	return ctx, cancel
}

// outcome checks that an operation ended well or by its context, nothing else.
func outcome(t *testing.T, ctx context.Context, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if ctx.Err() == nil {
		t.Errorf("failed though nobody cancelled it: %v", err)
		return
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled, but the error is %v", err)
	}
}

// parallel runs f for each round in a few goroutines.
func parallel(rounds int, f func(i int)) {
	var wg sync.WaitGroup
	const workers = 8
	for w := range workers {
		wg.Go(func() {
			for i := w; i < rounds; i += workers {
				f(i)
			}
		})
	}
	wg.Wait()
}

func TestCancelConnect(t *testing.T) {
	srv := newServer(t)
	client, err := nng.NewClient(httpURL(t, srv))
	require.NoError(t, err)
	defer client.Close()
	parallel(cancelConnects, func(i int) {
		ctx, cancel := cancelMoment(i)
		defer cancel()
		conn, err := client.Connect(ctx)
		outcome(t, ctx, err)
		if err == nil {
			assert.NoError(t, conn.Close())
		}
	})
}

func TestCancelTransact(t *testing.T) {
	srv := newServer(t, newHandler(t, "/", text("hello")))
	client, err := nng.NewClient(httpURL(t, srv))
	require.NoError(t, err)
	defer client.Close()
	parallel(cancelTransacts, func(i int) {
		ctx, cancel := cancelMoment(i)
		defer cancel()
		req, err := nng.NewRequest(httpURL(t, srv) + "/")
		require.NoError(t, err)
		defer req.Close()
		res, err := nng.NewResponse()
		require.NoError(t, err)
		defer res.Close()
		err = client.Transact(ctx, req, res)
		outcome(t, ctx, err)
		if err == nil {
			assert.Equal(t, "hello", string(res.Data()))
		}
	})
}

func TestCancelRead(t *testing.T) {
	p := newPair(t, false, true)
	parallel(cancelReads, func(i int) {
		c, s, stop, err := p.pipe()
		if !assert.NoError(t, err) {
			return
		}
		defer stop()
		time.AfterFunc(200*time.Microsecond, func() { _, _ = s.Write([]byte("0123456789")) })
		for j := range 5 { // goes on until a cancellation has closed the connection
			ctx, cancel := cancelMoment(i + j)
			err := c.(*nng.Conn).ReadAll(ctx, make([]byte, 2))
			if errors.Is(err, nng.ErrConnShut) {
				cancel()
				break
			}
			outcome(t, ctx, err)
			cancel()
		}
	})
}

func TestCancelWrite(t *testing.T) {
	p := newPair(t, false, true)
	parallel(cancelWrites, func(i int) {
		c, _, stop, err := p.pipe()
		if !assert.NoError(t, err) {
			return
		}
		defer stop()
		block := make([]byte, 1<<20) // more than the peer, which does not read, takes at once
		for j := range 5 {
			ctx, cancel := context.WithCancel(context.Background())
			if (i+j)%5 == 0 {
				cancel()
			} else {
				time.AfterFunc(time.Duration(rand.IntN(400))*time.Microsecond, cancel)
			}
			err := c.(*nng.Conn).WriteAll(ctx, block)
			if errors.Is(err, nng.ErrConnShut) {
				cancel()
				break
			}
			outcome(t, ctx, err)
			cancel()
		}
	})
}

// A server that accepts and says nothing: every operation must come back all the
// same, at whatever point of it the cancellation strikes.
func TestCancelAgainstSilentServer(t *testing.T) {
	limit := time.Second
	if lib.Lacks("CL16") {
		limit = 10 * time.Second // it loses cancellations, for which Go waits two seconds
	}
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			if scheme == "https" && nng.LinkInfo().TLSEngine == "none" {
				t.Skip("this libnng has no TLS")
			}
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer l.Close()
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					defer c.Close()
				}
			}()
			client, err := nng.NewClient(scheme + "://" + l.Addr().String())
			require.NoError(t, err)
			defer client.Close()
			if scheme == "https" {
				require.NoError(t, client.SetTLS(clientTLS(t)))
			}
			parallel(cancelSilent, func(i int) {
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.IntN(2000))*time.Microsecond)
				defer cancel()
				req, err := nng.NewRequest(scheme + "://localhost/")
				require.NoError(t, err)
				defer req.Close()
				res, err := nng.NewResponse()
				require.NoError(t, err)
				defer res.Close()
				start := time.Now()
				err = client.Transact(ctx, req, res)
				assert.ErrorIs(t, err, context.DeadlineExceeded)
				assert.Less(t, time.Since(start), limit, "the cancellation was lost")
			})
		})
	}
}

// A dial of a WebSocket is ended by closing its dialer: nng may end one that is cancelled
// twice (W12), or never when it is between two steps (W13).
func TestCancelWSDial(t *testing.T) {
	nng.ForgetTwice()
	log := captureLog(t)
	l := newWSListener(t, anyWS)
	go func() {
		for {
			conn, err := l.Accept(t.Context())
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	d := newWSDialer(t, l.URL())
	parallel(cancelWSDials, func(i int) {
		ctx, cancel := cancelMoment(i)
		defer cancel()
		start := time.Now()
		conn, err := d.Dial(ctx)
		outcome(t, ctx, err)
		assert.Less(t, time.Since(start), 10*time.Second)
		if err == nil {
			assert.NoError(t, conn.Close())
		}
	})
	time.Sleep(100 * time.Millisecond) // what comes late
	assert.NotContains(t, log.String(), "ended twice")
}
