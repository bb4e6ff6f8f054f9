package nethttp_test

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nethttp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestShutdownBesideOthers: Shutdown means this server's requests, also where nng goes on
// because somebody else has the address started.
func TestShutdownBesideOthers(t *testing.T) {
	began, leave := make(chan bool), make(chan bool)
	s := &nethttp.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			began <- true
			<-leave
		}
	})}
	addr, _ := serveWith(t, s)
	other, err := nethttp.Listen("http://"+addr, "/other")
	require.NoError(t, err)
	defer other.Close()
	idle, slow := dial(t, addr), dial(t, addr)
	idle.alive()
	slow.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	<-began

	stopped := make(chan error, 1)
	go func() { stopped <- s.Shutdown(t.Context()) }()
	require.Eventually(t, func() bool {
		res, _ := dial(t, addr).ask(get)
		return res.StatusCode == http.StatusServiceUnavailable
	}, 10*time.Second, 10*time.Millisecond)
	res, _ := idle.ask(get)
	assert.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
	idle.ended()
	assert.Empty(t, stopped, "a request is being served")
	close(leave)
	res, _ = slow.answer(http.MethodGet)
	assert.Equal(t, http.StatusOK, res.StatusCode)
	assert.NoError(t, <-stopped)
}

// TestHijackedIsNotInFlight: a connection that is hijacked leaves its place to others at
// once, not when its handler returns.
func TestHijackedIsNotInFlight(t *testing.T) {
	hijacked, leave := make(chan bool), make(chan bool)
	s := &nethttp.Server{MaxInFlight: 1}
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/hijack" {
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if assert.NoError(t, err) {
			defer conn.Close()
		}
		hijacked <- true
		<-leave
	})
	addr, _ := serveWith(t, s)
	p := dial(t, addr)
	p.send("GET /hijack HTTP/1.1\r\nHost: x\r\n\r\n")
	<-hijacked
	assert.Zero(t, s.InFlight())
	res, _ := dial(t, addr).ask(get)
	assert.Equal(t, http.StatusOK, res.StatusCode)
	close(leave)
	p.ended()
	require.Eventually(t, func() bool { return s.InFlight() == 0 }, 10*time.Second, 10*time.Millisecond)
}

// TestCloseLeavesNothingToNng: until nng has stopped, which takes as long as a handler runs,
// requests on connections that are there are refused or cut off, not answered by nng.
func TestCloseLeavesNothingToNng(t *testing.T) {
	began, leave := make(chan bool), make(chan bool)
	s := &nethttp.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			began <- true
			<-leave
		}
	})}
	addr, _ := serveWith(t, s)
	idle, slow := dial(t, addr), dial(t, addr)
	idle.alive()
	slow.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	<-began
	require.NoError(t, s.Close())
	idle.send(get)
	reply, _ := io.ReadAll(idle)
	if len(reply) > 0 {
		assert.Contains(t, string(reply), "HTTP/1.1 503 ")
	}
	close(leave)
}
