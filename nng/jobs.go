package nng

import "sync"

// begun are the jobs whose goroutines have been started and do not run yet. A go statement
// with arguments would allocate for them, for each request.
var begun struct {
	mu    sync.Mutex
	jobs  []job
	first int // of jobs, behind those that have been taken
}

// A job is what events start: a call, or what OnData is to be told.
type job interface{ run() }

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
	j.run()
}
