package main

import (
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"

	"github.com/gonng/nnghttp/internal/hooks"
	"github.com/gonng/nnghttp/nng"
)

// A Sample is what a process uses at one moment.
type Sample struct {
	Goroutines  int
	Threads     int
	NngThreads  int // those of them that libnng has started
	Descriptors int
	CHeap       uint64 // bytes that C has allocated and not freed, 0 where the C library does not tell
	GoHeap      uint64 // bytes that the last collection has found in use
	Resident    uint64 // bytes of memory that the system has given
}

func sample() Sample {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	threads, ofNng := threads()
	return Sample{
		Goroutines:  runtime.NumGoroutine(),
		Threads:     threads,
		NngThreads:  ofNng,
		Descriptors: descriptors(),
		CHeap:       cHeap(),
		GoHeap:      live[0].Value.Uint64(),
		Resident:    uint64(status("VmRSS")) << 10,
	}
}

// cHeap is what C has allocated and not freed, or 0.
func cHeap() uint64 {
	if n := hooks.HeapUsed(); n != math.MaxInt64 {
		return uint64(n)
	}
	return 0
}

// settledSample is a sample without garbage.
func settledSample() Sample {
	for range 3 { // cleanups of one collection make the garbage of the next
		runtime.GC()
	}
	return sample()
}

// status returns a number of /proc/self/status.
func status(name string) int {
	text, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			n, _ := strconv.Atoi(strings.Fields(value)[0])
			return n
		}
	}
	return 0
}

// threads counts those of the process. libnng gives its own names that begin with its own.
func threads() (all, ofNng int) {
	names, _ := filepath.Glob("/proc/self/task/*/comm")
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		all++
		if strings.HasPrefix(string(text), "nng:") {
			ofNng++
		}
	}
	return all, ofNng
}

// descriptors counts the open ones, without that of the count itself.
func descriptors() int {
	files, _ := os.ReadDir("/proc/self/fd")
	return max(0, len(files)-1)
}

// leaked keeps what -leak leaves behind.
var leaked []any

// leak leaves something behind, so that one can see that it is found.
func leak(what string) {
	switch what {
	case "goroutine":
		go func() { select {} }()
	case "descriptor":
		if f, err := os.Open(os.DevNull); err == nil {
			leaked = append(leaked, f)
		}
	case "c":
		if req, err := nng.NewRequest("http://127.0.0.1/"); err == nil && req.CopyData(make([]byte, 64<<10)) == nil {
			leaked = append(leaked, req)
		}
	case "go":
		leaked = append(leaked, make([]byte, 64<<10))
	}
}
