package nng_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A reply is what Go's client makes of an answer.
type reply struct {
	*http.Response
	body string
}

// ask sends one request with Go's client, which does not follow redirects. set may
// change the request.
func ask(t testing.TB, method, url, body string, set ...func(*http.Request)) reply {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	require.NoError(t, err)
	for _, s := range set {
		s(req)
	}
	client := http.Client{
		Timeout:       10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return reply{res, string(b)}
}

// raw sends bytes over a connection of its own and reads one response, if there is
// one, with the rest of the stream behind it.
func raw(t testing.TB, addr, request string) (res *http.Response, body string, closed bool) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = io.WriteString(conn, request)
	require.NoError(t, err)
	r := bufio.NewReader(conn)
	res, err = http.ReadResponse(r, nil)
	require.NoError(t, err)
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.NoError(t, conn.SetDeadline(time.Now().Add(300*time.Millisecond)))
	_, err = r.ReadByte()
	return res, string(b), !errors.Is(err, os.ErrDeadlineExceeded) && err != nil
}

// must is for constructors whose errors other tests look at.
func must(t testing.TB) func(*nng.Handler, error) *nng.Handler {
	return func(h *nng.Handler, err error) *nng.Handler {
		t.Helper()
		require.NoError(t, err)
		return h
	}
}

// echo answers with the method, the target and the body.
func echo(_ context.Context, _ *nng.Conn, req *nng.Request) (*nng.Response, error) {
	res, err := nng.NewResponse()
	if err != nil {
		return nil, err
	}
	return res, res.CopyData([]byte(req.Method() + " " + req.URI() + " " + string(req.Data())))
}

func method(m string) func(*nng.Handler) error {
	return func(h *nng.Handler) error { return h.SetMethod(m) }
}

func host(v string) func(*nng.Handler) error {
	return func(h *nng.Handler) error { return h.SetHost(v) }
}

func tree(h *nng.Handler) error { return h.SetTree() }

func TestFunctionHandler(t *testing.T) {
	h := newHandler(t, "/fn", echo)
	assert.Equal(t, "/fn", h.Path())
	url := httpURL(t, newServer(t, h))
	got := ask(t, "GET", url+"/fn?q=1", "")
	assert.Equal(t, 200, got.StatusCode)
	assert.Equal(t, "GET /fn?q=1 ", got.body)
	assert.Equal(t, 404, ask(t, "GET", url+"/", "").StatusCode)
	assert.Equal(t, 404, ask(t, "GET", url+"/fn/below", "").StatusCode)
	assert.Equal(t, 404, ask(t, "GET", url+"/fnord", "").StatusCode)
	assert.Equal(t, 405, ask(t, "POST", url+"/fn", "").StatusCode)

	head := ask(t, "HEAD", url+"/fn", "")
	assert.Equal(t, 200, head.StatusCode)
	assert.Empty(t, head.body)
}

func TestFileHandler(t *testing.T) {
	dir := t.TempDir()
	for name, kind := range map[string]string{
		"page.html": "text/html", "text.txt": "text/plain", "style.css": "text/css",
		"picture.png": "image/png", "SHOUT.TXT": "text/plain", "unknown.zzz": "application/octet-stream", "none": "application/octet-stream",
	} {
		file := filepath.Join(dir, name)
		writeFile(t, file, "content of "+name)
		url := httpURL(t, newServer(t, must(t)(nng.NewFileHandler("/file", file))))
		got := ask(t, "GET", url+"/file", "")
		assert.Equal(t, 200, got.StatusCode, name)
		assert.Equal(t, "content of "+name, got.body)
		assert.Equal(t, kind, strings.Split(got.Header.Get("Content-Type"), ";")[0], name)
		assert.Equal(t, int64(len(got.body)), got.ContentLength)
	}

	file := filepath.Join(dir, "late")
	url := httpURL(t, newServer(t, must(t)(nng.NewFileHandler("/late", file))))
	assert.Equal(t, 404, ask(t, "GET", url+"/late", "").StatusCode, "a missing file")
	writeFile(t, file, "one")
	assert.Equal(t, "one", get(t, url+"/late"))
	writeFile(t, file, "two")
	assert.Equal(t, "two", get(t, url+"/late"), "it is read again")
	assert.Equal(t, 405, ask(t, "POST", url+"/late", "").StatusCode)
}

func TestStaticHandler(t *testing.T) {
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB
	own := []byte("mine")
	srv := newServer(t,
		must(t)(nng.NewStaticHandler("/text", []byte("text\x00more"), "text/plain; charset=utf-8")),
		must(t)(nng.NewStaticHandler("/default", []byte("x"), "")),
		must(t)(nng.NewStaticHandler("/nil", nil, "text/plain")),
		must(t)(nng.NewStaticHandler("/empty", []byte{}, "text/plain")),
		must(t)(nng.NewStaticHandler("/large", large, "")),
		must(t)(nng.NewStaticHandler("/own", own, "")))
	own[0] = 'X'
	url := httpURL(t, srv)
	got := ask(t, "GET", url+"/text", "")
	assert.Equal(t, "text\x00more", got.body)
	assert.Equal(t, "text/plain; charset=utf-8", got.Header.Get("Content-Type"))
	assert.Equal(t, "application/octet-stream", ask(t, "GET", url+"/default", "").Header.Get("Content-Type"))
	for _, path := range []string{"/nil", "/empty"} {
		got := ask(t, "GET", url+path, "")
		assert.Equal(t, 200, got.StatusCode, path)
		assert.Empty(t, got.body, path)
		assert.Zero(t, got.ContentLength, path)
	}
	assert.Equal(t, string(large), ask(t, "GET", url+"/large", "").body)
	assert.Equal(t, "mine", get(t, url+"/own"), "the data was copied")
}

func TestRedirectHandler(t *testing.T) {
	whole := must(t)(nng.NewRedirectHandler("/tree", 303, "/new"))
	require.NoError(t, whole.SetTree())
	srv := newServer(t,
		must(t)(nng.NewRedirectHandler("/default", 0, "http://example.com/there")),
		must(t)(nng.NewRedirectHandler("/found", 302, "/there?q=1")),
		whole)
	url := httpURL(t, srv)
	got := ask(t, "GET", url+"/default", "")
	assert.Equal(t, 301, got.StatusCode)
	assert.Equal(t, "http://example.com/there", got.Header.Get("Location"))
	assert.NotEmpty(t, got.body)
	got = ask(t, "POST", url+"/found", "")
	assert.Equal(t, 302, got.StatusCode)
	assert.Equal(t, "/there?q=1", got.Header.Get("Location"))
	got = ask(t, "GET", url+"/tree/a/b?c=d", "")
	assert.Equal(t, 303, got.StatusCode)
	assert.Equal(t, "/new/a/b?c=d", got.Header.Get("Location"))
}

func TestDirectoryHandler(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "sub"), 0o700))
	writeFile(t, filepath.Join(dir, "index.html"), "index")
	writeFile(t, filepath.Join(dir, "file.txt"), "file")
	writeFile(t, filepath.Join(dir, "sub", "file.txt"), "below")
	h := must(t)(nng.NewDirectoryHandler("/docs/", dir))
	assert.Equal(t, "/docs", h.Path(), "a slash would match nothing")
	srv := newServer(t, h)
	url := httpURL(t, srv)
	for path, want := range map[string]string{
		"/docs/file.txt": "file", "/docs/sub/file.txt": "below", "/docs/": "index", "/docs": "index", "/docs/index.html": "index",
	} {
		got := ask(t, "GET", url+path, "")
		assert.Equal(t, 200, got.StatusCode, path)
		assert.Equal(t, want, got.body, path)
	}
	for _, path := range []string{"/docs/none", "/docs/sub/", "/", "/docsfile.txt"} {
		assert.Equal(t, 404, ask(t, "GET", url+path, "").StatusCode, path)
	}
	// The tree is its own.
	below := newHandler(t, "/docs/other", echo)
	defer below.Close()
	assert.ErrorIs(t, srv.AddHandler(below), nng.ErrAddrInUse)
}

func TestHandlerMethod(t *testing.T) {
	srv := newServer(t,
		newHandler(t, "/post", echo, method("POST")),
		newHandler(t, "/patch", echo, method("PATCH")),
		newHandler(t, "/any", echo, method("")),
		newHandler(t, "/both", text("get")),
		newHandler(t, "/both", text("post"), method("POST")))
	url := httpURL(t, srv)
	assert.Equal(t, "POST /post body", ask(t, "POST", url+"/post", "body").body)
	assert.Equal(t, 405, ask(t, "GET", url+"/post", "").StatusCode)
	assert.Equal(t, "PATCH /patch body", ask(t, "PATCH", url+"/patch", "body").body)
	for _, m := range []string{"GET", "POST", "DELETE", "OPTIONS", "BREW"} {
		assert.Equal(t, m+" /any ", ask(t, m, url+"/any", "").body)
	}
	assert.Equal(t, "get", ask(t, "GET", url+"/both", "").body)
	assert.Equal(t, "post", ask(t, "POST", url+"/both", "").body)

	same := newHandler(t, "/post", echo, method("POST"))
	defer same.Close()
	assert.ErrorIs(t, srv.AddHandler(same), nng.ErrAddrInUse)
}

func TestHandlerHost(t *testing.T) {
	srv := newServer(t,
		newHandler(t, "/", text("one"), host("one.example")),
		newHandler(t, "/", text("two"), host("TWO.example")),
		newHandler(t, "/only", text("only"), host("one.example")),
		newHandler(t, "/again", text("again"), host("127.0.0.1"), host("again.example")),
		newHandler(t, "/cleared", text("cleared"), host("one.example"), host("")))
	url := httpURL(t, srv)
	at := func(host, path string) reply {
		return ask(t, "GET", url+path, "", func(r *http.Request) { r.Host = host })
	}
	assert.Equal(t, "one", at("one.example", "/").body)
	assert.Equal(t, "one", at("ONE.example:1234", "/").body)
	assert.Equal(t, "two", at("two.example", "/").body)
	assert.Equal(t, 404, at("three.example", "/").StatusCode)
	assert.Equal(t, 404, at("two.example", "/only").StatusCode)
	assert.Equal(t, "again", at("again.example", "/again").body, "a name after an address (defect S27)")
	assert.Equal(t, 404, at("127.0.0.1", "/again").StatusCode)
	assert.Equal(t, "cleared", at("any.example", "/cleared").body)
}

func TestHandlerTree(t *testing.T) {
	slash := newHandler(t, "/slash/", echo, tree)
	assert.Equal(t, "/slash", slash.Path())
	srv := newServer(t,
		newHandler(t, "/a", text("a"), tree),
		newHandler(t, "/a/b", text("b"), tree),
		newHandler(t, "/a/b/c", text("c")),
		newHandler(t, "/x", text("x"), (*nng.Handler).SetTreeExclusive),
		slash)
	url := httpURL(t, srv)
	for path, want := range map[string]string{
		"/a": "a", "/a/": "a", "/a/z": "a", "/a/bz": "a", "/a/b": "b", "/a/b/z": "b", "/a/b/c": "c", "/a/b/c/d": "b",
		"/x": "x", "/x/y/z": "x", "/slash/z?q": "GET /slash/z?q ",
	} {
		assert.Equal(t, want, ask(t, "GET", url+path, "").body, path)
	}
	assert.Equal(t, 404, ask(t, "GET", url+"/az", "").StatusCode)

	for name, h := range map[string]*nng.Handler{
		"below an exclusive tree":        newHandler(t, "/x/y", echo),
		"tree below an exclusive tree":   newHandler(t, "/x/y", echo, tree),
		"the path of an exclusive tree":  newHandler(t, "/x", echo),
		"exclusive tree over a handler":  newHandler(t, "/a", echo, (*nng.Handler).SetTreeExclusive),
		"exclusive tree over everything": newHandler(t, "/", echo, (*nng.Handler).SetTreeExclusive),
		"the same tree":                  newHandler(t, "/a", echo, tree),
	} {
		assert.ErrorIs(t, srv.AddHandler(h), nng.ErrAddrInUse, name)
		assert.NoError(t, h.Close(), "it stays ours")
	}
	// Another method is in nobody's way.
	require.NoError(t, srv.AddHandler(newHandler(t, "/x/y", text("post"), method("POST"))))
	assert.Equal(t, "post", ask(t, "POST", url+"/x/y", "").body)
}

// A handler for everything: the empty path with all below it.
func TestHandlerCatchAll(t *testing.T) {
	url := httpURL(t, newServer(t, newHandler(t, "", echo, tree, method(""))))
	for _, path := range []string{"/", "/a", "/a/b/?c"} {
		assert.Equal(t, "GET "+path+" ", ask(t, "GET", url+path, "").body)
	}
}

func TestErrorPages(t *testing.T) {
	file := filepath.Join(t.TempDir(), "405.html")
	writeFile(t, file, "<p>wrong method</p>")
	srv := newServer(t,
		newHandler(t, "/get", echo),
		newHandler(t, "/gone", func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
			return nng.NewErrorResponse(410)
		}),
		newHandler(t, "/fails", func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
			return nil, nng.ErrAbortHandler
		}))
	url := httpURL(t, srv)
	before := ask(t, "GET", url+"/none", "")
	assert.Equal(t, 404, before.StatusCode)
	assert.Contains(t, before.body, "Not Found")

	require.NoError(t, srv.SetErrorPage(404, "<p>nothing here</p>"))
	require.NoError(t, srv.SetErrorPage(410, "<p>it was here</p>"))
	require.NoError(t, srv.SetErrorFile(405, file))
	writeFile(t, file, "changed later")

	got := ask(t, "GET", url+"/none", "")
	assert.Equal(t, 404, got.StatusCode)
	assert.Equal(t, "<p>nothing here</p>", got.body)
	assert.Contains(t, got.Header.Get("Content-Type"), "text/html")
	got = ask(t, "GET", url+"/gone", "")
	assert.Equal(t, 410, got.StatusCode)
	assert.Equal(t, "<p>it was here</p>", got.body)
	got = ask(t, "POST", url+"/get", "")
	assert.Equal(t, 405, got.StatusCode)
	assert.Equal(t, "<p>wrong method</p>", got.body, "the file was read when it was set")

	require.NoError(t, srv.SetErrorPage(404, "<p>still nothing</p>"))
	assert.Equal(t, "<p>still nothing</p>", ask(t, "GET", url+"/none", "").body, "it may be changed")

	// ResError puts the same page into any response.
	res := newResponse(t)
	require.NoError(t, res.SetStatus(404))
	require.NoError(t, res.SetData([]byte("body")))
	require.NoError(t, srv.ResError(res))
	assert.Equal(t, "<p>still nothing</p>", string(res.Data()))
	assert.Equal(t, 404, res.Status())
	assert.Contains(t, res.Header("Content-Type"), "text/html")
	require.NoError(t, res.SetStatus(503))
	require.NoError(t, srv.ResError(res))
	assert.Contains(t, string(res.Data()), "Service Unavailable", "a page of nng's own")
}

func TestCollectBody(t *testing.T) {
	collect := func(max int) func(*nng.Handler) error {
		return func(h *nng.Handler) error { return h.CollectBody(true, max) }
	}
	srv := newServer(t,
		newHandler(t, "/ten", echo, method("POST"), collect(10)),
		newHandler(t, "/none", echo, method("POST"), collect(0)),
		newHandler(t, "/any", echo, method("POST"), collect(-1)),
		newHandler(t, "/default", echo, method("POST")))
	post := func(path, body string) reply {
		return ask(t, "POST", httpURL(t, srv)+path, body, func(r *http.Request) {
			r.Close = true // behind its 400 C takes the body for a request (defect P1)
		})
	}
	assert.Equal(t, "POST /ten 0123456789", post("/ten", "0123456789").body)
	assert.Equal(t, "POST /ten ", post("/ten", "").body)
	assert.Equal(t, 400, post("/ten", "0123456789a").StatusCode)
	assert.Equal(t, "POST /none ", post("/none", "").body)
	assert.Equal(t, 400, post("/none", "x").StatusCode)
	large := strings.Repeat("0123456789abcdef", 1<<16)
	assert.True(t, "POST /default "+large == post("/default", large).body, "1 MiB, the default")
	assert.True(t, "POST /any "+large+"x" == post("/any", large+"x").body)

	res, _, _ := raw(t, address(t, srv), "POST /default HTTP/1.1\r\nHost: h\r\nContent-Length: 1048577\r\n\r\n")
	assert.Equal(t, 400, res.StatusCode, "one byte more, before it has come")
}

// A body in chunks is not collected: C would take it for the next request (P3).
func TestCollectBodyChunked(t *testing.T) {
	srv := newServer(t, newHandler(t, "/", echo, method("")), newHandler(t, "/admin", echo))
	answer := deliver(t, address(t, srv),
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"+
			"23\r\nGET /admin HTTP/1.1\r\nHost: h\r\n\r\n12\r\n0\r\n\r\n")
	refusedOnce(t, "501", answer, "chunks")
	got := ask(t, "POST", httpURL(t, srv)+"/", "x", func(r *http.Request) { r.ContentLength = -1 })
	assert.Equal(t, 501, got.StatusCode)
}

// Without collection the handler reads the body, in either family of methods, and the
// connection goes on behind it.
func TestOwnBody(t *testing.T) {
	own := func(h *nng.Handler) error { return h.CollectBody(false, 0) }
	answer := func(body []byte, err error) (*nng.Response, error) {
		if err != nil {
			return nil, err
		}
		res, err := nng.NewResponse()
		if err != nil {
			return nil, err
		}
		return res, res.CopyData(body)
	}
	size := func(req *nng.Request) []byte {
		n, err := strconv.Atoi(req.Header("Content-Length"))
		if err != nil {
			return nil
		}
		return make([]byte, n)
	}
	srv := newServer(t,
		newHandler(t, "/read", func(_ context.Context, conn *nng.Conn, req *nng.Request) (*nng.Response, error) {
			assert.Nil(t, req.Data())
			body := size(req)
			_, err := io.ReadFull(conn, body)
			return answer(body, err)
		}, method("POST"), own),
		newHandler(t, "/readall", func(ctx context.Context, conn *nng.Conn, req *nng.Request) (*nng.Response, error) {
			body := size(req)
			return answer(body, conn.ReadAll(ctx, body))
		}, method("POST"), own),
		newHandler(t, "/chunks", func(_ context.Context, conn *nng.Conn, req *nng.Request) (*nng.Response, error) {
			assert.Equal(t, "chunked", req.Header("Transfer-Encoding"))
			body := make([]byte, len("5\r\nhello\r\n0\r\n\r\n"))
			_, err := io.ReadFull(conn, body)
			return answer(body, err)
		}, method("POST"), own))
	large := strings.Repeat("0123456789abcdef", 1<<16)
	conn, err := net.Dial("tcp", address(t, srv))
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	r := bufio.NewReader(conn)
	for i, body := range []string{"short", large, "", "again"} {
		for _, path := range []string{"/read", "/readall"} {
			_, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
			require.NoError(t, err)
			res, err := http.ReadResponse(r, nil)
			require.NoError(t, err, "%s %d", path, i)
			got, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			assert.True(t, body == string(got), "%s %d", path, i)
			assert.False(t, res.Close)
		}
	}
	_, err = fmt.Fprint(conn, "POST /chunks HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
	require.NoError(t, err)
	res, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	got, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	assert.Equal(t, "5\r\nhello\r\n0\r\n\r\n", string(got))
}

// What a handler leaves of a body is never a request (defect P2).
func TestBodyThatIsLeft(t *testing.T) {
	own := func(h *nng.Handler) error { return h.CollectBody(false, 0) }
	var smuggledIn atomic.Int64
	kinds := map[string]nng.HandlerFunc{
		"a draft": text("ok"),
		"a response of C": func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
			return nng.NewErrorResponse(404)
		},
		"whole": func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
			return nng.WholeResponse([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")), nil
		},
		"written": func(_ context.Context, c *nng.Conn, _ *nng.Request) (*nng.Response, error) {
			_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			return nil, err
		},
		"a part is read": func(ctx context.Context, c *nng.Conn, req *nng.Request) (*nng.Response, error) {
			if _, err := c.Read(make([]byte, 1)); err != nil {
				return nil, err
			}
			return text("ok")(ctx, c, req)
		},
		"read and given back": func(ctx context.Context, c *nng.Conn, req *nng.Request) (*nng.Response, error) {
			if err := c.Unread(nil); errors.Is(err, nng.ErrNotSupported) {
				return text("ok")(ctx, c, req)
			}
			body := make([]byte, 35)
			if _, err := io.ReadFull(c, body); err != nil {
				return nil, err
			}
			if err := c.Unread(body); err != nil {
				return nil, err
			}
			return text("ok")(ctx, c, req)
		},
	}
	handlers := []*nng.Handler{newHandler(t, "/smuggled", func(ctx context.Context, c *nng.Conn, req *nng.Request) (*nng.Response, error) {
		smuggledIn.Add(1)
		return text("smuggled")(ctx, c, req)
	})}
	for name, fn := range kinds {
		handlers = append(handlers, newHandler(t, "/"+strings.ReplaceAll(name, " ", "-"), fn, method("POST"), own))
	}
	srv := newServer(t, handlers...)
	for name := range kinds {
		for fields, body := range map[string]string{
			"Content-Length: 35":         smuggled,
			"Content-Length: 36":         "x" + smuggled,
			"Transfer-Encoding: chunked": "23\r\n" + smuggled + "\r\n0\r\n\r\n",
		} {
			request := "POST /" + strings.ReplaceAll(name, " ", "-") + " HTTP/1.1\r\nHost: x\r\n" + fields + "\r\n\r\n"
			for _, pieces := range [][]string{{request + body + smuggled}, {request, body + smuggled}} {
				got := deliver(t, address(t, srv), pieces...)
				assert.Len(t, statuses(got), 1, "%s, %s: %q", name, fields, got)
			}
		}
	}
	assert.Zero(t, smuggledIn.Load())
}

// A handler that was removed can be set up again and added again, here or elsewhere.
// C would answer EBUSY forever (defect S26).
func TestHandlerReuse(t *testing.T) {
	one, two := newServer(t), newServer(t)
	h := newHandler(t, "/x", echo)
	require.NoError(t, one.AddHandler(h))
	url := httpURL(t, one) + "/x"
	assert.Equal(t, 200, ask(t, "GET", url, "").StatusCode)

	for name, err := range map[string]error{
		"SetMethod":        h.SetMethod("POST"),
		"SetHost":          h.SetHost("h"),
		"SetTree":          h.SetTree(),
		"SetTreeExclusive": h.SetTreeExclusive(),
		"CollectBody":      h.CollectBody(false, 0),
		"Close":            h.Close(),
		"added again":      one.AddHandler(h),
		"added elsewhere":  two.AddHandler(h),
	} {
		assert.ErrorIs(t, err, nng.ErrBusy, name)
	}
	assert.ErrorIs(t, two.DelHandler(h), nng.ErrNotFound)
	assert.Equal(t, 200, ask(t, "GET", url, "").StatusCode, "it has not suffered")

	require.NoError(t, one.DelHandler(h))
	assert.Equal(t, 404, ask(t, "GET", url, "").StatusCode)
	assert.ErrorIs(t, one.DelHandler(h), nng.ErrNotFound)
	require.NoError(t, h.SetMethod("POST"))
	require.NoError(t, h.SetTree())
	require.NoError(t, one.AddHandler(h))
	assert.Equal(t, "POST /x/y body", ask(t, "POST", url+"/y", "body").body)
	assert.Equal(t, 405, ask(t, "GET", url, "").StatusCode)

	require.NoError(t, one.DelHandler(h))
	require.NoError(t, two.AddHandler(h))
	assert.Equal(t, "POST /x ", ask(t, "POST", httpURL(t, two)+"/x", "").body)
	assert.Equal(t, 404, ask(t, "POST", url, "").StatusCode)
}

func TestHandlerTwice(t *testing.T) {
	srv := newServer(t, newHandler(t, "/x", text("first")))
	h := newHandler(t, "/x", text("second"))
	require.ErrorIs(t, srv.AddHandler(h), nng.ErrAddrInUse)
	assert.Equal(t, "first", get(t, httpURL(t, srv)+"/x"))
	require.NoError(t, h.SetHost("h"), "it is still ours")
	require.NoError(t, srv.AddHandler(h), "and another one for another host")
}

// freeAddress is an address that nobody listens on.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// Two servers on one address share it, which is nng's rule. Each has its handlers,
// its own start and its own stop.
func TestSharedAddress(t *testing.T) {
	url := "http://" + freeAddress(t)
	one, err := nng.HoldServer(url)
	require.NoError(t, err)
	defer one.Close()
	two, err := nng.HoldServer(url)
	require.NoError(t, err)
	defer two.Close()
	require.NoError(t, one.AddHandler(newHandler(t, "/one", text("1"))))
	require.NoError(t, two.AddHandler(newHandler(t, "/two", text("2"))))
	same := newHandler(t, "/one", text("mine"))
	defer same.Close()
	assert.ErrorIs(t, two.AddHandler(same), nng.ErrAddrInUse)

	require.NoError(t, one.Start())
	require.NoError(t, two.Start())
	assert.Equal(t, address(t, one), address(t, two))
	assert.Equal(t, "1", get(t, url+"/one"))
	assert.Equal(t, "2", get(t, url+"/two"))

	require.NoError(t, one.Stop(background()))
	assert.Equal(t, "2", get(t, url+"/two"), "two is still started")
	require.NoError(t, one.Close())
	assert.Equal(t, 404, ask(t, "GET", url+"/one", "").StatusCode, "the handlers of one have gone")
	assert.Equal(t, "2", get(t, url+"/two"))
	require.NoError(t, two.Close())
	_, err = net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	assert.Error(t, err)

	// The address is free for a new one, with TLS if need be.
	again := newServerURL(t, url, nil, newHandler(t, "/", text("again")))
	assert.Equal(t, "again", get(t, httpURL(t, again)+"/"))
}

// nng would give the plain server to whoever asks for TLS (defect S25).
func TestSharedAddressSecure(t *testing.T) {
	addr := freeAddress(t)
	plain, err := nng.HoldServer("http://" + addr)
	require.NoError(t, err)
	defer plain.Close()
	for _, scheme := range []string{"https://", "wss://"} {
		_, err = nng.HoldServer(scheme + addr)
		if nng.TLSEngineName() == "none" {
			require.Error(t, err)
			continue
		}
		require.ErrorIs(t, err, nng.ErrAddrInUse)
	}
	require.NoError(t, plain.Start())
	_, err = nng.HoldServer("https://" + addr)
	require.Error(t, err)
	require.NoError(t, plain.Close())

	needTLS(t)
	secure, err := nng.HoldServer("https://" + addr)
	require.NoError(t, err, "after the other one has gone")
	defer secure.Close()
	_, err = nng.HoldServer("http://" + addr)
	require.ErrorIs(t, err, nng.ErrAddrInUse)
}

// What makes a reply an error, and what the client sees of it.
func TestHandlerOutcome(t *testing.T) {
	srv := newServer(t,
		newHandler(t, "/abort", func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
			return nil, nng.ErrAbortHandler
		}),
		newHandler(t, "/abort-panic", func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
			panic(nng.ErrAbortHandler)
		}),
		newHandler(t, "/write", func(_ context.Context, conn *nng.Conn, _ *nng.Request) (*nng.Response, error) {
			_, err := io.WriteString(conn, "HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok")
			return nil, err
		}))
	url := httpURL(t, srv)
	for _, path := range []string{"/abort", "/abort-panic"} {
		_, err := http.Get(url + path)
		assert.ErrorIs(t, err, io.EOF, path)
	}
	got := ask(t, "GET", url+"/write", "")
	assert.Equal(t, 202, got.StatusCode)
	assert.Equal(t, "ok", got.body)
}
