package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A job is one run of a load.
type job struct {
	bin     string
	port    string
	conns   int
	seconds float64
	https   bool
	client  []string // the program that is measured, if it is a client
}

func (j *job) url(path string) string {
	if j.https {
		return "https://127.0.0.1:" + j.port + path
	}
	return "http://127.0.0.1:" + j.port + path
}

func (j *job) duration() time.Duration { return time.Duration(j.seconds * float64(time.Second)) }

// A result is what a run has done.
type result struct {
	count    float64 // requests, round trips, or bytes
	seconds  float64
	p50, p99 float64 // microseconds, where the load knows
	cpu      float64 // seconds, of the side that is measured
}

// A load keeps a server or a client busy. It fails if anything went wrong.
type load func(context.Context, job) (result, error)

// wrk gets a path with the program of that name, which knows only whole seconds. An
// interrupt ends it in between.
func wrk(path string) load {
	return func(ctx context.Context, j job) (result, error) {
		cmd := exec.CommandContext(ctx, "wrk", "--latency", "-t1", fmt.Sprintf("-c%d", j.conns),
			fmt.Sprintf("-d%ds", int(j.seconds)+10), j.url(path))
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			return result{}, err
		}
		d := j.duration()
		if j.https {
			d += time.Duration(j.conns) * 20 * time.Millisecond // for the handshakes
		}
		enough := time.AfterFunc(d, func() { cmd.Process.Signal(os.Interrupt) })
		defer enough.Stop()
		if err := cmd.Wait(); err != nil {
			return result{}, fmt.Errorf("wrk: %w\n%s", err, &out)
		}
		return parseWrk(out.String())
	}
}

var (
	wrkRequests = regexp.MustCompile(`(?m)^ +(\d+) requests in `)
	wrkRate     = regexp.MustCompile(`(?m)^Requests/sec: +([0-9.]+)`)
	wrkLatency  = regexp.MustCompile(`(?m)^ +(50|99)% +([0-9.]+[a-z]+)`)
	wrkTrouble  = regexp.MustCompile(`(?m)^ +(Socket errors|Non-2xx).*`)
)

func parseWrk(out string) (result, error) {
	var r result
	if trouble := wrkTrouble.FindString(out); trouble != "" {
		return r, errors.New("wrk: " + strings.TrimSpace(trouble))
	}
	requests, rate := wrkRequests.FindStringSubmatch(out), wrkRate.FindStringSubmatch(out)
	if requests == nil || rate == nil {
		return r, fmt.Errorf("wrk has printed no result:\n%s", out)
	}
	count, err1 := strconv.ParseFloat(requests[1], 64)
	perSecond, err2 := strconv.ParseFloat(rate[1], 64)
	if err := errors.Join(err1, err2); err != nil {
		return r, err
	}
	if count == 0 || perSecond == 0 {
		return r, errors.New("wrk: no request was answered")
	}
	r.count, r.seconds = count, count/perSecond
	for _, m := range wrkLatency.FindAllStringSubmatch(out, -1) {
		d, err := time.ParseDuration(m[2])
		if err != nil {
			return r, err
		}
		if m[1] == "50" {
			r.p50 = float64(d) / 1e3
		} else {
			r.p99 = float64(d) / 1e3
		}
	}
	return r, nil
}

// echoes bounces 64 bytes on each connection.
func echoes(ctx context.Context, j job) (result, error) {
	return program(ctx, filepath.Join(j.bin, "echo_load"), j.port, strconv.Itoa(j.conns), fmt.Sprint(j.seconds))
}

// reads takes from one connection what it can get.
func reads(ctx context.Context, j job) (result, error) {
	return program(ctx, filepath.Join(j.bin, "bulk_load"), j.port, fmt.Sprint(j.seconds))
}

// clients has the client that is measured get a path.
func clients(path string) load {
	return func(ctx context.Context, j job) (result, error) {
		return program(ctx, append(j.client, j.url(path), strconv.Itoa(j.conns), fmt.Sprint(j.seconds))...)
	}
}

// program runs a program that prints its result. The CPU time is the program's.
func program(ctx context.Context, argv ...string) (result, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return result{}, fmt.Errorf("%s: %w\n%s", argv[0], err, &stderr)
	}
	fields, err := parseFields(string(out))
	return result{
		count: fields["count"], seconds: fields["seconds"], p50: fields["p50"], p99: fields["p99"],
		cpu: (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(),
	}, err
}

const uploadSize = 16 * mib

// upload is a request with a body in chunks of 64 KiB, as bytes.
var upload = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	b.WriteString("POST /upload HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n")
	chunk := make([]byte, 64<<10)
	for range uploadSize / len(chunk) {
		fmt.Fprintf(&b, "%x\r\n%s\r\n", len(chunk), chunk)
	}
	b.WriteString("0\r\n\r\n")
	return b.Bytes()
})

// uploads sends uploads, one after the other on each connection. What was begun in time is
// sent to its end.
func uploads(ctx context.Context, j job) (result, error) {
	request := upload()
	start := time.Now()
	end := start.Add(j.duration())
	counts, errs := make([]int, j.conns), make([]error, j.conns)
	var wg sync.WaitGroup
	for i := range j.conns {
		wg.Go(func() { counts[i], errs[i] = uploadUntil(ctx, end, j.port, request) })
	}
	wg.Wait()
	r := result{seconds: time.Since(start).Seconds()}
	for _, n := range counts {
		r.count += float64(n)
	}
	return r, errors.Join(errs...)
}

func uploadUntil(ctx context.Context, end time.Time, port string, request []byte) (n int, err error) {
	conn, err := dial(ctx, port)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	for ; time.Now().Before(end); n++ {
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := conn.Write(request); err != nil {
			return n, err
		}
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			return n, err
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			return n, err
		}
		if res.StatusCode != 200 || string(body) != strconv.Itoa(uploadSize) {
			return n, fmt.Errorf("an upload was answered with %s %q", res.Status, body)
		}
	}
	return n, nil
}

func dial(ctx context.Context, port string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", "127.0.0.1:"+port)
}
