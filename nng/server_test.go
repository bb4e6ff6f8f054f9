package nng_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// captureLog collects what the package logs during a test.
func captureLog(t *testing.T) *syncBuffer {
	t.Helper()
	var buf syncBuffer
	old := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&buf, nil)))
	t.Cleanup(func() { slog.SetDefault(old) })
	return &buf
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// httpGet fetches a URL with a connection of its own.
func httpGet(t testing.TB, url string) (status int, body string, header http.Header) {
	t.Helper()
	tr := &http.Transport{DisableKeepAlives: true}
	defer tr.CloseIdleConnections()
	res, err := (&http.Client{Transport: tr, Timeout: 10 * time.Second}).Get(url)
	require.NoError(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(b), res.Header
}

// exchange sends bytes and returns everything that comes back until the peer closes or a
// second of silence has passed.
func exchange(t testing.TB, addr, send string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	_, err = io.WriteString(c, send)
	require.NoError(t, err)
	_ = c.SetReadDeadline(time.Now().Add(time.Second))
	b, _ := io.ReadAll(c)
	return string(b)
}

// errBad panics when it is asked what it is.
type errBad struct{}

func (errBad) Error() string   { panic("Error") }
func (errBad) Is(error) bool   { panic("Is") }
func (errBad) Unwrap() []error { panic("Unwrap") }

// The methods of an error that a handler returns, or panics with, may panic, too: those of a
// nil pointer in it do.
func TestHandlerErrorsThatPanic(t *testing.T) {
	captureLog(t)
	for name, err := range map[string]error{"nil *net.OpError": (*net.OpError)(nil), "nil *nng.OpError": (*nng.OpError)(nil), "methods": errBad{}} {
		t.Run(name, func(t *testing.T) {
			srv := newServer(t,
				newHandler(t, "/error", func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) { return nil, err }),
				newHandler(t, "/panic", func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) { panic(err) }),
				newHandler(t, "/hijack", func(_ context.Context, c *nng.Conn, _ *nng.Request) (*nng.Response, error) {
					require.NoError(t, c.Hijack())
					defer c.Close()
					return nil, err
				}))
			for _, path := range []string{"/error", "/panic"} {
				status, _, _ := httpGet(t, "http://"+address(t, srv)+path)
				assert.Equal(t, http.StatusInternalServerError, status, path)
			}
			assert.Empty(t, exchange(t, address(t, srv), "GET /hijack HTTP/1.1\r\nHost: x\r\n\r\n"))
		})
	}
}

func TestHandlerOutcomes(t *testing.T) {
	t.Setenv("GODEBUG", "panicnil=1")
	log := captureLog(t)
	abort := func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) { panic(nng.ErrAbortHandler) }
	srv := newServer(t,
		newHandler(t, "/error", func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
			return nil, errors.New("the disk is full")
		}),
		newHandler(t, "/panic", func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) { panic("boom") }),
		newHandler(t, "/nilpanic", func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) { panic(nil) }), //nolint:govet // what is tested
		newHandler(t, "/nilpartial", func(_ context.Context, c *nng.Conn, _ *nng.Request) (*nng.Response, error) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
			panic(nil) //nolint:govet // what is tested
		}),
		newHandler(t, "/goexitpartial", func(_ context.Context, c *nng.Conn, _ *nng.Request) (*nng.Response, error) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
			runtime.Goexit()
			return nil, nil
		}),
		newHandler(t, "/abort", abort),
		newHandler(t, "/nothing", func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) { return nil, nil }),
		newHandler(t, "/partial", func(_ context.Context, c *nng.Conn, _ *nng.Request) (*nng.Response, error) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
			panic("in the middle")
		}),
		newHandler(t, "/closed", func(_ context.Context, c *nng.Conn, _ *nng.Request) (*nng.Response, error) {
			_ = c.Close()
			return text("unseen")(context.Background(), c, nil)
		}),
		newHandler(t, "/self", func(_ context.Context, c *nng.Conn, _ *nng.Request) (*nng.Response, error) {
			_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nself")
			return nil, err
		}),
		newHandler(t, "/closedresponse", func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
			res, _ := nng.NewResponse()
			res.Close()
			return res, nil
		}),
		newHandler(t, "/goexit", func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
			runtime.Goexit() // as t.FailNow does
			return nil, nil
		}),
		newHandler(t, "/bare", func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) { return nng.NewResponse() }),
		newHandler(t, "/204", func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
			return nng.NewErrorResponse(204)
		}),
	)
	request := func(path string) string {
		return exchange(t, address(t, srv), "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	for _, path := range []string{"/error", "/panic", "/nilpanic", "/nothing", "/closedresponse", "/goexit"} {
		reply := request(path)
		assert.True(t, strings.HasPrefix(reply, "HTTP/1.1 500 "), "%s: %q", path, reply)
		assert.Contains(t, reply, "Connection: close", path)
	}
	assert.Empty(t, request("/abort"))
	assert.Empty(t, request("/closed"))
	for _, path := range []string{"/partial", "/nilpartial", "/goexitpartial"} {
		// A second request tells whether the connection goes on.
		reply := exchange(t, address(t, srv), "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\nGET /bare HTTP/1.1\r\nHost: x\r\n\r\n")
		assert.Equal(t, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345", reply, path)
	}
	assert.Contains(t, request("/bare"), "Content-Length: 0", "else the client would wait")
	reply := request("/204")
	assert.True(t, strings.HasSuffix(reply, "\r\n\r\n"), "a 204 has no body: %q", reply)
	assert.NotContains(t, reply, "Content-Length")

	// A handler that answers itself keeps the connection.
	reply = exchange(t, address(t, srv), strings.Repeat("GET /self HTTP/1.1\r\nHost: x\r\n\r\n", 3))
	assert.Equal(t, 3, strings.Count(reply, "self"), reply)

	assert.Contains(t, log.String(), "the disk is full")
	assert.Contains(t, log.String(), "panic: boom")
	assert.Contains(t, log.String(), "server_test.go", "the stack is logged")
	assert.NotContains(t, log.String(), "abort handler")
}

func TestHandlerContextEndsWithTheHandler(t *testing.T) {
	kept := make(chan context.Context, 1)
	srv := newServer(t, newHandler(t, "/", func(ctx context.Context, c *nng.Conn, r *nng.Request) (*nng.Response, error) {
		assert.NoError(t, ctx.Err())
		kept <- ctx
		return text("x")(ctx, c, r)
	}))
	httpGet(t, httpURL(t, srv)+"/")
	assert.ErrorIs(t, (<-kept).Err(), context.Canceled)
}

// Handlers that block do not stall the server: they are goroutines, not nng threads.
func TestHandlersThatBlockDoNotStallTheServer(t *testing.T) {
	release := make(chan struct{})
	var waiting sync.WaitGroup
	const n = 200
	waiting.Add(n)
	srv := newServer(t,
		newHandler(t, "/wait", func(ctx context.Context, c *nng.Conn, r *nng.Request) (*nng.Response, error) {
			waiting.Done()
			<-release
			return text("waited")(ctx, c, r)
		}),
		newHandler(t, "/quick", text("quick")))
	var clients sync.WaitGroup
	for range n {
		clients.Go(func() {
			_, body, _ := httpGet(t, httpURL(t, srv)+"/wait")
			assert.Equal(t, "waited", body)
		})
	}
	waiting.Wait()
	_, body, _ := httpGet(t, httpURL(t, srv)+"/quick")
	assert.Equal(t, "quick", body)
	close(release)
	clients.Wait()
}

func TestServerStopDrains(t *testing.T) {
	entered := make(chan struct{})
	release := make(chan struct{})
	srv := newServer(t,
		newHandler(t, "/slow", func(ctx context.Context, c *nng.Conn, r *nng.Request) (*nng.Response, error) {
			close(entered)
			<-release
			assert.NoError(t, ctx.Err(), "a drain does not disturb running handlers")
			return text("done")(ctx, c, r)
		}),
		newHandler(t, "/", text("x")))
	addr := address(t, srv)

	// A connection that is open already, for a request during the drain.
	idle, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer idle.Close()
	fmt.Fprintf(idle, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	r := bufio.NewReader(idle)
	res, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	io.Copy(io.Discard, res.Body)

	slow := make(chan string)
	go func() {
		_, body, _ := httpGet(t, "http://"+addr+"/slow")
		slow <- body
	}()
	<-entered
	stopped := make(chan error)
	go func() { stopped <- srv.Stop(timeout(t, 10*time.Second)) }()

	require.Eventually(t, func() bool { // until the drain has begun
		_, err := srv.Addr()
		return errors.Is(err, nng.ErrState)
	}, time.Second, time.Millisecond)
	time.Sleep(10 * time.Millisecond)
	fmt.Fprintf(idle, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	res, err = http.ReadResponse(r, nil)
	require.NoError(t, err)
	assert.Equal(t, 503, res.StatusCode, "new work is refused")
	assert.Equal(t, "1", res.Header.Get("Retry-After"))
	assert.True(t, res.Close, "and the connection closed")
	res.Body.Close()

	select {
	case err := <-stopped:
		t.Fatalf("Stop returned (%v) while a handler was running", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	assert.Equal(t, "done", <-slow)
	require.NoError(t, <-stopped)
	_, err = net.Dial("tcp", addr)
	assert.Error(t, err, "nobody listens any more")
	assert.NoError(t, srv.Stop(context.Background()), "it has stopped")
	assert.ErrorIs(t, srv.Start(), nng.ErrState)
	_, err = srv.Addr()
	assert.ErrorIs(t, err, nng.ErrState)
}

func TestServerStopGivesUpWithItsContext(t *testing.T) {
	ended := make(chan error, 1)
	entered := make(chan struct{})
	srv := newServer(t, newHandler(t, "/", func(ctx context.Context, c *nng.Conn, _ *nng.Request) (*nng.Response, error) {
		close(entered)
		_, err := c.Read(make([]byte, 1)) // the client sends nothing more
		ended <- errors.Join(err, ctx.Err())
		return nil, err
	}))
	client, err := net.Dial("tcp", address(t, srv))
	require.NoError(t, err)
	defer client.Close()
	fmt.Fprintf(client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-entered
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	captureLog(t)
	assert.ErrorIs(t, srv.Stop(ctx), context.DeadlineExceeded)
	err = <-ended
	assert.ErrorIs(t, err, net.ErrClosed, "a read of the handler was interrupted")
	assert.ErrorIs(t, err, context.Canceled, "and its context has ended")
	require.NoError(t, srv.Close())
}

// A second Stop can cut a patient first one short.
func TestServerStopTwice(t *testing.T) {
	entered := make(chan struct{})
	srv := newServer(t, newHandler(t, "/", func(ctx context.Context, _ *nng.Conn, _ *nng.Request) (*nng.Response, error) {
		close(entered)
		<-ctx.Done()
		return nil, nng.ErrAbortHandler
	}))
	addr := address(t, srv)
	go exchange(t, addr, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-entered
	patient := make(chan error)
	go func() { patient <- srv.Stop(context.Background()) }()
	now, cancel := context.WithCancel(context.Background())
	cancel()
	assert.ErrorIs(t, srv.Stop(now), context.Canceled)
	assert.NoError(t, <-patient)
	assert.NoError(t, srv.Stop(now), "nothing is left to wait for")
}

func TestServerCloseEndsHandlers(t *testing.T) {
	entered := make(chan struct{})
	srv := newServer(t, newHandler(t, "/", func(ctx context.Context, _ *nng.Conn, _ *nng.Request) (*nng.Response, error) {
		close(entered)
		<-ctx.Done()
		return nil, nng.ErrAbortHandler
	}))
	addr := address(t, srv)
	go exchange(t, addr, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-entered
	start := time.Now()
	require.NoError(t, srv.Close())
	assert.Less(t, time.Since(start), 900*time.Millisecond)
	_, err := net.Dial("tcp", addr)
	assert.Error(t, err)
}

// Close in a handler cannot wait for itself; it returns, and the rest follows.
func TestServerCloseInsideAHandler(t *testing.T) {
	var srv *nng.Server
	done := make(chan error, 1)
	h := newHandler(t, "/", func(ctx context.Context, c *nng.Conn, r *nng.Request) (*nng.Response, error) {
		done <- srv.Close()
		return text("bye")(ctx, c, r)
	})
	srv = newServer(t, h)
	addr := address(t, srv)
	go exchange(t, addr, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	assert.NoError(t, <-done)
	assert.Eventually(t, func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err != nil
	}, 5*time.Second, 10*time.Millisecond)
}

func TestServerStopBeforeStart(t *testing.T) {
	holdMu.Lock()
	defer holdMu.Unlock()
	srv, err := nng.HoldServer("http://127.0.0.1:0")
	require.NoError(t, err)
	defer srv.Close()
	assert.ErrorIs(t, srv.Stop(context.Background()), nng.ErrState)
	require.NoError(t, srv.Start(), "nng itself would not listen any more (S4)")
	assert.ErrorIs(t, srv.Start(), nng.ErrState)
	c, err := net.Dial("tcp", address(t, srv))
	require.NoError(t, err)
	c.Close()
}

// A hijacked connection outlives its server, and its request lives with it.
func TestHijackedConnectionOutlivesTheServer(t *testing.T) {
	from := make(chan *nng.Conn, 1)
	requests := make(chan *nng.Request, 1)
	srv := newServer(t, newHandler(t, "/take", func(_ context.Context, c *nng.Conn, r *nng.Request) (*nng.Response, error) {
		requests <- r
		return hijacker(from)(context.Background(), c, r)
	}))
	client, err := net.Dial("tcp", address(t, srv))
	require.NoError(t, err)
	defer client.Close()
	fmt.Fprintf(client, "GET /take?x=1 HTTP/1.1\r\nHost: x\r\nX-Test: yes\r\n\r\n")
	conn, req := <-from, <-requests
	require.NoError(t, srv.Close())
	assert.Equal(t, "/take?x=1", req.URI())
	assert.Equal(t, "yes", req.Header("X-Test"))
	assert.ErrorIs(t, conn.Hijack(), nng.ErrState, "a second hijack is an error")
	_, err = io.WriteString(conn, "still here")
	require.NoError(t, err)
	got := make([]byte, 10)
	_, err = io.ReadFull(client, got)
	require.NoError(t, err)
	assert.Equal(t, "still here", string(got))
	require.NoError(t, conn.Close())
	assert.Eventually(t, func() bool { return req.URI() == "" }, 5*time.Second, time.Millisecond)
	assert.ErrorIs(t, req.SetURI("/"), nng.ErrClosed)
}

func TestBorrowedValuesEndWithTheHandler(t *testing.T) {
	reqs, conns := make(chan *nng.Request, 1), make(chan *nng.Conn, 1)
	srv := newServer(t, newHandler(t, "/", func(ctx context.Context, c *nng.Conn, r *nng.Request) (*nng.Response, error) {
		reqs <- r
		conns <- c
		return text("x")(ctx, c, r)
	}))
	httpGet(t, httpURL(t, srv)+"/")
	req, conn := <-reqs, <-conns
	assert.Empty(t, req.URI())
	assert.ErrorIs(t, req.SetHeader("A", "b"), nng.ErrClosed)
	assert.ErrorIs(t, conn.Hijack(), nng.ErrClosed)
	_, err := conn.Write([]byte("x"))
	assert.ErrorIs(t, err, nng.ErrClosed)
	_, err = conn.Read(make([]byte, 1))
	assert.ErrorIs(t, err, nng.ErrClosed)
}

// A handler may be removed while it runs and while a body for it is coming in (S8);
// what runs goes on, and the handler can be used again at once, changed or closed.
func TestHandlerRemovedWhileRunning(t *testing.T) {
	entered := make(chan struct{}, 8)
	release := make(chan struct{})
	h := newHandler(t, "/", func(ctx context.Context, c *nng.Conn, r *nng.Request) (*nng.Response, error) {
		entered <- struct{}{}
		<-release
		return text("got "+string(r.Data()))(ctx, c, r)
	}, func(h *nng.Handler) error { return h.SetMethod("POST") })
	srv := newServer(t, h)
	addr := address(t, srv)

	send := func() net.Conn {
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n1")
		return c
	}
	running, waiting := send(), send()
	fmt.Fprint(running, "2345")
	<-entered
	time.Sleep(20 * time.Millisecond) // the other one's head is in
	require.NoError(t, srv.DelHandler(h))
	assert.ErrorIs(t, srv.DelHandler(h), nng.ErrNotFound)
	status, _, _ := httpGet(t, "http://"+addr+"/")
	assert.Equal(t, 404, status)

	fmt.Fprint(waiting, "2345")
	close(release)
	for _, c := range []net.Conn{running, waiting} {
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		assert.Equal(t, "got 12345", string(body))
	}

	require.NoError(t, h.SetMethod("PUT"), "a removed handler can be changed (S26)")
	require.NoError(t, srv.AddHandler(h))
	req, err := http.NewRequest("PUT", "http://"+addr+"/", strings.NewReader("again"))
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	res.Body.Close()
	assert.Equal(t, "got again", string(body))
}

// Handlers come and go under load.
func TestHandlerChurnUnderLoad(t *testing.T) {
	srv := newServer(t, newHandler(t, "/stay", text("stay")))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				_, body, _ := httpGet(t, httpURL(t, srv)+"/stay")
				assert.Equal(t, "stay", body)
				status, _, _ := httpGet(t, httpURL(t, srv)+"/gone")
				assert.Contains(t, []int{200, 404}, status)
			}
		})
	}
	for range 300 {
		h := newHandler(t, "/gone", text(strings.Repeat("x", 10_000)))
		require.NoError(t, srv.AddHandler(h))
		require.NoError(t, srv.DelHandler(h))
		require.NoError(t, h.Close())
	}
	close(stop)
	wg.Wait()
}

func TestTwoServersOnOneAddress(t *testing.T) {
	first := newServer(t, newHandler(t, "/first", text("first")))
	url := httpURL(t, first)
	second, err := nng.HoldServer(url)
	require.NoError(t, err)
	defer second.Close()
	h := newHandler(t, "/second", text("second"))
	require.NoError(t, second.AddHandler(h))
	other := newHandler(t, "/first", text("mine"))
	assert.ErrorIs(t, second.AddHandler(other), nng.ErrAddrInUse)
	require.NoError(t, other.Close())
	require.NoError(t, second.Start())
	_, body, _ := httpGet(t, url+"/first")
	assert.Equal(t, "first", body)

	require.NoError(t, first.Close())
	_, body, _ = httpGet(t, url+"/second")
	assert.Equal(t, "second", body, "the address is served as long as one of them is started")
	status, _, _ := httpGet(t, url+"/first")
	assert.Equal(t, 404, status, "the handlers of the closed one are gone")
	require.NoError(t, second.Close())
	_, err = net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	assert.Error(t, err)

	third, err := nng.HoldServer(strings.Replace(url, "http:", "https:", 1))
	if errors.Is(err, nng.ErrNotSupported) {
		t.Skip("the rest needs TLS, which this libnng has not")
	}
	require.NoError(t, err, "the address is free again")
	defer third.Close()
	_, err = nng.HoldServer(url)
	assert.ErrorIs(t, err, nng.ErrAddrInUse, "nng would hand out the https server (S25)")
}

func TestServerSurvivesStartFailure(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	srv, err := nng.HoldServer("http://" + l.Addr().String())
	require.NoError(t, err)
	defer srv.Close()
	assert.ErrorIs(t, srv.Start(), nng.ErrAddrInUse)
	require.NoError(t, l.Close())
	require.NoError(t, srv.Start(), "once the port is free the server starts")
	status, _, _ := httpGet(t, httpURL(t, srv)+"/")
	assert.Equal(t, 404, status)
}

// An escaped path is decoded once and stays inside its buffer (S1, patch 0001).
func TestEscapedPath(t *testing.T) {
	srv := newServer(t, newHandler(t, "/aAb", text("decoded")), newHandler(t, "/A", text("short")))
	_, body, _ := httpGet(t, httpURL(t, srv)+"/a%41b")
	assert.Equal(t, "decoded", body)
	for range 50 { // under AddressSanitizer each of them would abort the unpatched library
		assert.Contains(t, exchange(t, address(t, srv), "GET /%41 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), "short")
	}
}

func TestServerServesIPv6(t *testing.T) {
	holdMu.Lock()
	srv, err := nng.HoldServer("http://[::1]:0")
	require.NoError(t, err)
	defer srv.Close()
	err = srv.Start()
	holdMu.Unlock()
	if errors.Is(err, nng.ErrBadAddr) || errors.Is(err, nng.ErrNotSupported) {
		t.Skip("this machine has no IPv6 loopback")
	}
	require.NoError(t, err)
	require.NoError(t, srv.AddHandler(newHandler(t, "/", text("six"))))
	_, body, _ := httpGet(t, httpURL(t, srv)+"/")
	assert.Equal(t, "six", body)
}

// What nng answers itself leaves no body for the next request to be read from (P1,
// patch 0013).
func TestErrorAnswerClosesBehindABody(t *testing.T) {
	srv := newServer(t, newHandler(t, "/here", text("smuggled")))
	smuggled := "GET /here HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, head := range []string{
		"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n",     // 404
		"POST /here HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n",        // 405
		"GET /here HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999%d\r\n\r\n", // 400
		"POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: x%d\r\n\r\n", // 404
	} {
		reply := exchange(t, address(t, srv), fmt.Sprintf(head, len(smuggled))+smuggled)
		assert.Equal(t, 1, strings.Count(reply, "HTTP/1.1 "), "%q", reply)
		assert.NotContains(t, reply, "smuggled")
		assert.Contains(t, reply, "Connection: close")
	}
}

// A client that does not read cannot hold a connection longer than the write deadline.
func TestHandlerWriteDeadlineBoundsTheEnd(t *testing.T) {
	returned := make(chan time.Time, 1)
	srv := newServer(t, newHandler(t, "/", func(_ context.Context, c *nng.Conn, _ *nng.Request) (*nng.Response, error) {
		_ = c.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
		for {
			if _, err := c.Write(make([]byte, 64<<10)); err != nil {
				returned <- time.Now()
				return nil, nng.ErrAbortHandler
			}
		}
	}))
	client, err := net.Dial("tcp", address(t, srv))
	require.NoError(t, err)
	defer client.Close()
	fmt.Fprintf(client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	start := <-returned
	require.NoError(t, srv.Stop(timeout(t, 10*time.Second)))
	assert.Less(t, time.Since(start), 5*time.Second)
}
