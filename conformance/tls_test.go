package conformance_test

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gonng/nnghttp/conformance"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A local is a server of this process that is started and stopped as a command would be.
type local struct {
	t       *testing.T
	cert    tls.Certificate
	handler http.Handler
	// Config changes how TLS is set up.
	config func(*tls.Config)
	// wrap is around each connection over TCP, and wrapTLS around each over TLS.
	wrap, wrapTLS func(net.Conn) net.Conn
	// stop is what an interrupt does, instead of Shutdown.
	stop func(*http.Server)
	// secure, if it is set, serves the port of TLS instead.
	secure func(net.Listener)
}

func newLocal(t *testing.T) *local {
	t.Helper()
	files, err := conformance.NewCertificate(t.TempDir())
	require.NoError(t, err)
	cert, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
	require.NoError(t, err)
	return &local{t: t, cert: cert}
}

type wrapped struct {
	net.Listener
	wrap func(net.Conn) net.Conn
}

func (l wrapped) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil && l.wrap != nil {
		c = l.wrap(c)
	}
	return c, err
}

// start starts it.
func (l *local) start(context.Context) (*conformance.Process, error) {
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	secure, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	handler := l.handler
	if handler == nil {
		handler = conformance.Handler()
	}
	s := &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0)}
	cfg := &tls.Config{Certificates: []tls.Certificate{l.cert}, MinVersion: tls.VersionTLS12}
	if l.config != nil {
		l.config(cfg)
	}
	go func() { _ = s.Serve(wrapped{plain, l.wrap}) }()
	if l.secure != nil {
		go l.secure(secure)
	} else {
		go func() { _ = s.Serve(wrapped{tls.NewListener(secure, cfg), l.wrapTLS}) }()
	}
	gone := make(chan struct{})
	var once sync.Once
	end := func() { once.Do(func() { close(gone) }) }
	p := &conformance.Process{URL: "http://" + plain.Addr().String(), Secure: "https://" + secure.Addr().String(), Gone: gone,
		Err: func() error { return nil }}
	p.Kill = func() {
		s.Close()
		secure.Close()
		end()
	}
	p.Stop = func() {
		go func() {
			if l.stop != nil {
				l.stop(s)
			} else {
				_ = s.Shutdown(context.Background())
			}
			secure.Close()
			s.Close() // takeovers are the handlers'; a program that ends has none any more
			end()
		}()
	}
	return p, nil
}

func (l *local) run(t *testing.T, ids ...string) *conformance.Report {
	t.Helper()
	some := cases(t, ids...)
	rep, err := conformance.Run{Cases: some, Deliveries: []conformance.Delivery{conformance.One},
		Server: &conformance.Server{Start: l.start, Patience: 700 * time.Millisecond}}.Do(t.Context())
	require.NoError(t, err)
	return rep
}

// A conn with some of its methods replaced.
type conn struct {
	net.Conn
	read  func([]byte) (int, error)
	write func([]byte) (int, error)
	close func() error
}

func (c *conn) Read(b []byte) (int, error) {
	if c.read != nil {
		return c.read(b)
	}
	return c.Conn.Read(b)
}

func (c *conn) Write(b []byte) (int, error) {
	if c.write != nil {
		return c.write(b)
	}
	return c.Conn.Write(b)
}

func (c *conn) Close() error {
	if c.close != nil {
		return c.close()
	}
	return c.Conn.Close()
}

// writes makes a connection whose writes are changed.
func writes(change func([]byte) []byte) func(net.Conn) net.Conn {
	return func(c net.Conn) net.Conn {
		return &conn{Conn: c, write: func(b []byte) (int, error) {
			_, err := c.Write(change(b))
			return len(b), err
		}}
	}
}

// takeover makes a handler that has another /hijack.
func takeover(f func(net.Conn, io.Reader, *http.Request)) http.Handler {
	h := conformance.Handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.RequestURI, "/hijack") {
			h.ServeHTTP(w, r)
			return
		}
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		f(c, rw, r)
	})
}

const switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"

// Each planted fault of takeovers, stops and TLS is found by the case that names it, which a
// server without the fault passes.
func TestPlantedFaultsOfConnections(t *testing.T) {
	for name, x := range map[string]struct {
		fault func(*local)
		id    string
	}{
		"a response comes after a takeover": {func(l *local) {
			l.handler = takeover(func(c net.Conn, r io.Reader, _ *http.Request) {
				_, _ = io.WriteString(c, switching)
				_, _ = io.Copy(c, r)
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			})
		}, "hijack/nothing"},
		"bytes that came with the request are lost": {func(l *local) {
			l.handler = takeover(func(c net.Conn, _ io.Reader, _ *http.Request) {
				_, _ = io.WriteString(c, switching)
				_, _ = io.Copy(c, c)
			})
		}, "hijack/with-the-request-and-later"},
		"the first byte comes twice": {func(l *local) {
			l.handler = takeover(func(c net.Conn, r io.Reader, _ *http.Request) {
				_, _ = io.WriteString(c, switching)
				b := make([]byte, 1)
				if _, err := io.ReadFull(r, b); err == nil {
					_, _ = c.Write(append(b, b...))
				}
				_, _ = io.Copy(c, r)
			})
		}, "hijack/back-and-forth"},
		"the end of the client's direction is not seen": {func(l *local) {
			l.handler = takeover(func(c net.Conn, r io.Reader, req *http.Request) {
				_, _ = io.WriteString(c, switching)
				_, _ = io.Copy(c, r)
				_, _ = io.WriteString(c, "more")
			})
		}, "hijack/nothing-after-101"},
		"the last bytes are lost when the client has ended": {func(l *local) {
			l.handler = takeover(func(c net.Conn, r io.Reader, _ *http.Request) {
				_, _ = io.WriteString(c, switching)
				b, _ := io.ReadAll(r)
				_, _ = c.Write(b[:max(0, len(b)-1)])
			})
		}, "hijack/one-mib"},
		"a chunked body is data, framing and all": {func(l *local) {
			l.handler = takeover(func(c net.Conn, r io.Reader, _ *http.Request) {
				_, _ = io.WriteString(c, switching)
				_, _ = io.Copy(c, r)
			})
		}, "hijack/chunks"},
		"101 comes before what the handler says": {func(l *local) {
			l.handler = takeover(func(c net.Conn, r io.Reader, _ *http.Request) {
				_, _ = io.WriteString(c, switching)
				_, _ = io.Copy(c, r)
			})
		}, "hijack/raw"},
		"two takeovers share their bytes": {func(l *local) {
			var mu sync.Mutex
			var all []net.Conn
			l.handler = takeover(func(c net.Conn, r io.Reader, _ *http.Request) {
				_, _ = io.WriteString(c, switching)
				mu.Lock()
				all = append(all, c)
				mu.Unlock()
				b := make([]byte, 100)
				for {
					n, err := r.Read(b)
					mu.Lock()
					for _, c := range all {
						_, _ = c.Write(b[:n])
					}
					mu.Unlock()
					if err != nil {
						return
					}
				}
			})
		}, "hijack/two-at-a-time"},
		"a server that is stopped serves on": {func(l *local) {
			l.stop = func(*http.Server) { time.Sleep(time.Second) }
		}, "stop/new-connection"},
		"a cut response is told as a whole one": {func(l *local) {
			h := conformance.Handler()
			l.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !strings.HasPrefix(r.RequestURI, "/big") {
					h.ServeHTTP(w, r)
					return
				}
				c, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					return
				}
				defer c.Close()
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nbbbb")
			})
		}, "stop/response-is-sent"},
		"a response that was sent is lost at a stop": {func(l *local) {
			l.wrap = func(c net.Conn) net.Conn {
				return &conn{Conn: c, write: func(b []byte) (int, error) {
					if n := strings.Index(string(b), "static\n"); n > 0 {
						_, _ = c.Write(b[:n])
						c.Close()
						return len(b), nil
					}
					return c.Write(b)
				}}
			}
		}, "stop/idle-after-a-response"},
		"plain HTTP is served on the port of TLS": {func(l *local) {
			l.secure = func(ln net.Listener) { _ = http.Serve(ln, conformance.Handler()) }
		}, "tls-handshake/plain-http"},
		"TLS 1.0 is agreed on": {func(l *local) {
			l.config = func(c *tls.Config) { c.MinVersion = tls.VersionTLS10 }
		}, "tls-handshake/tls-1-0"},
		"TLS 1.1 is agreed on": {func(l *local) {
			l.config = func(c *tls.Config) { c.MinVersion = tls.VersionTLS10 }
		}, "tls-handshake/tls-1-1"},
		"RC4 is agreed on": {func(l *local) {
			l.config = func(c *tls.Config) {
				c.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
			}
		}, "tls-handshake/suite-rc4"},
		"h2 is agreed on, and HTTP/1.1 spoken": {func(l *local) {
			l.config = func(c *tls.Config) { c.NextProtos = []string{"h2"} }
		}, "tls-handshake/alpn-h2"},
		"a connection ends without close_notify": {func(l *local) {
			l.wrapTLS = func(c net.Conn) net.Conn {
				return &conn{Conn: c, close: func() error { return c.(*tls.Conn).NetConn().Close() }}
			}
		}, "tls-ends/connection-close"},
		"a body that TLS has cut is served": {func(l *local) {
			l.wrapTLS = func(c net.Conn) net.Conn {
				return &conn{Conn: c, read: func(b []byte) (int, error) {
					n, err := c.Read(b)
					s := strings.Replace(string(b[:n]), "Content-Length: 5", "Content-Length: 3", 1)
					return copy(b, s), err
				}}
			}
		}, "tls-ends/fin-in-a-body"},
		"a response over TLS loses its last byte": {func(l *local) {
			l.wrapTLS = writes(func(b []byte) []byte { return b[:len(b)-1] })
		}, "tls-ends/response-of-1-mib"},
		"a record that was changed is not noticed": {func(l *local) {
			l.secure = func(ln net.Listener) { forgiving(l.t, ln, l.cert) }
		}, "tls-records/wrong-body"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			good := newLocal(t).run(t, x.id)
			require.Equal(t, conformance.Allowed, good.Cases[0].Verdict, "%s %s", good.Cases[0].Answer(), good.Cases[0].Deliveries[0].Error)
			l := newLocal(t)
			x.fault(l)
			rep := l.run(t, x.id)
			assert.Equal(t, conformance.Forbidden, rep.Cases[0].Verdict, "%s %s", rep.Cases[0].Answer(), rep.Cases[0].Deliveries[0].Error)
		})
	}
}

// forgiving serves TLS, and when a record is wrong, what was to be a body is one all the same.
func forgiving(t *testing.T, ln net.Listener, cert tls.Certificate) {
	for {
		raw, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer raw.Close()
			c := tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{cert}})
			b := make([]byte, 1000)
			if _, err := c.Read(b); err != nil {
				return
			}
			// The response is sent right away: as a server that takes the rest as it comes.
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			_, _ = c.Read(b)
		}()
	}
}

// A server that ends in the course of a case is started again, and the case that has ended it is
// found, and no other.
func TestCrash(t *testing.T) {
	var starts atomic.Int32
	l := newLocal(t)
	serve := conformance.Handler()
	start := func(ctx context.Context) (*conformance.Process, error) {
		starts.Add(1)
		var p *conformance.Process
		crashing := *l
		crashing.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				p.Kill()
				return
			}
			serve.ServeHTTP(w, r)
		})
		var err error
		p, err = crashing.start(ctx)
		return p, err
	}
	some := cases(t, "request-line/get", "request-line/post", "hosts/no-host", "connections/connection-close", "connections/proxy-connection")
	rep, err := conformance.Run{Cases: some, Server: &conformance.Server{Start: start, Patience: 700 * time.Millisecond}}.Do(t.Context())
	require.NoError(t, err)
	for _, f := range rep.Cases {
		if f.ID == "request-line/post" {
			assert.Equal(t, conformance.Forbidden, f.Verdict)
			assert.Equal(t, "crashed", f.Answer())
			assert.Contains(t, f.Deliveries[0].Why, "crashed")
			continue
		}
		assert.Equal(t, conformance.Allowed, f.Verdict, "%s: %s %s", f.ID, f.Answer(), f.Deliveries[0].Error)
	}
	assert.NotEmpty(t, rep.Crashes)
	assert.Greater(t, starts.Load(), int32(1))
}

// What cannot be played is said, with its number.
func TestLeftOut(t *testing.T) {
	s := httptest.NewServer(conformance.Handler())
	defer s.Close()
	some := cases(t, "request-line/get", "stop/idle", "stop/taken", "tls-ends/connection-close")
	rep, err := conformance.Run{Cases: some, Server: &conformance.Server{URL: s.URL}}.Do(t.Context())
	require.NoError(t, err)
	require.Len(t, rep.Cases, 1)
	assert.Equal(t, map[string]int{"they stop the server, which the kit has not started": 2, "they need TLS, and the URL is not one of https": 1}, rep.LeftOut)
}

// The cases play over https as they do over http.
func TestOverTLS(t *testing.T) {
	some := cases(t, "request-line/get", "chunks/two-chunks", "hosts/no-host", "responses/hijack", "stop/idle-after-a-response")
	rep, err := conformance.Run{Cases: some, Server: &conformance.Server{Start: newLocal(t).start, OverTLS: true}}.Do(t.Context())
	require.NoError(t, err)
	for _, f := range rep.Cases {
		assert.Equal(t, conformance.Allowed, f.Verdict, "%s: %s %s", f.ID, f.Answer(), f.Deliveries[0].Error)
	}
}
