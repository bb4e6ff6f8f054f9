package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/gonng/nnghttp/conformance"
	"github.com/gonng/nnghttp/conformance/report"
	"go.yaml.in/yaml/v3"
)

type listCmd struct {
	selection
}

func (l *listCmd) Run(context.Context) error {
	cases, err := l.cases()
	if err != nil {
		return err
	}
	counts := make(map[string]int)
	width := 0
	for _, c := range cases {
		counts[c.Topic()]++
		width = max(width, len(c.ID))
	}
	p := newPaint(os.Stdout)
	topic := ""
	for _, c := range cases {
		if c.Topic() != topic {
			if topic != "" {
				fmt.Println()
			}
			topic = c.Topic()
			fmt.Println(p.bold(fmt.Sprintf("%s (%s): %s", topic, c.Role(), count(counts[topic]))))
		}
		fmt.Printf("  %-*s  %-6s  %s\n", width, c.ID, c.Level, c.Title)
	}
	topics := "topics"
	if len(counts) == 1 {
		topics = "topic"
	}
	fmt.Printf("\n%s in %d %s, version %s\n", count(len(cases)), len(counts), topics, conformance.SetVersion)
	return nil
}

// count says how many cases there are.
func count(n int) string {
	if n == 1 {
		return "1 case"
	}
	return fmt.Sprintf("%d cases", n)
}

type showCmd struct {
	ID string `arg:"" help:"The case, or a pattern as chunks/*."`
}

// shownBytes is how much of what is sent is shown.
const shownBytes = 1000

func (s *showCmd) Run(context.Context) error {
	cases, err := (&selection{Case: []string{s.ID}}).cases()
	if err != nil {
		return err
	}
	var recordings []*conformance.Recording
	for _, name := range conformance.Recordings() {
		rec, err := conformance.LoadRecording(name)
		if err != nil {
			return err
		}
		recordings = append(recordings, rec)
	}
	for i, c := range cases {
		if i > 0 {
			fmt.Println()
		}
		if err := showCase(c); err != nil {
			return err
		}
		for _, rec := range recordings {
			if r := rec.Cases[c.ID]; r != nil {
				showRecorded(c, rec.Name, r)
			}
		}
	}
	return nil
}

func showCase(c *conformance.Case) error {
	p := newPaint(os.Stdout)
	fmt.Printf("%s: %s\n  %s, %s, %s\n", p.bold(c.ID), c.Title, c.Role(), c.Level, c.Source)
	if len(c.Allowed) > 0 {
		fmt.Printf("  allowed: %s\n", strings.Join(c.Allowed, "; or "))
	}
	var deliveries []string
	for _, d := range c.Deliveries() {
		deliveries = append(deliveries, string(d))
	}
	fmt.Printf("  deliveries: %s\n", strings.Join(deliveries, ", "))
	first, err := c.Bytes("HOST:PORT")
	if err != nil {
		return err
	}
	if len(first) > 0 {
		fmt.Printf("  %s\n", p.bold(fmt.Sprintf("sent (%d bytes)", len(first))))
		printLines(first)
	}
	rest, err := others(c)
	if err != nil || rest == "" {
		return err
	}
	fmt.Printf("  %s\n", p.bold("and"))
	for line := range strings.Lines(rest) {
		fmt.Print("    " + line)
	}
	return nil
}

// others is what else a case has, as its file has it.
func others(c *conformance.Case) (string, error) {
	b, err := yaml.Marshal(c)
	if err != nil {
		return "", err
	}
	var all yaml.Node
	if err := yaml.Unmarshal(b, &all); err != nil {
		return "", err
	}
	shown := []string{"id", "title", "source", "level", "head", "body", "raw", "allowed", "deliver"}
	fields := all.Content[0]
	var rest []*yaml.Node
	for i := 0; i < len(fields.Content); i += 2 {
		key, value := fields.Content[i], fields.Content[i+1]
		if !slices.Contains(shown, key.Value) && !empty(value) {
			rest = append(rest, key, value)
		}
	}
	if rest == nil {
		return "", nil
	}
	fields.Content = rest
	b, err = yaml.Marshal(&all)
	return string(b), err
}

// empty reports whether a value is none, takes what is none out of one that has others, and cuts
// what is long.
func empty(n *yaml.Node) bool {
	switch n.Kind {
	case yaml.ScalarNode:
		if more := len(n.Value) - shownBytes; more > 0 {
			n.Value = fmt.Sprintf("%s ... and %d characters more", n.Value[:shownBytes], more)
		}
		return slices.Contains([]string{"", "null", "0", "false"}, n.Value)
	case yaml.MappingNode:
		var rest []*yaml.Node
		for i := 0; i < len(n.Content); i += 2 {
			if !empty(n.Content[i+1]) {
				rest = append(rest, n.Content[i], n.Content[i+1])
			}
		}
		n.Content = rest
	case yaml.SequenceNode:
		for _, one := range n.Content {
			empty(one)
		}
	}
	return len(n.Content) == 0
}

func showRecorded(c *conformance.Case, name string, r *conformance.Recorded) {
	p := newPaint(os.Stdout)
	fmt.Printf("  %s: %s\n", p.bold(name), r.All)
	for _, d := range c.Deliveries() {
		if o, ok := r.Others[d]; ok {
			fmt.Printf("    %s: %s\n", d, o)
		}
	}
	if r.Breaks != "" {
		fmt.Printf("    breaks the rule: %s\n", r.Breaks)
	}
	// The recording has a character for each byte.
	b := make([]byte, 0, len(r.Received))
	for _, c := range r.Received {
		b = append(b, byte(c))
	}
	printLines(b)
}

func printLines(b []byte) {
	for _, line := range report.Lines(b, shownBytes) {
		fmt.Println("    | " + line)
	}
}
