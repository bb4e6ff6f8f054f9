package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// A goFunc is an exported function of package nng, or a method of an exported type.
type goFunc struct {
	recv, name string // recv is empty for a function
	pos        token.Position
}

func (f goFunc) String() string {
	if f.recv == "" {
		return f.name
	}
	return f.recv + "." + f.name
}

// embedded is the unexported type whose methods Request and Response have. A C
// function for either is named in the one comment that both share.
const embedded = "message"

var embedders = map[string]string{"nng_http_req_": "Request", "nng_http_res_": "Response"}

var cName = regexp.MustCompile(`\bnng_(?:http|tls)_\w+`)

// goNames maps each C function that package nng's doc comments name to the functions
// that name it. Names count in the first paragraph, which says what a function is;
// further down other functions may be mentioned.
func goNames(root string) (map[string][]goFunc, error) {
	fset := token.NewFileSet()
	files, err := parseDir(fset, filepath.Join(root, "nng"), func(name string) bool {
		return !strings.HasSuffix(name, "_test.go")
	})
	if err != nil {
		return nil, err
	}
	names := make(map[string][]goFunc)
	for _, f := range files {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || !fn.Name.IsExported() || fn.Doc == nil {
				continue
			}
			recv := receiver(fn)
			if recv != "" && recv != embedded && !ast.IsExported(recv) {
				continue
			}
			first, _, _ := strings.Cut(fn.Doc.Text(), "\n\n")
			seen := make(map[string]bool)
			for _, c := range cName.FindAllString(first, -1) {
				if seen[c] {
					continue
				}
				seen[c] = true
				g := goFunc{recv, fn.Name.Name, fset.Position(fn.Pos())}
				if recv == embedded {
					for prefix, typ := range embedders {
						if strings.HasPrefix(c, prefix) {
							g.recv = typ
						}
					}
				}
				names[c] = append(names[c], g)
			}
		}
	}
	return names, nil
}

// receiver is the name of a method's type.
func receiver(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return ""
	}
	typ := fn.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if index, ok := typ.(*ast.IndexExpr); ok { // a generic type
		typ = index.X
	}
	if id, ok := typ.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}

// parseDir reads the Go files of a folder, in order of their names.
func parseDir(fset *token.FileSet, dir string, want func(name string) bool) ([]*ast.File, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []*ast.File
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || !want(e.Name()) {
			continue
		}
		f, err := parser.ParseFile(fset, filepath.Join(dir, e.Name()), nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}
