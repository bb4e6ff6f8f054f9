package nng

import (
	"fmt"
	"log/slog"
	"runtime/debug"
)

// #include "http_cgo.h"
import "C"

// The function that C calls. It stands alone here because a file with exports may hold no
// C definitions. The contract is at the top of http_cgo.c.

//export nngoEvent
func nngoEvent(e *C.nngo_event) { handleEvent(e) }

// handleEvent does what an event asks for. It must not block.
func handleEvent(e *C.nngo_event) {
	defer recovered(e.kind)
	switch e.kind {
	case C.NNGO_OP_DONE:
		if o, ok := ops.get(uintptr(e.handle)); ok {
			o.complete(Errno(e.result), int(e.count), e.ptr[0])
		}
	case C.NNGO_REQUEST:
		if h, ok := handlers.get(uintptr(e.handle)); ok {
			h.dispatch(e)
		} else { // the handler was closed meanwhile
			C.nngo_call_end(nil, (*C.nng_aio)(e.ptr[0]), C.NNG_ECLOSED)
		}
	case C.NNGO_DATA:
		if d, ok := dataSides.get(uintptr(e.handle)); ok {
			d.arrived(e)
		}
	case C.NNGO_AHEAD:
		if a, ok := aheadSides.get(uintptr(e.handle)); ok {
			a.arrived(e)
		}
	case C.NNGO_WRITTEN:
		if s, ok := writers.get(uintptr(e.handle)); ok {
			s.written()
		}
	case C.NNGO_SERVER_IDLE:
		if s, ok := cServerHandles.get(uintptr(e.handle)); ok {
			s.wake()
		}
	}
}

// recovered keeps a panic of ours from unwinding through C. User code has its own
// recovery (call.run); this one is for defects of this package.
func recovered(kind C.nngo_event_kind) {
	if p := recover(); p != nil {
		logPanic(kind, p)
	}
}

func logPanic(kind C.nngo_event_kind, p any) {
	slog.Error("nng: panic in a callback", "event", int(kind), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
}
