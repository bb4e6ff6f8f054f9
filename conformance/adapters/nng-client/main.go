// Command nng-client is a client of the conformance kit with package nng, as the reference in C
// is one with libnng: it keeps its connection for the next request if it may.
package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/gonng/nnghttp/conformance"
	"github.com/gonng/nnghttp/nng"
)

func main() {
	c := new(client)
	defer c.drop()
	if err := conformance.ServeClient(context.Background(), os.Stdin, os.Stdout, c.do); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A client has at most one connection.
type client struct {
	kept *nng.Conn
	host string // that it is for
}

func (c *client) drop() {
	if c.kept != nil {
		c.kept.Close()
		c.kept = nil
	}
}

func (c *client) do(ctx context.Context, method, rawURL string) *conformance.Reply {
	if method == "WEBSOCKET" {
		return webSocket(ctx, rawURL)
	}
	r, err := c.transact(ctx, method, rawURL)
	if err != nil {
		c.drop()
		return &conformance.Reply{Error: err.Error()}
	}
	return r
}

func (c *client) transact(ctx context.Context, method, rawURL string) (*conformance.Reply, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	req, err := nng.NewRequest(rawURL)
	if err != nil {
		return nil, err
	}
	defer req.Close()
	if err := req.SetMethod(method); err != nil {
		return nil, err
	}
	if method == http.MethodPost || method == http.MethodPut {
		if err := req.SetData([]byte("hello")); err != nil {
			return nil, err
		}
	}
	res, err := nng.NewResponse()
	if err != nil {
		return nil, err
	}
	defer res.Close()
	if c.host != u.Host {
		c.drop()
	}
	again := c.kept != nil
	if err := c.send(ctx, u, req, res); err != nil {
		c.drop()
		if !again || method == http.MethodPost {
			return nil, err
		}
		if err := c.send(ctx, u, req, res); err != nil { // the connection that was kept had ended
			return nil, err
		}
	}
	fields, err := res.Headers()
	if err != nil {
		return nil, err
	}
	header := make(http.Header)
	for _, f := range fields {
		header.Add(f.Name, f.Value)
	}
	if last(method, res) {
		c.drop()
	}
	return conformance.NewReply(res.Status(), header, res.Data()), nil
}

// send makes a request, on the connection that is kept if there is one.
func (c *client) send(ctx context.Context, u *url.URL, req *nng.Request, res *nng.Response) error {
	if c.kept == nil {
		dialer, err := nng.NewClient(u.Scheme + "://" + u.Host)
		if err != nil {
			return err
		}
		defer dialer.Close()
		if c.kept, err = dialer.Connect(ctx); err != nil {
			return err
		}
		c.host = u.Host
	}
	return c.kept.Transact(ctx, req, res)
}

// last reports whether no other request may be made on the connection (RFC 9112, section 9.3).
func last(method string, res *nng.Response) bool {
	options := strings.FieldsFunc(strings.ToLower(res.Header("Connection")), func(r rune) bool { return strings.ContainsRune(", \t", r) })
	says := func(option string) bool {
		for _, o := range options {
			if o == option {
				return true
			}
		}
		return false
	}
	status := res.Status()
	switch {
	case says("close"), status == http.StatusSwitchingProtocols:
		return true
	case res.Version() != "HTTP/1.1" && (!says("keep-alive") || res.Header("Transfer-Encoding") != ""):
		return true
	}
	// A body that has neither a length nor chunks has no end but that of the connection.
	return method != http.MethodHead && status != http.StatusNoContent && status != http.StatusNotModified &&
		res.Header("Content-Length") == "" && res.Header("Transfer-Encoding") == ""
}
