package nng

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"
	"sync"
	"time"
)

// #include "http_cgo.h"
import "C"

// Server serves HTTP on one address (nng_http_server).
//
// nng has one server per host and port in a process: all who hold the address, WSListeners
// and C code too (which must let go of it before the last Server does), share it, its
// handlers and its TLS configuration. Two Servers for port 0 share one as long as it has
// not been started, and have ports of their own afterwards. The server listens from the
// first Start until the last Stop.
//
// Life: HoldServer, AddHandler and settings, Start, Stop, Close. All methods may be
// called concurrently.
type Server struct {
	url    string
	shared *cServer

	mu       sync.Mutex
	state    serverState
	handlers map[*Handler]struct{}
	stopped  <-chan struct{} // closed when C is stopped, or was never started
	drains   bool            // our stop is the one that stops C
	ended    chan struct{}   // closed when Close has let go of C
}

type serverState int

const (
	serverHeld serverState = iota
	serverStarted
	serverStopped
	serverClosed
)

// closeGrace is how long Server.Close waits for handlers that are running, after
// their contexts have ended.
const closeGrace = time.Second

// HoldServer holds the server for an address (nng_http_server_hold), such as
// "http://127.0.0.1:8080", "http://[::1]:8080", "http://*:8080" or
// "https://127.0.0.1:0". Port 0 lets the system choose one; see Addr.
//
// As with net/http, TCP asks a client that has been silent for 15 seconds whether it is
// still there, and closes the connection after nine questions without an answer; and the
// backlog is what the system allows. C code that shares the address gets the same. (A library
// without our patches asks after two hours, or not at all, and has a backlog of 128.)
//
// Errors: ErrBadAddr (a URL that is not one, a name that is not found),
// ErrAddrInUse (the address is held for http and wanted for https, or the other way
// round; nng would not notice, defect S25), ErrNotSupported (https without TLS, a
// library without HTTP), ErrNoMemory.
func HoldServer(rawURL string) (*Server, error) {
	cu, u, err := parseURL("hold", rawURL)
	if err != nil {
		return nil, err
	}
	defer C.nng_url_free(cu)
	shared, err := holdCServer(cu, rawURL, isSecure(u.Scheme))
	if err != nil {
		return nil, err
	}
	live.servers.Add(1)
	return &Server{
		url:      rawURL,
		shared:   shared,
		handlers: make(map[*Handler]struct{}),
		stopped:  closedChan,
		ended:    make(chan struct{}),
	}, nil
}

// open locks the server for a call that needs it; nil means go on, and then unlock.
func (s *Server) open(op string) error {
	s.mu.Lock()
	if s.state == serverClosed || s.shared == nil {
		s.mu.Unlock()
		return &OpError{Op: op, URL: s.url, Err: ErrClosed}
	}
	return nil
}

// Start makes the server listen (nng_http_server_start).
//
// Errors: ErrAddrInUse, ErrBadAddr, ErrPermission, ErrState (started before: a
// stopped server cannot be started again, hold a new one), ErrClosed.
func (s *Server) Start() error {
	if err := s.open("start"); err != nil {
		return err
	}
	defer s.mu.Unlock()
	switch s.state {
	case serverStarted:
		return refuse("start", s.url, ErrState, "the server is started already")
	case serverStopped:
		return refuse("start", s.url, ErrState, "a stopped server cannot be started again; hold a new one")
	}
	if err := s.shared.start(s.url); err != nil {
		return err
	}
	s.state = serverStarted
	return nil
}

// Stop stops the server (nng_http_server_stop), gently: new requests get 503,
// "Connection: close" and "Retry-After: 1", handlers that are running finish, then nng
// closes all connections but the hijacked ones, whose handlers are not waited for. What
// nng answers by itself is not waited for: its file, static, redirect and directory
// handlers, and its errors.
//
// While others have the same address started, Stop returns at once and ends nothing: this
// server's handlers go on answering until DelHandler or Close.
//
// If ctx ends first, Stop ends the handlers' contexts, makes their reads and writes
// fail, and returns the context's error; the server stops in the background as soon
// as they have returned. A handler must not wait for Stop. Stopping again waits for the
// same end, with a context of its own.
//
// Errors: ErrState (never started: nng would not start it any more, defect S4),
// ErrCanceled, ErrTimedOut, ErrClosed.
func (s *Server) Stop(ctx context.Context) error {
	if err := s.open("stop"); err != nil {
		return err
	}
	switch s.state {
	case serverHeld:
		s.mu.Unlock()
		return refuse("stop", s.url, ErrState, "the server was not started")
	case serverStarted:
		s.state = serverStopped
		s.stopped, s.drains = s.shared.stop()
	}
	stopped, drains := s.stopped, s.drains
	s.mu.Unlock()
	if !drains {
		return nil // others go on; nothing is to be waited for
	}
	select {
	case <-stopped:
		return nil
	case <-ctx.Done():
		if isOver(stopped) {
			return nil
		}
		s.shared.abort()
		return &OpError{Op: "stop", URL: s.url, Err: contextErrno(ctx)}
	}
}

// Close stops the server if need be and lets go of it (nng_http_server_release).
// Contexts of running handlers end, their reads and writes fail, connections are
// closed, except hijacked ones. Handlers on the server are closed too. While others
// hold the same address, only this server's handlers go.
//
// Close waits a second for handlers to return; after that the rest happens when they
// do. Closing twice is harmless.
func (s *Server) Close() error {
	if s.shared == nil { // the zero value
		return nil
	}
	s.mu.Lock()
	grace := time.NewTimer(closeGrace)
	defer grace.Stop()
	if s.state == serverClosed {
		s.mu.Unlock()
		select {
		case <-s.ended:
		case <-grace.C:
		}
		return nil
	}
	if s.state == serverStarted {
		s.stopped, s.drains = s.shared.stop()
	}
	stopped, drains := s.stopped, s.drains
	s.state = serverClosed
	s.mu.Unlock()
	if drains {
		s.shared.abort()
	}
	select {
	case <-stopped:
		s.release()
	case <-grace.C:
		go func() {
			<-stopped
			s.release()
		}()
		return nil
	}
	return nil
}

// release ends the hold, after the stop.
func (s *Server) release() {
	s.shared.release(s.handlers)
	s.mu.Lock()
	for h := range s.handlers {
		h.mu.Lock()
		h.server = nil
		h.close()
		h.mu.Unlock()
	}
	s.handlers = nil
	s.mu.Unlock()
	live.servers.Add(-1)
	close(s.ended)
}

// AddHandler adds a handler (nng_http_server_add_handler). It belongs to the server
// until DelHandler or Close. Longer paths are tried first, handlers of equal length
// in the order they were added.
//
// Errors: ErrAddrInUse (a handler for the same method, host and path is there, on
// this server or on another one for the address), ErrBusy (the handler is on a
// server), ErrClosed.
func (s *Server) AddHandler(h *Handler) error {
	if h == nil {
		return refuse("add handler", s.url, ErrInvalid, "the handler is nil")
	}
	if err := s.open("add handler"); err != nil {
		return err
	}
	defer s.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.changeable("add handler"); err != nil {
		return err
	}
	if err := h.build("add handler"); err != nil {
		return err
	}
	h.c.server.Store(s.shared) // requests can come before C returns
	if rv := C.nng_http_server_add_handler(s.shared.c, h.c.c); rv != 0 {
		return check("add handler", h.path, int(rv))
	}
	h.server = s
	s.handlers[h] = struct{}{}
	return nil
}

// DelHandler removes a handler (nng_http_server_del_handler) and gives it back to the
// caller, who may change it, add it again or close it. Requests that it is
// answering go on.
//
// Errors: ErrNotFound (not on this server), ErrClosed.
func (s *Server) DelHandler(h *Handler) error {
	if h == nil {
		return refuse("del handler", s.url, ErrInvalid, "the handler is nil")
	}
	if err := s.open("del handler"); err != nil {
		return err
	}
	defer s.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.server != s {
		return refuse("del handler", h.path, ErrNotFound, "the handler is not on this server")
	}
	if rv := C.nng_http_server_del_handler(s.shared.c, h.c.c); rv != 0 {
		return check("del handler", h.path, int(rv))
	}
	s.shared.retire(h.c)
	h.c, h.server = nil, nil
	delete(s.handlers, h)
	return nil
}

// SetTLS gives the server its TLS configuration, before Start
// (nng_http_server_set_tls). The server gets an nng_tls_config of its own, made from cfg
// as it is now.
//
// Errors: ErrNotSupported (an http server), ErrBusy (started), ErrInvalid (nil, or made
// for clients), ErrNoMemory, ErrClosed.
func (s *Server) SetTLS(cfg *TLSConfig) error {
	if err := s.open("server set tls"); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if s.state != serverHeld {
		return refuse("server set tls", s.url, ErrBusy, "set it before Start")
	}
	return cfg.use("server set tls", func(settings *tlsSettings) error {
		t, err := settings.instance("server set tls", TLSServer, "")
		if err != nil {
			return err
		}
		return s.shared.setTLS(s.url, t)
	})
}

// SetLenient makes the server as lenient as nng as it is published, before Start; for comparisons
// with it, and for nothing else: it lets clients smuggle requests (RFC 9112, section 11.2). All
// who hold the address share it. By default a request is answered with 400, the connection
// closed, and no handler called, unless
//
//   - the names of its fields are tokens, with no blank before the colon, and no line begins with
//     a blank;
//   - it has one Host, which may be missing in HTTP/1.0, and looks like one;
//   - it has a Content-Length that is a number, once, or a Transfer-Encoding whose last coding is
//     chunked, or neither (an unknown coding gets 501);
//   - its method is a token, its version has the form HTTP/1.1, and nothing has a DEL in it;
//   - its target does not begin with an escape or a query. (One that is not there at all, or begins
//     with a query, is taken with "Upgrade: websocket": nng's dialers, as published, send that. So
//     do its clients, for a URL without a path, and they get 400: give them "http://host/".)
//
// Also, the paths that functions get are clear, as SetTree of Handler says.
//
// Package nethttp's handlers refuse all that in any case.
//
// Errors: ErrBusy (started), ErrClosed.
func (s *Server) SetLenient(lenient bool) error {
	const op = "server set lenient"
	if err := s.open(op); err != nil {
		return err
	}
	defer s.mu.Unlock()
	return s.shared.setBefore(op, s.url, func() C.int {
		rv := C.nngo_server_set_lenient(s.shared.c, C.bool(lenient))
		if rv == C.NNG_ENOTSUP {
			rv = 0 // it is lenient in any case; the checks of call.check go
		}
		s.shared.lenient.Store(lenient)
		return rv
	})
}

// TLS returns the server's own TLS configuration (nng_http_server_get_tls), which the
// caller closes. It may be changed until Start, and answers ErrBusy from then on. Given
// to other servers it is shared.
//
// Errors: ErrNotSupported (an http server), ErrClosed.
func (s *Server) TLS() (*TLSConfig, error) {
	if err := s.open("server get tls"); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	t, err := s.shared.getTLS(s.url)
	if err != nil {
		return nil, err
	}
	return newTLSConfig(&tlsSettings{mode: TLSServer, c: t}), nil
}

// Addr returns the address the server listens on, with the real port
// (nng_http_server_get_addr).
//
// Errors: ErrState (not started), ErrClosed.
func (s *Server) Addr() (net.Addr, error) {
	if err := s.open("server addr"); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	if s.state != serverStarted {
		return nil, refuse("server addr", s.url, ErrState, "the server is not running")
	}
	return s.shared.addr("server addr", s.url)
}

// SetErrorPage sets the HTML page that the server sends for a status, in its own
// errors and in responses made with NewErrorResponse
// (nng_http_server_set_error_page). It may be changed at any time with the library
// we build; other releases before 2.0 need it done before Start (defect S10).
//
// Errors: ErrInvalid (empty page, bad status), ErrNoMemory, ErrClosed.
func (s *Server) SetErrorPage(status int, html string) error {
	if err := checkStatus("set error page", status); err != nil {
		return err
	}
	if html == "" || hasNUL(html) {
		return refuse("set error page", strconv.Itoa(status), ErrInvalid, "the page is empty or holds a NUL")
	}
	return s.with("set error page", func(c *C.nng_http_server) C.int {
		return C.nng_http_server_set_error_page(c, C.uint16_t(status), cstring(html))
	})
}

// SetErrorFile is SetErrorPage with the content of a file, read now
// (nng_http_server_set_error_file).
//
// Errors: ErrNotFound, ErrPermission, ErrInvalid, ErrNoMemory, ErrClosed.
func (s *Server) SetErrorFile(status int, file string) error {
	if err := checkStatus("set error file", status); err != nil {
		return err
	}
	if err := checkFileName("set error file", file); err != nil {
		return err
	}
	if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return refuse("set error file", strconv.Quote(short(file)), ErrInvalid, "that is no regular file, so reading it may wait")
	}
	err := s.with("set error file", func(c *C.nng_http_server) C.int {
		return C.nng_http_server_set_error_file(c, C.uint16_t(status), cstring(file))
	})
	var e *OpError
	if errors.As(err, &e) && e.Err != ErrClosed {
		e.URL = strconv.Quote(short(file))
	}
	return err
}

// ResError replaces the body of a response by the server's error page for its status
// (nng_http_server_res_error).
//
// Errors: ErrInvalid (nil), ErrBusy (an operation uses the response), ErrClosed, ErrNoMemory.
func (s *Server) ResError(res *Response) error {
	if res == nil {
		return refuse("res error", s.url, ErrInvalid, "the response is nil")
	}
	if err := s.open("res error"); err != nil {
		return err
	}
	defer s.mu.Unlock()
	return res.set("res error", s.url, func() C.int {
		res.unpin()
		return C.nng_http_server_res_error(s.shared.c, res.res)
	})
}

func (s *Server) with(op string, f func(*C.nng_http_server) C.int) error {
	if err := s.open(op); err != nil {
		return err
	}
	defer s.mu.Unlock()
	return check(op, s.url, int(f(s.shared.c)))
}

var closedChan = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()
