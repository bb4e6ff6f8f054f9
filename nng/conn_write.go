package nng

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// #include "http_cgo.h"
import "C"

// maxQueue is how much a connection queues behind the write in flight.
const maxQueue = 64 << 10

// A writeSide is the writing half of a connection: whose turn it is, the one write
// that may be in flight in C, and the bytes that wait behind it. The completion
// callback sends what has gathered meanwhile with one write.
type writeSide struct {
	turn  chan struct{} // holds a token while somebody adds bytes or runs an operation
	moved chan struct{} // gets a token when a write has completed
	sent  atomic.Int64  // writes completed; movement, for Close
	used  atomic.Bool   // something was written

	mu      sync.Mutex // guards what follows, also against the callback
	conn    *C.nng_http_conn
	op      *op    // made at the first use
	flying  buffer // C sends from it
	queue   buffer // waits behind it
	busy    bool   // a write is in flight
	stopped bool   // no further write is started
	err     Errno  // why the connection can send no more
	count   int    // bytes of the last operation
	after   func() // called once the operation in flight has completed
}

// take waits for the caller's turn, and for the queue to empty.
func (s *writeSide) take(ctx context.Context, c *Conn, op string) error {
	select {
	case s.turn <- struct{}{}:
	case <-c.io().closing:
		return closedError(op)
	case <-ctx.Done():
		return &OpError{Op: op, Err: contextErrno(ctx)}
	}
	for {
		s.mu.Lock()
		idle, err := !s.busy, s.err
		s.mu.Unlock()
		switch {
		case c.closed.Load():
			s.give()
			return closedError(op)
		case err != 0:
			s.give()
			return &OpError{Op: op, Err: err}
		case idle:
			return nil
		}
		select {
		case <-s.moved:
		case <-c.io().closing:
		case <-ctx.Done():
			s.give()
			return &OpError{Op: op, Err: contextErrno(ctx)}
		}
	}
}

func (s *writeSide) give() { <-s.turn }

// ready makes the aio at the first use. The turn is held.
func (s *writeSide) ready(c *Conn, op string) error {
	s.used.Store(true)
	if s.op == nil {
		c.inUse()
		o, rv := newOp(s.completed)
		if rv != 0 {
			return &OpError{Op: op, Err: rv}
		}
		s.mu.Lock()
		s.op, s.conn = o, c.c
		s.mu.Unlock()
	}
	return nil
}

// write is Conn.Write.
func (s *writeSide) write(c *Conn, p []byte) (n int, err error) {
	passed := c.io().writeDeadline.passed()
	select {
	case s.turn <- struct{}{}:
	case <-c.io().closing:
		return 0, closedError("write")
	case <-passed:
		return 0, &OpError{Op: "write", Err: ErrTimedOut}
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
		took, rv := s.add(p[n:])
		n += took
		if rv != 0 {
			return n, &OpError{Op: "write", Err: rv}
		}
		if n == len(p) {
			return n, nil
		}
		select {
		case <-s.moved:
		case <-c.io().closing:
		case <-passed:
			passed = c.io().writeDeadline.passed()
		}
	}
}

// add queues as much of p as there is room for, and starts a write if none is in
// flight.
func (s *writeSide) add(p []byte) (n int, err Errno) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != 0 {
		return 0, s.err
	}
	if !s.busy {
		n = min(len(p), maxQueue)
		if err := s.load(p[:n]); err != 0 {
			return 0, err
		}
		if n > 0 {
			s.send()
		}
		p = p[n:]
	}
	more := min(len(p), maxQueue-s.queue.n)
	if more <= 0 {
		return n, 0
	}
	if err := s.queue.grow(s.queue.n + more); err != 0 {
		return n, err
	}
	copy(s.queue.mem[s.queue.n:], p[:more])
	s.queue.n += more
	return n + more, 0
}

// load copies p to where C sends from. Nothing is in flight.
func (s *writeSide) load(p []byte) Errno {
	if err := s.flying.reserve(len(p)); err != 0 {
		return err
	}
	s.flying.n = copy(s.flying.mem, p)
	return 0
}

// send starts a write of what load has put in place. mu is held: the callback,
// which needs it too, cannot overtake.
func (s *writeSide) send() {
	s.busy = true
	C.nngo_conn_write_all(s.conn, s.op.c, s.flying.ptr(), C.size_t(s.flying.n))
}

// completed is called on an nng thread when the operation in flight has ended.
func (s *writeSide) completed(o *op) {
	s.mu.Lock()
	s.busy = false
	s.count = o.count
	if s.after != nil {
		s.after()
		s.after = nil
	}
	switch {
	case o.result != 0:
		s.err = connErrno(o.result)
	case s.stopped:
	case s.queue.n > 0:
		s.flying, s.queue = s.queue, s.flying
		s.queue.n = 0
		s.send()
	case len(s.flying.mem) > maxQueue:
		s.flying.free() // one large operation has blown it up
	}
	s.mu.Unlock()
	s.sent.Add(1)
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
		busy, err := s.busy, s.err
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

// writeOp runs an operation of C that writes, behind everything queued; start nil
// means just to wait for that. A context that ends cancels the operation, and that
// closes the connection in C.
func (c *Conn) writeOp(ctx context.Context, op string, start func(*writeSide) error) (count int, err error) {
	s := &c.io().wr
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
	s.mu.Lock()
	err = start(s)
	s.busy = err == nil
	s.mu.Unlock()
	if err != nil {
		return 0, err
	}
	cancelled := false
	done := ctx.Done()
	for {
		s.mu.Lock()
		busy, count, err := s.busy, s.count, s.err
		s.mu.Unlock()
		switch {
		case busy:
		case err == 0:
			return count, nil
		case cancelled:
			return 0, &OpError{Op: op, Err: contextErrno(ctx)}
		default:
			return 0, &OpError{Op: op, Err: err}
		}
		select {
		case <-s.moved:
		case <-c.io().closing:
			return 0, closedError(op) // teardown completes the operation
		case <-done:
			s.op.cancel()
			cancelled, done = true, nil
		}
	}
}

// drain waits until nothing is queued or in flight. It gives up when patience
// passes without movement, or when abort or deadline is closed. ok says that all has been
// sent. The turn is held.
func (s *writeSide) drain(patience time.Duration, abort, deadline <-chan struct{}) (ok bool) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		s.mu.Lock()
		busy, err := s.busy, s.err
		s.mu.Unlock()
		if !busy || err != 0 {
			return err == 0
		}
		select {
		case <-s.moved:
			timer.Reset(patience)
		case <-abort:
			return false
		case <-deadline:
			return false
		case <-timer.C:
			return false
		}
	}
}

// stop keeps the callback from starting another write and returns the aio to be
// stopped, if there is one.
func (s *writeSide) stop() *op {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	return s.op
}

// free releases the aio and the buffers. The turn is held for good.
func (s *writeSide) free() {
	if s.op != nil {
		s.op.free()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.after != nil {
		s.after()
		s.after = nil
	}
	s.flying.free()
	s.queue.free()
}
