package nng

import (
	"sync"
	"time"
)

// A deadline is a point in time that can be moved while others wait for it.
type deadline struct {
	mu      sync.Mutex
	timer   *time.Timer
	expired chan struct{} // closed when the time has come; never nil
}

func newDeadline() deadline { return deadline{expired: make(chan struct{})} }

// passed is a channel that is closed once the deadline is over.
func (d *deadline) passed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.expired
}

// set moves the deadline; the zero time means never.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	select {
	case <-d.expired:
		d.expired = make(chan struct{})
	default:
	}
	if t.IsZero() {
		return
	}
	wait := time.Until(t)
	if wait <= 0 {
		close(d.expired)
		return
	}
	expired := d.expired
	var timer *time.Timer
	timer = time.AfterFunc(wait, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.timer == timer { // else it was moved meanwhile
			close(expired)
			d.timer = nil
		}
	})
	d.timer = timer
}

// takeTurn waits for a turn, until the connection is closed or the deadline has passed.
func takeTurn(op string, turn chan<- struct{}, closing, passed <-chan struct{}) error {
	select { // mostly nobody else is at it, and that is quick to find out
	case turn <- struct{}{}:
		return nil
	default:
	}
	select {
	case turn <- struct{}{}:
		return nil
	case <-closing:
		return closedError(op)
	case <-passed:
		return &OpError{Op: op, Err: ErrTimedOut}
	}
}

// isOver reports whether a channel is closed, or takes the token of one that has one.
func isOver(passed <-chan struct{}) bool {
	select {
	case <-passed:
		return true
	default:
		return false
	}
}
