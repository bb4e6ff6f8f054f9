package nng

import (
	"log/slog"
	"os"
	"runtime"
	"sync"
	"syscall"
	"unsafe"
)

// #include "http_cgo.h"
// #cgo noescape nngo_events_take
// #cgo nocallback nngo_events_take
import "C"

// The pump takes the events that C has noted, all that there are with one call, and does
// what they ask for. Where there are none it waits for a descriptor, as everything in Go
// that waits for the network does: no thread waits in C. It runs as long as anybody can
// expect an event.
var pump struct {
	mu      sync.Mutex
	users   int
	running bool
	wake    syscall.RawConn // C makes it readable when there are events again
}

// holdPump makes the pump run until releasePump.
func holdPump() Errno {
	pump.mu.Lock()
	defer pump.mu.Unlock()
	if pump.wake == nil {
		var fd C.int
		if rv := C.nngo_events_init(&fd); rv != 0 {
			return Errno(rv)
		}
		var err error
		if pump.wake, err = os.NewFile(uintptr(fd), "nng events").SyscallConn(); err != nil {
			return ErrInternal
		}
	}
	pump.users++
	if !pump.running {
		pump.running = true
		// The function is called now, and whenever the descriptor becomes readable. It
		// is never read: each further write is noticed, too.
		go func() {
			if err := pump.wake.Read(func(uintptr) bool { return pumpEvents() }); err != nil {
				slog.Error("nng: events cannot be waited for", "error", err) // no poller: nothing works
			}
		}()
	}
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
	for idle := false; ; {
		if e := C.nngo_events_take(); e.n > 0 {
			list := unsafe.Slice(e.list, int(e.n))
			for i := range list {
				handleEvent(&list[i])
			}
			idle = false
		} else if idle {
			return endPump()
		}
		idle = true
		// What has been woken runs now. Often it makes more events come.
		runtime.Gosched()
	}
}

// endPump ends the pump if nobody needs it.
func endPump() bool {
	pump.mu.Lock()
	defer pump.mu.Unlock()
	pump.running = pump.users > 0
	return !pump.running
}
