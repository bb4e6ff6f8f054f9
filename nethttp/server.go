package nethttp

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gonng/nnghttp/nng"
)

// ListenAndServe serves h on the address of a URL such as "http://127.0.0.1:8080", until
// it fails. It is http.ListenAndServe with libnng underneath. For https use a Server with
// TLS; for a port that the system chooses nng.HoldServer, Server.Start and nng.Server.Addr.
//
// Errors: those of Server.ListenAndServe.
func ListenAndServe(url string, h http.Handler) error {
	return (&Server{Handler: h}).ListenAndServe(url)
}

// A Server serves an http.Handler with nng's HTTP server. The zero value is a valid
// configuration. Fields are not to be changed once it serves; methods may be called
// concurrently.
//
// Its limits on heads, idle connections and handshakes are on by default. nng keeps them,
// for all who hold the address: see nng.Limits. Where a field is 0, what nng.Server.SetLimits
// has set holds, or nng's default. With a library that cannot keep limits Start answers
// nng.ErrNotSupported if one was asked for, and the defaults do not hold (defect S16).
type Server struct {
	// Handler serves what no handler of Handle takes; nil means http.DefaultServeMux.
	Handler http.Handler

	// TLS is needed for https. Start gives it to every nng server for https that has not
	// been started; nil leaves those what they have.
	TLS *nng.TLSConfig

	// MaxInFlight bounds the requests that are being served; others get 503 and
	// Retry-After. Hijacked connections do not count. 0 means no bound.
	MaxInFlight int

	// MaxHeaderBytes bounds the sum of all names and values in the head of a request, and
	// MaxHeaderFields the lines with fields; others get 431. 0 means http.DefaultMaxHeaderBytes,
	// and 1000, or what SetLimits has set; below 0 is no bound. They become limits of the nng servers (see nng.Limits; as in net/http, 4096 bytes
	// are for the request line and for what is between the fields), so nothing is done for a head
	// that is beyond those. A single line has 64 KiB at the most.
	MaxHeaderBytes  int
	MaxHeaderFields int

	// ReadHeaderTimeout bounds reading the head of a request, and then once more reading
	// what the handler leaves of the body; IdleTimeout the wait for the next request,
	// TLSHandshakeTimeout the handshake, and WriteStallTimeout how long a client may take
	// nothing of a response. 0 means 30 seconds, 3 minutes, 10 and 30 seconds; below 0 is
	// no bound.
	ReadHeaderTimeout   time.Duration
	IdleTimeout         time.Duration
	TLSHandshakeTimeout time.Duration
	WriteStallTimeout   time.Duration

	// MaxConns bounds the connections of each nng server, but for hijacked ones; others get
	// 503 and Retry-After. 0 means no bound.
	MaxConns int

	// ReadTimeout bounds reading the body of a request, WriteTimeout everything from the
	// call of the handler to the last byte of the response. 0 means no bound.
	ReadTimeout  time.Duration
	WriteTimeout time.Duration

	// ErrorLog is told of panics and misuse, and of what Stats counts (see
	// nng.Server.SetErrorLog); nil means slog.Default.
	ErrorLog *slog.Logger

	// Observe, if set, is called after each request, also those that this package has refused,
	// whose http.Request is not complete. What nng refuses by itself is in Stats. It is meant for
	// metrics and access logs.
	Observe func(*http.Request, Observation)

	closing atomic.Bool

	mu         sync.Mutex
	patterns   []route
	serving    map[*nng.Server][]*nng.Handler // with our handlers on it
	onShutdown []func()
	stopped    chan struct{} // closed when Shutdown or Close has ended
	active     *response     // the first of those that are being served, without hijacked ones
	inFlight   int           // how many these are
	idle       chan struct{} // closed when there are none any more, once closing

	boundsHeads atomic.Bool // because an nng server that we serve on cannot
}

type route struct {
	pattern pattern
	handler http.Handler
}

// An Observation tells how a request ended.
type Observation struct {
	Status   int           // of the response, 0 if none was sent
	Written  int64         // bytes of the response's body
	Duration time.Duration // from the head of the request until nng had the last byte of the response
	Hijacked bool
	InFlight int // other requests that are being served
}

// Handle registers a handler with nng for a pattern, "[METHOD ][HOST]/PATH"; a slash at the
// end stands for everything below. Unlike the patterns of an http.ServeMux, which can be the
// Handler, it is nng that tells them apart: the longest path wins, also over a pattern with a host,
// and of equal paths one with a host, then one with a method. What no pattern takes, because of its
// method or its host, is the Handler's. Handlers made by nng.NewHandler go to the nng.Server; see
// Serve.
//
// nng compares paths as they are, decoded. So that no request gets past a pattern, or past the
// Handler, one whose path has "//" or components "." or ".." is redirected to the path without them
// with 307, as an http.ServeMux does it, if the path as it came, or without them, is a pattern's; a
// CONNECT gets 400. All others get to the Handler as they are. This is not done for handlers that
// somebody else has added to the nng.Server. One slash at the end does not count: "/a" takes "/a/",
// too, and "/a/" takes "/a".
//
// Handle panics if the pattern is not one, or comes too late.
func (s *Server) Handle(pattern string, h http.Handler) {
	p, err := parsePattern(pattern)
	if err != nil {
		panic(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.serving != nil {
		panic("nethttp: Handle(" + pattern + ") after Serve")
	}
	s.patterns = append(s.patterns, route{p, h})
}

// ListenAndServe holds an nng server for a URL, serves on it, and lets go of it. It returns
// http.ErrServerClosed when Shutdown or Close has ended that, otherwise why it could not
// start.
//
// Errors: those of nng.HoldServer, nng.Server.SetTLS, AddHandler and Start.
func (s *Server) ListenAndServe(url string) error {
	if s.TLS == nil && (strings.HasPrefix(url, "https") || strings.HasPrefix(url, "wss")) {
		return errors.New("nethttp: " + url + " needs Server.TLS")
	}
	srv, err := nng.HoldServer(url)
	if err != nil {
		return err
	}
	defer srv.Close()
	return s.Serve(srv)
}

// Serve is Start, and waits until Shutdown or Close has ended. Then it returns
// http.ErrServerClosed.
//
// Errors: those of Start.
func (s *Server) Serve(srv *nng.Server) error {
	if err := s.Start(srv); err != nil {
		return err
	}
	<-s.stopped
	return http.ErrServerClosed
}

// Start serves on an nng server that the caller holds, and closes when Shutdown or Close
// has ended. So nng's own handlers, and others, can be on it, too. Start adds its handlers,
// starts the nng server if it is not started, and returns; Serve can follow to wait.
// Several nng servers can be served at a time, such as one for http and one for https.
//
// Errors: http.ErrServerClosed after Shutdown or Close; those of nng.Server.AddHandler,
// SetLimits, SetTLS and Start.
func (s *Server) Start(srv *nng.Server) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Load() {
		return http.ErrServerClosed
	}
	if _, ok := s.serving[srv]; ok {
		return nil
	}
	if err := s.limit(srv); err != nil {
		return err
	}
	h := s.Handler
	if h == nil {
		h = http.DefaultServeMux
	}
	var added []*nng.Handler
	defer func() {
		if err != nil {
			for _, h := range added {
				err = errors.Join(err, srv.DelHandler(h), h.Close())
			}
		}
	}()
	// Of equal paths nng tries the first first.
	routes := append(slices.Clone(s.patterns), route{everything, h})
	slices.SortStableFunc(routes, func(a, b route) int { return cmp.Compare(b.pattern.rank(), a.pattern.rank()) })
	for _, r := range routes {
		a := newAdapter(r.handler, s)
		a.pattern, a.patterns = r.pattern, s.patterns
		nh, err := r.pattern.handler(a.serve)
		if err != nil {
			return err
		}
		if err := srv.AddHandler(nh); err != nil {
			return errors.Join(err, nh.Close())
		}
		added = append(added, nh)
	}
	if _, err := srv.Addr(); err != nil { // not started yet
		if s.TLS != nil {
			if err := srv.SetTLS(s.TLS); err != nil && !errors.Is(err, nng.ErrNotSupported) { // http
				return err
			}
		}
		if err := srv.Start(); err != nil {
			return err
		}
	}
	if s.serving == nil {
		s.serving = make(map[*nng.Server][]*nng.Handler)
		s.stopped = make(chan struct{})
	}
	s.serving[srv] = added
	return nil
}

// limit gives an nng server our limits and log, as far as they are set.
func (s *Server) limit(srv *nng.Server) error {
	if s.ErrorLog != nil {
		srv.SetErrorLog(s.ErrorLog)
	}
	l := srv.Limits()
	before := l
	l.ReadHeaderTimeout = cmp.Or(s.ReadHeaderTimeout, l.ReadHeaderTimeout)
	l.IdleTimeout = cmp.Or(s.IdleTimeout, l.IdleTimeout)
	l.TLSHandshakeTimeout = cmp.Or(s.TLSHandshakeTimeout, l.TLSHandshakeTimeout)
	l.WriteStallTimeout = cmp.Or(s.WriteStallTimeout, l.WriteStallTimeout)
	l.MaxConns = cmp.Or(s.MaxConns, l.MaxConns)
	others := l != before
	switch n := s.MaxHeaderBytes; {
	case n > 0:
		l.MaxHeaderBytes = n + headSlop
	case n < 0:
		l.MaxHeaderBytes = -1
	}
	l.MaxHeaderFields = cmp.Or(s.MaxHeaderFields, l.MaxHeaderFields)
	if _, err := srv.Stats(); errors.Is(err, nng.ErrNotSupported) { // nor can it keep limits
		s.boundsHeads.Store(true)
	}
	if l == before {
		return nil
	}
	err := srv.SetLimits(l)
	if errors.Is(err, nng.ErrNotSupported) && !others {
		return nil // admit bounds the heads
	}
	return err
}

// Stats adds up what the nng servers have counted that we serve on: connections that a
// limit has ended, and what nng has refused before a handler could see it. What the
// handler's side refuses is Observe's.
//
// Errors: ErrNotSupported of package nng (a library that does not count).
func (s *Server) Stats() (nng.ServerStats, error) {
	s.mu.Lock()
	serving := slices.Collect(maps.Keys(s.serving))
	s.mu.Unlock()
	var sum nng.ServerStats
	for _, srv := range serving {
		stats, err := srv.Stats()
		if errors.Is(err, nng.ErrClosed) {
			continue
		}
		if err != nil {
			return sum, err
		}
		sum = sum.Add(stats)
	}
	return sum, nil
}

// headSlop is what a head may have beside names and values.
const headSlop = 4096

// RegisterOnShutdown registers a function that Shutdown calls, in a goroutine of its own: to
// end hijacked connections, which Shutdown leaves alone.
func (s *Server) RegisterOnShutdown(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onShutdown = append(s.onShutdown, f)
}

// Shutdown stops the nng servers gently: new requests get 503, "Connection: close" and
// Retry-After, those that are being served finish, and their connections end. Then our
// handlers come off the nng servers, and Serve returns. Where others have the address
// started, such as an nng.WSListener, they go on. Hijacked connections live on; their
// handlers are not waited for.
//
// If ctx ends first, Shutdown ends the contexts of the requests, makes their reads and
// writes fail, and returns the context's error.
func (s *Server) Shutdown(ctx context.Context) error { return s.stop(ctx) }

// Close stops the nng servers at once. Contexts of requests end, their connections are
// closed, but for hijacked ones.
func (s *Server) Close() error {
	now, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.stop(now); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// stop stops all nng servers side by side and then lets Serve return. Further calls wait
// for the same, with contexts of their own.
func (s *Server) stop(ctx context.Context) error {
	s.mu.Lock()
	first := !s.closing.Swap(true)
	serving, stopped := s.serving, s.stopped
	if first {
		s.idle = make(chan struct{})
		if s.inFlight == 0 {
			close(s.idle)
		}
		for _, f := range s.onShutdown {
			go f()
		}
	}
	s.mu.Unlock()
	type result struct {
		srv *nng.Server
		err error
	}
	results := make(chan result, len(serving))
	for srv := range serving {
		go func() { results <- result{srv, unlessStopped(srv.Stop(ctx))} }()
	}
	// Where others have the address started, Stop has nothing to wait for.
	err := s.wait(ctx)
	for range serving {
		r := <-results
		if err == nil {
			err = r.err
		}
		switch {
		case !first:
		case r.err == nil:
			remove(r.srv, serving[r.srv])
		default: // as long as nng has not stopped it would answer 404 without handlers
			go func() {
				_ = r.srv.Stop(context.Background())
				remove(r.srv, serving[r.srv])
			}()
		}
	}
	if first && stopped != nil {
		close(stopped)
	}
	return err
}

// remove takes handlers off an nng server, unless that was closed, and they with it.
func remove(srv *nng.Server, handlers []*nng.Handler) {
	for _, h := range handlers {
		_ = srv.DelHandler(h)
		_ = h.Close()
	}
}

// unlessStopped is no error for an nng server that somebody else has stopped.
func unlessStopped(err error) error {
	if errors.Is(err, nng.ErrState) || errors.Is(err, nng.ErrClosed) {
		return nil
	}
	return err
}

// wait returns when no request is being served. When ctx ends it cuts those short that are.
func (s *Server) wait(ctx context.Context) error {
	select {
	case <-s.idle:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inFlight == 0 {
		return nil
	}
	for w := s.active; w != nil; w = w.next {
		w.ctx.Cancel()
		go w.conn.Close() // the handler's reads and writes fail from here on
	}
	return ctx.Err()
}

// InFlight returns how many requests are being served, without hijacked ones.
func (s *Server) InFlight() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inFlight
}

// admit lets a request be served, or refuses it.
func (s *Server) admit(w *response, head nng.RequestHead) error {
	size, limit := 0, s.MaxHeaderBytes
	for _, f := range head.Headers {
		size += len(f.Name) + len(f.Value)
	}
	if limit == 0 && s.boundsHeads.Load() {
		limit = http.DefaultMaxHeaderBytes
	}
	if limit > 0 && size > limit || s.MaxHeaderFields > 0 && len(head.Headers) > s.MaxHeaderFields {
		return &refusal{http.StatusRequestHeaderFieldsTooLarge, "the head of the request is too large"}
	}
	if err := s.enter(w); err != nil {
		return err
	}
	if s.ReadTimeout > 0 {
		_ = w.conn.SetReadDeadline(time.Now().Add(s.ReadTimeout))
	}
	if s.WriteTimeout > 0 {
		_ = w.conn.SetWriteDeadline(time.Now().Add(s.WriteTimeout))
	}
	return nil
}

// enter notes a request as being served, unless there are too many.
func (s *Server) enter(w *response) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Load() {
		return &refusal{http.StatusServiceUnavailable, "the server is stopping"}
	}
	if s.MaxInFlight > 0 && s.inFlight >= s.MaxInFlight {
		return &refusal{http.StatusServiceUnavailable, "too many requests are being served"}
	}
	s.inFlight++
	w.entered = true
	if w.next = s.active; w.next != nil {
		w.next.prev = w
	}
	s.active = w
	return nil
}

// exit ends enter: when the request was served, or hijacked before.
func (s *Server) exit(w *response) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !w.entered {
		return
	}
	w.entered = false
	if w.next != nil {
		w.next.prev = w.prev
	}
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		s.active = w.next
	}
	w.next, w.prev = nil, nil
	s.inFlight--
	if s.inFlight == 0 && s.idle != nil {
		close(s.idle)
	}
}

// leave ends what admit has begun.
func (s *Server) leave(w *response, start time.Time) {
	s.exit(w)
	s.observe(w, start)
}

func (s *Server) observe(w *response, start time.Time) {
	if s.Observe == nil {
		return
	}
	if w.ended.IsZero() {
		w.ended = time.Now()
	}
	o := Observation{Duration: w.ended.Sub(start), Hijacked: w.hijacked.Load(), InFlight: s.InFlight()}
	if !w.inUse && w.headSent {
		o.Status = w.status
		if w.req.Method != http.MethodHead {
			o.Written = w.written
		}
	}
	s.Observe(w.req, o)
}
