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
	"sync/atomic"
	"time"

	"github.com/gonng/nnghttp/conformance"
	"github.com/gonng/nnghttp/conformance/adapters/internal/stop"
	"github.com/gonng/nnghttp/nng"
)

func main() {
	if len(os.Args) != 2 && len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: nng ADDRESS:PORT [TLS-ADDRESS:PORT CERT KEY]")
		os.Exit(2)
	}
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run returns when the servers have been stopped, or cannot be started.
func run(args []string) error {
	files, err := os.MkdirTemp("", "conformance-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(files)
	servers := make([]*nng.Server, 1, 2)
	if servers[0], err = serve("http://"+args[0], nil, files); err != nil {
		return err
	}
	if len(args) > 1 {
		secure, err := serve("https://"+args[1], args[2:], files)
		if err != nil {
			return err
		}
		servers = append(servers, secure)
	}
	ctx, cancel := stop.Wait()
	defer cancel()
	for _, s := range servers {
		if err := s.Stop(ctx); err != nil {
			return err
		}
	}
	return nil
}

// A route is a handler of the contract.
type route struct {
	path       string
	fn         nng.HandlerFunc
	tree, body bool
}

// serve starts a server, with its files in a folder. Those of a certificate and its key are for TLS.
func serve(url string, certAndKey []string, files string) (*nng.Server, error) {
	srv, err := nng.HoldServer(url)
	if err != nil {
		return nil, err
	}
	if certAndKey != nil {
		cfg, err := nng.NewTLSConfig(nng.TLSServer)
		if err != nil {
			return nil, err
		}
		defer cfg.Close()
		if err := cfg.SetOwnCertFiles(certAndKey[0], certAndKey[1], ""); err != nil {
			return nil, err
		}
		if err := srv.SetTLS(cfg); err != nil {
			return nil, err
		}
	}
	for _, r := range []route{
		{"", echo, true, true},
		{"/status", status, true, true},
		{"/empty", empty, false, true},
		{"/last", last, false, true},
		{"/unread", empty, false, false},
		{"/hijack", hijack, false, false},
		{"/hijack/body", hijack, false, true},
		{"/slow", slow, false, true},
		{"/running", showRunning, false, true},
		{"/big", big, false, true},
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
	if err := addKinds(srv, files); err != nil {
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

// number returns a parameter of the query that is a number.
func number(req *nng.Request, name string, most int) int {
	_, query, _ := strings.Cut(req.URI(), "?")
	text, _ := strings.CutPrefix(query, name+"=")
	n, _ := strconv.Atoi(text)
	return max(0, min(n, most))
}

var running atomic.Int32 // handlers of /slow

func slow(_ context.Context, _ *nng.Conn, req *nng.Request) (*nng.Response, error) {
	running.Add(1)
	time.Sleep(time.Duration(number(req, "ms", 5000)) * time.Millisecond)
	running.Add(-1)
	return response(200, "slow\n")
}

func showRunning(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
	return response(200, fmt.Sprintln(running.Load()))
}

func big(_ context.Context, _ *nng.Conn, req *nng.Request) (*nng.Response, error) {
	return response(200, strings.Repeat("b", number(req, "n", 16<<20)))
}

func hijack(_ context.Context, conn *nng.Conn, req *nng.Request) (*nng.Response, error) {
	_, query, _ := strings.Cut(req.URI(), "?")
	body := string(req.Data())
	if err := conn.Hijack(); err != nil {
		return nil, err
	}
	defer conn.Close()
	hello := "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
	switch query {
	case "raw":
		hello = ""
	case "tunnel":
		hello = "HTTP/1.1 200 OK\r\n\r\n"
	case "bye":
		hello += "bye\n"
	}
	if hello += body; hello != "" {
		if _, err := io.WriteString(conn, hello); err != nil {
			return nil, nil
		}
	}
	if query != "bye" {
		_, _ = io.Copy(conn, conn)
	}
	return nil, nil
}
