package nng

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
	"unsafe"
)

// #include "http_cgo.h"
// #cgo noescape nngo_events_take
import "C"

// The pump does the work of nng's threads for what belongs to Go: it waits for a descriptor,
// as everything in Go that waits for the network does; then C looks which of Go's sockets are
// ready and runs what comes of that, all on the pump's thread (patch N3), and the pump does
// what the events ask for that C has noted. With other libraries nng's own threads do all but
// the last. No thread waits in C, and none is woken for a request. The pump runs as long as
// anybody can expect an event.
var pump struct {
	mu      sync.Mutex
	users   int
	running bool
	wake    *os.File // becomes readable when there is something to do
}

// pumpTick is how often the pump looks without need. What has been lost, a signal of a
// condition variable or an event, costs so much time and no more.
const pumpTick = time.Second

// holdPump makes the pump run until releasePump.
func holdPump() Errno {
	pump.mu.Lock()
	defer pump.mu.Unlock()
	if !pump.running {
		if e := startPump(); e != 0 {
			return e
		}
	} else if pump.users == 0 {
		lookNow() // nng_fini may have been called
	}
	pump.users++
	return 0
}

// beginEvents opens the pump's descriptor. pump.mu is held here, and in the next two.
func beginEvents() Errno {
	var fd C.int
	if rv := C.nngo_events_begin(&fd); rv != 0 {
		return Errno(rv)
	}
	wake := os.NewFile(uintptr(fd), "nng events")
	if err := wake.SetReadDeadline(time.Time{}); err != nil {
		C.nngo_events_end()
		wake.Close()
		slog.Error("nng: events cannot be waited for", "error", err)
		return ErrInternal
	}
	pump.wake = wake
	return 0
}

func startPump() Errno {
	if e := beginEvents(); e != 0 {
		return e
	}
	pump.running = true
	keepWorkers(true)
	go runPump(pump.wake)
	return 0
}

func stopPump() {
	watchHeapLater()
	C.nngo_events_end()
	keepWorkers(false)
	pump.running = false
}

// runPump is the pump's goroutine. It handles events now, and whenever the descriptor becomes
// readable.
func runPump(wake *os.File) {
	for ok := true; ok; {
		late := false
		raw, err := wake.SyscallConn()
		for err == nil {
			_ = wake.SetReadDeadline(time.Now().Add(pumpTick))
			var again bool
			err = raw.Read(func(uintptr) bool {
				again = pumpEvents(late)
				late = false
				return again
			})
			late = errors.Is(err, os.ErrDeadlineExceeded)
			if late {
				watchHeap()
				err = nil
			} else if again {
				break
			}
		}
		if err != nil {
			slog.Error("nng: events cannot be waited for", "error", err)
		}
		wake.Close()
		wake, ok = nextPump()
	}
}

// nextPump ends the pump, or begins again for a library that was ended with nng_fini.
func nextPump() (wake *os.File, ok bool) {
	pump.mu.Lock()
	defer pump.mu.Unlock()
	if pump.users == 0 {
		stopPump()
		return nil, false
	}
	for e := beginEvents(); e != 0; e = beginEvents() {
		slog.Error("nng: events cannot be waited for; trying again", "error", e)
		pump.mu.Unlock()
		time.Sleep(pumpTick)
		pump.mu.Lock()
	}
	return pump.wake, true
}

// lookNow makes the pump look as it does at a tick. pump.mu is held.
func lookNow() { _ = pump.wake.SetReadDeadline(time.Now()) }

func releasePump() {
	pump.mu.Lock()
	defer pump.mu.Unlock()
	if pump.users--; pump.users == 0 {
		lookNow()
	}
}

// pumpEvents handles events until there are none. It says whether the pump has to begin
// again, or to end.
func pumpEvents(late bool) (again bool) {
	for {
		e := C.nngo_events_take(C.bool(late))
		list := unsafe.Slice(e.list, int(e.n))
		for i := range list {
			handleEvent(&list[i])
		}
		if !e.more {
			return bool(e.gone) || pumpUnused()
		}
		late = false
		// What has been woken runs now. Often it makes more events come.
		runtime.Gosched()
	}
}

func pumpUnused() bool {
	pump.mu.Lock()
	defer pump.mu.Unlock()
	return pump.users == 0
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
			finishAIO((*C.nng_aio)(e.ptr[0]), ErrClosed)
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
	case C.NNGO_TWICE:
		logTwice()
	}
}

func logPanic(kind C.nngo_event_kind, p any) {
	logApart("nng: panic in a callback", "event", int(kind), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
}

// logApart logs an error in a goroutine of its own: the logger is the user's, and may wait for what
// only the pump can bring about.
func logApart(msg string, args ...any) { go slog.Error(msg, args...) }
