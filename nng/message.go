package nng

import (
	"runtime"
	"strconv"
	"strings"
	"sync"
	"unsafe"
)

// #include "http_cgo.h"
// #cgo noescape nngo_req_head
// #cgo nocallback nngo_req_head
// #cgo noescape nngo_res_head
// #cgo nocallback nngo_res_head
import "C"

// HeaderField is one header of a message. In the nng that we build, one that was read has a field
// for each line; other libraries merge those of one name, separated by ", ", as all do with what
// was set and added.
type HeaderField struct {
	Name, Value string
}

// A message is what Request and Response have in common: the C object, who owns
// it, and whether an operation of nng is using it.
//
// All methods may be called concurrently; they are serialized. While an operation
// uses the message, changes answer ErrBusy. Getters of a closed message return
// the zero value, everything else ErrClosed. Further errors of changes: ErrInvalid (what C
// would misread), ErrState (the head has been sent), ErrNoMemory.
type message struct {
	mu       sync.Mutex
	res      *C.nng_http_res  // exactly one of res and req is set,
	req      *C.nng_http_req  // none when closed
	draft    *draft           // or this
	kind     string           // "request" or "response"
	borrowed bool             // the server frees it
	conn     *C.nng_http_conn // that it came with, while it is borrowed
	using    int              // operations of nng that hold it
	doomed   bool             // Close was called; the last user frees it
	sent     bool             // nng has kept the head as bytes (defect CL10)
	pinned   []byte           // SetData's slice,
	pin      *runtime.Pinner  // kept in place by this
	cleanup  runtime.Cleanup
}

func (m *message) closed() bool {
	return m.doomed || (m.req == nil && m.res == nil && m.draft == nil)
}

// begin locks the message for a look at it or a change; nil means go on, and then
// unlock.
func (m *message) begin(op string, change bool) error {
	m.mu.Lock()
	var err error
	switch {
	case m.closed():
		err = closedError(m.kind + " " + op)
	case m.using > 0:
		err = refuse(m.kind+" "+op, "", ErrBusy, "an operation is using it; wait for that to end")
	case change && m.sent:
		err = refuse(m.kind+" "+op, "", ErrState, "its head has been sent and is kept as it was; Reset it or make a new one")
	case m.draft != nil:
		if e := m.draft.make(m); e != 0 {
			err = &OpError{Op: m.kind + " " + op, Err: e}
		}
	}
	if err != nil {
		m.mu.Unlock()
	}
	return err
}

// acquire reserves the message for an operation of nng, until release.
func (m *message) acquire(op string) error {
	if err := m.begin(op, false); err != nil {
		return err
	}
	m.using++
	m.mu.Unlock()
	return nil
}

// release ends acquire; sent says that nng has written the message.
func (m *message) release(sent bool) {
	m.mu.Lock()
	m.using--
	m.sent = m.sent || sent
	if m.doomed && m.using == 0 {
		m.free()
	}
	m.mu.Unlock()
}

// free gives the C object back, if it is ours. The lock is held.
func (m *message) free() {
	if m.draft != nil {
		m.draft.release()
		m.draft = nil
		return
	}
	if m.borrowed {
		return
	}
	m.cleanup.Stop()
	freeMessage(cMessage{m.req, m.res, m.pin})
	m.req, m.res = nil, nil
}

// cMessage is what must be freed of a message that nobody refers to any more.
type cMessage struct {
	req *C.nng_http_req
	res *C.nng_http_res
	pin *runtime.Pinner
}

func freeMessage(c cMessage) {
	if c.req != nil {
		C.nng_http_req_free(c.req)
	}
	if c.res != nil {
		C.nng_http_res_free(c.res)
	}
	c.pin.Unpin()
	live.messages.Add(-1)
}

// own makes the message the owner of its C object. self is the value that the
// user holds, so that a forgotten one is freed when it is collected.
func own[T any](self *T, m *message) {
	live.messages.Add(1)
	m.borrowed = false
	if m.pin == nil {
		m.pin = new(runtime.Pinner)
	}
	m.cleanup = runtime.AddCleanup(self, func(c cMessage) {
		live.leaked.Add(1)
		freeMessage(c)
	}, cMessage{m.req, m.res, m.pin})
}

// Close frees the message (nng_http_req_free, nng_http_res_free). If an operation
// is using it, it is freed when that ends. Close may be called more than once and
// always returns nil.
func (m *message) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed() {
		return nil
	}
	m.doomed = true
	if m.using == 0 {
		m.free()
	}
	return nil
}

// set runs a change of the message in C.
func (m *message) set(op, what string, change func() C.int) error {
	if err := m.begin(op, true); err != nil {
		return err
	}
	defer m.mu.Unlock()
	return check(m.kind+" "+op, what, int(change()))
}

// get reads a string of the message from C.
func (m *message) get(read func() *C.char) string {
	if m.begin("get", false) != nil {
		return ""
	}
	defer m.mu.Unlock()
	return C.GoString(read())
}

// Version returns the protocol version, usually "HTTP/1.1"
// (nng_http_req_get_version, nng_http_res_get_version).
func (m *message) Version() string {
	return m.get(func() *C.char {
		if m.req != nil {
			return C.nng_http_req_get_version(m.req)
		}
		return C.nng_http_res_get_version(m.res)
	})
}

// SetVersion sets the protocol version; "" means "HTTP/1.1"
// (nng_http_req_set_version, nng_http_res_set_version).
func (m *message) SetVersion(version string) error {
	if version != "" && (!strings.HasPrefix(version, "HTTP/") || len(version) > 16 || hasSpaceOrControl(version)) {
		return refuse(m.kind+" set version", strconv.Quote(short(version)), ErrInvalid, "write HTTP/1.0 or HTTP/1.1")
	}
	v := cstringOrNil(version)
	return m.set("set version", version, func() C.int {
		if m.req != nil {
			return C.nng_http_req_set_version(m.req, v)
		}
		return C.nng_http_res_set_version(m.res, v)
	})
}

// Header returns the value of a header, or "" when there is none. Case of the name
// does not matter. Values of several headers of one name come as one, separated by
// ", ", those of Cookie by "; " (nng_http_req_get_header, nng_http_res_get_header).
func (m *message) Header(name string) string {
	if !isToken(name) {
		return ""
	}
	key := cstring(name)
	return m.get(func() *C.char {
		if m.req != nil {
			return C.nng_http_req_get_header(m.req, key)
		}
		return C.nng_http_res_get_header(m.res, key)
	})
}

// Headers returns all headers, in order, with one call into C. Where this package does
// not know how libnng keeps them (no release of 1.x so far) it answers
// ErrNotSupported; Header works there.
func (m *message) Headers() ([]HeaderField, error) {
	if err := m.begin("headers", false); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	_, fields, _, err := m.head(false)
	return fields, err
}

// startFields is the most that a head has before its headers.
const startFields = 3

// head copies the head of the message out of C: the parts of its first line (see
// nngo_req_head), then its headers; and the address of the peer, if it is asked for and the
// message came with a connection. The lock is held.
func (m *message) head(withPeer bool) (start [startFields]string, fields []HeaderField, peer string, err error) {
	buf := headBuffers.Get().(*[]byte)
	defer func() {
		if len(*buf) <= 64<<10 {
			headBuffers.Put(buf)
		}
	}()
	n, size := startFields, m.packHead(*buf, withPeer)
	if size > len(*buf) {
		*buf = make([]byte, size)
		size = m.packHead(*buf, withPeer)
	}
	if size == 0 {
		return start, nil, "", refuse(m.kind+" headers", "", ErrNotSupported, "this libnng does not list headers; ask for each with Header")
	}
	peer = peerAddr((*C.nng_sockaddr)(unsafe.Pointer(&(*buf)[0])))
	packed := string((*buf)[C.sizeof_nng_sockaddr:size])
	if m.req == nil {
		n--
	}
	for i := range n {
		start[i], packed, _ = strings.Cut(packed, "\x00")
	}
	if packed != "" {
		fields = make([]HeaderField, 0, strings.Count(packed, "\x00")/2)
	}
	for packed != "" {
		var f HeaderField
		f.Name, packed, _ = strings.Cut(packed, "\x00")
		f.Value, packed, _ = strings.Cut(packed, "\x00")
		fields = append(fields, f)
	}
	return start, fields, peer, nil
}

func (m *message) packHead(buf []byte, withPeer bool) int {
	p, n := (*C.char)(unsafe.Pointer(unsafe.SliceData(buf))), C.size_t(len(buf))
	enterC()
	defer leaveC()
	switch {
	case m.res != nil:
		return int(C.nngo_res_head(m.res, p, n))
	case withPeer:
		return int(C.nngo_req_head(m.req, m.conn, p, n))
	}
	return int(C.nngo_req_head(m.req, nil, p, n))
}

var headBuffers = sync.Pool{New: func() any {
	b := make([]byte, 4<<10)
	return &b
}}

// SetHeader sets a header and replaces one of the same name
// (nng_http_req_set_header, nng_http_res_set_header). Names that are no tokens and
// values with control characters are refused with ErrInvalid.
func (m *message) SetHeader(name, value string) error {
	if err := checkHeader(m.kind, "set header", name, value); err != nil {
		return err
	}
	if d, err := m.lockDraft("set header"); err != nil {
		return err
	} else if d != nil {
		added := d.add(name, value)
		m.mu.Unlock()
		if added {
			return nil
		}
	}
	k, v := cstring(name), cstring(value)
	return m.set("set header", name, func() C.int {
		if m.req != nil {
			return C.nng_http_req_set_header(m.req, k, v)
		}
		return C.nng_http_res_set_header(m.res, k, v)
	})
}

// AddHeader adds a header. If one of the same name is there, nng appends the value
// to it behind ", "; this makes it unfit for Set-Cookie
// (nng_http_req_add_header, nng_http_res_add_header).
func (m *message) AddHeader(name, value string) error {
	if err := checkHeader(m.kind, "add header", name, value); err != nil {
		return err
	}
	if d, err := m.lockDraft("add header"); err != nil {
		return err
	} else if d != nil {
		added := d.add(name, value)
		m.mu.Unlock()
		if added {
			return nil
		}
	}
	k, v := cstring(name), cstring(value)
	return m.set("add header", name, func() C.int {
		if m.req != nil {
			return C.nng_http_req_add_header(m.req, k, v)
		}
		return C.nng_http_res_add_header(m.res, k, v)
	})
}

// DelHeader removes a header; ErrNotFound when there is none
// (nng_http_req_del_header, nng_http_res_del_header).
func (m *message) DelHeader(name string) error {
	if err := checkHeaderName(m.kind, "del header", name); err != nil {
		return err
	}
	k := cstring(name)
	return m.set("del header", name, func() C.int {
		if m.req != nil {
			return C.nng_http_req_del_header(m.req, k)
		}
		return C.nng_http_res_del_header(m.res, k)
	})
}

// data returns the body in C's memory. The lock is held.
func (m *message) data() (p unsafe.Pointer, n C.size_t) {
	if m.req != nil {
		C.nng_http_req_get_data(m.req, &p, &n)
	} else {
		C.nng_http_res_get_data(m.res, &p, &n)
	}
	return p, n
}

// Data returns a copy of the body, nil when there is none
// (nng_http_req_get_data, nng_http_res_get_data).
func (m *message) Data() []byte {
	if m.begin("data", false) != nil {
		return nil
	}
	defer m.mu.Unlock()
	p, n := m.data()
	if p == nil || n == 0 {
		return nil
	}
	return append([]byte(nil), unsafe.Slice((*byte)(p), int(n))...)
}

// CopyData gives the message a copy of body and sets Content-Length
// (nng_http_req_copy_data, nng_http_res_copy_data).
func (m *message) CopyData(body []byte) error {
	if err := checkData(m.kind, "copy data", len(body)); err != nil {
		return err
	}
	if d, err := m.lockDraft("copy data"); err != nil {
		return err
	} else if d != nil {
		d.copyBody(body)
		m.mu.Unlock()
		return nil
	}
	return m.set("copy data", "", func() C.int {
		m.unpin()
		// The address of an element, in the call itself, lets cgo look at the slice
		// alone and not at what it may be a part of.
		switch {
		case len(body) == 0: // C takes an empty copy for a lack of memory (P14)
			return m.setNoData()
		case m.req != nil:
			return C.nng_http_req_copy_data(m.req, unsafe.Pointer(&body[0]), C.size_t(len(body)))
		default:
			return C.nng_http_res_copy_data(m.res, unsafe.Pointer(&body[0]), C.size_t(len(body)))
		}
	})
}

// SetData makes body the body of the message without copying it, and sets
// Content-Length (nng_http_req_set_data, nng_http_res_set_data). The slice is
// pinned and must not be changed until the message is sent and closed, or its body
// replaced. A response that a handler returns is copied after all, because nobody
// tells when the server has sent it.
func (m *message) SetData(body []byte) error {
	if err := checkData(m.kind, "set data", len(body)); err != nil {
		return err
	}
	if d, err := m.lockDraft("set data"); err != nil {
		return err
	} else if d != nil {
		d.setBody(body)
		m.mu.Unlock()
		return nil
	}
	return m.set("set data", "", func() C.int {
		m.unpin()
		if len(body) == 0 {
			return m.setNoData()
		}
		if m.borrowed { // nobody would unpin it
			return C.nng_http_req_copy_data(m.req, unsafe.Pointer(&body[0]), C.size_t(len(body)))
		}
		m.pin.Pin(&body[0])
		m.pinned = body
		if m.req != nil {
			return C.nng_http_req_set_data(m.req, unsafe.Pointer(&body[0]), C.size_t(len(body)))
		}
		return C.nng_http_res_set_data(m.res, unsafe.Pointer(&body[0]), C.size_t(len(body)))
	})
}

func (m *message) setNoData() C.int {
	if m.req != nil {
		return C.nng_http_req_set_data(m.req, nil, 0)
	}
	return C.nng_http_res_set_data(m.res, nil, 0)
}

// unpin lets go of SetData's slice. The caller replaces the body next.
func (m *message) unpin() {
	if m.pinned != nil {
		m.setNoData()
		m.pin.Unpin()
		m.pinned = nil
	}
}

func cstringOrNil(s string) *C.char {
	if s == "" {
		return nil
	}
	return cstring(s)
}
