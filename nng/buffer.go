package nng

import "unsafe"

// #include "http_cgo.h"
import "C"

// A buffer is C memory that nng reads or writes while an operation is in flight.
// Go memory would not do: a deadline or a cancelled context lets the caller go on
// before nng has let go of it.
type buffer struct {
	mem []byte // all of it; nil when not allocated
	n   int    // bytes in use
}

// reserve makes room for at least n bytes; what was in the buffer is lost.
func (b *buffer) reserve(n int) Errno {
	if n <= len(b.mem) {
		return 0
	}
	b.free()
	size := 1 << 10
	for size < n {
		size <<= 1
	}
	p := C.nng_alloc(C.size_t(size))
	if p == nil {
		return ErrNoMemory
	}
	b.mem = unsafe.Slice((*byte)(p), size)
	live.buffers.Add(1)
	return 0
}

// grow makes room for at least n bytes and keeps what is in use.
func (b *buffer) grow(n int) Errno {
	if n <= len(b.mem) {
		return 0
	}
	var bigger buffer
	if err := bigger.reserve(n); err != 0 {
		return err
	}
	bigger.n = copy(bigger.mem, b.mem[:b.n])
	b.free()
	*b = bigger
	return 0
}

func (b *buffer) ptr() unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b.mem)) }

func (b *buffer) free() {
	if b.mem != nil {
		C.nng_free(b.ptr(), C.size_t(len(b.mem)))
		live.buffers.Add(-1)
	}
	*b = buffer{}
}
