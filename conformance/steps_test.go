package conformance

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// What is wrong with the steps of a case is said when it is loaded.
func TestStepsAreChecked(t *testing.T) {
	plain, secure := &Topic{Name: "a"}, &Topic{Name: "a", TLS: true}
	for text, x := range map[string]struct {
		topic *Topic
		steps []Step
		tls   *Handshake
	}{
		"each step has one field":    {topic: plain, steps: []Step{{}}},
		"has one field":              {topic: plain, steps: []Step{{Send: "a", Await: 200}}},
		"nothing that a step does":   {topic: plain, steps: []Step{{Do: "wait"}}},
		"comes before its turn":      {topic: plain, steps: []Step{{On: 3}}},
		"a pause of":                 {topic: plain, steps: []Step{{Pause: 1e9}}},
		"a record is for a topic":    {topic: plain, steps: []Step{{Record: &Record{Type: 23}}}},
		"how TLS is set up":          {topic: plain, tls: &Handshake{}},
		"is no cipher suite":         {topic: secure, tls: &Handshake{Ciphers: []string{"x"}}},
		"are no versions":            {topic: secure, tls: &Handshake{Versions: []string{"1.2", "1.4"}}},
		"is no ClientHello":          {topic: secure, steps: []Step{{Send: "${hello:1}"}}},
		"has no number of bytes":     {topic: secure, steps: []Step{{Send: "${hello<x}"}}},
		"hello has":                  {topic: secure, steps: []Step{{Send: "${hello<5000}"}}},
		"a character above U+00FF; ": {topic: plain, steps: []Step{{AwaitData: "ž"}}},
	} {
		c := &Case{Then: x.steps, TLS: x.tls, topic: x.topic}
		assert.ErrorContains(t, c.checkSteps(), text)
	}
	assert.NoError(t, (&Case{topic: plain, Then: []Step{{On: 2}, {On: 3}, {Do: "reset"}, {On: 1}}}).checkSteps())
}

func TestPatternsOfConnections(t *testing.T) {
	for _, x := range []struct {
		outcome Outcome
		pattern string
		matches bool
	}{
		{"200, closed, again, refused, gone", "200, closed, again, refused, gone", true},
		{"200, closed, again, 200, gone", "200, closed, again, refused, gone", false},
		{"tls(1.2, http/1.1), 200, close-notify", "tls, 200, *", true},
		{"tls(1.2), 200, close-notify", "tls(1.3), 200, *", false},
		{"refused(70)", "refused", true},
		{"refused(40)", "refused(70)", false},
		{"200 cut, closed", "200 cut, closed", true},
		{"200 cut, closed", "200, closed", false},
		{"200, closed", "200 cut, closed", false},
		{`101, data("ababc"), closed`, expandData("101, data(${ab*2}c), closed"), true},
	} {
		assert.NoError(t, checkPattern(x.pattern))
		assert.Equal(t, x.matches, x.outcome.Matches(x.pattern), "%s, %s", x.outcome, x.pattern)
	}
}

func TestFragments(t *testing.T) {
	hello, err := helloBytes("hello")
	assert.NoError(t, err)
	cut := fragment(hello, 16)
	assert.Equal(t, []byte{22, 3, 1, 0, 16}, cut[:5])
	parts, ok := recordParts([]byte{21, 3, 3, 0, 2, 2, 40})
	assert.True(t, ok)
	assert.Equal(t, []string{"alert(40)"}, parts)
	_, ok = recordParts([]byte("HTTP/1.1 200 OK\r\n\r\n"))
	assert.False(t, ok)
}
