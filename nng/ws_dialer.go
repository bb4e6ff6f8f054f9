package nng

import (
	"context"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"
)

// #include "ws_cgo.h"
import "C"

// WSDialer makes WebSocket connections to one URL (nng_stream_dialer, in message mode).
// All methods may be called concurrently; dials run side by side.
type WSDialer struct {
	wsOptions
	host    string
	secure  bool
	raw     string // the URL as C gets it
	tls     *cTLSConfig
	dials   sync.WaitGroup // in the hands of C
	frees   sync.WaitGroup // of their C dialers
	closing chan struct{}
}

// NewWSDialer makes a dialer for a URL such as "ws://127.0.0.1:8080/chat" or
// "wss://host/chat" (nng_stream_dialer_alloc). For wss the server's certificate is
// verified against the CAs given with SetTLS.
//
// Errors: ErrBadAddr, ErrNotSupported (wss without TLS, a library without HTTP),
// ErrNoMemory.
func NewWSDialer(rawURL string) (*WSDialer, error) {
	cu, u, err := parseWSURL("new ws dialer", rawURL)
	if err != nil {
		return nil, err
	}
	C.nng_url_free(cu)
	if u.Hostname() == "" {
		return nil, refuse("new ws dialer", rawURL, ErrBadAddr, "the URL names no host")
	}
	d := &WSDialer{
		wsOptions: wsOptions{kind: "ws dialer", url: rawURL},
		host:      u.Hostname(),
		secure:    isSecure(u.Scheme),
		raw:       withPath(rawURL, u),
		closing:   make(chan struct{}),
	}
	// Each dial has a C dialer of its own; this one shows whether there can be any.
	c, err := d.alloc("new ws dialer")
	if err != nil {
		return nil, err
	}
	freeWSDialer(c)
	return d, nil
}

// withPath adds the path that a URL may leave out.
func withPath(raw string, u *url.URL) string {
	if u.Path != "" {
		return raw
	}
	if at := strings.IndexByte(raw, '?'); at >= 0 {
		return raw[:at] + "/" + raw[at:]
	}
	return raw + "/"
}

// alloc makes a C dialer with all settings.
func (d *WSDialer) alloc(op string) (*C.nng_stream_dialer, error) {
	var c *C.nng_stream_dialer
	if rv := C.nngo_ws_dialer_alloc(&c, cstring(d.raw)); rv != 0 {
		return nil, check(op, d.url, int(rv))
	}
	live.wsDialers.Add(1)
	rv := d.apply(wsSetter{
		str:  func(name, value *C.char) C.int { return C.nng_stream_dialer_set_string(c, name, value) },
		bool: func(name *C.char, value C.bool) C.int { return C.nng_stream_dialer_set_bool(c, name, value) },
		size: func(name *C.char, value C.size_t) C.int { return C.nng_stream_dialer_set_size(c, name, value) },
	}, C.NNG_OPT_WS_REQUEST_HEADER)
	if rv == 0 && d.tls != nil {
		rv = Errno(C.nng_stream_dialer_set_ptr(c, cstring(C.NNG_OPT_TLS_CONFIG), unsafe.Pointer(d.tls.c)))
	}
	if rv != 0 {
		freeWSDialer(c)
		return nil, check(op, d.url, int(rv))
	}
	return c, nil
}

func freeWSDialer(c *C.nng_stream_dialer) {
	freeing()
	C.nng_stream_dialer_free(c)
	live.wsDialers.Add(-1)
}

// wsLost is how long a dialer that was closed may take to end its dial. It does so at
// once, or never: without our patch, when the close comes between two steps of the
// handshake (defect W13).
const wsLost = 250 * time.Millisecond

// Dial connects and does the handshake (nng_stream_dialer_dial). The server has two
// seconds for each step of that. A library without our patch wants "Upgrade: websocket" in
// just these letters (defect W7).
//
// Errors: ErrConnRefused (also status 404 and 405), ErrPermission (status 401 and 403),
// ErrProtocol (any other answer, the wrong sub-protocol), ErrTimedOut, ErrCanceled,
// ErrConnShut, ErrBadAddr, and for wss ErrPeerAuth and ErrCrypto; ErrClosed.
func (d *WSDialer) Dial(ctx context.Context) (*WSConn, error) {
	const op = "ws dial"
	fail := func(e Errno) (*WSConn, error) { return nil, &OpError{Op: op, URL: d.url, Err: e} }
	if ctx.Err() != nil {
		return fail(contextErrno(ctx))
	}
	d.mu.Lock()
	if d.closed || d.closing == nil { // closed, or the zero value
		d.mu.Unlock()
		return fail(ErrClosed)
	}
	d.tls.freeze()
	c, err := d.alloc(op)
	if err == nil {
		d.dials.Add(1)
	}
	d.mu.Unlock()
	if err != nil {
		return nil, err
	}
	defer d.dials.Done()
	o, rv := newOp()
	if rv != 0 {
		freeWSDialer(c)
		return fail(rv)
	}
	enterC()
	o.started(C.nngo_ws_dial(c, o.c))
	var why Errno
	select {
	case <-o.done:
	case <-ctx.Done():
		why = contextErrno(ctx)
	case <-d.closing:
		why = ErrClosed
	}
	if why != 0 && !d.abort(c, o) {
		return fail(why)
	}
	result, stream := o.result, (*C.nng_stream)(o.output)
	o.free()
	d.frees.Go(func() { freeWSDialer(c) }) // releases before 1.11 can block in that (defect CL14)
	switch {
	case result == 0:
		conn, rv := newWSConn(stream, &d.wsOptions, true)
		if rv != 0 {
			return fail(rv)
		}
		return conn, nil
	case why != 0:
		return fail(why)
	case result == ErrBadAddr:
		return nil, refuse(op, d.url, result, "the host is not found")
	default:
		return fail(connErrno(result))
	}
}

// abort ends a dial. Cancelling its aio would not do: without our patch nng may complete
// that a second time, as the handshake ends (defect W12). Closing the dialer is safe, but
// without our patch it has no effect between two steps of the handshake (defect W13).
// Then the dial never ends and C keeps the dialer and the connection forever, which
// abort tells with false, and it has freed o.
func (d *WSDialer) abort(c *C.nng_stream_dialer, o *op) bool {
	C.nng_stream_dialer_close(c)
	late := time.NewTimer(wsLost)
	defer late.Stop()
	select {
	case <-o.done:
		return true
	case <-late.C:
	}
	o.cancel() // now that nothing else goes on
	<-o.done
	// It may have been slow, not lost.
	if o.result == 0 || mends("w13") && mends("w12") && mends("w3-dialer") {
		return true
	}
	o.free()
	live.wsDialers.Add(-1) // it is C's now
	return false
}

// SetSendMaxFrame splits larger messages that are sent into frames of this size
// (NNG_OPT_WS_SENDMAXFRAME); 0 means never. It is 64 KiB to start with. A library without
// our patch ignores it (defect W4): the frames have up to 1 MiB then.
//
// Errors: ErrNotSupported (a library without the patch), ErrInvalid, ErrClosed.
func (d *WSDialer) SetSendMaxFrame(bytes int) error {
	if !mends("w4") {
		return refuse("ws dialer set send max frame", strconv.Itoa(bytes), ErrNotSupported, "this libnng ignores it; patch w4 mends that")
	}
	return d.setSize("set send max frame", &d.sendMaxFrame, bytes)
}

// SetHeader sets a header of the request and replaces one of the same name
// (NNG_OPT_WS_REQUEST_HEADER).
//
// Errors: ErrInvalid (not a header, or one that the handshake itself needs), ErrTooLong,
// ErrClosed.
func (d *WSDialer) SetHeader(name, value string) error { return d.setHeader(name, value) }

// SetTLS sets the TLS configuration (NNG_OPT_TLS_CONFIG). The dialer gets one of its own,
// made from cfg as it is now, with the URL's host as server name if cfg has none, as in
// Client.SetTLS.
//
// Errors: ErrNotSupported (a ws dialer), ErrInvalid, ErrNoMemory, ErrClosed.
func (d *WSDialer) SetTLS(cfg *TLSConfig) error {
	const op = "ws dialer set tls"
	if !d.secure {
		return refuse(op, d.url, ErrNotSupported, "only wss has TLS")
	}
	return cfg.use(op, func(s *tlsSettings) error {
		t, err := s.instance(op, TLSClient, d.host)
		if err != nil {
			return err
		}
		old := t
		err = d.set("set tls", func() { old, d.tls = d.tls, t })
		old.release()
		return err
	})
}

// URL returns the URL that the dialer was made for.
func (d *WSDialer) URL() string { return d.url }

// Close ends the dials that are running (nng_stream_dialer_close) and frees the dialer; it
// waits a second at most for C to do that. Connections stay. Closing twice is harmless.
func (d *WSDialer) Close() error {
	d.mu.Lock()
	if !d.closed && d.closing != nil {
		d.closed = true
		close(d.closing)
		d.tls.release()
		d.tls = nil
	}
	d.mu.Unlock()
	d.dials.Wait()
	freed := make(chan struct{})
	go func() {
		defer close(freed)
		d.frees.Wait()
	}()
	grace := time.NewTimer(closeGrace)
	defer grace.Stop()
	select {
	case <-freed:
	case <-grace.C:
	}
	return nil
}
