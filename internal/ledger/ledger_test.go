// Package ledger keeps docs/defects.md, the patches, the mends and their tests together.
package ledger

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The last two columns of the page are made from the headers of the diffs:
//
//	go test ./internal/ledger -update
var update = flag.Bool("update", false, "write the columns of docs/defects.md that come from the diffs")

const (
	root    = "../.."
	page    = root + "/docs/defects.md"
	patches = root + "/third_party/nng/patches/1.5.2"
)

// A row is one line of the page's tables.
type row struct {
	ids                       []string
	section, what, class, met string
	byPatches, byMends        string
	line                      int
}

var (
	idExp   = regexp.MustCompile(`\b(?:S|P|CL|X|W|T|L|N)[1-9][0-9]*\b`)
	rangeID = regexp.MustCompile(`\b(S|P|CL|X|W|T|L|N)([1-9][0-9]*) to [A-Z]+([1-9][0-9]*)\b`)
)

// idsIn lists the numbers in a text; "CL4 to CL7" are four.
func idsIn(text string) []string {
	text = rangeID.ReplaceAllStringFunc(text, func(s string) string {
		m := rangeID.FindStringSubmatch(s)
		var from, to int
		_, _ = fmt.Sscan(m[2]+" "+m[3], &from, &to)
		var all []string
		for i := from; i <= to; i++ {
			all = append(all, fmt.Sprint(m[1], i))
		}
		return strings.Join(all, " ")
	})
	return idExp.FindAllString(text, -1)
}

func readRows(t *testing.T) (rows []row, lines []string) {
	b, err := os.ReadFile(page)
	require.NoError(t, err)
	lines = strings.Split(string(b), "\n")
	section := ""
	for i, line := range lines {
		if s, ok := strings.CutPrefix(line, "## "); ok {
			section = s
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if !strings.HasPrefix(line, "| ") || len(idsIn(cells[0])) == 0 {
			continue
		}
		require.Len(t, cells, 6, "line %d", i+1)
		for j := range cells {
			cells[j] = strings.TrimSpace(cells[j])
		}
		rows = append(rows, row{idsIn(cells[0]), section, cells[1], cells[2], cells[3], cells[4], cells[5], i})
	}
	require.Greater(t, len(rows), 80)
	return rows, lines
}

// A diff is a patch of libnng, or one that takes out a mend of the binding.
type diff struct {
	file, name string
	ids        []string
	library    string
	tests      []string // as "go TestName" of a patch, "nng TestName" of a mend
}

func readDiffs(t *testing.T, folders ...string) (all []diff) {
	for _, folder := range folders {
		files, err := filepath.Glob(filepath.Join(folder, "*.patch"))
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, file := range files {
			d := diff{file: file, name: strings.TrimSuffix(filepath.Base(file), ".patch")}
			f, err := os.Open(file)
			require.NoError(t, err)
			defer f.Close()
			for lines := bufio.NewScanner(f); lines.Scan() && !strings.HasPrefix(lines.Text(), "--- "); {
				switch key, value, _ := strings.Cut(lines.Text(), ": "); key {
				case "Defect":
					value, _, _ = strings.Cut(value, " (found")
					d.ids = idsIn(value)
				case "Test":
					d.tests = append(d.tests, value)
				case "Library":
					d.library = value
				}
			}
			assert.NotEmpty(t, d.ids, file)
			assert.NotEmpty(t, d.tests, file)
			all = append(all, d)
		}
	}
	return all
}

func allPatches(t *testing.T) []diff { return readDiffs(t, patches, patches+"/loop") }

func allMends(t *testing.T) []diff { return readDiffs(t, "mends") }

// of are the diffs for a row.
func (r row) of(diffs []diff) []diff {
	return slices.DeleteFunc(slices.Clone(diffs), func(d diff) bool {
		return !slices.ContainsFunc(d.ids, func(id string) bool { return slices.Contains(r.ids, id) })
	})
}

// testsOf are the tests of a patch for a row. Where the patch is for several defects, C tests
// that begin with the number of another one are left out, if there are others.
func (d diff) testsOf(r row) []string {
	tests := slices.DeleteFunc(slices.Clone(d.tests), func(test string) bool {
		return slices.ContainsFunc(d.ids, func(id string) bool {
			return strings.HasPrefix(test, "c "+strings.ToLower(id)+"_") && !slices.Contains(r.ids, id)
		})
	})
	if len(tests) == 0 {
		return d.tests
	}
	return tests
}

// cells are the two columns that come from the diffs.
func (r row) cells(patches, mends []diff) (byPatches, byMends string) {
	var tests []string
	add := func(test string) {
		if !slices.Contains(tests, test) {
			tests = append(tests, test)
		}
	}
	for _, d := range r.of(patches) {
		for _, test := range d.testsOf(r) {
			_, name, _ := strings.Cut(test, " ")
			add("`" + name + "`")
		}
	}
	byPatches, tests = strings.Join(tests, ", "), nil
	for _, d := range r.of(mends) {
		for _, test := range d.tests {
			_, name, _ := strings.Cut(test, " ")
			name = "`" + name + "`"
			if d.library != "" {
				name += " (" + d.library + ")"
			}
			add(name)
		}
	}
	return byPatches, strings.Join(tests, ", ")
}

func TestColumns(t *testing.T) {
	rows, lines := readRows(t)
	patches, mends := allPatches(t), allMends(t)
	for _, r := range rows {
		byPatches, byMends := r.cells(patches, mends)
		if *update {
			cells := strings.Split(lines[r.line], "|")
			lines[r.line] = strings.Join(cells[:5], "|") + "| " + byPatches + " | " + byMends + " |"
			lines[r.line] = strings.ReplaceAll(lines[r.line], "|  |", "| |")
			continue
		}
		assert.Equal(t, byPatches, r.byPatches, "%s: run go test ./internal/ledger -update", r.ids)
		assert.Equal(t, byMends, r.byMends, "%s: run go test ./internal/ledger -update", r.ids)
	}
	if *update {
		require.NoError(t, os.WriteFile(page, []byte(strings.Join(lines, "\n")), 0o644))
	}
}

// Each defect has one row, and each row is met as it says: by patches, which check-patches
// takes out, or by the binding, where check-mends takes something out.
func TestRows(t *testing.T) {
	rows, _ := readRows(t)
	patches, mends := allPatches(t), allMends(t)
	seen := make(map[string]bool)
	classes := []string{"memory", "injection", "hang", "load", "wrong", "speed"}
	for _, r := range rows {
		for _, id := range r.ids {
			assert.False(t, seen[id], "%s has two rows", id)
			seen[id] = true
		}
		assert.Subset(t, classes, strings.Split(r.class, ", "), "%s", r.ids)
		assert.Equal(t, regexp.MustCompile(`\bpatch\b`).MatchString(r.met), len(r.of(patches)) > 0, "%s: a patch?", r.ids)
		byGo := regexp.MustCompile(`\bGo\b|\bnethttp\b`).MatchString(r.met)
		assert.Equal(t, byGo, len(r.of(mends)) > 0, "%s: a mend of the binding?", r.ids)
		if strings.Contains(r.met, "stays") {
			assert.NotRegexp(t, "memory|injection", r.class, "%s must not stay", r.ids)
		} else {
			assert.True(t, r.byPatches != "" || r.byMends != "", "%s has no test", r.ids)
		}
	}
	for _, d := range append(patches, mends...) {
		for _, id := range d.ids {
			assert.True(t, seen[id], "%s names %s, which has no row", d.file, id)
		}
		assert.Contains(t, d.name, strings.ToLower(d.ids[0])+"-", "the name of %s", d.file)
	}
	for _, s := range skips(t) {
		for _, id := range strings.Fields(s.defect) {
			assert.True(t, seen[id], "%s is skipped for %s, which has no row", s.test, id)
		}
	}
}

// What mends is told from what makes faster: the folder loop, and a section of the page.
func TestLoopIsApart(t *testing.T) {
	speed := func(ids []string) bool { return strings.HasPrefix(ids[0], "N") }
	rows, _ := readRows(t)
	for _, r := range rows {
		assert.Equal(t, speed(r.ids), r.section == "The loop, and speed", "%s", r.ids)
		assert.Equal(t, speed(r.ids), r.class == "speed", "%s", r.ids)
	}
	for _, d := range readDiffs(t, patches+"/loop") {
		assert.True(t, speed(d.ids), d.file)
	}
}

// The diffs that take a mend out apply, which otherwise only make check-mends would tell.
func TestMendsApply(t *testing.T) {
	for _, d := range allMends(t) {
		patch, err := os.Open(d.file)
		require.NoError(t, err)
		cmd := exec.Command("patch", "--dry-run", "-p1", "--force", "--fuzz=0")
		cmd.Dir, cmd.Stdin = root, patch
		out, err := cmd.CombinedOutput()
		require.NoError(t, patch.Close())
		assert.NoError(t, err, "%s: %s", d.name, out)
	}
}

type skip struct{ test, defect string }

// skips are the tests that are left out on a library without our patches.
func skips(t *testing.T) (all []skip) {
	for _, file := range []string{"nng", "nethttp"} {
		b, err := os.ReadFile(filepath.Join(root, file, "unpatched_test.go"))
		require.NoError(t, err)
		found := regexp.MustCompile("Test: [\"`]([^\"`]+)[\"`], Defect: \"([^\"]+)\"").FindAllStringSubmatch(string(b), -1)
		require.NotEmpty(t, found)
		for _, m := range found {
			all = append(all, skip{m[1], m[2]})
		}
	}
	return all
}

// What the binding does is shown on every library: its tests are on no list of those that
// are left out, and do not skip themselves where there is no patch.
func TestMendsAreTestedEverywhere(t *testing.T) {
	left, functions, patches := skips(t), testFunctions(t), allPatches(t)
	for _, d := range allMends(t) {
		for _, test := range d.tests {
			_, name, _ := strings.Cut(test, " ")
			first, _, _ := strings.Cut(name, "/")
			for _, s := range left {
				assert.NotEqual(t, name, s.test, "%s is left out for %s", name, s.defect)
				assert.NotEqual(t, first, s.test, "%s is left out for %s", name, s.defect)
			}
			if len(row{ids: d.ids}.of(patches)) == 0 {
				assert.NotRegexp(t, `skipWithDefect\(|needLimits\(`, functions[strings.Fields(test)[0]+" "+first], name)
			}
		}
	}
}

// testFunctions are the tests of ./nng and ./nethttp, with their text.
func testFunctions(t *testing.T) map[string]string {
	functions := make(map[string]string)
	for _, folder := range []string{"nng", "nethttp"} {
		files, err := filepath.Glob(filepath.Join(root, folder, "*_test.go"))
		require.NoError(t, err)
		for _, file := range files {
			b, err := os.ReadFile(file)
			require.NoError(t, err)
			for _, m := range regexp.MustCompile(`(?ms)^func (Test\w+)\(t .*?^}$`).FindAllStringSubmatch(string(b), -1) {
				functions[folder+" "+m[1]] = m[0]
			}
		}
	}
	require.NotEmpty(t, functions)
	return functions
}

// The tests that the diffs name are there.
func TestTestsExist(t *testing.T) {
	functions := testFunctions(t)
	named := make(map[string]bool)
	for _, d := range append(allPatches(t), allMends(t)...) {
		for _, test := range d.tests {
			kind, name, _ := strings.Cut(test, " ")
			if kind == "c" {
				assert.FileExists(t, filepath.Join(root, "internal/patchtests", name+".c"), d.file)
				named[name+".c"] = true
				continue
			}
			first, _, _ := strings.Cut(name, "/")
			if kind == "go" || kind == "go-asan" {
				kind = "nng"
			}
			assert.Contains(t, functions, kind+" "+first, d.file)
		}
	}
	files, err := filepath.Glob(filepath.Join(root, "internal/patchtests/*.c"))
	require.NoError(t, err)
	for _, file := range files {
		assert.True(t, named[filepath.Base(file)], "%s is named by no patch", file)
	}
}
