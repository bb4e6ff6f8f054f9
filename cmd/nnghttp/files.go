package main

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path"
)

// serveFiles serves the files of a directory. os.Root lets neither ".." nor a symbolic
// link out of it. nng's own directory handler follows links.
func serveFiles(root *os.Root) http.Handler {
	files := http.FileServerFS(plainFS{root.FS()})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		files.ServeHTTP(w, r)
	})
}

// plainFS has regular files, and directories with an index.html, which makes a list of
// the others' contents unnecessary. Opening anything else could wait: for the writer of a
// pipe, for one.
type plainFS struct{ fs.FS }

func (p plainFS) Open(name string) (fs.File, error) {
	info, err := fs.Stat(p.FS, name)
	if err == nil && info.IsDir() {
		info, err = fs.Stat(p.FS, path.Join(name, "index.html"))
	}
	if err == nil && !info.Mode().IsRegular() || err != nil && !errors.Is(err, fs.ErrPermission) {
		err = fs.ErrNotExist // also for names that no file can have
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return p.FS.Open(name)
}
