package nng

import (
	"context"
	"sync"
	"time"
)

// A callContext is the context of a handler. Most handlers never ask it for anything, so
// what a context costs is spent when they do.
type callContext struct {
	mu     sync.Mutex
	parent context.Context // the server's; nil behind detach
	inner  context.Context // made when it is asked for
	cancel context.CancelFunc
	unhook func() bool // from parent
	ended  bool
}

// Deadline implements context.Context. There is none.
func (c *callContext) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done implements context.Context.
func (c *callContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inner == nil {
		c.inner, c.cancel = context.WithCancel(context.Background())
		if c.ended {
			c.cancel()
		} else if c.parent != nil {
			c.unhook = context.AfterFunc(c.parent, c.cancel)
		}
	}
	return c.inner.Done()
}

// Err implements context.Context.
func (c *callContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.inner != nil:
		return c.inner.Err()
	case c.ended:
		return context.Canceled
	case c.parent != nil:
		return c.parent.Err()
	}
	return nil
}

// Value implements context.Context. Package context finds the inner one by it, and hangs
// children on that.
func (c *callContext) Value(key any) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inner == nil {
		return nil
	}
	return c.inner.Value(key)
}

// end ends the context.
func (c *callContext) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.inner != nil {
		c.cancel()
	}
	c.unhookLocked()
}

// detach makes the context outlive the server.
func (c *callContext) detach() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unhookLocked()
	c.parent = nil
}

func (c *callContext) unhookLocked() {
	if c.unhook != nil {
		c.unhook()
		c.unhook = nil
	}
}
