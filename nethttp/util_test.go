package nethttp_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nethttp"
	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/require"
)

// holdMu keeps tests apart between HoldServer and Start: until then everybody who asks for
// port 0 gets the same server, which is nng's rule.
var holdMu sync.Mutex

// serve serves h with this package on a port of its own, and returns host:port.
func serve(t testing.TB, h http.Handler) string {
	addr, _ := serveWith(t, &nethttp.Server{Handler: h})
	return addr
}

// serveLogged is serve for a handler that does wrong: it returns the log, too.
func serveLogged(t testing.TB, h http.Handler) (addr string, log *syncBuffer) {
	log = new(syncBuffer)
	addr, _ = serveWith(t, &nethttp.Server{Handler: h, ErrorLog: slog.New(slog.NewTextHandler(log, nil))})
	return addr, log
}

// serveWith starts s, which is closed when the test ends.
func serveWith(t testing.TB, s *nethttp.Server) (addr string, srv *nng.Server) {
	t.Helper()
	holdMu.Lock()
	defer holdMu.Unlock()
	srv, err := nng.HoldServer("http://127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, s.Start(srv))
	a, err := srv.Addr()
	require.NoError(t, err)
	started := make(chan error, 1)
	go func() { started <- s.Serve(srv) }()
	t.Cleanup(func() {
		require.NoError(t, s.Close())
		require.ErrorIs(t, <-started, http.ErrServerClosed)
		require.NoError(t, srv.Close())
	})
	return a.String(), srv
}

// serveStd serves h with net/http.
func serveStd(t testing.TB, h http.Handler) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &http.Server{Handler: h, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		_ = s.Close()
		<-done
	})
	return l.Addr().String()
}

// A syncBuffer collects a log.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// A peer is a client that speaks bytes.
type peer struct {
	t testing.TB
	*net.TCPConn
	r *bufio.Reader
}

// dial connects to addr. Nothing on the connection may take longer than ten seconds.
func dial(t testing.TB, addr string) *peer {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	return &peer{t, c.(*net.TCPConn), bufio.NewReader(c)}
}

func (p *peer) send(s string) {
	p.t.Helper()
	_, err := io.WriteString(p, s)
	require.NoError(p.t, err)
}

// answer reads a response to a method.
func (p *peer) answer(method string) (*http.Response, string) {
	p.t.Helper()
	res, err := http.ReadResponse(p.r, &http.Request{Method: method})
	require.NoError(p.t, err)
	b, err := io.ReadAll(res.Body)
	require.NoError(p.t, err)
	return res, string(b)
}

// ask sends a request without a body and reads the response.
func (p *peer) ask(request string) (*http.Response, string) {
	p.t.Helper()
	p.send(request)
	method, _, _ := strings.Cut(request, " ")
	return p.answer(method)
}

// alive checks that another request is answered.
func (p *peer) alive() {
	p.t.Helper()
	res, _ := p.ask("GET /alive HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NotZero(p.t, res.StatusCode)
}

// ended checks that the server has closed the connection, with nothing before that.
func (p *peer) ended() {
	p.t.Helper()
	b, err := io.ReadAll(p.r)
	require.Empty(p.t, string(b))
	if err != nil {
		require.False(p.t, isTimeout(err), "the connection is open: %v", err)
	}
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}
