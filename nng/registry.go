package nng

import (
	"sync"
	"sync/atomic"
)

// A registry gives Go values integers under which they travel through C.
// No Go pointer ever reaches C. A number is never used twice, so a late callback
// finds nothing instead of somebody else.
type registry[T any] struct {
	last atomic.Uintptr
	m    sync.Map // uintptr -> T
}

func (r *registry[T]) add(v T) uintptr {
	h := r.last.Add(1)
	r.m.Store(h, v)
	return h
}

func (r *registry[T]) get(h uintptr) (v T, ok bool) {
	if x, found := r.m.Load(h); found {
		return x.(T), true
	}
	return v, false
}

func (r *registry[T]) remove(h uintptr) { r.m.Delete(h) }
