package nng

import (
	"strconv"
	"unsafe"
)

// #include "http_cgo.h"
import "C"

// Response is an HTTP response (nng_http_res).
//
// The caller of NewResponse owns it and closes it, unless a handler returns it:
// then it belongs to the server. All methods may be called concurrently. Errors of those that
// change it: ErrInvalid (a status that is not 100 to 999, what C would misread), ErrBusy (an
// operation uses it), ErrClosed, ErrNoMemory.
type Response struct {
	message
	isError bool
	draft   draft
}

// NewResponse makes a "200 OK" without a body (nng_http_res_alloc).
//
// Errors: ErrNotSupported (a library without HTTP), ErrNoMemory.
func NewResponse() (*Response, error) {
	if !haveHTTP() {
		return nil, &OpError{Op: "new response", Err: ErrNotSupported}
	}
	r := &Response{message: message{kind: "response"}, draft: draft{status: 200}}
	r.message.draft = &r.draft
	return r, nil
}

// WholeResponse makes a response that is sent as it is: p has the first line, the fields
// and the body; it is copied. It is for handlers that frame their responses themselves, such
// as adapters for other kinds of handlers. Only a handler can use it, by returning it. Without
// any bytes it ends the connection.
func WholeResponse(p []byte) *Response {
	r := &Response{message: message{kind: "response"}, draft: draft{whole: true}}
	r.draft.copyBody(p)
	r.message.draft = &r.draft
	return r
}

// NewErrorResponse makes a response with an HTML page that shows the status
// (nng_http_res_alloc_error). A server that has an error page for the status
// (Server.SetErrorPage) sends that instead.
//
// Errors: ErrInvalid (status not 100 to 999), ErrNotSupported, ErrNoMemory.
func NewErrorResponse(status int) (*Response, error) {
	if err := checkStatus("new error response", status); err != nil {
		return nil, err
	}
	r := &Response{message: message{kind: "response"}, isError: true}
	if err := check("new error response", "", int(C.nng_http_res_alloc_error(&r.res, C.uint16_t(status)))); err != nil {
		return nil, err
	}
	own(r, &r.message)
	return r, r.SetReason("")
}

func checkStatus(op string, status int) error {
	if status < 100 || status > 999 {
		return refuse(op, strconv.Itoa(status), ErrInvalid, "a status has three digits")
	}
	return nil
}

// missingReasons are the reason phrases of registered status codes that nng's
// table lacks (defect P29).
var missingReasons = map[int]string{
	103: "Early Hints", 207: "Multi-Status", 208: "Already Reported", 226: "IM Used",
	308: "Permanent Redirect", 413: "Content Too Large", 421: "Misdirected Request",
	422: "Unprocessable Content", 425: "Too Early", 502: "Bad Gateway",
}

// Status returns the status code (nng_http_res_get_status).
func (r *Response) Status() int {
	if r.begin("status", false) != nil {
		return 0
	}
	defer r.mu.Unlock()
	return int(C.nng_http_res_get_status(r.res))
}

// SetStatus sets the status code, from 100 to 999, and its usual reason phrase
// (nng_http_res_set_status).
func (r *Response) SetStatus(status int) error {
	if err := checkStatus("response set status", status); err != nil {
		return err
	}
	if d, err := r.lockDraft("set status"); err != nil {
		return err
	} else if d != nil {
		d.status = status
		r.mu.Unlock()
		return nil
	}
	return r.set("set status", "", func() C.int {
		if rv := C.nng_http_res_set_status(r.res, C.uint16_t(status)); rv != 0 {
			return rv
		}
		return C.nng_http_res_set_reason(r.res, cstringOrNil(missingReasons[status]))
	})
}

// Reason returns the reason phrase, such as "Not Found" (nng_http_res_get_reason).
func (r *Response) Reason() string {
	return r.get(func() *C.char { return C.nng_http_res_get_reason(r.res) })
}

// SetReason sets the reason phrase; "" means the usual one for the status
// (nng_http_res_set_reason).
func (r *Response) SetReason(reason string) error {
	if hasControl(reason) || len(reason) > maxToken {
		return refuse("response set reason", strconv.Quote(short(reason)), ErrInvalid, "a reason phrase is short and holds no control characters")
	}
	return r.set("set reason", reason, func() C.int {
		if reason == "" {
			reason = missingReasons[int(C.nng_http_res_get_status(r.res))]
		}
		return C.nng_http_res_set_reason(r.res, cstringOrNil(reason))
	})
}

// Reset brings the response back to the state of NewResponse
// (nng_http_res_reset).
func (r *Response) Reset() error {
	if err := r.begin("reset", false); err != nil {
		return err
	}
	defer r.mu.Unlock()
	r.unpin()
	C.nng_http_res_reset(r.res)
	r.sent = false
	if r.isError && !r.borrowed {
		// nng does not forget that it was an error response, and would put the
		// error page into it again (defect CL22).
		var fresh *C.nng_http_res
		if err := check("response reset", "", int(C.nng_http_res_alloc(&fresh))); err != nil {
			return err
		}
		r.cleanup.Stop()
		freeMessage(cMessage{res: r.res, pin: r.pin})
		r.res, r.isError = fresh, false
		own(r, &r.message)
	}
	return nil
}

func (r *Response) whole() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.message.draft != nil && r.message.draft.whole
}

// take hands the C object over to a caller that frees it. The response is closed
// by that. A pinned body is copied first: nobody would tell when to unpin it.
func (r *Response) take(op string) (*C.nng_http_res, error) {
	if err := r.begin(op, false); err != nil {
		return nil, err
	}
	defer r.mu.Unlock()
	if len(r.pinned) > 0 {
		if err := check(op, "", int(C.nng_http_res_copy_data(r.res, unsafe.Pointer(&r.pinned[0]), C.size_t(len(r.pinned))))); err != nil {
			return nil, err
		}
		r.pin.Unpin()
		r.pinned = nil
	}
	res := r.res
	r.res = nil
	r.cleanup.Stop()
	live.messages.Add(-1)
	return res, nil
}
