package nethttp_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nethttp"
	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func listen(t testing.TB, pattern string) net.Listener {
	t.Helper()
	holdMu.Lock()
	defer holdMu.Unlock()
	l, err := nethttp.Listen("http://127.0.0.1:0", pattern)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// net/http's own server runs on connections that nng has accepted.
func TestListenServesNetHTTP(t *testing.T) {
	l := listen(t, "/")
	remotes := make(chan string, 10)
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		remotes <- r.RemoteAddr
		w.Header()["Got"] = r.Header["Cookie"]
		b, _ := io.ReadAll(r.Body)
		_, _ = w.Write(b)
	})}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()

	url := "http://" + l.Addr().String() + "/path"
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	body := make([]byte, 200_000)
	_, _ = rand.Read(body)
	for i := range 3 { // the second request and the third never meet nng's parser
		var in io.Reader = strings.NewReader(string(body))
		if i == 1 {
			in = io.MultiReader(in) // chunked
		}
		req, _ := http.NewRequest("POST", url, in)
		req.Header["Cookie"] = []string{"a=1", "b=2"}
		res, err := client.Do(req)
		require.NoError(t, err)
		got, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		res.Body.Close()
		assert.Equal(t, body, got)
		assert.Equal(t, []string{"a=1", "b=2"}, res.Header["Got"])
	}
	first := <-remotes
	assert.Equal(t, first, <-remotes, "one connection")
	host, _, err := net.SplitHostPort(first)
	require.NoError(t, err)
	assert.Equal(t, "127.0.0.1", host)

	require.NoError(t, s.Shutdown(t.Context()))
	assert.Equal(t, http.ErrServerClosed, <-served)
	_, err = net.Dial("tcp", l.Addr().String())
	assert.Error(t, err, "the listener has stopped nng's server")
}

// A listener takes what its pattern says; the rest is nng's.
func TestListenOnSharesAServer(t *testing.T) {
	holdMu.Lock()
	srv, err := nng.HoldServer("http://127.0.0.1:0")
	require.NoError(t, err)
	defer srv.Close()
	h, err := nethttp.Handler(says("handler"))
	require.NoError(t, err)
	require.NoError(t, srv.AddHandler(h))
	l, err := nethttp.ListenOn(srv, "/go/")
	require.NoError(t, err)
	assert.Zero(t, l.Addr().(*net.TCPAddr).Port, "not started")
	require.NoError(t, srv.Start())
	holdMu.Unlock()
	s := &http.Server{Handler: says("listener")}
	go func() { _ = s.Serve(l) }()
	defer s.Close()
	url := "http://" + l.Addr().String()
	_, got := getText(t, url+"/go/x")
	assert.Equal(t, "listener", got)
	_, got = getText(t, url+"/x")
	assert.Equal(t, "handler", got)

	require.NoError(t, l.Close())
	_, got = getText(t, url+"/go/x")
	assert.Equal(t, "handler", got, "the listener is gone")
	assert.ErrorIs(t, l.Close(), net.ErrClosed)
	_, err = l.Accept()
	assert.ErrorIs(t, err, net.ErrClosed)
	_, err = nethttp.ListenOn(srv, "bad")
	assert.ErrorContains(t, err, "METHOD")
}

func TestListenBacklogAndClose(t *testing.T) {
	l := listen(t, "/")
	const backlog = 128
	var conns []net.Conn
	for range backlog {
		c, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		defer c.Close()
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		conns = append(conns, c)
	}
	require.Eventually(t, func() bool { // all wait; one more is refused
		c, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		defer c.Close()
		fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
		_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		return err == nil && res.StatusCode == 503 && res.Close && res.Header.Get("Retry-After") == "1"
	}, 10*time.Second, 10*time.Millisecond)

	// Each Accept makes room, and gives the head back first.
	c, err := l.Accept()
	require.NoError(t, err)
	req, err := http.ReadRequest(bufio.NewReader(c))
	require.NoError(t, err)
	assert.Equal(t, "x", req.Host)
	require.NoError(t, c.Close())

	waiting := make(chan error, 1)
	require.NoError(t, l.Close())
	go func() {
		_, err := l.Accept()
		waiting <- err
	}()
	assert.ErrorIs(t, <-waiting, net.ErrClosed)
	var wg sync.WaitGroup
	for _, c := range conns {
		wg.Go(func() {
			_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
			b, err := io.ReadAll(c)
			assert.NoError(t, err, "closed, not left to wait")
			if len(b) > 0 { // a probe has taken its place
				assert.Contains(t, string(b), "HTTP/1.1 503 ")
			}
		})
	}
	wg.Wait()
}

// Accept that waits is woken by Close.
func TestListenCloseWakesAccept(t *testing.T) {
	l := listen(t, "/")
	woken := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		woken <- err
	}()
	time.Sleep(10 * time.Millisecond)
	require.NoError(t, l.Close())
	assert.ErrorIs(t, <-woken, net.ErrClosed)
}

// Closing the server first is no reason for Close to fail.
func TestListenServerClosedFirst(t *testing.T) {
	holdMu.Lock()
	defer holdMu.Unlock()
	srv, err := nng.HoldServer("http://127.0.0.1:0")
	require.NoError(t, err)
	l, err := nethttp.ListenOn(srv, "/")
	require.NoError(t, err)
	require.NoError(t, srv.Start())
	require.NoError(t, srv.Stop(context.Background()))
	require.NoError(t, srv.Close())
	assert.NoError(t, l.Close())
}
