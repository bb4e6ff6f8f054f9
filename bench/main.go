// Bench measures this project side by side with C programs on the same libnng, with
// net/http and with fasthttp, and writes docs/benchmarks.md. "make bench" runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("bench: ")
	b := &bench{}
	flag.IntVar(&b.pairs, "pairs", 5, "runs of each side")
	flag.Float64Var(&b.seconds, "seconds", 2, "length of a run")
	flag.BoolVar(&b.short, "short", false, "one short pair each, to check the harness; writes no page")
	flag.StringVar(&b.profiles, "profile", "", "`folder` for CPU profiles of the Go programs under load")
	only := flag.String("only", "", "`names` of the figures to measure, with commas; writes no page but the section of "+headCost)
	flag.Parse()
	if *only != "" {
		b.only = strings.Split(*only, ",")
	}
	if b.short {
		b.pairs, b.seconds = 1, 0.2
	}
	if b.pairs < 1 || b.seconds <= 0 || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := b.run(ctx); err != nil {
		log.Fatal(err)
	}
}

// A bench is one run of the harness, in the folder bench of the project.
type bench struct {
	pairs    int
	seconds  float64
	short    bool
	only     []string
	profiles string

	bin  string // the folder of the programs that are measured
	cert string // the file with the certificate of https servers

	outcomes []outcome
	counts   []count
}

func (b *bench) run(ctx context.Context) error {
	if err := b.checkNames(); err != nil {
		return err
	}
	if b.profiles != "" {
		var err error
		if b.profiles, err = filepath.Abs(b.profiles); err != nil {
			return err
		}
		if err := os.MkdirAll(b.profiles, 0o755); err != nil {
			return err
		}
	}
	if err := b.build(ctx); err != nil {
		return err
	}
	for _, f := range figures {
		if !b.wants(f.name) {
			continue
		}
		o, err := b.measure(ctx, f)
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		fmt.Println(o.line())
		b.outcomes = append(b.outcomes, o)
	}
	for _, c := range counters {
		if !slices.ContainsFunc(c.names, b.wants) {
			continue
		}
		counts, err := c.count(ctx, b)
		if err != nil {
			return fmt.Errorf("%s: %w", strings.Join(c.names, ", "), err)
		}
		for _, c := range counts {
			fmt.Println(c.line())
		}
		b.counts = append(b.counts, counts...)
	}
	if b.wants(headCost) {
		heads, err := b.measureHeads(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", headCost, err)
		}
		for _, o := range heads {
			fmt.Println(o.line())
		}
		if !b.short {
			if err := b.writeHeads(heads); err != nil {
				return err
			}
		}
	}
	if b.short || b.only != nil {
		return nil
	}
	return b.writePage()
}

func (b *bench) wants(name string) bool {
	return b.only == nil || slices.Contains(b.only, name)
}

// checkNames refuses names that -only cannot mean.
func (b *bench) checkNames() error {
	names := []string{headCost}
	for _, f := range figures {
		names = append(names, f.name)
	}
	for _, c := range counters {
		names = append(names, c.names...)
	}
	for _, name := range b.only {
		if !slices.Contains(names, name) {
			return errors.New("no figure is called " + name + "; there are: " + strings.Join(names, " "))
		}
	}
	return nil
}
