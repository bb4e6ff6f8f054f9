package nethttp_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nethttp"
	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// startServer serves s on an nng server of its own, with extra handlers of nng's, until the
// test ends. It returns the URL and a channel with the result of Serve.
func startServer(t testing.TB, s *nethttp.Server, extra ...*nng.Handler) (url string, served <-chan error) {
	t.Helper()
	holdMu.Lock()
	defer holdMu.Unlock()
	srv, err := nng.HoldServer("http://127.0.0.1:0")
	require.NoError(t, err)
	for _, h := range extra {
		require.NoError(t, srv.AddHandler(h))
	}
	require.NoError(t, s.Start(srv))
	addr, err := srv.Addr()
	require.NoError(t, err)
	result := make(chan error, 1)
	go func() { result <- s.Serve(srv) }()
	t.Cleanup(func() {
		_ = s.Close()
		require.NoError(t, srv.Close())
	})
	return "http://" + addr.String(), result
}

// client is one that keeps no connections.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}

func getText(t testing.TB, url string) (*http.Response, string) {
	t.Helper()
	res, err := client.Get(url)
	require.NoError(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res, string(b)
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

// A handler that guards a part of what another one has is asked for it, however the path is written.
func TestServerGuard(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "private", "x"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "private", "x", "y z"), []byte("confidential"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "hello"), []byte("hello"), 0o600))
	files := http.FileServer(http.Dir(dir))
	deny := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "denied", http.StatusForbidden) })
	s := &nethttp.Server{Handler: files}
	s.Handle("/private/", deny)
	s.Handle("/tree/", http.StripPrefix("/tree", files))
	s.Handle("/tree/private/", deny)
	s.Handle("POST /post", deny)
	s.Handle("guarded.example/", deny)
	addr, _ := serveWith(t, s)
	for _, q := range []struct {
		request, status, location string
	}{
		{"GET /hello", "200", ""},
		{"GET /private/x/y%20z", "403", ""},
		{"GET /private", "403", ""},
		{"GET /%70rivate/x", "403", ""},
		{"GET //private/x/y%20z", "307", "/private/x/y%20z"},
		{"HEAD //private/x/y%20z", "307", "/private/x/y%20z"},
		{"POST //private/x?a=b", "307", "/private/x?a=b"},
		{"GET /./private/x/y%20z?q=%2F/../&", "307", "/private/x/y%20z?q=%2F/../&"},
		{"GET /a/../private/x/y%20z", "307", "/private/x/y%20z"},
		{"GET /../private/x/", "307", "/private/x/"},
		{"GET /.//private/.", "307", "/private"},
		{"GET /private/x/../..//private//", "307", "/private/"},
		{"GET /%2e/private/x/y%20z", "307", "/private/x/y%20z"},
		{"GET /a/%2E%2e/private/x/y%20z", "307", "/private/x/y%20z"},
		{"GET /a%2f..%2fprivate/x/y%20z", "307", "/private/x/y%20z"},
		{"GET %2f%2fprivate/x/y%20z", "400", ""}, // no path
		{"GET //private/x%2Fy%20z", "307", "/private/x%2Fy%20z"},
		{"GET //private/%5c%5Cevil.example/%2f", "307", "/private/%5C%5Cevil.example/"},
		{"GET //private/%5b%5D?", "307", "/private/%5b%5D?"},
		{"GET http://x//private/x/y%20z", "307", "/private/x/y%20z"},
		{"GET /tree//private/x/y%20z", "307", "/tree/private/x/y%20z"},
		{"GET /tree/./hello", "307", "/tree/hello"},
		{"GET /tree/hello", "200", ""},
		{"GET //post", "307", "/post"},
		{"GET /tree/../hello", "307", "/hello"}, // so that the Handler can be a guard, too
		{"HEAD /tree/%2e%2e/hello?a", "307", "/hello?a"},
		{"POST /private/..", "307", "/"},
		{"CONNECT /private/x/y%20z", "403", ""},
		{"CONNECT //private/x/y%20z", "400", ""},
		{"CONNECT /a/%2e%2e/private/x/y%20z", "400", ""},
		{"CONNECT /tree/../hello", "400", ""},
		{"CONNECT /hello", "200", ""},
		{"CONNECT //hello", "200", ""},
		{"CONNECT x:80", "200", ""}, // a listing
		{"GET http://x", "200", ""},
		{"GET //hello", "200", ""}, // the Handler's own matter
		{"GET /a/../hello", "200", ""},
		{"GET http://guarded.example/hello", "403", ""},
		{"GET http://Guarded.Example.:80//hello", "307", "/hello"},
		{"OPTIONS *", "200", ""},
	} {
		method, target, _ := strings.Cut(q.request, " ")
		if strings.Contains(target, "%") && lib.Lacks("S1") {
			continue // nng takes it for another path, or writes beyond it
		}
		host := "x"
		if u, err := url.Parse(target); err == nil && u.Host != "" && strings.HasPrefix(target, "http") {
			host = u.Host
		}
		x, err := talk(addr, method+" "+target+" HTTP/1.1\r\nHost: "+host+"\r\n\r\n", false)
		require.NoError(t, err)
		if (target == "*" || target == "x:80") && lib.Lacks("p22") {
			continue
		}
		if assert.NotEmpty(t, x.answers, q.request) {
			assert.Equal(t, q.status, x.answers[0], "%s: %s", q.request, x.text)
		}
		if q.location != "" {
			assert.Contains(t, x.text, fmt.Sprintf("Location: [%q]\n", q.location), q.request)
		}
		assert.NotContains(t, x.text, "confidential", q.request)
	}

	// However the host is written.
	s = &nethttp.Server{Handler: files}
	for i, host := range []string{"127.0.0.2", "127.3", "0x7f.4", "[0:0::5]", "0.0.0.0", "*", "name.", "name:80", "7.example"} {
		s.Handle(fmt.Sprintf("%s/%d", host, i), deny)
	}
	addr, _ = serveWith(t, s)
	for i, hosts := range [][]string{
		{"127.0.0.2", "127.0.2", "2130706434"}, {"127.3", "127.0.0.3"}, {"127.0.0.4", "127.4:5"},
		{"[::5]", "[0:0::5]:1"}, {"x", "127.1"}, {"x"}, {"name.", "NAME..:80"}, {"name:80"}, {"7.example", "7.EXAMPLE.:1"},
	} {
		for _, host := range hosts {
			x, err := talk(addr, fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: %s\r\n\r\n", i, host), false)
			require.NoError(t, err)
			if assert.NotEmpty(t, x.answers, host) && x.answers[0] != "403" {
				assert.True(t, lib.Lacks("p4"), "not the pattern's, Host %s: %s", host, x.text)
			}
			x, err = talk(addr, fmt.Sprintf("GET //%d HTTP/1.1\r\nHost: %s\r\n\r\n", i, host), false)
			require.NoError(t, err)
			if assert.NotEmpty(t, x.answers, host) {
				assert.Equal(t, "307", x.answers[0], "Host %s: %s", host, x.text)
			}
		}
	}
	x, err := talk(addr, "GET //8 HTTP/1.1\r\nHost: x\r\n\r\n", false)
	require.NoError(t, err)
	assert.Equal(t, "404", x.answers[0], "another name's pattern")

	// Without patterns the Handler gets everything as it is.
	addr = serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) }))
	x, err = talk(addr, req("GET", "//a/../b/./c", ""), false)
	require.NoError(t, err)
	assert.Contains(t, x.text, "//a/../b/./c")
}

// Patterns of the server, its fallback and a handler of nng's share a port.
func TestServerHandle(t *testing.T) {
	raw, err := nng.NewHandler("/raw", func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
		res, err := nng.NewResponse()
		if err != nil {
			return nil, err
		}
		return res, res.CopyData([]byte("raw"))
	})
	require.NoError(t, err)
	s := &nethttp.Server{Handler: says("fallback")}
	s.Handle("/tree/", says("tree"))
	s.Handle("/exact", says("exact"))
	s.Handle("POST /post", says("post"))
	s.Handle("vhost.example/", says("vhost"))
	url, _ := startServer(t, s, raw)
	for path, want := range map[string]string{
		"/":           "fallback",
		"/other":      "fallback",
		"/tree":       "tree",
		"/tree/":      "tree",
		"/tree/a/b":   "tree",
		"/treehouse":  "fallback",
		"/exact":      "exact",
		"/exact/more": "fallback",
		"/raw":        "raw",
	} {
		_, got := getText(t, url+path)
		assert.Equal(t, want, got, path)
	}
	res, err := client.Post(url+"/post", "text/plain", strings.NewReader("body"))
	require.NoError(t, err)
	defer res.Body.Close()
	got, _ := io.ReadAll(res.Body)
	assert.Equal(t, "post", string(got))

	req, _ := http.NewRequest("GET", url+"/x", nil)
	req.Host = "vhost.example"
	res, err = client.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	got, _ = io.ReadAll(res.Body)
	assert.Equal(t, "vhost", string(got))

	assert.Panics(t, func() { s.Handle("/late", says("")) })
	for _, bad := range []string{"", "x", "GET", "GE T /", "/{id}", "a b c/", "/a//b", "/./", "/a/../b", "a:b/"} {
		assert.Panics(t, func() { new(nethttp.Server).Handle(bad, says("")) }, bad)
	}
}

// Of patterns of one path the same one wins as in an http.ServeMux, in whatever order they come.
func TestServerHandleOrder(t *testing.T) {
	patterns := []string{"/p", "GET /p", "h/p", "GET h/p", "GET /q", "h/q", "/r", "POST h/r", "POST /r"}
	who := func(p string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Handler", p) })
	}
	mux := http.NewServeMux()
	for _, p := range patterns {
		mux.Handle(p, who(p))
	}
	ask := func(h http.Handler, method, target, host string) string {
		r := httptest.NewRequest(method, target, nil)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Header().Get("Handler")
	}
	for range 2 {
		s := &nethttp.Server{Handler: who("")}
		for _, p := range patterns {
			s.Handle(p, who(p))
		}
		addr, _ := serveWith(t, s)
		for _, path := range []string{"/p", "/q", "/r"} {
			for _, method := range []string{"GET", "HEAD", "POST"} {
				for _, host := range []string{"h", "x"} {
					if method == "HEAD" && lib.Lacks("p11") {
						continue // to the last of them
					}
					x, err := talk(addr, fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\n\r\n", method, path, host), false)
					require.NoError(t, err)
					want := fmt.Sprintf("Handler: [%q]\n", ask(mux, method, path, host)) // "" for the Handler
					assert.Contains(t, x.text, want, "%s %s, Host %s", method, path, host)
				}
			}
		}
		slices.Reverse(patterns)
	}
}

func TestServerShutdown(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	s := &nethttp.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(entered)
			<-release
		}
		fmt.Fprint(w, "done")
	})}
	hooked := make(chan struct{})
	s.RegisterOnShutdown(func() { close(hooked) })
	url, served := startServer(t, s)
	addr := strings.TrimPrefix(url, "http://")

	idle, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer idle.Close()
	slow := make(chan *http.Response, 1)
	go func() {
		res, _ := getText(t, url+"/slow")
		slow <- res
	}()
	<-entered
	assert.Equal(t, 1, s.InFlight())
	stopped := make(chan error, 1)
	go func() { stopped <- s.Shutdown(t.Context()) }()
	<-hooked
	require.Eventually(t, func() bool { // new work is refused
		res, err := client.Get(url)
		if err != nil {
			return false
		}
		defer res.Body.Close()
		return res.StatusCode == 503 && res.Close && res.Header.Get("Retry-After") != ""
	}, 5*time.Second, 10*time.Millisecond)
	select {
	case err := <-stopped:
		t.Fatalf("Shutdown returned (%v) while a handler was running", err)
	case err := <-served:
		t.Fatalf("Serve returned (%v) before Shutdown", err)
	default:
	}
	close(release)
	res := <-slow
	assert.Equal(t, 200, res.StatusCode)
	assert.True(t, res.Close, "its client is told not to come again")
	require.NoError(t, <-stopped)
	assert.Equal(t, http.ErrServerClosed, <-served)
	_, err = idle.Read(make([]byte, 1))
	assert.ErrorIs(t, err, io.EOF, "idle connections are closed")
	_, err = net.Dial("tcp", addr)
	assert.Error(t, err)
	require.NoError(t, s.Shutdown(t.Context()), "again")
	srv, err := nng.HoldServer("http://127.0.0.1:0")
	require.NoError(t, err)
	defer srv.Close()
	assert.Equal(t, http.ErrServerClosed, s.Serve(srv), "a Server serves once")
}

// Close cuts handlers short, and a Shutdown that waits for them.
func TestServerClose(t *testing.T) {
	entered := make(chan struct{})
	ended := make(chan error, 1)
	s := &nethttp.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
		ended <- r.Context().Err()
	})}
	url, served := startServer(t, s)
	go func() {
		if res, err := client.Get(url); err == nil {
			res.Body.Close()
		}
	}()
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- s.Shutdown(context.Background()) }()
	require.NoError(t, s.Close())
	assert.ErrorIs(t, <-ended, context.Canceled)
	assert.NoError(t, <-stopped)
	assert.Equal(t, http.ErrServerClosed, <-served)
}

func TestServerShutdownGivesUp(t *testing.T) {
	entered := make(chan struct{})
	s := &nethttp.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	})}
	url, served := startServer(t, s)
	go func() {
		if res, err := client.Get(url); err == nil {
			res.Body.Close()
		}
	}()
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	assert.ErrorIs(t, s.Shutdown(ctx), context.DeadlineExceeded)
	assert.Equal(t, http.ErrServerClosed, <-served)
}

func TestServerLimits(t *testing.T) {
	entered, release := make(chan struct{}, 10), make(chan struct{})
	var mu sync.Mutex
	var seen []nethttp.Observation
	s := &nethttp.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			entered <- struct{}{}
			<-release
			fmt.Fprint(w, "four")
		}),
		MaxInFlight:    2,
		MaxHeaderBytes: 2000,
		Observe: func(_ *http.Request, o nethttp.Observation) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, o)
		},
	}
	url, _ := startServer(t, s)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			res, body := getText(t, url)
			assert.Equal(t, 200, res.StatusCode)
			assert.Equal(t, "four", body)
		})
		<-entered
	}
	res, _ := getText(t, url)
	assert.Equal(t, 503, res.StatusCode)
	assert.NotEmpty(t, res.Header.Get("Retry-After"))
	assert.True(t, res.Close)
	close(release)
	wg.Wait()

	req, _ := http.NewRequest("GET", url, nil)
	req.Header.Set("X-Long", strings.Repeat("x", 2000))
	res, err := client.Do(req)
	require.NoError(t, err)
	res.Body.Close()
	assert.Equal(t, 431, res.StatusCode)

	assert.Eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		statuses := map[int]int{}
		for _, o := range seen {
			statuses[o.Status]++
			assert.Equal(t, o.Status == 200, o.Written == 4)
		}
		return maps.Equal(statuses, map[int]int{200: 2, 431: 1, 503: 1})
	}, 5*time.Second, time.Millisecond)
}

// The limits of heads hold before anything is done for them.
func TestServerHeadLimits(t *testing.T) {
	s := &nethttp.Server{
		Handler:         http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
		MaxHeaderBytes:  2000,
		MaxHeaderFields: 20,
	}
	url, _ := startServer(t, s)
	addr := strings.TrimPrefix(url, "http://")
	for _, q := range []struct {
		fields string
		status int
	}{
		{strings.Repeat("A: b\r\n", 19), 200},
		{strings.Repeat("A: b\r\n", 20), 431},
		{strings.Repeat("A: b\r\n", 2000), 431},
		{"A: " + strings.Repeat("b", 1990) + "\r\n", 200},
		{"A: " + strings.Repeat("b", 2010) + "\r\n", 431},
		{"A: " + strings.Repeat("b", 60000) + "\r\n", 431},
		{strings.Repeat("A: "+strings.Repeat("b", 10000)+"\r\n", 15), 431},
	} {
		if lib.Lacks("p17") && strings.HasPrefix(q.fields, "A: b\r") || lib.Lacks("p6") && len(q.fields) > 8000 {
			continue // nng joins them, or refuses without a word
		}
		c := dial(t, addr)
		c.send("GET / HTTP/1.1\r\nHost: x\r\n" + q.fields + "\r\n")
		res, _ := c.answer("GET")
		assert.Equal(t, q.status, res.StatusCode, "%d bytes: %.20q", len(q.fields), q.fields)
		assert.Equal(t, q.status != 200, res.Close)
	}
	if !lib.Lacks("p7") { // a line without end
		c := dial(t, addr)
		c.send("GET / HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("b", 2000+4096))
		res, _ := c.answer("GET")
		assert.Equal(t, 431, res.StatusCode)
	}
	// On a server that somebody else has started they hold, too.
	holdMu.Lock()
	srv, err := nng.HoldServer("http://127.0.0.1:0")
	require.NoError(t, err)
	defer srv.Close()
	require.NoError(t, srv.Start())
	holdMu.Unlock()
	other := &nethttp.Server{Handler: s.Handler, MaxHeaderBytes: 2000}
	require.NoError(t, other.Start(srv))
	a, err := srv.Addr()
	require.NoError(t, err)
	c := dial(t, a.String())
	c.send("GET / HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("b", 2010) + "\r\n\r\n")
	res, _ := c.answer("GET")
	assert.Equal(t, 431, res.StatusCode)
	require.NoError(t, other.Close())
}

// A limit on heads that is 0 is what SetLimits has set, and one below 0 is none.
func TestMaxHeaderOfSetLimits(t *testing.T) {
	if lib.Lacks("p7") {
		t.Skip("this library cannot keep limits on heads (P7)")
	}
	ask := func(s *nethttp.Server, l nng.Limits) int {
		holdMu.Lock()
		srv, err := nng.HoldServer("http://127.0.0.1:0")
		require.NoError(t, err)
		defer srv.Close()
		require.NoError(t, srv.SetLimits(l))
		s.Handler = http.NotFoundHandler()
		require.NoError(t, s.Start(srv))
		holdMu.Unlock()
		defer s.Close()
		a, err := srv.Addr()
		require.NoError(t, err)
		c := dial(t, a.String())
		go func() { // the server may answer before all of it is there
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n"+strings.Repeat("A: "+strings.Repeat("b", 1500)+"\r\n", 1500)+"\r\n")
		}()
		res, _ := c.answer("GET")
		return res.StatusCode
	}
	for name, x := range map[string]struct {
		s      *nethttp.Server
		l      nng.Limits
		status int
	}{
		"the defaults":        {s: &nethttp.Server{}, status: 431},
		"SetLimits":           {s: &nethttp.Server{}, l: nng.Limits{MaxHeaderBytes: 4 << 20, MaxHeaderFields: 2000}, status: 404},
		"SetLimits, none":     {s: &nethttp.Server{}, l: nng.Limits{MaxHeaderBytes: -1, MaxHeaderFields: -1}, status: 404},
		"none":                {s: &nethttp.Server{MaxHeaderBytes: -1, MaxHeaderFields: -1}, status: 404},
		"fields alone":        {s: &nethttp.Server{MaxHeaderBytes: -1}, status: 431},
		"bytes alone":         {s: &nethttp.Server{MaxHeaderFields: -1}, status: 431},
		"less than SetLimits": {s: &nethttp.Server{MaxHeaderBytes: 1 << 20}, l: nng.Limits{MaxHeaderBytes: 4 << 20, MaxHeaderFields: 2000}, status: 431},
	} {
		assert.Equal(t, x.status, ask(x.s, x.l), name)
	}
}

func TestServerTimeouts(t *testing.T) {
	readErr := make(chan error, 1)
	s := &nethttp.Server{
		Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, err := io.ReadAll(r.Body)
			readErr <- err
		}),
		ReadTimeout:  100 * time.Millisecond,
		WriteTimeout: 10 * time.Second,
	}
	url, _ := startServer(t, s)
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	defer c.Close()
	fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
	var timeout net.Error
	require.ErrorAs(t, <-readErr, &timeout)
	assert.True(t, timeout.Timeout())
}

// The errors of a server that cannot start.
func TestServerErrors(t *testing.T) {
	assert.ErrorIs(t, nethttp.ListenAndServe("nonsense", nil), nng.ErrBadAddr)
	err := nethttp.ListenAndServe("https://127.0.0.1:0", nil)
	assert.ErrorContains(t, err, "Server.TLS")
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer busy.Close()
	assert.ErrorIs(t, nethttp.ListenAndServe("http://"+busy.Addr().String(), nil), nng.ErrAddrInUse)

	// A pattern that is taken leaves nothing behind.
	holdMu.Lock()
	defer holdMu.Unlock()
	srv, err := nng.HoldServer("http://127.0.0.1:0")
	require.NoError(t, err)
	defer srv.Close()
	s := new(nethttp.Server)
	s.Handle("/a", says("a"))
	s.Handle("/a", says("b"))
	assert.ErrorIs(t, s.Serve(srv), nng.ErrAddrInUse)
	h, err := nethttp.Handler(says("c"))
	require.NoError(t, err)
	require.NoError(t, srv.AddHandler(h))
}

// One Server on two nng servers; Shutdown ends both.
func TestServerServesTwo(t *testing.T) {
	s := &nethttp.Server{Handler: says("hi")}
	one, first := startServer(t, s)
	two, second := startServer(t, s)
	assert.NotEqual(t, one, two)
	for _, url := range []string{one, two} {
		_, got := getText(t, url)
		assert.Equal(t, "hi", got)
	}
	require.NoError(t, s.Shutdown(t.Context()))
	assert.Equal(t, http.ErrServerClosed, <-first)
	assert.Equal(t, http.ErrServerClosed, <-second)
}

// Where somebody else has the address started, Shutdown ends what is ours: it waits for
// requests and their replies, refuses new ones, and takes the handlers off.
func TestServerShutdownOnASharedAddress(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	s := &nethttp.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(entered)
			<-release
		}
		fmt.Fprint(w, "done")
	})}
	url, served := startServer(t, s)
	l, err := nng.NewWSListener(strings.Replace(url, "http", "ws", 1) + "/socket")
	require.NoError(t, err)
	defer l.Close()
	require.NoError(t, l.Listen())

	slow := make(chan string, 1)
	go func() {
		_, body := getText(t, url+"/slow")
		slow <- body
	}()
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- s.Shutdown(t.Context()) }()
	require.Eventually(t, func() bool {
		res, err := client.Get(url)
		if err != nil {
			return false
		}
		defer res.Body.Close()
		return res.StatusCode == 503 && res.Close
	}, 5*time.Second, time.Millisecond)
	select {
	case err := <-stopped:
		t.Fatalf("Shutdown returned (%v) while a handler was running", err)
	case <-time.After(20 * time.Millisecond):
	}
	close(release)
	require.NoError(t, <-stopped)
	assert.Equal(t, http.ErrServerClosed, <-served)
	assert.Equal(t, "done", <-slow)
	res, _ := getText(t, url)
	assert.Equal(t, 404, res.StatusCode, "the other one goes on, without our handlers")
}

// There, too, Close cuts handlers short.
func TestServerCloseOnASharedAddress(t *testing.T) {
	entered := make(chan struct{})
	ended := make(chan error, 1)
	s := &nethttp.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		_, err := io.ReadAll(r.Body)
		<-r.Context().Done()
		ended <- err
	})}
	url, _ := startServer(t, s)
	l, err := nng.NewWSListener(strings.Replace(url, "http", "ws", 1) + "/socket")
	require.NoError(t, err)
	defer l.Close()
	require.NoError(t, l.Listen())
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	defer c.Close()
	fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
	<-entered
	require.NoError(t, s.Close())
	select {
	case err := <-ended:
		assert.ErrorIs(t, err, net.ErrClosed)
	case <-time.After(5 * time.Second):
		t.Fatal("the handler goes on")
	}
}

// A handler that stays with its hijacked connection does not hold up Shutdown.
func TestServerShutdownLeavesHijackedAlone(t *testing.T) {
	hijacked := make(chan struct{})
	s := &nethttp.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		assert.NoError(t, err)
		defer conn.Close()
		defer context.AfterFunc(r.Context(), func() { conn.Close() })()
		close(hijacked)
		_, _ = io.Copy(conn, conn)
	})}
	url, _ := startServer(t, s)
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	defer c.Close()
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-hijacked
	assert.Zero(t, s.InFlight())
	require.NoError(t, s.Shutdown(t.Context()))
	l, err := net.Listen("tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(t, err, "the port is free")
	l.Close()
	fmt.Fprint(c, "still here")
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	got := make([]byte, len("still here"))
	_, err = io.ReadFull(c, got)
	require.NoError(t, err)
	assert.Equal(t, "still here", string(got))
}
