package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A count is a figure that does not depend on time.
type count struct {
	name  string
	value float64
	limit float64 // 0: for comparison only
	not   string  // why it was not counted
}

func (c *count) line() string {
	switch {
	case c.not != "":
		return fmt.Sprintf("also %s not counted: %s", c.name, c.not)
	case c.limit == 0:
		return fmt.Sprintf("also %s %s", c.name, number(c.value))
	}
	return fmt.Sprintf("count %s %s limit %s %s", c.name, number(c.value), number(c.limit), c.verdict())
}

// verdict judges the value as it is shown.
func (c *count) verdict() string {
	return verdict(number(c.value) == number(c.limit) || c.value < c.limit)
}

// number rounds to one decimal place, because what runs beside the requests counts for some
// hundredths, and large numbers to whole ones.
func number(value float64) string {
	if value >= 1000 {
		return strconv.FormatFloat(value, 'f', 0, 64)
	}
	return strings.TrimSuffix(strconv.FormatFloat(value, 'f', 1, 64), ".0")
}

// counters make the counts, some of them several at once.
var counters = []struct {
	names []string
	count func(context.Context, *bench) ([]count, error)
}{
	{[]string{"cgo-calls-handler", "allocs-handler", "allocs-nethttp"}, countPerRequest},
	{[]string{"threads-10000-idle", "kib-per-idle-connection"}, countIdle},
	{[]string{"instructions"}, countInstructions},
}

// countPerRequest counts calls into C and allocations.
func countPerRequest(ctx context.Context, b *bench) ([]count, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	per := make(map[string]map[string]float64)
	for _, kind := range []string{"handler", "nethttp", "std"} {
		var err error
		if per[kind], err = perRequest(ctx, b, kind); err != nil {
			return nil, err
		}
	}
	return []count{
		{name: "cgo-calls-handler", value: per["handler"]["cgo"], limit: 2},
		{name: "allocs-handler", value: per["handler"]["mallocs"], limit: 3},
		{name: "allocs-nethttp", value: per["nethttp"]["mallocs"], limit: per["std"]["mallocs"]},
		{name: "cgo-calls-nethttp", value: per["nethttp"]["cgo"]},
	}, nil
}

func perRequest(ctx context.Context, b *bench, kind string) (per map[string]float64, err error) {
	requests := 5000
	if b.short {
		requests = 200
	}
	p, err := startServer(ctx, filepath.Join(b.bin, "server"), kind)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	conn, err := dial(ctx, p.port)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := get(conn, requests/10); err != nil { // so that pools are filled
		return nil, err
	}
	before, err := p.counters()
	if err != nil {
		return nil, err
	}
	if err := get(conn, requests); err != nil {
		return nil, err
	}
	after, err := p.counters()
	if err != nil {
		return nil, err
	}
	per = make(map[string]float64)
	for name := range after {
		per[name] = (after[name] - before[name]) / float64(requests)
	}
	return per, nil
}

// get sends n requests, each when the one before is answered.
func get(conn net.Conn, n int) error {
	in := bufio.NewReader(conn)
	for range n {
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"); err != nil {
			return err
		}
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			return err
		}
		if res.StatusCode != 200 || string(body) != "Hello, World!" {
			return fmt.Errorf("a request was answered with %s %q", res.Status, body)
		}
	}
	return nil
}

// countIdle opens hijacked connections that do nothing, and looks at the server. The Go
// runtime of both sides takes the highest number of open files that the system allows.
func countIdle(ctx context.Context, b *bench) (counts []count, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	conns := 10000
	if b.short {
		conns = 200
	}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return nil, err
	}
	if files.Max < uint64(conns)+100 {
		not := fmt.Sprintf("the system allows a process only %d open files", files.Max)
		return []count{{name: "threads-10000-idle", not: not}, {name: "kib-per-idle-connection", not: not}}, nil
	}
	p, err := startServer(ctx, filepath.Join(b.bin, "server"), "idle")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	if err := open(ctx, p.port, 1, nil); err != nil {
		return nil, err
	}
	before, err := p.status("VmRSS")
	if err != nil {
		return nil, err
	}
	var threads, after float64
	err = open(ctx, p.port, conns, func() (err error) {
		if threads, err = p.status("Threads"); err != nil {
			return err
		}
		after, err = p.status("VmRSS")
		return err
	})
	return []count{
		{name: "threads-10000-idle", value: threads, limit: 64},
		{name: "kib-per-idle-connection", value: (after - before) / float64(conns), limit: 40},
	}, err
}

// open calls look while so many connections are open, and then closes them.
func open(ctx context.Context, port string, n int, look func() error) error {
	head := make([]byte, 512)
	for range n {
		conn, err := dial(ctx, port)
		if err != nil {
			return err
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: bench\r\n\r\n"); err != nil {
			return err
		}
		if n, err := conn.Read(head); err != nil || !strings.HasPrefix(string(head[:n]), "HTTP/1.1 101 ") {
			return fmt.Errorf("a connection was not upgraded: %w %q", err, head[:n])
		}
	}
	if look == nil {
		return nil
	}
	time.Sleep(time.Second / 2) // the last ones begin to wait
	return look()
}

var instructions = regexp.MustCompile(`I +refs: +([0-9,]+)`)

// countInstructions counts the instructions of a request with valgrind. It is cachegrind
// and not callgrind, which does not survive how Go switches stacks. Go gets one processor:
// valgrind runs one thread at a time, and now and then others would spin for very long.
func countInstructions(ctx context.Context, b *bench) ([]count, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	servers := []contender{cHandler, handler, nethttp, std}
	few, many := 200, 1200
	if b.short {
		servers, few, many = []contender{cHandler, nethttp}, 10, 30
	}
	var counts []count
	for _, s := range servers {
		c := count{name: "instructions-" + s.server[len(s.server)-1]}
		if s.name == cHandler.name {
			c.name = "instructions-c"
		}
		if _, err := exec.LookPath("valgrind"); err != nil {
			c.not = "valgrind is not installed"
			counts = append(counts, c)
			continue
		}
		// The difference of two runs has neither the start nor the end in it.
		low, err := b.instructions(ctx, s, few)
		if err != nil {
			return nil, err
		}
		high, err := b.instructions(ctx, s, many)
		if err != nil {
			return nil, err
		}
		c.value = (high - low) / float64(many-few)
		counts = append(counts, c)
	}
	return counts, nil
}

// instructions returns how many instructions a server has needed from start to end.
func (b *bench) instructions(ctx context.Context, s contender, requests int) (float64, error) {
	argv := append([]string{"env", "GOMAXPROCS=1", "valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"},
		b.program(figure{}, s.server, false)...)
	p, err := startServer(ctx, argv...)
	if err != nil {
		return 0, err
	}
	conn, err := dial(ctx, p.port)
	if err != nil {
		return 0, errors.Join(err, p.stop())
	}
	defer conn.Close()
	if err := errors.Join(get(conn, requests), p.stop()); err != nil {
		return 0, err
	}
	m := instructions.FindStringSubmatch(p.stderr.String())
	if m == nil {
		return 0, fmt.Errorf("valgrind has printed no count:\n%s", &p.stderr)
	}
	return strconv.ParseFloat(strings.ReplaceAll(m[1], ",", ""), 64)
}
