package nng

import (
	"bytes"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"
)

// #include "http_cgo.h"
import "C"

// A draft is a response that C has not seen yet. Most responses that handlers return stay
// drafts until they are sent, with one call into C. Whatever else is asked of one makes it
// C's first (see message.begin).
type draft struct {
	whole  bool // the body is all that is sent
	status int
	head   *[]byte // room for the first line, then lines "NAME: VALUE\r\n"; from draftBuffers
	copied *[]byte // the body, if it is not the caller's; from draftBuffers
	body   []byte
}

// firstLineRoom is at least as long as the first line of any response.
const firstLineRoom = 64

// draftBuffers are for what drafts consist of. Nobody outside sees it.
var draftBuffers = sync.Pool{New: func() any {
	b := make([]byte, 0, 1<<10)
	return &b
}}

func getDraftBuffer(used int) *[]byte {
	b := draftBuffers.Get().(*[]byte)
	*b = (*b)[:used]
	return b
}

func putDraftBuffer(b *[]byte) {
	if b != nil && cap(*b) <= 16<<10 {
		draftBuffers.Put(b)
	}
}

// release gives back what the draft consists of.
func (d *draft) release() {
	putDraftBuffer(d.head)
	putDraftBuffer(d.copied)
	*d = draft{}
}

func (d *draft) fields() []byte {
	if d.head == nil {
		return nil
	}
	return (*d.head)[firstLineRoom:]
}

// setBody makes p the body.
func (d *draft) setBody(p []byte) {
	putDraftBuffer(d.copied)
	d.copied, d.body = nil, p
}

// copyBody makes a copy of p the body.
func (d *draft) copyBody(p []byte) {
	if d.copied == nil {
		d.copied = getDraftBuffer(0)
	}
	*d.copied = append((*d.copied)[:0], p...)
	d.body = *d.copied
}

// lockDraft locks the message for a change if it is a draft; otherwise d is nil.
func (m *message) lockDraft(op string) (d *draft, err error) {
	m.mu.Lock()
	switch {
	case m.draft == nil:
	case m.doomed:
		err = closedError(m.kind + " " + op)
	case m.draft.whole:
		err = refuse(m.kind+" "+op, "", ErrState, "a WholeResponse is sent as it is")
	default:
		return m.draft, nil
	}
	m.mu.Unlock()
	return nil, err
}

// add adds a field, unless its place or its meaning is something that C decides.
func (d *draft) add(name, value string) bool {
	switch {
	case strings.EqualFold(name, "Content-Length"), strings.EqualFold(name, "Connection"),
		strings.EqualFold(name, "Transfer-Encoding"), d.has(name):
		return false
	}
	if d.head == nil {
		d.head = getDraftBuffer(firstLineRoom)
	}
	h := append(*d.head, name...)
	h = append(h, ": "...)
	h = append(h, value...)
	*d.head = append(h, "\r\n"...)
	return true
}

func (d *draft) has(name string) bool {
	for line := range bytes.Lines(d.fields()) {
		if len(line) > len(name) && line[len(name)] == ':' && strings.EqualFold(unsafe.String(&line[0], len(name)), name) {
			return true
		}
	}
	return false
}

// make makes the response C's. The message is locked.
func (d *draft) make(m *message) Errno {
	if d.whole {
		return ErrState
	}
	if d.head == nil {
		d.head = getDraftBuffer(firstLineRoom)
	}
	var rv C.int
	head, body, reason := *d.head, d.body, cstringOrNil(missingReasons[d.status])
	if len(body) == 0 {
		rv = C.nngo_res_make(&m.res, C.uint16_t(d.status), reason, (*C.char)(unsafe.Pointer(&head[0])),
			firstLineRoom, C.size_t(len(head)), nil, 0, false)
	} else {
		m.pin = new(runtime.Pinner)
		if d.copied == nil { // C keeps the address
			m.pin.Pin(&body[0])
			m.pinned = body
		}
		rv = C.nngo_res_make(&m.res, C.uint16_t(d.status), reason, (*C.char)(unsafe.Pointer(&head[0])),
			firstLineRoom, C.size_t(len(head)), unsafe.Pointer(&body[0]), C.size_t(len(body)), C.bool(d.copied == nil))
	}
	m.draft = nil
	d.release()
	if rv != 0 { // nothing is left of it
		if m.pin != nil {
			m.pin.Unpin()
		}
		m.pinned = nil
		return Errno(rv)
	}
	own(m, m)
	return 0
}

// takeDraft takes the draft out of the response, which is closed by that. It is nil if the
// response is C's, or if C must look at it: its status allows no body.
func (r *Response) takeDraft() *draft {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.message.draft
	if d == nil || r.doomed || !d.whole && (d.status < 200 || d.status == 204 || d.status == 304) {
		return nil
	}
	r.message.draft = nil
	return d
}

// send sends the draft and ends the call, with one call into C.
func (d *draft) send(c *call, close bool) {
	head, body := d.body, []byte(nil)
	if !d.whole {
		if d.head == nil {
			d.head = getDraftBuffer(firstLineRoom)
		}
		line := statusLine(d.status)
		head, body = (*d.head)[firstLineRoom-len(line):], d.body
		copy(head, line)
	}
	n, m := C.size_t(len(head)), C.size_t(len(body))
	enterC()
	switch {
	case n == 0:
		C.nngo_call_end(c.server.n, c.aio, C.NNG_ECLOSED)
	case m == 0:
		C.nngo_call_send(c.server.n, c.aio, C.bool(d.whole), C.bool(close), unsafe.Pointer(&head[0]), n, nil, 0)
	default:
		C.nngo_call_send(c.server.n, c.aio, C.bool(d.whole), C.bool(close), unsafe.Pointer(&head[0]), n, unsafe.Pointer(&body[0]), m)
	}
	leaveC()
	d.release()
}

// statusLines are first lines, each made when it is first needed.
var statusLines [1000]atomic.Pointer[string]

func statusLine(status int) string {
	line := statusLines[status].Load()
	if line == nil {
		reason := missingReasons[status]
		var res *C.nng_http_res
		if reason == "" && C.nng_http_res_alloc(&res) == 0 {
			C.nng_http_res_set_status(res, C.uint16_t(status))
			reason = C.GoString(C.nng_http_res_get_reason(res))
			C.nng_http_res_free(res)
		}
		s := "HTTP/1.1 " + strconv.Itoa(status) + " " + reason + "\r\n"
		line = &s
		statusLines[status].Store(line)
	}
	return *line
}
