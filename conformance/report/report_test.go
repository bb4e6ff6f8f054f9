package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/gonng/nnghttp/conformance"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"
)

// finding makes a finding with one outcome, that of the reference, and what crossed the wire.
func finding(id string, v conformance.Verdict, outcome, reference conformance.Outcome) conformance.Finding {
	topic, _, _ := strings.Cut(id, "/")
	f := conformance.Finding{
		ID: id, Title: "the title of " + id, Level: conformance.Must, Source: "RFC 9112, 7.1", Verdict: v,
		Topic: topic, Role: conformance.ServerRole, Allowed: []string{"400, closed"}, Seconds: 0.25,
		Recorded: &conformance.Recorded{All: reference, Received: "HTTP/1.1 400 Bad Request\r\n\r\n"},
	}
	for _, d := range []conformance.Delivery{conformance.One, conformance.Split} {
		o := conformance.Observed{Delivery: d, Outcome: outcome, Reference: reference, Verdict: v, Trace: []conformance.Event{
			{Sent: []byte("GET / HTTP/1.1\r\nHost: 127.0.0.1:4711\r\n\r\n")},
			{Received: []byte("HTTP/1.1 200 OK\r\nDate: today\r\n\r\n\xe9")},
			{Told: "it was 200"},
			{End: "closed"},
		}}
		if v == conformance.Forbidden || v == conformance.SameBroken {
			o.Why = "allowed: 400, closed"
		}
		if v == conformance.NotPlayed {
			o.Outcome, o.Error, o.Trace = "", "connection refused", nil
		}
		f.Deliveries = append(f.Deliveries, o)
	}
	return f
}

func report(subject string, findings ...conformance.Finding) *conformance.Report {
	return &conformance.Report{Subject: subject, Reference: "nng-1", Set: "0.1.0", Cases: findings, Took: 1,
		Started: time.Date(2026, 11, 28, 1, 2, 3, 0, time.UTC)}
}

func two() []*conformance.Report {
	return []*conformance.Report{
		report("A", finding("chunks/one", conformance.Same, "400, closed", "400, closed"),
			finding("chunks/two", conformance.Forbidden, "200, follow-up", "400, closed"),
			finding("hosts/three", conformance.NotPlayed, "", "400, closed")),
		report("B", finding("chunks/one", conformance.Allowed, "400, closed", "404, closed"),
			finding("chunks/two", conformance.SameBroken, "400, closed", "400, closed")),
	}
}

// A parsedPage is what a browser has of a page.
type parsedPage struct {
	text    string
	scripts []string
	ids     map[string]*html.Node
	all     []*html.Node
}

func parse(t *testing.T, page []byte) *parsedPage {
	t.Helper()
	root, err := html.Parse(bytes.NewReader(page))
	require.NoError(t, err)
	p := &parsedPage{ids: make(map[string]*html.Node)}
	for n := range root.Descendants() {
		switch {
		case n.Type == html.ElementNode:
			p.all = append(p.all, n)
			for _, a := range n.Attr {
				if a.Key == "id" {
					p.ids[a.Val] = n
				}
			}
			if n.Data == "script" {
				require.NotNil(t, n.FirstChild)
				p.scripts = append(p.scripts, n.FirstChild.Data)
			}
		case n.Type == html.TextNode && n.Parent.Data != "script" && n.Parent.Data != "style":
			p.text += n.Data
		}
	}
	return p
}

// alone checks that a page needs nothing else, and runs no script but its own.
func (p *parsedPage) alone(t *testing.T) {
	t.Helper()
	require.Len(t, p.scripts, 2)
	assert.Equal(t, strings.TrimSpace(pageJS)[:40], strings.TrimSpace(p.scripts[1])[:40])
	for _, n := range p.all {
		assert.NotContains(t, []string{"img", "link", "iframe", "object", "base"}, n.Data)
		for _, a := range n.Attr {
			assert.False(t, strings.HasPrefix(a.Key, "on"), "%s of %s", a.Key, n.Data)
			switch a.Key {
			case "src", "action", "srcset":
				t.Errorf("%s has %s=%q", n.Data, a.Key, a.Val)
			case "href":
				assert.True(t, strings.HasPrefix(a.Val, "#"), "%s", a.Val)
			case "style":
				assert.Regexp(t, `^(flex:\d+|--columns: \d+)$`, a.Val)
			}
		}
	}
}

func TestHTML(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, HTML(&b, two()...))
	p := parse(t, b.Bytes())
	p.alone(t)
	assert.Contains(t, p.text, "3 cases in 2 topics, 2 implementations")
	assert.Contains(t, p.text, "the title of chunks/two")
	require.Contains(t, p.ids, "chunks/two")
	var d data
	require.NoError(t, json.Unmarshal([]byte(p.scripts[0]), &d))
	c := d.Cases["chunks/two"]
	require.NotNil(t, c)
	assert.Equal(t, "RFC 9112, 7.1", d.Texts[c.Source])
	assert.Equal(t, "HTTP/1.1 400 Bad Request\r\n\r\n", d.Texts[c.Ref.Received])
	// The first one has its bytes, without what is another each time, and the second one none:
	// it is as the reference.
	require.Len(t, c.Cells, 2)
	assert.Equal(t, "forbidden", c.Cells[0].Verdict)
	var trace []string
	for _, e := range c.Cells[0].Trace {
		trace = append(trace, e.Kind+" "+d.Texts[e.Text])
	}
	assert.Equal(t, []string{
		"sent GET / HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\n\r\n",
		"received HTTP/1.1 200 OK\r\nDate: ...\r\n\r\n\u00e9",
		"told it was 200",
		"end closed",
	}, trace)
	assert.Empty(t, c.Cells[1].Trace)
	assert.Equal(t, "GET / HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\n\r\n", d.Texts[c.Sent])
	assert.Nil(t, d.Cases["hosts/three"].Cells[1], "B has not played it")
	assert.Equal(t, "error: connection refused", d.Texts[d.Cases["hosts/three"].Cells[0].Outcomes[0].Text])

	// A page has one reference, and names that differ.
	other := report("C", finding("chunks/one", conformance.Same, "200", "200"))
	other.Reference = ""
	assert.ErrorContains(t, HTML(&b, two()[0], other), "the rules alone")
	assert.ErrorContains(t, HTML(&b, two()[0], two()[0]), `two reports are called "A"`)
	assert.Error(t, HTML(&b))
}

// What a server sends, and what a report of somebody else says, stays a text.
const hostile = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'`{{.}}${1}\u2028\u2029]]>--><!--\x00\x1b\xff&amp;|\r\n# x"

func hostileReport() *conformance.Report {
	f := finding("chunks/one", conformance.Forbidden, conformance.Outcome(hostile), "400, closed")
	f.Title, f.Source, f.Topic, f.Role, f.Level = hostile, hostile, hostile, hostile, hostile
	f.ID = `x" onclick="alert(1)` + hostile
	f.Allowed = []string{hostile}
	f.Recorded.Breaks, f.Recorded.Received, f.Recorded.All = hostile, hostile, hostile
	for i := range f.Deliveries {
		o := &f.Deliveries[i]
		o.Delivery, o.Why = hostile, hostile
		o.Trace = []conformance.Event{{Sent: []byte(hostile)}, {Received: []byte(hostile)}, {End: hostile}}
	}
	g := finding("chunks/two", conformance.NotPlayed, "", "")
	g.Verdict = hostile
	g.Deliveries[0].Error = hostile
	r := report("javascript:alert(1)"+hostile, f, g)
	r.Set = hostile
	return r
}

func TestHostileHTML(t *testing.T) {
	other := report("B", finding("chunks/two", conformance.Same, "200", "200"))
	for _, reports := range [][]*conformance.Report{{hostileReport()}, {hostileReport(), other}} {
		var b bytes.Buffer
		require.NoError(t, HTML(&b, reports...))
		p := parse(t, b.Bytes())
		p.alone(t)
		assert.Contains(t, p.text, "<script>alert(1)</script>")
		var d data
		require.NoError(t, json.Unmarshal([]byte(p.scripts[0]), &d))
		assert.Contains(t, strings.Join(d.Texts, ""), "<script>alert(1)</script>")
		assert.NotContains(t, p.scripts[0], "\u2028")
		assert.NotContains(t, p.scripts[0], "<")
	}
}

// A page of many implementations has a size that a browser likes, however much differs.
func TestSize(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var reports []*conformance.Report
	for i := range 12 {
		var all []conformance.Finding
		for j := range 650 {
			f := finding(fmt.Sprintf("topic-%d/case-%d", j/40, j), conformance.Forbidden, "200, closed", "400, closed")
			noise := make([]byte, 3000)
			for k := range noise {
				noise[k] = byte(' ' + random.IntN(95))
			}
			f.Deliveries[0].Trace[1].Received = noise
			all = append(all, f)
		}
		reports = append(reports, report(fmt.Sprint("implementation ", i), all...))
	}
	var b bytes.Buffer
	start := time.Now()
	require.NoError(t, HTML(&b, reports...))
	assert.Less(t, b.Len(), 5_000_000)
	t.Logf("%.1f MB in %v", float64(b.Len())/1e6, time.Since(start))
}

func TestJUnit(t *testing.T) {
	known := conformance.Known{"chunks/known": "200, follow-up"}
	rep := report("A", finding("chunks/one", conformance.Same, "400, closed", "400, closed"),
		finding("chunks/two", conformance.Forbidden, "200, follow-up", "400, closed"),
		finding("chunks/known", conformance.Forbidden, "200, follow-up", "400, closed"),
		finding("hosts/three", conformance.NotPlayed, "", "400, closed"))
	rep.Crashes = []string{"signal: aborted"}
	var b bytes.Buffer
	require.NoError(t, JUnit(&b, rep, known.Check))
	assert.True(t, strings.HasPrefix(b.String(), `<?xml version="1.0" encoding="UTF-8"?>`))
	var s suites
	require.NoError(t, xml.Unmarshal(b.Bytes(), &s))
	assert.Equal(t, 5, s.Tests)
	assert.Equal(t, 3, s.Failures)
	require.Len(t, s.Suites, 3)
	chunks, hosts := s.Suites[0], s.Suites[1]
	assert.Equal(t, "chunks", chunks.Name)
	assert.Equal(t, [4]int{3, 1, 0, 0}, [4]int{chunks.Tests, chunks.Failures, chunks.Errors, chunks.Skipped})
	assert.Equal(t, [4]int{1, 1, 0, 0}, [4]int{hosts.Tests, hosts.Failures, hosts.Errors, hosts.Skipped})
	assert.Equal(t, "0.750", chunks.Time)
	assert.Nil(t, chunks.Cases[0].Failure)
	f := chunks.Cases[1].Failure
	require.NotNil(t, f)
	assert.Equal(t, "forbidden", f.Type)
	assert.Equal(t, "differs, the RFC forbids it: 200, follow-up", f.Message)
	for _, s := range []string{"200, follow-up", "the reference: 400, closed", "allowed: 400, closed", "RFC 9112"} {
		assert.Contains(t, f.Text, s)
	}
	assert.Nil(t, chunks.Cases[2].Failure, "it is known")
	assert.Contains(t, chunks.Cases[2].Out, "differs, the RFC forbids it")
	require.NotNil(t, hosts.Cases[0].Failure, "what was not played is not well")
	assert.Contains(t, hosts.Cases[0].Failure.Text, "connection refused")
	assert.Equal(t, "the server has crashed: signal: aborted", s.Suites[2].Cases[0].Failure.Message)

	b.Reset()
	require.NoError(t, JUnit(&b, hostileReport(), conformance.Known(nil).Check))
	s = suites{}
	require.NoError(t, xml.Unmarshal(b.Bytes(), &s))
	assert.Equal(t, 2, s.Failures, "a verdict that nobody knows is not fine")
	assert.Contains(t, s.Suites[0].Cases[0].Failure.Text, "</script><script>alert(1)")
	for _, c := range b.String() {
		assert.True(t, c >= ' ' || c == '\n' || c == '\t', "%q is no character of XML", c)
	}
}

func TestMarkdown(t *testing.T) {
	var b bytes.Buffer
	reports := two()
	reports[0].Cases[1].Recorded.Breaks, reports[0].Cases[1].Defect = "allowed: 200", []string{"CL1"}
	require.NoError(t, Markdown(&b, reports, "conformance.png"))
	text := b.String()
	for _, s := range []string{
		"# Conformance with libnng\n", "![The implementations, and how many cases are as the reference, allowed, forbidden](conformance.png)",
		"3 cases, version 0.1.0 of the set, compared with `nng-1`.", "### Servers\n\n| topic | A | B |\n|---|---|---|\n",
		"| chunks | ✓\u00a01 ✕\u00a01 | ≈\u00a01 ▲\u00a01 |\n", "| hosts | ○\u00a01 |  |\n",
		"## Where the reference breaks the RFC", "| chunks | `400, closed` | RFC 9112, 7.1 ([CL1](defects.md)): allowed: 200 | `two` |\n",
		"## A\n\nAgainst the RFC in another way than the reference:", "| `chunks/two` | ✕ | `200, follow-up` | `400, closed` |\n",
		"## B\n\n1 case differs from the reference as the RFC allows. Nothing is against the RFC",
	} {
		assert.Contains(t, text, s)
	}
	b.Reset()
	require.NoError(t, Markdown(&b, reports, "conformance.png"))
	assert.Equal(t, text, b.String())

	// Nothing of a report is HTML or ends its table.
	b.Reset()
	require.NoError(t, Markdown(&b, []*conformance.Report{hostileReport()}, ""))
	assert.NotContains(t, strings.ReplaceAll(b.String(), intro, ""), "\n# x")
}

func TestLines(t *testing.T) {
	assert.Equal(t, []string{`GET / HTTP/1.1\r\n`, `\r\n`, `a\tb\\\x00\xe9`}, Lines([]byte("GET / HTTP/1.1\r\n\r\na\tb\\\x00\xe9"), 100))
	assert.Equal(t, []string{"aaaa", "... and 6 bytes more"}, Lines([]byte("aaaaaaaaaa"), 4))
	assert.Empty(t, Lines(nil, 4))
}

// What a client says is cut like the bytes.
func TestHTMLCutsWhatIsTold(t *testing.T) {
	f := finding("chunks/one", conformance.Forbidden, "200, follow-up", "400, closed")
	long := strings.Repeat("\u00e9", 60000)
	f.Deliveries[0].Trace = []conformance.Event{{Told: long, Omitted: 7}, {Told: long}}
	m := gather([]*conformance.Report{report("A", f)})
	d := m.data(1000)
	trace := d.Cases["chunks/one"].Cells[0].Trace
	require.Len(t, trace, 2)
	assert.Equal(t, strings.Repeat("\u00e9", 1000), d.Texts[trace[0].Text])
	assert.Equal(t, 2*59000+7, trace[0].Left)
	assert.Empty(t, d.Texts[trace[1].Text])
	assert.Equal(t, 2*60000, trace[1].Left)
}
