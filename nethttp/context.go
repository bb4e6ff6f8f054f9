package nethttp

import (
	"net/http"
	"sync"
	"time"

	"github.com/gonng/nnghttp/internal/lazycontext"
)

// A requestContext is the context of a request. It ends when the handler returns, when the
// server is closed, when reading or writing fails, and when the client goes.
//
// nng does not tell that a client has gone: only a read finds out, and nng cannot take a
// read back without closing the connection (defect CL18). So one is started only for a
// handler that has asked for Done and is still running after watchDelay. Its connection is
// closed behind the reply, unless it is hijacked.
type requestContext struct {
	lazycontext.Context
	w *response

	mu      sync.Mutex
	timer   *time.Timer   // set by the first Done
	ended   bool          // no read is started any more
	stop    sync.Once     // ends the read, if one was started
	reading chan struct{} // closed when the read that was started has returned
	byte    [1]byte       // a pipelined request's first byte, which the read has brought
	got     int
}

// watchDelay is how long a handler runs before its client is watched.
const watchDelay = time.Second

// Value implements context.Context with the keys that net/http promises.
func (c *requestContext) Value(key any) any {
	switch key {
	case http.ServerContextKey:
		return c.w.a.std
	case http.LocalAddrContextKey:
		return c.w.conn.LocalAddr()
	}
	return c.Context.Value(key)
}

// Done implements context.Context.
func (c *requestContext) Done() <-chan struct{} {
	c.mu.Lock()
	if c.timer == nil && !c.ended {
		c.timer = time.AfterFunc(watchDelay, c.watch)
	}
	c.mu.Unlock()
	return c.Context.Done()
}

// watch reads from the connection, on which nothing is to come.
func (c *requestContext) watch() {
	bodyLeft := c.w.bodyLeft() // the handler may be reading: the body finds out, too
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return
	}
	if bodyLeft {
		c.timer.Reset(watchDelay)
		c.mu.Unlock()
		return
	}
	reading := make(chan struct{})
	c.reading = reading
	c.mu.Unlock()
	defer close(reading)
	n, err := c.w.conn.Read(c.byte[:])
	c.got = n
	if err != nil && !isTimeout(err) {
		c.Cancel()
	}
}

func isTimeout(err error) bool {
	t, ok := err.(interface{ Timeout() bool })
	return ok && t.Timeout()
}

// watched reports whether a read was started. Then nng cannot read another request.
func (c *requestContext) watched() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reading != nil
}

// stopWatching ends the watch and returns what it has read. From then on the connection's
// deadline for reading is left alone.
func (c *requestContext) stopWatching() []byte {
	c.mu.Lock()
	c.ended = true
	none := c.timer == nil // and so there was no read
	c.mu.Unlock()
	if !none {
		c.stop.Do(c.endWatch)
	}
	return c.byte[:c.got]
}

func (c *requestContext) endWatch() {
	c.mu.Lock()
	reading := c.reading
	if c.timer != nil {
		c.timer.Stop()
	}
	c.mu.Unlock()
	if reading != nil {
		_ = c.w.conn.SetReadDeadline(time.Unix(1, 0))
		<-reading
		_ = c.w.conn.SetReadDeadline(time.Time{})
	}
}
