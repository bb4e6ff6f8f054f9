package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// A process is a running server. It has printed its port, and ends when its standard input
// does, so also when the harness dies.
type process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr bytes.Buffer
	port   string
}

// startServer starts a server; it is killed when ctx ends.
func startServer(ctx context.Context, argv ...string) (*process, error) {
	p := &process{cmd: exec.CommandContext(ctx, argv[0], argv[1:]...)}
	p.cmd.Stderr = &p.stderr
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.stdout = bufio.NewReader(stdout)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := p.stdout.ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s has printed no port", argv[0]), p.stop())
	}
	p.port = strings.TrimSpace(line)
	return p, nil
}

// stop ends the server. It is an error if that had ended before, or complains.
func (p *process) stop() error {
	p.stdin.Close()
	late := time.AfterFunc(10*time.Second, func() { p.cmd.Process.Kill() })
	defer late.Stop()
	io.Copy(io.Discard, p.stdout)
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w\n%s", p.cmd.Args[0], err, &p.stderr)
	}
	return nil
}

// counters asks a Go server what it has used so far.
func (p *process) counters() (map[string]float64, error) {
	if _, err := io.WriteString(p.stdin, "\n"); err != nil {
		return nil, err
	}
	line, err := p.stdout.ReadString('\n')
	if err != nil {
		return nil, err
	}
	return parseFields(line)
}

// parseFields parses "name=value name=value ...".
func parseFields(line string) (map[string]float64, error) {
	fields := make(map[string]float64)
	for _, field := range strings.Fields(line) {
		name, value, _ := strings.Cut(field, "=")
		f, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is not a number in %q", value, line)
		}
		fields[name] = f
	}
	return fields, nil
}

// cpu returns the seconds of CPU time that the server has used, in steps of 10 ms.
func (p *process) cpu() (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	return parseStat(string(text))
}

// parseStat sums user and system time in the text of /proc/PID/stat. The second field may
// have blanks and brackets in it.
func parseStat(text string) (float64, error) {
	const perSecond = 100 // USER_HZ, the same on every Linux that Go runs on
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("too few fields in %q", text)
	}
	user, err := strconv.ParseFloat(fields[11], 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseFloat(fields[12], 64)
	return (user + system) / perSecond, err
}

// status returns a number of /proc/PID/status, such as Threads or VmRSS (KiB).
func (p *process) status(name string) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strconv.ParseFloat(strings.Fields(value)[0], 64)
		}
	}
	return 0, fmt.Errorf("the process has no %s", name)
}
