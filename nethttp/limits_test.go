package nethttp_test

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nethttp"
	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/require"
)

// needLimits skips a test of limits with a library that keeps none.
func needLimits(t testing.TB, srv *nng.Server) {
	t.Helper()
	if _, err := srv.Stats(); err != nil {
		t.Skip("this library keeps no limits: ", err)
	}
}

// slowPeer dials, sends a part of something, and returns how long the server holds it.
func slowPeer(t testing.TB, addr, part string) time.Duration {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(40*time.Second)))
	fmt.Fprint(c, part)
	start := time.Now()
	_, err = io.Copy(io.Discard, c)
	require.NoError(t, err)
	return time.Since(start)
}

// Each field of Server is given to nng, and what nng then ends is in Stats and in the log.
func TestServerSlowPeers(t *testing.T) {
	const limit = 300 * time.Millisecond
	const half, whole = "GET / HTTP/1.1\r\nHost: x\r\n", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	log := new(syncBuffer)
	s := &nethttp.Server{
		Handler:             http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<20)) }),
		ErrorLog:            slog.New(slog.NewTextHandler(log, nil)),
		ReadHeaderTimeout:   limit,
		IdleTimeout:         2 * limit,
		TLSHandshakeTimeout: 3 * limit,
		WriteStallTimeout:   4 * limit,
		MaxConns:            5,
	}
	probe, err := nng.HoldServer("http://127.0.0.1:1")
	require.NoError(t, err)
	defer probe.Close()
	if _, err := probe.Stats(); err != nil {
		require.ErrorIs(t, s.Start(probe), nng.ErrNotSupported)
		return
	}
	addr, srv := serveWith(t, s)
	require.Equal(t, nng.Limits{
		ReadHeaderTimeout:   limit,
		IdleTimeout:         2 * limit,
		TLSHandshakeTimeout: 3 * limit,
		WriteStallTimeout:   4 * limit,
		MaxConns:            5,
	}, srv.Limits())
	require.GreaterOrEqual(t, slowPeer(t, addr, half), limit-50*time.Millisecond)
	require.GreaterOrEqual(t, slowPeer(t, addr, whole), 2*limit-50*time.Millisecond)
	stats, err := s.Stats()
	require.NoError(t, err)
	require.EqualValues(t, 1, stats.HeaderTimeouts, "%+v", stats)
	require.EqualValues(t, 1, stats.IdleTimeouts, "%+v", stats)
	require.NoError(t, s.Close())
	require.Eventually(t, func() bool { // Close does not wait for the server's end
		return strings.Contains(log.String(), "reason=header_timeout count=1")
	}, 10*time.Second, time.Millisecond)
	require.NotContains(t, log.String(), "idle_timeout", "that is for the level Debug")
}

// A field that is 0 leaves what the nng server has been given.
func TestServerLimitsAreAddedTo(t *testing.T) {
	holdMu.Lock()
	defer holdMu.Unlock()
	srv, err := nng.HoldServer("http://127.0.0.1:0")
	require.NoError(t, err)
	defer srv.Close()
	needLimits(t, srv)
	require.NoError(t, srv.SetLimits(nng.Limits{ReadHeaderTimeout: time.Second, IdleTimeout: -1, MaxConns: 7}))
	s := &nethttp.Server{IdleTimeout: time.Minute}
	require.NoError(t, s.Start(srv))
	defer s.Close()
	require.Equal(t, nng.Limits{ReadHeaderTimeout: time.Second, IdleTimeout: time.Minute, MaxConns: 7}, srv.Limits())
}

// The zero Server has nng's defaults, and works with every library.
func TestServerDefaultLimits(t *testing.T) {
	_, srv := serveWith(t, &nethttp.Server{Handler: http.NotFoundHandler()})
	require.Zero(t, srv.Limits())
}

// A response that is complete when the handler returns, and that nobody reads, is given up.
func TestServerWriteStall(t *testing.T) {
	s := &nethttp.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, 1500)) // is held back, so nng gets it whole
	})}
	addr, srv := serveWith(t, s)
	needLimits(t, srv)
	require.NoError(t, srv.SetLimits(nng.Limits{WriteStallTimeout: 300 * time.Millisecond}))
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.(*net.TCPConn).SetReadBuffer(4096))
	require.NoError(t, c.SetDeadline(time.Now().Add(30*time.Second)))
	// So many requests that their responses do not fit into the system's buffers.
	go func() { _, _ = io.WriteString(c, strings.Repeat("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 20000)) }()
	require.Eventually(t, func() bool {
		stats, err := s.Stats()
		return err == nil && stats.WriteStalls == 1 && stats.Conns == 0
	}, 30*time.Second, 10*time.Millisecond)
	require.Zero(t, s.InFlight())
}

// Over MaxConns clients learn that at once.
func TestServerMaxConns(t *testing.T) {
	holdMu.Lock()
	srv, err := nng.HoldServer("http://127.0.0.1:0")
	require.NoError(t, err)
	defer srv.Close()
	if _, err := srv.Stats(); err != nil {
		holdMu.Unlock()
		needLimits(t, srv)
	}
	s := &nethttp.Server{Handler: http.NotFoundHandler(), MaxConns: 1}
	require.NoError(t, s.Start(srv))
	holdMu.Unlock()
	defer s.Close()
	a, err := srv.Addr()
	require.NoError(t, err)
	first, err := net.Dial("tcp", a.String())
	require.NoError(t, err)
	defer first.Close()
	res, err := http.Get("http://" + a.String())
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, 503, res.StatusCode)
	require.Equal(t, "1", res.Header.Get("Retry-After"))
	fmt.Fprint(first, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	res, err = http.ReadResponse(bufio.NewReader(first), nil)
	require.NoError(t, err)
	require.Equal(t, 404, res.StatusCode)
}

// The first head on a listener's connection has a limit, too, and those that follow have
// those of http.Server.
func TestListenLimits(t *testing.T) {
	const limit = 400 * time.Millisecond
	holdMu.Lock()
	srv, err := nng.HoldServer("http://127.0.0.1:0")
	require.NoError(t, err)
	defer srv.Close()
	l, err := nethttp.ListenOn(srv, "/")
	require.NoError(t, err)
	_, err = srv.Stats()
	supported := err == nil
	if supported {
		require.NoError(t, srv.SetLimits(nng.Limits{ReadHeaderTimeout: limit}))
	}
	require.NoError(t, srv.Start())
	holdMu.Unlock()
	defer l.Close()
	if !supported {
		needLimits(t, srv)
	}
	s := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: 3 * limit}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	addr := l.Addr().String()
	for _, part := range []string{"", "GET / HTTP/1.1\r\nHost"} {
		took := slowPeer(t, addr, part)
		require.GreaterOrEqual(t, took, limit-50*time.Millisecond, part)
	}
	took := slowPeer(t, addr, "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /")
	require.GreaterOrEqual(t, took, 3*limit-50*time.Millisecond)
	stats, err := srv.Stats()
	require.NoError(t, err)
	require.EqualValues(t, 2, stats.HeaderTimeouts)
	require.NoError(t, s.Close())
	require.ErrorIs(t, <-done, http.ErrServerClosed)
}
