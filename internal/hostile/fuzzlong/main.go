// Command fuzzlong plays generated scripts against servers and clients of this module
// until it has counted enough of them: make fuzz-long.
//
// The scripts run in a child process. Each is noted in shared memory before it runs, so
// that the parent has those that ran last when the child dies; it saves them and starts
// another child.
package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gonng/nnghttp/internal/figures"
	"github.com/gonng/nnghttp/internal/hostile"
)

var (
	requests = flag.Int64("requests", 10_000_000, "how many requests servers are sent")
	answers  = flag.Int64("answers", 1_000_000, "how many answers clients are given")
	limit    = flag.Duration("time", 0, "end after this time, even if that is too early; 0 means never")
	workers  = flag.Int("workers", 8, "connections at a time, half of them to servers")
	moments  = flag.Int("moments", 64, "connections at a time that wait for the moments of time-outs")
	seed     = flag.Uint64("seed", 0, "of the generator; 0 means a new one")
	save     = flag.String("save", "build/fuzz", "where what was found goes")
	page     = flag.String("page", "", "write the counts into this page")
	child    = flag.String("child", "", "the shared file; for the program itself")
)

func main() {
	flag.Parse()
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	var err error
	if *child != "" {
		err = work(*child)
	} else {
		err = supervise()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "fuzzlong:", err)
		os.Exit(1)
	}
}

// The shared memory: the counts, and a journal of what each worker ran last.
const (
	slots    = 8 // of each worker
	slotSize = 128 << 10
	counters = 4096
)

const (
	nRequests = iota
	nScripts
	nAnswers
	nMoments // scripts that wait for the moment of a time-out
	nFaults
)

type shared struct{ mem []byte }

func mapShared(file string, size int) (*shared, error) {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := f.Truncate(int64(size)); err != nil {
		return nil, err
	}
	mem, err := syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	return &shared{mem}, err
}

func (s *shared) all() int { return *workers + *moments }

func (s *shared) note(worker, n int, kind int, script []byte) {
	slot := s.mem[counters+(worker*slots+n%slots)*slotSize:][:slotSize]
	script = script[:min(len(script), slotSize-16)]
	binary.LittleEndian.PutUint64(slot, uint64(len(script)))
	binary.LittleEndian.PutUint64(slot[8:], uint64(kind))
	copy(slot[16:], script)
}

func (s *shared) noted(worker, n int) (kind int, script []byte) {
	slot := s.mem[counters+(worker*slots+n)*slotSize:][:slotSize]
	return int(binary.LittleEndian.Uint64(slot[8:])), bytes.Clone(slot[16:][:binary.LittleEndian.Uint64(slot)])
}

// The counts are written by the child alone, each second.
func (s *shared) count(i int) int64 { return int64(binary.LittleEndian.Uint64(s.mem[i*8:])) }
func (s *shared) set(i int, n int64) {
	binary.LittleEndian.PutUint64(s.mem[i*8:], uint64(n))
}

// kindOf marks what a note is of: a target of go test -fuzz, and the byte that goes with it.
const forClient = 0x100

func targetOf(kind int) string {
	if kind&forClient != 0 {
		return "FuzzClient"
	}
	return "FuzzServer"
}

func write(dir, name string, kind int, script []byte) {
	dir = filepath.Join(dir, targetOf(kind))
	_ = os.MkdirAll(dir, 0o755)
	text := fmt.Sprintf("go test fuzz v1\nbyte(%q)\n[]byte(%q)\n", rune(kind&0xff), script)
	_ = os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644)
}

// supervise runs children until the counts are reached.
func supervise() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, *limit)
		defer cancel()
	}
	file := filepath.Join(os.TempDir(), fmt.Sprintf("fuzzlong-%d", os.Getpid()))
	defer os.Remove(file)
	s, err := mapShared(file, counters+(*workers+*moments)*slots*slotSize)
	if err != nil {
		return err
	}
	start := time.Now()
	var total [nFaults + 1]int64
	deaths := 0
	sum := func(i int) int64 { return total[i] + s.count(i) }
	done := func() bool { return sum(nRequests) >= *requests && sum(nAnswers) >= *answers }
	for !done() && ctx.Err() == nil && deaths < 5 {
		for i := range total {
			s.set(i, 0)
		}
		cmd := exec.Command(os.Args[0], "-child", file, "-seed", strconv.FormatUint(*seed+uint64(deaths), 10), "-workers", strconv.Itoa(*workers), "-moments", strconv.Itoa(*moments), "-save", *save,
			"-requests", strconv.FormatInt(*requests-total[nRequests], 10), "-answers", strconv.FormatInt(*answers-total[nAnswers], 10))
		in, err := cmd.StdinPipe() // its end tells the child to end
		if err != nil {
			return err
		}
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Start(); err != nil {
			return err
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		tick := time.NewTicker(5 * time.Second)
		var last [nFaults + 1]int64
		still := 0
		for running := true; running; {
			select {
			case err = <-ended:
				running = false
			case <-ctx.Done():
				_ = in.Close()
				select {
				case err = <-ended:
				case <-time.After(time.Minute):
					_ = cmd.Process.Kill()
					err = <-ended
				}
				running = false
			case <-tick.C:
				fmt.Printf("%6s  %s of %s requests in %s scripts, %s of %s answers, %s at the moment of a time-out, %d faults, %d crashes\n", time.Since(start).Round(time.Second),
					figures.Thousands(sum(nRequests)), figures.Thousands(*requests), figures.Thousands(sum(nScripts)), figures.Thousands(sum(nAnswers)), figures.Thousands(*answers), figures.Thousands(sum(nMoments)), sum(nFaults), deaths)
				var now [nFaults + 1]int64
				for i := range now {
					now[i] = s.count(i)
				}
				if still++; now != last {
					still, last = 0, now
				}
				if still == 12 {
					fmt.Println("nothing has moved for a minute: the child is stopped")
					_ = cmd.Process.Signal(syscall.SIGABRT)
				}
			}
		}
		tick.Stop()
		for i := range total {
			total[i] += s.count(i)
			s.set(i, 0)
		}
		if err != nil {
			deaths++
			fmt.Printf("the child has ended: %v; what ran last is in %s\n", err, *save)
			for w := range s.all() {
				for n := range slots {
					if kind, script := s.noted(w, n); len(script) > 0 {
						write(filepath.Join(*save, fmt.Sprintf("crash-%d", deaths)), fmt.Sprintf("worker-%d-%d", w, n), kind, script)
					}
				}
			}
		}
	}
	text := fmt.Sprintf("| requests to servers | scripts of clients | answers to clients | at the moment of a time-out | faults | crashes | time | generator |\n|---|---|---|---|---|---|---|---|\n| %s | %s | %s | %s | %d | %d | %v | %#x |\n\n%s.\n",
		figures.Thousands(total[nRequests]), figures.Thousands(total[nScripts]), figures.Thousands(total[nAnswers]), figures.Thousands(total[nMoments]), total[nFaults], deaths, time.Since(start).Round(time.Second), *seed, figures.Machine())
	fmt.Print("\n", text)
	switch {
	case deaths > 0 || total[nFaults] > 0:
		return fmt.Errorf("%d faults, %d crashes; see %s", total[nFaults], deaths, *save)
	case total[nRequests] < *requests || total[nAnswers] < *answers:
		return fmt.Errorf("ended before the counts were reached")
	}
	if *page != "" {
		return figures.Replace(*page, "fuzz", text)
	}
	return nil
}

// work is the child.
func work(file string) error {
	debug.SetTraceback("all")
	s, err := mapShared(file, counters+(*workers+*moments)*slots*slotSize)
	if err != nil {
		return err
	}
	target, err := hostile.NewTarget(io.Discard)
	if err != nil {
		return err
	}
	upstream, err := hostile.NewUpstream()
	if err != nil {
		return err
	}
	var count [nFaults + 1]atomic.Int64
	var stop atomic.Bool
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop.Store(true)
	}()
	fault := func(kind int, script []byte, err error) {
		n := count[nFaults].Add(1)
		if n <= 50 {
			fmt.Printf("FAULT %d: %.3000s\n", n, err)
		}
		if n <= 1000 {
			write(filepath.Join(*save, "faults"), fmt.Sprintf("fault-%d-%d", os.Getpid(), n), kind, script)
		}
	}
	flush := func() {
		for i := range count {
			s.set(i, count[i].Load())
		}
	}
	var wait sync.WaitGroup
	for w := range *workers {
		g := hostile.NewGenerator(*seed + uint64(w)<<32)
		server := w%2 == 0
		wait.Go(func() {
			for n := 0; !stop.Load(); n++ {
				// Both counts are wanted; who is done helps the other.
				if count[nRequests].Load() >= *requests {
					if server = false; count[nAnswers].Load() >= *answers {
						return
					}
				} else if count[nAnswers].Load() >= *answers {
					server = true
				}
				if server {
					door, script := g.Request()
					s.note(w, n, door, script)
					err := target.Attack(door, script, hostile.Player{MaxPause: 5 * time.Millisecond, Patience: 0})
					sent, _ := hostile.Sent(script)
					all, _ := hostile.Requests(sent)
					count[nRequests].Add(int64(max(1, len(all))))
					count[nScripts].Add(1)
					if err != nil {
						fault(door, script, err)
					}
					continue
				}
				kind, script := g.Answer()
				s.note(w, n, kind|forClient, script)
				ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
				err := upstream.Ask(ctx, kind, script, hostile.Player{MaxPause: 5 * time.Millisecond, Patience: 20 * time.Millisecond})
				cancel()
				count[nAnswers].Add(1)
				if err != nil {
					fault(kind|forClient, script, err)
				}
			}
		})
	}
	// Those that wait for moments cost little.
	ended := make(chan struct{})
	var waiting sync.WaitGroup
	times, answerTimes := hostile.TimeSeeds(), hostile.AnswerTimeSeeds()
	for m := range *moments {
		w := *workers + m
		g := hostile.NewGenerator(*seed + uint64(w)<<32)
		waiting.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-ended:
					return
				default:
				}
				jitter := time.Duration(g.IntN(5000)-1000) * time.Microsecond
				if m%2 == 0 {
					one := times[g.IntN(len(times))]
					s.note(w, n, int(one.Kind), []byte(one.Script))
					if err := target.Attack(int(one.Kind), []byte(one.Script), hostile.Player{Moments: target.Moments(), Jitter: jitter}); err != nil {
						fault(int(one.Kind), []byte(one.Script), err)
					}
				} else {
					one := answerTimes[g.IntN(len(answerTimes))]
					s.note(w, n, int(one.Kind)|forClient, []byte(one.Script))
					ctx, cancel := context.WithTimeout(context.Background(), upstream.Limit([]byte(one.Script)))
					err := upstream.Ask(ctx, int(one.Kind), []byte(one.Script), hostile.Player{Moments: upstream.Moments(), Jitter: jitter})
					cancel()
					if err != nil {
						fault(int(one.Kind)|forClient, []byte(one.Script), err)
					}
				}
				count[nMoments].Add(1)
			}
		})
	}
	// Others are served all the time.
	waiting.Go(func() {
		for {
			select {
			case <-ended:
				return
			case <-time.After(time.Second):
			}
			flush()
			if err := target.Healthy(); err != nil {
				fault(0, nil, err)
			}
			if err := upstream.Good(context.Background()); err != nil {
				fault(forClient, nil, err)
			}
		}
	})
	wait.Wait()
	close(ended)
	waiting.Wait()
	flush()
	target.Close()
	upstream.Close()
	for range 200 { // everything has gone
		if runtime.NumGoroutine() < 20 {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	var stacks bytes.Buffer
	buf := make([]byte, 1<<20)
	stacks.Write(buf[:runtime.Stack(buf, true)])
	return fmt.Errorf("%d goroutines are left:\n%s", runtime.NumGoroutine(), &stacks)
}
