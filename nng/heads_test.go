package nng_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The tests here are for what C does with the head of a request before a handler is
// asked. The patches are 0014 to 0022.

// everything makes a handler of all paths and methods.
func everything(t *testing.T, fn nng.HandlerFunc) *nng.Handler {
	return newHandler(t, "", fn, (*nng.Handler).SetTree, func(h *nng.Handler) error { return h.SetMethod("") },
		func(h *nng.Handler) error { return h.CollectBody(false, 0) })
}

// requestLine answers with the method and the target of the request.
func requestLine(_ context.Context, _ *nng.Conn, req *nng.Request) (*nng.Response, error) {
	return text(req.Method()+" "+req.URI())(context.Background(), nil, nil)
}

// statuses lists the status codes of the replies in a stream.
func statuses(stream string) (codes []string) {
	for rest := stream; ; {
		_, after, ok := strings.Cut(rest, "HTTP/1.1 ")
		if !ok {
			return codes
		}
		codes = append(codes, after[:3])
		rest = after
	}
}

// firstReply sends bytes and returns the first reply, without waiting for the server's
// close; nil when the server only closes.
func firstReply(t *testing.T, srv *nng.Server, send string) (res *http.Response, body string) {
	t.Helper()
	c, err := net.Dial("tcp", address(t, srv))
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = io.WriteString(c, send)
	require.NoError(t, err)
	if res, err = http.ReadResponse(bufio.NewReader(c), nil); err != nil {
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
		return nil, ""
	}
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res, string(b)
}

const hostClose = "Host: x\r\nConnection: close\r\n\r\n"

func TestEmptyLinesBeforeARequest(t *testing.T) {
	srv := newServer(t, newHandler(t, "/post", upstreamEcho, func(h *nng.Handler) error { return h.SetMethod("POST") }),
		newHandler(t, "/get", text("got")))
	for _, blank := range []string{"\r\n", "\n", "\r\n\r\n\r\n"} {
		got := exchange(t, address(t, srv), blank+
			"POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n1234"+blank+"GET /get HTTP/1.1\r\n"+hostClose)
		assert.Equal(t, []string{"200", "200"}, statuses(got), "%q", got)
		assert.True(t, strings.HasSuffix(got, "got"), "%q", got)
	}

	c, err := net.Dial("tcp", address(t, srv))
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	for _, part := range []string{"\r", "\n", "GET /get HTTP/1.1\r\n" + hostClose} {
		_, err = io.WriteString(c, part)
		require.NoError(t, err)
		time.Sleep(20 * time.Millisecond)
	}
	got, err := io.ReadAll(c)
	require.NoError(t, err)
	assert.Equal(t, []string{"200"}, statuses(string(got)), "in pieces")
}

func TestFieldBytes(t *testing.T) {
	srv := newServer(t, everything(t, func(ctx context.Context, c *nng.Conn, req *nng.Request) (*nng.Response, error) {
		return text("X=<"+req.Header("X")+">")(ctx, c, req)
	}))
	send := func(line, field string) string {
		return exchange(t, address(t, srv), line+"\r\n"+field+"\r\n"+hostClose)
	}
	const line = "GET / HTTP/1.1"
	for value, want := range map[string]string{
		"é":             "é",
		"\xff\x80":      "\xff\x80",
		"a\tb":          "a\tb",
		" \t a b \t ":   "a b",
		"\t\xa0caf\xe9": "\xa0caf\xe9",
	} {
		assert.Contains(t, send(line, "X:"+value), "X=<"+want+">", "%q", value)
	}
	refused := func(line, field string) {
		t.Helper()
		if res, _ := firstReply(t, srv, line+"\r\n"+field+"\r\n"+hostClose); res != nil {
			assert.Equal(t, 400, res.StatusCode, "%q %q", line, field)
		}
	}
	for c := range byte(' ') {
		if c != '\t' && c != '\n' {
			refused(line, "X: a"+string(rune(c))+"b")
		}
	}
	for _, odd := range []string{"\t", "\x80", "é", "\xff"} {
		refused(line, "X"+odd+": 1")
		refused(line, odd+"X: 1")
		refused("GET /"+odd+" HTTP/1.1", "Y: 1")
		refused("GET /%"+odd+"0 HTTP/1.1", "Y: 1")
		refused("G"+odd+"T / HTTP/1.1", "Y: 1")
		refused("GET / HTTP/1.1"+odd, "Y: 1")
	}

	// A client accepts them too, and in the reason.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = http.ReadRequest(bufio.NewReader(c))
		_, _ = io.WriteString(c, "HTTP/1.1 200 caf\xe9\tok\r\nX: \xff\ty\r\nContent-Length: 0\r\n\r\n")
	}()
	url := "http://" + l.Addr().String()
	client, err := nng.NewClient(url)
	require.NoError(t, err)
	defer client.Close()
	req, err := nng.NewRequest(url + "/")
	require.NoError(t, err)
	defer req.Close()
	res, err := nng.NewResponse()
	require.NoError(t, err)
	defer res.Close()
	require.NoError(t, client.Transact(timeout(t, 10*time.Second), req, res))
	assert.Equal(t, "caf\xe9\tok", res.Reason())
	assert.Equal(t, "\xff\ty", res.Header("X"))
}

func TestLargeHeads(t *testing.T) {
	sizes := func(ctx context.Context, c *nng.Conn, req *nng.Request) (*nng.Response, error) {
		return text(fmt.Sprint(len(req.URI()), " ", len(req.Header("A")), " ", len(req.Header("Z")), "\n"))(ctx, c, req)
	}
	srv := newServer(t, everything(t, sizes))

	t.Run("a head of many lines", func(t *testing.T) {
		for _, lines := range []int{100, 400} {
			head := "GET / HTTP/1.1\r\nA: 1\r\n"
			for i := range lines {
				head += fmt.Sprintf("X-%03d: %s\r\n", i, strings.Repeat("x", 80+i%7))
			}
			got := exchange(t, address(t, srv), head+"Z: 22\r\n"+hostClose)
			assert.Equal(t, []string{"200"}, statuses(got))
			assert.Contains(t, got, "1 1 2\n", "%d lines", lines)
		}
	})
	t.Run("long lines", func(t *testing.T) {
		for _, n := range []int{8000, 8185, 8186, 8187, 8192, 16384, 40000, 65500} {
			got := exchange(t, address(t, srv), "GET / HTTP/1.1\r\nA: "+strings.Repeat("a", n)+"\r\nZ: 1\r\n"+hostClose)
			assert.Contains(t, got, fmt.Sprintf("1 %d 1\n", n))
			got = exchange(t, address(t, srv), "GET /"+strings.Repeat("a", n)+" HTTP/1.1\r\nZ: 1\r\n"+hostClose)
			assert.Contains(t, got, fmt.Sprintf("%d 0 1\n", n+1))
		}
	})
	t.Run("pipelined requests", func(t *testing.T) {
		const n = 200
		var burst strings.Builder
		for i := range n {
			fmt.Fprintf(&burst, "GET /%d HTTP/1.1\r\nHost: x\r\nA: %s\r\n\r\n", i, strings.Repeat("a", 200+i))
		}
		burst.WriteString("GET / HTTP/1.1\r\n" + hostClose)
		got := exchange(t, address(t, srv), burst.String())
		assert.Len(t, statuses(got), n+1)
		assert.Contains(t, got, fmt.Sprintf(" %d 0\n", 200+n-1))
	})
	t.Run("one byte at a time", func(t *testing.T) {
		c, err := net.Dial("tcp", address(t, srv))
		require.NoError(t, err)
		defer c.Close()
		require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
		head := "GET / HTTP/1.1\r\nA: " + strings.Repeat("a", 8000) + "\r\nZ: " + strings.Repeat("z", 9000) + "\r\n" + hostClose
		for i := 0; i < len(head); i += 7 {
			_, err = io.WriteString(c, head[i:min(i+7, len(head))])
			require.NoError(t, err)
		}
		got, err := io.ReadAll(c)
		require.NoError(t, err)
		assert.Contains(t, string(got), "1 8000 9000\n")
	})
	t.Run("TLS", func(t *testing.T) {
		needTLS(t)
		srv := newServerURL(t, "https://127.0.0.1:0", serverTLS(t), everything(t, sizes))
		for n, status := range map[int]string{40000: "200", 170000: "431"} {
			c, err := tls.Dial("tcp", address(t, srv), &tls.Config{InsecureSkipVerify: true})
			require.NoError(t, err)
			defer c.Close()
			require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Second)))
			_, err = io.WriteString(c, "GET / HTTP/1.1\r\nA: "+strings.Repeat("a", n)+"\r\n"+hostClose)
			require.NoError(t, err)
			got, err := io.ReadAll(c)
			require.NoError(t, err)
			assert.Equal(t, []string{status}, statuses(string(got)))
		}
	})
	// What the buffer holds behind a large head belongs to whoever takes the connection.
	t.Run("hijack behind it", func(t *testing.T) {
		conns := make(chan *nng.Conn, 1)
		srv := newServer(t, newHandler(t, "/take", hijacker(conns)))
		c, err := net.Dial("tcp", address(t, srv))
		require.NoError(t, err)
		defer c.Close()
		early := strings.Repeat("0123456789", 1000)
		_, err = io.WriteString(c, "GET /take HTTP/1.1\r\nHost: x\r\nA: "+strings.Repeat("a", 20000)+"\r\n\r\n"+early)
		require.NoError(t, err)
		select {
		case conn := <-conns:
			defer conn.Close()
			require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
			got := make([]byte, len(early))
			_, err = io.ReadFull(conn, got)
			require.NoError(t, err)
			assert.Equal(t, early, string(got))
		case <-time.After(10 * time.Second):
			t.Fatal("the handler was not called")
		}
	})
	t.Run("a response", func(t *testing.T) {
		web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("A", strings.Repeat("a", 30000))
			_, _ = io.WriteString(w, "body")
		})}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		go func() { _ = web.Serve(l) }()
		defer web.Close()
		url := "http://" + l.Addr().String()
		client, err := nng.NewClient(url)
		require.NoError(t, err)
		defer client.Close()
		req, err := nng.NewRequest(url + "/")
		require.NoError(t, err)
		defer req.Close()
		res, err := nng.NewResponse()
		require.NoError(t, err)
		defer res.Close()
		require.NoError(t, client.Transact(timeout(t, 10*time.Second), req, res))
		assert.Len(t, res.Header("A"), 30000)
		assert.Equal(t, "body", string(res.Data()))
	})
}

func TestBadRequestsAreAnswered(t *testing.T) {
	srv := newServer(t, everything(t, text("handled")))
	long := strings.Repeat("a", 70000)
	for request, status := range map[string]int{
		"GARBAGE\r\n":   400,
		"GET /\r\n\r\n": 400,
		"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n":  400,
		"GET / HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n": 400,
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03":   400, // TLS
		"GET / HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n":   400,
		"GET /" + long + " HTTP/1.1\r\nHost: x\r\n\r\n":  414,
		long: 414,
		"GET / HTTP/1.1\r\nHost: x\r\nX: " + long + "\r\n\r\n": 431,
		"GET / HTTP/1.1\r\n" + long:                            431,
	} {
		name := request[:min(len(request), 60)]
		res, body := firstReply(t, srv, request+"\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NotNil(t, res, "%q", name)
		assert.Equal(t, status, res.StatusCode, "%q", name)
		assert.True(t, res.Close, "%q", name)
		assert.NotContains(t, body, "handled", "%q", name)
	}
	// A good request behind it is not read, and HEAD gets no page.
	got := exchange(t, address(t, srv), "HEAD / HTTP/1.1\r\nno colon\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
	assert.Equal(t, []string{"400"}, statuses(got), "%q", got)
	assert.True(t, strings.HasSuffix(got, "\r\n\r\n"), "%q", got)

	// Good requests before it are answered.
	got = exchange(t, address(t, srv), "GET / HTTP/1.1\r\nHost: x\r\n\r\nGARBAGE\r\n")
	assert.Equal(t, []string{"200", "400"}, statuses(got))
	// A client that goes away in the middle of a head gets nothing.
	c, err := net.Dial("tcp", address(t, srv))
	require.NoError(t, err)
	defer c.Close()
	_, err = io.WriteString(c, "GET / HT")
	require.NoError(t, err)
	require.NoError(t, c.(*net.TCPConn).CloseWrite())
	require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	rest, err := io.ReadAll(c)
	require.NoError(t, err)
	assert.Empty(t, rest)
}

func TestHeadLimits(t *testing.T) {
	srv := newServer(t, everything(t, text("handled")))
	heads := map[string]struct {
		line  string
		times int
		want  int
	}{
		"990 lines":             {"A: b\r\n", 990, 200},
		"1001 lines":            {"A: b\r\n", 1001, 431},
		"1 MiB less a bit":      {"A: " + strings.Repeat("b", 32763) + "\r\n", 31, 200},
		"1 MiB and a bit":       {"A: " + strings.Repeat("b", 32763) + "\r\n", 33, 431},
		"no end":                {"A: b\r\n", 200000, 431},
		"no end of empty lines": {"\r\n", 2000, 414},
	}
	for name, h := range heads {
		t.Run(name, func(t *testing.T) {
			c, err := net.Dial("tcp", address(t, srv))
			require.NoError(t, err)
			defer c.Close()
			require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Second)))
			go func() {
				head := "GET / HTTP/1.1\r\n" + hostClose[:len(hostClose)-2]
				if h.line == "\r\n" {
					head = ""
				}
				for done := 0; done < h.times; {
					n := min(h.times-done, 500)
					if _, err := io.WriteString(c, head+strings.Repeat(h.line, n)); err != nil {
						return
					}
					head = ""
					done += n
				}
				_, _ = io.WriteString(c, "\r\n")
			}()
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			require.NoError(t, err)
			assert.Equal(t, h.want, res.StatusCode)
			assert.True(t, res.Close)
		})
	}
}

// The client sends more than the server reads before it refuses, and gets the whole
// answer and a clean end.
func TestAnswerBeforeALargeBody(t *testing.T) {
	srv := newServer(t, newHandler(t, "/here", text("here")))
	body := strings.Repeat("0123456789abcdef", 1<<14)
	for name, head := range map[string]string{
		"404":         "POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n",
		"405":         "POST /here HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n",
		"400 no host": "POST /here HTTP/1.1\r\nContent-Length: %d\r\n\r\n",
		"400 garbage": "GARBAGE\r\n%d",
	} {
		t.Run(name, func(t *testing.T) {
			c, err := net.Dial("tcp", address(t, srv))
			require.NoError(t, err)
			defer c.Close()
			require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Second)))
			_, err = fmt.Fprintf(c, head, len(body))
			require.NoError(t, err)
			_, err = io.WriteString(c, body)
			require.NoError(t, err)
			time.Sleep(100 * time.Millisecond) // the answer is there before more is sent
			_, err = io.WriteString(c, "more")
			require.NoError(t, err)
			start := time.Now()
			got, err := io.ReadAll(c)
			require.NoError(t, err, "reset?")
			assert.Equal(t, []string{name[:3]}, statuses(string(got)))
			assert.Contains(t, string(got), "</html>")
			assert.Less(t, time.Since(start), 5*time.Second)
		})
	}
	t.Run("no wait without a body", func(t *testing.T) {
		fastest := time.Hour // of some, because the machine may be busy
		for range 5 {
			start := time.Now()
			got := exchange(t, address(t, srv), "GET /nowhere HTTP/1.1\r\n"+hostClose)
			assert.Equal(t, []string{"404"}, statuses(got))
			fastest = min(fastest, time.Since(start))
		}
		assert.Less(t, fastest, 400*time.Millisecond)
	})
	// A server that is closed does not wait for such a connection.
	t.Run("close", func(t *testing.T) {
		srv := newServer(t)
		c, err := net.Dial("tcp", address(t, srv))
		require.NoError(t, err)
		defer c.Close()
		_, err = io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
		require.NoError(t, err)
		_, err = http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err)
		require.NoError(t, srv.Close())
	})
}

// The same, when the answer is that of a handler which has not read the body, or not all of it.
func TestAnswerBeforeTheBodyIsRead(t *testing.T) {
	refuse := func(_ context.Context, c *nng.Conn, _ *nng.Request) (*nng.Response, error) {
		res, err := nng.NewResponse()
		if err != nil {
			return nil, err
		}
		return res, errors.Join(res.SetStatus(413), res.CopyData([]byte("</html>")), res.SetHeader("Connection", "close"))
	}
	body := strings.Repeat("0123456789abcdef", 1<<14)
	for name, fn := range map[string]nng.HandlerFunc{
		"413": refuse,
		"413 after a part": func(ctx context.Context, c *nng.Conn, req *nng.Request) (*nng.Response, error) {
			if _, err := c.Read(make([]byte, 10)); err != nil {
				return nil, err
			}
			return refuse(ctx, c, req)
		},
		"500": func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
			return nil, errors.New("as it should")
		},
	} {
		srv := newServer(t, everything(t, fn))
		for framing, head := range map[string]string{
			"length": "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n",
			"chunks": "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n",
		} {
			t.Run(name+" "+framing, func(t *testing.T) {
				var got []byte
				var err error
				for range 5 { // the machine may be busy
					got, err = upload(address(t, srv), head, body)
					if err == nil {
						break
					}
				}
				require.NoError(t, err, "reset?")
				assert.Equal(t, []string{name[:3]}, statuses(string(got)))
				assert.Contains(t, string(got), "</html>")
			})
		}
	}
}

// After an early answer the end comes at once, though the server reads on.
func TestEndAfterAnEarlyAnswer(t *testing.T) {
	srv := newServer(t, everything(t, func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
		return nng.NewErrorResponse(413)
	}))
	for _, answer := range []struct{ status, line string }{
		{"413", "POST / HTTP/1.0\r\n"}, // the handler's
		{"400", "POST / HTTP/1.1\r\n"}, // nng's, for want of a Host
	} {
		fastest := time.Hour // of some, because the machine may be busy
		for range 5 {
			start := time.Now()
			got := exchange(t, address(t, srv), answer.line+"Content-Length: 9\r\n\r\n")
			assert.Equal(t, []string{answer.status}, statuses(got))
			fastest = min(fastest, time.Since(start))
		}
		assert.Less(t, fastest, 400*time.Millisecond, answer.status)
	}
}

// upload sends a part of a request, a little more when the answer is long there, and then reads.
func upload(addr, head, body string) (answer []byte, err error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return nil, err
	}
	for _, part := range []string{head, body, "more"} {
		if part == "more" {
			time.Sleep(100 * time.Millisecond)
		}
		if _, err := io.WriteString(c, part); err != nil {
			return nil, err
		}
	}
	return io.ReadAll(c)
}

func TestTargetsWithoutPath(t *testing.T) {
	srv := newServer(t, everything(t, requestLine))
	ask := func(line string) string {
		host := "x"
		for _, h := range []string{"example.test", "[::1]", "a"} {
			if strings.HasPrefix(line, "CONNECT "+h) || strings.Contains(line, "//"+h) {
				host = h
			}
		}
		return exchange(t, address(t, srv), line+" HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
	}
	for _, line := range []string{
		"OPTIONS *",
		"CONNECT example.test:443",
		"CONNECT [::1]:443",
		"GET http://example.test", // these have a path, if an empty one
		"GET http://example.test?a=b",
		"GET http://example.test/a",
		"OPTIONS http://example.test",
		"OPTIONS /",
	} {
		assert.True(t, strings.HasSuffix(ask(line), "\r\n\r\n"+line), "%q: %q", line, ask(line))
	}
	for _, line := range []string{"GET *", "OPTIONS x", "GET example.test:443", "POST x/y"} {
		assert.Equal(t, []string{"404"}, statuses(ask(line)), line)
	}

	// Not to a handler of one path, nor to one of another method.
	srv = newServer(t, newHandler(t, "/", requestLine, func(h *nng.Handler) error { return h.SetMethod("") }))
	assert.Equal(t, []string{"404"}, statuses(ask("OPTIONS *")))
	srv = newServer(t, newHandler(t, "/", requestLine, (*nng.Handler).SetTree))
	assert.Equal(t, []string{"405"}, statuses(ask("OPTIONS *")))
	srv = newServer(t, newHandler(t, "/a", requestLine, (*nng.Handler).SetTree, func(h *nng.Handler) error { return h.SetMethod("") }))
	assert.Equal(t, []string{"404"}, statuses(ask("CONNECT a:1")))
}

func TestErrorAnswerToHead(t *testing.T) {
	post := func(h *nng.Handler) error { return h.SetMethod("POST") }
	srv := newServer(t, newHandler(t, "/here", text("here")), newHandler(t, "/post", text("here"), post))
	for _, q := range []struct {
		request string
		status  int
	}{
		{"HEAD /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", 404},
		{"HEAD /post HTTP/1.1\r\nHost: x\r\n\r\n", 405},
		{"HEAD /here HTTP/1.1\r\n\r\n", 400},
		{"HEAD /here HTTP/1.1\r\nHost: x\r\n\r\n", 200},
	} {
		got := deliver(t, address(t, srv), q.request)
		res, err := http.ReadResponse(bufio.NewReader(strings.NewReader(got)), &http.Request{Method: "HEAD"})
		require.NoError(t, err, "%q", q.request)
		assert.Equal(t, q.status, res.StatusCode)
		assert.Positive(t, res.ContentLength, "the length that GET has")
		assert.True(t, strings.HasSuffix(got, "\r\n\r\n"), "%q: %q", q.request, got)
	}
	got := deliver(t, address(t, srv), "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
	_, page, _ := strings.Cut(got, "\r\n\r\n")
	assert.Contains(t, page, "404", "GET has its page")
}

func TestHeadGoesWhereGetGoes(t *testing.T) {
	who := func(name string) nng.HandlerFunc {
		return func(ctx context.Context, c *nng.Conn, req *nng.Request) (*nng.Response, error) {
			res, err := text(name)(ctx, c, req)
			if err != nil {
				return nil, err
			}
			return res, res.SetHeader("X-Handler", name)
		}
	}
	method := func(m string) func(*nng.Handler) error {
		return func(h *nng.Handler) error { return h.SetMethod(m) }
	}
	here := func(h *nng.Handler) error { return h.SetHost("127.0.0.1") }
	srv := newServer(t, everything(t, who("all")),
		newHandler(t, "/a/b", who("b")),
		newHandler(t, "/a", who("a"), (*nng.Handler).SetTree),
		newHandler(t, "/post", who("post"), method("POST")),
		// Of the same path the first one.
		newHandler(t, "/get", who("get")), newHandler(t, "/get", who("any"), method("")),
		newHandler(t, "/any", who("any"), method("")), newHandler(t, "/any", who("get")),
		newHandler(t, "/here", who("here"), here), newHandler(t, "/here", who("get")),
		newHandler(t, "/there", who("get")), newHandler(t, "/there", who("here"), here))
	for path, want := range map[string]string{
		"/a/b": "b", "/a": "a", "/a/c": "a", "/post": "all", "/": "all", "/x": "all",
		"/get": "get", "/any": "any", "/here": "here", "/there": "get",
	} {
		for _, m := range []string{"GET", "HEAD"} {
			got := ask(t, m, httpURL(t, srv)+path, "")
			assert.Equal(t, want, got.Header.Get("X-Handler"), "%s %s", m, path)
			assert.Equal(t, 200, got.StatusCode)
		}
	}
	head, err := nng.NewHandler("/a/b", who("head"))
	require.NoError(t, err)
	require.NoError(t, head.SetMethod("HEAD"))
	require.NoError(t, srv.AddHandler(head))
	assert.Equal(t, "head", ask(t, "HEAD", httpURL(t, srv)+"/a/b", "").Header.Get("X-Handler"), "a HEAD handler of the path comes first")
}
