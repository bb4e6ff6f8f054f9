package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// An outcome is what came of a figure, a run of either side for each pair.
type outcome struct {
	figure
	ratios    []float64
	ourRuns   []result
	theirRuns []result
}

// measure runs the two sides of a figure in turn. Both servers are alive all the time, one
// of them is under load.
func (b *bench) measure(ctx context.Context, f figure) (outcome, error) {
	o := outcome{figure: f}
	ctx, cancel := context.WithTimeout(ctx, time.Minute+time.Duration(float64(2*b.pairs)*(2*b.seconds+5)*float64(time.Second)))
	defer cancel()
	if b.short {
		f.conns = min(f.conns, 8)
	}
	ours, err := b.start(ctx, f, f.ours)
	if err != nil {
		return o, err
	}
	theirs, err := b.start(ctx, f, f.theirs)
	if err != nil {
		return o, errors.Join(err, ours.server.stop())
	}
	for i := range b.pairs {
		var us, them result
		if us, err = ours.run(ctx); err != nil {
			break
		}
		if them, err = theirs.run(ctx); err != nil {
			break
		}
		ratio := f.value(us) / f.value(them)
		log.Printf("%s %d/%d: %s %s, %s %s: %.2f", f.name, i+1, b.pairs, f.ours.name, f.amount(us), f.theirs.name, f.amount(them), ratio)
		o.ratios = append(o.ratios, ratio)
		o.ourRuns = append(o.ourRuns, us)
		o.theirRuns = append(o.theirRuns, them)
	}
	return o, errors.Join(err, ours.server.stop(), theirs.server.stop())
}

// A side is a contender that is ready to run.
type side struct {
	server *process
	load   load
	job    job
	warmUp float64 // seconds
}

func (b *bench) start(ctx context.Context, f figure, c contender) (*side, error) {
	server := b.program(f, c.server, c.client == nil)
	if c.https {
		server = append(server, b.cert)
	}
	p, err := startServer(ctx, server...)
	if err != nil {
		return nil, err
	}
	s := &side{server: p, load: f.load, job: job{bin: b.bin, port: p.port, conns: f.conns, https: c.https, seconds: b.seconds}}
	if c.client != nil {
		s.job.client = b.program(f, c.client, true)
	}
	if !b.short {
		s.warmUp = 0.3
	}
	return s, nil
}

// program returns the command of a program. If that is what is measured and in Go, it
// writes a profile when profiles are wanted.
func (b *bench) program(f figure, argv []string, measured bool) []string {
	command := append([]string{filepath.Join(b.bin, argv[0])}, argv[1:]...)
	if inGo := len(argv) > 1; b.profiles != "" && measured && inGo {
		command = slices.Insert(command, 1, "-profile", filepath.Join(b.profiles, f.name+"-"+argv[1]+".pprof"))
	}
	return command
}

// run puts the side under load, first for a while that does not count.
func (s *side) run(ctx context.Context) (result, error) {
	if s.warmUp > 0 {
		job := s.job
		job.seconds = s.warmUp
		if _, err := s.load(ctx, job); err != nil {
			return result{}, err
		}
	}
	before, err := s.server.cpu()
	if err != nil {
		return result{}, err
	}
	r, err := s.load(ctx, s.job)
	if err != nil {
		return r, err
	}
	if r.count < 1 || r.seconds <= 0 {
		return r, errors.New("nothing was served")
	}
	after, err := s.server.cpu()
	if s.job.client == nil {
		r.cpu = after - before
	}
	return r, err
}

// value is the number that a figure compares.
func (f *figure) value(r result) float64 {
	if f.cpu {
		// Never nought: the clock is coarse, and a short run may take less than a tick.
		return max(r.cpu, 0.005) / r.count
	}
	return r.count / r.seconds
}

// amount writes what a run did, for people.
func (f *figure) amount(r result) string {
	switch {
	case f.cpu:
		return fmt.Sprintf("%.1f µs CPU", f.value(r)*1e6)
	case f.size > 0:
		return fmt.Sprintf("%.0f MB/s", f.value(r)*f.size/1e6)
	}
	return fmt.Sprintf("%.0f/s", f.value(r))
}

// line is the figure's line in the output.
func (o *outcome) line() string {
	value, low, high := o.summary()
	if o.goal == 0 {
		return fmt.Sprintf("also %s %.2f (min %.2f max %.2f)", o.name, value, low, high)
	}
	return fmt.Sprintf("ratio %s %.2f (min %.2f max %.2f) goal %.2f %s", o.name, value, low, high, o.goal, o.verdict())
}

// summary is the median of the ratios, rounded as it is shown, and their spread.
func (o *outcome) summary() (value, low, high float64) {
	return math.Round(median(o.ratios)*100) / 100, slices.Min(o.ratios), slices.Max(o.ratios)
}

// verdict judges the value as it is shown.
func (o *outcome) verdict() string {
	value, _, _ := o.summary()
	if o.cpu {
		return verdict(value <= o.goal)
	}
	return verdict(value >= o.goal)
}

func verdict(ok bool) string {
	if ok {
		return "ok"
	}
	return "short"
}

// what says what the figure compares.
func (o *outcome) what() string {
	unit := "requests/s"
	switch {
	case o.cpu:
		unit = "CPU time per request, the lower the better"
	case o.size > 0:
		unit = "bytes/s"
	case strings.HasPrefix(o.name, "hijack-echo"):
		unit = "round trips/s"
	}
	conns := "connections"
	if o.theirs.client != nil {
		conns = "in flight"
	} else if o.conns == 1 {
		conns = "connection"
	}
	return fmt.Sprintf("%s over %s, %d %s, %s", o.ours.name, o.theirs.name, o.conns, conns, unit)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n == 0 {
		return math.NaN()
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// medianOf is the median of something in each run.
func medianOf(runs []result, what func(result) float64) float64 {
	values := make([]float64, len(runs))
	for i, r := range runs {
		values[i] = what(r)
	}
	return median(values)
}
