package nethttp_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var writePage = flag.Bool("write-page", false, "write the table of docs/nethttp.md again")

// The table of differences in docs/nethttp.md is that of TestDifferential.
func TestDifferencesPage(t *testing.T) {
	if nng.LinkInfo().Mode != "vendored" {
		t.Skip("the page is about the library as we build it")
	}
	const page, begin, end = "../docs/nethttp.md", "<!-- differences -->\n", "<!-- end -->"
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(text), begin)
	require.True(t, ok)
	_, after, ok := strings.Cut(rest, end)
	require.True(t, ok)
	want := before + begin + differencesTable() + end + after
	if *writePage {
		require.NoError(t, os.WriteFile(page, []byte(want), 0o644))
	}
	assert.Equal(t, want, string(text), "run: go test ./nethttp -run TestDifferencesPage -write-page")
}

// differencesTable has a line for each reason, with the requests that it explains.
func differencesTable() string {
	names := make(map[string][]string)
	var reasons []string
	for _, d := range differences {
		ours, same := d.ours, d.why == ""
		if d.patch != "" && !lib.Lacks(d.patch) {
			ours, same = d.patched, d.patched == ""
		}
		if same {
			continue
		}
		key := fmt.Sprintf("%s | %s | %s", d.why, short(ours), short(d.std))
		if names[key] == nil {
			reasons = append(reasons, key)
		}
		names[key] = append(names[key], d.name)
	}
	var b strings.Builder
	b.WriteString("| why | this package | net/http | requests |\n|---|---|---|---|\n")
	for _, key := range reasons {
		list := names[key]
		more := ""
		if n := len(list); n > 4 {
			list, more = list[:4], fmt.Sprintf(" and %d more", n-4)
		}
		fmt.Fprintf(&b, "| %s | %s%s |\n", key, strings.Join(list, "; "), more)
	}
	return b.String()
}

// short writes an outcome for people.
func short(outcome string) string {
	outcome = strings.TrimSuffix(outcome, " probe")
	outcome = strings.ReplaceAll(outcome, " closed", ", closed")
	return strings.ReplaceAll(outcome, "|", `\|`)
}
