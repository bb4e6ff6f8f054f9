package nng

import (
	"context"
	"iter"
	"log/slog"
	"math"
	"strings"
	"time"
)

// #include "http_cgo.h"
import "C"

// The limits of a Server where Limits has 0.
const (
	DefaultReadHeaderTimeout   = 30 * time.Second
	DefaultIdleTimeout         = 3 * time.Minute
	DefaultTLSHandshakeTimeout = 10 * time.Second
	DefaultWriteStallTimeout   = 30 * time.Second
	DefaultMaxHeaderBytes      = 1 << 20
	DefaultMaxHeaderFields     = 1000
)

// Limits bound what peers can hold of a Server by being slow, silent, many or large. Each that is
// 0 has its default, so the zero value is safe on an open network; one below 0 is no limit.
//
// A connection whose time is over is closed without an answer, as by net/http, at most a
// second late. What a connection waits for decides which limit it has:
//
//	the TLS handshake                        TLSHandshakeTimeout
//	the head of the first request            ReadHeaderTimeout, since accept or handshake
//	the first byte of a later one            IdleTimeout
//	the rest of that head                    ReadHeaderTimeout
//	a body that is collected (CollectBody)   ReadHeaderTimeout, and a second for each KiB,
//	                                         for each part: 16 KiB, then as much as has come
//	a handler, or its reads                  none; see Conn's deadlines
//	the client, to take what is sent to it   WriteStallTimeout
//	a WebSocket, for WSListener.Accept       ReadHeaderTimeout, since the handshake
//	nothing, it was hijacked                 none
type Limits struct {
	// ReadHeaderTimeout is how long the head of a request may take. That a part of it
	// comes does not extend it.
	ReadHeaderTimeout time.Duration

	// IdleTimeout is how long a connection may wait for the next request.
	IdleTimeout time.Duration

	// TLSHandshakeTimeout is how long the handshake may take, from the accept on.
	TLSHandshakeTimeout time.Duration

	// WriteStallTimeout is how long a client may take no byte of a response, also of one
	// that a handler is writing, whose Write then returns ErrConnShut. A slow reader gets
	// all of it, as long as its system confirms some bytes in that time: one with a small
	// receive buffer may confirm 2 KiB at once and then nothing for long. A TLS library takes
	// whole records, of up to 16 KiB, so over TLS a client has to read 550 bytes a second.
	WriteStallTimeout time.Duration

	// MaxConns bounds the open connections, without hijacked ones, and without WebSockets, also
	// those that wait for WSListener.Accept; its default is none.
	// When there are as many, the first request of another is answered with 503,
	// "Connection: close" and "Retry-After: 1". That takes a descriptor, for a second at
	// most, so there are 64 of these at a time; others are closed at once. They do not
	// wait in the backlog, because whoever waits there learns nothing, while those that
	// have the connections may keep them for as long as the limits allow.
	MaxConns int

	// MaxHeaderBytes bounds the head of a request, from the request line to the empty line,
	// and MaxHeaderFields its lines with fields. A larger head is answered with 431, or 414
	// where the request line alone is too long, and the
	// connection closed; nng reads no further and keeps nothing of it. A single line has
	// 64 KiB at the most, whatever is set. Connections that are open keep what they have.
	MaxHeaderBytes  int
	MaxHeaderFields int
}

// limitSize is a limit of heads as C wants it: 0 for the default.
func limitSize(n int) C.size_t {
	if n < 0 {
		return math.MaxInt
	}
	return C.size_t(n)
}

// limitMS is a limit as C wants it: in milliseconds, 0 for none.
func limitMS(d, otherwise time.Duration) C.int32_t {
	switch {
	case d < 0:
		return 0
	case d == 0:
		d = otherwise
	}
	return C.int32_t(min((d+time.Millisecond-1)/time.Millisecond, math.MaxInt32))
}

// wanted names the limits that are not left to the defaults.
func (l Limits) wanted() string {
	var names []string
	for _, x := range []struct {
		name string
		set  bool
	}{
		{"ReadHeaderTimeout", l.ReadHeaderTimeout > 0},
		{"IdleTimeout", l.IdleTimeout > 0},
		{"TLSHandshakeTimeout", l.TLSHandshakeTimeout > 0},
		{"WriteStallTimeout", l.WriteStallTimeout > 0},
		{"MaxConns", l.MaxConns > 0},
		{"MaxHeaderBytes", l.MaxHeaderBytes > 0},
		{"MaxHeaderFields", l.MaxHeaderFields > 0},
	} {
		if x.set {
			names = append(names, x.name)
		}
	}
	return strings.Join(names, ", ")
}

// SetLimits sets the limits of the server, at any time; they hold from then on, also for
// connections that are open, except MaxHeaderBytes and MaxHeaderFields, which hold for new ones.
// All who hold the address share them. A Server that nobody has set them for has the defaults.
//
// A library without our patches has no limits: it waits forever, and the defaults cannot
// be kept (defect S16). Put a proxy in front there.
//
// Errors: ErrNotSupported (a limit was set, and the library cannot keep it), ErrClosed.
func (s *Server) SetLimits(l Limits) error {
	if err := s.open("set limits"); err != nil {
		return err
	}
	defer s.mu.Unlock()
	return s.shared.setLimits(s.url, l)
}

// Limits returns what SetLimits has set, 0 where the defaults hold.
func (s *Server) Limits() Limits {
	if s.shared == nil { // the zero value
		return Limits{}
	}
	s.shared.mu.Lock()
	defer s.shared.mu.Unlock()
	return s.shared.limits
}

func (s *cServer) setLimits(url string, l Limits) error {
	if names := l.wanted(); names != "" && !haveLimits() {
		return refuse("set limits", url, ErrNotSupported, "this library cannot keep "+names+" (defect S16)")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limits = l
	s.applyLimits()
	return nil
}

// applyLimits tells C.
func (s *cServer) applyLimits() {
	l := s.limits
	C.nngo_server_limits(s.c, C.nngo_limits{
		header:      limitMS(l.ReadHeaderTimeout, DefaultReadHeaderTimeout),
		idle:        limitMS(l.IdleTimeout, DefaultIdleTimeout),
		handshake:   limitMS(l.TLSHandshakeTimeout, DefaultTLSHandshakeTimeout),
		write:       limitMS(l.WriteStallTimeout, DefaultWriteStallTimeout),
		conns:       C.int(min(max(l.MaxConns, 0), math.MaxInt32)),
		head_bytes:  limitSize(l.MaxHeaderBytes),
		head_fields: limitSize(l.MaxHeaderFields),
	})
	for c := range s.ws {
		s.limitPending(c)
	}
}

// haveLimits asks the library whether it has limits (patch S16).
func haveLimits() bool { return bool(C.nngo_have_limits()) }

// ServerStats says how many connections a server has, and what it has refused since it was
// first held: connections that a limit has ended, connections over MaxConns, and requests
// that nng itself has refused, which never reach a handler.
type ServerStats struct {
	Conns int // that are open, without hijacked and refused ones

	HeaderTimeouts    uint64 // connections ended by ReadHeaderTimeout
	IdleTimeouts      uint64 // by IdleTimeout
	HandshakeTimeouts uint64 // by TLSHandshakeTimeout
	BodyTimeouts      uint64 // in a body that nng collects
	WriteStalls       uint64 // by WriteStallTimeout
	RefusedConns      uint64 // connections over MaxConns
	AcceptErrors      uint64 // times that there was no file descriptor, or memory, to accept
	HeadersTooLarge   uint64 // requests answered with 414 or 431
	BodiesTooLarge    uint64 // with 413: handshakes of WebSockets
	BadRequests       uint64 // with 400, 501 or 505; also bodies larger than CollectBody allows
	AcceptTimeouts    uint64 // WebSockets that nobody has accepted in time
}

// Add adds the counts of another server.
func (s ServerStats) Add(t ServerStats) ServerStats {
	s.Conns += t.Conns
	s.HeaderTimeouts += t.HeaderTimeouts
	s.IdleTimeouts += t.IdleTimeouts
	s.HandshakeTimeouts += t.HandshakeTimeouts
	s.BodyTimeouts += t.BodyTimeouts
	s.WriteStalls += t.WriteStalls
	s.RefusedConns += t.RefusedConns
	s.AcceptErrors += t.AcceptErrors
	s.HeadersTooLarge += t.HeadersTooLarge
	s.BodiesTooLarge += t.BodiesTooLarge
	s.BadRequests += t.BadRequests
	s.AcceptTimeouts += t.AcceptTimeouts
	return s
}

// All yields the name and value of each count but Conns. The names are made for metrics.
func (s ServerStats) All() iter.Seq2[string, uint64] {
	return func(yield func(string, uint64) bool) {
		_ = yield("header_timeout", s.HeaderTimeouts) &&
			yield("idle_timeout", s.IdleTimeouts) &&
			yield("handshake_timeout", s.HandshakeTimeouts) &&
			yield("body_timeout", s.BodyTimeouts) &&
			yield("write_stall", s.WriteStalls) &&
			yield("max_conns", s.RefusedConns) &&
			yield("accept_error", s.AcceptErrors) &&
			yield("head_too_large", s.HeadersTooLarge) &&
			yield("body_too_large", s.BodiesTooLarge) &&
			yield("bad_request", s.BadRequests) &&
			yield("accept_timeout", s.AcceptTimeouts)
	}
}

// Stats counts for all who hold the address.
//
// Errors: ErrNotSupported (a library without our patches), ErrClosed.
func (s *Server) Stats() (ServerStats, error) {
	if err := s.open("server stats"); err != nil {
		return ServerStats{}, err
	}
	defer s.mu.Unlock()
	if !haveLimits() {
		return ServerStats{}, refuse("server stats", s.url, ErrNotSupported, "this library does not count (defect S16)")
	}
	return s.shared.stats(), nil
}

func (s *cServer) stats() ServerStats {
	var n [C.NNGO_STATS]C.uint64_t
	C.nngo_server_stats(s.c, &n[0])
	return ServerStats{
		Conns:             int(n[0]),
		HeaderTimeouts:    uint64(n[1]),
		IdleTimeouts:      uint64(n[2]),
		HandshakeTimeouts: uint64(n[3]),
		BodyTimeouts:      uint64(n[4]),
		WriteStalls:       uint64(n[5]),
		RefusedConns:      uint64(n[6]),
		AcceptErrors:      uint64(n[7]),
		HeadersTooLarge:   uint64(n[8]),
		BodiesTooLarge:    uint64(n[9]),
		BadRequests:       uint64(n[10]),
		AcceptTimeouts:    uint64(n[11]),
	}
}

// SetErrorLog sets where the server reports what Stats counts: one line for each kind, at
// most every ten seconds, with the number. The level is Warn, for requests that nng refuses
// Info, and for idle connections, which are no fault, Debug. nil means slog.Default. All who
// hold the address share it.
func (s *Server) SetErrorLog(log *slog.Logger) {
	if s.shared == nil { // the zero value
		return
	}
	s.shared.mu.Lock()
	s.shared.log = log
	s.shared.mu.Unlock()
}

// reportInterval is how often a line can come for each kind.
const reportInterval = 10 * time.Second

// watch begins to report. The lock is held.
func (s *cServer) watch() {
	if haveLimits() {
		s.listening, _ = s.addr("server addr", "")
		s.reporter = time.AfterFunc(s.reportEvery, func() {
			s.mu.Lock()
			var report func()
			if !s.stopped {
				report = s.report()
				s.reporter.Reset(s.reportEvery)
			}
			s.mu.Unlock()
			if report != nil {
				report()
			}
		})
	}
}

// unwatch gives the last report, when C has stopped. The lock is held.
func (s *cServer) unwatch() (report func()) {
	if s.reporter == nil {
		return func() {}
	}
	s.reporter.Stop()
	return s.report()
}

// report gives a function that logs what has been counted since the last time. The lock is
// held, but not when the function is called: a logger may ask the server.
func (s *cServer) report() func() {
	log, addr, before, stats := s.log, s.listening, make(map[string]uint64), s.stats()
	if log == nil {
		log = slog.Default()
	}
	for name, n := range s.reported.All() {
		before[name] = n
	}
	s.reported = stats
	return func() {
		for name, n := range stats.All() {
			if n -= before[name]; n == 0 {
				continue
			}
			level := slog.LevelWarn
			switch name {
			case "idle_timeout":
				level = slog.LevelDebug
			case "head_too_large", "body_too_large", "bad_request":
				level = slog.LevelInfo
			}
			log.Log(context.Background(), level, "nng: connections ended or refused", "reason", name, "count", n, "addr", addr)
		}
	}
}
