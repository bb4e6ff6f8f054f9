package nng

import "sync"

// A job is what an event starts: a call, or what OnData is to be told.
type job interface{ run() }

// A worker is a goroutine that runs jobs, one after the other. It is kept for the next one
// because its stack has grown by then, which takes longer than all else of starting one.
type worker chan job

// maxIdle is how many workers wait for jobs at the most; there is no bound on those at work.
const maxIdle = 128

var workers struct {
	mu   sync.Mutex
	idle []worker // the one that has worked last is at the end
	end  bool     // the pump has ended, nobody is to wait
}

// goJob has a worker run a job.
func goJob(j job) {
	workers.mu.Lock()
	n := len(workers.idle)
	if n == 0 {
		workers.mu.Unlock()
		w := make(worker, 1)
		w <- j
		go w.work()
		return
	}
	w := workers.idle[n-1]
	workers.idle = workers.idle[:n-1]
	workers.mu.Unlock()
	w <- j
}

func (w worker) work() {
	for j := range w {
		j.run() // may end the goroutine
		if !w.rest() {
			return
		}
	}
}

// rest says whether there may be another job for the worker.
func (w worker) rest() bool {
	workers.mu.Lock()
	defer workers.mu.Unlock()
	if workers.end || len(workers.idle) == maxIdle {
		return false
	}
	workers.idle = append(workers.idle, w)
	return true
}

// keepWorkers says whether workers may wait for jobs, and ends those that do if not.
func keepWorkers(keep bool) {
	workers.mu.Lock()
	defer workers.mu.Unlock()
	workers.end = !keep
	if !keep {
		for _, w := range workers.idle {
			close(w)
		}
		workers.idle = nil
	}
}
