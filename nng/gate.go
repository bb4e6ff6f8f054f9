package nng

import (
	"runtime"
	"sync/atomic"
)

// gate bounds how many goroutines are in C at a time. Go makes a thread for each one that
// stays there for more than some 20 µs, which a busy machine is enough for, and never ends
// one; more threads than processors do no more work.
//
// Between enterC and leaveC there is one call into C, one that does not wait: what it waits
// for could need the gate. So what stops or frees an operation or a connection is outside,
// and so is all that the pump does.
//
// It counts with atomic operations, because most find room, and a channel costs ten times as much.
var gate = struct {
	room atomic.Int32  // less than 0: so many wait
	next chan struct{} // a token for each of them that may go in
}{next: make(chan struct{}, gateSize)}

var gateSize = max(4, 2*runtime.GOMAXPROCS(0))

func init() { gate.room.Store(int32(gateSize)) }

func enterC() {
	if gate.room.Add(-1) < 0 {
		<-gate.next
	}
}

func leaveC() {
	if gate.room.Add(1) <= 0 {
		gate.next <- struct{}{}
	}
}
