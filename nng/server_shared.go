package nng

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// #include "http_cgo.h"
import "C"

// A cServer is one nng_http_server, shared by all Servers that hold its address. It
// knows what C does not: how many requests are in hand, until their replies are out.
// nng's stop is a hard one. It cuts replies off, and with handlers running it waits for
// ever, or frees what they use, depending on the release (defects S3 and S5). So
// servers are drained before.
type cServer struct {
	c      *C.nng_http_server
	n      *C.nngo_server // the count; C takes from it when a reply is out
	handle uintptr        // under which C tells that the count has come to 0
	secure bool

	lenient atomic.Bool // see Server.SetLenient

	ctx    context.Context // the parent of all handlers' contexts
	cancel context.CancelFunc
	idle   chan struct{} // gets a token when draining and nothing is in hand

	mu      sync.Mutex
	holds   int
	starts  int
	tls     *cTLSConfig        // as far as Go knows it
	stopped bool               // C has stopped
	after   []func()           // to be called then
	retired []*cHandler        // removed, but connections may still use them
	conns   map[*Conn]struct{} // connections that handlers are reading or writing
	ws      wsListeners        // that listen

	limits      Limits // as Go has set them
	log         *slog.Logger
	reporter    *time.Timer // once it is started
	listening   net.Addr
	reportEvery time.Duration
	reported    ServerStats
}

// What net/http's listeners have, too: a peer that says nothing is asked every 15 seconds,
// nine times, whether it is still there, and the backlog is what the system allows, which
// cuts ours to that.
const (
	keepAlive = 15 * time.Second
	backlog   = 1<<16 - 1
)

var cServerHandles registry[*cServer]

// cServers lists all that exist. The lock is held across nng_http_server_hold and
// _release, so that the list and C agree.
var cServers struct {
	sync.Mutex
	m map[*C.nng_http_server]*cServer
}

func holdCServer(cu *C.nng_url, rawURL string, secure bool) (*cServer, error) {
	cServers.Lock()
	defer cServers.Unlock()
	var c *C.nng_http_server
	switch rv := Errno(C.nngo_server_hold(&c, cu)); rv {
	case 0:
	case ErrBadAddr:
		return nil, refuse("hold", rawURL, rv, "the host is not found, or the scheme is not for servers")
	default:
		return nil, check("hold", rawURL, int(rv))
	}
	s := cServers.m[c]
	if s == nil {
		if e := holdPump(); e != 0 {
			C.nng_http_server_release(c)
			return nil, check("hold", rawURL, int(e))
		}
		s = &cServer{c: c, secure: secure, idle: make(chan struct{}, 1), conns: make(map[*Conn]struct{}), ws: make(wsListeners), reportEvery: reportInterval}
		s.handle = cServerHandles.add(s)
		if rv := C.nngo_server_alloc(&s.n, c, C.uintptr_t(s.handle)); rv != 0 {
			cServerHandles.remove(s.handle)
			releasePump()
			C.nng_http_server_release(c)
			return nil, check("hold", rawURL, int(rv))
		}
		C.nngo_server_tcp(c, C.int(keepAlive/time.Second), backlog)
		s.ctx, s.cancel = context.WithCancel(context.Background())
		s.applyLimits()
		if cServers.m == nil {
			cServers.m = make(map[*C.nng_http_server]*cServer)
		}
		cServers.m[c] = s
	} else if s.secure != secure {
		C.nng_http_server_release(c)
		return nil, refuse("hold", rawURL, ErrAddrInUse, "the address is held with and without TLS; choose another port")
	}
	s.holds++
	return s, nil
}

// count is the number of requests in hand, in C's memory, with the bit
// C.NNGO_DRAINING. All use of it is atomic.
func (s *cServer) count() *int64 { return (*int64)(unsafe.Pointer(&s.n.running)) }

// enter counts a request. If it answers false the server is draining, and the request
// must be refused. One of the nngo_call functions takes it from the count.
func (s *cServer) enter() bool {
	return atomic.AddInt64(s.count(), 1)&C.NNGO_DRAINING == 0
}

func (s *cServer) isDraining() bool {
	return atomic.LoadInt64(s.count())&C.NNGO_DRAINING != 0
}

// wake is called when the server is draining and nothing is in hand.
func (s *cServer) wake() {
	select {
	case s.idle <- struct{}{}:
	default:
	}
}

// drain returns when nothing is in hand any more. New requests are refused.
func (s *cServer) drain() {
	for atomic.LoadInt64(s.count()) != C.NNGO_DRAINING {
		<-s.idle
	}
}

func (s *cServer) start(url string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isDraining() {
		return refuse("start", url, ErrState, "the server for this address is stopping; hold a new one when it has")
	}
	s.tls.freeze()
	switch rv := Errno(C.nngo_server_start(s.c)); rv {
	case 0:
	case ErrBadAddr:
		return refuse("start", url, rv, "it is not an address of this machine")
	default:
		return check("start", url, int(rv))
	}
	if s.starts++; s.starts == 1 {
		s.watch()
	}
	return nil
}

// setTLS sets the TLS configuration and takes over the hold on it, unless somebody has
// started the server: a listener that is accepting would read the old one as it is freed
// (defect S24).
func (s *cServer) setTLS(url string, t *cTLSConfig) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.starts > 0 || s.isDraining() {
		t.release()
		return refuse("server set tls", url, ErrBusy, "set it before Start")
	}
	if rv := C.nng_http_server_set_tls(s.c, t.c); rv != 0 {
		t.release()
		return check("server set tls", url, int(rv))
	}
	s.tls.release()
	s.tls = t
	return nil
}

// setBefore sets something in C before somebody has started the server.
func (s *cServer) setBefore(op, url string, set func() C.int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.starts > 0 || s.isDraining() {
		return refuse(op, url, ErrBusy, "set it before Start")
	}
	return check(op, url, int(set()))
}

// getTLS returns a hold on the TLS configuration.
func (s *cServer) getTLS(url string) (*cTLSConfig, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var c *C.nng_tls_config
	if rv := C.nng_http_server_get_tls(s.c, &c); rv != 0 {
		return nil, check("server get tls", url, int(rv))
	}
	if s.tls != nil && s.tls.c == c {
		C.nng_tls_config_free(c) // we hold it
		return s.tls.hold(), nil
	}
	// C's own, or one that C code has set.
	s.tls.release()
	s.tls = ownTLSConfig(c)
	if s.starts > 0 || s.isDraining() {
		s.tls.freeze()
	}
	return s.tls.hold(), nil
}

// stop takes one start back. The last one drains and then stops C. The channel is
// closed when that is done.
func (s *cServer) stop() (stopped <-chan struct{}, last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starts--
	if s.starts > 0 {
		C.nng_http_server_stop(s.c)
		return closedChan, false
	}
	atomic.OrInt64(s.count(), C.NNGO_DRAINING)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.drain()
		s.cancel()
		C.nng_http_server_stop(s.c)
		s.drain() // of requests that were events until now; they have been refused
		s.mu.Lock()
		s.stopped = true
		report, after := s.unwatch(), s.after
		s.after = nil
		s.mu.Unlock()
		report()
		for _, f := range after {
			go f()
		}
	}()
	return done, true
}

// whenStopped has f called, in a goroutine of its own, when C has stopped.
func (s *cServer) whenStopped(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		go f()
	} else {
		s.after = append(s.after, f)
	}
}

// abortIfDraining is abort, unless somebody has the server started.
func (s *cServer) abortIfDraining() {
	if s.isDraining() {
		s.abort()
	}
}

// addr is the address that C listens on.
func (s *cServer) addr(op, url string) (net.Addr, error) {
	var sa C.nng_sockaddr
	if rv := C.nng_http_server_get_addr(s.c, &sa); rv != 0 {
		return nil, check(op, url, int(rv))
	}
	if a := tcpAddr(&sa); a != nil {
		return a, nil
	}
	return nil, refuse(op, url, ErrBadAddr, "the address is not an IP address")
}

// abort ends what handlers are waiting for: their contexts, their reads and writes.
// Replies on their way fail too.
func (s *cServer) abort() {
	s.cancel()
	s.mu.Lock()
	if s.n != nil {
		C.nngo_server_abort(s.n)
	}
	conns := make([]*Conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		c.drop()
	}
}

// track notes a connection that a handler reads or writes, for abort. It says whether
// that has come already.
func (s *cServer) track(c *Conn) (aborted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = struct{}{}
	return s.ctx.Err() != nil
}

func (s *cServer) untrack(c *Conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
}

// retire keeps a handler that was removed. Connections may still point at it
// (defects S8, S9), so it goes with the server.
func (s *cServer) retire(h *cHandler) {
	s.mu.Lock()
	s.retired = append(s.retired, h)
	s.mu.Unlock()
}

// release gives up one hold. The last one frees the C server, with the handlers that
// are on it and those that were.
func (s *cServer) release(mine map[*Handler]struct{}) {
	cServers.Lock()
	defer cServers.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holds--
	last := s.holds == 0
	for h := range mine {
		h.mu.Lock()
		if !last {
			C.nng_http_server_del_handler(s.c, h.c.c)
			s.retired = append(s.retired, h.c)
		} else {
			defer h.c.forget()
		}
		h.c = nil
		h.mu.Unlock()
	}
	if !last {
		C.nng_http_server_release(s.c)
		return
	}
	delete(cServers.m, s.c)
	s.cancel()
	s.tls.release() // C has a hold of its own
	s.tls = nil
	// Back on the server, a removed handler is freed when the last connection is
	// gone, whenever that is. Those that would be in each other's way stay out.
	var out []*cHandler
	for _, h := range s.retired {
		if C.nng_http_server_add_handler(s.c, h.c) != 0 {
			out = append(out, h)
		} else {
			defer h.forget()
		}
	}
	s.retired = nil
	C.nng_http_server_release(s.c)
	for _, h := range out {
		if releaseWaits() {
			h.free()
		} else {
			h.forget()
		}
	}
	cServerHandles.remove(s.handle)
	releasePump()
	if releaseWaits() { // else a callback of C may still come to look at it
		C.nngo_server_free(s.n)
		s.n = nil
	}
}

// releaseWaits reports whether nng_http_server_release returns only when all
// connections are gone. From 1.7 on it does not; then the server's count, and handlers
// that could not be put back on the server, are not freed at all: a few hundred bytes.
func releaseWaits() bool {
	major, minor := libraryVersion()
	return major == 1 && minor < 7
}
