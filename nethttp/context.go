package nethttp

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/gonng/nnghttp/internal/lazycontext"
	"github.com/gonng/nnghttp/nng"
)

// A requestContext is the context of a request. It ends when the handler returns, when the
// server is closed, when reading or writing fails, and when the client goes.
//
// nng does not tell that a client has gone. So whoever has asked for Done and is still running
// after watchDelay has its connection watched, with nng.Conn.AwaitData. Without our patches only
// a read finds out, and nng cannot take that back without closing the connection (defect CL18):
// there the connection is closed after the reply, unless it is hijacked.
type requestContext struct {
	lazycontext.Context
	w *response

	mu       sync.Mutex
	timer    *time.Timer        // set by the first Done
	ended    bool               // no watch is started any more
	stop     sync.Once          // ends the watch, if one was started
	watching chan struct{}      // closed when the watch that was started has ended
	giveUp   context.CancelFunc // ends it
	reading  bool               // with a read
	spent    bool               // nng cannot read another request
	byte     [1]byte            // a pipelined request's first byte, which the read has brought
	got      int
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
	watching := make(chan struct{})
	ctx, giveUp := context.WithCancel(context.Background())
	c.watching, c.giveUp = watching, giveUp
	c.mu.Unlock()
	defer close(watching)
	err := c.w.conn.AwaitData(ctx)
	if errors.Is(err, nng.ErrNotSupported) {
		err = c.read(ctx)
	}
	if err != nil && ctx.Err() == nil && !isTimeout(err) {
		c.mu.Lock()
		c.spent = true
		c.mu.Unlock()
		c.Cancel()
	}
}

// read watches a connection where nothing but a read can. A deadline ends it.
func (c *requestContext) read(ctx context.Context) (err error) {
	c.mu.Lock()
	if ctx.Err() != nil {
		c.mu.Unlock()
		return ctx.Err()
	}
	c.reading, c.spent = true, true
	c.mu.Unlock()
	c.got, err = c.w.conn.Read(c.byte[:])
	return err
}

func isTimeout(err error) bool {
	t, ok := err.(interface{ Timeout() bool })
	return ok && t.Timeout()
}

// isSpent reports whether the watch has left the connection so that nng cannot read another
// request: the client has ended it, or a read was started.
func (c *requestContext) isSpent() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.spent
}

// stopWatching ends the watch and returns what it has read. From then on the connection's
// deadline for reading is left alone.
func (c *requestContext) stopWatching() []byte {
	c.mu.Lock()
	c.ended = true
	none := c.timer == nil // and so there was no watch
	c.mu.Unlock()
	if !none {
		c.stop.Do(c.endWatch)
	}
	return c.byte[:c.got]
}

func (c *requestContext) endWatch() {
	c.mu.Lock()
	watching := c.watching
	if c.timer != nil {
		c.timer.Stop()
	}
	if watching == nil {
		c.mu.Unlock()
		return
	}
	c.giveUp() // no read begins after this
	reading := c.reading
	c.mu.Unlock()
	if reading {
		_ = c.w.conn.SetReadDeadline(time.Unix(1, 0))
	}
	<-watching
	if reading {
		_ = c.w.conn.SetReadDeadline(time.Time{})
	}
}
