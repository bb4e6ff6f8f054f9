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

// A writeSide is the writing half of a connection: whose turn it is, and the nngo_writer,
// which has the one write that may be in flight in C, and the bytes that wait behind it.
type writeSide struct {
	turn  chan struct{} // holds a token while somebody adds bytes or runs an operation
	moved chan struct{} // gets a token when a write has ended and somebody wanted to know
	used  atomic.Bool   // something was written

	mu     sync.Mutex // guards what follows
	c      *C.nngo_writer
	handle uintptr
	after  func() // to be called once the operation in flight has completed
}

// writers finds the Go side of an nngo_writer.
var writers registry[*writeSide]

// take waits for the caller's turn, and for the queue to empty.
func (s *writeSide) take(ctx context.Context, c *Conn, op string) error {
	closing := c.io().closing
	select {
	case s.turn <- struct{}{}:
	case <-closing:
		return closedError(op)
	case <-ctx.Done():
		return &OpError{Op: op, Err: contextErrno(ctx)}
	}
	for {
		busy, err := s.look(true)
		switch {
		case c.closed.Load():
			s.give()
			return closedError(op)
		case err != 0:
			s.give()
			return &OpError{Op: op, Err: err}
		case !busy:
			return nil
		}
		select {
		case <-s.moved:
		case <-closing:
		case <-ctx.Done():
			s.give()
			return &OpError{Op: op, Err: contextErrno(ctx)}
		}
	}
}

func (s *writeSide) give() { <-s.turn }

// look says whether a write is in flight, which tell makes C report the end of, and why
// nothing can be sent any more.
func (s *writeSide) look(tell bool) (busy bool, err Errno) {
	if s.c == nil {
		return false, 0
	}
	state := C.nngo_writer_look(s.c, C.bool(tell))
	return bool(state.busy), connErrno(Errno(state.err))
}

// writes is the number of writes that have completed.
func (s *writeSide) writes() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c == nil {
		return 0
	}
	return uint64(C.nngo_writer_look(s.c, false).writes)
}

// ready makes the writer at the first use. The turn is held.
func (s *writeSide) ready(c *Conn, op string) error {
	if s.c != nil {
		return nil
	}
	s.used.Store(true)
	c.inUse()
	if e := holdPump(); e != 0 {
		return &OpError{Op: op, Err: e}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handle = writers.add(s)
	if rv := C.nngo_writer_alloc(&s.c, c.c, C.uintptr_t(s.handle)); rv != 0 {
		writers.remove(s.handle)
		releasePump()
		return &OpError{Op: op, Err: Errno(rv)}
	}
	live.ops.Add(1)
	return nil
}

// write is Conn.Write.
func (s *writeSide) write(c *Conn, p []byte) (n int, err error) {
	t := c.io()
	passed := t.writeDeadline.passed()
	if err := takeTurn("write", s.turn, t.closing, passed); err != nil {
		return 0, err
	}
	defer s.give()
	for {
		switch {
		case c.closed.Load():
			return n, closedError("write")
		case isOver(passed):
			return n, &OpError{Op: "write", Err: ErrTimedOut}
		}
		if err := s.ready(c, "write"); err != nil {
			return n, err
		}
		enterC()
		added := C.nngo_writer_add(s.c, unsafe.Pointer(&p[n:][0]), C.size_t(len(p)-n))
		leaveC()
		n += int(added.taken)
		switch {
		case added.err != 0:
			return n, &OpError{Op: "write", Err: connErrno(Errno(added.err))}
		case n == len(p):
			return n, nil
		}
		select {
		case <-s.moved:
		case <-t.closing:
		case <-passed:
			passed = t.writeDeadline.passed()
		}
	}
}

// written is called when a write has ended and somebody wanted to know. It must not block.
func (s *writeSide) written() {
	select {
	case s.moved <- struct{}{}:
	default: // whoever waits will look
	}
}

// failure returns why writing has failed, or otherwise e. C has closed the connection,
// so a write in flight completes at once; that is seldom, so asking again does.
func (s *writeSide) failure(e Errno) Errno {
	for range 100 {
		s.mu.Lock()
		busy, err := s.look(false)
		s.mu.Unlock()
		if err != 0 {
			return err
		}
		if !busy {
			break
		}
		time.Sleep(time.Millisecond)
	}
	return e
}

// startBytes starts an operation that writes p: all of it, or some.
func (s *writeSide) startBytes(op string, p []byte, all bool) error {
	enterC()
	rv := C.nngo_writer_start(s.c, unsafe.Pointer(&p[0]), C.size_t(len(p)), C.bool(all))
	leaveC()
	return check(op, "", int(rv))
}

// writeOp runs an operation of C that writes, behind everything queued; start nil
// means just to wait for that. A context that ends cancels the operation, and that
// closes the connection in C.
func (c *Conn) writeOp(ctx context.Context, op string, start func(*writeSide) error) (count int, err error) {
	t := c.io()
	s := &t.wr
	if err := s.take(ctx, c, op); err != nil {
		return 0, err
	}
	defer s.give()
	if start == nil {
		return 0, nil
	}
	if err := s.ready(c, op); err != nil {
		return 0, err
	}
	if err = start(s); err != nil {
		return 0, err
	}
	cancelled := false
	done := ctx.Done()
	for {
		state := C.nngo_writer_look(s.c, true)
		switch err := connErrno(Errno(state.err)); {
		case bool(state.busy):
		case err == 0:
			s.finish()
			return int(state.count), nil
		case cancelled:
			s.finish()
			return 0, &OpError{Op: op, Err: contextErrno(ctx)}
		default:
			s.finish()
			return 0, &OpError{Op: op, Err: err}
		}
		select {
		case <-s.moved:
		case <-t.closing:
			return 0, closedError(op) // teardown completes the operation
		case <-done:
			C.nng_aio_cancel(s.c.aio)
			cancelled, done = true, nil
		}
	}
}

// finish does what is to be done behind an operation.
func (s *writeSide) finish() {
	s.mu.Lock()
	after := s.after
	s.after = nil
	s.mu.Unlock()
	if after != nil {
		after()
	}
}

// drain waits until nothing is queued or in flight. It gives up when patience
// passes without movement, or when abort or deadline is closed. ok says that all has been
// sent. The turn is held.
//
// Movement is what the peer's system confirms. A write ends only when the system's buffer has
// room again, and for a slow peer that can take longer than any patience.
func (s *writeSide) drain(c *Conn, patience time.Duration, abort, deadline <-chan struct{}) (ok bool) {
	busy, err := s.look(true)
	if !busy || err != 0 {
		return err == 0
	}
	const looks = 8 // while patience lasts
	tick := time.NewTicker(patience / looks)
	defer tick.Stop()
	unsent, still := C.nngo_conn_queue(c.c).unsent, 0
	for {
		select {
		case <-s.moved:
			still = 0
		case <-tick.C:
			now := C.nngo_conn_queue(c.c).unsent
			if still++; now != unsent {
				unsent, still = now, 0
			}
			if still == looks {
				return false
			}
		case <-abort:
			return false
		case <-deadline:
			return false
		}
		if busy, err := s.look(true); !busy || err != 0 {
			return err == 0
		}
	}
}

// free releases the writer, which is stopped. The turn is held for good.
func (s *writeSide) free() {
	s.finish()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c != nil {
		C.nngo_writer_free(s.c)
		s.c = nil
		writers.remove(s.handle)
		releasePump()
		live.ops.Add(-1)
	}
}
