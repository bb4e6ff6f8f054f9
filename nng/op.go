package nng

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// #include "http_cgo.h"
import "C"

// ops finds the Go side of an nngo_op.
var ops registry[*op]

// live counts C objects that Go owns, by kind; tests compare it before and after.
var live struct {
	ops, conns, messages, handlers, servers, clients, tls, buffers atomic.Int64
	wsConns, wsDialers, wsListeners                                atomic.Int64

	leaked atomic.Int64 // freed by the garbage collector because Close was forgotten
}

// cancelGrace is how long a cancelled operation may take to complete. nng answers
// at once, but releases before 1.12 can lose a cancellation (defect CL16).
const cancelGrace = 2 * time.Second

// An op is one nng_aio with a Go side. It carries one operation at a time.
//
// Life of an operation: one C call that starts it, started, then wait. The completion
// arrives exactly once: in started, or from the pump.
type op struct {
	c      *C.nngo_op
	handle uintptr
	done   chan struct{} // one token per completion

	// Written before the token is sent.
	result Errno
	count  int
	output unsafe.Pointer // nng_aio_get_output(aio, 0)
}

func newOp() (*op, Errno) {
	if e := holdPump(); e != 0 {
		return nil, e
	}
	o := &op{done: make(chan struct{}, 1)}
	o.handle = ops.add(o)
	if rv := C.nngo_op_alloc(&o.c, C.uintptr_t(o.handle)); rv != 0 {
		ops.remove(o.handle)
		releasePump()
		return nil, Errno(rv)
	}
	live.ops.Add(1)
	return o, 0
}

// started is given what C says of an operation that it has started, after enterC: it may have
// ended.
func (o *op) started(s C.nngo_started) {
	leaveC()
	if s.done {
		o.complete(Errno(s.result), int(s.count), s.output)
	}
}

// complete is called when the operation has ended. It must not block: the pump calls it.
func (o *op) complete(result Errno, count int, output unsafe.Pointer) {
	if len(o.done) > 0 { // C lets no second one pass; if it did, this is nobody's
		logTwice()
		return
	}
	o.result, o.count, o.output = result, count, output
	select {
	case o.done <- struct{}{}:
	default:
		logTwice()
	}
}

var twice sync.Once

// logTwice logs, once, that nng has ended an operation twice. What came of it is dropped.
func logTwice() {
	twice.Do(func() {
		logApart("nng: an operation has ended twice; the second end is ignored, and so are further ones")
	})
}

// finishAIO completes an operation of nng, as its provider does.
func finishAIO(aio *C.nng_aio, result Errno) { C.nngo_call_end(nil, aio, C.int(result)) }

// cancel asks nng to end the operation (nng_aio_cancel). It still completes.
func (o *op) cancel() { C.nng_aio_cancel(o.c.aio) }

// wait returns when the operation has completed. When ctx ends or closing closes
// first (nil never does), the operation is cancelled and its completion awaited, so
// that nng has let go of all it was given. ok is false if nng lost the
// cancellation: then the operation goes on, and what it uses must be kept until a
// token comes.
func (o *op) wait(ctx context.Context, closing <-chan struct{}) (result Errno, ok bool) {
	var why Errno
	select {
	case <-o.done:
		return o.result, true
	case <-ctx.Done():
		why = contextErrno(ctx)
	case <-closing:
		why = ErrClosed
	}
	o.cancel()
	grace := time.NewTimer(cancelGrace)
	defer grace.Stop()
	select {
	case <-o.done:
		if o.result != 0 {
			return why, true
		}
		return 0, true
	case <-grace.C:
		return why, false
	}
}

// free releases the aio. It waits for a callback that is running (nng_aio_free). A
// completion that has not been seen by then is lost.
func (o *op) free() {
	C.nngo_op_free(o.c)
	ops.remove(o.handle)
	releasePump()
	live.ops.Add(-1)
}
