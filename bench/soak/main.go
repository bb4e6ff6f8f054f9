// Soak keeps servers and clients of this project busy with everything at once: requests over
// http and https for handlers of all kinds, WebSockets, connections that are taken over, and
// peers that cancel, reset, send nonsense or say nothing, while the servers are shut down and
// started again. Then all of it ends, and what the two processes use must be back where it was
// after a first round: goroutines, threads, descriptors, the C heap and Go's. "make soak" runs
// it and writes docs/reliability.md.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/rpc"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/gonng/nnghttp/internal/devcert"
	"github.com/gonng/nnghttp/internal/figures"
)

const certFile = "cert.pem"

func main() {
	log.SetFlags(0)
	log.SetPrefix("soak: ")
	var o options
	flag.DurationVar(&o.duration, "duration", 10*time.Minute, "how long the load lasts")
	flag.StringVar(&o.page, "page", "", "`file` to write the figures into, and the chart beside it; none: print them only")
	flag.StringVar(&o.only, "only", "", "`words` of the names of the kinds of traffic to have; default: all")
	flag.StringVar(&o.leak, "leak", "", "`what` to leave behind with each request for /hello, to see it found: goroutine, descriptor, c, go")
	dir := flag.String("host", "", "be the process with the servers; for the program itself")
	flag.Parse()
	if flag.NArg() > 0 || o.duration <= 0 {
		flag.Usage()
		os.Exit(2)
	}
	o.warmUp, o.settling = max(5*time.Second, min(30*time.Second, o.duration/10)), settleTime
	if *dir != "" {
		if err := host(*dir, o.leak); err != nil {
			log.Fatal(err)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		log.Fatal(err)
	}
}

type options struct {
	duration time.Duration // of the load that counts
	warmUp   time.Duration // of the first round
	settling time.Duration // that everything may take to go, once all is closed
	page     string
	only     string
	leak     string
}

// settleTime is long, because the end of a TLS connection may take a minute.
const settleTime = 90 * time.Second

// A point is what both processes use at one moment.
type point struct {
	at       time.Duration // since the start
	requests int64         // so far
	samples  [processes]Sample
}

// The two processes.
const (
	servers = iota
	clients
	processes
)

var processNames = [processes]string{"servers", "clients"}

// A soak is one run.
type soak struct {
	options
	ctx    context.Context
	start  time.Time
	dir    string
	cert   string
	host   *rpc.Client
	points []point
	kinds  []*kind // of the load that counts

	base, end  [processes]Sample
	loadBegan  time.Duration
	loadEnded  time.Duration
	shutdowns  int
	requests   int64 // of the load that counts
	messages   int64
	failures   []string
	failuresMu sync.Mutex
}

func run(ctx context.Context, o options) (err error) {
	s := &soak{options: o, ctx: ctx, start: time.Now()}
	if s.dir, err = os.MkdirTemp("", "soak"); err != nil {
		return err
	}
	defer os.RemoveAll(s.dir)
	cert, err := devcert.SelfSigned(24*time.Hour, "127.0.0.1")
	if err != nil {
		return err
	}
	s.cert = cert.CertPEM
	if err := os.WriteFile(filepath.Join(s.dir, certFile), []byte(cert.CertPEM+cert.KeyPEM), 0o600); err != nil {
		return err
	}
	end, err := s.startHost()
	if err != nil {
		return err
	}
	err = s.rounds()
	if err := errors.Join(err, end()); err != nil {
		return err
	}
	verdict := s.judge()
	text := s.report(verdict)
	fmt.Print("\n", text)
	if verdict != nil {
		file := filepath.Join(os.TempDir(), "soak-failed.svg")
		fmt.Printf("\nThe chart of this run is %s.\n\n", file)
		return errors.Join(verdict, s.writeChart(file))
	}
	if s.page == "" {
		return nil
	}
	if err := s.writeChart(filepath.Join(strings.TrimSuffix(s.page, ".md"), chartFile)); err != nil {
		return err
	}
	return figures.Replace(s.page, "soak", text)
}

// startHost starts the other process. end ends it; it is an error if it has ended before.
func (s *soak) startHost() (end func() error, err error) {
	cmd := exec.Command(os.Args[0], "-host", s.dir, "-leak", s.leak)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s.host = rpc.NewClient(pipe{out, in})
	return func() error {
		_ = s.host.Close()
		late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		defer late.Stop()
		if err := cmd.Wait(); err != nil {
			return fmt.Errorf("the process with the servers: %w\n%s", err, &stderr)
		}
		return nil
	}, nil
}

// rounds has the first round, and the load that counts.
func (s *soak) rounds() (err error) {
	// It has many restarts, because Go keeps the threads that they need at a time.
	s.say("a first round of %v, for the baseline", s.warmUp)
	s.kinds = kinds(s.only)
	if _, err := s.round(s.warmUp, time.Second, s.kinds); err != nil {
		return err
	}
	if len(s.failures) > 0 {
		return errors.New("the first round has failed already:\n" + strings.Join(s.failures, "\n"))
	}
	if s.base, err = s.settle(nil); err != nil {
		return err
	}
	s.say("baseline: %s", describe(s.base))
	s.kinds = kinds(s.only)
	s.loadBegan = time.Since(s.start)
	t, err := s.round(s.duration, max(2*time.Second, min(10*time.Second, s.duration/6)), s.kinds)
	if err != nil {
		return err
	}
	s.loadEnded = time.Since(s.start)
	s.requests, s.messages = t.requests.Load(), t.messages.Load()
	s.say("all load has stopped and everything is closed")
	if s.end, err = s.settle(&s.base); err != nil {
		return err
	}
	for end := len(s.points) + int(s.duration/(30*time.Second)); len(s.points) < end; { // to be seen
		time.Sleep(time.Second)
		if _, err := s.sample(0); err != nil {
			return err
		}
	}
	return nil
}

// round starts servers and load, restarts a server every so often, and ends both.
func (s *soak) round(d, every time.Duration, all []*kind) (*traffic, error) {
	var addrs []string
	if err := s.call("Host.Start", Nothing{}, &addrs); err != nil {
		return nil, err
	}
	t, err := startTraffic(addrs, s.cert, all, func(what string) { s.failed(what) })
	if err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	restarted := make(chan error, 1)
	go func() { restarted <- s.restarts(t, every, ended) }()
	err = s.watch(t, d)
	close(ended)
	err = errors.Join(err, <-restarted)
	t.stop()
	return t, errors.Join(err, s.call("Host.Stop", Nothing{}, &Nothing{}))
}

// restarts shuts one site down and starts it again, then the other one, and so on.
func (s *soak) restarts(t *traffic, every time.Duration, ended <-chan struct{}) error {
	s.shutdowns = 0
	for n := 0; ; n++ {
		select {
		case <-ended:
			return nil
		case <-time.After(every):
		}
		to := t.targets[n%sites]
		to.generation.Add(1)
		if err := s.call("Host.Restart", n%sites, &Nothing{}); err != nil {
			return fmt.Errorf("a server was not restarted: %w", err)
		}
		time.Sleep(200 * time.Millisecond) // until clients know what has become of their connections
		to.generation.Add(1)
		s.shutdowns++
	}
}

// watch takes a sample each second, and shows some.
func (s *soak) watch(t *traffic, d time.Duration) error {
	end := time.After(d)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-s.ctx.Done():
			return errors.New("interrupted")
		case <-end:
			return nil
		case <-tick.C:
		}
		p, err := s.sample(t.requests.Load())
		if err != nil {
			return err
		}
		if n%5 == 0 {
			s.say("%d requests; %s; %d failures", p.requests, describe(p.samples), s.failed(""))
		}
	}
}

func (s *soak) sample(requests int64) (point, error) {
	p := point{at: time.Since(s.start), requests: requests}
	p.samples[clients] = sample()
	err := s.call("Host.Sample", Nothing{}, &p.samples[servers])
	s.points = append(s.points, p)
	return p, err
}

// settle waits until nothing has changed for five seconds, or, when there is something to
// compare with, until all is within its bounds.
func (s *soak) settle(base *[processes]Sample) (now [processes]Sample, err error) {
	still := 0
	for end := time.Now().Add(s.settling); ; {
		debug.FreeOSMemory()
		before := now
		now[clients] = settledSample()
		if err := s.call("Host.Settled", Nothing{}, &now[servers]); err != nil {
			return now, err
		}
		s.points = append(s.points, point{at: time.Since(s.start), samples: now})
		if still++; !same(before, now) {
			still = 0
		}
		switch {
		case base != nil && compare(*base, now) == nil, base == nil && still == 5, time.Now().After(end):
			return now, nil
		}
		select {
		case <-s.ctx.Done():
			return now, errors.New("interrupted")
		case <-time.After(time.Second):
		}
	}
}

// same tells whether nothing has begun or ended.
func same(a, b [processes]Sample) bool {
	for i := range a {
		if a[i].Goroutines != b[i].Goroutines || a[i].Descriptors != b[i].Descriptors {
			return false
		}
	}
	return true
}

// failed notes a failure, if there is one, and returns how many there are.
func (s *soak) failed(what string) int {
	s.failuresMu.Lock()
	defer s.failuresMu.Unlock()
	if what != "" {
		s.say("FAILED: %s", what)
		s.failures = append(s.failures, what)
	}
	return len(s.failures)
}

func (s *soak) call(method string, args, reply any) error {
	call := s.host.Go(method, args, reply, make(chan *rpc.Call, 1))
	select {
	case <-call.Done:
		return call.Error
	case <-time.After(2 * time.Minute):
		return errors.New(method + " has not returned for two minutes")
	}
}

func (s *soak) say(format string, args ...any) {
	fmt.Printf("%5s  %s\n", time.Since(s.start).Round(time.Second), fmt.Sprintf(format, args...))
}

// describe is a sample of both processes in a line.
func describe(samples [processes]Sample) string {
	var parts []string
	for i, s := range samples {
		parts = append(parts, fmt.Sprintf("%s: %d goroutines, %d threads, %d descriptors, C %.1f, Go %.1f MiB",
			processNames[i], s.Goroutines, s.Threads, s.Descriptors, mib(s.CHeap), mib(s.GoHeap)))
	}
	return strings.Join(parts, "; ")
}

func mib(bytes uint64) float64 { return float64(bytes) / (1 << 20) }

// pipe is both pipes to a process.
type pipe struct {
	in  interface{ Read([]byte) (int, error) }
	out interface {
		Write([]byte) (int, error)
		Close() error
	}
}

func (p pipe) Read(b []byte) (int, error)  { return p.in.Read(b) }
func (p pipe) Write(b []byte) (int, error) { return p.out.Write(b) }
func (p pipe) Close() error                { return p.out.Close() }
