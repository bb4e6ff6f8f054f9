package nng

import (
	"sync"
	"time"
)

// HasLoop tells whether the pump does the work of nng's threads (patch N3).
func HasLoop() bool { return mends("n3") }

// TransactsInC tells whether the library does transactions.
func TransactsInC() bool { return transactsInC }

// TransactInGo makes transactions be Go's, as with a library without patch CL8, and returns
// a function that takes that back.
func TransactInGo() (undo func()) {
	was := transactsInC
	transactsInC = false
	return func() { transactsInC = was }
}

// Freeing has f called before what C may be slow to free, until restore.
func Freeing(f func()) (restore func()) {
	beforeFree.Store(&f)
	return func() { beforeFree.Store(nil) }
}

// Unsent is how much the writer of a connection has for the system, and in how large buffers.
func Unsent(c *Conn) (held, room int) {
	w := c.io().wr.c
	return int(w.sending + w.queued), int(w.flying_cap + w.queue_cap)
}

// SetLinger changes how long bytes may stay without moving, until restore.
func SetLinger(d time.Duration) (restore func()) {
	old := lingerNanos.Swap(int64(d))
	return func() { lingerNanos.Store(old) }
}

// ReadBuffer is the size of the buffer that Read has.
func ReadBuffer(c *Conn) int { return len(c.io().rd.buf.mem) }

// IdleWorkers is how many goroutines wait for the next handler.
func IdleWorkers() int {
	workers.mu.Lock()
	defer workers.mu.Unlock()
	return len(workers.idle)
}

// EndTwice has nng end an operation that was not started, as if it had ended before, and does what
// the pump would do if C let two ends of one pass.
func EndTwice() error {
	o, e := newOp()
	if e != 0 {
		return e
	}
	finishAIO(o.c.aio, 0)
	for range 3 {
		o.complete(0, 0, nil)
	}
	o.free()
	return nil
}

// ForgetTwice makes the next operation that ends twice be logged again.
func ForgetTwice() { twice = sync.Once{} }

// LiveObjects tells how many C objects the package owns, by kind, and how many the
// garbage collector has freed because Close was forgotten.
func LiveObjects() map[string]int64 {
	return map[string]int64{
		"aios":                          live.ops.Load(),
		"connections":                   live.conns.Load(),
		"requests and responses":        live.messages.Load(),
		"handlers":                      live.handlers.Load(),
		"servers":                       live.servers.Load(),
		"clients":                       live.clients.Load(),
		"TLS configurations":            live.tls.Load(),
		"buffers":                       live.buffers.Load(),
		"WebSocket connections":         live.wsConns.Load(),
		"WebSocket dialers":             live.wsDialers.Load(),
		"WebSocket listeners":           live.wsListeners.Load(),
		"left to the garbage collector": live.leaked.Load(),
	}
}

// ForgiveLeaks sets the last of these counts back, for a test that leaks on purpose,
// and returns it.
func ForgiveLeaks() int64 { return live.leaked.Swap(0) }

// Secrets are the keys and passwords that a configuration keeps, not copies of them.
func Secrets(cfg *TLSConfig) (all [][]byte) {
	_ = cfg.use("secrets", func(s *tlsSettings) error {
		for _, x := range s.list {
			all = append(all, x.secrets...)
		}
		return nil
	})
	return all
}

// ReportEvery sets how often a server may report what it has refused, before it is started.
func ReportEvery(s *Server, d time.Duration) { s.shared.reportEvery = d }

// HaveLimits reports whether the library keeps limits.
func HaveLimits() bool { return haveLimits() }

// FillGate takes all the room that there is in C, until empty is called.
func FillGate() (empty func()) {
	for range gateSize {
		enterC()
	}
	return func() {
		for range gateSize {
			leaveC()
		}
	}
}

// HeapUsed tells how much of C's heap is in use, or math.MaxInt64.
func HeapUsed() int64 { return heapUsed() }

// ForgetHeapTrims gives back what is free, and makes the next look at the heap the first one.
// Otherwise it may be a minute until memory counts that was free in an earlier test.
func ForgetHeapTrims() {
	for !heap.looking.CompareAndSwap(false, true) {
		time.Sleep(time.Millisecond)
	}
	trimHeap(true)
	heap.low = 0
	heap.looking.Store(false)
}
