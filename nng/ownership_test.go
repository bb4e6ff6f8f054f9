package nng_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// shared makes two servers that hold one address. Neither is started.
func shared(t *testing.T, first, second nng.HandlerFunc) (a, b *nng.Server, url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	url = "http://" + l.Addr().String()
	require.NoError(t, l.Close())
	for path, fn := range map[string]nng.HandlerFunc{"/first": first, "/second": second} {
		srv, err := nng.HoldServer(url)
		require.NoError(t, err)
		t.Cleanup(func() { srv.Close() })
		require.NoError(t, srv.AddHandler(newHandler(t, path, fn)))
		if path == "/first" {
			a = srv
		} else {
			b = srv
		}
	}
	return a, b, url
}

// Stopping one of two servers on an address, with a context that has ended, does
// nothing to the other one.
func TestServerStopWithEndedContextLeavesOthersAlone(t *testing.T) {
	for range 10 {
		a, b, url := shared(t, text("a"), func(ctx context.Context, c *nng.Conn, r *nng.Request) (*nng.Response, error) {
			return text(fmt.Sprint(ctx.Err()))(ctx, c, r)
		})
		require.NoError(t, a.Start())
		require.NoError(t, b.Start())
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		require.NoError(t, a.Stop(ended), "nothing was to be waited for")
		_, body, _ := httpGet(t, url+"/second")
		assert.Equal(t, "<nil>", body, "the other server's handler has a context that lives")
		require.NoError(t, a.Close())
		require.NoError(t, b.Close())
	}
}

// Closing a server that was never started does not disturb another one on the address
// that is draining.
func TestServerCloseLeavesADrainAlone(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	a, b, url := shared(t, func(ctx context.Context, c *nng.Conn, r *nng.Request) (*nng.Response, error) {
		close(entered)
		<-release
		return text(fmt.Sprint(ctx.Err()))(ctx, c, r)
	}, text("b"))
	require.NoError(t, a.Start())
	slow := make(chan string, 1)
	go func() {
		_, body, _ := httpGet(t, url+"/first")
		slow <- body
	}()
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- a.Stop(timeout(t, 10*time.Second)) }()
	require.Eventually(t, func() bool { _, err := a.Addr(); return err != nil }, time.Second, time.Millisecond)
	require.NoError(t, b.Close())
	close(release)
	assert.Equal(t, "<nil>", <-slow)
	require.NoError(t, <-stopped)
}

// A second Close, as a deferred one behind another, does not wait longer than the first.
func TestServerSecondCloseReturns(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	srv := newServer(t, newHandler(t, "/", func(ctx context.Context, c *nng.Conn, r *nng.Request) (*nng.Response, error) {
		close(entered)
		<-release // does not care for its context
		return nil, nng.ErrAbortHandler
	}))
	go exchange(t, address(t, srv), "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-entered
	start := time.Now()
	require.NoError(t, srv.Close())
	require.NoError(t, srv.Close())
	assert.Less(t, time.Since(start), 4*time.Second)
	close(release)
}

// Hijack from another goroutine, while the handler returns, gives either an error or a
// connection that is ours.
func TestHijackWhileTheHandlerReturns(t *testing.T) {
	var wg sync.WaitGroup
	wg.Add(1) // ours: what a handler adds is then never the first
	srv := newServer(t, newHandler(t, "/", func(ctx context.Context, c *nng.Conn, r *nng.Request) (*nng.Response, error) {
		go c.Hijack() // so that both orders of the next two come about
		wg.Go(func() {
			if err := c.Hijack(); err == nil {
				assert.NoError(t, c.Close())
			} else {
				_ = c.Close() // the other goroutine may have been the one
			}
		})
		return text("x")(ctx, c, r)
	}))
	captureLog(t)
	for range 300 {
		c, err := net.Dial("tcp", address(t, srv))
		require.NoError(t, err)
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		_, err = io.Copy(io.Discard, c)
		assert.NoError(t, err, "neither side has closed the connection")
		c.Close()
	}
	wg.Done()
	wg.Wait()
}

// liveMessages is how many requests and responses there are, once what other tests have left is
// gone.
func liveMessages(t *testing.T) (n int64) {
	n = nng.LiveObjects()["requests and responses"]
	require.Eventually(t, func() bool {
		was := n
		runtime.GC()
		time.Sleep(50 * time.Millisecond)
		n = nng.LiveObjects()["requests and responses"]
		return n == was
	}, 10*time.Second, time.Millisecond)
	return n
}

// A request that the handler has closed is freed all the same when the connection is
// taken.
func TestRequestClosedBeforeHijack(t *testing.T) {
	before := liveMessages(t)
	done := make(chan struct{})
	srv := newServer(t, newHandler(t, "/", func(_ context.Context, c *nng.Conn, r *nng.Request) (*nng.Response, error) {
		defer close(done)
		assert.NoError(t, r.Close())
		assert.NoError(t, c.Hijack())
		return nil, c.Close()
	}))
	exchange(t, address(t, srv), "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-done
	assert.Eventually(t, func() bool { return nng.LiveObjects()["requests and responses"] == before }, 5*time.Second, time.Millisecond)
}

// A zero-length write is no reply.
func TestReplyWithoutBytes(t *testing.T) {
	captureLog(t)
	srv := newServer(t, newHandler(t, "/", func(_ context.Context, c *nng.Conn, _ *nng.Request) (*nng.Response, error) {
		_, err := c.Write(nil)
		return nil, err
	}))
	status, _, _ := httpGet(t, httpURL(t, srv)+"/")
	assert.Equal(t, 500, status)
}

// A body may be a part of anything, also of something with pointers in it.
func TestDataInsideOtherMemory(t *testing.T) {
	type box struct {
		buf  [8]byte
		next *box
	}
	b := &box{next: &box{}}
	copy(b.buf[:], "embedded")
	srv := newServer(t, newHandler(t, "/", func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
		res, err := nng.NewResponse()
		if err != nil {
			return nil, err
		}
		return res, res.SetData(b.buf[:5])
	}))
	_, body, _ := httpGet(t, httpURL(t, srv)+"/")
	assert.Equal(t, "embed", body)
	req, err := nng.NewRequest("")
	require.NoError(t, err)
	defer req.Close()
	require.NoError(t, req.CopyData(b.buf[:]))
	assert.Equal(t, "embedded", string(req.Data()))
	require.NoError(t, req.SetData(b.buf[3:]))
	assert.Equal(t, "edded", string(req.Data()))
}

// A response that nobody closes, with a body that is not copied, is freed with it by the
// collector; that is noticed, and nothing worse.
func TestForgottenResponseIsFreed(t *testing.T) {
	before := liveMessages(t)
	func() {
		res, err := nng.NewResponse()
		require.NoError(t, err)
		require.NoError(t, res.SetData([]byte("forgotten")))
		require.Equal(t, "9", res.Header("Content-Length")) // which makes the response C's
	}()
	require.Eventually(t, func() bool {
		runtime.GC()
		return nng.LiveObjects()["requests and responses"] == before
	}, 10*time.Second, time.Millisecond)
	assert.Equal(t, int64(1), nng.ForgiveLeaks(), "it is counted")
}

// After a cancelled operation every call says that the connection is shut.
func TestTransactAfterCancel(t *testing.T) {
	client, server := mustPipe(t, newPair(t, false, true))
	go func() { _, _ = bufio.NewReader(server).ReadString(0) }()
	conn := client.(*nng.Conn)
	transact := func(ctx context.Context) error {
		req, err := nng.NewRequest("http://x/")
		require.NoError(t, err)
		defer req.Close()
		res, err := nng.NewResponse()
		require.NoError(t, err)
		defer res.Close()
		return conn.Transact(ctx, req, res)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	assert.ErrorIs(t, transact(ctx), context.DeadlineExceeded)
	err := transact(context.Background())
	assert.ErrorIs(t, err, nng.ErrConnShut)
	assert.NotErrorIs(t, err, net.ErrClosed)
}

// The path "//" is not the path of everything.
func TestHandlerPathOfSlashes(t *testing.T) {
	h := newHandler(t, "//", text("x"), (*nng.Handler).SetTree)
	defer h.Close()
	assert.Equal(t, "/", h.Path())
}
