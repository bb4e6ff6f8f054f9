package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/gonng/nnghttp/conformance"
)

// A progress shows how far a run is: a bar on a terminal, and elsewhere a line now and then.
type progress struct {
	out      *os.File
	terminal bool
	last     time.Time
}

func newProgress(out *os.File) *progress {
	return &progress{out: out, terminal: isTerminal(out), last: time.Now()}
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func (p *progress) show(done, all int, f *conformance.Finding) {
	every := 5 * time.Second
	if p.terminal {
		every = 50 * time.Millisecond
	}
	if time.Since(p.last) < every && done != all {
		return
	}
	p.last = time.Now()
	if !p.terminal {
		if done != all {
			fmt.Fprintf(p.out, "%d of %d cases\n", done, all)
		}
		return
	}
	const width = 40
	n := width * done / all
	fmt.Fprintf(p.out, "\r\033[K[%s%s] %d/%d %s", strings.Repeat("#", n), strings.Repeat(" ", width-n), done, all, f.ID)
}

// end removes the bar.
func (p *progress) end() {
	if p.terminal {
		fmt.Fprint(p.out, "\r\033[K")
	}
}
