package conformance

import (
	"testing"
)

// TestServer plays all cases against a server and compares with a recording, or with the rules
// alone if reference is empty. A difference that the rule of its case forbids and that known does
// not list fails the test, and so does a listed one that has gone.
func TestServer(t *testing.T, server Server, reference string, known Known) {
	t.Helper()
	test(t, Run{Server: &server, Subject: t.Name()}, reference, known)
}

// TestClient does the same with a client, whose Func is the one to test.
func TestClient(t *testing.T, client *Client, reference string, known Known) {
	t.Helper()
	test(t, Run{Client: client, Subject: t.Name()}, reference, known)
}

func test(t *testing.T, run Run, reference string, known Known) {
	t.Helper()
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
