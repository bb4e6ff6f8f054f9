package nng_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A closedSuite says for each exported method of a type what it answers once the
// object is closed. Every method is in exactly one of the maps.
type closedSuite[T any] struct {
	refused map[string]func(T) error // answers ErrClosed
	silent  map[string]func(T) any   // has no error to return: answers the zero value
	allowed map[string]func(T)       // may be called, as its comment here says
}

// complete compares the cases with the type's methods, so that nobody adds a method
// and forgets what it does on a closed object.
func (s closedSuite[T]) complete(t *testing.T) {
	t.Helper()
	var cases, methods []string
	cases = slices.AppendSeq(cases, maps.Keys(s.refused))
	cases = slices.AppendSeq(cases, maps.Keys(s.silent))
	cases = slices.AppendSeq(cases, maps.Keys(s.allowed))
	typ := reflect.TypeFor[T]()
	for i := range typ.NumMethod() {
		methods = append(methods, typ.Method(i).Name)
	}
	require.ElementsMatch(t, methods, cases, "the cases for %v", typ)
}

// run calls every method of a closed object.
func (s closedSuite[T]) run(t *testing.T, x T) {
	t.Helper()
	s.complete(t)
	for name, f := range s.refused {
		assertClosed(t, name, f(x))
	}
	for name, f := range s.silent {
		assert.Zero(t, f(x), name)
	}
	for _, f := range s.allowed {
		f(x)
	}
}

func assertClosed(t testing.TB, name string, err error) {
	t.Helper()
	var op *nng.OpError
	if assert.ErrorIs(t, err, nng.ErrClosed, name) && assert.ErrorAs(t, err, &op, name) {
		assert.NotEmpty(t, op.Op, name)
		assert.ErrorIs(t, err, net.ErrClosed, name)
	}
}

// race calls all methods but Close in 8 goroutines while shut closes the object, and
// afterwards once more, when they must answer as closed. Errors before that are not
// looked at: no crash, no race and no call that hangs is what counts.
func (s closedSuite[T]) race(t *testing.T, x T, shut func()) {
	t.Helper()
	s.complete(t)
	type method struct {
		name string
		call func() error
	}
	var methods []method
	for _, name := range slices.Sorted(maps.Keys(s.refused)) {
		if name != "Close" {
			methods = append(methods, method{name, func() error { return s.refused[name](x) }})
		}
	}
	for name, f := range s.silent {
		methods = append(methods, method{name, func() error { f(x); return nil }})
	}
	for name, f := range s.allowed {
		if name != "Close" {
			methods = append(methods, method{name, func() error { f(x); return nil }})
		}
	}
	var closed atomic.Bool
	var wg, started sync.WaitGroup
	for g := range 8 {
		started.Add(1)
		wg.Go(func() {
			started.Done()
			for i := g * len(methods) / 8; !closed.Load(); i++ {
				_ = methods[i%len(methods)].call()
			}
			for _, m := range methods {
				if err := m.call(); s.refused[m.name] != nil {
					assertClosed(t, m.name, err)
				}
			}
		})
	}
	started.Wait()
	time.Sleep(5 * time.Millisecond) // let them get into C
	shut()
	closed.Store(true)
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		require.FailNow(t, "a call on a closed object has not returned")
	}
}

// manyTimes closes an object from 8 goroutines and returns how often that gave nil.
// Anything else must be ErrClosed.
func manyTimes(t *testing.T, shut func() error) int {
	t.Helper()
	var wg sync.WaitGroup
	var fine atomic.Int32
	for range 8 {
		wg.Go(func() {
			if err := shut(); err == nil {
				fine.Add(1)
			} else {
				assertClosed(t, "Close", err)
			}
		})
	}
	wg.Wait()
	return int(fine.Load())
}

// second asserts what most types promise: Close may be called again.
func second[T io.Closer](t *testing.T) func(T) {
	return func(x T) { assert.NoError(t, x.Close(), "a second Close") }
}

func background() context.Context { return context.Background() }

func serverSuite(t *testing.T) closedSuite[*nng.Server] {
	h := newHandler(t, "/suite", text("suite"))
	t.Cleanup(func() { assert.NoError(t, h.Close()) })
	cfg := anyTLSConfig(t)
	res := newResponse(t)
	require.NoError(t, res.SetStatus(404))
	return closedSuite[*nng.Server]{
		refused: map[string]func(*nng.Server) error{
			"AddHandler":   func(s *nng.Server) error { return s.AddHandler(h) },
			"DelHandler":   func(s *nng.Server) error { return s.DelHandler(h) },
			"Addr":         func(s *nng.Server) error { _, err := s.Addr(); return err },
			"ResError":     func(s *nng.Server) error { return s.ResError(res) },
			"SetErrorFile": func(s *nng.Server) error { return s.SetErrorFile(404, "closed_test.go") },
			"SetErrorPage": func(s *nng.Server) error { return s.SetErrorPage(404, "gone") },
			"SetLimits":    func(s *nng.Server) error { return s.SetLimits(nng.Limits{}) },
			"SetLenient":   func(s *nng.Server) error { return s.SetLenient(true) },
			"SetTLS":       func(s *nng.Server) error { return s.SetTLS(cfg) },
			"Stats":        func(s *nng.Server) error { _, err := s.Stats(); return err },
			"Start":        func(s *nng.Server) error { return s.Start() },
			"Stop":         func(s *nng.Server) error { return s.Stop(background()) },
			"TLS": func(s *nng.Server) error {
				c, err := s.TLS()
				if c != nil {
					c.Close()
				}
				return err
			},
		},
		silent: map[string]func(*nng.Server) any{"Limits": func(s *nng.Server) any { return s.Limits() }},
		allowed: map[string]func(*nng.Server){
			"Close":       second[*nng.Server](t),
			"SetErrorLog": func(s *nng.Server) { s.SetErrorLog(nil) },
		},
	}
}

// anyTLSConfig is a configuration, or nil where the library has no TLS.
func anyTLSConfig(t *testing.T) *nng.TLSConfig {
	cfg, err := nng.NewTLSConfig(nng.TLSServer)
	if errors.Is(err, nng.ErrNotSupported) {
		return nil
	}
	require.NoError(t, err)
	t.Cleanup(func() { cfg.Close() })
	return cfg
}

func handlerSuite(t *testing.T) closedSuite[*nng.Handler] {
	return closedSuite[*nng.Handler]{
		refused: map[string]func(*nng.Handler) error{
			"CollectBody":      func(h *nng.Handler) error { return h.CollectBody(true, 10) },
			"SetHost":          func(h *nng.Handler) error { return h.SetHost("host") },
			"SetMethod":        func(h *nng.Handler) error { return h.SetMethod("POST") },
			"SetTree":          func(h *nng.Handler) error { return h.SetTree() },
			"SetTreeExclusive": func(h *nng.Handler) error { return h.SetTreeExclusive() },
		},
		allowed: map[string]func(*nng.Handler){
			"Close": second[*nng.Handler](t),
			// The path is Go's own, and of use in a log message about the handler.
			"Path": func(h *nng.Handler) { assert.NotEmpty(t, h.Path()) },
		},
	}
}

func connSuite(t *testing.T) closedSuite[*nng.Conn] {
	ctx := background()
	later := time.Now().Add(time.Hour)
	req := func() *nng.Request { return newRequest(t, "http://host/") }
	res := func() *nng.Response { return newResponse(t) }
	return closedSuite[*nng.Conn]{
		refused: map[string]func(*nng.Conn) error{
			"AwaitData":        func(c *nng.Conn) error { return c.AwaitData(ctx) },
			"Close":            func(c *nng.Conn) error { return c.Close() },
			"CloseWrite":       func(c *nng.Conn) error { return c.CloseWrite() },
			"Flush":            func(c *nng.Conn) error { return c.Flush(ctx) },
			"Hijack":           func(c *nng.Conn) error { return c.Hijack() },
			"OnData":           func(c *nng.Conn) error { return c.OnData(func([]byte, error) {}) },
			"ReadAhead":        func(c *nng.Conn) error { _, err := c.ReadAhead(make([]byte, 1), 9); return err },
			"Read":             func(c *nng.Conn) error { _, err := c.Read(make([]byte, 8)); return err },
			"ReadAll":          func(c *nng.Conn) error { return c.ReadAll(ctx, make([]byte, 8)) },
			"ReadReq":          func(c *nng.Conn) error { return c.ReadReq(ctx, req()) },
			"ReadRes":          func(c *nng.Conn) error { return c.ReadRes(ctx, res()) },
			"SetDeadline":      func(c *nng.Conn) error { return c.SetDeadline(later) },
			"Unread":           func(c *nng.Conn) error { return c.Unread([]byte("x")) },
			"SetMaxBody":       func(c *nng.Conn) error { return c.SetMaxBody(1) },
			"SetReadDeadline":  func(c *nng.Conn) error { return c.SetReadDeadline(later) },
			"SetWriteDeadline": func(c *nng.Conn) error { return c.SetWriteDeadline(later) },
			"Transact":         func(c *nng.Conn) error { return c.Transact(ctx, req(), res()) },
			"Write":            func(c *nng.Conn) error { _, err := c.Write([]byte("x")); return err },
			"WriteAll":         func(c *nng.Conn) error { return c.WriteAll(ctx, []byte("x")) },
			"WriteReq":         func(c *nng.Conn) error { return c.WriteReq(ctx, req()) },
			"WriteRes":         func(c *nng.Conn) error { return c.WriteRes(ctx, res()) },
			"WriteSome":        func(c *nng.Conn) error { _, err := c.WriteSome(ctx, []byte("x")); return err },
		},
		allowed: map[string]func(*nng.Conn){
			// Known or not, an address is never nil: callers print it.
			"LocalAddr":  func(c *nng.Conn) { assert.NotEmpty(t, c.LocalAddr().String()) },
			"RemoteAddr": func(c *nng.Conn) { assert.NotEmpty(t, c.RemoteAddr().String()) },
			"Secure":     func(c *nng.Conn) { assert.False(t, c.Secure()) },
		},
	}
}

func requestSuite(t *testing.T) closedSuite[*nng.Request] {
	return closedSuite[*nng.Request]{
		refused: map[string]func(*nng.Request) error{
			"AddHeader":  func(r *nng.Request) error { return r.AddHeader("X-One", "1") },
			"CopyData":   func(r *nng.Request) error { return r.CopyData([]byte("x")) },
			"DelHeader":  func(r *nng.Request) error { return r.DelHeader("Host") },
			"Head":       func(r *nng.Request) error { _, err := r.Head(); return err },
			"Headers":    func(r *nng.Request) error { _, err := r.Headers(); return err },
			"Reset":      func(r *nng.Request) error { return r.Reset() },
			"SetData":    func(r *nng.Request) error { return r.SetData([]byte("x")) },
			"SetHeader":  func(r *nng.Request) error { return r.SetHeader("X-One", "1") },
			"SetMethod":  func(r *nng.Request) error { return r.SetMethod("PUT") },
			"SetURI":     func(r *nng.Request) error { return r.SetURI("/other") },
			"SetVersion": func(r *nng.Request) error { return r.SetVersion("HTTP/1.0") },
		},
		silent: map[string]func(*nng.Request) any{
			"Data":    func(r *nng.Request) any { return r.Data() },
			"Header":  func(r *nng.Request) any { return r.Header("Host") },
			"Method":  func(r *nng.Request) any { return r.Method() },
			"URI":     func(r *nng.Request) any { return r.URI() },
			"Version": func(r *nng.Request) any { return r.Version() },
		},
		allowed: map[string]func(*nng.Request){"Close": second[*nng.Request](t)},
	}
}

func responseSuite(t *testing.T) closedSuite[*nng.Response] {
	return closedSuite[*nng.Response]{
		refused: map[string]func(*nng.Response) error{
			"AddHeader":  func(r *nng.Response) error { return r.AddHeader("X-One", "1") },
			"CopyData":   func(r *nng.Response) error { return r.CopyData([]byte("x")) },
			"DelHeader":  func(r *nng.Response) error { return r.DelHeader("Host") },
			"Headers":    func(r *nng.Response) error { _, err := r.Headers(); return err },
			"Reset":      func(r *nng.Response) error { return r.Reset() },
			"SetData":    func(r *nng.Response) error { return r.SetData([]byte("x")) },
			"SetHeader":  func(r *nng.Response) error { return r.SetHeader("X-One", "1") },
			"SetReason":  func(r *nng.Response) error { return r.SetReason("Fine") },
			"SetStatus":  func(r *nng.Response) error { return r.SetStatus(404) },
			"SetVersion": func(r *nng.Response) error { return r.SetVersion("HTTP/1.0") },
		},
		silent: map[string]func(*nng.Response) any{
			"Data":    func(r *nng.Response) any { return r.Data() },
			"Header":  func(r *nng.Response) any { return r.Header("Server") },
			"Reason":  func(r *nng.Response) any { return r.Reason() },
			"Status":  func(r *nng.Response) any { return r.Status() },
			"Version": func(r *nng.Response) any { return r.Version() },
		},
		allowed: map[string]func(*nng.Response){"Close": second[*nng.Response](t)},
	}
}

func clientSuite(t *testing.T) closedSuite[*nng.Client] {
	ctx := background()
	cfg := anyTLSConfig(t)
	return closedSuite[*nng.Client]{
		refused: map[string]func(*nng.Client) error{
			"Connect": func(c *nng.Client) error {
				conn, err := c.Connect(ctx)
				if conn != nil {
					conn.Close()
				}
				return err
			},
			"SetMaxBody": func(c *nng.Client) error { return c.SetMaxBody(1) },
			"SetTLS":     func(c *nng.Client) error { return c.SetTLS(cfg) },
			"TLS": func(c *nng.Client) error {
				cfg, err := c.TLS()
				if cfg != nil {
					cfg.Close()
				}
				return err
			},
			"Transact": func(c *nng.Client) error {
				return c.Transact(ctx, newRequest(t, "http://host/"), newResponse(t))
			},
		},
		allowed: map[string]func(*nng.Client){"Close": second[*nng.Client](t)},
	}
}

func tlsSuite(t *testing.T) closedSuite[*nng.TLSConfig] {
	cert, key := testCert().cert, testCert().key
	both := t.TempDir() + "/both.pem"
	writeFile(t, both, cert+key)
	return closedSuite[*nng.TLSConfig]{
		refused: map[string]func(*nng.TLSConfig) error{
			"Hold": func(c *nng.TLSConfig) error {
				held, err := c.Hold()
				if held != nil {
					held.Close()
				}
				return err
			},
			"SetAuthMode":     func(c *nng.TLSConfig) error { return c.SetAuthMode(nng.TLSAuthNone) },
			"SetCAChain":      func(c *nng.TLSConfig) error { return c.SetCAChain(cert, "") },
			"SetCAFile":       func(c *nng.TLSConfig) error { return c.SetCAFile(both) },
			"SetCertKeyFile":  func(c *nng.TLSConfig) error { return c.SetCertKeyFile(both, "") },
			"SetKey":          func(c *nng.TLSConfig) error { return c.SetKey([]byte(key)) },
			"SetMinVersion":   func(c *nng.TLSConfig) error { return c.SetMinVersion(nng.TLS12) },
			"SetOwnCert":      func(c *nng.TLSConfig) error { return c.SetOwnCert(cert, key, "") },
			"SetOwnCertFiles": func(c *nng.TLSConfig) error { return c.SetOwnCertFiles(both, both, "") },
			"SetPass":         func(c *nng.TLSConfig) error { return c.SetPass("secret") },
			"SetServerName":   func(c *nng.TLSConfig) error { return c.SetServerName("localhost") },
			"SetVersion":      func(c *nng.TLSConfig) error { return c.SetVersion(nng.TLS12, nng.TLS12) },
		},
		allowed: map[string]func(*nng.TLSConfig){"Close": second[*nng.TLSConfig](t)},
	}
}

// The zero value of a type that only this package makes is closed: no method of it gets as far
// as C, panics or waits.
func TestZeroValues(t *testing.T) {
	never := timeout(t, time.Minute)
	for _, x := range []any{
		&nng.Client{}, &nng.Conn{}, &nng.Handler{}, &nng.Request{}, &nng.Response{}, &nng.Server{},
		&nng.TLSConfig{}, &nng.WSConn{}, &nng.WSDialer{}, &nng.WSListener{},
	} {
		v := reflect.ValueOf(x)
		for i := range v.NumMethod() {
			name, method := v.Type().String()+"."+v.Type().Method(i).Name, v.Method(i)
			args := make([]reflect.Value, method.Type().NumIn())
			for j := range args {
				switch in := method.Type().In(j); in {
				case reflect.TypeFor[context.Context]():
					args[j] = reflect.ValueOf(never)
				case reflect.TypeFor[[]byte]():
					args[j] = reflect.ValueOf([]byte("x"))
				default:
					args[j] = reflect.Zero(in)
				}
			}
			assert.NotPanics(t, func() {
				if method.Type().IsVariadic() {
					method.CallSlice(args)
				} else {
					method.Call(args)
				}
			}, name)
		}
	}
	assert.NoError(t, never.Err())

	srv := newServer(t)
	assert.ErrorIs(t, srv.AddHandler(&nng.Handler{}), nng.ErrClosed)
	assert.ErrorIs(t, srv.ResError(&nng.Response{}), nng.ErrClosed)
	_, err := new(nng.Client).Connect(t.Context())
	assert.ErrorIs(t, err, nng.ErrClosed)
	_, err = new(nng.Conn).Read(make([]byte, 1))
	assert.ErrorIs(t, err, nng.ErrClosed)
	_, err = new(nng.WSConn).ReadMessage(t.Context())
	assert.ErrorIs(t, err, nng.ErrClosed)
	assert.ErrorIs(t, new(nng.WSListener).Listen(), nng.ErrClosed)
	assert.ErrorIs(t, new(nng.Server).Start(), nng.ErrClosed)
}

func TestClosedServer(t *testing.T) {
	t.Run("held", func(t *testing.T) {
		srv, err := nng.HoldServer("http://127.0.0.1:0")
		require.NoError(t, err)
		require.NoError(t, srv.Close())
		serverSuite(t).run(t, srv)
	})
	t.Run("started", func(t *testing.T) {
		srv := newServer(t, newHandler(t, "/", text("x")))
		require.NoError(t, srv.Close())
		serverSuite(t).run(t, srv)
	})
	t.Run("stopped", func(t *testing.T) {
		srv := newServer(t, newHandler(t, "/", text("x")))
		require.NoError(t, srv.Stop(background()))
		require.NoError(t, srv.Close())
		serverSuite(t).run(t, srv)
	})
	t.Run("many", func(t *testing.T) {
		assert.Equal(t, 8, manyTimes(t, newServer(t).Close))
	})
	t.Run("in use", func(t *testing.T) {
		for range 10 {
			srv := newServer(t, newHandler(t, "/", text("x")))
			serverSuite(t).race(t, srv, func() { assert.NoError(t, srv.Close()) })
		}
	})
}

func TestClosedHandler(t *testing.T) {
	t.Run("never used", func(t *testing.T) {
		h := newHandler(t, "/x", text("x"))
		require.NoError(t, h.Close())
		handlerSuite(t).run(t, h)
		assertClosed(t, "AddHandler", newServer(t).AddHandler(h))
	})
	t.Run("by its server", func(t *testing.T) {
		h := newHandler(t, "/x", text("x"))
		srv := newServer(t, h)
		require.ErrorIs(t, h.Close(), nng.ErrBusy)
		require.NoError(t, srv.Close())
		handlerSuite(t).run(t, h)
	})
	t.Run("removed", func(t *testing.T) {
		h := newHandler(t, "/x", text("x"))
		srv := newServer(t, h)
		require.NoError(t, srv.DelHandler(h))
		require.NoError(t, h.Close())
		handlerSuite(t).run(t, h)
		assert.ErrorIs(t, srv.DelHandler(h), nng.ErrNotFound)
	})
	t.Run("many", func(t *testing.T) {
		assert.Equal(t, 8, manyTimes(t, newHandler(t, "/x", text("x")).Close))
	})
	t.Run("in use", func(t *testing.T) {
		for range 10 {
			h := newHandler(t, "/x/", text("x"))
			handlerSuite(t).race(t, h, func() { assert.NoError(t, h.Close()) })
		}
	})
}

func TestClosedConn(t *testing.T) {
	t.Run("client", func(t *testing.T) {
		conn, _ := wire(t)
		require.NoError(t, conn.Close())
		connSuite(t).run(t, conn)
		n, err := conn.Read(nil)
		assert.Zero(t, n)
		assertClosed(t, "Read of nothing", err)
		_, err = conn.Write(nil)
		assertClosed(t, "Write of nothing", err)
		assertClosed(t, "ReadAll of nothing", conn.ReadAll(background(), nil))
		assertClosed(t, "WriteAll of nothing", conn.WriteAll(background(), nil))
		_, err = conn.WriteSome(background(), nil)
		assertClosed(t, "WriteSome of nothing", err)
	})
	t.Run("hijacked", func(t *testing.T) {
		p := newPair(t, false, false)
		client, server, stop, err := p.pipe()
		require.NoError(t, err)
		defer stop()
		local := server.LocalAddr().String()
		require.NoError(t, server.Close())
		connSuite(t).run(t, server.(*nng.Conn))
		assert.Equal(t, local, server.LocalAddr().String(), "an address once told stays")
		_, err = client.Read(make([]byte, 1))
		assert.ErrorIs(t, err, io.EOF)
	})
	t.Run("many", func(t *testing.T) {
		conn, _ := wire(t)
		assert.Equal(t, 1, manyTimes(t, conn.Close), "only one Close is the first")
	})
	t.Run("in use", func(t *testing.T) {
		for range 10 {
			conn, _ := wire(t)
			connSuite(t).race(t, conn, func() { assert.NoError(t, conn.Close()) })
		}
	})
	t.Run("in use, peer talking", func(t *testing.T) {
		for range 10 {
			conn, peer := wire(t)
			go func() { // heads, bodies and bytes for whoever reads
				for {
					if _, err := peer.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")); err != nil {
						return
					}
				}
			}()
			go io.Copy(io.Discard, peer)
			connSuite(t).race(t, conn, func() { assert.NoError(t, conn.Close()) })
			peer.Close()
		}
	})
}

func TestClosedRequest(t *testing.T) {
	req := newRequest(t, "http://host/")
	require.NoError(t, req.SetData([]byte("pinned")))
	require.NoError(t, req.Close())
	requestSuite(t).run(t, req)

	conn, _ := wire(t)
	ctx := timeout(t, 10*time.Second)
	assertClosed(t, "Conn.WriteReq", conn.WriteReq(ctx, req))
	assertClosed(t, "Conn.ReadReq", conn.ReadReq(ctx, req))
	assertClosed(t, "Conn.Transact", conn.Transact(ctx, req, newResponse(t)))
	client := newClient(t, "http://127.0.0.1:1")
	assertClosed(t, "Client.Transact", client.Transact(ctx, req, newResponse(t)))
	_, err := conn.Write([]byte("x"))
	assert.NoError(t, err, "the connection has not suffered")

	assert.Equal(t, 8, manyTimes(t, newRequest(t, "").Close))
	for range 10 {
		req := newRequest(t, "http://host/")
		requestSuite(t).race(t, req, func() { assert.NoError(t, req.Close()) })
	}
}

func TestClosedResponse(t *testing.T) {
	res := newResponse(t)
	require.NoError(t, res.SetData([]byte("pinned")))
	require.NoError(t, res.Close())
	responseSuite(t).run(t, res)

	conn, _ := wire(t)
	ctx := timeout(t, 10*time.Second)
	assertClosed(t, "Conn.WriteRes", conn.WriteRes(ctx, res))
	assertClosed(t, "Conn.ReadRes", conn.ReadRes(ctx, res))
	req := newRequest(t, "http://host/")
	assertClosed(t, "Conn.Transact", conn.Transact(ctx, req, res))
	assert.NoError(t, req.SetMethod("PUT"), "the request was not sent")
	client := newClient(t, "http://127.0.0.1:1")
	assertClosed(t, "Client.Transact", client.Transact(ctx, req, res))
	assertClosed(t, "ResError", newServer(t).ResError(res))

	assert.Equal(t, 8, manyTimes(t, newResponse(t).Close))
	for range 10 {
		res := newResponse(t)
		responseSuite(t).race(t, res, func() { assert.NoError(t, res.Close()) })
	}
}

func newClient(t testing.TB, url string) *nng.Client {
	t.Helper()
	client, err := nng.NewClient(url)
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	return client
}

func TestClosedClient(t *testing.T) {
	srv := newServer(t, newHandler(t, "/", text("x")))
	client := newClient(t, httpURL(t, srv))
	conn, err := client.Connect(timeout(t, 10*time.Second))
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, client.Close())
	clientSuite(t).run(t, client)

	// Connections stay.
	res := newResponse(t)
	require.NoError(t, conn.Transact(timeout(t, 10*time.Second), newRequest(t, "http://host/"), res))
	assert.Equal(t, "x", string(res.Data()))

	assert.Equal(t, 8, manyTimes(t, newClient(t, "http://127.0.0.1:1").Close))
	for range 10 {
		client := newClient(t, httpURL(t, srv))
		clientSuite(t).race(t, client, func() { assert.NoError(t, client.Close()) })
	}
}

// Close ends what runs on a silent server.
func TestClosedClientWaiting(t *testing.T) {
	client := newClient(t, "http://"+silent(t))
	result := make(chan error)
	go func() {
		result <- client.Transact(background(), newRequest(t, "http://host/"), newResponse(t))
	}()
	time.Sleep(20 * time.Millisecond)
	require.NoError(t, client.Close())
	assertClosed(t, "Transact", <-result)
}

func TestClosedTLSConfig(t *testing.T) {
	needTLS(t)
	cfg := serverTLS(t)
	held, err := cfg.Hold()
	require.NoError(t, err)
	defer held.Close()
	require.NoError(t, cfg.Close())
	tlsSuite(t).run(t, cfg)
	assert.NoError(t, held.SetAuthMode(nng.TLSAuthNone), "the other hold stays")

	srv, err := nng.HoldServer("https://127.0.0.1:0")
	require.NoError(t, err)
	defer srv.Close()
	assertClosed(t, "Server.SetTLS", srv.SetTLS(cfg))
	assertClosed(t, "Client.SetTLS", newClient(t, "https://localhost:1").SetTLS(cfg))

	assert.Equal(t, 8, manyTimes(t, serverTLS(t).Close))
	for range 3 {
		cfg := serverTLS(t)
		tlsSuite(t).race(t, cfg, func() { assert.NoError(t, cfg.Close()) })
	}
}

// What a handler was given ends with it, and what it returned is the server's.
func TestBorrowedAfterHandler(t *testing.T) {
	type given struct {
		ctx  context.Context
		conn *nng.Conn
		req  *nng.Request
		res  *nng.Response
	}
	out := make(chan given, 1)
	srv := newServer(t, newHandler(t, "/", func(ctx context.Context, conn *nng.Conn, req *nng.Request) (*nng.Response, error) {
		assert.Equal(t, "/?q", req.URI())
		res, err := nng.NewResponse()
		if err != nil {
			return nil, err
		}
		err = res.SetData([]byte("pinned"))
		out <- given{ctx, conn, req, res}
		return res, err
	}))
	body := get(t, httpURL(t, srv)+"/?q")
	assert.Equal(t, "pinned", body)
	g := <-out
	requestSuite(t).run(t, g.req)
	connSuite(t).run(t, g.conn)
	responseSuite(t).run(t, g.res)
	assert.ErrorIs(t, g.ctx.Err(), context.Canceled)
}

// get fetches a page with Go's client.
func get(t testing.TB, url string) string {
	t.Helper()
	res, err := http.Get(url)
	require.NoError(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return string(b)
}

// A goroutine that outlives its handler meets closed objects, whatever it does.
func TestBorrowedInUse(t *testing.T) {
	type given struct {
		conn *nng.Conn
		req  *nng.Request
	}
	out := make(chan given, 1)
	leave := make(chan struct{})
	srv := newServer(t, newHandler(t, "/", func(_ context.Context, conn *nng.Conn, req *nng.Request) (*nng.Response, error) {
		out <- given{conn, req}
		<-leave
		return nng.NewResponse()
	}))
	for range 5 {
		conn, err := net.Dial("tcp", address(t, srv))
		require.NoError(t, err)
		_, err = fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: host\r\nConnection: close\r\n\r\n")
		require.NoError(t, err)
		g := <-out
		requestSuite(t).race(t, g.req, func() {
			leave <- struct{}{}
			_, err := io.ReadAll(conn)
			require.NoError(t, err)
		})
		connSuite(t).run(t, g.conn)
		conn.Close()
	}
}

// While a hijacked connection lives its request does, and no longer.
func TestBorrowedHijacked(t *testing.T) {
	reqs := make(chan *nng.Request, 1)
	conns := make(chan *nng.Conn, 1)
	srv := newServer(t, newHandler(t, "/", func(_ context.Context, conn *nng.Conn, req *nng.Request) (*nng.Response, error) {
		reqs <- req
		return hijacker(conns)(background(), conn, req)
	}))
	peer, err := net.Dial("tcp", address(t, srv))
	require.NoError(t, err)
	defer peer.Close()
	_, err = fmt.Fprint(peer, "GET /?q HTTP/1.1\r\nHost: host\r\n\r\n")
	require.NoError(t, err)
	conn, req := <-conns, <-reqs
	time.Sleep(20 * time.Millisecond) // the handler returns
	assert.Equal(t, "/?q", req.URI())
	assert.ErrorIs(t, conn.Hijack(), nng.ErrState)
	require.NoError(t, conn.Close())
	requestSuite(t).run(t, req)
	connSuite(t).run(t, conn)
}

// silent is a server that accepts and never says a word; its address.
func silent(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var mu sync.Mutex
	var conns []net.Conn
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		for _, c := range conns {
			c.Close()
		}
	})
	return l.Addr().String()
}

// While nng uses a request and a response they answer ErrBusy.
func TestBusy(t *testing.T) {
	addr := silent(t)
	for name, transact := range map[string]func(context.Context, *nng.Request, *nng.Response) error{
		"client": newClient(t, "http://"+addr).Transact,
		"conn": func(ctx context.Context, req *nng.Request, res *nng.Response) error {
			conn, err := newClient(t, "http://"+addr).Connect(ctx)
			if err != nil {
				return err
			}
			defer conn.Close()
			return conn.Transact(ctx, req, res)
		},
	} {
		t.Run(name, func(t *testing.T) {
			req, res := newRequest(t, "http://host/"), newResponse(t)
			ctx, cancel := context.WithCancel(background())
			defer cancel()
			result := make(chan error, 1)
			go func() { result <- transact(ctx, req, res) }()
			require.Eventually(t, func() bool {
				return errors.Is(res.SetReason("Fine"), nng.ErrBusy)
			}, 10*time.Second, time.Millisecond)

			for name, f := range requestSuite(t).refused {
				assert.ErrorIs(t, f(req), nng.ErrBusy, name)
			}
			for name, f := range requestSuite(t).silent {
				assert.Zero(t, f(req), name)
			}
			for name, f := range responseSuite(t).refused {
				assert.ErrorIs(t, f(res), nng.ErrBusy, name)
			}
			for name, f := range responseSuite(t).silent {
				assert.Zero(t, f(res), name)
			}
			other := newClient(t, "http://"+addr)
			assert.ErrorIs(t, other.Transact(ctx, req, newResponse(t)), nng.ErrBusy)
			assert.ErrorIs(t, other.Transact(ctx, newRequest(t, "http://host/"), res), nng.ErrBusy)
			assert.ErrorIs(t, newServer(t).ResError(res), nng.ErrBusy)

			cancel()
			err := <-result
			require.ErrorIs(t, err, nng.ErrCanceled)
			require.ErrorIs(t, err, context.Canceled)
			assert.Equal(t, "/", req.URI(), "they are ours again")
			assert.ErrorIs(t, req.SetURI("/other"), nng.ErrState)
			assert.NoError(t, req.Reset())
			assert.NoError(t, res.SetStatus(404))
		})
	}
}

// A message that is closed while nng uses it is freed when nng is done.
func TestBusyClose(t *testing.T) {
	client := newClient(t, "http://"+silent(t))
	req, err := nng.NewRequest("http://host/")
	require.NoError(t, err)
	res, err := nng.NewResponse()
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(background())
	defer cancel()
	result := make(chan error, 1)
	go func() { result <- client.Transact(ctx, req, res) }()
	require.Eventually(t, func() bool {
		return errors.Is(res.SetReason("Fine"), nng.ErrBusy)
	}, 10*time.Second, time.Millisecond)
	require.NoError(t, req.Close())
	require.NoError(t, res.Close())
	requestSuite(t).run(t, req)
	responseSuite(t).run(t, res)
	// nng still has them. That they go afterwards TestMain sees.
	assert.GreaterOrEqual(t, nng.LiveObjects()["requests and responses"], int64(2))
	cancel()
	require.ErrorIs(t, <-result, nng.ErrCanceled)
}
