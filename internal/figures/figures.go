// Package figures writes measured figures into a page. The commands that measure them use
// it, so that a page never says more than what was run.
package figures

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/gonng/nnghttp/nng"
)

// Replace puts text between the lines "<!-- name -->" and "<!-- end name -->" of a file.
func Replace(file, name, text string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	first, last := "<!-- "+name+" -->\n", "<!-- end "+name+" -->"
	before, rest, found := strings.Cut(string(b), first)
	_, after, ended := strings.Cut(rest, last)
	if !found || !ended {
		return fmt.Errorf("%s has no lines %q and %q", file, strings.TrimSpace(first), last)
	}
	return os.WriteFile(file, []byte(before+first+strings.TrimSpace(text)+"\n"+last+after), 0o644)
}

// Machine says in one line when, with what and on what something was measured. It names no
// machine.
func Machine() string {
	library := nng.LinkInfo().String()
	if engine := nng.TLSEngineDescription(); nng.TLSEngineName() != "none" && engine != "" {
		library += ", " + engine
	}
	parts := []string{time.Now().UTC().Format(time.DateOnly), library, runtime.Version()}
	if kernel := match("/proc/sys/kernel/osrelease", `^[0-9.]+`); kernel != "" {
		parts = append(parts, "Linux "+strings.TrimRight(kernel, "."))
	}
	parts = append(parts, runtime.GOARCH, fmt.Sprintf("%d processors", runtime.NumCPU()))
	if kib, err := strconv.Atoi(match("/proc/meminfo", `[0-9]+`)); err == nil { // the first line has the total
		parts = append(parts, fmt.Sprintf("%.0f GiB of memory", float64(kib)/(1<<20)))
	}
	return strings.Join(parts, ", ")
}

// match returns what a pattern finds first in a file, or nothing.
func match(file, pattern string) string {
	text, _ := os.ReadFile(file)
	return string(regexp.MustCompile(pattern).Find(text))
}

// Thousands writes a number with commas.
func Thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
