package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/gonng/nnghttp/conformance"
)

type (
	suites struct {
		XMLName  xml.Name `xml:"testsuites"`
		Name     string   `xml:"name,attr"`
		Tests    int      `xml:"tests,attr"`
		Failures int      `xml:"failures,attr"`
		Errors   int      `xml:"errors,attr"`
		Time     string   `xml:"time,attr"`
		Suites   []*suite `xml:"testsuite"`
	}
	suite struct {
		Name      string     `xml:"name,attr"`
		Tests     int        `xml:"tests,attr"`
		Failures  int        `xml:"failures,attr"`
		Errors    int        `xml:"errors,attr"`
		Skipped   int        `xml:"skipped,attr"`
		Time      string     `xml:"time,attr"`
		Timestamp string     `xml:"timestamp,attr"`
		Cases     []testcase `xml:"testcase"`
		seconds   float64
	}
	testcase struct {
		Name    string   `xml:"name,attr"`
		Class   string   `xml:"classname,attr"`
		Time    string   `xml:"time,attr"`
		Failure *failure `xml:"failure"`
		Out     string   `xml:"system-out,omitempty"`
	}
	failure struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)

// JUnit writes a report as JUnit's XML: a suite for each topic, a test for each case. Those fail
// that wrong has something to say of, and each crash of the server is one more that fails.
func JUnit(w io.Writer, rep *conformance.Report, wrong func(*conformance.Finding) string) error {
	all := suites{Name: "nngconform: " + rep.Subject, Time: seconds(rep.Took)}
	byTopic := make(map[string]*suite)
	for i := range rep.Cases {
		f := &rep.Cases[i]
		s := byTopic[f.Topic]
		if s == nil {
			s = &suite{Name: f.Topic, Timestamp: rep.Started.Format("2006-01-02T15:04:05")}
			byTopic[f.Topic] = s
			all.Suites = append(all.Suites, s)
		}
		t := testcase{Name: f.ID, Class: f.Topic, Time: seconds(f.Seconds)}
		message := wrong(f)
		switch {
		case message != "":
			t.Failure = &failure{Message: firstLine(message), Type: string(f.Verdict), Text: Text(f)}
			s.Failures++
		case f.Verdict != conformance.Same:
			t.Out = Text(f)
		}
		s.Tests++
		s.seconds += f.Seconds
		s.Time = seconds(s.seconds)
		s.Cases = append(s.Cases, t)
	}
	if len(rep.Crashes) > 0 {
		s := &suite{Name: "crashes", Timestamp: rep.Started.Format("2006-01-02T15:04:05"), Time: seconds(0)}
		for i, how := range rep.Crashes {
			message := "the server has crashed: " + how
			s.Cases = append(s.Cases, testcase{Name: fmt.Sprintf("crash %d", i+1), Class: s.Name, Time: seconds(0),
				Failure: &failure{Message: message, Type: "crashed", Text: message}})
		}
		s.Tests, s.Failures = len(s.Cases), len(s.Cases)
		all.Suites = append(all.Suites, s)
	}
	for _, s := range all.Suites {
		all.Tests += s.Tests
		all.Failures += s.Failures
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", " ")
	if err := e.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func seconds(s float64) string { return strconv.FormatFloat(s, 'f', 3, 64) }

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// Text shows a finding in a few lines: an outcome once for all deliveries that have it.
func Text(f *conformance.Finding) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n  %s\n  %s, %s\n", f.ID, f.Title, f.Words(), f.Level, f.Source)
	for _, x := range outcomes(f, func(o *conformance.Observed) string { return observed(o) + "\x00" + string(o.Reference) }) {
		in := x.in(f)
		if in == "" {
			in = "outcome"
		}
		fmt.Fprintf(&b, "  %s: %s\n", in, observed(x.first))
		if x.first.Reference != "" && x.first.Reference != x.first.Outcome {
			fmt.Fprintf(&b, "    the reference: %s\n", x.first.Reference)
		}
		if x.first.Why != "" {
			fmt.Fprintf(&b, "    %s\n", x.first.Why)
		}
	}
	return b.String()
}
