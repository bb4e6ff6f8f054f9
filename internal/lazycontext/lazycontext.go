// Package lazycontext has a context that costs nothing until it is asked for something.
package lazycontext

import (
	"context"
	"sync"
	"time"
)

// Context is a context for handlers, most of which never look at theirs: what a context
// costs is spent when they do. It ends with its parent, or with Cancel. All methods may be
// called concurrently.
type Context struct {
	mu     sync.Mutex
	parent context.Context // nil behind Detach
	inner  context.Context // made when it is asked for
	cancel context.CancelFunc
	unhook func() bool // from parent
	ended  bool
}

// SetParent gives the context its parent, before anything else is done with it.
func (c *Context) SetParent(parent context.Context) { c.parent = parent }

// Deadline implements context.Context. There is none.
func (c *Context) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done implements context.Context.
func (c *Context) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inner == nil {
		c.inner, c.cancel = context.WithCancel(context.Background())
		if c.ended || c.parent != nil && c.parent.Err() != nil {
			c.cancel()
		} else if c.parent != nil {
			c.unhook = context.AfterFunc(c.parent, c.cancel)
		}
	}
	return c.inner.Done()
}

// Err implements context.Context.
func (c *Context) Err() error {
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
func (c *Context) Value(key any) any {
	c.mu.Lock()
	inner, parent := c.inner, c.parent
	c.mu.Unlock()
	if inner != nil {
		if v := inner.Value(key); v != nil {
			return v
		}
	}
	if parent != nil {
		return parent.Value(key)
	}
	return nil
}

// Cancel ends the context.
func (c *Context) Cancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.inner != nil {
		c.cancel()
	}
	c.unhookLocked()
}

// Detach makes the context outlive its parent.
func (c *Context) Detach() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unhookLocked()
	c.parent = nil
}

func (c *Context) unhookLocked() {
	if c.unhook != nil {
		c.unhook()
		c.unhook = nil
	}
}
