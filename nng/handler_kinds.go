package nng

import (
	"context"
	"errors"
	"html"
	"strconv"
	"strings"
	"unsafe"
)

// #include "http_cgo.h"
import "C"

// NewHandler makes a handler for GET and HEAD requests to a path, unescaped and
// starting with "/" (nng_http_handler_alloc). C keeps an integer that stands for fn with it
// (nng_http_handler_set_data, nng_http_handler_get_data). The body
// of a request is collected up to 1 MiB before fn is called; see CollectBody. fn gets no request
// that RFC 9112 forbids; see Server.SetLenient. One slash at the end of a request's path does not
// count: "/a" takes "/a/", too.
//
// Errors: ErrInvalid, ErrNotSupported (a library without HTTP), ErrNoMemory.
func NewHandler(path string, fn HandlerFunc) (*Handler, error) {
	if fn == nil {
		return nil, refuse("new handler", path, ErrInvalid, "the function is nil")
	}
	h := &Handler{fn: fn, alloc: allocFunc}
	return h.init("new handler", path)
}

// allocFunc makes the C handler of a HandlerFunc.
func allocFunc(path string, handle C.uintptr_t) (c *C.nng_http_handler, rv C.int) {
	rv = C.nngo_handler_alloc(&c, cstring(path), handle)
	return c, rv
}

// NewFileHandler makes a handler that sends a file, opened for each request, with a type
// from nng's short list of file endings (nng_http_handler_alloc_file). The file is read as
// the client takes it, 64 KiB at a time. If it becomes shorter meanwhile the connection is
// closed; what is added to it is not sent.
//
// A file that is missing, or is not a regular file, such as a directory or a FIFO, gets
// 404, one without permission 403, and any other failure 500.
//
// WARNING: a library without our patches reads the file whole for each request, drops the
// connection if it is empty (defect P14), and waits for the writer of a FIFO (S50).
func NewFileHandler(path, file string) (*Handler, error) {
	if err := checkFileName("new file handler", file); err != nil {
		return nil, err
	}
	f := cstring(file)
	h := &Handler{alloc: func(path string, _ C.uintptr_t) (c *C.nng_http_handler, rv C.int) {
		rv = C.nng_http_handler_alloc_file(&c, cstring(path), f)
		return c, rv
	}}
	return h.init("new file handler", path)
}

// NewStaticHandler makes a handler that sends a copy of data
// (nng_http_handler_alloc_static). An empty contentType means
// "application/octet-stream".
func NewStaticHandler(path string, data []byte, contentType string) (*Handler, error) {
	if contentType == "" {
		contentType = "application/octet-stream" // C would crash (defect S19)
	}
	if err := checkHeader("new", "static handler", "Content-Type", contentType); err != nil {
		return nil, err
	}
	if err := checkData("new", "static handler", len(data)); err != nil {
		return nil, err
	}
	data = append(make([]byte, 0, len(data)+1), data...) // +1: never nil
	t := cstring(contentType)
	h := &Handler{alloc: func(path string, _ C.uintptr_t) (c *C.nng_http_handler, rv C.int) {
		rv = C.nngo_static_alloc(&c, cstring(path),
			unsafe.Pointer(unsafe.SliceData(data)), C.size_t(len(data)), t)
		return c, rv
	}}
	return h.init("new static handler", path)
}

// NewRedirectHandler makes a handler that redirects all methods to a URL, with a
// status from 300 to 399 or 0, which means 301 (nng_http_handler_alloc_redirect).
// With SetTree the rest of the path and the query are appended.
//
// Between them there is one slash, however many the client or the location has.
func NewRedirectHandler(path string, status int, location string) (*Handler, error) {
	switch {
	case status == 0:
		status = 301 // the header promises it, the code does it in the wrong place
	case status < 300 || status > 399:
		return nil, refuse("new redirect handler", strconv.Itoa(status), ErrInvalid, "a redirect has a status from 300 to 399")
	}
	if location == "" || hasSpaceOrControl(location) || len(location) > maxHeaderValue {
		return nil, refuse("new redirect handler", strconv.Quote(short(location)), ErrInvalid, "the location is an escaped URL")
	}
	if !mends("p26") {
		return newRedirect(path, status, location)
	}
	l := cstring(location)
	h := &Handler{alloc: func(path string, _ C.uintptr_t) (c *C.nng_http_handler, rv C.int) {
		rv = C.nngo_redirect_alloc(&c, cstring(path), C.uint16_t(status), l)
		return c, rv
	}}
	return h.init("new redirect handler", path)
}

// newRedirect makes a redirect handler of our own, for libraries whose redirects lead where the
// client wants (defect P26).
func newRedirect(path string, status int, location string) (*Handler, error) {
	var h *Handler
	h = &Handler{alloc: allocFunc, anyPath: true, fn: func(_ context.Context, _ *Conn, req *Request) (*Response, error) {
		to := redirectLocation(location, h.Path(), req.URI())
		link := html.EscapeString(to)
		res, err := NewResponse()
		if err != nil {
			return nil, err
		}
		return res, errors.Join(res.SetStatus(status), res.SetHeader("Connection", "close"),
			res.SetHeader("Content-Type", "text/html; charset=UTF-8"), res.SetHeader("Location", to),
			res.CopyData([]byte("<!DOCTYPE html>\n<html><body><p>You should be automatically redirected to <a href=\""+
				link+"\">"+link+"</a>.</p></body></html>")))
	}}
	h.ownBody.Store(true)
	if _, err := h.init("new redirect handler", path); err != nil {
		return nil, err
	}
	return h, errors.Join(h.SetMethod(""), h.CollectBody(false, 0))
}

// redirectLocation puts what a request target has below path behind a location. A path stays a
// path: without its slash it would go on with the name of the host, and two slashes may be the
// beginning of one.
func redirectLocation(location, path, target string) string {
	if path == "" {
		path = "/"
	}
	rest, below := strings.CutPrefix(target, path)
	switch {
	case !below:
		return location
	case rest == "" || rest[0] == '?':
		return location + rest
	}
	rest = strings.TrimLeft(rest, `/\`)
	if strings.HasSuffix(location, "/") || path == "/" && strings.Contains(location, "?") {
		return location + rest
	}
	return location + "/" + rest
}

// NewDirectoryHandler makes a handler that sends the files of a directory and those below
// (nng_http_handler_alloc_directory), exclusively for its tree. They are sent as by
// NewFileHandler. A directory is its index.html or index.htm; there are no listings.
//
// The name of a file is the rest of the request's path, decoded once. A path that has a
// component "..", "." or, but for the last, an empty one, an escaped slash, or a "%" without
// two digits gets 404: a file has one name, so that another handler can have a part of the
// directory. Symbolic links are followed, also out of the directory: whoever can make one
// there decides what is served. An http.FileServerFS on an os.Root follows none that lead out.
//
// WARNING: a library without our patches lets ".." lead out of the directory (defect P24), and
// "//" and "/./" past handlers for parts of it. It decodes no names, and takes the query for a
// part of them (P25). Serve only clients that you trust with it.
func NewDirectoryHandler(path, dir string) (*Handler, error) {
	if err := checkFileName("new directory handler", dir); err != nil {
		return nil, err
	}
	if path != "" {
		path = trimSlash(path) // behind a slash a tree would match nothing (P27)
	}
	d := cstring(dir)
	h := &Handler{alloc: func(path string, _ C.uintptr_t) (c *C.nng_http_handler, rv C.int) {
		rv = C.nng_http_handler_alloc_directory(&c, cstring(path), d)
		return c, rv
	}}
	return h.init("new directory handler", path)
}

func checkFileName(op, name string) error {
	if name == "" || strings.IndexByte(name, 0) >= 0 {
		return refuse(op, strconv.Quote(short(name)), ErrInvalid, "the file name is empty or holds a NUL")
	}
	return nil
}
