package nng

import (
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gonng/nnghttp/internal/grammar"
	"github.com/gonng/nnghttp/internal/hooks"
)

// #include "http_cgo.h"
import "C"

// Handler answers requests for a path (nng_http_handler).
//
// A handler is made, set up, and added to a server; it cannot be changed while it is
// on one. The server frees it when it is closed; a handler that is on no server is
// freed with Close. All methods may be called concurrently.
//
// Errors of those that make a handler, for nng's own kinds, too: ErrInvalid (a path or a
// name that C would misread), ErrNotSupported (a library without HTTP), ErrNoMemory. Of
// those that change one: ErrBusy (it is on a server), ErrClosed, and the same.
type Handler struct {
	fn    HandlerFunc // nil for nng's own handlers
	alloc func(path string, data C.uintptr_t) (*C.nng_http_handler, C.int)

	mu       sync.Mutex
	path     string
	c        *cHandler // nil when it must be made again
	server   *Server   // the server it is on
	closed   bool
	settings [settingKinds]func(*C.nng_http_handler) C.int

	ownBody   atomic.Bool // fn reads the body from the connection
	tree      atomic.Bool // fn gets all below the path, so that has to be clear
	anyPath   bool        // but fn is ours, and makes nothing of it
	ownChecks bool        // fn checks its requests, and ends its bodies; see hooks.OwnChecks
}

func init() { hooks.OwnChecks = func(h any) { h.(*Handler).ownChecks = true } }

// The settings of a handler, kept so that it can be made again: C lets nobody change
// a handler that has been on a server (defect S26), and one that was removed stays
// in use by connections (defects S8 and S9).
const (
	settingMethod = iota
	settingHost
	settingBody
	settingTree
	settingKinds
)

// A cHandler is one nng_http_handler. It serves on one server at most: a Handler that
// was removed gets another one.
type cHandler struct {
	h      *Handler
	c      *C.nng_http_handler
	handle uintptr
	server atomic.Pointer[cServer] // where its requests are counted
}

// handlers finds the Go side of an nng_http_handler.
var handlers registry[*cHandler]

// free gives back a C handler that no server has.
func (c *cHandler) free() {
	C.nng_http_handler_free(c.c)
	c.forget()
}

// forget ends the Go side of a C handler that its server frees.
func (c *cHandler) forget() {
	handlers.remove(c.handle)
	releasePump()
	live.handlers.Add(-1)
}

// init checks the path and makes the C handler, so that its errors come now.
func (h *Handler) init(op, path string) (*Handler, error) {
	if path != "" && path[0] != '/' || hasControl(path) || len(path) > maxHeaderValue {
		return nil, refuse(op, strconv.Quote(short(path)), ErrInvalid, `a path starts with "/" and holds no control characters`)
	}
	h.path = path
	if err := h.build(op); err != nil {
		return nil, err
	}
	return h, nil
}

// build makes the C handler from the path and the settings, if there is none.
func (h *Handler) build(op string) error {
	if h.c != nil {
		return nil
	}
	if e := holdPump(); e != 0 {
		return check(op, h.path, int(e))
	}
	c := &cHandler{h: h}
	c.handle = handlers.add(c)
	live.handlers.Add(1)
	data := C.uintptr_t(c.handle) << 1
	if !h.ownBody.Load() {
		data |= C.NNGO_COLLECT
	}
	var rv C.int
	if c.c, rv = h.alloc(h.path, data); rv != 0 {
		c.forget()
		return check(op, h.path, int(rv))
	}
	for _, apply := range h.settings {
		if apply == nil {
			continue
		}
		if rv := apply(c.c); rv != 0 {
			c.free()
			return check(op, h.path, int(rv))
		}
	}
	h.c = c
	return nil
}

// set changes a setting and makes the C handler again with it: some settings of C do not
// take back what was set before (defect S27).
func (h *Handler) set(op string, kind int, apply func(*C.nng_http_handler) C.int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.setLocked(op, kind, apply)
}

func (h *Handler) setLocked(op string, kind int, apply func(*C.nng_http_handler) C.int) error {
	if err := h.changeable(op); err != nil {
		return err
	}
	old := h.settings[kind]
	h.settings[kind] = apply
	if err := h.rebuild(op); err != nil {
		h.settings[kind] = old
		return err
	}
	return nil
}

func (h *Handler) rebuild(op string) error {
	h.drop()
	return h.build(op)
}

func (h *Handler) changeable(op string) error {
	switch {
	case h.closed || h.alloc == nil:
		return closedError(op)
	case h.server != nil:
		return refuse(op, h.path, ErrBusy, "the handler is on a server; DelHandler first")
	}
	return nil
}

// SetMethod sets the method that the handler answers; "" means all of them
// (nng_http_handler_set_method). HEAD comes with GET.
func (h *Handler) SetMethod(method string) error {
	if method != "" && !isToken(method) {
		return refuse("handler set method", strconv.Quote(short(method)), ErrInvalid, "a method is a token, such as POST")
	}
	m := cstringOrNil(method)
	return h.set("handler set method", settingMethod, func(c *C.nng_http_handler) C.int {
		return C.nng_http_handler_set_method(c, m)
	})
}

// SetHost makes the handler answer only requests with this Host header; "" means
// any (nng_http_handler_set_host). Case does not matter. If host has a port, the
// header must have it too.
func (h *Handler) SetHost(host string) error {
	if hasSpaceOrControl(host) || len(host) > maxToken {
		return refuse("handler set host", strconv.Quote(short(host)), ErrInvalid, "a host is a name or an address, with a port if need be")
	}
	v := cstringOrNil(host)
	return h.set("handler set host", settingHost, func(c *C.nng_http_handler) C.int {
		return C.nng_http_handler_set_host(c, v)
	})
}

// CollectBody says what happens to a request's body
// (nng_http_handler_collect_body). With want, C reads a body of up to max bytes
// before the handler is called, Request.Data returns it, and larger ones are refused
// with 400; -1 means no limit. A body in chunks cannot be collected: C does not know
// them, and the client gets 501. Both answers close the connection. Without want the
// handler reads the body with Conn.Read. If it has not read all of it when it returns, or
// if the body is in chunks, of which only the handler knows the end, the response says
// "Connection: close", because C would take what is left for the next request (defect P2).
// After such a response the server reads on for up to half a second, so that a client
// which is still sending gets to see it.
func (h *Handler) CollectBody(want bool, max int) error {
	if max < -1 {
		return refuse("handler collect body", strconv.Itoa(max), ErrInvalid, "the size is a number of bytes, or -1 for no limit")
	}
	size := C.size_t(max) // -1 becomes the largest size, which is C's "no limit"
	h.mu.Lock()
	defer h.mu.Unlock()
	old := h.ownBody.Swap(!want)
	err := h.setLocked("handler collect body", settingBody, func(c *C.nng_http_handler) C.int {
		return C.nng_http_handler_collect_body(c, C.bool(want), size)
	})
	if err != nil {
		h.ownBody.Store(old)
	}
	return err
}

// SetTree makes the handler answer for its path and all below it
// (nng_http_handler_set_tree).
//
// nng compares paths as they are, decoded once, and a function that takes "//" and the components
// "." and ".." out of them would answer for what is another handler's: "/a/../b", "//b" or
// "/a/%2e%2e/b" for "/b". The function of a HandlerFunc does not get such a request, which gets 404,
// unless the handler's own path is like that, or the server is lenient (see Server.SetLenient).
func (h *Handler) SetTree() error {
	return h.setTree("handler set tree", func(c *C.nng_http_handler) C.int { return C.nng_http_handler_set_tree(c) })
}

// SetTreeExclusive is SetTree, and lets no other handler be added below the path
// (nng_http_handler_set_tree_exclusive).
func (h *Handler) SetTreeExclusive() error {
	return h.setTree("handler set tree exclusive", func(c *C.nng_http_handler) C.int { return C.nng_http_handler_set_tree_exclusive(c) })
}

func (h *Handler) setTree(op string, apply func(*C.nng_http_handler) C.int) error {
	h.mu.Lock()
	if strings.HasSuffix(h.path, "/") && len(h.path) > 1 && h.changeable(op) == nil {
		// Behind a slash a tree would match nothing (defect P27).
		h.path = trimSlash(h.path)
	}
	h.mu.Unlock()
	if err := h.set(op, settingTree, apply); err != nil {
		return err
	}
	h.tree.Store(!h.anyPath && grammar.IsCleanPath(h.Path()))
	return nil
}

// Path returns the path that the handler answers.
func (h *Handler) Path() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.path
}

// Close frees a handler that is on no server (nng_http_handler_free). On one it
// answers ErrBusy. Closing twice is harmless.
func (h *Handler) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.server != nil {
		return refuse("handler close", h.path, ErrBusy, "the handler is on a server; DelHandler first, or close the server")
	}
	h.close()
	return nil
}

func (h *Handler) close() {
	h.closed = true
	h.drop()
}

// drop frees the C handler, if there is one. It is on no server.
func (h *Handler) drop() {
	if h.c != nil {
		h.c.free()
		h.c = nil
	}
}

// trimSlash takes slashes from the end of a path, but leaves "/".
func trimSlash(path string) string {
	if trimmed := strings.TrimRight(path, "/"); trimmed != "" {
		return trimmed
	}
	return "/"
}
