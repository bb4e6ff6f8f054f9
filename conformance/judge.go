package conformance

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Verdict says how an outcome compares with the reference's, and with the rule of the case.
type Verdict string

// Verdicts, from the best to the worst. Those from Differs on are for somebody to look at.
const (
	// Same: as the reference.
	Same Verdict = "same"
	// Allowed: not as the reference, but as the rule allows.
	Allowed Verdict = "allowed"
	// SameBroken: as the reference, and the rule forbids it.
	SameBroken Verdict = "same-broken"
	// Forbidden: not as the reference, and the rule forbids it.
	Forbidden Verdict = "forbidden"
	// Silent: nothing came, twice. That may be the server or the machine.
	Silent Verdict = "silent"
	// NotPlayed: the case could not be played; the server does not listen, for one.
	NotPlayed Verdict = "not-played"
)

// Verdicts are all of them, from the best to the worst.
var Verdicts = []Verdict{Same, Allowed, SameBroken, Forbidden, Silent, NotPlayed}

// Words says what the verdict means.
func (v Verdict) Words() string {
	switch v {
	case Same:
		return "as the reference"
	case Allowed:
		return "differs, the RFC allows it"
	case SameBroken:
		return "as the reference, which breaks the RFC here"
	case Forbidden:
		return "differs, the RFC forbids it"
	case Silent:
		return "no answer in time, twice"
	}
	return "could not be played"
}

// allows reports whether the outcome is one of those that the rule of the case allows. A server
// may end a connection after any response that says so (RFC 9112, sections 9.3 and 9.6): where a
// follow-up is allowed, that is, too.
func (c *Case) allows(r *Result) bool {
	if slices.ContainsFunc(c.Allowed, r.Outcome.Matches) {
		return true
	}
	before, closed := strings.CutSuffix(string(r.Outcome), ", closed")
	return closed && r.Announced && slices.ContainsFunc(c.Allowed, Outcome(before+", follow-up").Matches)
}

// breaks says why the rule of the case does not allow a result, or "".
func (c *Case) breaks(r *Result) string {
	switch {
	case r.Outcome == Crashed:
		return r.Wrong
	case len(c.Allowed) > 0 && !c.allows(r):
		return "allowed: " + strings.Join(c.Allowed, "; or ")
	case r.Wrong != "":
		return r.Wrong
	}
	for _, part := range r.Outcome.parts() {
		switch {
		case strings.HasPrefix(part, "malformed("):
			return "what came is malformed"
		case part == string(Crashed):
			return "the client has crashed"
		case part == endless:
			return "it does not come to an end"
		}
	}
	return ""
}

// Judge compares a result with what the reference did, which may be nil: then the rule alone
// counts. The text says what the rule has against it.
func (c *Case) Judge(r *Result, reference *Recorded, d Delivery) (Verdict, string) {
	broken := c.breaks(r)
	same := reference != nil && reference.Outcome(d) == r.Outcome
	switch {
	case r.Outcome.timedOut() && !same:
		return Silent, broken
	case same && broken == "":
		return Same, ""
	case same:
		return SameBroken, broken
	case broken == "":
		return Allowed, ""
	}
	return Forbidden, broken
}

// worse returns the one that is further down the list.
func worse(a, b Verdict) Verdict {
	if slices.Index(Verdicts, a) > slices.Index(Verdicts, b) {
		return a
	}
	return b
}

// A Report is what came of a run.
type Report struct {
	Started time.Time `json:"started"`

	Subject   string    `json:"subject"`   // what was tested
	Reference string    `json:"reference"` // the name of the recording
	Set       string    `json:"set"`       // SetVersion
	Cases     []Finding `json:"cases"`
	// LeftOut says how many cases could not be played, and why.
	LeftOut map[string]int `json:"leftOut,omitempty"`
	// Crashes says how the server has ended, each time; then it was started again. There may be
	// more of them than cases with this outcome: not each crash comes with the bytes that are
	// its cause.
	Crashes []string `json:"crashes,omitempty"`
	Took    float64  `json:"seconds"`
}

// Count returns how many cases have a verdict.
func (r *Report) Count(v Verdict) (n int) {
	for i := range r.Cases {
		if r.Cases[i].Verdict == v {
			n++
		}
	}
	return n
}

// A Finding is what came of a case. Its verdict is the worst of its deliveries.
type Finding struct {
	// Topic and Role are where the case belongs, Allowed what its rule allows.
	Topic   string   `json:"topic"`
	Role    Role     `json:"role"`
	Allowed []string `json:"allowed,omitempty"`
	// Recorded is what the reference did, nil if there is none.
	Recorded *Recorded `json:"recorded,omitempty"`
	Seconds  float64   `json:"seconds"`

	ID         string     `json:"id"`
	Title      string     `json:"title"`
	Level      Level      `json:"level"`
	Source     string     `json:"source"`
	Verdict    Verdict    `json:"verdict"`
	Deliveries []Observed `json:"deliveries"`
	// Defect is the case's: why the reference breaks the rule.
	Defect []string `json:"defect,omitempty"`
}

// Words says what the verdict means, and which defects of libnng are the reason.
func (f *Finding) Words() string {
	if f.Verdict == SameBroken && len(f.Defect) > 0 {
		return f.Verdict.Words() + " (" + strings.Join(f.Defect, ", ") + ")"
	}
	return f.Verdict.Words()
}

// Observed is what came of a case in one delivery.
type Observed struct {
	Delivery  Delivery `json:"delivery"`
	Outcome   Outcome  `json:"outcome"`
	Reference Outcome  `json:"reference,omitempty"`
	Verdict   Verdict  `json:"verdict"`
	Why       string   `json:"why,omitempty"` // the rule does not allow it
	Error     string   `json:"error,omitempty"`
	Trace     []Event  `json:"trace,omitempty"`
}

// Answer is what the known differences have of a finding: the outcome that all deliveries
// have, or each with its own.
func (f *Finding) Answer() string {
	var parts []string
	for _, o := range f.Deliveries {
		text := string(o.Outcome)
		if o.Error != "" {
			text = "error"
		}
		if len(parts) == 0 || text != string(f.Deliveries[0].Outcome) {
			parts = append(parts, fmt.Sprintf("%s: %s", o.Delivery, text))
		}
	}
	if len(parts) == 1 {
		_, text, _ := strings.Cut(parts[0], ": ")
		return text
	}
	return strings.Join(parts, " | ")
}
