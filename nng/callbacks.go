package nng

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"unsafe"
)

// #include "http_cgo.h"
import "C"

// The functions that C calls. They stand alone here because a file with exports
// may hold no C definitions. The contract is at the top of http_cgo.c.

//export nngoOpDone
func nngoOpDone(handle C.uintptr_t, result C.int, count C.size_t, output unsafe.Pointer) {
	defer recovered("completion")
	if o, ok := ops.get(uintptr(handle)); ok {
		o.complete(Errno(result), int(count), output)
	}
}

//export nngoHandle
func nngoHandle(handle C.uintptr_t, aio *C.nng_aio, req *C.nng_http_req, conn *C.nng_http_conn) {
	defer recovered("request")
	h, ok := handlers.get(uintptr(handle))
	if !ok {
		// The handler was closed between nng's look-up and this call.
		C.nngo_call_end(nil, aio, C.NNG_ECLOSED)
		return
	}
	h.dispatch(aio, req, conn)
}

//export nngoServerIdle
func nngoServerIdle(handle C.uintptr_t) {
	defer recovered("idle")
	if s, ok := cServerHandles.get(uintptr(handle)); ok {
		s.wake()
	}
}

// recovered keeps a panic of ours from unwinding through C. User code has its own
// recovery (call.run); this one is for defects of this package.
func recovered(what string) {
	if p := recover(); p != nil {
		slog.Error("nng: panic in a callback", "callback", what, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	}
}
