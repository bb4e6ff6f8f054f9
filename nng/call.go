package nng

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strconv"
	"sync"

	"github.com/gonng/nnghttp/internal/grammar"
	"github.com/gonng/nnghttp/internal/lazycontext"
)

// #include "http_cgo.h"
import "C"

// HandlerFunc answers a request. Its parameters are the inputs of nng's handler
// callback, its results are the output and the result of the callback's aio.
//
//   - ctx ends when the handler returns, and when the server is stopped or closed unless
//     the connection has been hijacked.
//   - conn is the connection. It belongs to the server; Conn.Hijack takes it. Before
//     that, Read gets a body that is not collected, and Write sends to the client
//     directly.
//   - req is the request, borrowed until the handler returns (see Request).
//
// What was written is sent before the connection is used on or closed; a client that does
// not take it has until the write deadline, or 30 seconds without movement.
//
// A *Response is sent, and belongs to the server from then on. nil means that the
// handler has hijacked the connection or has written the reply itself; if it has
// done neither, the client gets status 500. An error gives status 500 and closes
// the connection, and is logged, as does a panic, with its stack; after a part of a
// reply has been written the connection is closed instead. ErrAbortHandler, as
// error or panic, closes the connection without a word.
//
// The function runs in a goroutine of its own, and may block, panic and call runtime.Goexit.
// The goroutine is used again: undo runtime.LockOSThread and pprof.SetGoroutineLabels before you
// return.
type HandlerFunc func(ctx context.Context, conn *Conn, req *Request) (*Response, error)

// ErrAbortHandler makes the server drop the connection, silently, when a handler
// returns it or panics with it.
var ErrAbortHandler = errors.New("nng: abort handler")

// A call is one request in the hands of a handler, with all that the handler is lent.
type call struct {
	handler *Handler
	server  *cServer
	aio     *C.nng_aio

	ctx  lazycontext.Context
	conn Conn
	req  Request
}

// dispatch is called when a request has come. It must not block.
func (ch *cHandler) dispatch(e *C.nngo_event) {
	h, s, aio, refused := ch.h, ch.server.Load(), (*C.nng_aio)(e.ptr[0]), e.result
	if !s.enter() {
		refused = 503
	}
	if refused != 0 {
		C.nngo_call_error(s.n, aio, C.uint16_t(refused))
		return
	}
	c := &call{handler: h, server: s, aio: aio}
	c.ctx.SetParent(s.ctx)
	c.conn.c, c.conn.secure, c.conn.call, c.conn.req = (*C.nng_http_conn)(e.ptr[2]), s.secure, c, &c.req
	c.req.message = message{req: (*C.nng_http_req)(e.ptr[1]), kind: "request", borrowed: true, conn: c.conn.c}
	goJob(c)
}

// run calls the handler's function and tells nng the outcome, exactly once.
func (c *call) run() {
	var res *Response
	err := errGoexit
	defer func() { // also when the function ends its goroutine
		c.ctx.Cancel()
		hijacked, usable, t := c.conn.reclaim()
		c.end(res, err, hijacked, usable, t)
	}()
	if p := c.check(); p != nil {
		err = &refusedError{p}
		return
	}
	res, err = c.serve(&c.ctx)
}

// check looks at the head of the request where libnng has not done so (defects P3 to P5), and
// whether its path is clear where the handler has a tree.
func (c *call) check() *grammar.Problem {
	if c.handler.ownChecks || c.server.lenient.Load() {
		return nil
	}
	if c.handler.tree.Load() && !grammar.IsCleanPath(c.req.URI()) {
		return &grammar.Problem{Status: 404, Reason: "the path is not clean"}
	}
	if checksHeads() {
		return nil
	}
	head, err := c.req.Head()
	if err != nil {
		return nil // this libnng does not list headers
	}
	_, p := grammar.CheckHead(head.Method, head.URI, head.Version, func(yield func(name, value string) bool) {
		for _, f := range head.Headers {
			if !yield(f.Name, f.Value) {
				return
			}
		}
	})
	return p
}

var checksHeads = sync.OnceValue(func() bool { return mends("p4") && mends("p5-field-names") })

// A refusedError ends the call of a request that no handler gets.
type refusedError struct{ *grammar.Problem }

func (e *refusedError) Error() string { return e.Reason }

var errGoexit = errors.New("the handler has ended its goroutine")

// end tells nng the outcome, after Conn.reclaim.
func (c *call) end(res *Response, err error, hijacked, usable bool, t *traffic) {
	if hijacked {
		if res != nil {
			res.Close()
			err = errors.Join(err, errors.New("a response was returned for a hijacked connection"))
		}
		if err != nil && !isAbort(err) {
			c.log(err)
		}
		return
	}
	if t != nil {
		usable = c.conn.settle(t) && usable
	}
	wrote := c.conn.wrote()
	left := c.leavesBody(t)
	c.req.expire()
	aborted := isAbort(err)
	if res != nil && usable && (err == nil || aborted && res.whole()) {
		if d := res.takeDraft(); d != nil {
			d.send(c, aborted || left)
			return
		}
	}
	var cres *C.nng_http_res
	isError := false
	if res != nil && res.whole() { // for a connection that is closed, or with an error
		res.Close()
	} else if res != nil {
		isError = res.isError
		var takeErr error
		if cres, takeErr = res.take("handler response"); takeErr != nil {
			res.Close()
			err = errors.Join(err, takeErr)
		}
	} else if err == nil && !wrote && usable {
		err = errors.New("the handler returned no response and wrote none")
	}
	refused, _ := err.(*refusedError)
	if err != nil && !aborted && refused == nil {
		c.log(err)
	}
	enterC()
	defer leaveC()
	switch {
	case refused != nil:
		C.nngo_call_error(c.server.n, c.aio, C.uint16_t(refused.Status))
	case err == nil && usable && cres != nil:
		C.nngo_call_reply(c.server.n, c.aio, cres, C.bool(isError), C.bool(left))
		return
	case err == nil && usable && !left:
		C.nngo_call_end(c.server.n, c.aio, 0)
	case err == nil || aborted || wrote || !usable: // also where a part of the body is left
		C.nngo_call_end(c.server.n, c.aio, C.NNG_ECLOSED)
	default:
		C.nngo_call_error(c.server.n, c.aio, 500)
	}
	if cres != nil {
		C.nng_http_res_free(cres)
	}
}

// leavesBody reports whether there may be more of the request's body on the connection, which
// libnng would take for the next request (defect P2).
func (c *call) leavesBody(t *traffic) bool {
	if c.handler.ownChecks || !c.handler.ownBody.Load() {
		return false
	}
	if c.req.Header("Transfer-Encoding") != "" {
		return true // only the handler knows
	}
	length := c.req.Header("Content-Length")
	if length == "" {
		return false
	}
	n, err := strconv.ParseInt(length, 10, 64)
	return err != nil || n > 0 && (t == nil || t.rd.came < n || t.rd.data.Load() != nil)
}

// serve calls the function and turns a panic into an error.
func (c *call) serve(ctx context.Context) (res *Response, err error) {
	returned := false
	defer func() {
		if returned {
			return
		}
		p := recover() // nil of panic(nil), which GODEBUG=panicnil=1 allows, and of Goexit
		if e, ok := p.(error); ok && isAbort(e) {
			err = ErrAbortHandler
			return
		}
		err = &panicError{value: p, stack: debug.Stack()}
	}()
	res, err = c.handler.fn(ctx, &c.conn, &c.req)
	returned = true
	return res, err
}

// isAbort reports whether a handler's error is ErrAbortHandler. The error's own methods may
// panic, as those of a nil pointer in it do.
func isAbort(err error) (is bool) {
	defer func() { _ = recover() }()
	return errors.Is(err, ErrAbortHandler)
}

type panicError struct {
	value any
	stack []byte
}

func (p *panicError) Error() string { return fmt.Sprint("panic: ", p.value) }

func (c *call) log(err error) {
	attrs := []any{"path", c.handler.Path(), "error", err}
	if p, ok := err.(*panicError); ok {
		attrs = append(attrs, "stack", string(p.stack))
	}
	slog.Error("nng: handler failed", attrs...)
}
