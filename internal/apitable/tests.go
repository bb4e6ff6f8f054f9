package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/build"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

const nngPath = "github.com/gonng/nnghttp/nng"

// Tests of refusals call functions in order to be refused: on closed objects, with
// bad input, at the wrong time, on a library without HTTP. Such a call ends before C, and so
// do many on a response that stays a draft, so it does not count as running the function. Where a name does not tell, -verify
// does.
var refusals = struct {
	files map[string]bool
	names *regexp.Regexp
}{
	files: map[string]bool{"closed_test.go": true, "badinput_test.go": true, "nohttp_test.go": true, "draft_test.go": true},
	names: regexp.MustCompile("AfterClose|EndWithThe|Without"),
}

// A test is a test function, and what can be reached from it.
type test struct {
	name  string
	calls map[string]int // Go name, such as "Conn.Read", to the number of helpers on the way
}

// A node is a function, method or variable of the test package with what it uses.
type node struct {
	nng     []string       // functions and methods of package nng
	helpers []types.Object // other nodes
}

// readTests type-checks the tests of package nng and follows them through their
// helpers. What counts as a call is any use of a function: helpers are often handed
// one to call.
func readTests(root string) ([]test, error) {
	dir := filepath.Join(root, "nng")
	fset := token.NewFileSet()
	files, err := parseDir(fset, dir, func(name string) bool {
		match, err := build.Default.MatchFile(dir, name)
		return strings.HasSuffix(name, "_test.go") && err == nil && match
	})
	if err != nil {
		return nil, err
	}
	var external []*ast.File
	for _, f := range files {
		if f.Name.Name == "nng_test" {
			external = append(external, f)
		}
	}
	imports, err := exportData(dir)
	if err != nil {
		return nil, err
	}
	info := &types.Info{
		Defs:       make(map[*ast.Ident]types.Object),
		Uses:       make(map[*ast.Ident]types.Object),
		Selections: make(map[*ast.SelectorExpr]*types.Selection),
	}
	conf := types.Config{Importer: importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) {
		file, ok := imports[path]
		if !ok {
			return nil, fmt.Errorf("no export data for %s", path)
		}
		return os.Open(file)
	})}
	pkg, err := conf.Check(nngPath+"_test", fset, external, info)
	if err != nil {
		return nil, err
	}
	return follow(fset, external, pkg, info), nil
}

// exportData asks go list for the compiled form of everything the tests import.
func exportData(dir string) (map[string]string, error) {
	cmd := exec.Command("go", "list", "-test", "-deps", "-export", "-json=ImportPath,Export", ".")
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list ./nng: %w\n%s", err, stderr.Bytes())
	}
	files := make(map[string]string)
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct{ ImportPath, Export string }
		if err := dec.Decode(&p); err == io.EOF {
			return files, nil
		} else if err != nil {
			return nil, err
		}
		// "nng [nng.test]" is nng with its export_test.go, as the tests see it.
		path, forTest, _ := strings.Cut(p.ImportPath, " ")
		if p.Export != "" && (forTest != "" || files[path] == "") {
			files[path] = p.Export
		}
	}
}

// follow builds the graph of the test package and walks it from each test.
func follow(fset *token.FileSet, files []*ast.File, pkg *types.Package, info *types.Info) []test {
	graph := make(map[types.Object]*node)
	type start struct {
		name string
		obj  types.Object
	}
	var starts []start
	for _, f := range files {
		file := filepath.Base(fset.Position(f.Pos()).Filename)
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				obj := info.Defs[d.Name]
				graph[obj] = uses(d, pkg, info)
				if d.Recv == nil && isTest(d.Name.Name) && !refusals.files[file] && !refusals.names.MatchString(d.Name.Name) {
					starts = append(starts, start{d.Name.Name, obj})
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					if v, ok := s.(*ast.ValueSpec); ok {
						n := uses(v, pkg, info)
						for _, id := range v.Names {
							graph[info.Defs[id]] = n
						}
					}
				}
			}
		}
	}
	var tests []test
	for _, s := range starts {
		t := test{s.name, make(map[string]int)}
		depth := map[types.Object]int{s.obj: 0}
		for queue := []types.Object{s.obj}; len(queue) > 0; queue = queue[1:] {
			at := queue[0]
			for _, name := range graph[at].nng {
				if _, ok := t.calls[name]; !ok {
					t.calls[name] = depth[at]
				}
			}
			for _, h := range graph[at].helpers {
				if _, seen := depth[h]; !seen && graph[h] != nil {
					depth[h] = depth[at] + 1
					queue = append(queue, h)
				}
			}
		}
		tests = append(tests, t)
	}
	return tests
}

// isTest follows the rule of go test: Test, then not a lower-case letter.
func isTest(name string) bool {
	rest, ok := strings.CutPrefix(name, "Test")
	return ok && name != "TestMain" && (rest == "" || rest[0] < 'a' || rest[0] > 'z')
}

// uses collects what a declaration uses.
func uses(decl ast.Node, pkg *types.Package, info *types.Info) *node {
	n := new(node)
	ast.Inspect(decl, func(x ast.Node) bool {
		switch x := x.(type) {
		case *ast.SelectorExpr:
			// A method: the type that it was selected from matters, because the
			// method itself may be promoted.
			if sel := info.Selections[x]; sel != nil {
				if typ := nngType(sel.Recv()); typ != "" {
					n.nng = append(n.nng, typ+"."+x.Sel.Name)
				}
			}
		case *ast.Ident:
			switch obj := info.Uses[x].(type) {
			case *types.Func:
				switch {
				case obj.Pkg() == pkg:
					n.helpers = append(n.helpers, obj.Origin())
				case obj.Pkg() != nil && obj.Pkg().Path() == nngPath && obj.Signature().Recv() == nil:
					n.nng = append(n.nng, obj.Name())
				}
			case *types.Var:
				if obj.Pkg() == pkg && obj.Parent() == pkg.Scope() {
					n.helpers = append(n.helpers, obj)
				}
			}
		}
		return true
	})
	return n
}

// nngType is the name of a type of package nng, or of the one that a pointer points
// to.
func nngType(t types.Type) string {
	if p, ok := types.Unalias(t).(*types.Pointer); ok {
		t = p.Elem()
	}
	named, ok := types.Unalias(t).(*types.Named)
	if !ok || named.Obj().Pkg() == nil || named.Obj().Pkg().Path() != nngPath {
		return ""
	}
	return named.Obj().Name()
}
