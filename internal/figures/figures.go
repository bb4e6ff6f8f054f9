// Package figures writes measured figures into a page. The commands that measure them use
// it, so that a page never says more than what was run.
package figures

import (
	"fmt"
	"os"
	"runtime"
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

// Machine says in one line when, with what and on what something was measured.
func Machine() string {
	return fmt.Sprintf("%s, %s, %v, %s/%s, %d processors", time.Now().Format(time.DateOnly), runtime.Version(), nng.LinkInfo(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
}

// Thousands writes a number with commas.
func Thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
