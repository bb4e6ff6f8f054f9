package report

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"html/template"
	"io"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gonng/nnghttp/conformance"
)

// What a page keeps of the bytes of a case, and of a cell that is not as the reference. When all
// of it would be more than maxData, less is kept.
const (
	maxBytes  = conformance.MaxReceived
	maxEvents = 100
	maxData   = 3 << 20
)

//go:embed page.html
var pageText string

//go:embed page.css
var pageCSS string

//go:embed page.js
var pageJS string

// The parts are one template, so that html/template sees the whole page and escapes what is put
// into it accordingly.
var pageTemplate = template.Must(template.New("page").Parse(pageText +
	`{{define "css"}}` + pageCSS + `{{end}}{{define "js"}}` + pageJS + `{{end}}`))

// HTML writes one page that needs nothing else: a matrix with a column for each report, filters,
// and for each case the bytes of an implementation and of the reference side by side, where they
// differ. All reports have to be compared with the same reference.
func HTML(w io.Writer, reports ...*conformance.Report) error {
	if err := Comparable(reports...); err != nil {
		return err
	}
	p, err := newPage(reports, maxData)
	if err != nil {
		return err
	}
	return pageTemplate.Execute(w, p)
}

// A page is what the template is filled with.
type page struct {
	Title     string
	Reference string
	About     []string
	Verdicts  []verdict
	Columns   []column
	Roles     []role
	Rows      []pageRow
	Topics    []string
	RoleNames []conformance.Role
	Levels    []conformance.Level
	Width     string // "wide" cells have a text, "few" a sign each, of "many" the names stand upright
	Data      *data
}

type verdict struct {
	Name, Symbol, Label, Words string
	N                          int
}

type column struct {
	Name   string
	Bar    []verdict // without those that there are none of
	Counts []verdict // one for each of the page
}

type role struct {
	Name, Title string
	Topics      []pageTopic
}

type pageTopic struct {
	Name  string
	N     int
	Cells []pageCell
}

// A pageCell has what is not as the reference, or all if nothing is.
type pageCell struct {
	Bar, Shown []verdict
	All        int
}

type pageRow struct {
	ID, Short, Title, Topic string
	Role                    conformance.Role
	Level                   conformance.Level
	Reference               verdict
	Outcome                 string
	Link                    template.URL
	Cells                   []rowCell
}

type rowCell struct {
	verdict
	Outcome string
	Link    template.URL
}

// data is what the page's script shows of a case when somebody asks.
type data struct {
	Texts  []string             `json:"texts"` // what the others name by its place: many are the same
	Names  []string             `json:"names"`
	Limit  int                  `json:"limit"` // so many bytes of a text are kept
	Cases  map[string]*dataCase `json:"cases"`
	places map[string]int
	Words  map[string]dataVerdict `json:"verdicts"`
}

type dataVerdict struct {
	Symbol string `json:"symbol"`
	Label  string `json:"label"`
	Words  string `json:"words"`
}

type dataCase struct {
	Source  int         `json:"source"`
	Defect  []string    `json:"defect,omitempty"` // the ids of docs/defects.md
	Allowed []int       `json:"allowed,omitempty"`
	Sent    int         `json:"sent"`
	Ref     *dataRef    `json:"ref,omitempty"`
	Cells   []*dataCell `json:"cells"`
}

type dataRef struct {
	Outcomes []dataOutcome `json:"outcomes"`
	Breaks   int           `json:"breaks"`
	Received int           `json:"received"`
}

type dataCell struct {
	Verdict  string        `json:"verdict"`
	Outcomes []dataOutcome `json:"outcomes"`
	// Trace is of the first delivery whose outcome is not the reference's. In a page of one
	// report it is there in any case, and then of the first delivery.
	Delivery string      `json:"delivery,omitempty"`
	Trace    []dataEvent `json:"trace,omitempty"`
}

// A dataOutcome is what some deliveries came to.
type dataOutcome struct {
	Deliveries string `json:"in,omitempty"` // empty for all
	Text       int    `json:"text"`
	Why        int    `json:"why"`
}

// A dataEvent is a part of what crossed the wire.
type dataEvent struct {
	Kind string `json:"kind"` // "sent", "received", "told" or "end"
	Text int    `json:"text"`
	Left int    `json:"left,omitempty"` // how many bytes more there were
}

func newPage(reports []*conformance.Report, limit int) (*page, error) {
	m := gather(reports)
	p := &page{
		Title:     "Conformance with libnng",
		Reference: orRules(m.reference),
		Topics:    make([]string, 0, len(m.topics)),
		Width:     "few",
		About:     []string{"set " + clean(m.set)},
	}
	switch n := len(m.names); {
	case n <= 2:
		p.Width = "wide"
	case n > 6:
		p.Width = "many"
	}
	if at := reports[0].Started; !at.IsZero() {
		p.About = append(p.About, at.Format("2006-01-02"))
	}
	if len(m.names) == 1 {
		p.Title = clean(m.names[0]) + " compared with libnng"
	}
	var total Counts
	for i, name := range m.names {
		p.Columns = append(p.Columns, column{Name: clean(name), Bar: verdicts(m.totals[i])})
		total.add(m.totals[i])
	}
	for i, v := range conformance.Verdicts {
		if total[i] > 0 {
			p.Verdicts = append(p.Verdicts, newVerdict(v, total[i]))
			for j := range p.Columns {
				p.Columns[j].Counts = append(p.Columns[j].Counts, newVerdict(v, m.totals[j][i]))
			}
		}
	}
	for _, t := range m.topics {
		p.addTopic(t)
	}
	for _, r := range m.rows {
		p.Rows = append(p.Rows, newRow(r, p.Columns))
		if !slices.Contains(p.Levels, r.Level) {
			p.Levels = append(p.Levels, r.Level)
		}
	}
	levels := []conformance.Level{conformance.Must, conformance.Should, conformance.May, conformance.Check}
	slices.SortFunc(p.Levels, func(a, b conformance.Level) int {
		return slices.Index(levels, a) - slices.Index(levels, b)
	})
	// Bytes are what makes a page large, and how many there are depends on how much differs.
	for kept := maxBytes; ; kept /= 2 {
		p.Data = m.data(kept)
		b, err := json.Marshal(p.Data)
		if err != nil {
			return nil, err
		}
		if len(b) <= limit || kept < 64 {
			return p, nil
		}
	}
}

func newVerdict(v conformance.Verdict, n int) verdict {
	return verdict{string(v), Symbol(v), Label(v), v.Words(), n}
}

// verdicts are those that there are.
func verdicts(c Counts) (all []verdict) {
	for i, v := range conformance.Verdicts {
		if c[i] > 0 {
			all = append(all, newVerdict(v, c[i]))
		}
	}
	return all
}

func (p *page) addTopic(t Topic) {
	name := clean(t.Name)
	if n := len(p.Roles); n == 0 || p.Roles[n-1].Name != string(t.Role) {
		p.Roles = append(p.Roles, role{Name: clean(string(t.Role)), Title: cmp.Or(roleTitles[t.Role], clean(string(t.Role)))})
		p.RoleNames = append(p.RoleNames, t.Role)
	}
	last := &p.Roles[len(p.Roles)-1]
	one := pageTopic{Name: name}
	for _, c := range t.Counts {
		cell := pageCell{Bar: verdicts(c), All: c.All()}
		one.N = max(one.N, cell.All)
		for _, v := range cell.Bar {
			if v.Name != string(conformance.Same) || len(cell.Bar) == 1 {
				cell.Shown = append(cell.Shown, v)
			}
		}
		one.Cells = append(one.Cells, cell)
	}
	last.Topics = append(last.Topics, one)
	p.Topics = append(p.Topics, name)
}

func newRow(r *row, columns []column) pageRow {
	one := pageRow{ID: clean(r.ID), Title: clean(r.Title), Topic: clean(r.Topic), Role: r.Role, Level: r.Level}
	one.Short = strings.TrimPrefix(one.ID, one.Topic+"/")
	if r.Recorded != nil {
		v := conformance.Same
		if r.Recorded.Breaks != "" {
			v = conformance.SameBroken
		}
		one.Reference = newVerdict(v, 0)
		one.Outcome = clean(string(r.Recorded.All))
	}
	one.Link = fragment(one.ID)
	for i, f := range r.cells {
		var c rowCell
		if f != nil {
			c = rowCell{newVerdict(f.Verdict, 0), clean(f.Answer()), fragment(one.ID + "@" + columns[i].Name)}
		}
		one.Cells = append(one.Cells, c)
	}
	return one
}

// fragment is a link within the page. The escaping is url's, so a link can be read and copied.
func fragment(s string) template.URL {
	u := url.URL{Fragment: s}
	return template.URL(u.String()) //nolint:gosec // it begins with # and is escaped
}

// clean makes valid UTF-8, also of what another program wrote into a report.
func clean(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// data gathers what the script shows, with at most so many bytes of what crossed the wire at
// once.
func (m *matrix) data(limit int) *data {
	d := &data{Limit: limit, Cases: make(map[string]*dataCase), places: make(map[string]int), Words: make(map[string]dataVerdict)}
	d.text("") // so 0 is nothing
	for _, name := range m.names {
		d.Names = append(d.Names, clean(name))
	}
	for _, v := range conformance.Verdicts {
		d.Words[string(v)] = dataVerdict{Symbol(v), Label(v), v.Words()}
	}
	for _, r := range m.rows {
		c := &dataCase{Source: d.text(r.Source)}
		for _, id := range r.Defect {
			c.Defect = append(c.Defect, clean(id))
		}
		for _, a := range r.Allowed {
			c.Allowed = append(c.Allowed, d.text(a))
		}
		if r.Recorded != nil {
			c.Ref = &dataRef{Breaks: d.text(r.Recorded.Breaks), Received: d.text(cut(r.Recorded.Received, limit))}
			for _, x := range outcomes(r.Finding, func(o *conformance.Observed) string { return string(r.Recorded.Outcome(o.Delivery)) }) {
				c.Ref.Outcomes = append(c.Ref.Outcomes, dataOutcome{Deliveries: x.in(r.Finding), Text: d.text(x.text)})
			}
		}
		for _, f := range r.cells {
			if f != nil && c.Sent == 0 && len(f.Deliveries) > 0 {
				var sent []byte
				for _, e := range f.Deliveries[0].Trace {
					sent = append(sent, e.Sent...)
				}
				c.Sent = d.text(conformance.SteadyPart(sent, limit))
			}
			c.Cells = append(c.Cells, d.cell(f, limit))
		}
		d.Cases[clean(r.ID)] = c
	}
	return d
}

func (d *data) cell(f *conformance.Finding, limit int) *dataCell {
	if f == nil {
		return nil
	}
	c := &dataCell{Verdict: string(conformance.Verdicts[index(f.Verdict)])}
	for _, x := range outcomes(f, observed) {
		c.Outcomes = append(c.Outcomes, dataOutcome{x.in(f), d.text(x.text), d.text(x.first.Why)})
	}
	i := slices.IndexFunc(f.Deliveries, func(o conformance.Observed) bool { return o.Outcome != o.Reference && o.Trace != nil })
	if i < 0 && len(d.Names) == 1 {
		i = slices.IndexFunc(f.Deliveries, func(o conformance.Observed) bool { return o.Trace != nil })
	}
	if i >= 0 {
		o := &f.Deliveries[i]
		c.Delivery = string(o.Delivery)
		left := map[string]int{"sent": limit, "received": limit, "told": limit}
		add := func(kind string, b []byte, omitted int) {
			if len(b) == 0 {
				return
			}
			n := min(len(b), left[kind])
			left[kind] -= n
			c.Trace = append(c.Trace, dataEvent{kind, d.text(conformance.SteadyPart(b, n)), len(b) - n + omitted})
		}
		for _, e := range o.Trace {
			if len(c.Trace) >= maxEvents {
				c.Trace = append(c.Trace, dataEvent{Kind: "end", Text: d.text("and more")})
				break
			}
			add("sent", e.Sent, e.Omitted)
			add("received", e.Received, e.Omitted)
			if e.Told != "" {
				told := cut(clean(e.Told), left["told"])
				left["told"] -= utf8.RuneCountInString(told)
				c.Trace = append(c.Trace, dataEvent{"told", d.text(told), max(0, len(e.Told)-len(told)) + e.Omitted})
			}
			if e.End != "" {
				c.Trace = append(c.Trace, dataEvent{Kind: "end", Text: d.text(e.End)})
			}
		}
	}
	return c
}

// text returns the place of a text.
func (d *data) text(s string) int {
	s = clean(s)
	i, ok := d.places[s]
	if !ok {
		i = len(d.Texts)
		d.places[s] = i
		d.Texts = append(d.Texts, s)
	}
	return i
}

// cut keeps the first characters.
func cut(s string, limit int) string {
	if r := []rune(s); len(r) > limit {
		return string(r[:limit])
	}
	return s
}
