// Package report makes files out of reports of the conformance kit: a page of HTML, a page of
// Markdown, and JUnit's XML.
package report

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gonng/nnghttp/conformance"
)

// Symbol returns a sign for a verdict, which stands with its colour, so that nobody has to tell
// colours apart.
func Symbol(v conformance.Verdict) string {
	switch v {
	case conformance.Same:
		return "✓"
	case conformance.Allowed:
		return "≈"
	case conformance.SameBroken:
		return "▲"
	case conformance.Forbidden:
		return "✕"
	case conformance.Silent:
		return "…"
	}
	return "○"
}

// Label returns a verdict in a word or two.
func Label(v conformance.Verdict) string {
	switch v {
	case conformance.SameBroken:
		return "reference breaks"
	case conformance.NotPlayed:
		return "not played"
	}
	return string(v)
}

// Counts are how many cases have a verdict, by the verdict's place in conformance.Verdicts.
type Counts [6]int

// Count adds up the verdicts of findings.
func Count(findings ...*conformance.Finding) (c Counts) {
	for _, f := range findings {
		if f != nil {
			c[index(f.Verdict)]++
		}
	}
	return c
}

// index is the place of a verdict. One that nobody knows, in a report from elsewhere, is none.
func index(v conformance.Verdict) int {
	if i := slices.Index(conformance.Verdicts, v); i >= 0 {
		return i
	}
	return slices.Index(conformance.Verdicts, conformance.NotPlayed)
}

// Of returns how many have a verdict.
func (c Counts) Of(v conformance.Verdict) int {
	return c[index(v)]
}

// All returns how many there are.
func (c Counts) All() (n int) {
	for _, one := range c {
		n += one
	}
	return n
}

// A Topic has the counts of its cases.
type Topic struct {
	Name string
	Role conformance.Role
	// Counts has an element for each report.
	Counts []Counts
}

// Topics returns the topics of reports, in the order of the roles and then as they come.
func Topics(reports ...*conformance.Report) []Topic {
	m := gather(reports)
	return m.topics
}

// A matrix has a column for each report, and a row for each case.
type matrix struct {
	reference string
	set       string
	names     []string
	totals    []Counts
	topics    []Topic
	rows      []*row
}

// A row is a case, with a finding for each report, nil where it was not played.
type row struct {
	*conformance.Finding // the first one, for what all of them say of the case
	cells                []*conformance.Finding
}

// gather puts the cases of reports side by side.
func gather(reports []*conformance.Report) *matrix {
	m := new(matrix)
	rows := make(map[string]*row)
	topics := make(map[string]int)
	for i, rep := range reports {
		m.reference, m.set = rep.Reference, rep.Set
		m.names = append(m.names, rep.Subject)
		for j := range rep.Cases {
			f := &rep.Cases[j]
			r := rows[f.ID]
			if r == nil {
				r = &row{Finding: f, cells: make([]*conformance.Finding, len(reports))}
				rows[f.ID] = r
				m.rows = append(m.rows, r)
				if _, ok := topics[f.Topic]; !ok {
					topics[f.Topic] = len(m.topics)
					m.topics = append(m.topics, Topic{Name: f.Topic, Role: f.Role, Counts: make([]Counts, len(reports))})
				}
			}
			r.cells[i] = f
		}
	}
	m.totals = make([]Counts, len(reports))
	for _, r := range m.rows {
		for i, f := range r.cells {
			one := Count(f)
			m.totals[i].add(one)
			m.topics[topics[r.Topic]].Counts[i].add(one)
		}
	}
	slices.SortStableFunc(m.topics, func(a, b Topic) int { return place(a.Role) - place(b.Role) })
	slices.SortStableFunc(m.rows, func(a, b *row) int { return place(a.Role) - place(b.Role) })
	return m
}

func (c *Counts) add(o Counts) {
	for i := range c {
		c[i] += o[i]
	}
}

func place(r conformance.Role) int { return slices.Index(conformance.Roles, r) }

// Comparable returns an error unless all reports were compared with the same reference, and have
// names that tell them apart.
func Comparable(reports ...*conformance.Report) error {
	if len(reports) == 0 {
		return errors.New("there is no report")
	}
	seen := make(map[string]bool)
	for _, r := range reports {
		if r.Reference != reports[0].Reference {
			return fmt.Errorf("%s was compared with %s, and %s with %s: a page has one reference",
				reports[0].Subject, orRules(reports[0].Reference), r.Subject, orRules(r.Reference))
		}
		if seen[r.Subject] {
			return fmt.Errorf("two reports are called %q; run has --name", r.Subject)
		}
		seen[r.Subject] = true
	}
	return nil
}

func orRules(reference string) string {
	if reference == "" {
		return "the rules alone"
	}
	return reference
}

// outcomes are the outcomes of a finding, each with the deliveries that have it.
func outcomes(f *conformance.Finding, of func(*conformance.Observed) string) (all []outcome) {
	for i := range f.Deliveries {
		o := &f.Deliveries[i]
		text := of(o)
		j := slices.IndexFunc(all, func(x outcome) bool { return x.text == text })
		if j < 0 {
			all = append(all, outcome{text: text, first: o})
			j = len(all) - 1
		}
		all[j].deliveries = append(all[j].deliveries, string(o.Delivery))
	}
	return all
}

type outcome struct {
	text       string
	first      *conformance.Observed
	deliveries []string
}

// observed is what came of a delivery: an outcome, or why there is none.
func observed(o *conformance.Observed) string {
	if o.Error != "" {
		return "error: " + o.Error
	}
	return string(o.Outcome)
}

// in says which deliveries had an outcome, if not all of them.
func (o outcome) in(f *conformance.Finding) string {
	if len(o.deliveries) == len(f.Deliveries) {
		return ""
	}
	return strings.Join(o.deliveries, ", ")
}
