package nethttp

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/gonng/nnghttp/nng"
)

// Handler returns an nng handler that serves h: every path, method and host that no other
// handler of the nng.Server takes. Add it with nng.Server.AddHandler; Server does that by
// itself. h gets what net/http would give it: see the package comment for what differs.
//
// The request's body is read from the connection as h reads it, and what h writes goes
// out as it comes. nng's own collecting of bodies is off. h runs in a goroutine, as an
// nng.HandlerFunc does.
//
// Errors: those of nng.NewHandler.
func Handler(h http.Handler) (*nng.Handler, error) {
	return everything.handler(newAdapter(h, nil).serve)
}

// An adapter serves requests of nng with an http.Handler.
type adapter struct {
	h        http.Handler
	server   *Server      // nil for a bare Handler
	std      *http.Server // for http.ServerContextKey
	pattern  pattern      // by which nng has found h
	patterns []route      // all of the server, which do not change any more
}

func newAdapter(h http.Handler, s *Server) *adapter {
	return &adapter{h: h, server: s, std: &http.Server{Handler: h}, pattern: everything}
}

// serve is the nng.HandlerFunc: one request from its head to the end of the reply.
func (a *adapter) serve(ctx context.Context, conn *nng.Conn, creq *nng.Request) (res *nng.Response, _ error) {
	head, err := creq.Head()
	if err != nil {
		return nil, err
	}
	start := a.clock()
	w := newResponse(a, conn, ctx)
	defer w.release()
	defer w.ctx.Cancel()
	err = readHead(w.req, head)
	if err == nil {
		err = a.admit(w, head)
	}
	if err != nil {
		w.refuse(err)
		a.observe(w, start)
		w.linger(mayHaveBody(head))
		return nil, nng.ErrAbortHandler // ends the connection, behind the reply
	}
	defer a.leave(w, start)
	if w.req.RemoteAddr = head.RemoteAddr; w.req.RemoteAddr == "" {
		w.req.RemoteAddr = conn.RemoteAddr().String()
	}
	if conn.Secure() {
		w.req.TLS = &tls.ConnectionState{HandshakeComplete: true}
	}
	if w.req.ContentLength != 0 {
		w.body = newBody(w)
		w.req.Body = w.body
	}

	defer w.abandon() // unless it is finished; also when the handler ends its goroutine
	if !w.call() {
		return nil, nng.ErrAbortHandler
	}
	res, hijacked, reusable := w.finish()
	if hijacked {
		return nil, nil
	}
	if !a.keepAlive() {
		_ = w.conn.Flush(ctx) // Shutdown waits for the handler, not for nng
	}
	w.ended = a.clock()
	if reusable {
		return res, nil
	}
	w.linger(w.mayHaveUnread())
	return res, nng.ErrAbortHandler
}

// call calls the http.Handler and says whether that has returned. A panic ends the connection,
// as with net/http.
func (w *response) call() (returned bool) {
	defer func() { // a panic(nil), which GODEBUG=panicnil=1 allows, is ended by recover, too
		if p := recover(); p != nil && p != http.ErrAbortHandler {
			w.logPanic(p)
		}
	}()
	if w.req.RequestURI == "*" && w.req.Method == http.MethodOptions {
		return true // an empty 200, as from net/http
	}
	if to := w.a.redirect(w.req); to != "" && w.req.Method == http.MethodConnect {
		http.Error(w, "the path is not clean", http.StatusBadRequest) // nobody would follow
		return true
	} else if to != "" {
		http.Redirect(w, w.req, to, http.StatusTemporaryRedirect)
		return true
	}
	w.a.h.ServeHTTP(w, w.req)
	return true
}

func (w *response) logPanic(p any) {
	w.a.log().Error("nethttp: panic in a handler", "method", w.req.Method, "uri", w.req.RequestURI,
		"remote", w.req.RemoteAddr, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
}

// admit decides whether a request is served now.
func (a *adapter) admit(w *response, head nng.RequestHead) error {
	proceed, err := expects(w.req)
	if err != nil {
		return err
	}
	w.expecting.Store(proceed)
	if a.server != nil {
		return a.server.admit(w, head)
	}
	return nil
}

// leave ends what admit has begun.
func (a *adapter) leave(w *response, start time.Time) {
	if a.server != nil {
		a.server.leave(w, start)
	}
}

// clock is the time, if somebody observes requests.
func (a *adapter) clock() (now time.Time) {
	if a.server != nil && a.server.Observe != nil {
		now = time.Now()
	}
	return now
}

func (a *adapter) observe(w *response, start time.Time) {
	if a.server != nil {
		a.server.observe(w, start)
	}
}

// readHeaderTimeout is how long the head of a request may take, or below 0.
func (a *adapter) readHeaderTimeout() time.Duration {
	if a.server == nil {
		return nng.DefaultReadHeaderTimeout
	}
	return cmp.Or(a.server.ReadHeaderTimeout, nng.DefaultReadHeaderTimeout)
}

func (a *adapter) keepAlive() bool { return a.server == nil || !a.server.closing.Load() }

func (a *adapter) log() *slog.Logger {
	if a.server != nil && a.server.ErrorLog != nil {
		return a.server.ErrorLog
	}
	return slog.Default()
}

// mayHaveBody reports whether bytes behind the head may belong to the request.
func mayHaveBody(head nng.RequestHead) bool {
	return slices.ContainsFunc(head.Headers, func(f nng.HeaderField) bool {
		name := strings.TrimSpace(f.Name)
		return strings.EqualFold(name, "Content-Length") || strings.EqualFold(name, "Transfer-Encoding")
	})
}
