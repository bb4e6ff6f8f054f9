package conformance

import (
	"testing"
)

// TestServer plays all cases against a server and compares with a recording, or with the rules
// alone if reference is empty. A difference that the rule of its case forbids and that known does
// not list fails the test, and so does a listed one that has gone.
func TestServer(t *testing.T, server Server, reference string, known Known) {
	t.Helper()
	run := Run{Server: &server, Subject: t.Name()}
	if reference != "" {
		var err error
		if run.Reference, err = LoadRecording(reference); err != nil {
			t.Fatal(err)
		}
	}
	rep, err := run.Do(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range Verdicts {
		if n := rep.Count(v); n > 0 {
			t.Logf("%5d %s", n, v.Words())
		}
	}
	for _, line := range known.News(rep) {
		t.Error(line)
	}
}
