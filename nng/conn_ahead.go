package nng

import (
	"context"
	"sync"
	"unsafe"
)

// #include "http_cgo.h"
import "C"

// ReadAhead has C read before Read asks for it, so that Read finds bytes where it would have
// had to wait for them (nng_http_conn_read, as soon as the read before has ended). It is for
// long bodies, and other streams whose end can be told from what has arrived.
//
// next is called with the bytes of each read, in their order, before Read returns them, and
// answers how many may be read behind these at the most. The first call is made by ReadAhead,
// with nil. When it answers 0 or less, reading ahead ends, and when its bytes have been taken
// Read reads as ever. At most 1 MiB is read ahead.
//
// next is called where nng's events are taken, never twice at a time. p is lent until it
// returns. It must not block, which would hold all connections up, nor use the connection, nor
// end its goroutine. If it panics, the panic is logged and the connection is closed.
//
// Until reading ahead has ended, ReadReq, ReadRes, ReadAll, Transact and OnData answer
// ErrState. A connection on which it goes on is closed when its handler returns.
//
// Errors: ErrInvalid (next is nil), ErrState (a Read that timed out has bytes to be read first,
// ReadAhead or OnData is at work), ErrNotSupported (over TLS, by an unpatched libnng), ErrClosed,
// ErrNoMemory, or what has ended the stream.
func (c *Conn) ReadAhead(next func(p []byte) int) error {
	const op = "read ahead"
	if next == nil {
		return refuse(op, "", ErrInvalid, "the function is nil")
	}
	if err := c.open(op); err != nil {
		return err
	}
	if c.secure && !mends("cl17") {
		return refuse(op, "", ErrNotSupported, "without the patch CL17 a cancelled read over TLS can still write to its buffer")
	}
	t := c.io()
	s := &t.rd
	if err := s.take(context.Background(), c, op); err != nil {
		return err
	}
	defer s.give()
	switch {
	case s.err != nil:
		return s.err
	case s.pending():
		return refuse(op, "", ErrState, readPending)
	}
	s.endAhead()
	a := &aheadSide{conn: c, next: next, moved: make(chan struct{}, 1), more: next(nil)}
	if a.more <= 0 {
		return nil
	}
	c.inUse()
	if e := holdPump(); e != 0 {
		return &OpError{Op: op, Err: e}
	}
	a.handle = aheadSides.add(a)
	if rv := C.nngo_reader_alloc(&a.c, c.c, C.NNGO_AHEAD, C.uintptr_t(a.handle), maxAhead); rv != 0 {
		aheadSides.remove(a.handle)
		releasePump()
		return &OpError{Op: op, Err: Errno(rv)}
	}
	live.ops.Add(1)
	a.ring = unsafe.Slice((*byte)(unsafe.Pointer(a.c.buf)), maxAhead)
	s.ahead = a
	a.read()
	return nil
}

// maxAhead is how much is read ahead.
const maxAhead = 1 << 20

// An aheadSide is what ReadAhead has set up: C reads into a ring, Read takes from it.
type aheadSide struct {
	conn   *Conn
	next   func(p []byte) int
	c      *C.nngo_reader
	handle uintptr
	ring   []byte        // C's memory
	moved  chan struct{} // gets a token when something has arrived, or will not

	calling sync.Mutex // held while next runs

	mu      sync.Mutex // guards what follows
	head    int        // where the oldest byte is
	size    int        // how many have arrived and have not been taken
	more    int        // how many may be read behind those, at the most
	reading bool       // a read is in flight
	stopped bool       // no further one is started
	result  Errno      // what has ended the stream
}

// aheadSides finds the Go side of an nngo_reader that reads ahead.
var aheadSides registry[*aheadSide]

// minAhead is the least room that is worth a read.
const minAhead = 16 << 10

// read starts a read, if it is time for one.
func (a *aheadSide) read() {
	a.mu.Lock()
	start := (a.head + a.size) % maxAhead
	n := min(a.more, maxAhead-a.size, maxAhead-start)
	if a.reading || a.stopped || a.result != 0 || a.more <= 0 || maxAhead-a.size < minAhead {
		a.mu.Unlock()
		return
	}
	a.reading = true
	a.mu.Unlock()
	C.nngo_reader_next(a.c, C.size_t(start), C.size_t(n))
}

// arrived is called when a read has ended. No other one is under way.
func (a *aheadSide) arrived(e *C.nngo_event) {
	a.calling.Lock()
	defer a.calling.Unlock()
	if a.isStopped() {
		return // p may be gone
	}
	n, more, result := int(e.count), 0, Errno(e.result)
	if result != 0 {
		n = 0
	} else if m, ok := a.ask(unsafe.Slice((*byte)(e.ptr[0]), n)); ok {
		more = m
	} else {
		n, result = 0, ErrConnShut // nobody knows where the stream ends
		go a.conn.Close()
	}
	a.mu.Lock()
	a.reading = false
	a.size += n
	a.more = more
	a.result = result
	a.mu.Unlock()
	select {
	case a.moved <- struct{}{}:
	default: // whoever waits will look
	}
	a.read()
}

// ask calls next. ok is false if that has panicked.
func (a *aheadSide) ask(p []byte) (more int, ok bool) {
	defer func() {
		if r := recover(); r != nil {
			logPanic(C.NNGO_AHEAD, r)
		}
	}()
	return a.next(p), true
}

// take copies what has arrived to p. over means that there is no more to come: reading ahead
// has ended, or the stream, and then result says how. The turn to read is held.
func (a *aheadSide) take(p []byte) (n int, over bool, result Errno) {
	a.mu.Lock()
	from := a.ring[a.head:min(a.head+a.size, maxAhead)]
	over = a.size == 0 && !a.reading && (a.more <= 0 || a.result != 0)
	result = a.result
	a.mu.Unlock()
	if len(from) > 0 {
		n = copy(p, from)
		a.mu.Lock()
		a.head = (a.head + n) % maxAhead
		if a.size -= n; a.size == 0 && !a.reading {
			a.head = 0
		}
		a.mu.Unlock()
	}
	if !over {
		a.read()
	}
	return n, over, result
}

// active says whether a read is in flight or bytes wait.
func (a *aheadSide) active() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.reading || a.size > 0 || a.result != 0 || a.more > 0
}

func (a *aheadSide) isStopped() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stopped
}

// stop ends the reading, and returns when next is not running any more.
func (a *aheadSide) stop() {
	a.mu.Lock()
	a.stopped = true
	a.mu.Unlock()
	C.nngo_reader_stop(a.c)
	a.calling.Lock() // it may be running on the pump
	defer a.calling.Unlock()
}

func (a *aheadSide) free() {
	aheadSides.remove(a.handle)
	C.nngo_reader_free(a.c)
	releasePump()
	live.ops.Add(-1)
}
