// Command nng serves the routes of the conformance kit with package nng, as the reference in C
// does.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/gonng/nnghttp/conformance"
	"github.com/gonng/nnghttp/nng"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: nng ADDRESS:PORT")
		os.Exit(2)
	}
	if _, err := serve("http://" + os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	select {}
}

// A route is a handler of the contract.
type route struct {
	path       string
	fn         nng.HandlerFunc
	tree, body bool
}

// serve starts a server.
func serve(url string) (*nng.Server, error) {
	srv, err := nng.HoldServer(url)
	if err != nil {
		return nil, err
	}
	for _, r := range []route{
		{"", echo, true, true},
		{"/status", status, true, true},
		{"/empty", empty, false, true},
		{"/last", last, false, true},
		{"/unread", empty, false, false},
		{"/hijack", hijack, false, false},
	} {
		h, err := nng.NewHandler(r.path, r.fn)
		if err != nil {
			return nil, err
		}
		if err := h.SetMethod(""); err != nil {
			return nil, err
		}
		if err := h.CollectBody(r.body, 4<<20); err != nil {
			return nil, err
		}
		if r.tree {
			if err := h.SetTree(); err != nil {
				return nil, err
			}
		}
		if err := srv.AddHandler(h); err != nil {
			return nil, err
		}
	}
	static, err := nng.NewStaticHandler("/static", []byte("static\n"), "text/plain")
	if err != nil {
		return nil, err
	}
	if err := srv.AddHandler(static); err != nil {
		return nil, err
	}
	if err := listen(url); err != nil {
		return nil, err
	}
	return srv, srv.Start()
}

func response(status int, body string) (*nng.Response, error) {
	res, err := nng.NewResponse()
	if err != nil {
		return nil, err
	}
	if err := res.SetStatus(status); err != nil {
		return nil, err
	}
	if body == "" {
		return res, nil
	}
	return res, res.CopyData([]byte(body))
}

func echo(_ context.Context, _ *nng.Conn, req *nng.Request) (*nng.Response, error) {
	e := conformance.Echo{Method: latin1(req.Method()), Target: latin1(req.URI()), Fields: make(map[string][]string)}
	_, query, _ := strings.Cut(req.URI(), "?")
	for _, part := range strings.Split(query, "&") {
		names, ok := strings.CutPrefix(part, "f=")
		if !ok {
			continue
		}
		for _, name := range strings.Split(names, ",") {
			if v := req.Header(name); v != "" {
				e.Fields[name] = []string{latin1(v)}
			}
		}
	}
	e.Body = latin1(string(req.Data()))
	b, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	res, err := response(200, string(b))
	if err != nil {
		return nil, err
	}
	if err := res.SetHeader("Conformance", "echo"); err != nil {
		return nil, err
	}
	return res, res.SetHeader("Content-Type", "application/json")
}

// latin1 makes a character of each byte.
func latin1(s string) string {
	r := make([]rune, len(s))
	for i := range len(s) {
		r[i] = rune(s[i])
	}
	return string(r)
}

func status(_ context.Context, _ *nng.Conn, req *nng.Request) (*nng.Response, error) {
	code, _ := strconv.Atoi(req.URI()[strings.LastIndexByte(req.URI(), '/')+1:])
	if code == 204 || code == 304 {
		return response(code, "")
	}
	return response(code, "status\n")
}

func empty(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) { return response(200, "") }

func last(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
	res, err := response(200, "last\n")
	if err != nil {
		return nil, err
	}
	return res, res.SetHeader("Connection", "close")
}

func hijack(_ context.Context, conn *nng.Conn, _ *nng.Request) (*nng.Response, error) {
	if err := conn.Hijack(); err != nil {
		return nil, err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"); err != nil {
		return nil, nil
	}
	_, _ = io.Copy(conn, conn)
	return nil, nil
}
