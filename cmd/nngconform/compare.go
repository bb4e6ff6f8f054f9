package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/gonng/nnghttp/conformance"
)

type compareCmd struct {
	A string `arg:"" help:"A recording, or a file that run --json has written."`
	B string `arg:"" help:"Another one."`
}

// outcomes are those of cases, by their ids and deliveries.
type outcomes struct {
	name  string
	cases map[string]map[conformance.Delivery]string
}

func (c *compareCmd) Run(context.Context) error {
	cases, err := conformance.Cases()
	if err != nil {
		return err
	}
	a, err := loadOutcomes(c.A, cases)
	if err != nil {
		return err
	}
	b, err := loadOutcomes(c.B, cases)
	if err != nil {
		return err
	}
	width := max(len(a.name), len(b.name))
	both, differ := 0, 0
	for _, one := range cases {
		x, y := a.cases[one.ID], b.cases[one.ID]
		if x == nil || y == nil {
			continue
		}
		both++
		var pairs []pair
		for _, d := range one.Deliveries() {
			if x[d] != "" && y[d] != "" && x[d] != y[d] {
				pairs = add(pairs, x[d], y[d], d)
			}
		}
		if pairs == nil {
			continue
		}
		differ++
		fmt.Printf("%s: %s\n", one.ID, one.Title)
		for _, p := range pairs {
			if len(p.deliveries) < len(one.Deliveries()) {
				fmt.Printf("  %s\n", strings.Join(p.deliveries, ", "))
			}
			fmt.Printf("  %-*s  %s\n  %-*s  %s\n", width, a.name, p.a, width, b.name, p.b)
		}
	}
	fmt.Printf("%d of %d cases differ\n", differ, both)
	return nil
}

// A pair is what some deliveries of a case came to.
type pair struct {
	a, b       string
	deliveries []string
}

func add(pairs []pair, a, b string, d conformance.Delivery) []pair {
	for i := range pairs {
		if pairs[i].a == a && pairs[i].b == b {
			pairs[i].deliveries = append(pairs[i].deliveries, string(d))
			return pairs
		}
	}
	return append(pairs, pair{a, b, []string{string(d)}})
}

// loadOutcomes reads a report, if there is a file of that name, and else a recording.
func loadOutcomes(name string, cases []*conformance.Case) (*outcomes, error) {
	all := &outcomes{name: name, cases: make(map[string]map[conformance.Delivery]string)}
	rep, err := conformance.LoadReport(name)
	if err == nil {
		all.name = rep.Subject
		for i := range rep.Cases {
			f := &rep.Cases[i]
			all.cases[f.ID] = make(map[conformance.Delivery]string)
			for _, o := range f.Deliveries {
				text := string(o.Outcome)
				if o.Error != "" {
					text = "error: " + o.Error
				}
				all.cases[f.ID][o.Delivery] = text
			}
		}
		return all, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	rec, err := conformance.LoadRecording(name)
	if err != nil {
		return nil, err
	}
	for _, c := range cases {
		if r := rec.Cases[c.ID]; r != nil {
			all.cases[c.ID] = make(map[conformance.Delivery]string)
			for _, d := range c.Deliveries() {
				all.cases[c.ID][d] = string(r.Outcome(d))
			}
		}
	}
	return all, nil
}
