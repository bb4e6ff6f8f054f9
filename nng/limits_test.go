package nng_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
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

// needLimits skips a test of limits with a library that has none.
func needLimits(t testing.TB) {
	if !nng.HaveLimits() {
		t.Skip("this library keeps no limits (defect S16)")
	}
}

// everyLimit has the same time for everything.
func everyLimit(d time.Duration) nng.Limits {
	return nng.Limits{ReadHeaderTimeout: d, IdleTimeout: d, TLSHandshakeTimeout: d, WriteStallTimeout: d}
}

// newLimited starts a server with limits and handlers for / and /large, and returns a
// function that connects to it, without a TLS handshake.
func newLimited(t testing.TB, scheme string, l nng.Limits, handlers ...*nng.Handler) (*nng.Server, func() net.Conn) {
	t.Helper()
	holdMu.Lock()
	defer holdMu.Unlock()
	srv, err := nng.HoldServer(scheme + "://127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, srv.Close()) })
	if scheme == "https" {
		require.NoError(t, srv.SetTLS(serverTLS(t)))
	}
	for _, h := range append(handlers, newHandler(t, "/", text("hello")), newHandler(t, "/large", text(strings.Repeat("x", 16<<20)))) {
		require.NoError(t, srv.AddHandler(h))
	}
	require.NoError(t, srv.SetLimits(l))
	require.Equal(t, l, srv.Limits())
	require.NoError(t, srv.Start())
	addr := address(t, srv)
	return srv, func() net.Conn {
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		require.NoError(t, c.SetDeadline(time.Now().Add(60*time.Second)))
		return c
	}
}

func stats(t testing.TB, srv *nng.Server) nng.ServerStats {
	t.Helper()
	s, err := srv.Stats()
	require.NoError(t, err)
	return s
}

// closedAfter waits for the end of a connection, which comes without a byte, and returns how
// long that took.
func closedAfter(t testing.TB, c net.Conn) time.Duration {
	t.Helper()
	start := time.Now()
	got, err := io.ReadAll(c)
	if err != nil { // with bytes of ours unread the system may reset it
		require.NotErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "reset")
	}
	require.Empty(t, string(got))
	return time.Since(start)
}

// greet sends a request for / and reads the response, which says hello.
func greet(t testing.TB, c io.ReadWriter) {
	t.Helper()
	_, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, "hello", string(body))
}

// A connection is ended in each state that waits for the peer, over TLS too, and counted.
func TestLimits(t *testing.T) {
	needLimits(t)
	const limit = 500 * time.Millisecond
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			if scheme == "https" && nng.TLSEngineName() == "none" {
				t.Skip("this libnng has no TLS")
			}
			for _, c := range []struct {
				name  string
				limit nng.Limits // what is left out is a minute
				count func(nng.ServerStats) uint64
				until func(t *testing.T, c net.Conn) // what the peer does before it is silent
				least time.Duration
			}{
				{"handshake", nng.Limits{TLSHandshakeTimeout: limit},
					func(s nng.ServerStats) uint64 { return s.HandshakeTimeouts },
					nil, limit},
				{"nothing", nng.Limits{ReadHeaderTimeout: limit},
					func(s nng.ServerStats) uint64 { return s.HeaderTimeouts },
					func(t *testing.T, c net.Conn) {}, limit},
				{"half a head", nng.Limits{ReadHeaderTimeout: limit},
					func(s nng.ServerStats) uint64 { return s.HeaderTimeouts },
					func(t *testing.T, c net.Conn) { fmt.Fprint(c, "GET / HTTP/1.1\r\nHo") }, limit},
				{"half a later head", nng.Limits{ReadHeaderTimeout: limit},
					func(s nng.ServerStats) uint64 { return s.HeaderTimeouts },
					func(t *testing.T, c net.Conn) { greet(t, c); fmt.Fprint(c, "G") }, limit},
				{"idle", nng.Limits{IdleTimeout: limit},
					func(s nng.ServerStats) uint64 { return s.IdleTimeouts },
					func(t *testing.T, c net.Conn) { greet(t, c); greet(t, c) }, limit},
				{"body", nng.Limits{ReadHeaderTimeout: limit},
					func(s nng.ServerStats) uint64 { return s.BodyTimeouts },
					func(t *testing.T, c net.Conn) {
						fmt.Fprint(c, "POST /collect HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\nabc")
					}, limit + time.Second},
				{"response", nng.Limits{WriteStallTimeout: limit},
					func(s nng.ServerStats) uint64 { return s.WriteStalls }, nil, limit},
			} {
				t.Run(c.name, func(t *testing.T) {
					if c.name == "handshake" && scheme == "http" {
						return // there is none
					}
					collect := newHandler(t, "/collect", text("hello"), func(h *nng.Handler) error { return h.SetMethod("") },
						func(h *nng.Handler) error { return h.CollectBody(true, 1<<20) })
					l := everyLimit(time.Minute)
					l.ReadHeaderTimeout = cmp.Or(c.limit.ReadHeaderTimeout, l.ReadHeaderTimeout)
					l.IdleTimeout = cmp.Or(c.limit.IdleTimeout, l.IdleTimeout)
					l.TLSHandshakeTimeout = cmp.Or(c.limit.TLSHandshakeTimeout, l.TLSHandshakeTimeout)
					l.WriteStallTimeout = cmp.Or(c.limit.WriteStallTimeout, l.WriteStallTimeout)
					srv, dial := newLimited(t, scheme, l, collect)
					peer := dial()
					if scheme == "https" && c.name != "handshake" {
						peer = tls.Client(peer, &tls.Config{InsecureSkipVerify: true})
						require.NoError(t, peer.(*tls.Conn).Handshake())
					}
					if c.name == "response" { // it is not read
						fmt.Fprint(peer, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
						require.Eventually(t, func() bool {
							s := stats(t, srv)
							return s.WriteStalls == 1 && s.Conns == 0
						}, 20*time.Second, 10*time.Millisecond)
						return
					}
					if c.until != nil {
						c.until(t, peer)
					}
					took := closedAfter(t, peer)
					require.GreaterOrEqual(t, took, c.least-100*time.Millisecond)
					require.EqualValues(t, 1, c.count(stats(t, srv)), "%+v", stats(t, srv))
					require.Eventually(t, func() bool { return stats(t, srv).Conns == 0 }, 10*time.Second, time.Millisecond)
				})
			}
		})
	}
}

// A byte now and then extends neither the time of a head nor that of a body.
func TestTricklingHead(t *testing.T) {
	needLimits(t)
	_, dial := newLimited(t, "http", nng.Limits{ReadHeaderTimeout: 300 * time.Millisecond})
	c := dial()
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: ")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, c)
	}()
	for start := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		select {
		case <-ended:
			require.Greater(t, time.Since(start), 200*time.Millisecond)
			return
		default:
			require.Less(t, time.Since(start), 20*time.Second)
			fmt.Fprint(c, "x")
		}
	}
}

// Handlers, what they read and write, and hijacked connections have no limit.
func TestLimitsLeaveHandlersAlone(t *testing.T) {
	needLimits(t)
	const limit = 100 * time.Millisecond
	conns := make(chan *nng.Conn, 1)
	body := newHandler(t, "/body", func(_ context.Context, conn *nng.Conn, _ *nng.Request) (*nng.Response, error) {
		if _, err := io.ReadFull(conn, make([]byte, 3)); err != nil {
			return nil, err
		}
		time.Sleep(5 * limit)
		return text("hello")(nil, nil, nil)
	}, func(h *nng.Handler) error { return h.SetMethod("") }, func(h *nng.Handler) error { return h.CollectBody(false, 0) })
	_, dial := newLimited(t, "http", everyLimit(limit), body, newHandler(t, "/hijack", hijacker(conns)))

	c := dial()
	fmt.Fprint(c, "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n")
	time.Sleep(5 * limit)
	fmt.Fprint(c, "abc")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	require.Equal(t, 200, res.StatusCode)

	c = dial()
	fmt.Fprint(c, "GET /hijack HTTP/1.1\r\nHost: x\r\n\r\n")
	hijacked := <-conns
	defer hijacked.Close()
	time.Sleep(5 * limit)
	fmt.Fprint(c, "abc")
	got := make([]byte, 3)
	_, err = io.ReadFull(hijacked, got)
	require.NoError(t, err)
	require.Equal(t, "abc", string(got))
}

// Who has set no limits has the defaults.
// The documents promise these.
func TestDefaultsOfLimits(t *testing.T) {
	assert.Equal(t, 30*time.Second, nng.DefaultReadHeaderTimeout)
	assert.Equal(t, 3*time.Minute, nng.DefaultIdleTimeout)
	assert.Equal(t, 10*time.Second, nng.DefaultTLSHandshakeTimeout)
	assert.Equal(t, 30*time.Second, nng.DefaultWriteStallTimeout)
	assert.Equal(t, 1<<20, nng.DefaultMaxHeaderBytes)
	assert.Equal(t, 1000, nng.DefaultMaxHeaderFields)
}

func TestDefaultLimits(t *testing.T) {
	needLimits(t)
	if testing.Short() {
		t.Skip("this takes half a minute")
	}
	t.Parallel()
	srv, dial := newLimited(t, "http", nng.Limits{})
	c := dial()
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n")
	idle := dial()
	greet(t, idle)
	waiting := rawWS(t, newWSListener(t, "ws://"+address(t, srv)+"/chat"))
	require.NoError(t, waiting.SetDeadline(time.Now().Add(60*time.Second)))
	if nng.TLSEngineName() != "none" {
		// Nobody has set these: they are there from the start.
		silent, err := net.Dial("tcp", address(t, secureServer(t, ownCert(leafCert()))))
		require.NoError(t, err)
		defer silent.Close()
		require.NoError(t, silent.SetDeadline(time.Now().Add(60*time.Second)))
		took := closedAfter(t, silent)
		require.GreaterOrEqual(t, took, 9900*time.Millisecond)
	}
	start := time.Now()
	closedAfter(t, c)
	require.Less(t, time.Since(start), 40*time.Second)
	require.EqualValues(t, 1, stats(t, srv).HeaderTimeouts)
	require.Equal(t, 1001, waiting.closeCode())
	require.Less(t, time.Since(start), 40*time.Second)
	require.EqualValues(t, 1, stats(t, srv).AcceptTimeouts)
	greet(t, idle)
}

// A negative limit is none.
func TestNoLimits(t *testing.T) {
	none := everyLimit(-1)
	none.MaxConns = -1
	_, dial := newLimited(t, "http", none)
	c := dial()
	fmt.Fprint(c, "GET / HTTP/1.1\r\n")
	time.Sleep(300 * time.Millisecond)
	fmt.Fprint(c, "Host: x\r\n\r\n")
	_, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
}

// Limits can be set, made shorter, and taken off while the server runs.
func TestSetLimitsWhileRunning(t *testing.T) {
	needLimits(t)
	srv, dial := newLimited(t, "http", nng.Limits{ReadHeaderTimeout: time.Hour})
	c := dial()
	require.NoError(t, srv.SetLimits(nng.Limits{ReadHeaderTimeout: 100 * time.Millisecond}))
	closedAfter(t, c)
	require.NoError(t, srv.SetLimits(nng.Limits{ReadHeaderTimeout: -1}))
	c = dial()
	time.Sleep(300 * time.Millisecond)
	greet(t, c)
	require.NoError(t, srv.Close())
	require.ErrorIs(t, srv.SetLimits(nng.Limits{}), nng.ErrClosed)
	_, err := srv.Stats()
	require.ErrorIs(t, err, nng.ErrClosed)
}

// A library that keeps no limits says so if one is asked for.
func TestLimitsNotSupported(t *testing.T) {
	srv := newServer(t)
	for _, l := range []nng.Limits{{ReadHeaderTimeout: 1}, {IdleTimeout: 1}, {TLSHandshakeTimeout: 1}, {WriteStallTimeout: 1}, {MaxConns: 1}} {
		err := srv.SetLimits(l)
		if nng.HaveLimits() {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, nng.ErrNotSupported, "%+v", l)
		require.ErrorContains(t, err, "S16")
	}
	require.NoError(t, srv.SetLimits(nng.Limits{}))
	require.NoError(t, srv.SetLimits(nng.Limits{ReadHeaderTimeout: -1}))
	if _, err := srv.Stats(); !nng.HaveLimits() {
		require.ErrorIs(t, err, nng.ErrNotSupported)
	}
}

// Over MaxConns others get 503; hijacked connections do not count.
func TestMaxConns(t *testing.T) {
	needLimits(t)
	conns := make(chan *nng.Conn, 1)
	srv, dial := newLimited(t, "http", nng.Limits{MaxConns: 2}, newHandler(t, "/hijack", hijacker(conns)))
	a, b := dial(), dial()
	greet(t, a)
	greet(t, b)
	refused := func() {
		c := dial()
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		r := bufio.NewReader(c)
		res, err := http.ReadResponse(r, nil)
		require.NoError(t, err)
		require.Equal(t, 503, res.StatusCode)
		require.Equal(t, "1", res.Header.Get("Retry-After"))
		require.True(t, res.Close)
		_, err = io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, c.(*net.TCPConn).CloseWrite())
		_, err = r.ReadByte()
		require.ErrorIs(t, err, io.EOF)
	}
	refused()
	greet(t, a)
	require.Equal(t, 2, stats(t, srv).Conns)
	require.EqualValues(t, 1, stats(t, srv).RefusedConns)

	fmt.Fprint(b, "GET /hijack HTTP/1.1\r\nHost: x\r\n\r\n")
	defer (<-conns).Close()
	require.Eventually(t, func() bool { return stats(t, srv).Conns == 1 }, 10*time.Second, time.Millisecond)
	c := dial()
	greet(t, c)
	refused()
	require.NoError(t, a.Close())
	require.Eventually(t, func() bool { return stats(t, srv).Conns == 1 }, 10*time.Second, time.Millisecond)
	greet(t, dial())
}

// What is counted is logged, one line for each kind in an interval.
func TestLimitsAreLogged(t *testing.T) {
	needLimits(t)
	var mu sync.Mutex
	var log bytes.Buffer
	lines := func(with string) (n int) {
		mu.Lock()
		defer mu.Unlock()
		for line := range strings.Lines(log.String()) {
			if strings.Contains(line, with) {
				n++
			}
		}
		return n
	}
	write := writerFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return log.Write(p)
	})
	holdMu.Lock()
	defer holdMu.Unlock()
	srv, err := nng.HoldServer("http://127.0.0.1:0")
	require.NoError(t, err)
	defer srv.Close()
	require.NoError(t, srv.SetLimits(nng.Limits{ReadHeaderTimeout: 20 * time.Millisecond}))
	srv.SetErrorLog(slog.New(slog.NewTextHandler(write, nil)))
	const every = 400 * time.Millisecond
	nng.ReportEvery(srv, every)
	require.NoError(t, srv.Start())
	addr := address(t, srv)
	start := time.Now()
	for time.Since(start) < 3*every {
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		closedAfter(t, c)
		c.Close()
	}
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	fmt.Fprint(c, "nonsense\r\n\r\n")
	_, _ = io.Copy(io.Discard, c)
	c.Close()
	require.NoError(t, srv.Stop(timeout(t, 10*time.Second))) // which reports the last
	atMost := int(time.Since(start)/every) + 1
	require.GreaterOrEqual(t, lines("reason=header_timeout count="), 1, log.String())
	require.LessOrEqual(t, lines("reason=header_timeout count="), atMost, log.String())
	require.Equal(t, 1, lines("reason=bad_request count=1"), log.String())
	require.Equal(t, lines("addr="+addr), lines(""), log.String())
}

// So it is where only a WSListener has the address started.
func TestPendingTimeIsLogged(t *testing.T) {
	needLimits(t)
	holdMu.Lock()
	defer holdMu.Unlock()
	srv, err := nng.HoldServer("http://127.0.0.1:0")
	require.NoError(t, err)
	defer srv.Close()
	require.NoError(t, srv.SetLimits(nng.Limits{ReadHeaderTimeout: 20 * time.Millisecond}))
	lines := make(chan string, 10)
	srv.SetErrorLog(slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		lines <- string(p)
		return len(p), nil
	}), nil)))
	nng.ReportEvery(srv, 50*time.Millisecond)
	l, err := nng.NewWSListener(anyWS)
	require.NoError(t, err)
	defer l.Close()
	require.NoError(t, l.Listen())
	require.Equal(t, 1001, rawWS(t, l).closeCode())
	select {
	case line := <-lines:
		require.Contains(t, line, "reason=accept_timeout count=1")
	case <-time.After(10 * time.Second):
		t.Fatal("nothing was logged")
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// A burst of requests on a connection is answered in order, with limits, and a stop ends
// idle connections at once.
func TestLimitsPipelineAndStop(t *testing.T) {
	srv, dial := newLimited(t, "http", nng.Limits{})
	c := dial()
	const n = 200
	fmt.Fprint(c, strings.Repeat("GET / HTTP/1.1\r\nHost: x\r\n\r\n", n))
	r := bufio.NewReader(c)
	for range n {
		res, err := http.ReadResponse(r, nil)
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.Equal(t, "hello", string(body))
	}
	start := time.Now()
	require.NoError(t, srv.Stop(timeout(t, 10*time.Second)))
	closedAfter(t, c)
	require.Less(t, time.Since(start), 5*time.Second)
}

// Peers that close, reset, speak or read at the moment of each time-out, thousands of times.
func TestLimitsStorm(t *testing.T) {
	needLimits(t)
	all := everyLimit(stormLimit)
	all.TLSHandshakeTimeout, all.MaxConns = stormHandshake, 40
	duration := 4 * time.Second
	if testing.Short() {
		duration = time.Second
	}
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			if scheme == "https" && nng.TLSEngineName() == "none" {
				t.Skip("this libnng has no TLS")
			}
			body := newHandler(t, "/collect", text("hello"), func(h *nng.Handler) error { return h.SetMethod("") },
				func(h *nng.Handler) error { return h.CollectBody(true, 1<<20) })
			conns := make(chan *nng.Conn)
			hijack := newHandler(t, "/hijack", hijacker(conns))
			srv, _ := newLimited(t, scheme, all, body, hijack)
			addr := address(t, srv)
			closer := make(chan struct{})
			go func() {
				defer close(closer)
				for c := range conns {
					c.Close()
				}
			}()
			var wg sync.WaitGroup
			var made atomic.Int64
			end := time.Now().Add(duration)
			for range map[string]int{"http": 64, "https": 16}[scheme] {
				wg.Go(func() {
					for time.Now().Before(end) {
						made.Add(1)
						storm(t, scheme, addr)
					}
				})
			}
			wg.Wait()
			require.NoError(t, srv.SetLimits(nng.Limits{}))
			c, err := net.Dial("tcp", addr)
			require.NoError(t, err)
			defer c.Close()
			if scheme == "https" {
				c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
			}
			greet(t, c)
			c.Close()
			require.Eventually(t, func() bool { return stats(t, srv).Conns == 0 }, 10*time.Second, time.Millisecond)
			t.Logf("%d connections: %+v", made.Load(), stats(t, srv))
			require.NoError(t, srv.Close())
			close(conns)
			<-closer
		})
	}
}

// The limits of a storm. Handshakes take long on a busy machine.
const (
	stormLimit     = 50 * time.Millisecond
	stormHandshake = time.Second
)

// storm makes one connection that falls silent in some state, and ends it, or goes on,
// when its time is over.
func storm(t *testing.T, scheme, addr string) {
	c, err := net.Dial("tcp", addr)
	if !assert.NoError(t, err) {
		return
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(2 * time.Second))
	_ = c.(*net.TCPConn).SetReadBuffer(4096)
	var rw io.ReadWriter = c
	limit := stormLimit
	if scheme == "https" && rand.IntN(4) == 0 {
		limit = stormHandshake
	} else if scheme == "https" {
		s := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
		if s.Handshake() != nil {
			return
		}
		rw = s
	}
	request := "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	states := []string{"", "GET / HTTP/1.1\r\nHo", request, request + "GET / HT", strings.Repeat(request, 5),
		"POST /collect HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\nabc", "GET /large HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /hijack HTTP/1.1\r\nHost: x\r\n\r\n", "nonsense\r\n\r\n"}
	state := rand.IntN(len(states))
	_, _ = io.WriteString(rw, states[state])
	if slices.Contains([]int{2, 3}, state) {
		_, _ = rw.Read(make([]byte, 1000))
	}
	wait := limit - 3*time.Millisecond + rand.N(25*time.Millisecond)
	switch state {
	case 6:
		wait += 45 * time.Millisecond // until the system has taken what it will
	case 8:
		wait = 500*time.Millisecond + rand.N(5*time.Millisecond) // as long as the server lingers
	}
	time.Sleep(wait)
	switch rand.IntN(4) {
	case 0:
	case 1:
		_ = c.(*net.TCPConn).SetLinger(0)
	case 2:
		_, _ = io.WriteString(rw, "\r\n")
		_, _ = rw.Read(make([]byte, 1000))
	case 3:
		_ = c.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, c)
	}
}
