package nng

import "runtime"

// gate bounds how many goroutines are in C at a time. Go makes a thread for each one that
// stays there for more than some 20 µs, which a busy machine is enough for, and never ends
// one; more threads than processors do no more work.
//
// Between enterC and leaveC there is one call into C, one that does not wait: what it waits
// for could need the gate. So what stops or frees an operation or a connection is outside,
// and so is all that the pump does.
var gate = make(chan struct{}, max(4, 2*runtime.GOMAXPROCS(0)))

func enterC() { gate <- struct{}{} }
func leaveC() { <-gate }
