// Command fasthttp serves the routes of the conformance kit with fasthttp. It is a module of its
// own, so that fasthttp is no dependency of those who use nnghttp.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gonng/nnghttp/conformance"
	"github.com/valyala/fasthttp"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: fasthttp ADDRESS:PORT")
		os.Exit(2)
	}
	go func() { // the standard input ends, and so does this
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	server := &fasthttp.Server{
		Handler:     handle,
		Logger:      quiet{},
		ReadTimeout: 2 * time.Second, // for what a client does not send, so that a run does not wait for it
		IdleTimeout: 2 * time.Second,
	}
	fmt.Fprintln(os.Stderr, server.ListenAndServe(os.Args[1]))
	os.Exit(1)
}

// quiet is a logger for what the cases do wrong.
type quiet struct{}

func (quiet) Printf(string, ...any) {}

func handle(ctx *fasthttp.RequestCtx) {
	path, _, _ := strings.Cut(string(ctx.Request.Header.RequestURI()), "?")
	code, isStatus := strings.CutPrefix(path, "/status/")
	status, _ := strconv.Atoi(code)
	switch {
	case isStatus && status >= 200 && status <= 599:
		ctx.SetStatusCode(status)
		if status != fasthttp.StatusNoContent && status != fasthttp.StatusNotModified {
			ctx.SetBodyString("status\n")
		}
	case path == "/empty", path == "/unread": // fasthttp has read the body before it calls a handler
	case path == "/last":
		ctx.SetConnectionClose()
		ctx.SetBodyString("last\n")
	case path == "/static":
		ctx.SetContentType("text/plain")
		ctx.SetBodyString("static\n")
	case path == "/hijack":
		ctx.SetStatusCode(fasthttp.StatusSwitchingProtocols)
		ctx.Response.Header.Set("Connection", "Upgrade")
		ctx.Response.Header.Set("Upgrade", "echo")
		ctx.Hijack(func(conn net.Conn) { _, _ = io.Copy(conn, conn) })
	default:
		echo(ctx)
	}
}

func echo(ctx *fasthttp.RequestCtx) {
	h := &ctx.Request.Header
	target := string(h.RequestURI())
	e := conformance.Echo{Method: latin1(h.Method()), Target: latin1(h.RequestURI()), Fields: make(map[string][]string), Body: latin1(ctx.PostBody())}
	_, query, _ := strings.Cut(target, "?")
	for parameter := range strings.SplitSeq(query, "&") {
		names, ok := strings.CutPrefix(parameter, "f=")
		if !ok {
			continue
		}
		for name := range strings.SplitSeq(names, ",") {
			for _, v := range h.PeekAll(name) {
				e.Fields[name] = append(e.Fields[name], latin1(v))
			}
		}
	}
	b, _ := json.Marshal(e) // strings alone
	ctx.Response.Header.Set("Conformance", "echo")
	ctx.SetContentType("application/json")
	ctx.SetBody(b)
}

// latin1 makes a character of each byte.
func latin1(b []byte) string {
	r := make([]rune, len(b))
	for i, c := range b {
		r[i] = rune(c)
	}
	return string(r)
}
