// Package unpatched lets the tests run on a libnng that lacks our patches. What it cannot
// do, or what ends the process there, is a list of tests with the defects of
// docs/defects.md, and each of these tests is named when it is left out.
package unpatched

import (
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Skip is a test that a libnng which lacks a patch cannot pass.
type Skip struct {
	// Test is the name of a test, or of one within it, after a slash, as go test shows it.
	// A star stands for any part of a name, \* for a star.
	Test string
	// Defect is what the patch is for, as "S1". There may be several, with blanks between
	// them, when the test needs all of their patches.
	Defect string
	// Often is set when the test passes now and then.
	Often bool
}

// Mode is the environment variable that says what becomes of the tests of the list:
// "run" runs them as any other, "try" runs each in a process of its own, and fails if one
// passes, because it needs to be on the list no longer.
const Mode = "NNGHTTP_SKIPPED"

// releases says in which release of 1.x a defect is gone.
var releases = map[string]int{"S1": 6, "S2": 6}

// A Library is the libnng under test, as nng.LinkInfo tells it.
type Library struct {
	Name    string
	Version string
	Patches []string
	Shared  bool // it shows what its headers declare, and nothing else
	Trusted bool // it is tried as one with all patches, as scripts/check-patches does
}

// Lacks reports whether the library has a defect.
func (l Library) Lacks(defect string) bool {
	defect = strings.ToUpper(defect)
	if l.Trusted {
		return false
	}
	if defect == "L1" {
		return l.Shared
	}
	if gone, ok := releases[defect]; ok {
		part := strings.Split(l.Version, ".")
		if minor, err := strconv.Atoi(part[min(1, len(part)-1)]); err == nil && minor >= gone {
			return false
		}
	}
	word := "-" + strings.ToLower(defect) + "-"
	return !slices.ContainsFunc(l.Patches, func(name string) bool { return strings.Contains(name+"-", word) })
}

// A List is what is left out with a library.
type List struct {
	library string
	skips   []Skip
}

// Left returns those of all that the library cannot pass.
func (l Library) Left(all []Skip) List {
	return List{l.Name, slices.DeleteFunc(slices.Clone(all), func(s Skip) bool {
		return !slices.ContainsFunc(strings.Fields(s.Defect), l.Lacks)
	})}
}

// Has reports whether a test is left out. It is for those that do much before they begin.
func (l List) Has(test string) bool {
	return os.Getenv(Mode) == "" && slices.ContainsFunc(l.skips, func(s Skip) bool { return match(s.Test, test) })
}

func match(pattern, test string) bool {
	parts, names := strings.Split(pattern, "/"), strings.Split(strings.ReplaceAll(test, " ", "_"), "/")
	return len(parts) == len(names) && !slices.ContainsFunc(parts, func(part string) bool {
		name := names[0]
		names = names[1:]
		return !regexp.MustCompile(expression(part)).MatchString(name)
	})
}

// Setup is for TestMain, after flag.Parse. It leaves the tests out, and names them. In mode
// "try" it does not return.
func (l List) Setup() {
	if len(l.skips) == 0 || flag.Lookup("test.list").Value.String() != "" {
		return
	}
	switch mode := os.Getenv(Mode); mode {
	case "":
	case "run":
		return
	case "try":
		if !l.try() {
			os.Exit(1)
		}
		os.Exit(0)
	default:
		panic(Mode + " is \"try\", \"run\", or not set")
	}
	l.print(os.Stdout)
	skip := flag.Lookup("test.skip")
	patterns := l.regexps()
	if old := skip.Value.String(); old != "" {
		patterns = append(patterns, old)
	}
	if err := skip.Value.Set(strings.Join(patterns, "|")); err != nil {
		panic(err)
	}
}

func (l List) print(w io.Writer) {
	by := make(map[string][]string)
	for _, s := range l.skips {
		by[s.Defect] = append(by[s.Defect], s.Test)
	}
	fmt.Fprintf(w, "%s lacks patches; left out are, with the defects of docs/defects.md (%d lines):\n", l.library, len(l.skips))
	for _, defect := range slices.Sorted(maps.Keys(by)) {
		for _, test := range by[defect] {
			fmt.Fprintf(w, "  %-9s %s\n", defect, test)
		}
	}
}

// regexps is the list for the flag test.skip.
func (l List) regexps() (all []string) {
	for _, s := range l.skips {
		all = append(all, expression(s.Test))
	}
	return all
}

// expression makes a pattern one for go test, where each part between slashes is a regular
// expression of its own.
func expression(pattern string) string {
	parts := strings.Split(pattern, "/")
	for i, part := range parts {
		part = regexp.QuoteMeta(part)
		part = strings.ReplaceAll(part, `\\\*`, "\x00") // a star that is meant
		part = strings.ReplaceAll(part, `\*`, `.*`)
		parts[i] = "^" + strings.ReplaceAll(part, "\x00", `\*`) + "$"
	}
	return strings.Join(parts, "/")
}

// try runs each test of the list, and reports whether none has passed that should not.
func (l List) try() bool {
	program, err := os.Executable()
	if err != nil {
		panic(err)
	}
	out, err := exec.Command(program, "-test.list", ".").Output()
	if err != nil {
		panic(err)
	}
	tests := strings.Fields(string(out))
	type attempt struct {
		Skip
		run, result string
		ok, gone    bool
	}
	var attempts []*attempt
	for _, s := range l.skips {
		first, rest, within := strings.Cut(s.Test, "/")
		for _, test := range tests {
			if !match(first, test) {
				continue
			}
			a := &attempt{Skip: s, run: expression(test)}
			if within {
				a.run += "/" + expression(rest)
			}
			attempts = append(attempts, a)
		}
	}
	var wg sync.WaitGroup
	places := make(chan struct{}, 4)
	for _, a := range attempts {
		wg.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			a.result, a.ok, a.gone = one(program, a.run, a.Often)
		})
	}
	wg.Wait()
	ok := true
	for _, s := range l.skips {
		found := false
		for _, a := range attempts {
			if a.Skip == s && !a.gone {
				found = true
				ok = ok && a.ok
				fmt.Printf("%-9s %s: %s\n", a.Defect, a.run, a.result)
			}
		}
		if !found {
			ok = false
			fmt.Printf("%-9s %s: IS NOT THERE\n", s.Defect, s.Test)
		}
	}
	return ok
}

// one runs a test in a process of its own. It is ok if the test belongs on the list.
func one(program, run string, often bool) (result string, ok, gone bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-test.run", run, "-test.v", "-test.timeout", "90s")
	cmd.Env = append(os.Environ(), Mode+"=run")
	b, err := cmd.CombinedOutput()
	out := string(b)
	depth := strings.Count(run, "/")
	gone = !slices.ContainsFunc(strings.Split(out, "\n"), func(line string) bool {
		name, found := strings.CutPrefix(line, "=== RUN   ")
		return found && strings.Count(name, "/") == depth
	})
	switch {
	case gone:
		return "", false, true
	case err == nil && often:
		return "passes now, but not always", true, false
	case err == nil:
		return "PASSES, or skips itself, so it need not be listed", false, false
	case ctx.Err() != nil, strings.Contains(out, "panic: test timed out"):
		return "hangs", true, false
	case cmd.ProcessState.ExitCode() < 0, strings.Contains(out, "\nSIG"):
		return "ends the process", true, false
	}
	return "fails", true, false
}
