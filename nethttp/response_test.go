package nethttp_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nethttp"
	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

// TestResponses checks the http.ResponseWriter's contract. TestDifferential has more forms.
func TestResponses(t *testing.T) {
	type result struct {
		status  int
		length  int64 // -1 for chunks
		body    string
		fields  map[string]string
		trailer map[string]string
	}
	tests := map[string]struct {
		h    http.HandlerFunc
		want result
	}{
		"nothing written": {handlers["nothing"], result{status: 200}},
		"implicit 200": {handlers["small"], result{status: 200, length: 11, body: "<html>hello",
			fields: map[string]string{"Content-Type": "text/html; charset=utf-8"}}},
		"type is kept":         {handlers["content type"], result{status: 200, length: 11, body: "<html>hello", fields: map[string]string{"Content-Type": "text/x"}}},
		"type is sniffed not":  {handlers["no content type"], result{status: 200, length: 11, body: "<html>hello", fields: map[string]string{"Content-Type": ""}}},
		"length is known":      {handlers["2048 bytes"], result{status: 200, length: 2048, body: strings.Repeat("a", 2048)}},
		"length is not known":  {handlers["2049 bytes"], result{status: 200, length: -1, body: strings.Repeat("a", 2049)}},
		"length is told":       {handlers["length and flush"], result{status: 200, length: 5, body: "12345"}},
		"too long":             {handlers["length too small"], result{status: 200, length: 3, body: "123"}},
		"status":               {handlers["404"], result{status: 404, length: 9, body: "not found"}},
		"status without name":  {handlers["299"], result{status: 299, length: 3, body: "odd"}},
		"204":                  {handlers["204 body"], result{status: 204, fields: map[string]string{"Content-Length": "", "Transfer-Encoding": ""}}},
		"304":                  {handlers["304 body"], result{status: 304, fields: map[string]string{"Content-Length": ""}}},
		"trailers":             {handlers["trailer"], result{status: 200, length: -1, body: "body", trailer: map[string]string{"A": "1", "B": "2", "D": ""}}},
		"trailers with prefix": {handlers["trailer prefix"], result{status: 200, length: -1, body: "body", trailer: map[string]string{"A": "1"}}},
		"line ends in fields":  {handlers["line ends"], result{status: 200, length: 11, body: "<html>hello", fields: map[string]string{"X-Split": "a  Y: b", "Y": ""}}},
		"ReadFrom":             {handlers["copy"], result{status: 200, length: 12, body: "<html>copied", fields: map[string]string{"Content-Type": "text/html; charset=utf-8"}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := dial(t, serve(t, test.h))
			res, body := c.ask(get)
			assert.Equal(t, test.want.status, res.StatusCode)
			assert.Equal(t, test.want.length, res.ContentLength)
			assert.Equal(t, test.want.body, body)
			for name, value := range test.want.fields {
				assert.Equal(t, value, res.Header.Get(name), name)
			}
			for name, value := range test.want.trailer {
				assert.Equal(t, value, res.Trailer.Get(name), name)
			}
			_, err := http.ParseTime(res.Header.Get("Date"))
			assert.NoError(t, err)
			assert.False(t, res.Close)
			if name == "too long" { // an error of the handler
				c.ended()
				return
			}
			c.alive()
			head, _ := c.ask(strings.Replace(get, "GET", "HEAD", 1))
			assert.Equal(t, test.want.status, head.StatusCode)
			c.alive()
		})
	}
}

func TestSetCookieLines(t *testing.T) {
	res, _ := dial(t, serve(t, handlers["cookies"])).ask(get)
	require.Equal(t, []string{"a=1", "b=2"}, res.Header["Set-Cookie"])
}

// TestFlush: what was written before Flush arrives while the handler still runs.
func TestFlush(t *testing.T) {
	flushes := map[string]func(http.ResponseWriter){
		"Flusher":            func(w http.ResponseWriter) { w.(http.Flusher).Flush() },
		"ResponseController": func(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() },
	}
	for name, flush := range flushes {
		t.Run(name, func(t *testing.T) {
			goOn := make(chan struct{})
			c := dial(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				io.WriteString(w, "one")
				flush(w)
				<-goOn
				io.WriteString(w, "two")
			})))
			c.send(get)
			res, err := http.ReadResponse(c.r, nil)
			require.NoError(t, err)
			first := make([]byte, 3)
			_, err = io.ReadFull(res.Body, first)
			require.NoError(t, err)
			require.Equal(t, "one", string(first))
			close(goOn)
			rest, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.Equal(t, "two", string(rest))
			c.alive0()
		})
	}
}

// TestReadFromStreams: io.Copy to the writer does not wait for the end of its source when
// there is more than the writer holds back.
func TestReadFromStreams(t *testing.T) {
	pr, pw := io.Pipe()
	c := dial(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n, err := io.Copy(w, pr)
		assert.EqualValues(t, 200001, n)
		assert.NoError(t, err)
	})))
	c.send(get)
	_, err := pw.Write(make([]byte, 200000))
	require.NoError(t, err)
	res, err := http.ReadResponse(c.r, nil)
	require.NoError(t, err)
	_, err = io.CopyN(io.Discard, res.Body, 190000)
	require.NoError(t, err)
	_, _ = pw.Write([]byte("x"))
	_ = pw.Close()
	rest, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Len(t, rest, 10001)
}

// TestEarlyHints: net/http's client gets the 103 before the handler ends.
func TestEarlyHints(t *testing.T) {
	hinted := make(chan struct{})
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		<-hinted
		w.WriteHeader(http.StatusCreated)
	}))
	r, err := http.NewRequest("GET", "http://"+addr, nil)
	require.NoError(t, err)
	r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			assert.Equal(t, http.StatusEarlyHints, code)
			assert.Equal(t, "</a.css>; rel=preload", h.Get("Link"))
			close(hinted)
			return nil
		},
	}))
	res, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	res.Body.Close()
	require.Equal(t, http.StatusCreated, res.StatusCode)
}

func TestHTTP10(t *testing.T) {
	addr := serve(t, differentialHandler())
	for name, want := range map[string]string{"small": "<html>hello", "two writes": strings.Repeat("a", 1500) + strings.Repeat("b", 1500), "flush": "onetwo"} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, addr)
			res, body := c.ask("GET / HTTP/1.0\r\nDo: " + name + "\r\n\r\n")
			require.Equal(t, "HTTP/1.0", res.Proto)
			require.Equal(t, want, body)
			require.Empty(t, res.TransferEncoding)
			c.ended()
		})
	}
}

// TestClose: both sides can ask for the end of the connection.
func TestClose(t *testing.T) {
	addr := serve(t, differentialHandler())
	for name, fields := range map[string]string{
		"client":            "Connection: close\r\n",
		"client, in a list": "Connection: x, Close\r\n",
		"handler":           "Do: close\r\n",
		"handler, Close":    "Do: Close\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, addr)
			res, _ := c.ask("GET / HTTP/1.1\r\nHost: x\r\n" + fields + "\r\n")
			require.True(t, res.Close)
			c.ended()
		})
	}
}

func TestAbort(t *testing.T) {
	addr, log := serveLogged(t, differentialHandler())
	t.Run("nothing sent", func(t *testing.T) {
		c := dial(t, addr)
		c.send(do("abort"))
		c.ended()
	})
	t.Run("a part sent", func(t *testing.T) {
		c := dial(t, addr)
		c.send(do("abort behind flush"))
		res, err := http.ReadResponse(c.r, nil)
		require.NoError(t, err)
		b, err := io.ReadAll(res.Body)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.Equal(t, "sent", string(b))
		c.ended()
	})
	require.Empty(t, log.String())
}

// TestPanic: a panic ends the connection, and is logged once.
func TestPanic(t *testing.T) {
	addr, log := serveLogged(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("oh no") }))
	c := dial(t, addr)
	c.send(get)
	c.ended()
	require.Equal(t, 1, strings.Count(log.String(), "oh no"), log.String())
	require.Contains(t, log.String(), "response_test.go", "the stack")
	require.Equal(t, 1, strings.Count(log.String(), "level=ERROR"))
}

// TestMisuse: what a handler does wrong is logged, with its place.
func TestMisuse(t *testing.T) {
	tests := map[string]struct {
		h    http.HandlerFunc
		want string
	}{
		"two WriteHeaders":         {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200); w.WriteHeader(500) }, "superfluous WriteHeader"},
		"WriteHeader behind Write": {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "x"); w.WriteHeader(500) }, "superfluous WriteHeader"},
		"hijacked": {func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			defer conn.Close()
			w.WriteHeader(200)
		}, "WriteHeader on a hijacked connection"},
		"Write behind Hijack": {func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			defer conn.Close()
			if _, err := w.Write([]byte("x")); !errors.Is(err, http.ErrHijacked) {
				panic(err)
			}
		}, "Write on a hijacked connection"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			done := make(chan struct{})
			addr, log := serveLogged(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer close(done)
				test.h(w, r)
			}))
			dial(t, addr).send(get)
			<-done
			require.Contains(t, log.String(), test.want)
			require.Contains(t, log.String(), "at=response_test.go:")
		})
	}
}

// TestLate: the writer is of no use behind the handler's return, and does no harm.
func TestLate(t *testing.T) {
	var w http.ResponseWriter
	returned := make(chan struct{}, 1)
	log := new(syncBuffer)
	addr, _ := serveWith(t, &nethttp.Server{
		Handler:  http.HandlerFunc(func(x http.ResponseWriter, _ *http.Request) { w = x }),
		Observe:  func(*http.Request, nethttp.Observation) { returned <- struct{}{} },
		ErrorLog: slog.New(slog.NewTextHandler(log, nil)),
	})
	c := dial(t, addr)
	c.ask(get)
	<-returned
	_, err := io.WriteString(w, "x")
	require.Error(t, err)
	_, err = w.Write([]byte("x"))
	require.Error(t, err)
	w.Header().Set("X", "y")
	w.WriteHeader(500)
	w.(http.Flusher).Flush()
	require.Error(t, http.NewResponseController(w).Flush())
	_, _, err = w.(http.Hijacker).Hijack()
	require.Error(t, err)
	_, err = io.Copy(w, strings.NewReader("x"))
	require.Error(t, err)
	require.Error(t, http.NewResponseController(w).SetReadDeadline(time.Now()))
	require.Contains(t, log.String(), "WriteHeader after the handler has returned")
}

// alive0 is alive for a handler that answers everything alike, maybe not at once.
func (p *peer) alive0() {
	p.send("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
	res, _ := p.answer("OPTIONS")
	require.NotZero(p.t, res.StatusCode)
}

// TestWriterInterfaces: middleware looks for these on one value.
func TestWriterInterfaces(t *testing.T) {
	_, body := dial(t, serve(t, handlers["methods of the writer"])).ask(get)
	require.Equal(t, "true true true true", body)
}

func TestHijack(t *testing.T) {
	t.Run("bytes behind the head", func(t *testing.T) {
		_, body := dial(t, serve(t, handlers["hijack"])).ask(get + "and more\n")
		require.Equal(t, `"and more\n" <nil>`, body)
	})
	t.Run("a body that was read in part", func(t *testing.T) {
		_, body := dial(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b := make([]byte, 2)
			if _, err := io.ReadFull(r.Body, b); err != nil {
				panic(err)
			}
			handlers["hijack"](w, r)
		}))).ask("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n1234\nmore")
		require.Equal(t, `"34\n" <nil>`, body)
	})
	t.Run("two writers", func(t *testing.T) {
		c := dial(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			conn, buf, err := http.NewResponseController(w).Hijack()
			if !assert.NoError(t, err) {
				return
			}
			_, _, err = w.(http.Hijacker).Hijack()
			assert.ErrorIs(t, err, http.ErrHijacked)
			assert.Zero(t, buf.Reader.Buffered())
			go func() { // the connection outlives the handler
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		})))
		c.send(get)
		c.send("echo")
		b := make([]byte, 4)
		_, err := io.ReadFull(c.r, b)
		require.NoError(t, err)
		require.Equal(t, "echo", string(b))
		require.NoError(t, c.CloseWrite())
		c.ended()
	})
	t.Run("behind a flush", func(t *testing.T) {
		c := dial(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "6")
			io.WriteString(w, "abc")
			conn, buf, err := w.(http.Hijacker).Hijack()
			if assert.NoError(t, err) {
				buf.WriteString("def")
				buf.Flush()
				conn.Close()
			}
		})))
		_, body := c.ask(get)
		require.Equal(t, "abcdef", body)
		c.ended()
	})
	t.Run("deadlines are cleared", func(t *testing.T) {
		c := dial(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			rc := http.NewResponseController(w)
			assert.NoError(t, rc.SetReadDeadline(time.Now().Add(-time.Second)))
			assert.NoError(t, rc.SetWriteDeadline(time.Now().Add(-time.Second)))
			conn, _, err := rc.Hijack()
			if assert.NoError(t, err) {
				_, err = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				assert.NoError(t, err)
				conn.Close()
			}
		})))
		c.ask(get)
		c.ended()
	})
}

func TestResponseController(t *testing.T) {
	t.Run("SetReadDeadline", func(t *testing.T) {
		c := dial(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			assert.NoError(t, http.NewResponseController(w).SetReadDeadline(time.Now().Add(50*time.Millisecond)))
			_, err := io.ReadAll(r.Body)
			fmt.Fprint(w, isTimeout(err))
		})))
		c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12")
		res, body := c.answer("POST")
		require.Equal(t, "true", body)
		require.True(t, res.Close)
		c.ended()
	})
	t.Run("SetWriteDeadline", func(t *testing.T) {
		result := make(chan error, 1)
		c := dial(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			assert.NoError(t, http.NewResponseController(w).SetWriteDeadline(time.Now().Add(200*time.Millisecond)))
			var err error
			for b := make([]byte, 64<<10); err == nil; {
				_, err = w.Write(b)
			}
			result <- err
		})))
		c.send(get) // and reads nothing
		select {
		case err := <-result:
			require.True(t, isTimeout(err), "%v", err)
		case <-time.After(5 * time.Second):
			t.Fatal("Write waits forever")
		}
	})
	t.Run("EnableFullDuplex", func(t *testing.T) {
		c := dial(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rc := http.NewResponseController(w)
			assert.NoError(t, rc.EnableFullDuplex())
			b := make([]byte, 1)
			for {
				n, readErr := r.Body.Read(b)
				_, err := w.Write(b[:n])
				assert.NoError(t, err)
				assert.NoError(t, rc.Flush())
				if readErr != nil {
					assert.ErrorIs(t, readErr, io.EOF)
					break
				}
			}
		})))
		c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n")
		var res *http.Response
		for _, s := range []string{"a", "b", "c"} {
			c.send(s)
			if res == nil {
				var err error
				res, err = http.ReadResponse(c.r, nil)
				require.NoError(t, err)
			}
			b := make([]byte, 1)
			_, err := io.ReadFull(res.Body, b)
			require.NoError(t, err)
			require.Equal(t, s, string(b))
		}
		_, err := io.ReadAll(res.Body)
		require.NoError(t, err)
	})
	t.Run("through wrappers", func(t *testing.T) {
		_, body := dial(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			rc := http.NewResponseController(wrapped{w})
			fmt.Fprint(w, rc.EnableFullDuplex(), rc.SetReadDeadline(time.Time{}), rc.SetWriteDeadline(time.Time{}))
		}))).ask(get)
		require.Equal(t, "<nil> <nil> <nil>", body)
	})
}

type wrapped struct{ http.ResponseWriter }

func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// TestLargeDownload: 32 MiB to a client that reads in bursts.
func TestLargeDownload(t *testing.T) {
	const size = 32 << 20
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		b := make([]byte, 100_000)
		for sent := 0; sent < size; {
			n, err := w.Write(b[:min(len(b), size-sent)])
			if err != nil {
				t.Error(err)
				return
			}
			sent += n
		}
	}))
	c := dial(t, addr)
	c.send(get)
	res, err := http.ReadResponse(c.r, nil)
	require.NoError(t, err)
	time.Sleep(50 * time.Millisecond)
	n, err := io.Copy(io.Discard, res.Body)
	require.NoError(t, err)
	require.EqualValues(t, size, n)
}

// TestWriteToGoneClient: writes fail once the client has gone, and nothing is left.
func TestWriteToGoneClient(t *testing.T) {
	result := make(chan error, 1)
	ended := make(chan struct{})
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var err error
		for b := make([]byte, 10_000); err == nil; {
			_, err = w.Write(b)
		}
		result <- err
		<-r.Context().Done() // failing ends it
		close(ended)
	}))
	c := dial(t, addr)
	c.send(get)
	_, err := c.r.Peek(1)
	require.NoError(t, err)
	require.NoError(t, c.SetLinger(0))
	require.NoError(t, c.Close())
	select {
	case err := <-result:
		require.Error(t, err)
	case <-time.After(5 * time.Second):
		t.Fatal("Write goes on")
	}
	<-ended
}

// TestGoexit: a handler that ends its goroutine ends the connection.
func TestGoexit(t *testing.T) {
	addr, _ := serveLogged(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { runtime.Goexit() }))
	c := dial(t, addr)
	c.send(get)
	_, err := io.ReadAll(c.r)
	if err != nil {
		require.False(t, isTimeout(err))
	}
}

// TestBareHandler: Handler is for an nng.Server that has others, too.
func TestBareHandler(t *testing.T) {
	h, err := nethttp.Handler(http.HandlerFunc(echo))
	require.NoError(t, err)
	holdMu.Lock()
	srv, err := nng.HoldServer("http://127.0.0.1:0")
	require.NoError(t, err)
	defer srv.Close()
	require.NoError(t, srv.AddHandler(h))
	require.NoError(t, srv.Start())
	holdMu.Unlock()
	a, err := srv.Addr()
	require.NoError(t, err)
	_, body := dial(t, a.String()).ask(get)
	require.Contains(t, body, "GET / HTTP/1.1")
}
