package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// The page, its pictures, and the marks of the part that is written here.
const (
	page      = "../docs/benchmarks.md"
	pictures  = "../docs/benchmarks/"
	pageBegin = "<!-- measured -->\n"
	pageEnd   = "<!-- end -->"
)

// writePage writes the measured part of the page again, and the pictures.
func (b *bench) writePage() error {
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	renewed, err := replaceMeasured(string(text), b.measured())
	if err != nil {
		return err
	}
	if err := os.MkdirAll(pictures, 0o755); err != nil {
		return err
	}
	if err := plotThroughput(b.outcomes, pictures+"throughput.svg"); err != nil {
		return err
	}
	if err := plotRatios(b.outcomes, pictures+"ratios.svg"); err != nil {
		return err
	}
	return os.WriteFile(page, []byte(renewed), 0o644)
}

// replaceMeasured puts a new text between the marks.
func replaceMeasured(text, measured string) (string, error) {
	before, rest, ok := strings.Cut(text, pageBegin)
	_, after, ok2 := strings.Cut(rest, pageEnd)
	if !ok || !ok2 {
		return "", errors.New(page + " has lost its marks")
	}
	return before + pageBegin + measured + pageEnd + after, nil
}

func (b *bench) measured() string {
	var s strings.Builder
	s.WriteString("\n| figure | what | median | min | max | goal | |\n|---|---|---:|---:|---:|---:|---|\n")
	for _, o := range b.outcomes {
		value, low, high := o.summary()
		goal, verdict := "", ""
		if o.goal != 0 {
			goal, verdict = fmt.Sprintf("%.2f", o.goal), o.verdict()
		}
		fmt.Fprintf(&s, "| %s | %s | %.2f | %.2f | %.2f | %s | %s |\n", o.name, o.what(), value, low, high, goal, verdict)
	}

	s.WriteString("\nBoth sides of each, medians: what they did, CPU time of the server (of a client, where that\n" +
		"is measured) per request, round trip or MiB, and latencies in microseconds.\n\n")
	s.WriteString("| figure | ours | CPU µs | p50 | p99 | the other | CPU µs | p50 | p99 |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, o := range b.outcomes {
		fmt.Fprintf(&s, "| %s |%s%s\n", o.name, o.columns(o.ourRuns), o.columns(o.theirRuns))
	}

	s.WriteString("\n| count, per request where nothing else is said | value | limit | |\n|---|---:|---:|---|\n")
	for _, c := range b.counts {
		value, limit, verdict := number(c.value), "", ""
		if c.limit != 0 {
			limit, verdict = number(c.limit), c.verdict()
		}
		if c.not != "" {
			value = c.not
		}
		fmt.Fprintf(&s, "| %s | %s | %s | %s |\n", c.name, value, limit, verdict)
	}

	s.WriteString("\n![Requests per second of each server at 1, 16 and 64 connections](benchmarks/throughput.svg)\n" +
		"\n![The ratios with their spread and their goals](benchmarks/ratios.svg)\n")
	fmt.Fprintf(&s, "\nMeasured on %s with `make bench`: %d pairs of runs of %g s for each figure.\n%s\n",
		time.Now().UTC().Format(time.DateOnly), b.pairs, b.seconds, machine())
	return s.String()
}

// columns has what a side did, for the second table.
func (o *outcome) columns(runs []result) string {
	rate := medianOf(runs, func(r result) float64 { return r.count / r.seconds })
	cpu := medianOf(runs, func(r result) float64 { return r.cpu / r.count * 1e6 })
	amount := fmt.Sprintf("%.0f/s", rate)
	if o.size > 0 {
		amount = fmt.Sprintf("%.0f MB/s", rate*o.size/1e6)
		cpu *= mib / o.size
	}
	micros := func(of func(result) float64) string {
		if v := medianOf(runs, of); v > 0 {
			return fmt.Sprintf("%.0f", v)
		}
		return ""
	}
	return fmt.Sprintf(" %s | %.1f | %s | %s |", amount, cpu,
		micros(func(r result) float64 { return r.p50 }), micros(func(r result) float64 { return r.p99 }))
}

// machine tells what the figures depend on.
func machine() string {
	header := readFile(libDir + "/include/nnghttp_build.h")
	wrk, _ := exec.Command("wrk", "-v").CombinedOutput() // it prints its version and fails
	return fmt.Sprintf("%s, %d cores, Linux %s; %s, libnng %s with %s patches, mbedTLS %s, wrk %s.",
		cmp.Or(find(readFile("/proc/cpuinfo"), `model name\s*: (.*)`), runtime.GOARCH), runtime.NumCPU(),
		find(readFile("/proc/sys/kernel/osrelease"), `^([0-9.]+)`), runtime.Version(),
		find(header, `NNGHTTP_NNG_VERSION "(.*)"`), find(header, `NNGHTTP_NNG_PATCHES (\d+)`),
		find(header, `NNGHTTP_MBEDTLS_VERSION "(.*)"`), find(string(wrk), `wrk (?:\w+/)?([0-9.]+)`))
}

func readFile(name string) string {
	text, _ := os.ReadFile(name)
	return string(text)
}

// find returns what the brackets of a pattern match, or nothing.
func find(text, pattern string) string {
	if m := regexp.MustCompile(pattern).FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}
