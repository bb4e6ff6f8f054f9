package nng

import "unsafe"

// #include "http_cgo.h"
import "C"

// A buffer is C memory that nng writes to while an operation is in flight.
// Go memory would not do: a deadline or a cancelled context lets the caller go on
// before nng has let go of it.
type buffer struct {
	mem []byte // nil when not allocated
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

func (b *buffer) ptr() unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b.mem)) }

func (b *buffer) free() {
	if b.mem != nil {
		C.nng_free(b.ptr(), C.size_t(len(b.mem)))
		live.buffers.Add(-1)
	}
	*b = buffer{}
}
