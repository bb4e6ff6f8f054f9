package nng

import (
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"unsafe"
)

// #include "http_cgo.h"
// #cgo noescape nngo_events_take
import "C"

// The pump is nng's event loop. It waits for a descriptor, as everything in Go that waits for
// the network does; then C looks which sockets are ready and runs what comes of that, all on
// the pump's thread (patch N3), and the pump does what the events ask for that C has noted.
// With other libraries nng's own threads do all but the last. No thread waits in C, and none
// is woken for a request. The pump runs as long as anybody can expect an event.
var pump struct {
	mu      sync.Mutex
	users   int
	running bool
	ready   bool            // C is set up
	broken  bool            // Go cannot wait for C
	wake    syscall.RawConn // becomes readable when there is something to do
}

// pumpPolls is false for tests of how other libraries are used.
var pumpPolls = true

// holdPump makes the pump run until releasePump.
func holdPump() Errno {
	pump.mu.Lock()
	defer pump.mu.Unlock()
	if pump.broken {
		return ErrInternal
	}
	if !pump.running {
		if e := startPump(); e != 0 {
			return e
		}
	}
	pump.users++
	return 0
}

func startPump() Errno {
	if !pump.ready {
		if rv := C.nngo_events_init(C.bool(pumpPolls)); rv != 0 {
			return Errno(rv)
		}
		pump.ready = true
	}
	var fd C.int
	if rv := C.nngo_events_begin(&fd); rv != 0 {
		return Errno(rv)
	}
	if pump.wake == nil { // it is the same descriptor each time
		var err error
		if pump.wake, err = os.NewFile(uintptr(fd), "nng events").SyscallConn(); err != nil {
			C.nngo_events_end()
			return ErrInternal
		}
	}
	pump.running = true
	keepWorkers(true)
	// The function is called now, and whenever the descriptor becomes readable.
	go func() {
		if err := pump.wake.Read(func(uintptr) bool { return pumpEvents() }); err != nil {
			slog.Error("nng: events cannot be waited for", "error", err)
			pump.mu.Lock()
			defer pump.mu.Unlock()
			stopPump()
			pump.broken = true
		}
	}()
	return 0
}

func releasePump() {
	pump.mu.Lock()
	defer pump.mu.Unlock()
	if pump.users--; pump.users == 0 {
		C.nngo_events_wake()
	}
}

// pumpEvents handles events until there are none. It says whether the pump ends.
func pumpEvents() (end bool) {
	for {
		e := C.nngo_events_take()
		list := unsafe.Slice(e.list, int(e.n))
		for i := range list {
			handleEvent(&list[i])
		}
		if !e.more {
			return endPump()
		}
		// What has been woken runs now. Often it makes more events come.
		runtime.Gosched()
	}
}

// endPump ends the pump if nobody needs it.
func endPump() bool {
	pump.mu.Lock()
	defer pump.mu.Unlock()
	if pump.users == 0 {
		stopPump()
	}
	return !pump.running
}

func stopPump() {
	C.nngo_events_end()
	keepWorkers(false)
	pump.running = false
}

// handleEvent does what an event asks for. It must not block.
func handleEvent(e *C.nngo_event) {
	defer func() { // user code has its own recovery (call.run); this is for defects of ours
		if p := recover(); p != nil {
			logPanic(e.kind, p)
		}
	}()
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

func logPanic(kind C.nngo_event_kind, p any) {
	slog.Error("nng: panic in a callback", "event", int(kind), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
}
