package nng

import (
	"context"
	"io"
	"sync/atomic"
)

// #include "http_cgo.h"
import "C"

const (
	maxRead  = 64 << 10 // bounds one read of C
	keepRead = 16 << 10 // a larger buffer is not kept for a smaller read, which may be long in coming
	fullRead = 1 << 10  // if a read is full, and brings so much, more is likely to be there
)

// A readSide is the reading half of a connection: whose turn it is, the one read
// that may be in flight in C, and what it brought that nobody has taken yet.
type readSide struct {
	turn chan struct{}            // holds a token while somebody uses what follows
	op   *op                      // made at the first use
	buf  buffer                   // C reads into it
	rest []byte                   // part of buf: arrived, not yet taken
	size int                      // what the last read has asked C for
	busy bool                     // a read is in flight
	more bool                     // that was there, and not little
	came int64                    // bytes of all reads
	err  error                    // what ended the stream; every later read gets it
	data atomic.Pointer[dataSide] // set by OnData: nobody else reads

	// after is called once the operation in flight has completed.
	after func()
}

// take waits for the caller's turn.
func (s *readSide) take(ctx context.Context, c *Conn, op string) error {
	select {
	case s.turn <- struct{}{}:
	case <-c.io().closing:
		return closedError(op)
	case <-ctx.Done():
		return &OpError{Op: op, Err: contextErrno(ctx)}
	}
	switch {
	case c.closed.Load():
		s.give()
		return closedError(op)
	case s.data.Load() != nil:
		s.give()
		return refuse(op, "", ErrState, "OnData reads")
	}
	return nil
}

func (s *readSide) give() { <-s.turn }

// ready makes the aio at the first use. The turn is held.
func (s *readSide) ready(c *Conn, op string) error {
	if s.op == nil {
		c.inUse()
		o, rv := newOp()
		if rv != 0 {
			return &OpError{Op: op, Err: rv}
		}
		s.op = o
	}
	return nil
}

// read is Conn.ReadAhead. A deadline leaves the read in flight, for the next caller.
func (s *readSide) read(c *Conn, p []byte, max int) (int, error) {
	passed := c.io().readDeadline.passed()
	if err := takeTurn("read", s.turn, c.io().closing, passed); err != nil {
		return 0, err
	}
	defer s.give()
	for {
		switch {
		case c.closed.Load():
			return 0, closedError("read")
		case isOver(passed):
			return 0, &OpError{Op: "read", Err: ErrTimedOut}
		case s.data.Load() != nil:
			return 0, refuse("read", "", ErrState, "OnData reads")
		case len(s.rest) > 0:
			n := copy(p, s.rest)
			s.rest = s.rest[n:]
			return n, nil
		case s.err != nil:
			return 0, s.err
		}
		if !s.busy {
			if err := s.ready(c, "read"); err != nil {
				return 0, err
			}
			n := min(max, maxRead)
			if !s.more {
				n = min(n, len(p))
			}
			if len(s.buf.mem) > keepRead && n <= keepRead {
				s.buf.free()
			}
			if err := s.buf.reserve(n); err != 0 {
				return 0, &OpError{Op: "read", Err: err}
			}
			s.size = n
			s.busy = true
			enterC()
			s.op.started(C.nngo_conn_read(c.c, s.op.c, s.buf.ptr(), C.size_t(n), false))
		}
		ended := isOver(s.op.done) // often it has, and that is quick to find out
		if !ended {
			select {
			case <-s.op.done:
				ended = true
			case <-c.io().closing:
			case <-passed:
				// The deadline may have been moved on while we slept.
				passed = c.io().readDeadline.passed()
			}
		}
		if ended {
			s.collect(c, "read")
			if s.err == nil {
				s.rest = s.buf.mem[:s.op.count]
				s.more = s.op.count == s.size && s.size >= fullRead
			}
		}
	}
}

// collect notes the result of a read that has completed. The turn is held.
func (s *readSide) collect(c *Conn, op string) {
	s.busy = false
	if s.after != nil {
		s.after()
		s.after = nil
	}
	if s.op.result != 0 {
		s.err = s.failed(c, op, s.op.result)
	} else {
		s.came += int64(s.op.count)
	}
}

// failed is the error for what C says when a read has failed.
func (s *readSide) failed(c *Conn, op string, e Errno) error {
	switch e {
	case ErrConnShut:
		return io.EOF
	case ErrConnRefused:
		// Behind a TLS close_notify unpatched releases say this (defect CL23), and of a
		// connect that was none (defect X4).
		if c.secure {
			return io.EOF
		}
		return &OpError{Op: op, Err: e}
	case ErrClosed:
		// C has closed the connection because of something else. If a write has
		// failed, as over TLS the first one with the handshake, that is why.
		return &OpError{Op: op, Err: c.io().wr.failure(ErrConnShut)}
	}
	return &OpError{Op: op, Err: connErrno(e)}
}

// readOp runs an operation of C that reads: start starts it, use takes what it
// brought. A context that ends cancels it, and that closes the connection in C.
func (c *Conn) readOp(ctx context.Context, op string, start func(*readSide) error, use func(*readSide)) error {
	s := &c.io().rd
	if err := s.take(ctx, c, op); err != nil {
		return err
	}
	defer s.give()
	if s.untaken() {
		return refuse(op, "", ErrState, readPending)
	}
	if s.err != nil {
		return s.err
	}
	if err := s.ready(c, op); err != nil {
		return err
	}
	if err := start(s); err != nil {
		return err
	}
	if err := s.await(ctx, c, op); err != nil {
		return err
	}
	s.collect(c, op)
	if s.err != nil {
		if ctx.Err() != nil {
			s.err = &OpError{Op: op, Err: ErrConnShut, Detail: "an operation was cancelled, which closes the connection"}
			return &OpError{Op: op, Err: contextErrno(ctx)}
		}
		return s.err
	}
	if use != nil {
		use(s)
		s.shrink()
	}
	return nil
}

// await waits until the operation that was started has completed. A context that ends cancels it.
// The turn is held.
func (s *readSide) await(ctx context.Context, c *Conn, op string) error {
	s.busy = true
	select {
	case <-s.op.done:
	case <-c.io().closing:
		return closedError(op) // teardown completes the operation
	case <-ctx.Done():
		s.op.cancel()
		<-s.op.done // C completes a cancelled read at once
	}
	return nil
}

// AwaitData waits until there is something to read, and takes nothing. When ctx ends the
// connection stays as it is: what comes later is for the next Read, ReadReq or whatever reads.
// So a handler can watch whether its client is still there. Where the peer has ended its direction
// that is io.EOF, and what was written before and is written then still goes to it (over TLS only
// until its TCP connection ends that direction, too). nng's public API has nothing like it.
//
// Errors: *OpError with ErrNotSupported (a libnng without patch 0100), context.Canceled or
// context.DeadlineExceeded, io.EOF, ErrConnReset and the other errors of Read where the
// connection has ended, ErrState (a Read has timed out, and has not been done again; OnData reads).
func (c *Conn) AwaitData(ctx context.Context) error {
	const op = "await data"
	if err := c.open(op); err != nil {
		return err
	}
	if !canAwait {
		return refuse(op, "", ErrNotSupported, "a published libnng finds out only by a read, which takes something")
	}
	if ctx.Err() != nil {
		return &OpError{Op: op, Err: contextErrno(ctx)}
	}
	s := &c.io().rd
	if err := s.take(ctx, c, op); err != nil {
		return err
	}
	defer s.give()
	switch {
	case len(s.rest) > 0:
		return nil
	case s.busy:
		return refuse(op, "", ErrState, readPending)
	case s.err != nil:
		return s.err
	}
	if err := s.ready(c, op); err != nil {
		return err
	}
	enterC()
	s.op.started(C.nngo_conn_await(c.c, s.op.c))
	if err := s.await(ctx, c, op); err != nil {
		return err
	}
	s.busy = false
	switch e := s.op.result; {
	case e == 0:
		return nil
	case ctx.Err() != nil && e == ErrCanceled:
		return &OpError{Op: op, Err: contextErrno(ctx)}
	default:
		s.err = s.failed(c, op, e)
		return s.err
	}
}

// canAwait is whether the library can wait without reading (patch CL18).
var canAwait = bool(C.nngo_can_await())

const readPending = "there are bytes of a Read that timed out, or of ReadAhead; Read them first"

// shrink gives back a buffer that one large operation has blown up.
func (s *readSide) shrink() {
	if len(s.buf.mem) > maxRead {
		s.buf.free()
	}
}

// pending says whether a read is in flight, or bytes wait that C no longer has.
// The turn is held.
func (s *readSide) pending() bool { return s.untaken() || s.err != nil }

// untaken says whether Read has to be called before anything else reads. The turn is held.
func (s *readSide) untaken() bool { return s.busy || len(s.rest) > 0 }

// free releases the aio and the buffer. The turn is held for good.
func (s *readSide) free() {
	if s.after != nil {
		s.after()
		s.after = nil
	}
	if s.op != nil {
		s.op.free()
	}
	if d := s.data.Load(); d != nil {
		d.free()
	}
	s.buf.free()
	s.rest = nil
}
