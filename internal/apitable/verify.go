package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// verify runs each test of the table alone, with coverage, and sees whether it gets
// to a place in package nng that calls the C function, itself or through the shim.
// The table follows calls in the source; this shows that they happen.
func (t table) verify(root string) error {
	sites, err := callSites(filepath.Join(root, "nng"))
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "apitable")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	binary := filepath.Join(tmp, "nng.test")
	build := exec.Command("go", "test", "-c", "-cover", "-o", binary, ".")
	build.Dir = filepath.Join(root, "nng")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go test -c ./nng: %w\n%s", err, out)
	}
	byTest := make(map[string][]string)
	for _, s := range t {
		for _, r := range s.rows {
			byTest[r.test] = append(byTest[r.test], r.c)
		}
	}
	var errs []error
	for name, functions := range byTest {
		profile := filepath.Join(tmp, "profile")
		run := exec.Command(binary, "-test.run", "^"+name+"$", "-test.coverprofile", profile)
		run.Dir = filepath.Join(root, "nng")
		if out, err := run.CombinedOutput(); err != nil {
			errs = append(errs, fmt.Errorf("%s fails: %w\n%s", name, err, out))
			continue
		}
		ran, err := readProfile(profile)
		if err != nil {
			return err
		}
		for _, c := range functions {
			if len(sites[c]) == 0 {
				errs = append(errs, fmt.Errorf("nothing in package nng calls %s", c))
			} else if !slices.ContainsFunc(sites[c], ran.covers) {
				errs = append(errs, fmt.Errorf("%s does not get to a call of %s", name, c))
			}
		}
	}
	return errors.Join(errs...)
}

// A position is a place in a file of package nng.
type position struct {
	file         string
	line, column int
}

func (p position) before(q position) bool {
	return p.line < q.line || p.line == q.line && p.column < q.column
}

var (
	goCall = regexp.MustCompile(`\bC\.(nngo?_\w+)\(`)
	// In the shim a function's name starts a line, and so does its last brace.
	cFunction = regexp.MustCompile(`(?ms)^(\w+)\([^;{]*\)\s*^\{(.*?)^\}`)
	word      = regexp.MustCompile(`\w+`)
)

// bounded names the functions of nng that the shim calls in their form with a bound, which
// patch CL8 adds beside them.
var bounded = map[string]string{
	"nni_http_transact_conn_max": "nng_http_conn_transact",
	"nni_http_transact_max":      "nng_http_client_transact",
}

// callSites finds the places in package nng that call a C function, by its name.
func callSites(dir string) (map[string][]position, error) {
	shim, err := os.ReadFile(filepath.Join(dir, "http_cgo.c"))
	if err != nil {
		return nil, err
	}
	bodies := make(map[string]string)
	for _, m := range cFunction.FindAllStringSubmatch(comments.ReplaceAllString(string(shim), ""), -1) {
		bodies[m[1]] = m[2]
	}
	// reach lists what a function of the shim leads to, callbacks included.
	var reach func(name string, seen map[string]bool)
	reach = func(name string, seen map[string]bool) {
		if seen[name] {
			return
		}
		seen[name] = true
		for _, w := range word.FindAllString(bodies[name], -1) {
			if public, ok := bounded[w]; ok {
				reach(public, seen)
			}
			if strings.HasPrefix(w, "nng_") || bodies[w] != "" {
				reach(w, seen)
			}
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	sites := make(map[string][]position)
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		for i, text := range strings.Split(string(b), "\n") {
			text, _, _ = strings.Cut(text, "//")
			for _, m := range goCall.FindAllStringSubmatchIndex(text, -1) {
				seen := make(map[string]bool)
				reach(text[m[2]:m[3]], seen)
				for c := range seen {
					sites[c] = append(sites[c], position{e.Name(), i + 1, m[0] + 1})
				}
			}
		}
	}
	return sites, nil
}

// A profile is the blocks of a coverage profile, and whether they have run.
type profile []struct {
	first, last position
	ran         bool
}

var block = regexp.MustCompile(`(?m)^.*/([^/]+\.go):(\d+)\.(\d+),(\d+)\.(\d+) \d+ (\d+)$`)

func readProfile(name string) (profile, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var p profile
	for _, m := range block.FindAllStringSubmatch(string(b), -1) {
		var n [4]int
		for i := range n {
			if n[i], err = strconv.Atoi(m[i+2]); err != nil {
				return nil, err
			}
		}
		p = append(p, struct {
			first, last position
			ran         bool
		}{position{m[1], n[0], n[1]}, position{m[1], n[2], n[3]}, m[6] != "0"})
	}
	return p, nil
}

// covers says whether a place has run. The innermost block decides: a function literal
// lies in the block that makes it, but may never be called.
func (p profile) covers(at position) bool {
	ran := false
	var inner position
	for _, b := range p {
		if b.first.file == at.file && !at.before(b.first) && at.before(b.last) && !b.first.before(inner) {
			inner, ran = b.first, b.ran
		}
	}
	return ran
}
