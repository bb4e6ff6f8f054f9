package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"

	"github.com/gonng/nnghttp/conformance"
	"github.com/gonng/nnghttp/conformance/report"
)

// table prints how many cases of each topic have which verdict, and then what the verdicts mean.
func table(out *os.File, rep *conformance.Report) {
	topics := report.Topics(rep)
	var all report.Counts
	roles := make(map[conformance.Role]bool)
	width := len("topic")
	for _, t := range topics {
		for i, n := range t.Counts[0] {
			all[i] += n
		}
		roles[t.Role] = true
		width = max(width, len(t.Name))
	}
	p := newPaint(out)
	line := func(name string, c report.Counts) {
		fmt.Fprintf(out, "%-*s  %6d", width, name, c.All())
		for i, v := range conformance.Verdicts {
			if all[i] == 0 && i > 3 { // there is rarely silence, and what is not played
				continue
			}
			text := "-"
			if c[i] > 0 {
				text = strconv.Itoa(c[i])
			}
			fmt.Fprint(out, "  ", p.verdict(v, c[i] > 0, fmt.Sprintf("%*s", len(report.Label(v)), text)))
		}
		fmt.Fprintln(out)
	}
	head := fmt.Sprintf("%-*s  %6s", width, "topic", "played")
	for i, v := range conformance.Verdicts {
		if all[i] > 0 || i <= 3 {
			head += "  " + report.Label(v)
		}
	}
	fmt.Fprintln(out, p.bold(head))
	last := conformance.Role("")
	for _, t := range topics {
		if len(roles) > 1 && t.Role != last {
			last = t.Role
			fmt.Fprintln(out, p.bold(string(t.Role)))
		}
		line(t.Name, t.Counts[0])
	}
	line("all", all)
	fmt.Fprintln(out)
	for i, v := range conformance.Verdicts {
		if all[i] > 0 {
			fmt.Fprintln(out, p.verdict(v, true, fmt.Sprintf("%5d %s", all[i], v.Words())))
		}
	}
	fmt.Fprintf(out, "%5d cases in %.1f s\n", len(rep.Cases), rep.Took)
	for _, why := range slices.Sorted(maps.Keys(rep.LeftOut)) {
		fmt.Fprintf(out, "%5d more are left out: %s\n", rep.LeftOut[why], why)
	}
	for _, how := range rep.Crashes {
		fmt.Fprintf(out, "the server has crashed: %s\n", how)
	}
}

// A paint colours what goes to a terminal, unless NO_COLOR is set (no-color.org).
type paint bool

func newPaint(out *os.File) paint {
	return paint(isTerminal(out) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb")
}

func (p paint) in(code, s string) string {
	if !p {
		return s
	}
	return "\033[" + code + "m" + s + "\033[0m"
}

func (p paint) bold(s string) string { return p.in("1", s) }

// verdict colours what says something of a verdict. What does not count is dim.
func (p paint) verdict(v conformance.Verdict, counts bool, s string) string {
	switch {
	case !counts:
		return p.in("2", s)
	case v == conformance.Same:
		return s
	case v == conformance.Allowed:
		return p.in("36", s)
	case v == conformance.SameBroken:
		return p.in("33", s)
	case v == conformance.Forbidden:
		return p.in("1;31", s)
	}
	return p.in("35", s)
}
