package conformance_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gonng/nnghttp/conformance"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

var writeManual = flag.Bool("write-manual", false, "write docs/conformance-manual.md again")

// A manualPage is what manual.yaml says of a page.
type manualPage struct {
	Why string // it has no cases
}

// Each page of nng's manual that says what a peer can observe has a case, and the table of them
// is up to date.
func TestManual(t *testing.T) {
	text, err := os.ReadFile("manual.yaml")
	require.NoError(t, err)
	pages := make(map[string]manualPage)
	require.NoError(t, yaml.Unmarshal(text, &pages))
	covered := make(map[string][]string)
	for _, c := range cases(t) {
		for _, page := range c.Manual {
			assert.Contains(t, pages, page, "%s names a page that there is not", c.ID)
			covered[page] = append(covered[page], c.ID)
		}
	}
	var b strings.Builder
	b.WriteString("# The manual and the cases of the conformance kit\n\n" +
		"What section 3http of nng 1.5.2's manual says and a peer can observe, and the cases that try it\n" +
		"(`nngconform show ID`). Written by `go test ./conformance -run TestManual -write-manual`.\n\n" +
		"| page | cases |\n|---|---|\n")
	for _, page := range slices.Sorted(maps.Keys(pages)) {
		p, what := pages[page], strings.Join(covered[page], ", ")
		switch {
		case p.Why != "":
			assert.Empty(t, what, "%s has cases, so it needs no reason", page)
			what = "none: " + p.Why
		default:
			assert.NotEmpty(t, what, "%s has no case", page)
		}
		fmt.Fprintf(&b, "| %s | %s |\n", page, what)
	}
	const file = "../docs/conformance-manual.md"
	if *writeManual {
		require.NoError(t, os.WriteFile(file, []byte(b.String()), 0o666))
	}
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, b.String(), string(got), "run: go test ./conformance -run TestManual -write-manual")

	// Where the library was built the manual is there, too.
	adoc, _ := filepath.Glob("../build/src/nng-1.5.2-*/docs/man/*.3http.adoc")
	for _, f := range adoc {
		assert.Contains(t, pages, strings.TrimSuffix(filepath.Base(f), ".3http.adoc"))
	}
}

// Where a reference breaks a rule, the case names the row of docs/defects.md that says why.
func TestDefects(t *testing.T) {
	text, err := os.ReadFile("../docs/defects.md")
	require.NoError(t, err)
	rows := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^\| ([A-Z][A-Z0-9, to]*) \|`).FindAllStringSubmatch(string(text), -1) {
		for _, id := range defects(m[1]) {
			rows[id] = true
		}
	}
	require.True(t, rows["P4"] && rows["CL5"] && rows["S9"])
	var recordings []*conformance.Recording
	for _, name := range []string{"nng-1.5.2", "nng-1.5.2-patched"} {
		rec, err := conformance.LoadRecording(name)
		require.NoError(t, err)
		recordings = append(recordings, rec)
	}
	for _, c := range cases(t) {
		for _, id := range c.Defect {
			assert.True(t, rows[id], "%s: docs/defects.md has no %s", c.ID, id)
		}
		breaks := false
		for _, rec := range recordings {
			breaks = breaks || rec.Cases[c.ID] != nil && rec.Cases[c.ID].Breaks != ""
		}
		assert.Equal(t, breaks, len(c.Defect) > 0, "%s: a reference breaks the rule: %v; defects %v", c.ID, breaks, c.Defect)
	}
}

// defects expands what the first column of a row says, as "CL2, CL4 to CL7".
func defects(column string) (ids []string) {
	for _, part := range strings.Split(column, ", ") {
		first, last, ok := strings.Cut(part, " to ")
		if !ok {
			ids = append(ids, part)
			continue
		}
		letters := strings.TrimRight(first, "0123456789")
		var from, to int
		fmt.Sscan(strings.TrimPrefix(first, letters), &from)
		fmt.Sscan(strings.TrimPrefix(last, letters), &to)
		for ; from <= to; from++ {
			ids = append(ids, fmt.Sprint(letters, from))
		}
	}
	return ids
}
