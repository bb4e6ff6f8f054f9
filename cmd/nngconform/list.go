package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/gonng/nnghttp/conformance"
)

type listCmd struct {
	selection
}

func (l *listCmd) Run(context.Context) error {
	cases, err := l.cases()
	if err != nil {
		return err
	}
	for _, c := range cases {
		fmt.Printf("%-60s %-6s %s\n", c.ID, c.Level, c.Title)
	}
	fmt.Printf("%d cases, version %s\n", len(cases), conformance.SetVersion)
	return nil
}

type showCmd struct {
	ID string `arg:"" help:"The case."`
}

func (s *showCmd) Run(context.Context) error {
	cases, err := (&selection{Case: []string{s.ID}}).cases()
	if err != nil {
		return err
	}
	for _, c := range cases {
		fmt.Printf("%s: %s\n  %s, %s\n", c.ID, c.Title, c.Level, c.Source)
		writeCase(os.Stdout, c)
		fmt.Printf("  allowed: %s\n", strings.Join(c.Allowed, "; or "))
		for _, name := range conformance.Recordings() {
			rec, err := conformance.LoadRecording(name)
			if err != nil {
				return err
			}
			r := rec.Cases[c.ID]
			if r == nil {
				continue
			}
			fmt.Printf("  %s: %s\n", name, r.All)
			for _, d := range conformance.Deliveries {
				if o, ok := r.Others[d]; ok {
					fmt.Printf("    %s: %s\n", d, o)
				}
			}
			if r.Breaks != "" {
				fmt.Printf("    breaks the rule: %s\n", r.Breaks)
			}
		}
	}
	return nil
}

type compareCmd struct {
	A string `arg:"" help:"A recording."`
	B string `arg:"" help:"Another one."`
}

func (c *compareCmd) Run(context.Context) error {
	a, err := conformance.LoadRecording(c.A)
	if err != nil {
		return err
	}
	b, err := conformance.LoadRecording(c.B)
	if err != nil {
		return err
	}
	cases, err := conformance.Cases()
	if err != nil {
		return err
	}
	differ := 0
	for _, one := range cases {
		x, y := a.Cases[one.ID], b.Cases[one.ID]
		if x == nil || y == nil || x.All == y.All {
			continue
		}
		differ++
		fmt.Printf("%s\n  %-20s %s\n  %-20s %s\n", one.ID, c.A, x.All, c.B, y.All)
	}
	fmt.Printf("%d of %d cases differ\n", differ, len(cases))
	return nil
}
