package nng

import (
	"iter"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// #include "http_cgo.h"
import "C"

// Handing a request to a goroutine costs one or two thread switches, which is more than all
// the rest. So C calls handlers on its own threads if they have been quick: it keeps an
// account for each handler and path, which their calls fill and slow ones empty. What a
// handler does must not depend on it. It may block, which keeps one of nng's threads, and
// the account is empty for a while; it may panic; it may end its goroutine (runtime.Goexit).
// Two things Go does not allow in a callback: see HandlerFunc.

// The system takes a processor away for a millisecond or more now and then, so single calls
// say little. A handler of which more than one call in slowCost is slow, or one that takes
// very long once, loses its credit.
const (
	creditMax  = 256
	slowCall   = 500 * time.Microsecond
	slowCost   = 32
	longCall   = 20 * time.Millisecond
	longCredit = -2048
	noCredit   = C.NNGO_NO_CREDIT // for a handler that ends its goroutine, or hijacks and stays
)

// account books a call that took as long as this.
func account(credit *int32, took time.Duration) {
	now := atomic.LoadInt32(credit)
	switch {
	case now <= noCredit/2:
	case took >= longCall:
		atomic.StoreInt32(credit, longCredit)
	case took >= slowCall:
		atomic.StoreInt32(credit, max(now-slowCost, longCredit))
	case now < creditMax:
		atomic.StoreInt32(credit, now+1) // a race loses one or two, which does not matter
	}
}

// A runner runs jobs on one of nng's threads, each in the same coroutine, which is a
// goroutine of its own that takes turns with the callback: a handler that ends it, as
// t.FailNow does, would end the process otherwise.
type runner struct {
	next func() (struct{}, bool)
	job  job
}

// A job is what runs on nng's threads: a call, or what OnData is to be told.
type job interface{ run(onThread bool) }

// runners are those of nng's threads, by C's numbers. Only the thread itself uses its own.
var runners [256]runner

// runJob runs a job on nng's thread if that has called Go for it, else in a goroutine.
func runJob(thread C.int, j job) {
	if thread <= 0 || int(thread) >= len(runners) || runners[thread].job != nil {
		goJob(j)
		return
	}
	r := &runners[thread]
	if r.next == nil {
		r.next, _ = iter.Pull(r.serve)
	}
	r.job = j
	r.next()
	r.job = nil
}

// begun are the jobs whose goroutines have been started and do not run yet. A go statement
// with arguments would allocate for them, for each request.
var begun struct {
	mu    sync.Mutex
	jobs  []job
	first int // of jobs, behind those that have been taken
}

// goJob runs a job in a goroutine of its own.
func goJob(j job) {
	begun.mu.Lock()
	begun.jobs = append(begun.jobs, j)
	begun.mu.Unlock()
	go runBegun()
}

func runBegun() {
	begun.mu.Lock()
	j := begun.jobs[begun.first]
	begun.jobs[begun.first] = nil
	if begun.first++; 2*begun.first >= len(begun.jobs) {
		left := copy(begun.jobs, begun.jobs[begun.first:])
		clear(begun.jobs[left:])
		begun.jobs, begun.first = begun.jobs[:left], 0
	}
	begun.mu.Unlock()
	j.run(false)
}

// serve is the coroutine.
func (r *runner) serve(yield func(struct{}) bool) {
	defer func() { // Goexit, which would go on to the callback from here, or a defect of ours
		if p := recover(); p != nil {
			logPanic(C.NNGO_REQUEST, p)
		}
		r.next = nil
		yield(struct{}{})
	}()
	for {
		r.job.run(true)
		yield(struct{}{})
	}
}

// credits are the accounts, in C's memory. All handlers but those on one of nng's threads,
// which must be left, may be on them at once.
var credits = sync.OnceValue(func() []int32 {
	max := min(2*runtime.NumCPU(), 16) - 1
	return unsafe.Slice((*int32)(unsafe.Pointer(C.nngo_paces(C.int(max)))), C.NNGO_PACES)
})
