package nng

import (
	"net/url"
	"strconv"
	"strings"
	"time"
)

// #include "http_cgo.h"
import "C"

// Request is an HTTP request (nng_http_req).
//
// A request made with NewRequest is owned by the caller, who closes it. The
// request that a handler gets is borrowed: it ends when the handler returns, and
// its methods answer ErrClosed or the zero value from then on. If the handler has
// hijacked the connection, the request lives on and is closed with the connection.
//
// All methods may be called concurrently. Errors of those that change it: ErrInvalid (what C
// would misread), ErrBusy (an operation uses it), ErrState (its head has been sent),
// ErrClosed, ErrNoMemory.
type Request struct {
	message
}

// NewRequest makes a GET request for a URL (nng_http_req_alloc). The Host header is
// set from the URL and the URI is its path and query, as they are escaped; "/" when the
// path is empty, and without the fragment (RFC 9110, section 4.2.5). With an empty rawURL neither
// is set, and SetURI and SetHeader("Host", …) are the caller's.
//
// Errors: ErrBadAddr, ErrNotSupported (a library without HTTP), ErrNoMemory.
func NewRequest(rawURL string) (*Request, error) {
	r := &Request{message: message{kind: "request"}}
	if rawURL == "" {
		if err := check("new request", "", int(C.nng_http_req_alloc(&r.req, nil))); err != nil {
			return nil, err
		}
		own(r, &r.message)
		return r, nil
	}
	cu, u, err := parseURL("new request", rawURL)
	if err != nil {
		return nil, err
	}
	defer C.nng_url_free(cu)
	if u.Host == "" || u.Hostname() == "" {
		return nil, refuse("new request", rawURL, ErrBadAddr, "the URL names no host")
	}
	if err := check("new request", rawURL, int(C.nng_http_req_alloc(&r.req, cu))); err != nil {
		return nil, err
	}
	own(r, &r.message)
	if err := r.mendTarget(u); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// mendTarget corrects what nng_http_req_alloc makes of a URL: an empty path, a fragment, an
// IPv6 host without brackets (defect CL12), and escapes that it has decoded, which leaves
// bytes that no request target may have.
func (r *Request) mendTarget(u *url.URL) error {
	if uri := u.RequestURI(); uri != r.URI() {
		if err := r.SetURI(uri); err != nil {
			return err
		}
	}
	if strings.Contains(u.Hostname(), ":") {
		host := "[" + u.Hostname() + "]"
		if p := u.Port(); p != "" && p != defaultPort(u.Scheme) {
			host += ":" + p
		}
		return r.SetHeader("Host", host)
	}
	return nil
}

func defaultPort(scheme string) string {
	if isSecure(scheme) {
		return "443"
	}
	return "80"
}

// isSecure reports whether a scheme means TLS: https, wss and their 4 and 6 forms.
func isSecure(scheme string) bool {
	switch strings.TrimRight(scheme, "46") {
	case "https", "wss":
		return true
	}
	return false
}

// Method returns the method, such as "GET" (nng_http_req_get_method).
func (r *Request) Method() string {
	return r.get(func() *C.char { return C.nng_http_req_get_method(r.req) })
}

// SetMethod sets the method; "" means "GET" (nng_http_req_set_method).
func (r *Request) SetMethod(method string) error {
	if method != "" && !isToken(method) {
		return refuse("request set method", strconv.Quote(short(method)), ErrInvalid, "a method is a token, such as GET")
	}
	m := cstringOrNil(method)
	return r.set("set method", method, func() C.int { return C.nng_http_req_set_method(r.req, m) })
}

// URI returns the request target as it stands on the wire, escaped
// (nng_http_req_get_uri).
func (r *Request) URI() string {
	return r.get(func() *C.char { return C.nng_http_req_get_uri(r.req) })
}

// SetURI sets the request target, escaped: a path and query starting with "/", an
// absolute URI, or "*" (nng_http_req_set_uri).
func (r *Request) SetURI(uri string) error {
	switch {
	case uri == "":
		return refuse("request set uri", `""`, ErrInvalid, `the request target is empty; write "/"`)
	case hasSpaceOrControl(uri):
		return refuse("request set uri", strconv.Quote(short(uri)), ErrInvalid, "blanks and control characters must be escaped")
	case hasAbove127(uri):
		return refuse("request set uri", strconv.QuoteToASCII(short(uri)), ErrInvalid, "bytes above 127 must be escaped")
	case len(uri) > maxHeaderValue:
		return refuse("request set uri", short(uri), ErrTooLong, "the request target is too long")
	}
	u := cstring(uri)
	return r.set("set uri", uri, func() C.int { return C.nng_http_req_set_uri(r.req, u) })
}

// RequestHead is all that a request says before its body, and where it comes from.
type RequestHead struct {
	Method  string
	URI     string // the request target as it stands on the wire
	Version string
	Headers []HeaderField

	// RemoteAddr is the client's address, as host:port, if a handler got the request and
	// libnng tells it (see Conn.LocalAddr); otherwise it is "".
	RemoteAddr string
}

// Head returns the whole head with one call into C: Method, URI, Version and Headers.
// Errors: those of Headers.
func (r *Request) Head() (RequestHead, error) {
	if err := r.begin("head", false); err != nil {
		return RequestHead{}, err
	}
	defer r.mu.Unlock()
	start, fields, peer, err := r.head(true)
	return RequestHead{start[0], start[1], start[2], fields, peer}, err
}

// Reset brings the request back to the state of NewRequest("")
// (nng_http_req_reset).
func (r *Request) Reset() error {
	if err := r.begin("reset", false); err != nil {
		return err
	}
	defer r.mu.Unlock()
	r.unpin()
	C.nng_http_req_reset(r.req)
	r.sent = false
	return nil
}

// sendable refuses a request that C could not write. The request is acquired.
func (r *Request) sendable(op string) error {
	// nng says "" of one that has none, and would fail only after it has the request, in a
	// way that ends the connection (defect CL21).
	if uri := C.nng_http_req_get_uri(r.req); uri == nil || *uri == 0 {
		return refuse(op, "", ErrInvalid, "the request has no URI; call SetURI")
	}
	return nil
}

// adopt makes a borrowed request ours: its connection was hijacked. If it was closed
// already, it is freed now.
func (r *Request) adopt() {
	r.mu.Lock()
	defer r.mu.Unlock()
	own(r, &r.message)
	if r.doomed && r.using == 0 {
		r.free()
	}
}

// leave makes the request forget the connection that it came with.
func (r *Request) leave() {
	r.mu.Lock()
	r.conn = nil
	r.mu.Unlock()
}

// expire ends a borrowed request: the handler has returned. An operation of nng
// that still uses it, on another connection, is waited for; that is seldom, so
// asking again does.
func (r *Request) expire() {
	r.mu.Lock()
	r.doomed = true
	for r.using > 0 {
		r.mu.Unlock()
		time.Sleep(time.Millisecond)
		r.mu.Lock()
	}
	r.mu.Unlock()
}
