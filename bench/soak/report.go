package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gonng/nnghttp/internal/figures"
)

// A bound is a number of a sample, and how much more than at first it may be in the end.
type bound struct {
	name  string
	unit  string
	value func(Sample) float64
	more  float64
}

// bounds are what is judged.
//
// Go keeps every thread that it has started, and starts one when all that it has are blocked in C
// and there is more to do, as happens for moments on a busy machine. So the threads of a process
// say little: one that is stuck in C has a goroutine, and those are counted. libnng's own
// threads are another matter. C's heap has a cache for each thread, which counts as used; make
// soak turns that off.
var bounds = []bound{
	{"goroutines", "", func(s Sample) float64 { return float64(s.Goroutines) }, 0},
	{"threads", "", func(s Sample) float64 { return float64(s.Threads) }, 64},
	{nngThreads, "", func(s Sample) float64 { return float64(s.NngThreads) }, 0},
	{"open descriptors", "", func(s Sample) float64 { return float64(s.Descriptors) }, 0},
	{"C heap", "MiB", func(s Sample) float64 { return mib(s.CHeap) }, 2},
	{"Go heap", "MiB", func(s Sample) float64 { return mib(s.GoHeap) }, 2},
}

// resident is shown, and not judged: what the C library and Go give back to the system is their
// own affair.
var resident = bound{name: "resident memory", unit: "MiB", value: func(s Sample) float64 { return mib(s.Resident) }}

// nngThreads names the threads that are a part of all.
const nngThreads = "threads of nng"

func (b bound) format(value float64) string {
	return strings.TrimSpace(fmt.Sprintf("%.*f %s", b.decimals(), value, b.unit))
}

func (b bound) decimals() int {
	if b.unit == "" {
		return 0
	}
	return 1
}

// compare says in plain sentences what has not come back.
func compare(base, end [processes]Sample) error {
	var all []string
	for i := range processes {
		for _, b := range bounds {
			before, after := b.value(base[i]), b.value(end[i])
			if after > before+b.more {
				all = append(all, fmt.Sprintf("%s of the %s: %s after everything was closed, %s after the first round, and at most %s more are allowed",
					b.name, processNames[i], b.format(after), b.format(before), b.format(b.more)))
			}
		}
	}
	if all == nil {
		return nil
	}
	return sentences(all)
}

// sentences are the reasons of a failure.
type sentences []string

func (s sentences) Error() string { return strings.Join(s, "\n") }

// judge says what was not as it should be.
func (s *soak) judge() error {
	var all sentences
	for _, k := range s.kinds {
		switch n := k.unexpected.Load(); {
		case n > 0:
			all = append(all, fmt.Sprintf("%d of %d actions failed, and no server was just being restarted: %s", n, k.actions.Load(), k.name))
		case k.actions.Load() == k.restarts.Load():
			all = append(all, "nothing has succeeded: "+k.name)
		}
	}
	if err := compare(s.base, s.end); err != nil {
		all = append(all, err.(sentences)...)
	}
	if all == nil {
		return nil
	}
	return all
}

// report is the part of the page that is written here.
func (s *soak) report(verdict error) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s of load: %s requests (%s a second), %s messages and lines on connections that were taken over, and %d shutdowns, each followed by a new server on the same port. ",
		inWords(s.duration), figures.Thousands(s.requests), figures.Thousands(int64(float64(s.requests)/(s.loadEnded-s.loadBegan).Seconds())), figures.Thousands(s.messages), s.shutdowns)
	if verdict == nil {
		b.WriteString("Nothing failed that should not have, and everything came back.\n\n")
	} else {
		b.WriteString("It has failed.\n\n")
	}
	b.WriteString("| what | process | after the first round | most under load | after everything was closed | allowed |\n|---|---|---:|---:|---:|---:|\n")
	for _, x := range append(slices.Clone(bounds), resident) {
		for i := range processes {
			allowed := x.format(x.value(s.base[i]) + x.more)
			if x.name == resident.name {
				allowed = ""
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", x.name, processNames[i],
				x.format(x.value(s.base[i])), x.format(s.most(i, x.value)), x.format(x.value(s.end[i])), allowed)
		}
	}
	b.WriteString("\n| traffic | actions | failed while a server restarted | failed otherwise |\n|---|---:|---:|---:|\n")
	for _, k := range s.kinds {
		fmt.Fprintf(&b, "| %s | %s | %s | %d |\n", k.name, figures.Thousands(k.actions.Load()), figures.Thousands(k.restarts.Load()), k.unexpected.Load())
	}
	fmt.Fprintf(&b, "\n![%s](reliability/%s)\n\n%s.\n", chartTitle(s.duration), chartFile, figures.Machine())
	return b.String()
}

// most is the largest value under the load that counts.
func (s *soak) most(process int, value func(Sample) float64) (most float64) {
	for _, p := range s.points {
		if p.at >= s.loadBegan && p.at <= s.loadEnded {
			most = max(most, value(p.samples[process]))
		}
	}
	return most
}

func chartTitle(d time.Duration) string {
	return inWords(d) + " of everything at once: what it takes, and that all of it comes back"
}

// inWords writes a time as people do.
func inWords(d time.Duration) string {
	switch {
	case d > time.Minute && d%time.Minute == 0:
		return fmt.Sprintf("%d minutes", d/time.Minute)
	case d == time.Minute:
		return "A minute"
	}
	return d.String()
}
