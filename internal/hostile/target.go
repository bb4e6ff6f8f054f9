package hostile

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gonng/nnghttp/internal/devcert"
	"github.com/gonng/nnghttp/nethttp"
	"github.com/gonng/nnghttp/nng"
)

// Saw is the response field in which a handler repeats the request that it was given.
const Saw = "X-Saw"

func saw(method, target string) string { return strconv.QuoteToASCII(method + " " + target) }

// The doors of a Target: what one connects to.
const (
	Raw     = iota // nng's own kinds of handlers, handlers of package nng, a WSListener
	Both           // the same, and an http.Handler for everything else
	TLS            // the same over TLS
	Garbled        // the same port, without TLS
	Doors
)

// A Target is a server with every kind of handler on one port, once for each door.
type Target struct {
	addr   [Doors]string
	client *tls.Config
	cert   *x509.Certificate
	dir    string
	close  []func()
	Served atomic.Int64 // requests that a handler in Go has seen
}

// NewTarget starts a server. Its handlers write what goes wrong in them to log.
func NewTarget(log io.Writer) (t *Target, err error) {
	t = &Target{}
	defer func() {
		if err != nil {
			t.Close()
		}
	}()
	if t.dir, err = os.MkdirTemp("", "hostile"); err != nil {
		return nil, err
	}
	t.close = append(t.close, func() { _ = os.RemoveAll(t.dir) })
	for name, size := range map[string]int{"file.txt": 1000, "empty.txt": 0, "index.html": 20, "big.bin": 100 << 10} {
		if err := os.WriteFile(filepath.Join(t.dir, name), bytes.Repeat([]byte("f"), size), 0o600); err != nil {
			return nil, err
		}
	}
	cert, err := devcert.SelfSigned(time.Hour*24, "127.0.0.1")
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert.Leaf)
	t.cert = cert.Leaf
	t.client = &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", MaxVersion: tls.VersionTLS12}
	cfg, err := nng.NewTLSConfig(nng.TLSServer)
	if err != nil {
		return nil, err
	}
	t.close = append(t.close, func() { _ = cfg.Close() })
	if err := cfg.SetOwnCert(cert.CertPEM, cert.KeyPEM, ""); err != nil {
		return nil, err
	}
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelError + 1}))
	if t.addr[Raw], err = t.start("http://127.0.0.1:0", nil, nil); err != nil {
		return nil, err
	}
	if t.addr[Both], err = t.start("http://127.0.0.1:0", nil, logger); err != nil {
		return nil, err
	}
	if t.addr[TLS], err = t.start("https://127.0.0.1:0", cfg, logger); err != nil {
		return nil, err
	}
	t.addr[Garbled] = t.addr[TLS]
	return t, nil
}

// holding keeps apart those who hold port 0: until it is started they would get one server.
var holding sync.Mutex

// start starts one server.
func (t *Target) start(url string, cfg *nng.TLSConfig, log *slog.Logger) (addr string, err error) {
	holding.Lock()
	defer holding.Unlock()
	srv, err := nng.HoldServer(url)
	if err != nil {
		return "", err
	}
	t.close = append(t.close, func() { _ = srv.Close() })
	if cfg != nil {
		if err := srv.SetTLS(cfg); err != nil {
			return "", err
		}
	}
	handlers, err := t.handlers()
	if err != nil {
		return "", err
	}
	for _, h := range handlers {
		if err := srv.AddHandler(h); err != nil {
			return "", err
		}
	}
	if log != nil {
		s := &nethttp.Server{Handler: http.HandlerFunc(t.serve), ErrorLog: log, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second}
		if err := s.Start(srv); err != nil {
			return "", err
		}
		t.close = append(t.close, func() { _ = s.Close() })
	} else if err := srv.Start(); err != nil {
		return "", err
	}
	a, err := srv.Addr()
	if err != nil {
		return "", err
	}
	return a.String(), t.listen(strings.Replace(url, "http", "ws", 1), a, cfg)
}

// listen adds a WSListener, which echoes, to the server that has the address.
func (t *Target) listen(url string, addr net.Addr, cfg *nng.TLSConfig) error {
	l, err := nng.NewWSListener(strings.TrimSuffix(url, "127.0.0.1:0") + addr.String() + "/ws")
	if err != nil {
		return err
	}
	t.close = append(t.close, func() { _ = l.Close() })
	if err := errors.Join(l.SetRecvMaxSize(MaxMessage), l.SetRecvMaxFrame(MaxFrame)); err != nil {
		return err
	}
	if err := l.Listen(); err != nil {
		return err
	}
	go func() {
		for {
			c, err := l.Accept(context.Background())
			if errors.Is(err, net.ErrClosed) {
				return
			} else if err != nil {
				continue
			}
			go func() {
				defer c.Close()
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
				defer cancel()
				for {
					m, err := c.ReadMessage(ctx)
					if err != nil {
						return
					}
					if err := c.WriteMessage(ctx, m); err != nil {
						return
					}
				}
			}()
		}
	}()
	return nil
}

// What a WSListener of a Target takes.
const (
	MaxMessage = 64 << 10
	MaxFrame   = 32 << 10
)

// handlers makes one of each kind.
func (t *Target) handlers() (all []*nng.Handler, err error) {
	add := func(h *nng.Handler, herr error, set ...func(*nng.Handler) error) {
		err = errors.Join(err, herr)
		for _, f := range set {
			if err == nil {
				err = f(h)
			}
		}
		all = append(all, h)
	}
	anyMethod := func(h *nng.Handler) error { return h.SetMethod("") }
	tree := func(h *nng.Handler) error { return h.SetTree() }
	collect := func(want bool) func(*nng.Handler) error {
		return func(h *nng.Handler) error { return h.CollectBody(want, 64<<10) }
	}
	h, e := nng.NewHandler("/raw/collect", t.collected)
	add(h, e, anyMethod, tree, collect(true))
	h, e = nng.NewHandler("/raw/stream", t.streamed)
	add(h, e, anyMethod, tree, collect(false))
	h, e = nng.NewHandler("/raw/unread", t.unread)
	add(h, e, anyMethod, tree, collect(false))
	h, e = nng.NewHandler("/raw/hijack", t.hijack)
	add(h, e, anyMethod, tree, collect(false))
	h, e = nng.NewHandler("/raw/fail", func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
		return nil, nng.ErrAbortHandler
	})
	add(h, e, anyMethod, tree)
	h, e = nng.NewStaticHandler("/static", bytes.Repeat([]byte("s"), 1000), "text/plain")
	add(h, e)
	h, e = nng.NewFileHandler("/file", filepath.Join(t.dir, "file.txt"))
	add(h, e)
	h, e = nng.NewFileHandler("/empty", filepath.Join(t.dir, "empty.txt"))
	add(h, e)
	h, e = nng.NewDirectoryHandler("/dir", t.dir)
	add(h, e)
	h, e = nng.NewRedirectHandler("/redirect", http.StatusFound, "http://good.example/")
	add(h, e)
	h, e = nng.NewRedirectHandler("/tree", http.StatusMovedPermanently, "http://good.example/x")
	add(h, e, tree)
	return all, err
}

func (t *Target) respond(req *nng.Request, body string, fields ...string) (*nng.Response, error) {
	t.Served.Add(1)
	res, err := nng.NewResponse()
	if err != nil {
		return nil, err
	}
	err = errors.Join(res.SetHeader(Saw, saw(req.Method(), req.URI())), res.CopyData([]byte(body)))
	for i := 0; i < len(fields); i += 2 {
		err = errors.Join(err, res.SetHeader(fields[i], fields[i+1]))
	}
	return res, err
}

func (t *Target) collected(_ context.Context, _ *nng.Conn, req *nng.Request) (*nng.Response, error) {
	return t.respond(req, fmt.Sprint(len(req.Data())))
}

// streamed reads a body that has a length by itself. Chunks it leaves.
func (t *Target) streamed(_ context.Context, conn *nng.Conn, req *nng.Request) (*nng.Response, error) {
	n, err := strconv.ParseUint(req.Header("Content-Length"), 10, 31)
	if err != nil && req.Header("Content-Length") != "" || n > 1<<20 || req.Header("Transfer-Encoding") != "" {
		return t.respond(req, "unread", "Connection", "close")
	}
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.CopyN(io.Discard, conn, int64(n)); err != nil {
		return nil, nng.ErrAbortHandler
	}
	return t.respond(req, fmt.Sprint(n))
}

func (t *Target) unread(_ context.Context, _ *nng.Conn, req *nng.Request) (*nng.Response, error) {
	return t.respond(req, "unread", "Connection", "close")
}

// hijack takes the connection and echoes.
func (t *Target) hijack(_ context.Context, conn *nng.Conn, req *nng.Request) (*nng.Response, error) {
	t.Served.Add(1)
	if err := conn.Hijack(); err != nil {
		return nil, err
	}
	head := "HTTP/1.1 200 OK\r\n" + Saw + ": " + saw(req.Method(), req.URI()) + "\r\nX-Taken: yes\r\n\r\n"
	go func() {
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.WriteString(conn, head); err == nil {
			_, _ = io.Copy(conn, io.LimitReader(conn, 1<<20))
		}
	}()
	return nil, nil
}

// serve is the http.Handler.
func (t *Target) serve(w http.ResponseWriter, r *http.Request) {
	t.Served.Add(1)
	w.Header().Set(Saw, saw(r.Method, r.RequestURI))
	path := r.URL.Path
	has := func(word string) bool { return strings.Contains(path, word) }
	switch {
	case has("/skip"):
	case has("/half"):
		_, _ = io.CopyN(io.Discard, r.Body, 3)
	case has("/hijack"):
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprintf(rw, "HTTP/1.1 200 OK\r\n%s: %s\r\nX-Taken: yes\r\n\r\n", Saw, saw(r.Method, r.RequestURI))
		if rw.Flush() == nil {
			_, _ = io.Copy(c, io.LimitReader(rw, 1<<20))
		}
		return
	case has("/panic"):
		panic(http.ErrAbortHandler)
	default:
		_, _ = io.Copy(io.Discard, r.Body)
	}
	switch {
	case has("/flush"):
		_, _ = io.WriteString(w, "flushed")
		_ = http.NewResponseController(w).Flush()
	case has("/trailer"):
		w.Header().Set("Trailer", "X-Trailer")
		_, _ = io.WriteString(w, "body")
		w.Header().Set("X-Trailer", "yes")
	case has("/large"):
		_, _ = w.Write(bytes.Repeat([]byte("x"), 100<<10))
		return
	case has("/status"):
		w.WriteHeader(http.StatusNoContent)
		return
	}
	_, _ = io.WriteString(w, "ok")
}

// Dial connects to a door.
func (t *Target) Dial(door int) (net.Conn, error) {
	c, err := net.DialTimeout("tcp", t.addr[door], 10*time.Second)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	if door != TLS {
		return c, nil
	}
	tc := tls.Client(c, t.client)
	if err := tc.Handshake(); err != nil {
		_ = c.Close()
		return nil, err
	}
	return tc, nil
}

// Addr returns host:port of a door.
func (t *Target) Addr(door int) string { return t.addr[door] }

// ClientTLS trusts the target's certificate, which Certificate returns.
func (t *Target) ClientTLS() *tls.Config { return t.client.Clone() }

// Certificate returns the certificate of the door TLS.
func (t *Target) Certificate() *x509.Certificate { return t.cert }

// Healthy asks every door for a good request on a new connection.
func (t *Target) Healthy() error {
	for _, one := range []struct {
		door int
		path string
	}{{Raw, "/raw/collect"}, {Both, "/alive"}, {Both, "/file"}, {TLS, "/alive"}} {
		if err := t.get(one.door, one.path); err != nil {
			return fmt.Errorf("a good request for %s at door %d: %w", one.path, one.door, err)
		}
	}
	return nil
}

// Quick is Healthy for one door.
func (t *Target) Quick(door int) error {
	if door == Garbled {
		door = TLS
	}
	if err := t.get(door, "/raw/collect"); err != nil {
		return fmt.Errorf("a good request at door %d: %w", door, err)
	}
	return nil
}

func (t *Target) get(door int, path string) error {
	c, err := t.Dial(door)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"); err != nil {
		return err
	}
	b, err := io.ReadAll(c)
	if !bytes.HasPrefix(b, []byte("HTTP/1.1 200 OK\r\n")) {
		return fmt.Errorf("the answer is %.100q, %v", b, err)
	}
	return nil
}

// Close ends everything.
func (t *Target) Close() {
	for i := len(t.close) - 1; i >= 0; i-- {
		t.close[i]()
	}
	t.close = nil
}
