package nng

import (
	"bytes"
	"os"
	"runtime/metrics"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/gonng/nnghttp/internal/hooks"
)

// #include "http_cgo.h"
import "C"

// C's allocator keeps what was freed, unless it is at the end of a heap: after a burst of
// connections hundreds of megabytes may stay. The pump's tick looks now and then whether
// there is much of it, and if so gives it back to the system. That takes a while, in which
// others wait for memory, so it is not done again for what is left then.
var heap struct {
	next    time.Time    // of the pump: when to look
	stops   atomic.Int64 // of the pump
	later   atomic.Bool  // a look is due
	looking atomic.Bool  // guards what follows
	kept    int64        // what the last trim could not give back
	used    int64        // what was in use then
}

const (
	heapEvery = 5 * time.Second
	heapWorth = 8 << 20 // so many free bytes are worth a trim
)

// watchHeap looks in a goroutine, because the pump must not wait. The pump calls it.
func watchHeap() {
	if now := time.Now(); now.After(heap.next) && heap.looking.CompareAndSwap(false, true) {
		heap.next = now.Add(heapEvery)
		go func() {
			defer heap.looking.Store(false)
			trimHeap()
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
				trimHeap()
				heap.looking.Store(false)
			}
			heap.later.Store(false)
			if heap.stops.Load() != stops {
				watchHeapLater()
			}
		})
	}
}

func trimHeap() {
	total := foreignBytes()
	if total < heapWorth { // it is quick to know that
		return
	}
	used := heapUsed()
	free := total - used
	if free < heapWorth || free < heap.kept+heapWorth && used >= heap.used/2 {
		return
	}
	C.nngo_heap_trim()
	heap.used = heapUsed()
	heap.kept = foreignBytes() - heap.used
}

// foreignBytes is how much memory the process has that is neither Go's nor a file's, or 0 where
// the system does not tell. It may be less, because Go has memory that it has not touched.
func foreignBytes() int64 {
	statm, err := os.ReadFile("/proc/self/statm") // in pages: size, resident, shared, ...
	f := bytes.Fields(statm)
	if err != nil || len(f) < 3 {
		return 0
	}
	resident, err1 := strconv.ParseInt(string(f[1]), 10, 64)
	shared, err2 := strconv.ParseInt(string(f[2]), 10, 64)
	if err1 != nil || err2 != nil {
		return 0
	}
	of := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(of)
	return (resident-shared)*int64(os.Getpagesize()) - int64(of[0].Value.Uint64()-of[1].Value.Uint64())
}

func init() { hooks.HeapUsed = heapUsed }

// heapUsed is how much of C's heap is in use, or more than there is where nobody knows.
func heapUsed() int64 { return int64(C.nngo_heap_used()) }
