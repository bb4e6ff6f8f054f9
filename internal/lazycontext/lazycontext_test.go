package lazycontext_test

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gonng/nnghttp/internal/lazycontext"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type key struct{}

// newContext makes a context with a parent that has a value, and what ends the parent.
func newContext(t *testing.T) (ctx *lazycontext.Context, endParent context.CancelFunc) {
	t.Helper()
	parent, cancel := context.WithCancel(context.WithValue(context.Background(), key{}, "of the parent"))
	t.Cleanup(cancel)
	ctx = new(lazycontext.Context)
	ctx.SetParent(parent)
	t.Cleanup(ctx.Cancel)
	return ctx, cancel
}

// ends waits until a context has ended.
func ends(t *testing.T, ctx context.Context, what string) {
	t.Helper()
	select {
	case <-ctx.Done():
		assert.ErrorIs(t, ctx.Err(), context.Canceled, what)
	case <-time.After(10 * time.Second):
		require.Fail(t, "the context has not ended", what)
	}
}

// lasts checks that a context has not ended.
func lasts(t *testing.T, ctx context.Context, what string) {
	t.Helper()
	require.NoError(t, ctx.Err(), what)
	select {
	case <-ctx.Done():
		require.Fail(t, "the context has ended", what)
	default:
	}
}

// The ways in which a context ends. Each must work whether or not anybody has asked for
// Done before.
var endings = map[string]func(ctx *lazycontext.Context, endParent func()){
	"Cancel":         func(ctx *lazycontext.Context, _ func()) { ctx.Cancel() },
	"the parent":     func(_ *lazycontext.Context, endParent func()) { endParent() },
	"Cancel twice":   func(ctx *lazycontext.Context, _ func()) { ctx.Cancel(); ctx.Cancel() },
	"both":           func(ctx *lazycontext.Context, endParent func()) { endParent(); ctx.Cancel() },
	"both, reversed": func(ctx *lazycontext.Context, endParent func()) { ctx.Cancel(); endParent() },
	"Detach, Cancel": func(ctx *lazycontext.Context, _ func()) { ctx.Detach(); ctx.Cancel() },
}

func TestLazyContextEnds(t *testing.T) {
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			t.Run("nobody asks", func(t *testing.T) {
				ctx, endParent := newContext(t)
				assert.NoError(t, ctx.Err())
				end(ctx, endParent)
				assert.ErrorIs(t, ctx.Err(), context.Canceled, "without a Done")
				ends(t, ctx, "asked for Done afterwards")
			})
			t.Run("somebody waits", func(t *testing.T) {
				ctx, endParent := newContext(t)
				done := ctx.Done()
				lasts(t, ctx, "before")
				waiting := make(chan struct{})
				go func() {
					<-done
					close(waiting)
				}()
				end(ctx, endParent)
				ends(t, ctx, "somebody waited")
				<-waiting
				assert.Equal(t, done, ctx.Done(), "the channel is always the same")
			})
		})
	}
}

func TestLazyContextChildrenEnd(t *testing.T) {
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			ctx, endParent := newContext(t)
			cancelled, cancel := context.WithCancel(ctx)
			defer cancel()
			timed, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			grandchild, cancel := context.WithCancel(context.WithValue(cancelled, key{}, "of the child"))
			defer cancel()
			called := make(chan struct{})
			context.AfterFunc(ctx, func() { close(called) })
			stopped := context.AfterFunc(ctx, func() { t.Error("a function that was stopped is called") })
			assert.True(t, stopped())
			for _, child := range []context.Context{cancelled, timed, grandchild} {
				lasts(t, child, "before")
			}
			end(ctx, endParent)
			ends(t, cancelled, "WithCancel")
			ends(t, timed, "WithTimeout")
			ends(t, grandchild, "a child's child")
			select {
			case <-called:
			case <-time.After(10 * time.Second):
				require.Fail(t, "AfterFunc was not called")
			}

			late, cancel := context.WithCancel(ctx)
			defer cancel()
			ends(t, late, "a child of a context that has ended")
		})
	}
}

// A child that ends leaves its parent alone.
func TestLazyContextOutlivesItsChildren(t *testing.T) {
	ctx, _ := newContext(t)
	child, cancel := context.WithCancel(ctx)
	timed, cancelTimed := context.WithTimeout(ctx, time.Millisecond)
	defer cancelTimed()
	cancel()
	ends(t, child, "the child")
	<-timed.Done()
	assert.ErrorIs(t, timed.Err(), context.DeadlineExceeded)
	lasts(t, ctx, "the context itself")
}

func TestLazyContextDetach(t *testing.T) {
	for name, ask := range map[string]func(*lazycontext.Context){
		"nobody has asked":   func(*lazycontext.Context) {},
		"somebody has asked": func(ctx *lazycontext.Context) { ctx.Done() },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, endParent := newContext(t)
			ask(ctx)
			ctx.Detach()
			ctx.Detach()
			child, cancel := context.WithCancel(ctx)
			defer cancel()
			endParent()
			time.Sleep(20 * time.Millisecond) // the parent's end travels in goroutines
			lasts(t, ctx, "detached")
			lasts(t, child, "a child of a detached one")
			ctx.Cancel()
			ends(t, ctx, "by Cancel")
			ends(t, child, "by Cancel of its parent")
			ctx.Detach()
			assert.ErrorIs(t, ctx.Err(), context.Canceled, "what has ended has ended")
		})
	}
}

func TestLazyContextErr(t *testing.T) {
	ctx, endParent := newContext(t)
	assert.NoError(t, ctx.Err())
	endParent()
	assert.ErrorIs(t, ctx.Err(), context.Canceled, "at once, by the parent")
	ctx.Done()
	ends(t, ctx, "asked for later")

	ctx, _ = newContext(t)
	ctx.Done()
	assert.NoError(t, ctx.Err())
	ctx.Cancel()
	assert.ErrorIs(t, ctx.Err(), context.Canceled, "at once, by Cancel")

	ctx, _ = newContext(t)
	assert.NoError(t, context.Cause(ctx))
	ctx.Cancel()
	assert.ErrorIs(t, context.Cause(ctx), context.Canceled, "the cause is the context's own, not its parent's")

	var orphan lazycontext.Context
	lasts(t, &orphan, "a context without a parent")
	assert.Nil(t, orphan.Value(key{}))
	orphan.Cancel()
	ends(t, &orphan, "a context without a parent")
}

func TestLazyContextValue(t *testing.T) {
	ctx, _ := newContext(t)
	assert.Equal(t, "of the parent", ctx.Value(key{}))
	assert.Nil(t, ctx.Value("unknown"))
	child, cancel := context.WithCancel(ctx)
	defer cancel()
	assert.Equal(t, "of the parent", ctx.Value(key{}), "behind Done")
	assert.Equal(t, "of the parent", child.Value(key{}))
	assert.Equal(t, "of the child", context.WithValue(child, key{}, "of the child").Value(key{}))
	ctx.Cancel()
	assert.Equal(t, "of the parent", ctx.Value(key{}), "a value does not end")
	_, ok := ctx.Deadline()
	assert.False(t, ok)
}

// Package context knows how to hang children on the context: it starts no goroutine for
// any of them, as it does for contexts that it does not know.
func TestLazyContextStartsNoGoroutine(t *testing.T) {
	before := settledGoroutines()
	var cancels []context.CancelFunc
	for range 20 {
		ctx, _ := newContext(t)
		child, cancel := context.WithCancel(ctx)
		cancels = append(cancels, cancel)
		_, cancel = context.WithTimeout(ctx, time.Hour)
		cancels = append(cancels, cancel)
		_, cancel = context.WithCancel(child)
		cancels = append(cancels, cancel)
		context.AfterFunc(ctx, func() {})
		ctx.Done()
	}
	assert.Equal(t, before, runtime.NumGoroutine())
	for _, cancel := range cancels {
		cancel()
	}
}

// settledGoroutines is how many goroutines there are when those of earlier tests have gone.
func settledGoroutines() int {
	n := runtime.NumGoroutine()
	for same := 0; same < 10; {
		time.Sleep(time.Millisecond)
		if now := runtime.NumGoroutine(); now == n {
			same++
		} else {
			n, same = now, 0
		}
	}
	return n
}

// A context that has been cancelled leaves nothing on its parent, which may live for long.
func TestLazyContextLeavesItsParent(t *testing.T) {
	counting := &countingContext{Context: context.Background(), done: make(chan struct{})}
	for range 10 {
		var ctx lazycontext.Context
		ctx.SetParent(counting)
		ctx.Done()
		assert.Equal(t, int64(1), counting.hooks.Load())
		ctx.Cancel()
		assert.Zero(t, counting.hooks.Load(), "after Cancel")
	}
	var ctx lazycontext.Context
	ctx.SetParent(counting)
	ctx.Done()
	ctx.Detach()
	assert.Zero(t, counting.hooks.Load(), "after Detach")
	ctx.Cancel()
	ctx.Done()
	assert.Zero(t, counting.hooks.Load(), "a context that has ended asks for nothing")
}

// A countingContext counts what waits for its end (see context.AfterFunc).
type countingContext struct {
	context.Context
	done  chan struct{}
	hooks atomic.Int64
}

func (c *countingContext) Done() <-chan struct{} { return c.done }

func (c *countingContext) AfterFunc(func()) func() bool {
	c.hooks.Add(1)
	return sync.OnceValue(func() bool {
		c.hooks.Add(-1)
		return true
	})
}

// What nobody asks for is not made.
func TestLazyContextIsCheap(t *testing.T) {
	parent, cancel := context.WithCancel(context.Background())
	defer cancel()
	ctx := new(lazycontext.Context)
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		*ctx = lazycontext.Context{}
		ctx.SetParent(parent)
		_ = ctx.Err()
		_ = ctx.Value(key{})
		ctx.Cancel()
		_ = ctx.Err()
	}))
}

func TestLazyContextConcurrently(t *testing.T) {
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			for range 50 {
				ctx, endParent := newContext(t)
				var all sync.WaitGroup
				start := make(chan struct{})
				for _, use := range []func(){
					func() { <-ctx.Done() },
					func() {
						child, cancel := context.WithCancel(ctx)
						defer cancel()
						<-child.Done()
					},
					func() {
						child, cancel := context.WithTimeout(ctx, time.Hour)
						defer cancel()
						child.Value(key{})
						<-child.Done()
					},
					func() {
						called := make(chan struct{})
						context.AfterFunc(ctx, func() { close(called) })
						<-called
					},
					func() {
						for ctx.Err() == nil {
							runtime.Gosched()
						}
						assert.Error(t, ctx.Err(), "it stays ended")
					},
					func() { ctx.Deadline() },
					func() { end(ctx, endParent) },
				} {
					all.Go(func() {
						<-start
						use()
					})
				}
				close(start)
				over := make(chan struct{})
				go func() {
					all.Wait()
					close(over)
				}()
				select {
				case <-over:
				case <-time.After(10 * time.Second):
					require.Fail(t, "something waits forever")
				}
			}
		})
	}
}
