package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/gonng/nnghttp/nng"
)

type wsCmd struct {
	URL string `arg:"" help:"ws:// or wss:// URL (http:// and https:// mean the same)."`
	clientFlags
}

// Help tells how lines and messages go together.
func (wsCmd) Help() string {
	return `Each line of standard input is sent as one text message (as a binary one if it is not UTF-8).
Each message that arrives is printed as one line.
The end of the input, or Ctrl-C, closes the WebSocket. --timeout is for the handshake.

Exit codes: 0 the WebSocket was closed properly, 2 the connection failed, 130 interrupted during the
handshake, 1 anything else.`
}

// Run talks until the input, the WebSocket or ctx ends.
func (c *wsCmd) Run(ctx context.Context) error {
	u, err := parseURL(c.URL, map[string]string{"ws": "http", "wss": "https", "http": "http", "https": "https"})
	if err != nil {
		return err
	}
	conn, r, err := c.handshake(ctx, u)
	if err != nil {
		return err
	}
	sock := newSocket(conn, r, ws.StateClientSide)
	bye := func() {
		sock.close(ws.StatusNormalClosure, "")
		_ = conn.SetReadDeadline(time.Now().Add(5 * closeTime))
	}
	defer context.AfterFunc(ctx, bye)()
	go func() {
		if sendLines(sock, os.Stdin) {
			bye()
		}
	}()
	err = printMessages(sock, os.Stdout)
	sock.end(err)
	return c.outcome(ctx, err)
}

// handshake connects and asks for a WebSocket. What the server has sent behind its
// answer comes out of the reader first.
func (c *wsCmd) handshake(ctx context.Context, u *url.URL) (*nng.Conn, io.Reader, error) {
	ctx, cancel := c.limit(ctx)
	defer cancel()
	conn, err := c.dial(ctx, u)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	dialer := ws.Dialer{OnStatusError: func(status int, _ []byte, _ io.Reader) {}}
	r, _, err := dialer.Upgrade(&waiting{conn, ctx}, u)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
		var status ws.StatusError
		if errors.As(err, &status) {
			return nil, nil, fmt.Errorf("the server refused the WebSocket with status %d %s", int(status), http.StatusText(int(status)))
		}
		return nil, nil, c.connError(ctx, "cannot open the WebSocket", err)
	}
	if r != nil {
		return conn, r, nil
	}
	return conn, bufio.NewReader(conn), nil
}

// waiting is a connection whose Write returns when the bytes are gone. Over TLS the first
// write learns why the handshake failed; a read next to it, just that it is over.
type waiting struct {
	*nng.Conn
	ctx context.Context
}

func (w *waiting) Write(p []byte) (int, error) {
	if err := w.WriteAll(w.ctx, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// sendLines sends each line of the input. It answers false when the socket ended
// before the input did.
func sendLines(sock *socket, in io.Reader) bool {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		if err != nil && line == "" {
			return true
		}
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		op := ws.OpText
		if !utf8.ValidString(line) {
			op = ws.OpBinary
		}
		if sock.write(op, []byte(line)) != nil {
			return false
		}
	}
}

// printMessages prints what arrives until the socket ends.
func printMessages(sock *socket, out io.Writer) error {
	for {
		_, p, err := sock.read()
		if err != nil {
			return err
		}
		if _, err := out.Write(append(p, '\n')); err != nil {
			return &exitError{exitOther, fmt.Errorf("cannot write a message: %w", err)}
		}
	}
}

// outcome turns the end of the socket into the command's.
func (c *wsCmd) outcome(ctx context.Context, err error) error {
	var exit *exitError
	var closed wsutil.ClosedError
	switch {
	case errors.As(err, &exit):
		return err
	case errors.As(err, &closed):
		switch closed.Code {
		case ws.StatusNormalClosure, ws.StatusNoStatusRcvd:
			return nil
		case ws.StatusGoingAway:
			fmt.Fprintln(os.Stderr, "nnghttp: the server", closeReason(err))
			return nil
		}
	case ctx.Err() != nil:
		return nil // the server had its time to answer
	}
	return &exitError{exitConnection, fmt.Errorf("the WebSocket failed: %s", closeReason(err))}
}
