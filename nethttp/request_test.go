package nethttp_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nethttp"
	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// seen sends one request and returns it as the handler got it, with its body read. The
// copy is made when the body has been read.
func seen(t *testing.T, request string) (r *http.Request, body string) {
	t.Helper()
	got := make(chan *http.Request, 1)
	var content string
	c := dial(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		content = string(b)
		got <- r.Clone(context.Background())
	})))
	c.ask(request)
	return <-got, content
}

func TestRequest(t *testing.T) {
	r, body := seen(t, "POST /a%20b/c?d=e HTTP/1.1\r\nHost: example.com:81\r\nX-A: b\r\ncontent-length: 3\r\n"+
		"Cookie: a=1; b=2\r\nCookie: c=3\r\n\r\nxyz")
	assert.Equal(t, "POST", r.Method)
	assert.Equal(t, "/a%20b/c?d=e", r.RequestURI)
	assert.Equal(t, "/a b/c", r.URL.Path)
	assert.Equal(t, "d=e", r.URL.RawQuery)
	assert.Equal(t, "HTTP/1.1", r.Proto)
	assert.Equal(t, 1, r.ProtoMajor)
	assert.Equal(t, 1, r.ProtoMinor)
	assert.Equal(t, "example.com:81", r.Host)
	assert.NotContains(t, r.Header, "Host")
	assert.Equal(t, []string{"b"}, r.Header["X-A"])
	if !lib.Lacks("P17") { // else nng has joined them
		assert.Equal(t, []string{"a=1; b=2", "c=3"}, r.Header["Cookie"])
		assert.Len(t, r.Cookies(), 3)
	}
	assert.EqualValues(t, 3, r.ContentLength)
	assert.Empty(t, r.TransferEncoding)
	assert.Nil(t, r.TLS)
	assert.Nil(t, r.Trailer)
	assert.False(t, r.Close)
	assert.Equal(t, "xyz", body)
	host, port, err := net.SplitHostPort(r.RemoteAddr)
	assert.NoError(t, err)
	assert.Equal(t, "127.0.0.1", host)
	assert.NotEqual(t, "0", port)
}

// What nng answers by itself, and what its own handlers do beside an http.Handler, obeys the same
// rules: no body is ever taken for a request.
func TestNothingSmuggledBeside(t *testing.T) {
	addr, srv := serveWith(t, &nethttp.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("the http.Handler was called")
	})})
	static, err := nng.NewStaticHandler("/static", []byte("static"), "")
	require.NoError(t, err)
	require.NoError(t, srv.AddHandler(static))
	const smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, line := range []string{"POST *", "GET *", "OPTIONS *", "GET /static", "POST /static", "POST /"} {
		for _, host := range []string{"Host: x\r\n", ""} {
			for _, fields := range []string{
				"Content-Length : 36", " Content-Length: 36", "\tContent-Length: 36", "X: y\r\n Content-Length: 36",
				"Transfer-Encoding : chunked", " Transfer-Encoding: chunked", "Content-Length: 36\r\nContent-Length: 0",
				"Content-Length: 36\r\nTransfer-Encoding: chunked", "Content-Length: +36", "Host: y\r\nHost: x",
			} {
				request := line + " HTTP/1.1\r\n" + host + fields + "\r\n\r\n" + smuggled
				x, err := talk(addr, request, true)
				require.NoError(t, err, "%q", request)
				assert.Equal(t, "400 closed", x.outcome(), "%q", request)
			}
		}
	}
	// Where the rules are kept nng answers once, and closes.
	for request, want := range map[string]string{
		"GET * HTTP/1.1\r\nHost: x\r\n\r\n":                                           "404 closed",
		"GET * HTTP/1.1\r\nHost: x\r\nContent-Length: 36\r\n\r\n":                     "404 closed",
		"GET /static HTTP/1.1\r\nHost: x\r\nContent-Length: 36\r\n\r\n":               "400 closed",
		"GET /static HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n24\r\n": "501 closed",
		"GET /static HTTP/1.1\r\n\r\n":                                                "400 closed",
	} {
		x, err := talk(addr, request+smuggled, true)
		require.NoError(t, err, "%q", request)
		assert.Equal(t, want, x.outcome(), "%q", request)
	}
}

func TestChunkedRequest(t *testing.T) {
	r, body := seen(t, "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-A, X-B\r\n\r\n"+
		"3;ext=1\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-A: 1\r\nX-C: 2\r\n\r\n")
	assert.EqualValues(t, -1, r.ContentLength)
	assert.Equal(t, []string{"chunked"}, r.TransferEncoding)
	assert.NotContains(t, r.Header, "Transfer-Encoding")
	assert.Equal(t, http.Header{"X-A": {"1"}, "X-B": nil, "X-C": {"2"}}, r.Trailer)
	assert.Equal(t, "abc0123456789", body)
}

// TestTrailerBeforeBody: the names are there before the body is read, the values behind it.
func TestTrailerBeforeBody(t *testing.T) {
	_, body := dial(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		before := fmt.Sprint(r.Trailer)
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, before, r.Trailer)
	}))).ask("PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-A\r\n\r\n0\r\nX-A: 1\r\n\r\n")
	require.Equal(t, "map[X-A:[]]map[X-A:[1]]", body)
}

func TestEmptyBodies(t *testing.T) {
	for _, request := range []string{get, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"} {
		r, body := seen(t, request)
		assert.Equal(t, http.NoBody, r.Body)
		assert.Zero(t, r.ContentLength)
		assert.Empty(t, body)
	}
}

// testCert is a certificate for 127.0.0.1, and a client that trusts it: those of httptest.
func testCert(t *testing.T) (cert, key string, client *http.Client) {
	s := httptest.NewTLSServer(nil)
	t.Cleanup(s.Close)
	c := s.TLS.Certificates[0]
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	require.NoError(t, err)
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return block("CERTIFICATE", c.Certificate[0]), block("PRIVATE KEY", der), s.Client()
}

func TestTLS(t *testing.T) {
	if engine := nng.LinkInfo().TLSEngine; engine == "none" || engine == "" {
		t.Skip("no TLS in this libnng")
	}
	cert, key, client := testCert(t)
	cfg, err := nng.NewTLSConfig(nng.TLSServer)
	require.NoError(t, err)
	defer cfg.Close()
	require.NoError(t, cfg.SetOwnCert(cert, key, ""))
	h, err := nethttp.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, r.TLS != nil && r.TLS.HandshakeComplete, n, err)
	}))
	require.NoError(t, err)
	holdMu.Lock()
	srv, err := nng.HoldServer("https://127.0.0.1:0")
	require.NoError(t, err)
	defer srv.Close()
	require.NoError(t, srv.SetTLS(cfg))
	require.NoError(t, srv.AddHandler(h))
	require.NoError(t, srv.Start())
	holdMu.Unlock()
	a, err := srv.Addr()
	require.NoError(t, err)
	defer client.CloseIdleConnections()
	for range 3 {
		res, err := client.Post("https://"+a.String(), "", bytes.NewReader(make([]byte, 300_000)))
		require.NoError(t, err)
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		require.NoError(t, err)
		require.Equal(t, "true 300000 <nil>", string(b))
	}
}

func TestContextValues(t *testing.T) {
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, isServer := r.Context().Value(http.ServerContextKey).(*http.Server)
		local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		fmt.Fprint(w, isServer, " ", local, " ", r.Context().Value("other"))
	}))
	_, body := dial(t, addr).ask(get)
	require.Equal(t, "true "+addr+" <nil>", body)
}

// TestContextEnds lists what ends a request's context.
func TestContextEnds(t *testing.T) {
	t.Run("the handler returns", func(t *testing.T) {
		ctx := make(chan context.Context, 1)
		dial(t, serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			assert.NoError(t, r.Context().Err())
			ctx <- r.Context()
		}))).ask(get)
		select {
		case <-(<-ctx).Done():
		case <-time.After(5 * time.Second):
			t.Fatal("the context lives on")
		}
	})
	t.Run("the server is closed", func(t *testing.T) {
		called, ended := make(chan struct{}), make(chan struct{})
		s := &nethttp.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			close(called)
			<-r.Context().Done()
			close(ended)
		})}
		addr, _ := serveWith(t, s)
		dial(t, addr).send(get)
		<-called
		require.NoError(t, s.Close())
		<-ended
	})
	t.Run("the client goes", func(t *testing.T) {
		called, ended := make(chan struct{}), make(chan struct{})
		c := dial(t, serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			close(called)
			<-r.Context().Done()
			close(ended)
		})))
		c.send(get)
		<-called
		require.NoError(t, c.Close())
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			t.Fatal("the handler waits forever")
		}
	})
	t.Run("the client goes in the body", func(t *testing.T) {
		ended := make(chan error, 1)
		c := dial(t, serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, err := io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
			ended <- err
		})))
		c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12")
		require.NoError(t, c.Close())
		require.ErrorIs(t, <-ended, io.ErrUnexpectedEOF)
	})
	t.Run("a derived context", func(t *testing.T) { // http.TimeoutHandler and the like
		called, ended := make(chan struct{}), make(chan struct{})
		c := dial(t, serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
			defer cancel()
			close(called)
			<-ctx.Done()
			close(ended)
		})))
		c.send(get)
		<-called
		require.NoError(t, c.Close())
		<-ended
	})
}

// TestWatchedConnection: to watch a client takes nothing from its connection, which goes on.
// Without the patch for it a read watches, and nng cannot take that back (CL18).
func TestWatchedConnection(t *testing.T) {
	stays := !lib.Lacks("cl18")
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		wait, err := time.ParseDuration(r.Header.Get("Wait"))
		assert.NoError(t, err)
		select {
		case <-r.Context().Done():
			t.Error("the context has ended")
		case <-time.After(wait):
		}
		io.WriteString(w, "done")
	}))
	request := func(wait string) string { return "GET / HTTP/1.1\r\nHost: x\r\nWait: " + wait + "\r\n\r\n" }
	t.Run("a short handler", func(t *testing.T) {
		t.Parallel()
		c := dial(t, addr)
		for range 3 {
			res, body := c.ask(request("100ms"))
			require.Equal(t, "done", body)
			require.False(t, res.Close)
		}
	})
	t.Run("a long handler", func(t *testing.T) {
		t.Parallel()
		c := dial(t, addr)
		for range 2 {
			res, body := c.ask(request("1200ms"))
			require.Equal(t, "done", body)
			require.Equal(t, !stays, res.Close)
			if !stays {
				c.ended()
				return
			}
		}
		c.alive2(request("0s"))
	})
	t.Run("a long handler with a body", func(t *testing.T) {
		t.Parallel()
		c := dial(t, addr)
		c.send("POST / HTTP/1.1\r\nHost: x\r\nWait: 1200ms\r\nContent-Length: 5\r\n\r\n12")
		time.Sleep(1100 * time.Millisecond)
		c.send("345")
		_, body := c.answer("POST")
		require.Equal(t, "done", body)
		c.alive2(request("0s"))
	})
	t.Run("a pipelined request", func(t *testing.T) { // if it is not answered the client is told
		t.Parallel()
		c := dial(t, addr)
		c.send(request("1200ms"))
		time.Sleep(100 * time.Millisecond)
		c.send(request("0s"))
		res, body := c.answer("GET")
		require.Equal(t, "done", body)
		require.Equal(t, !stays, res.Close)
		if stays {
			_, body = c.answer("GET")
			require.Equal(t, "done", body)
			c.alive2(request("0s"))
			return
		}
		c.ended()
	})
	t.Run("a large pipelined request", func(t *testing.T) { // of which much is not read yet
		t.Parallel()
		c := dial(t, addr)
		c.send(request("1200ms"))
		time.Sleep(100 * time.Millisecond)
		large := "POST / HTTP/1.1\r\nHost: x\r\nWait: 0s\r\nContent-Length: 200000\r\n\r\n" + strings.Repeat("x", 200_000)
		go func() { _, _ = io.WriteString(c, large) }()
		_, body := c.answer("GET")
		require.Equal(t, "done", body)
		if stays {
			_, body = c.answer("POST")
			require.Equal(t, "done", body)
		}
	})
	t.Run("a flushed answer", func(t *testing.T) { // which has promised to go on
		t.Parallel()
		c := dial(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
			case <-time.After(1200 * time.Millisecond):
			}
			io.WriteString(w, "done")
		})))
		c.send(get)
		time.Sleep(1100 * time.Millisecond)
		c.send(get)
		_, body := c.answer("GET")
		require.Equal(t, "done", body)
		if stays {
			_, body = c.answer("GET")
			require.Equal(t, "done", body)
			return
		}
		c.ended() // no half of a request is ever taken for one
	})
	t.Run("a client that only listens", func(t *testing.T) { // has gone, and gets its response
		t.Parallel()
		if !stays {
			t.Skip("a read that meets the end closes the connection (CL18)")
		}
		c := dial(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			io.WriteString(w, "done")
		})))
		c.send(get)
		time.Sleep(1100 * time.Millisecond)
		require.NoError(t, c.CloseWrite())
		_, body := c.answer("GET")
		require.Equal(t, "done", body)
		c.ended()
	})
	t.Run("a hijacker", func(t *testing.T) { // gets what the watch has read
		t.Parallel()
		c := dial(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-time.After(1200 * time.Millisecond):
			}
			handlers["hijack"](w, r)
		})))
		c.send(get)
		time.Sleep(1100 * time.Millisecond)
		c.send("hello\n")
		_, body := c.answer("GET")
		require.Equal(t, `"hello\n" <nil>`, body)
	})
	t.Run("a hijacker of a silent client", func(t *testing.T) {
		t.Parallel()
		c := dial(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-time.After(1200 * time.Millisecond):
			}
			handlers["hijack"](w, r)
		})))
		c.send(get)
		time.Sleep(1500 * time.Millisecond)
		c.send("hello\n")
		_, body := c.answer("GET")
		require.Equal(t, `"hello\n" <nil>`, body)
	})
}

// TestRequestBehindAWatchedResponse: a client may use its connection again as soon as it has the
// whole response, and a POST is not sent twice. httputil.ReverseProxy has each request watched.
func TestRequestBehindAWatchedResponse(t *testing.T) {
	if lib.Lacks("cl18") {
		t.Skip("without the patch for it the connection is closed after the response (CL18)")
	}
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			return
		}
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
			t.Error("the context has ended")
		case <-time.After(1100 * time.Millisecond):
		}
		io.WriteString(w, "done")
	}))
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			res, err := client.Get("http://" + addr)
			if !assert.NoError(t, err) {
				return
			}
			_, err = io.Copy(io.Discard, res.Body)
			assert.NoError(t, err)
			res.Body.Close()
			res, err = client.Post("http://"+addr, "text/plain", strings.NewReader("x"))
			if assert.NoError(t, err) {
				res.Body.Close()
			}
		})
	}
	all.Wait()
}

// TestHijackedBeyondTheHandler: when a watched handler returns, the deadline of the connection that
// it has hijacked stays as it is.
func TestHijackedBeyondTheHandler(t *testing.T) {
	t.Parallel()
	read := make(chan error, 1)
	c := dial(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(1200 * time.Millisecond): // it is watched now
		}
		conn, _, err := w.(http.Hijacker).Hijack()
		if !assert.NoError(t, err) {
			return
		}
		_ = conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		go func() {
			defer conn.Close()
			_, err := conn.Read(make([]byte, 1))
			read <- err
		}()
	})))
	c.send(get)
	select {
	case err := <-read:
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	case <-time.After(5 * time.Second):
		t.Fatal("the deadline is forgotten")
	}
}

// alive2 checks that a request is answered.
func (p *peer) alive2(request string) {
	p.t.Helper()
	_, body := p.ask(request)
	require.Equal(p.t, "done", body)
}

func TestContinue(t *testing.T) {
	const head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n"
	addr := serve(t, differentialHandler())
	t.Run("read", func(t *testing.T) {
		c := dial(t, addr)
		c.send(head + "\r\n")
		res, _ := c.answer("POST")
		require.Equal(t, 100, res.StatusCode)
		c.send("12345")
		res, body := c.answer("POST")
		require.Equal(t, 200, res.StatusCode)
		require.Contains(t, body, `body "12345"`)
		c.alive()
	})
	t.Run("not before the read", func(t *testing.T) {
		read := make(chan struct{})
		c := dial(t, serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			<-read
			_, _ = io.Copy(io.Discard, r.Body)
		})))
		c.send(head + "\r\n")
		require.NoError(t, c.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
		_, err := c.r.Peek(1)
		require.True(t, isTimeout(err))
		require.NoError(t, c.SetReadDeadline(time.Now().Add(5*time.Second)))
		close(read)
		res, _ := c.answer("POST")
		require.Equal(t, 100, res.StatusCode)
		c.send("12345")
		c.answer("POST")
	})
	t.Run("final answer without reading", func(t *testing.T) {
		c := dial(t, addr)
		c.send(head + "Do: skip\r\n\r\n")
		res, _ := c.answer("POST")
		require.Equal(t, 200, res.StatusCode)
		require.True(t, res.Close, "the client may send the body or not")
		c.ended()
	})
	t.Run("reading behind the final answer", func(t *testing.T) {
		c := dial(t, addr)
		c.send(head + "Do: read behind flush\r\n\r\n12345")
		res, _ := c.answer("POST")
		require.Equal(t, 200, res.StatusCode)
		require.True(t, res.Close)
		c.ended()
	})
	t.Run("net/http's client", func(t *testing.T) {
		tr := &http.Transport{ExpectContinueTimeout: 5 * time.Second}
		defer tr.CloseIdleConnections()
		r, err := http.NewRequest("POST", "http://"+addr, strings.NewReader("12345"))
		require.NoError(t, err)
		r.Header.Set("Expect", "100-continue")
		res, err := tr.RoundTrip(r)
		require.NoError(t, err)
		b, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.Contains(t, string(b), `body "12345"`)
	})
	t.Run("many readers", func(t *testing.T) { // one 100
		c := dial(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			done := make(chan struct{})
			for range 4 {
				go func() {
					defer func() { done <- struct{}{} }()
					_, _ = io.Copy(io.Discard, r.Body)
				}()
			}
			for range 4 {
				<-done
			}
		})))
		c.send(head + "\r\n12345")
		res, _ := c.answer("POST")
		require.Equal(t, 100, res.StatusCode)
		res, _ = c.answer("POST")
		require.Equal(t, 200, res.StatusCode)
	})
}

// The time for a body that its handler leaves does not end upon a connection that was hijacked.
func TestUnreadBodyThenHijack(t *testing.T) {
	before := *nethttp.AfterFunc
	defer func() { *nethttp.AfterFunc = before }()
	*nethttp.AfterFunc = func(_ time.Duration, f func()) *time.Timer {
		return time.AfterFunc(0, func() {
			time.Sleep(50 * time.Millisecond)
			f()
		})
	}
	result := make(chan error, 1)
	c := dial(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.Body.Close()
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			defer conn.Close()
			time.Sleep(100 * time.Millisecond)
			_, err = io.ReadFull(conn, make([]byte, 1))
		}
		result <- err
	})))
	c.send(req("POST", "/", "12345", "Content-Length: 5"))
	time.Sleep(200 * time.Millisecond)
	c.send("x")
	require.NoError(t, <-result)
}

// TestUnreadBody: up to 256 KiB are read to keep the connection; behind more the reply
// still arrives, even though the client is sending (defect P20).
// A client that sends nothing of a body that its handler leaves has as long as for a head.
func TestUnreadBodyThatDoesNotCome(t *testing.T) {
	for _, fields := range []string{"Content-Length: 5", "Transfer-Encoding: chunked"} {
		t.Run(fields, func(t *testing.T) {
			t.Parallel()
			srv := &nethttp.Server{Handler: differentialHandler(), ReadHeaderTimeout: time.Second}
			hold, err := nng.HoldServer("http://127.0.0.1:0")
			require.NoError(t, err)
			defer hold.Close()
			needLimits(t, hold)
			addr, _ := serveWith(t, srv)
			c := dial(t, addr)
			c.send("POST / HTTP/1.1\r\nHost: x\r\nDo: skip\r\n" + fields + "\r\n\r\n3")
			_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
			res, text := c.answer("POST")
			assert.Equal(t, "body unread", text)
			assert.True(t, res.Close)
			c.ended()
		})
	}
}

func TestUnreadBody(t *testing.T) {
	addr := serve(t, differentialHandler())
	send := func(t *testing.T, size int, chunked bool) (*peer, *http.Response, string) {
		c := dial(t, addr)
		fields := fmt.Sprintf("Content-Length: %d\r\n", size)
		if chunked {
			fields = "Transfer-Encoding: chunked\r\n"
		}
		c.send("POST / HTTP/1.1\r\nHost: x\r\nDo: skip\r\n" + fields + "\r\n")
		body := strings.Repeat("x", size)
		if chunked {
			body = fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", size, body)
		}
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			_, _ = io.WriteString(c, body)
		}()
		t.Cleanup(func() { _ = c.Close(); <-sent })
		res, text := c.answer("POST")
		return c, res, text
	}
	for _, chunked := range []bool{false, true} {
		for _, size := range []int{1, 100_000, 256<<10 - 1, 256 << 10} {
			t.Run(fmt.Sprintf("%d chunked=%v", size, chunked), func(t *testing.T) {
				c, res, body := send(t, size, chunked)
				require.False(t, res.Close)
				require.Equal(t, "body unread", body)
				c.alive()
			})
		}
		for _, size := range []int{256<<10 + 5000, 1 << 20, 8 << 20} {
			t.Run(fmt.Sprintf("%d chunked=%v", size, chunked), func(t *testing.T) {
				t.Parallel()
				c, res, body := send(t, size, chunked)
				require.True(t, res.Close)
				require.Equal(t, "body unread", body)
				c.ended()
			})
		}
	}
}

// TestRefusedUpload: the reply to a request that is refused arrives, too.
func TestRefusedUpload(t *testing.T) {
	c := dial(t, serve(t, differentialHandler()))
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +4000000\r\n\r\n"+strings.Repeat("x", 4_000_000))
	}()
	res, _ := c.answer("POST")
	require.Equal(t, 400, res.StatusCode)
	c.ended()
	<-sent
}

// Nor is the connection reset while the client goes on sending, who might lose the reply by
// that (P20). nethttp reads on for half a second; on a busy machine that may be over.
func TestRefusedUploadIsNotReset(t *testing.T) {
	addr := serve(t, differentialHandler())
	whole := func() bool {
		c := dial(t, addr)
		c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +200000\r\n\r\n" + strings.Repeat("x", 100_000))
		_, err := c.r.Peek(1)
		require.NoError(t, err)
		for range 3 {
			time.Sleep(20 * time.Millisecond)
			if _, err := io.WriteString(c, "more"); err != nil {
				return false
			}
		}
		_ = c.CloseWrite()
		got, err := io.ReadAll(c.r)
		return err == nil && strings.HasPrefix(string(got), "HTTP/1.1 400 ")
	}
	good := 0
	for range 10 {
		if whole() {
			good++
		}
	}
	// The server reads on for half a second, in which a client on a busy machine may stand still.
	assert.GreaterOrEqual(t, good, 7, "of 10 connections; the others were reset")
}

// But the client sees the end at once, and does not wait for that half second.
func TestLingerEndsAtOnce(t *testing.T) {
	addr := serve(t, differentialHandler())
	least := time.Hour
	for range 5 {
		c := dial(t, addr)
		c.send("POST / HTTP/1.1\r\nHost: x\r\nDo: skip\r\nContent-Length: 300000\r\n\r\n12345")
		start := time.Now()
		got, err := io.ReadAll(c.r)
		require.NoError(t, err)
		require.Contains(t, string(got), "Connection: close")
		least = min(least, time.Since(start))
	}
	assert.Less(t, least, 300*time.Millisecond)
}

func TestPartlyReadBody(t *testing.T) {
	c := dial(t, serve(t, differentialHandler()))
	c.send("POST / HTTP/1.1\r\nHost: x\r\nDo: part\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 100000))
	_, body := c.answer("POST")
	require.Equal(t, `"xxx" <nil>`, body)
	c.alive()
}

// TestSlowBody: byte by byte.
func TestSlowBody(t *testing.T) {
	for _, fields := range []string{"Content-Length: 5\r\n\r\n12345", "Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n"} {
		c := dial(t, serve(t, differentialHandler()))
		c.send("POST / HTTP/1.1\r\nHost: x\r\n")
		for _, b := range []byte(fields) {
			c.send(string(b))
			time.Sleep(time.Millisecond)
		}
		_, body := c.answer("POST")
		require.Contains(t, body, "error false")
		c.alive()
	}
}

// TestLargeUpload: 32 MiB, by length and in chunks.
func TestLargeUpload(t *testing.T) {
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	}))
	for name, body := range map[string]io.Reader{
		"length": bytes.NewReader(make([]byte, 32<<20)),
		"chunks": io.MultiReader(bytes.NewReader(make([]byte, 32<<20))),
	} {
		res, err := http.Post("http://"+addr, "", body)
		require.NoError(t, err)
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		require.NoError(t, err)
		require.Equal(t, "33554432 <nil>", string(b), name)
	}
}

// TestUploadsBehindOneAnother: long bodies are read in large pieces, and not a byte of the request that
// the client has sent behind them. Handlers take all of it in pieces of any size, a part, or
// nothing.
func TestUploadsBehindOneAnother(t *testing.T) {
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var take int
		fmt.Sscan(r.URL.Query().Get("take"), &take)
		sum := crc32.NewIEEE()
		n, _ := io.CopyBuffer(sum, struct{ io.Reader }{io.LimitReader(r.Body, int64(take))}, make([]byte, 1+take%50_000))
		fmt.Fprint(w, r.URL.Path, " ", n, " ", sum.Sum32(), " ", r.Trailer.Get("Sum"))
	}))
	rnd := rand.New(rand.NewPCG(1, 2))
	var send bytes.Buffer
	var want []string
	for i := range 200 {
		body := make([]byte, rnd.IntN(4)*rnd.IntN(150_000))
		for j := range body {
			body[j] = byte(rnd.Uint32())
		}
		take := len(body)
		if len(body) <= 256<<10 && rnd.IntN(3) == 0 { // what is left is read, so the connection stays
			take = rnd.IntN(len(body) + 1)
		}
		sum := fmt.Sprint(crc32.ChecksumIEEE(body[:take]))
		trailer := ""
		ask := take
		if take == len(body) {
			ask += rnd.IntN(2) // one more reads the end as well
		}
		fmt.Fprintf(&send, "POST /%d?take=%d HTTP/1.1\r\nHost: x\r\n", i, ask)
		if rnd.IntN(2) == 0 {
			fmt.Fprintf(&send, "Content-Length: %d\r\n\r\n%s", len(body), body)
		} else {
			send.WriteString("Transfer-Encoding: chunked\r\n\r\n")
			for left := body; len(left) > 0; {
				n := min(len(left), 1+rnd.IntN(1+rnd.IntN(70_000)))
				fmt.Fprintf(&send, "%x\r\n%s\r\n", n, left[:n])
				left = left[n:]
			}
			send.WriteString("0\r\n")
			if rnd.IntN(2) == 0 {
				trailer = fmt.Sprint(i)
				fmt.Fprintf(&send, "Sum: %d\r\n", i)
			}
			send.WriteString("\r\n")
		}
		want = append(want, fmt.Sprint("/", i, " ", take, " ", sum, " ", trailer))
	}
	c := dial(t, addr)
	go c.Write(send.Bytes())
	for i, line := range want {
		res, body := c.answer("POST")
		require.Equal(t, 200, res.StatusCode, i)
		// Whoever has not read to the end has no trailer.
		require.Equal(t, strings.Fields(line)[:3], strings.Fields(body)[:3], i)
		if fields := strings.Fields(body); len(fields) > 3 {
			require.Equal(t, line, body, i)
		}
	}
	c.alive()
}

// TestBareEndOfALongBody: chunks end with 0, CR LF, CR LF. One byte behind a shorter end may
// have been taken from the next request, so its handler must not be told that all is well.
func TestBareEndOfALongBody(t *testing.T) {
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{r.Body}, make([]byte, 512))
		fmt.Fprint(w, err)
	}))
	for n := 40<<10 - 16; n < 40<<10; n++ { // in each place of the buffer
		c := dial(t, addr)
		c.send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
			n, strings.Repeat("a", n)))
		res, body := c.answer("POST")
		assert.Contains(t, body, "bare line feed", n)
		assert.True(t, res.Close, n)
		c.ended()
	}
}

// TestReadAndWrite: a handler reads and writes at once, from two goroutines.
func TestReadAndWrite(t *testing.T) {
	const size = 4 << 20
	c := dial(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.NoError(t, http.NewResponseController(w).EnableFullDuplex())
		read := make(chan error)
		go func() {
			_, err := io.Copy(io.Discard, r.Body)
			read <- err
		}()
		for b := make([]byte, 64<<10); b != nil; {
			for range size / len(b) {
				if _, err := w.Write(b); err != nil {
					t.Error(err)
				}
			}
			b = nil
		}
		assert.NoError(t, <-read)
	})))
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", size)
		_, _ = c.Write(make([]byte, size))
	}()
	_, body := c.answer("POST")
	require.Len(t, body, size)
	<-sent
}

// TestReadBodyLate: a body is of no use behind the handler's return, and does no harm.
func TestReadBodyLate(t *testing.T) {
	late := make(chan io.ReadCloser, 1)
	addr := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		late <- r.Body
		go func() { _, _ = io.Copy(io.Discard, r.Body) }() // a race with the return
	}))
	for range 20 {
		c := dial(t, addr)
		c.send(post("12345", "Content-Length: 5"))
		c.answer("POST")
		body := <-late
		require.Eventually(t, func() bool {
			_, err := body.Read(make([]byte, 1))
			return err == http.ErrBodyReadAfterClose
		}, 5*time.Second, time.Millisecond)
		require.NoError(t, body.Close())
		c.send(post("12345", "Content-Length: 5"))
		c.answer("POST")
		<-late
	}
}

func TestMaxBytesReader(t *testing.T) {
	c := dial(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 1000)
		if _, err := io.ReadAll(r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		}
	})))
	res, _ := c.ask(post(strings.Repeat("x", 1000), "Content-Length: 1000"))
	require.Equal(t, 200, res.StatusCode)
	res, _ = c.ask(post(strings.Repeat("x", 1001), "Content-Length: 1001"))
	require.Equal(t, 413, res.StatusCode)
	c.alive()
}

// TestMultipartFiles: the temporary files of a form go with the request.
func TestMultipartFiles(t *testing.T) {
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	part, err := m.CreateFormFile("file", "a.txt")
	require.NoError(t, err)
	_, _ = part.Write(make([]byte, 100_000))
	require.NoError(t, m.Close())
	names := make(chan string, 1)
	addr := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if !assert.NoError(t, r.ParseMultipartForm(1000)) {
			return
		}
		f, err := r.MultipartForm.File["file"][0].Open()
		if assert.NoError(t, err) {
			names <- f.(*os.File).Name()
			f.Close()
		}
	}))
	res, err := http.Post("http://"+addr, m.FormDataContentType(), &b)
	require.NoError(t, err)
	res.Body.Close()
	name := <-names
	require.Eventually(t, func() bool {
		_, err := os.Stat(name)
		return os.IsNotExist(err)
	}, 5*time.Second, time.Millisecond)
}

// TestClientGoesInUpload: nothing is left of clients that go in the middle; see TestMain.
func TestClientGoesInUpload(t *testing.T) {
	reads := make(chan error, 10)
	inner := differentialHandler()
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Do") != "" {
			inner.ServeHTTP(w, r)
			return
		}
		_, err := io.ReadAll(r.Body)
		reads <- err
	}))
	for _, request := range []string{
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n12",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\nDo: skip\r\n\r\n12",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n1",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1000\r\n\r\n12",
	} {
		for _, reset := range []bool{false, true} {
			c := dial(t, addr)
			c.send(request)
			if reset {
				time.Sleep(50 * time.Millisecond) // or there is no request any more
				require.NoError(t, c.SetLinger(0))
			}
			require.NoError(t, c.Close())
			if !strings.Contains(request, "Do: ") && !strings.Contains(request, "+1000") { // which nobody serves
				require.Error(t, <-reads, "the body ends as if it were whole")
			}
		}
	}
}
