package nng

import (
	"sync/atomic"
	"time"

	"github.com/gonng/nnghttp/internal/hooks"
)

// #include "http_cgo.h"
import "C"

// C's allocator keeps what was freed, unless it is at the end of a heap: after a burst of
// connections hundreds of megabytes may stay. The pump's tick looks now and then whether
// there is much of it, and if so gives it back to the system. That takes a while, in which
// others wait for memory, and the allocator does not tell what it has given back already. So
// it is done when much has been freed since the last time, and rarely in any case, for
// what was used and freed between two looks.
var heap struct {
	next    time.Time    // of the pump: when to look
	stops   atomic.Int64 // of the pump
	later   atomic.Bool  // a look is due
	looking atomic.Bool  // guards what follows
	low     int64        // the least that was free since the last trim
	trimmed time.Time    // when that was
}

const (
	heapEvery    = 5 * time.Second
	heapAtLatest = time.Minute
	heapWorth    = 8 << 20 // so many free bytes are worth a trim
)

// watchHeap looks in a goroutine, because the pump must not wait. The pump calls it.
func watchHeap() {
	if now := time.Now(); now.After(heap.next) && heap.looking.CompareAndSwap(false, true) {
		heap.next = now.Add(heapEvery)
		go func() {
			defer heap.looking.Store(false)
			trimHeap(false)
		}()
	}
}

// watchHeapLater looks once more when the pump has ended, and nng's reaper has freed what
// was closed last.
func watchHeapLater() {
	heap.stops.Add(1)
	if heap.later.CompareAndSwap(false, true) {
		stops := heap.stops.Load()
		time.AfterFunc(heapEvery, func() {
			if heap.looking.CompareAndSwap(false, true) {
				trimHeap(true)
				heap.looking.Store(false)
			}
			heap.later.Store(false)
			if heap.stops.Load() != stops {
				watchHeapLater()
			}
		})
	}
}

// trimHeap gives back what is free, if that is worth it, and if idle is set in any case.
func trimHeap(idle bool) {
	var used, free C.size_t
	C.nngo_heap_sizes(&used, &free)
	heap.low = min(heap.low, int64(free))
	if free < heapWorth || int64(free) < heap.low+heapWorth && !idle && time.Since(heap.trimmed) < heapAtLatest {
		return
	}
	C.nngo_heap_trim()
	C.nngo_heap_sizes(&used, &free)
	heap.low, heap.trimmed = int64(free), time.Now()
}

func init() { hooks.HeapUsed = heapUsed }

// heapUsed is how much of C's heap is in use, or more than there is where nobody knows.
func heapUsed() int64 {
	var used, free C.size_t
	C.nngo_heap_sizes(&used, &free)
	return int64(used)
}
