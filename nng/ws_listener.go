package nng

import (
	"context"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// #include "ws_cgo.h"
import "C"

// WSListener accepts WebSocket connections for one path (nng_stream_listener, in message
// mode). It shares its address, port and TLS configuration included, with every Server
// and WSListener that holds the same one.
//
// The port is open from the first Start or Listen on it until the last Stop or Close:
// a Server's Stop ends nothing as long as a WSListener listens, and the other way round.
//
// nng answers only requests whose Host header names the host of the URL: with
// "ws://127.0.0.1:8080/chat" those for "localhost:8080" go to other handlers, or get 404. A "*" as the host
// takes all, but has a port of its own: nng shares by host and port, as written.
//
// A library without our patch refuses clients whose Connection header has no blanks between
// its words, and those that ask for several sub-protocols (defect W7).
//
// All methods may be called concurrently.
type WSListener struct {
	wsOptions
	shared *cServer
	parsed *url.URL
	c      *C.nng_stream_listener // nil until Listen; guarded by mu

	accepts sync.WaitGroup // in the hands of C
	closing chan struct{}
	ended   chan struct{} // closed when C's listener is freed, or waits for others
}

// NewWSListener makes a listener for a URL such as "ws://127.0.0.1:8080/chat" or
// "wss://127.0.0.1:0/chat" (nng_stream_listener_alloc) and holds the server of its
// address. Port 0 is the one that is not started yet, see Server; to share the port of a
// running Server write the port that Server.Addr tells.
//
// Errors: ErrBadAddr, ErrAddrInUse (the address is held for http or ws and wanted for
// wss, or the other way round; nng would not notice, defect S25), ErrNotSupported (wss
// without TLS, a library without HTTP), ErrNoMemory.
func NewWSListener(rawURL string) (*WSListener, error) {
	cu, u, err := parseWSURL("new ws listener", rawURL)
	if err != nil {
		return nil, err
	}
	defer C.nng_url_free(cu)
	if u.RawQuery != "" || u.ForceQuery {
		return nil, refuse("new ws listener", strconv.Quote(short(rawURL)), ErrBadAddr, "a listener has a path and no query")
	}
	shared, err := holdCServer(cu, rawURL, isSecure(u.Scheme))
	if err != nil {
		return nil, err
	}
	live.wsListeners.Add(1)
	return &WSListener{
		wsOptions: wsOptions{kind: "ws listener", url: rawURL},
		shared:    shared,
		parsed:    u,
		closing:   make(chan struct{}),
		ended:     make(chan struct{}),
	}, nil
}

// open locks the listener for a call that needs it; nil means go on, and then unlock.
func (l *WSListener) open(op string) error {
	l.mu.Lock()
	if l.closed || l.shared == nil {
		l.mu.Unlock()
		return &OpError{Op: op, URL: l.url, Err: ErrClosed}
	}
	return nil
}

// SetSendMaxFrame splits larger messages that are sent into frames of this size
// (NNG_OPT_WS_SENDMAXFRAME); 0 means never. It is 64 KiB to start with.
//
// Errors: ErrInvalid, ErrBusy (it listens), ErrClosed.
func (l *WSListener) SetSendMaxFrame(bytes int) error {
	return l.setSize("set send max frame", &l.sendMaxFrame, bytes)
}

// SetHeader sets a header of the response and replaces one of the same name
// (NNG_OPT_WS_RESPONSE_HEADER). nng 1.5.2 crashes on that (defect W11), so it needs a
// library with our patch for it.
//
// Errors: ErrNotSupported (a library without the patch), ErrInvalid (not a header, or one
// that the handshake itself needs), ErrTooLong, ErrBusy (it listens), ErrClosed.
func (l *WSListener) SetHeader(name, value string) error {
	if !mends("w11") {
		return refuse("ws listener set header", name, ErrNotSupported, "this libnng would crash; patch w11 mends that")
	}
	return l.setHeader(name, value)
}

// SetTLS gives the address its TLS configuration, as Server.SetTLS does, before anybody
// starts it. If a Server on it has set one, that will do.
//
// Errors: ErrNotSupported (a ws listener), ErrBusy (started), ErrClosed.
func (l *WSListener) SetTLS(cfg *TLSConfig) error {
	if err := l.open("ws listener set tls"); err != nil {
		return err
	}
	defer l.mu.Unlock()
	return cfg.use("ws listener set tls", func(s *tlsSettings) error {
		t, err := s.instance("ws listener set tls", TLSServer, "")
		if err != nil {
			return err
		}
		return l.shared.setTLS(l.url, t)
	})
}

// Listen starts accepting connections (nng_stream_listener_listen), and opens the port
// unless it is open. When it fails it can be called again.
//
// Errors: ErrAddrInUse (the port is not ours, or the path has a handler for the same
// host; of one without a host, the first that was added gets the requests), ErrBadAddr,
// ErrPermission, ErrState (called before; the address is just being stopped), ErrClosed.
func (l *WSListener) Listen() error {
	const op = "ws listen"
	if err := l.open(op); err != nil {
		return err
	}
	defer l.mu.Unlock()
	if l.c != nil {
		return refuse(op, l.url, ErrState, "the listener listens already")
	}
	c, err := l.shared.listenWS(op, l)
	if err != nil {
		return err
	}
	l.c, l.frozen = c, true
	return nil
}

// listenWS makes and starts a C listener, which uses the same C server: it gets the
// server's host and real port.
//
// nng's listeners start and stop the server themselves. To stop it with the last one
// would hang if a handshake is going on (defect W6), and would cut off what drain waits
// for. So each gets a start of ours besides, to be ended with stop.
func (s *cServer) listenWS(op string, l *WSListener) (*C.nng_stream_listener, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isDraining() {
		return nil, refuse(op, l.url, ErrState, "the server for this address is stopping; make a new listener when it has")
	}
	raw := l.url
	if port := s.port(); port != 0 {
		raw = withPort(raw, l.parsed, port)
	}
	var c *C.nng_stream_listener
	if rv := C.nngo_ws_listener_alloc(&c, cstring(raw)); rv != 0 {
		return nil, check(op, l.url, int(rv))
	}
	rv := l.apply(wsSetter{
		str:  func(name, value *C.char) C.int { return C.nng_stream_listener_set_string(c, name, value) },
		bool: func(name *C.char, value C.bool) C.int { return C.nng_stream_listener_set_bool(c, name, value) },
		size: func(name *C.char, value C.size_t) C.int { return C.nng_stream_listener_set_size(c, name, value) },
	}, C.NNG_OPT_WS_RESPONSE_HEADER)
	s.limitPending(c)
	s.tls.freeze()
	if rv == 0 {
		rv = Errno(C.nngo_ws_listen(c))
	}
	if rv == 0 {
		if rv = Errno(C.nngo_server_start(s.c)); rv == 0 { // counts, no more
			if s.starts++; s.starts == 1 {
				s.watch()
			}
			s.ws[c] = struct{}{}
			return c, nil
		}
	}
	C.nng_stream_listener_free(c) // one that failed is of no use (defect W1)
	switch {
	case rv == ErrAddrInUse && s.starts > 0:
		return nil, refuse(op, l.url, rv, "there is a handler for the path")
	case rv == ErrBadAddr:
		return nil, refuse(op, l.url, rv, "it is not an address of this machine")
	}
	return nil, check(op, l.url, int(rv))
}

type wsListeners map[*C.nng_stream_listener]struct{}

// limitPending bounds the wait of a connection for an accept. A library without our patch
// has no such option: there it waits forever (defect W23). The lock is held.
func (s *cServer) limitPending(c *C.nng_stream_listener) {
	C.nng_stream_listener_set_ms(c, cstring(C.NNGO_WS_PENDING_TIME),
		limitMS(s.limits.ReadHeaderTimeout, DefaultReadHeaderTimeout))
}

// forgetWS comes before a C listener is closed and freed.
func (s *cServer) forgetWS(c *C.nng_stream_listener) {
	s.mu.Lock()
	delete(s.ws, c)
	s.mu.Unlock()
}

// port is the port that the server listens on, 0 when it does not yet.
func (s *cServer) port() int {
	var sa C.nng_sockaddr
	if C.nng_http_server_get_addr(s.c, &sa) == 0 {
		if a := tcpAddr(&sa); a != nil {
			return a.Port
		}
	}
	return 0
}

// withPort writes another port into a URL and leaves the rest as it is: nng compares
// hosts as text.
func withPort(raw string, u *url.URL, port int) string {
	start := len(u.Scheme) + len("://")
	end := start + strings.IndexAny(raw[start:]+"/", "/?#")
	host := strings.TrimSuffix(raw[start:end], ":"+u.Port())
	return raw[:start] + host + ":" + strconv.Itoa(port) + raw[end:]
}

// Addr returns the address that the listener listens on, with the real port.
//
// Errors: ErrState (it does not listen), ErrClosed.
func (l *WSListener) Addr() (net.Addr, error) {
	const op = "ws listener addr"
	if err := l.open(op); err != nil {
		return nil, err
	}
	defer l.mu.Unlock()
	if l.c == nil {
		return nil, refuse(op, l.url, ErrState, "the listener does not listen")
	}
	return l.shared.addr(op, l.url)
}

// URL returns the URL of the listener, once it listens with the real port, for a
// WSDialer.
func (l *WSListener) URL() string {
	if err := l.open(""); err != nil {
		return l.url
	}
	defer l.mu.Unlock()
	if port := l.shared.port(); l.c != nil && port != 0 {
		return withPort(l.url, l.parsed, port)
	}
	return l.url
}

// Accept waits for a connection whose handshake is done (nng_stream_listener_accept).
// Connections that nobody accepts wait in C, up to 4096; further clients get status 503. One
// that has waited for 30 seconds, or the ReadHeaderTimeout that a Server on the address has
// set (Limits), is closed with code 1001, and counted as one of AcceptTimeouts. (In a library
// without our patches they wait in any number and forever, also when the peers have left,
// defects W15 and W23.)
//
// Errors: ErrState (it does not listen), ErrCanceled, ErrTimedOut, ErrNoMemory, ErrClosed.
func (l *WSListener) Accept(ctx context.Context) (*WSConn, error) {
	const op = "ws accept"
	if err := l.open(op); err != nil {
		return nil, err
	}
	if l.c == nil {
		l.mu.Unlock()
		return nil, refuse(op, l.url, ErrState, "the listener does not listen")
	}
	if ctx.Err() != nil {
		l.mu.Unlock()
		return nil, &OpError{Op: op, URL: l.url, Err: contextErrno(ctx)}
	}
	l.accepts.Add(1)
	l.mu.Unlock()
	o, rv := newOp()
	if rv != 0 {
		l.accepts.Done()
		return nil, &OpError{Op: op, URL: l.url, Err: rv}
	}
	enterC()
	o.started(C.nngo_ws_accept(l.c, o.c))
	result, ok := o.wait(ctx, l.closing)
	if !ok {
		go func() {
			defer l.accepts.Done()
			<-o.done
			o.dropStream()
		}()
		return nil, &OpError{Op: op, URL: l.url, Err: result}
	}
	defer l.accepts.Done()
	if result != 0 {
		o.free()
		return nil, &OpError{Op: op, URL: l.url, Err: result}
	}
	stream := (*C.nng_stream)(o.output)
	o.free()
	conn, rv := newWSConn(stream, &l.wsOptions, false)
	if rv != 0 {
		return nil, &OpError{Op: op, URL: l.url, Err: rv}
	}
	return conn, nil
}

// dropStream frees a completed op, and the stream that it may have got.
func (o *op) dropStream() (got bool) {
	if got = o.result == 0; got {
		C.nng_stream_free((*C.nng_stream)(o.output))
	}
	o.free()
	return got
}

// wsSettle is how long handshakes that were cut off may take to let go of the listener.
// Without our patch nng tells nobody when they have (defect W3).
const wsSettle = 100 * time.Millisecond

// wsDrain bounds the fetching of connections that nobody has accepted: clients may bring
// new ones all the time. wsSpare is how many more may come about as the listener closes.
const (
	wsDrain = 100 * time.Millisecond
	wsSpare = 16
)

// Close ends the listening (nng_stream_listener_close). Accepts that wait return
// ErrClosed; connections that nobody has accepted are closed; the others stay. If nobody
// else has the address started, the port is closed: Close waits a second for handlers that
// are still running, then their contexts end. Otherwise everything has been freed when it
// returns. Closing twice is harmless. In a library without our patches, C can keep
// connections that many clients are bringing in this very moment (defect W2), and the
// listener until the address is stopped for all (defect W19).
func (l *WSListener) Close() error {
	if l.shared == nil { // the zero value
		return nil
	}
	grace := time.NewTimer(closeGrace)
	defer grace.Stop()
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		select {
		case <-l.ended:
		case <-grace.C:
		}
		return nil
	}
	l.closed = true
	close(l.closing)
	c := l.c
	l.mu.Unlock()
	if c == nil {
		l.release()
		close(l.ended)
		return nil
	}
	go l.close(c)
	select {
	case <-l.ended:
	case <-grace.C:
		l.shared.abortIfDraining()
	}
	return nil
}

func (l *WSListener) close(c *C.nng_stream_listener) {
	defer close(l.ended)
	l.shared.forgetWS(c)
	l.accepts.Wait()
	settled := closeWSListener(c)
	stopped, _ := l.shared.stop()
	<-stopped
	free := func() {
		<-settled
		freeing()
		C.nng_stream_listener_free(c)
		l.release()
	}
	if mends("w19") && mends("w3-listener") {
		free()
		return
	}
	// Without our patches a request may still be on its way into C's listener, until
	// the server has stopped for all, and the free may never return.
	l.shared.whenStopped(free)
}

// closeWSListener closes a C listener. When the channel is closed, it may be freed.
func closeWSListener(c *C.nng_stream_listener) (settled chan struct{}) {
	settled = make(chan struct{})
	if mends("w2") && mends("w3-listener") {
		C.nng_stream_listener_close(c)
		close(settled)
		return settled
	}
	// nng forgets the connections that nobody has accepted, and the accepts that wait
	// (defect W2). So the former are fetched before, and some accepts are left in
	// place for those that come meanwhile.
	for end := time.Now().Add(wsDrain); acceptNow(c) && time.Now().Before(end); {
	}
	var spare []*op
	for range wsSpare {
		if o, rv := newOp(); rv == 0 {
			enterC()
			o.started(C.nngo_ws_accept(c, o.c))
			spare = append(spare, o)
		}
	}
	C.nng_stream_listener_close(c)
	go func() {
		defer close(settled)
		time.Sleep(wsSettle)
		for _, o := range spare {
			o.cancel()
			<-o.done
			o.dropStream()
		}
	}()
	return settled
}

// acceptNow fetches and drops a connection that waits, if there is one.
func acceptNow(c *C.nng_stream_listener) bool {
	o, rv := newOp()
	if rv != 0 {
		return false
	}
	enterC()
	o.started(C.nngo_ws_accept(c, o.c))
	o.cancel()
	<-o.done
	return o.dropStream()
}

func (l *WSListener) release() {
	l.shared.release(nil)
	live.wsListeners.Add(-1)
}
