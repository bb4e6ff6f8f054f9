package nng

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unsafe"
)

// #include "ws_cgo.h"
import "C"

// wsOptions are the settings that WSListener and WSDialer have in common. They are
// kept in Go: C loses its own when it fails to listen (defect W1).
type wsOptions struct {
	kind   string // "ws listener" or "ws dialer"
	url    string
	mu     sync.Mutex
	closed bool
	frozen bool // it is too late for changes

	protocols    string
	headers      []HeaderField
	sendText     bool
	recvText     bool
	recvMax      *int
	recvMaxFrame *int
	sendMaxFrame *int
}

// set changes a setting.
func (o *wsOptions) set(op string, change func()) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return &OpError{Op: o.kind + " " + op, URL: o.url, Err: ErrClosed}
	}
	if o.frozen {
		return refuse(o.kind+" "+op, o.url, ErrBusy, "set it before Listen")
	}
	change()
	return nil
}

// SetProtocols names the sub-protocols (NNG_OPT_WS_PROTOCOL): a dialer asks for them,
// and takes no answer without one of them; a listener refuses clients that ask for none
// of them. Without a call, or without names, there are none, and a listener refuses
// clients that ask for any. Of several that both have, the client's first is agreed on.
// Listeners of a library without our patch understand only clients that ask for exactly
// one (defect W7).
//
// Errors: ErrInvalid (a name is not a token), ErrBusy (a listener that listens),
// ErrClosed.
func (o *wsOptions) SetProtocols(names ...string) error {
	for _, name := range names {
		if !isToken(name) {
			return refuse(o.kind+" set protocols", strconv.Quote(short(name)), ErrInvalid, "a sub-protocol is a token, such as chat.v1")
		}
	}
	// As published, nng looks for blanks between them (defect W7).
	return o.set("set protocols", func() { o.protocols = strings.Join(names, ", ") })
}

// setHeader sets a header of the handshake and replaces one of the same name.
func (o *wsOptions) setHeader(name, value string) error {
	if err := checkHeader(o.kind, "set header", name, value); err != nil {
		return err
	}
	switch lower := strings.ToLower(name); {
	case lower == "upgrade", lower == "connection", lower == "content-length", lower == "transfer-encoding",
		strings.HasPrefix(lower, "sec-websocket-"):
		return refuse(o.kind+" set header", name, ErrInvalid, "the handshake sets this header itself; for sub-protocols there is SetProtocols")
	}
	return o.set("set header", func() {
		o.headers = slices.DeleteFunc(o.headers, func(h HeaderField) bool { return strings.EqualFold(h.Name, name) })
		o.headers = append(o.headers, HeaderField{name, value})
	})
}

// SetSendText makes messages go out as text instead of binary (NNG_OPT_WS_SEND_TEXT).
// They should be UTF-8 then; nng does not check.
//
// Errors: ErrBusy (a listener that listens), ErrClosed.
func (o *wsOptions) SetSendText(on bool) error {
	return o.set("set send text", func() { o.sendText = on })
}

// SetRecvText allows text messages to come in, besides binary ones
// (NNG_OPT_WS_RECV_TEXT). Otherwise a text message ends the connection, with close code
// 1003. nng neither tells which kind a message was nor checks that text is UTF-8.
//
// Errors: ErrBusy (a listener that listens), ErrClosed.
func (o *wsOptions) SetRecvText(on bool) error {
	return o.set("set recv text", func() { o.recvText = on })
}

// SetRecvMaxSize bounds the messages that come in (NNG_OPT_RECVMAXSZ); 0 means no
// bound. It is 1 MiB to start with. A connection ends with close code 1009 when a message
// is larger. The dialers of a library without our patch ignore the bound (defect W4):
// there ReadMessage refuses what is larger, when nng has it in memory.
//
// Errors: ErrInvalid (a size below 0 or over 4 GiB), ErrBusy (a listener that listens), ErrClosed.
func (o *wsOptions) SetRecvMaxSize(bytes int) error {
	return o.setSize("set recv max size", &o.recvMax, bytes)
}

// SetRecvMaxFrame bounds the frames of messages that come in (NNG_OPT_WS_RECVMAXFRAME);
// 0 means no bound. It is 1 MiB to start with. Larger frames end the connection with
// close code 1009, and so does a message of many small ones: of more than 1024 frames, and one
// more for each 16 bytes of SetRecvMaxSize. In a library without our patch small frames have
// no bound and cost far more than their bytes (defect W9).
//
// Errors: ErrInvalid (a size below 0 or over 4 GiB), ErrBusy (a listener that listens), ErrClosed.
func (o *wsOptions) SetRecvMaxFrame(bytes int) error {
	return o.setSize("set recv max frame", &o.recvMaxFrame, bytes)
}

func (o *wsOptions) setSize(op string, at **int, bytes int) error {
	if bytes < 0 || uint64(bytes) > maxData {
		return refuse(o.kind+" "+op, strconv.Itoa(bytes), ErrInvalid, "a size is between 0, which means no bound, and 4 GiB")
	}
	return o.set(op, func() { *at = &bytes })
}

// wsSetter sets options of a C listener or dialer.
type wsSetter struct {
	str  func(name, value *C.char) C.int
	bool func(name *C.char, value C.bool) C.int
	size func(name *C.char, value C.size_t) C.int
}

// apply hands the settings to C; o.mu is held.
func (o *wsOptions) apply(c wsSetter, header string) Errno {
	rv := c.bool(cstring(C.NNGO_WS_MSGMODE), true)
	rv |= c.bool(cstring(C.NNG_OPT_WS_SEND_TEXT), C.bool(o.sendText))
	rv |= c.bool(cstring(C.NNG_OPT_WS_RECV_TEXT), C.bool(o.recvText))
	if rv != 0 {
		return Errno(rv)
	}
	if o.protocols != "" {
		if rv := c.str(cstring(C.NNG_OPT_WS_PROTOCOL), cstring(o.protocols)); rv != 0 {
			return Errno(rv)
		}
	}
	for _, h := range o.headers {
		if rv := c.str(cstring(header+h.Name), cstring(h.Value)); rv != 0 {
			return Errno(rv)
		}
	}
	for _, s := range []struct {
		name  string
		bytes *int
	}{
		{C.NNG_OPT_RECVMAXSZ, o.recvMax},
		{C.NNG_OPT_WS_RECVMAXFRAME, o.recvMaxFrame},
		{C.NNG_OPT_WS_SENDMAXFRAME, o.sendMaxFrame},
	} {
		if s.bytes == nil {
			continue
		}
		if rv := c.size(cstring(s.name), C.size_t(*s.bytes)); rv != 0 {
			return Errno(rv)
		}
	}
	return 0
}

// parseWSURL is parseURL for ws and wss.
func parseWSURL(op, raw string) (*C.nng_url, *url.URL, error) {
	u, err := checkURL(op, raw)
	if err != nil {
		return nil, nil, err
	}
	bad := func(detail string) (*C.nng_url, *url.URL, error) {
		return nil, nil, refuse(op, strconv.Quote(short(raw)), ErrBadAddr, detail)
	}
	if !strings.HasPrefix(u.Scheme, "ws") {
		return bad("the scheme must be ws or wss")
	}
	if u.Fragment != "" || strings.HasSuffix(raw, "#") {
		return bad("the URL of a WebSocket has no fragment")
	}
	if u.User != nil {
		return bad("nng sends no user name; set the Authorization header")
	}
	return parseURL(op, raw)
}

func stringOption(get func(**C.char) C.int) string {
	var s *C.char
	if get(&s) != 0 {
		return ""
	}
	defer C.nng_strfree(s)
	return C.GoString(s)
}

// headerFields splits "Name: value\r\n" lines.
func headerFields(lines string) (fields []HeaderField) {
	for line := range strings.SplitSeq(lines, "\r\n") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			fields = append(fields, HeaderField{name, value})
		}
	}
	return fields
}

func fieldValue(fields []HeaderField, name string) string {
	for _, f := range fields {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// bytesOf returns a pointer to the bytes of a slice, for a C call that copies them.
func bytesOf(b []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b)) }

// bytesAt is n bytes of C memory.
func bytesAt(p unsafe.Pointer, n int) []byte { return unsafe.Slice((*byte)(p), n) }
