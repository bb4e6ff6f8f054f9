package report

import (
	"cmp"
	_ "embed"
	"fmt"
	"io"
	"strings"

	"github.com/gonng/nnghttp/conformance"
)

//go:embed intro.md
var intro string

// perSubject is how many cases of a column are listed with their outcomes; of one with more only
// the ids are.
const perSubject = 40

// Markdown writes a page of reports: what the kit is, a table of the reports by topics, and in
// short what differs. The same reports make the same page, whenever that is. A picture is the
// path of one for the page, or empty.
func Markdown(w io.Writer, reports []*conformance.Report, picture string) error {
	if err := Comparable(reports...); err != nil {
		return err
	}
	m := gather(reports)
	var b strings.Builder
	b.WriteString(intro)
	if picture != "" {
		fmt.Fprintf(&b, "\n![The implementations, and how many cases are as the reference, allowed, forbidden](%s)\n", picture)
	}
	fmt.Fprintf(&b, "\n## The matrix\n\n%d cases, version %s of the set, compared with %s.\n\n", len(m.rows), cell(m.set), code(orRules(m.reference)))
	b.WriteString("| sign | verdict |\n|---|---|\n")
	for _, v := range conformance.Verdicts {
		fmt.Fprintf(&b, "| %s | %s |\n", Symbol(v), v.Words())
	}
	role := conformance.Role("")
	for _, t := range m.topics { // those of a role stand together
		if t.Role != role {
			role = t.Role
			m.table(&b, role)
		}
	}
	m.broken(&b)
	for i, name := range m.names {
		m.differences(&b, i, name)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

var roleTitles = map[conformance.Role]string{
	conformance.ServerRole: "Servers", conformance.ClientRole: "Clients",
	conformance.WebSocketServerRole: "WebSocket servers", conformance.WebSocketClientRole: "WebSocket clients",
}

// table writes the counts of the topics of a role, with the columns that have cases in it.
func (m *matrix) table(b *strings.Builder, role conformance.Role) {
	var columns []int
	var topics []Topic
	totals := make([]Counts, len(m.names))
	for _, t := range m.topics {
		if t.Role != role {
			continue
		}
		topics = append(topics, t)
		for i, c := range t.Counts {
			totals[i].add(c)
		}
	}
	for i, c := range totals {
		if c.All() > 0 {
			columns = append(columns, i)
		}
	}
	if columns == nil {
		return
	}
	fmt.Fprintf(b, "\n### %s\n\n| topic |", cmp.Or(roleTitles[role], cell(string(role))))
	for _, i := range columns {
		fmt.Fprintf(b, " %s |", cell(m.names[i]))
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(columns)) + "\n")
	line := func(name string, counts []Counts) {
		fmt.Fprintf(b, "| %s |", name)
		for _, i := range columns {
			fmt.Fprintf(b, " %s |", counts[i])
		}
		b.WriteByte('\n')
	}
	for _, t := range topics {
		line(cell(t.Name), t.Counts)
	}
	line("**all**", totals)
}

// String has the sign and number of each verdict that there is.
func (c Counts) String() string {
	var parts []string
	for i, v := range conformance.Verdicts {
		if c[i] > 0 {
			parts = append(parts, fmt.Sprintf("%s\u00a0%d", Symbol(v), c[i])) // a space that no line breaks at
		}
	}
	return strings.Join(parts, " ")
}

// broken lists where the reference breaks its rule: that is the same for all columns. What it does
// in the same way in several cases of a topic is one line.
func (m *matrix) broken(b *strings.Builder) {
	lines := make(map[string][]string)
	var order []string
	for _, r := range m.rows {
		if r.Recorded == nil || r.Recorded.Breaks == "" {
			continue
		}
		source := cell(r.Source)
		if len(r.Defect) > 0 {
			source += fmt.Sprintf(" ([%s](defects.md))", cell(strings.Join(r.Defect, ", ")))
		}
		line := fmt.Sprintf("| %s | %s | %s: %s |", cell(r.Topic), code(string(r.Recorded.All)), source, cell(r.Recorded.Breaks))
		if lines[line] == nil {
			order = append(order, line)
		}
		lines[line] = append(lines[line], code(strings.TrimPrefix(r.ID, r.Topic+"/")))
	}
	if order == nil {
		return
	}
	fmt.Fprintf(b, "\n## Where the reference breaks the RFC\n\n| topic | what %s does | the rule | cases |\n|---|---|---|---|\n", code(m.reference))
	for _, line := range order {
		fmt.Fprintf(b, "%s %s |\n", line, strings.Join(lines[line], ", "))
	}
}

// differences lists what an implementation does that its rule forbids, or that nobody knows.
func (m *matrix) differences(b *strings.Builder, column int, name string) {
	var bad []*conformance.Finding
	for _, r := range m.rows {
		if f := r.cells[column]; f != nil && f.Verdict != conformance.Same && f.Verdict != conformance.Allowed && f.Verdict != conformance.SameBroken {
			bad = append(bad, f)
		}
	}
	fmt.Fprintf(b, "\n## %s\n\n", cell(name))
	if n := m.totals[column].Of(conformance.Allowed); n > 0 {
		verb := "differ"
		if n == 1 {
			verb = "differs"
		}
		fmt.Fprintf(b, "%d %s %s from the reference as the RFC allows. ", n, plural(n), verb)
	}
	if bad == nil {
		b.WriteString("Nothing is against the RFC in a way of its own.\n")
		return
	}
	if len(bad) > perSubject {
		fmt.Fprintf(b, "%d %s are against the RFC in another way than the reference, or told nothing:\n\n", len(bad), plural(len(bad)))
		for _, t := range m.topics {
			var ids []string
			for _, f := range bad {
				if f.Topic == t.Name {
					ids = append(ids, code(strings.TrimPrefix(f.ID, t.Name+"/")))
				}
			}
			if ids != nil {
				fmt.Fprintf(b, "- %s (%d): %s\n", cell(t.Name), len(ids), strings.Join(ids, ", "))
			}
		}
		return
	}
	b.WriteString("Against the RFC in another way than the reference:\n\n| case | | outcome | the reference |\n|---|---|---|---|\n")
	for _, f := range bad {
		reference := ""
		if f.Recorded != nil {
			reference = code(string(f.Recorded.All))
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", code(f.ID), Symbol(f.Verdict), code(f.Answer()), reference)
	}
}

func plural(n int) string {
	if n == 1 {
		return "case"
	}
	return "cases"
}

// cell makes a text that a cell of a table can have.
func cell(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	return strings.NewReplacer("|", `\|`, "<", "&lt;", ">", "&gt;", "*", `\*`, "_", `\_`, "`", "\\`", "[", `\[`).Replace(s)
}

// code makes a text in the font of code, in a cell. A long one is cut.
func code(s string) string {
	if s == "" {
		return ""
	}
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	if r := []rune(s); len(r) > 120 {
		s = string(r[:120]) + "…"
	}
	fence := "`"
	for strings.Contains(s, fence) {
		fence += "`"
	}
	s = strings.ReplaceAll(s, "|", `\|`)
	if len(fence) > 1 {
		return fence + " " + s + " " + fence
	}
	return fence + s + fence
}
