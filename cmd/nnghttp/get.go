package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/gonng/nnghttp/internal/grammar"
	"github.com/gonng/nnghttp/nng"
)

type getCmd struct {
	URL     string   `arg:"" help:"http:// or https:// URL."`
	Verbose bool     `short:"v" help:"Show the heads of request and response on standard error."`
	Method  string   `short:"X" placeholder:"METHOD" help:"Request method (GET, or POST with --data)."`
	Data    *string  `short:"d" placeholder:"DATA" help:"Send DATA as the body; @FILE sends a file, @- standard input."`
	Header  []string `short:"H" sep:"none" placeholder:"'K: V'" help:"Add or replace a header; 'K:' leaves one out."`
	Output  string   `short:"o" placeholder:"FILE" help:"Write the body to this file."`
	clientFlags
}

// Help tells the exit codes.
func (getCmd) Help() string {
	return `Redirects are shown, not followed.

Exit codes:
  0    the status was 2xx or 3xx
  4    the status was 4xx
  5    the status was 5xx
  2    the connection failed: refused, timed out, TLS, a broken response
  1    anything else: usage, files, a status that is none of these
  130  interrupted`
}

// Run fetches the URL.
func (c *getCmd) Run(ctx context.Context) error {
	ctx, cancel := c.limit(ctx)
	defer cancel()
	u, err := parseURL(c.URL, map[string]string{"http": "http", "https": "https"})
	if err != nil {
		return err
	}
	req, err := c.request(u)
	if err != nil {
		return err
	}
	defer req.Close()
	conn, err := c.dial(ctx, u)
	if err != nil {
		return err
	}
	defer conn.Close()
	// Past deadlines make whatever waits on the connection return.
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()

	status, err := c.exchange(ctx, conn, req)
	if err != nil {
		return err
	}
	switch status / 100 {
	case 2, 3:
		return nil
	case 4, 5:
		return &exitError{code: status / 100}
	}
	return fmt.Errorf("the server answered with status %d, which is no final one", status)
}

// maxBefore bounds the responses with a status below 200 that come before the one.
const maxBefore = 100

// exchange sends the request and passes the response on.
func (c *getCmd) exchange(ctx context.Context, conn *nng.Conn, req *nng.Request) (status int, err error) {
	method := req.Method()
	if c.Verbose {
		c.showHead(">", method+" "+req.URI()+" "+req.Version(), req)
	}
	if err := conn.WriteReq(ctx, req); err != nil {
		return 0, c.connError(ctx, "cannot send the request", err)
	}
	res, err := nng.NewResponse()
	if err != nil {
		return 0, err
	}
	defer res.Close()
	var end grammar.Framing
	for before := 0; ; before++ {
		if err := conn.ReadRes(ctx, res); err != nil {
			if errors.Is(err, io.EOF) {
				err = errors.New("the server closed the connection without one")
			}
			return 0, c.connError(ctx, "cannot read the response", err)
		}
		status = res.Status()
		if c.Verbose {
			c.showHead("<", fmt.Sprintf("%s %d %s", res.Version(), status, res.Reason()), res)
		}
		if end, err = framing(method, res); err != nil {
			return 0, c.connError(ctx, "cannot read the response", err)
		}
		if status >= 200 || status == 101 { // after other 1xx the response is still to come
			break
		}
		if before == maxBefore {
			return 0, &exitError{exitConnection, errors.New("cannot read the response: it does not come, only others before it")}
		}
	}
	return status, c.save(ctx, responseBody(end, conn))
}

// save copies the body to where it is wanted.
func (c *getCmd) save(ctx context.Context, body io.Reader) (err error) {
	out := os.Stdout
	if c.Output != "" {
		if out, err = os.Create(c.Output); err != nil {
			return fmt.Errorf("cannot write the body: %w", err)
		}
		defer func() {
			if closeErr := out.Close(); err == nil && closeErr != nil {
				err = fmt.Errorf("cannot write the body: %w", closeErr)
			}
		}()
	}
	var lost error // what ended the body before its time
	_, err = io.Copy(out, readerFunc(func(p []byte) (int, error) {
		n, err := body.Read(p)
		if err != nil && err != io.EOF {
			lost = err
		}
		return n, err
	}))
	switch {
	case lost != nil:
		return c.connError(ctx, "the body is not complete", lost)
	case err != nil:
		return fmt.Errorf("cannot write the body: %w", err)
	}
	return nil
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// request makes the request that the flags ask for.
func (c *getCmd) request(u *url.URL) (_ *nng.Request, err error) {
	target := *u
	target.User = nil
	req, err := nng.NewRequest(target.String())
	if err != nil {
		return nil, fmt.Errorf("cannot use the URL %s: %s", u.Redacted(), reason(err))
	}
	defer func() {
		if err != nil {
			req.Close()
		}
	}()
	method := c.Method
	if c.Data != nil {
		body, err := readData(*c.Data)
		if err != nil {
			return nil, err
		}
		if err := req.SetData(body); err != nil {
			return nil, fmt.Errorf("cannot send the data: %s", reason(err))
		}
		if err := req.SetHeader("Content-Type", "application/x-www-form-urlencoded"); err != nil {
			return nil, err
		}
		if method == "" {
			method = "POST"
		}
	}
	if err := req.SetMethod(method); err != nil {
		return nil, fmt.Errorf("cannot use the method %q: %s", method, reason(err))
	}
	for _, h := range []nng.HeaderField{
		{Name: "User-Agent", Value: "nnghttp/" + strings.Trim(version(), "()")},
		{Name: "Accept", Value: "*/*"},
		{Name: "Connection", Value: "close"},
	} {
		if err := req.SetHeader(h.Name, h.Value); err != nil {
			return nil, err
		}
	}
	return req, c.setHeaders(req)
}

// setHeaders applies --header. The first of a name replaces ours, more are added.
func (c *getCmd) setHeaders(req *nng.Request) error {
	seen := make(map[string]bool)
	for _, h := range c.Header {
		name, value, ok := strings.Cut(h, ":")
		if !ok {
			return fmt.Errorf("cannot use the header %q: write 'Name: value'", h)
		}
		value = strings.TrimSpace(value)
		key := strings.ToLower(name)
		var err error
		switch {
		case value == "":
			if err = req.DelHeader(name); errors.Is(err, nng.ErrNotFound) {
				err = nil
			}
		case seen[key]:
			err = req.AddHeader(name, value)
		default:
			err = req.SetHeader(name, value)
		}
		if err != nil {
			return fmt.Errorf("cannot use the header %q: %s", h, reason(err))
		}
		seen[key] = true
	}
	return nil
}

// readData is what --data means.
func readData(data string) (body []byte, err error) {
	file, ok := strings.CutPrefix(data, "@")
	switch {
	case !ok:
		return []byte(data), nil
	case file == "-":
		body, err = io.ReadAll(os.Stdin)
	default:
		body, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the data: %w", err)
	}
	return body, nil
}

// showHead prints the first line and the headers of a message.
func (c *getCmd) showHead(mark, first string, m interface {
	Headers() ([]nng.HeaderField, error)
}) {
	fmt.Fprintln(os.Stderr, mark, first)
	fields, err := m.Headers()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s (%s)\n", mark, reason(err))
	}
	for _, f := range fields {
		fmt.Fprintf(os.Stderr, "%s %s: %s\n", mark, f.Name, f.Value)
	}
	fmt.Fprintln(os.Stderr, mark)
}
