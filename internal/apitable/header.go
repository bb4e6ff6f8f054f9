package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// headers are the headers whose functions the table lists, in the include folder of
// the default build.
var headers = []string{"nng/supplemental/http/http.h", "nng/supplemental/tls/tls.h"}

const includeDir = "build/nng/include"

// readHeader returns the names of the functions that a header declares.
func readHeader(root, name string) ([]string, error) {
	b, err := os.ReadFile(filepath.Join(root, includeDir, filepath.FromSlash(name)))
	if err != nil {
		return nil, fmt.Errorf("%w; make lib builds the library with its headers", err)
	}
	return declared(name, string(b))
}

var (
	comments    = regexp.MustCompile(`(?s)/\*.*?\*/|//[^\n]*`)
	declaration = regexp.MustCompile(`^NNG_DECL\s[^;(]*?(\w+)\s*\([^;]*\);`)
)

// declared finds the functions behind NNG_DECL. Every NNG_DECL must turn out to be
// one, so that none is lost to a way of writing that is not known here.
func declared(header, text string) ([]string, error) {
	text = comments.ReplaceAllString(text, "")
	var names []string
	seen := make(map[string]bool)
	for at := 0; ; {
		next := strings.Index(text[at:], "NNG_DECL")
		if next < 0 {
			break
		}
		at += next
		m := declaration.FindStringSubmatch(text[at:])
		if m == nil {
			line, _, _ := strings.Cut(text[at:], "\n")
			return nil, fmt.Errorf("%s: cannot read the declaration %q", header, line)
		}
		if seen[m[1]] {
			return nil, fmt.Errorf("%s declares %s twice", header, m[1])
		}
		seen[m[1]] = true
		names = append(names, m[1])
		at += len("NNG_DECL")
	}
	if want := strings.Count(text, "NNG_DECL"); len(names) != want || want == 0 {
		return nil, fmt.Errorf("%s: %d functions were found behind %d times NNG_DECL", header, len(names), want)
	}
	return names, nil
}
