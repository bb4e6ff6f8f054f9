package nng

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"unsafe"
)

// #include "http_cgo.h"
import "C"

// OnData has fn called with whatever arrives on the connection, instead of Read
// (nng_http_conn_read, again and again). It is for very many connections, which need no
// goroutine while nothing arrives, and for those who like C's callbacks.
//
// fn is called in a goroutine, never twice at a time. p is lent until it returns; only then
// more is read. The last call has an error, that of Read, and no bytes. fn may block, call
// Write and Close; after Close it is not called any more. A panic closes the connection and is
// logged.
//
// The connection must be the caller's: hijacked, or made by a client. Read and all other
// operations that read answer ErrState from then on; deadlines for reading mean nothing.
//
// Errors: ErrInvalid (fn is nil), ErrState (a connection that belongs to a server, a Read that
// timed out, or ReadAhead, has bytes to be read first, a second OnData), ErrClosed, ErrNoMemory.
func (c *Conn) OnData(fn func(p []byte, err error)) error {
	const op = "on data"
	if fn == nil {
		return refuse(op, "", ErrInvalid, "the function is nil")
	}
	if err := c.open(op); err != nil {
		return err
	}
	c.callMu.Lock()
	owned := c.call == nil
	c.callMu.Unlock()
	if !owned {
		return refuse(op, "", ErrState, "the connection belongs to a server; Hijack it first")
	}
	t := c.io()
	s := &t.rd
	if err := s.take(context.Background(), c, op); err != nil {
		return err
	}
	defer s.give()
	if s.pending() {
		return refuse(op, "", ErrState, readPending)
	}
	if e := holdPump(); e != 0 {
		return &OpError{Op: op, Err: e}
	}
	d := &dataSide{conn: c, fn: fn}
	d.handle = dataSides.add(d)
	if rv := C.nngo_reader_alloc(&d.c, c.c, C.uintptr_t(d.handle), dataRead); rv != 0 {
		dataSides.remove(d.handle)
		releasePump()
		return &OpError{Op: op, Err: Errno(rv)}
	}
	live.ops.Add(1)
	s.data.Store(d)
	enterC()
	C.nngo_reader_next(d.c)
	leaveC()
	return nil
}

// dataRead is the most that OnData's function gets at once.
const dataRead = 16 << 10

// A dataSide is what OnData has set up, instead of reads.
type dataSide struct {
	conn   *Conn
	fn     func(p []byte, err error)
	c      *C.nngo_reader
	handle uintptr

	result Errno // of the read that has ended
	bytes  []byte

	mu    sync.Mutex // held while fn runs
	ended bool       // there is nothing more to tell
}

// dataSides finds the Go side of an nngo_reader.
var dataSides registry[*dataSide]

// arrived is called when a read has ended. No other one is under way.
func (d *dataSide) arrived(e *C.nngo_event) {
	d.result = Errno(e.result)
	d.bytes = unsafe.Slice((*byte)(e.ptr[0]), int(e.count))
	goJob(d)
}

// run tells the function, and reads on.
func (d *dataSide) run() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended || d.conn.closed.Load() {
		return
	}
	finished := false
	defer func() { // also when the function panics or ends its goroutine
		if p := recover(); p != nil {
			slog.Error("nng: panic in a function for OnData", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
		if !finished {
			d.ended = true
			go d.conn.Close()
		} else if !d.ended && !d.conn.closed.Load() {
			enterC()
			C.nngo_reader_next(d.c)
			leaveC()
		}
	}()
	if d.result != 0 {
		d.ended = true
		d.fn(nil, d.conn.io().rd.failed(d.conn, "on data", d.result))
	} else {
		d.fn(d.bytes, nil)
	}
	finished = true
}

// stop ends the reading, and returns when the function is not running any more.
func (d *dataSide) stop() {
	C.nngo_reader_stop(d.c)
	d.mu.Lock()
	d.ended = true
	d.mu.Unlock()
}

func (d *dataSide) free() {
	dataSides.remove(d.handle)
	C.nngo_reader_free(d.c)
	releasePump()
	live.ops.Add(-1)
}
