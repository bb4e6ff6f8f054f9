package nng_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Handlers that have been quick are called on nng's threads (see nng/pace.go). What they may
// do there is what goroutines may do, and the tests here have them do it.

// onThread tells whether it is called in a handler that runs on one of nng's threads.
func onThread() bool { return strings.Contains(string(debug.Stack()), "(*runner).serve") }

// pacePaths numbers the paths that tests ask for. Each has an account, by and large: there
// are 1024 for all, so one may be the account of a slow handler of another test.
var pacePaths atomic.Int64

// A pacer is a server with a handler that is quick and tells where it runs, and does
// something else when the query asks for it.
type pacer struct {
	*nng.Server
	t       *testing.T
	actions map[string]nng.HandlerFunc // by the query
	threads atomic.Int64               // actions begun on nng's threads
	others  atomic.Int64               // and elsewhere
}

func newPacer(t *testing.T, actions map[string]nng.HandlerFunc, set ...func(*nng.Handler) error) *pacer {
	p := &pacer{t: t, actions: actions}
	all := func(h *nng.Handler) error { return h.SetMethod("") }
	p.Server = newServer(t,
		newHandler(t, "/paced", p.handle, append([]func(*nng.Handler) error{tree, all}, set...)...),
		newHandler(t, "/other", text("other")))
	return p
}

func (p *pacer) handle(ctx context.Context, conn *nng.Conn, req *nng.Request) (*nng.Response, error) {
	on := onThread()
	if _, query, ok := strings.Cut(req.URI(), "?"); ok {
		if on {
			p.threads.Add(1)
		} else {
			p.others.Add(1)
		}
		return p.actions[query](ctx, conn, req)
	}
	return whereabouts(on)
}

func whereabouts(on bool) (*nng.Response, error) {
	res, err := nng.NewResponse()
	if err != nil {
		return nil, err
	}
	return res, res.CopyData(fmt.Append(nil, on))
}

// path is a path for the pacer's handler that nobody has used.
func (p *pacer) path() string { return fmt.Sprint("/paced/", pacePaths.Add(1)) }

// warm returns a path for which the handler was called on nng's threads a hundred times, and
// the last time.
func (p *pacer) warm() string {
	p.t.Helper()
	c := p.dial()
	defer c.Close()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		path, n := p.path(), 0
		for range 600 {
			if c.onThread(path) {
				n++
			}
			if n == 100 {
				return path
			}
		}
	}
	require.Fail(p.t, "the handler does not come to run on nng's thread")
	return ""
}

// warmed calls do with paths that are warm until it says that the handler ran on nng's
// thread then: a busy machine may keep it from that once.
func (p *pacer) warmed(do func(path string) bool) {
	p.t.Helper()
	for range 5 {
		if do(p.warm()) {
			return
		}
	}
	require.Fail(p.t, "the handler does not run on nng's thread")
}

// inlinePath returns a path for which the handler runs on nng's threads without having been
// quick.
func (p *pacer) inlinePath() string {
	p.t.Helper()
	c := p.dial()
	defer c.Close()
	for range 3 { // one may have the account of a handler that has ended its goroutine
		if path := p.path(); c.soon(path) {
			return path
		}
	}
	require.Fail(p.t, "the handler does not run on nng's thread")
	return ""
}

// A paceClient is a connection for requests.
type paceClient struct {
	net.Conn
	t *testing.T
	r *bufio.Reader
}

func (p *pacer) dial() *paceClient {
	p.t.Helper()
	conn, r := dialKeepAlive(p.t, p.Server)
	return &paceClient{conn, p.t, r}
}

// do sends a request and reads its response; nil if there is none.
func (c *paceClient) do(request string) (*http.Response, string) {
	c.t.Helper()
	require.NoError(c.t, c.SetDeadline(time.Now().Add(10*time.Second)))
	_, err := io.WriteString(c, request)
	require.NoError(c.t, err)
	res, err := http.ReadResponse(c.r, nil)
	if err != nil {
		require.ErrorIs(c.t, err, io.ErrUnexpectedEOF)
		return nil, ""
	}
	body, err := io.ReadAll(res.Body)
	require.NoError(c.t, err)
	return res, string(body)
}

func (c *paceClient) get(path string) (status int, body string) {
	c.t.Helper()
	res, body := c.do("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
	if res == nil {
		return 0, ""
	}
	return res.StatusCode, body
}

// onThread asks the handler where it runs.
func (c *paceClient) onThread(path string) bool {
	c.t.Helper()
	return c.asks("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
}

// soon is onThread with a few attempts: the request before may keep the only thread there is a
// bit longer than its response takes.
func (c *paceClient) soon(path string) bool {
	c.t.Helper()
	for range 10 {
		if c.onThread(path) {
			return true
		}
		time.Sleep(2 * time.Millisecond)
	}
	return false
}

func (c *paceClient) asks(request string) bool {
	c.t.Helper()
	res, body := c.do(request)
	require.NotNil(c.t, res)
	require.Equal(c.t, 200, res.StatusCode)
	require.Contains(c.t, []string{"true", "false"}, body)
	return body == "true"
}

// lives checks that the server answers at once, at this path and at another one.
func (p *pacer) lives(path string) {
	p.t.Helper()
	start := time.Now()
	for _, at := range []string{"/other", path} {
		c := p.dial()
		status, _ := c.get(at)
		require.Equal(p.t, 200, status, at)
		c.Close()
	}
	require.Less(p.t, time.Since(start), 2*time.Second)
}

// within waits for something.
func within(t *testing.T, ch <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(10 * time.Second):
		require.Fail(t, "timeout", what)
	}
}

func TestPaceQuick(t *testing.T) {
	p := newPacer(t, map[string]nng.HandlerFunc{"query": func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
		return whereabouts(onThread())
	}})
	// The usual case of many paths, because some may have the account of another one.
	first := func(ask func(path string) bool) int {
		var all []int
		for range 11 {
			path, n := p.path(), 0
			for n < 500 && !ask(path) {
				n++
			}
			all = append(all, n)
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	c := p.dial()
	kept := first(c.onThread)
	fresh := first(func(path string) bool {
		c := p.dial()
		defer c.Close()
		return c.onThread(path)
	})
	t.Logf("calls before the first on nng's thread: %d on one connection, %d on new ones", kept, fresh)
	for _, n := range []int{kept, fresh} {
		assert.Greater(t, n, 10, "a handler proves itself first")
		assert.Less(t, n, 300)
	}

	// It stays there, whatever the query.
	path, n := p.warm(), 0
	for range 100 {
		if c.onThread(path + "?query") {
			n++
		}
	}
	assert.Greater(t, n, 50)
}

// A handler that is never quick never gets there, and one that is slow now and again does not
// stay.
func TestPaceSlow(t *testing.T) {
	var calls atomic.Int64
	p := newPacer(t, map[string]nng.HandlerFunc{
		"slow": func(ctx context.Context, c *nng.Conn, r *nng.Request) (*nng.Response, error) {
			time.Sleep(30 * time.Millisecond)
			return text("slow")(ctx, c, r)
		},
		"sometimes": func(ctx context.Context, c *nng.Conn, r *nng.Request) (*nng.Response, error) {
			if calls.Add(1)%8 == 0 {
				time.Sleep(time.Millisecond)
			}
			return text("sometimes")(ctx, c, r)
		},
	})
	// threads counts the calls on nng's threads, at the best of some paths: others may have
	// the account of a quick one.
	threads := func(query string, clients, requests int) int64 {
		least := int64(clients * requests)
		for range 3 {
			before, path := p.threads.Load(), p.path()
			var all sync.WaitGroup
			for range clients {
				all.Go(func() {
					conn, err := net.Dial("tcp", address(t, p.Server))
					if !assert.NoError(t, err) {
						return
					}
					defer conn.Close()
					_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
					r := bufio.NewReader(conn)
					for range requests {
						fmt.Fprintf(conn, "GET %s?%s HTTP/1.1\r\nHost: x\r\n\r\n", path, query)
						res, err := http.ReadResponse(r, nil)
						if !assert.NoError(t, err) {
							return
						}
						body, _ := io.ReadAll(res.Body)
						assert.Equal(t, query, string(body))
					}
				})
			}
			all.Wait()
			least = min(least, p.threads.Load()-before)
		}
		return least
	}
	assert.Zero(t, threads("slow", 16, 4))
	assert.Less(t, threads("sometimes", 1, 400), int64(20))
}

// A handler that has been quick may block all the same.
func TestPaceBlocks(t *testing.T) {
	var blocked atomic.Pointer[chan struct{}]
	p := newPacer(t, map[string]nng.HandlerFunc{"block": func(ctx context.Context, c *nng.Conn, r *nng.Request) (*nng.Response, error) {
		<-*blocked.Load()
		return text("released")(ctx, c, r)
	}})
	quick := p.warm()
	p.warmed(func(path string) bool {
		release := make(chan struct{})
		blocked.Store(&release)
		free := sync.OnceFunc(func() { close(release) })
		defer free()
		p.threads.Store(0)
		p.others.Store(0)
		const n = 8
		var all sync.WaitGroup
		defer all.Wait()
		for range n {
			all.Go(func() {
				conn, err := net.Dial("tcp", address(t, p.Server))
				if !assert.NoError(t, err) {
					return
				}
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
				fmt.Fprintf(conn, "GET %s?block HTTP/1.1\r\nHost: x\r\n\r\n", path)
				res, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if assert.NoError(t, err) {
					body, _ := io.ReadAll(res.Body)
					assert.Equal(t, "released", string(body))
				}
			})
		}
		begun := func() bool { return p.threads.Load()+p.others.Load() == n }
		require.Eventually(t, begun, 10*time.Second, time.Millisecond, "all of them are called")
		time.Sleep(30 * time.Millisecond) // which is long
		for range 20 {
			p.lives(quick)
		}
		on := p.threads.Load()
		free()
		all.Wait()
		if on == 0 {
			return false
		}
		t.Logf("%d of %d blocked on nng's threads", on, n)
		assert.Less(t, on, int64(2*runtime.NumCPU()), "one is left, whatever happens")
		c := p.dial()
		for range 200 {
			assert.False(t, c.onThread(path), "it has lost its credit")
		}
		p.lives(path)
		return true
	})
}

// A few that block do not take more and more threads: the others see that they are stuck.
func TestPaceBlocksOneByOne(t *testing.T) {
	release := make(chan struct{})
	p := newPacer(t, map[string]nng.HandlerFunc{"block": func(ctx context.Context, c *nng.Conn, r *nng.Request) (*nng.Response, error) {
		<-release
		return text("released")(ctx, c, r)
	}})
	path := p.warm()
	c := p.dial()
	free := sync.OnceFunc(func() { close(release) })
	defer free()
	conns := make([]*paceClient, 6)
	for i := range conns {
		conns[i] = p.dial()
		_, err := io.WriteString(conns[i], "GET "+path+"?block HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		require.Eventually(t, func() bool { return p.threads.Load()+p.others.Load() == int64(i+1) }, 10*time.Second, time.Millisecond)
		time.Sleep(40 * time.Millisecond)
		if p.threads.Load() > 0 {
			assert.False(t, c.onThread(path), "while one is stuck the others get goroutines")
		}
	}
	assert.LessOrEqual(t, p.threads.Load(), int64(1))
	free()
	for _, c := range conns {
		res, err := http.ReadResponse(c.r, nil)
		require.NoError(t, err)
		assert.Equal(t, 200, res.StatusCode)
	}
}

func TestPacePanic(t *testing.T) {
	log := captureLog(t)
	p := newPacer(t, map[string]nng.HandlerFunc{
		"panic": func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) { panic("boom on a thread") },
		"error": func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) { return nil, io.ErrNoProgress },
		"none":  func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) { return nil, nil },
	})
	for _, query := range []string{"panic", "error", "none"} {
		p.warmed(func(path string) bool {
			before := p.threads.Load()
			c := p.dial()
			res, _ := c.do("GET " + path + "?" + query + " HTTP/1.1\r\nHost: x\r\n\r\n")
			require.NotNil(t, res, query)
			assert.Equal(t, 500, res.StatusCode, query)
			assert.True(t, res.Close, query)
			_, err := c.r.ReadByte()
			assert.ErrorIs(t, err, io.EOF, query)
			p.lives(path)
			return p.threads.Load() > before
		})
	}
	assert.Contains(t, log.String(), "boom on a thread")
	assert.Contains(t, log.String(), "pace_test.go", "the stack is logged")
	assert.Contains(t, log.String(), "runner", "and tells where it was")
	assert.Contains(t, log.String(), io.ErrNoProgress.Error())
}

// runtime.Goexit ends the goroutine, which is not nng's thread. A handler that does it gets
// goroutines from then on.
func TestPaceGoexit(t *testing.T) {
	log := captureLog(t)
	p := newPacer(t, map[string]nng.HandlerFunc{
		"exit": func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
			runtime.Goexit() // as t.FailNow does
			return nil, nil
		},
		"slow": func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
			time.Sleep(25 * time.Millisecond)
			return whereabouts(onThread())
		},
	})
	for range 2 { // the threads get new coroutines
		p.warmed(func(path string) bool {
			before := p.threads.Load()
			c := p.dial()
			res, _ := c.do("GET " + path + "?exit HTTP/1.1\r\nHost: x\r\n\r\n")
			require.NotNil(t, res)
			assert.Equal(t, 500, res.StatusCode)
			assert.True(t, res.Close)
			c = p.dial()
			assert.False(t, c.onThread(path+"?slow"))
			on := 0
			for range 2300 { // more than slow handlers have to make up for
				if c.onThread(path) {
					on++
				}
			}
			assert.Zero(t, on, "calls on nng's thread behind Goexit")
			p.lives(path)
			return p.threads.Load() > before
		})
	}
	assert.Contains(t, log.String(), "ended its goroutine")

	// Also those that want to be there.
	inline := newPacer(t, p.actions, (*nng.Handler).SetInline)
	path := inline.inlinePath()
	status, _ := inline.dial().get(path + "?exit")
	assert.Equal(t, 500, status)
	c := inline.dial()
	for range 100 {
		assert.False(t, c.onThread(path))
	}
	inline.inlinePath()
}

func TestPaceAbort(t *testing.T) {
	log := captureLog(t)
	p := newPacer(t, map[string]nng.HandlerFunc{
		"abort": func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) { return nil, nng.ErrAbortHandler },
		"panic": func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) { panic(nng.ErrAbortHandler) },
		"partial": func(_ context.Context, c *nng.Conn, _ *nng.Request) (*nng.Response, error) {
			_, _ = io.WriteString(c, "partial")
			return nil, nng.ErrAbortHandler
		},
	})
	for query, want := range map[string]string{"abort": "", "panic": "", "partial": "partial"} {
		p.warmed(func(path string) bool {
			before := p.threads.Load()
			got := exchange(t, address(t, p.Server), "GET "+path+"?"+query+" HTTP/1.1\r\nHost: x\r\n\r\n")
			assert.Equal(t, want, got, query)
			p.lives(path)
			return p.threads.Load() > before
		})
	}
	assert.Empty(t, log.String())
}

// What a handler was lent ends with it, there too.
func TestPaceBorrowed(t *testing.T) {
	type lent struct {
		ctx  context.Context
		conn *nng.Conn
		req  *nng.Request
	}
	all := make(chan lent, 1)
	p := newPacer(t, map[string]nng.HandlerFunc{"keep": func(ctx context.Context, conn *nng.Conn, req *nng.Request) (*nng.Response, error) {
		assert.NoError(t, ctx.Err())
		all <- lent{ctx, conn, req}
		return whereabouts(onThread())
	}})
	p.warmed(func(path string) bool {
		on := p.dial().onThread(path + "?keep")
		l := <-all
		assert.ErrorIs(t, l.ctx.Err(), context.Canceled)
		assert.ErrorIs(t, l.req.SetHeader("X-One", "1"), nng.ErrClosed)
		assert.ErrorIs(t, l.conn.Hijack(), nng.ErrClosed)
		return on
	})
}

func TestPaceHijack(t *testing.T) {
	taken := make(chan *nng.Conn, 1)
	p := newPacer(t, map[string]nng.HandlerFunc{
		"take": hijacker(taken),
		"greet": func(ctx context.Context, conn *nng.Conn, req *nng.Request) (*nng.Response, error) {
			if err := conn.Hijack(); err != nil {
				return nil, err
			}
			if _, err := io.WriteString(conn, "hello\n"); err != nil {
				return nil, err
			}
			if err := conn.Flush(ctx); err != nil {
				return nil, err
			}
			taken <- conn
			return nil, nil
		},
		"close": func(_ context.Context, conn *nng.Conn, _ *nng.Request) (*nng.Response, error) {
			if err := conn.Hijack(); err != nil {
				return nil, err
			}
			if _, err := io.WriteString(conn, "bye"); err != nil {
				return nil, err
			}
			return nil, conn.Close()
		},
	})
	for _, query := range []string{"take", "greet"} {
		p.warmed(func(path string) bool {
			before := p.threads.Load()
			client := p.dial()
			_, err := io.WriteString(client, "GET "+path+"?"+query+" HTTP/1.1\r\nHost: x\r\n\r\nbehind the head\n")
			require.NoError(t, err)
			var conn *nng.Conn
			select {
			case conn = <-taken:
			case <-time.After(10 * time.Second):
				require.Fail(t, "the handler was not called")
			}
			defer conn.Close()
			p.lives(path)
			if query == "greet" {
				line, err := client.r.ReadString('\n')
				require.NoError(t, err)
				assert.Equal(t, "hello\n", line)
			}
			server := bufio.NewReader(conn)
			require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
			line, err := server.ReadString('\n')
			require.NoError(t, err)
			assert.Equal(t, "behind the head\n", line)
			for range 10 {
				_, err = io.WriteString(client, "ping\n")
				require.NoError(t, err)
				line, err = server.ReadString('\n')
				require.NoError(t, err)
				assert.Equal(t, "ping\n", line)
				_, err = io.WriteString(conn, "pong\n")
				require.NoError(t, err)
				line, err = client.r.ReadString('\n')
				require.NoError(t, err)
				assert.Equal(t, "pong\n", line)
			}
			require.NoError(t, conn.Close())
			_, err = client.r.ReadByte()
			assert.ErrorIs(t, err, io.EOF)
			return p.threads.Load() > before
		})
	}
	p.warmed(func(path string) bool {
		before := p.threads.Load()
		assert.Equal(t, "bye", exchange(t, address(t, p.Server), "GET "+path+"?close HTTP/1.1\r\nHost: x\r\n\r\n"))
		p.lives(path)
		return p.threads.Load() > before
	})
}

// A handler that has hijacked may stay on nng's thread for long: then nng must not wait for it
// where it has other things to do.
func TestPaceHijackStays(t *testing.T) {
	lines := make(chan string)
	p := newPacer(t, map[string]nng.HandlerFunc{"echo": func(_ context.Context, conn *nng.Conn, _ *nng.Request) (*nng.Response, error) {
		if err := conn.Hijack(); err != nil {
			return nil, err
		}
		defer conn.Close()
		r := bufio.NewReader(conn)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				lines <- "over"
				return nil, nil
			}
			lines <- line
			if _, err := io.WriteString(conn, line); err != nil {
				return nil, err
			}
		}
	}})
	p.warmed(func(path string) bool {
		client, before := p.dial(), p.threads.Load()
		_, err := io.WriteString(client, "GET "+path+"?echo HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		echo := func(line string) {
			_, err := io.WriteString(client, line)
			require.NoError(t, err)
			select {
			case got := <-lines:
				assert.Equal(t, line, got)
			case <-time.After(10 * time.Second):
				require.Fail(t, "the handler does not get what was sent")
			}
			back, err := client.r.ReadString('\n')
			require.NoError(t, err)
			assert.Equal(t, line, back)
		}
		echo("one\n")
		on := p.threads.Load() > before

		// A stop waits until nng has done away with the connections.
		other := newPacer(t, nil)
		idle := other.dial()
		other.lives("/other")
		require.NoError(t, other.Stop(timeout(t, 2*time.Second)))
		_, err = idle.r.ReadByte()
		assert.ErrorIs(t, err, io.EOF)
		p.lives(path)
		if c := p.dial(); on {
			for range 100 {
				assert.False(t, c.onThread(path), "others of its kind get goroutines")
			}
		}
		echo("two\n")
		require.NoError(t, client.Conn.(*net.TCPConn).CloseWrite())
		select {
		case got := <-lines:
			assert.Equal(t, "over", got)
		case <-time.After(10 * time.Second):
			require.Fail(t, "the handler does not see the end")
		}
		_, err = client.r.ReadByte()
		assert.ErrorIs(t, err, io.EOF)
		return on
	})
	require.NoError(t, p.Stop(timeout(t, 5*time.Second)))
}

// A handler may wait for what nng itself has to do on its threads: here, for another
// request to the same server.
func TestPaceTransact(t *testing.T) {
	type target struct {
		client *nng.Client
		url    string
	}
	var to atomic.Pointer[target]
	p := newPacer(t, map[string]nng.HandlerFunc{"transact": func(ctx context.Context, c *nng.Conn, _ *nng.Request) (*nng.Response, error) {
		at := to.Load()
		req, err := nng.NewRequest(at.url)
		if err != nil {
			return nil, err
		}
		defer req.Close()
		res, err := nng.NewResponse()
		if err != nil {
			return nil, err
		}
		defer res.Close()
		ctx, cancel := context.WithTimeout(ctx, 8*time.Second)
		defer cancel()
		if err := at.client.Transact(ctx, req, res); err != nil {
			return nil, err
		}
		return text("got "+string(res.Data()))(ctx, c, nil)
	}})
	url := httpURL(t, p.Server) + "/other"
	to.Store(&target{newClient(t, url), url})
	start := time.Now()
	for range 5 {
		path := p.warm()
		var clients sync.WaitGroup
		for range 8 {
			clients.Go(func() {
				conn, err := net.Dial("tcp", address(t, p.Server))
				if !assert.NoError(t, err) {
					return
				}
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
				r := bufio.NewReader(conn)
				for range 10 {
					fmt.Fprintf(conn, "GET %s?transact HTTP/1.1\r\nHost: x\r\n\r\n", path)
					res, err := http.ReadResponse(r, nil)
					if !assert.NoError(t, err) {
						return
					}
					body, _ := io.ReadAll(res.Body)
					if !assert.Equal(t, "got other", string(body)) {
						return
					}
				}
			})
		}
		clients.Wait()
		if t.Failed() {
			return
		}
	}
	t.Logf("%d requests from nng's threads and %d from goroutines in %v", p.threads.Load(), p.others.Load(), time.Since(start))
	assert.Positive(t, p.threads.Load())
	assert.Less(t, time.Since(start), 8*time.Second)
}

// What a handler has written and the client does not read is waited for elsewhere.
func TestPaceClientDoesNotRead(t *testing.T) {
	done := make(chan struct{}, 1)
	p := newPacer(t, map[string]nng.HandlerFunc{"flood": func(_ context.Context, conn *nng.Conn, _ *nng.Request) (*nng.Response, error) {
		_ = conn.SetWriteDeadline(time.Now().Add(5 * time.Millisecond))
		for part, err := make([]byte, 1<<20), error(nil); err == nil; {
			_, err = conn.Write(part)
		}
		_ = conn.SetWriteDeadline(time.Time{})
		done <- struct{}{}
		return nil, nil
	}})
	quick := p.warm()
	most := int64(min(2*runtime.NumCPU(), 16) - 1) // may be on nng's threads at once
	for n := 0; p.threads.Load() < most; n++ {
		require.Less(t, n, 40, "the handler does not run on nng's thread")
		_, err := io.WriteString(p.dial(), "GET "+p.warm()+"?flood HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		within(t, done, "the handler returns")
	}
	assert.True(t, p.dial().soon(quick), "the threads are free for others")
}

// Requests whose handlers are likely to wait for the client get goroutines.
func TestPaceWaitsForTheClient(t *testing.T) {
	read := func(size int) nng.HandlerFunc {
		return func(_ context.Context, conn *nng.Conn, _ *nng.Request) (*nng.Response, error) {
			on := onThread()
			_, err := io.ReadFull(conn, make([]byte, size))
			if err != nil {
				return nil, err
			}
			return whereabouts(on)
		}
	}
	plain := func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) { return whereabouts(onThread()) }
	p := newPacer(t, map[string]nng.HandlerFunc{"five": read(5), "chunks": read(len("5\r\nhello\r\n0\r\n\r\n")), "plain": plain},
		func(h *nng.Handler) error { return h.CollectBody(false, 0) })
	path := p.warm()
	c := p.dial()
	for name, request := range map[string]string{
		"upgrade":           "GET %s?plain HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
		"upgrade, case":     "GET %s?plain HTTP/1.1\r\nHost: x\r\nuPGRADE: h2c\r\n\r\n",
		"body":              "POST %s?five HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
		"body, case":        "POST %s?five HTTP/1.1\r\nX: 1\r\nHost: x\r\ncontent-length: 5\r\nY: 1\r\n\r\nhello",
		"body with GET":     "GET %s?five HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
		"body in chunks":    "POST %s?chunks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"chunked, any case": "POST %s?chunks HTTP/1.1\r\nHost: x\r\ntRANSFER-eNCODING: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	} {
		for range 30 {
			require.False(t, c.asks(fmt.Sprintf(request, path)), name)
		}
	}
	p.warmed(func(path string) bool { // other headers are no reason
		return c.asks("GET " + path + "?plain HTTP/1.1\r\nHost: x\r\nX-Upgrade: x\r\nUpgrades: x\r\nContent: x\r\nTransfer: x\r\n\r\n")
	})

	// CONNECT asks for another protocol, too.
	if patched() {
		all := &pacer{Server: newServer(t, everything(t, plain)), t: t}
		c := all.dial()
		for range 100 {
			require.False(t, c.asks("CONNECT example.test:443 HTTP/1.1\r\nHost: x\r\n\r\n"))
		}
	}

	// A body that nng collects is there when the handler is called.
	p = newPacer(t, map[string]nng.HandlerFunc{"plain": plain})
	c = p.dial()
	p.warmed(func(path string) bool {
		return c.asks("POST " + path + "?plain HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
	})
	path = p.warm()
	for range 30 {
		require.False(t, c.asks("POST "+path+"?plain HTTP/1.1\r\nHost: x\r\nUpgrade: x\r\nContent-Length: 5\r\n\r\nhello"))
	}
}

// A handler that wants it runs there from the start, slow or not.
func TestPaceInline(t *testing.T) {
	plain := func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) { return whereabouts(onThread()) }
	p := newPacer(t, map[string]nng.HandlerFunc{"plain": plain, "slow": func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
		on := onThread()
		time.Sleep(25 * time.Millisecond)
		return whereabouts(on)
	}}, (*nng.Handler).SetInline)
	path := p.inlinePath()
	c := p.dial()
	for range 3 {
		assert.True(t, c.soon(path+"?slow"))
		assert.True(t, c.soon(path))
	}
	for n := 0; !c.asks("GET " + path + "?plain HTTP/1.1\r\nHost: x\r\nUpgrade: x\r\n\r\n"); n++ {
		require.Less(t, n, 10, "also with an upgrade")
	}
}

// A stop waits for handlers on nng's threads, too.
func TestPaceStop(t *testing.T) {
	for range 5 {
		release := make(chan struct{})
		p := newPacer(t, map[string]nng.HandlerFunc{"hold": func(ctx context.Context, c *nng.Conn, r *nng.Request) (*nng.Response, error) {
			<-release
			assert.NoError(t, ctx.Err(), "a drain does not disturb running handlers")
			return text("done")(ctx, c, r)
		}})
		free := sync.OnceFunc(func() { close(release) })
		defer free()
		path := p.warm()
		const n = 4
		conns := make([]*paceClient, n)
		for i := range conns {
			conns[i] = p.dial()
			_, err := io.WriteString(conns[i], "GET "+path+"?hold HTTP/1.1\r\nHost: x\r\n\r\n")
			require.NoError(t, err)
		}
		require.Eventually(t, func() bool { return p.threads.Load()+p.others.Load() == n }, 10*time.Second, time.Millisecond)
		on := p.threads.Load()
		stopped := make(chan error, 1)
		go func() { stopped <- p.Stop(timeout(t, 10*time.Second)) }()
		select {
		case err := <-stopped:
			t.Errorf("Stop returned (%v) while handlers were running", err)
		case <-time.After(50 * time.Millisecond):
		}
		free()
		for _, c := range conns {
			res, err := http.ReadResponse(c.r, nil)
			require.NoError(t, err)
			body, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			assert.Equal(t, "done", string(body))
			assert.True(t, res.Close, "the server is stopping")
		}
		require.NoError(t, <-stopped)
		require.NoError(t, p.Close())
		if on > 0 {
			return
		}
	}
	require.Fail(t, "the handler does not run on nng's thread")
}

// A close ends them.
func TestPaceClose(t *testing.T) {
	for range 5 {
		ended := make(chan struct{})
		p := newPacer(t, map[string]nng.HandlerFunc{"hold": func(ctx context.Context, _ *nng.Conn, _ *nng.Request) (*nng.Response, error) {
			<-ctx.Done()
			close(ended)
			return nil, nng.ErrAbortHandler
		}})
		c := p.dial()
		path := p.warm()
		_, err := io.WriteString(c, "GET "+path+"?hold HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		require.Eventually(t, func() bool { return p.threads.Load()+p.others.Load() == 1 }, 10*time.Second, time.Millisecond)
		start := time.Now()
		require.NoError(t, p.Close())
		assert.Less(t, time.Since(start), 900*time.Millisecond)
		within(t, ended, "the handler's context ends")
		_, err = c.r.ReadByte()
		assert.ErrorIs(t, err, io.EOF)
		if p.threads.Load() > 0 {
			return
		}
	}
	require.Fail(t, "the handler does not run on nng's thread")
}

// A handler on nng's thread may close its own server and remove itself.
func TestPaceHandlerEndsItsServer(t *testing.T) {
	for range 5 {
		var p *pacer
		var h *nng.Handler
		done := make(chan error, 3)
		on := make(chan bool, 1)
		path := "/ends" + fmt.Sprint(pacePaths.Add(1))
		h = newHandler(t, path, func(ctx context.Context, c *nng.Conn, r *nng.Request) (*nng.Response, error) {
			if r.URI() != path+"?end" {
				return whereabouts(onThread())
			}
			on <- onThread()
			done <- p.DelHandler(h)
			done <- h.Close()
			done <- p.Close()
			return text("bye")(ctx, c, r)
		})
		p = newPacer(t, nil)
		require.NoError(t, p.AddHandler(h))
		c := p.dial()
		for range 100 {
			c.onThread(path)
		}
		_, err := io.WriteString(c, "GET "+path+"?end HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		for range cap(done) {
			select {
			case err := <-done:
				assert.NoError(t, err)
			case <-time.After(10 * time.Second):
				require.Fail(t, "the handler hangs")
			}
		}
		_, err = io.ReadAll(c.r)
		require.NoError(t, err, "the connection ends")
		if <-on {
			return
		}
	}
	require.Fail(t, "the handler does not run on nng's thread")
}

// A handler that wants goroutines gets them, however quick it is.
func TestPaceGoroutine(t *testing.T) {
	p := newPacer(t, nil, (*nng.Handler).SetGoroutine)
	c := p.dial()
	path := p.path()
	for range 100 {
		assert.False(t, c.onThread(path))
	}
}
