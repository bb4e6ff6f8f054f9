package nng_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func newRequest(t testing.TB, url string) *nng.Request {
	t.Helper()
	req, err := nng.NewRequest(url)
	require.NoError(t, err)
	t.Cleanup(func() { req.Close() })
	return req
}

func newResponse(t testing.TB) *nng.Response {
	t.Helper()
	res, err := nng.NewResponse()
	require.NoError(t, err)
	t.Cleanup(func() { res.Close() })
	return res
}

// What nng_http_req_alloc makes of a URL is mended (defect CL12).
func TestNewRequest(t *testing.T) {
	for _, test := range []struct{ url, uri, host string }{
		{"http://host/path?q=1", "/path?q=1", "host"},
		{"http://host", "/", "host"},
		{"http://host/", "/", "host"},
		{"http://host?q=1", "/?q=1", "host"},
		{"http://host/path#fragment", "/path", "host"},
		{"http://host/path?q=1#fragment", "/path?q=1", "host"},
		{"http://host#fragment", "/", "host"},
		{"http://host:80/", "/", "host"},
		{"http://host:8080/", "/", "host:8080"},
		{"https://host/", "/", "host"},
		{"https://host:443/", "/", "host"},
		{"https://host:80/", "/", "host:80"},
		{"http://host:443/", "/", "host:443"},
		{"http://127.0.0.1:8080/a%20b", "/a%20b", "127.0.0.1:8080"},
		{"http://host/%C3%BC%2F?q=%2B%26", "/%C3%BC%2F?q=%2B%26", "host"},
		{"http://host/ü", "/%C3%BC", "host"},
		{"http://host/a/../b", "/a/../b", "host"},
		{"http://[::1]/", "/", "[::1]"},
		{"http://[::1]:80/", "/", "[::1]"},
		{"http://[::1]:8080/x", "/x", "[::1]:8080"},
		{"https://[2001:db8::1]:443", "/", "[2001:db8::1]"},
	} {
		t.Run(test.url, func(t *testing.T) {
			req := newRequest(t, test.url)
			assert.Equal(t, "GET", req.Method())
			assert.Equal(t, "HTTP/1.1", req.Version())
			assert.Equal(t, test.uri, req.URI())
			assert.Equal(t, test.host, req.Header("Host"))
			assert.Nil(t, req.Data())
		})
	}

	empty := newRequest(t, "")
	assert.Equal(t, "GET", empty.Method())
	assert.Empty(t, empty.URI())
	assert.Empty(t, empty.Header("Host"))
}

func TestRequestLine(t *testing.T) {
	req := newRequest(t, "http://host/")
	for _, method := range []string{"POST", "PATCH", "get", "M-SEARCH", strings.Repeat("X", 1024)} {
		require.NoError(t, req.SetMethod(method))
		assert.Equal(t, method, req.Method())
	}
	require.NoError(t, req.SetMethod(""))
	assert.Equal(t, "GET", req.Method())

	for _, uri := range []string{"/", "*", "/a/b?c=d", "http://host/absolute", "/%41%20%00", "/" + strings.Repeat("x", 60000)} {
		require.NoError(t, req.SetURI(uri))
		assert.Equal(t, uri, req.URI())
	}

	require.NoError(t, req.SetVersion("HTTP/1.0"))
	assert.Equal(t, "HTTP/1.0", req.Version())
	require.NoError(t, req.SetVersion(""))
	assert.Equal(t, "HTTP/1.1", req.Version())
}

func TestRequestHeaders(t *testing.T) {
	req := newRequest(t, "")
	assert.Empty(t, req.Header("X-One"))
	assert.Empty(t, req.Header("no token"), "nng would look for it")
	require.NoError(t, req.SetHeader("X-One", "1"))
	assert.Equal(t, "1", req.Header("X-One"))
	assert.Equal(t, "1", req.Header("x-ONE"))
	require.NoError(t, req.SetHeader("x-one", "uno"))
	assert.Equal(t, "uno", req.Header("X-One"), "set replaces")
	require.NoError(t, req.AddHeader("X-One", "due"))
	assert.Equal(t, "uno, due", req.Header("X-One"), "add merges")
	require.NoError(t, req.AddHeader("X-Two", "2"))
	require.NoError(t, req.SetHeader("X-Empty", ""))
	require.NoError(t, req.SetHeader("X-Tab", "a\tb \x80\xff é"))
	assert.Equal(t, "a\tb \x80\xff é", req.Header("X-Tab"))

	fields, err := req.Headers()
	require.NoError(t, err)
	require.Len(t, fields, 4)
	assert.Equal(t, "uno, due", fields[0].Value)
	assert.True(t, strings.EqualFold("X-One", fields[0].Name))
	assert.Equal(t, nng.HeaderField{Name: "X-Two", Value: "2"}, fields[1])
	assert.Equal(t, nng.HeaderField{Name: "X-Empty"}, fields[2])
	assert.Equal(t, "a\tb \x80\xff é", fields[3].Value)

	require.NoError(t, req.DelHeader("x-one"))
	assert.Empty(t, req.Header("X-One"))
	err = req.DelHeader("X-One")
	require.ErrorIs(t, err, nng.ErrNotFound)
	require.ErrorIs(t, err, fs.ErrNotExist)
	assert.Equal(t, "2", req.Header("X-Two"))
}

func TestResponseHeaders(t *testing.T) {
	res := newResponse(t)
	assert.Empty(t, res.Header("X-One"))
	require.NoError(t, res.SetHeader("X-One", "1"))
	require.NoError(t, res.SetHeader("x-one", "uno"))
	require.NoError(t, res.AddHeader("X-ONE", "due"))
	require.NoError(t, res.AddHeader("X-Two", "2"))
	assert.Equal(t, "uno, due", res.Header("X-one"))

	fields, err := res.Headers()
	require.NoError(t, err)
	require.Len(t, fields, 2)
	assert.Equal(t, "uno, due", fields[0].Value)
	assert.Equal(t, nng.HeaderField{Name: "X-Two", Value: "2"}, fields[1])

	require.NoError(t, res.DelHeader("x-one"))
	assert.Empty(t, res.Header("X-One"))
	require.ErrorIs(t, res.DelHeader("X-One"), nng.ErrNotFound)
}

// Many headers and large values keep their order and bytes.
func TestHeadersMany(t *testing.T) {
	req := newRequest(t, "")
	var want []nng.HeaderField
	for i := range 200 {
		f := nng.HeaderField{Name: fmt.Sprintf("X-Field-%d", i), Value: strings.Repeat("v:, ", i) + "."}
		want = append(want, f)
		require.NoError(t, req.SetHeader(f.Name, f.Value))
	}
	got, err := req.Headers()
	require.NoError(t, err)
	assert.Equal(t, want, got)
	require.NoError(t, req.SetMethod("OPTIONS"))
	require.NoError(t, req.SetURI("*"))
	head, err := req.Head()
	require.NoError(t, err)
	assert.Equal(t, nng.RequestHead{Method: "OPTIONS", URI: "*", Version: "HTTP/1.1", Headers: want}, head)

	longest := strings.Repeat("x", 64<<10)
	require.NoError(t, req.SetHeader("X-Long", longest))
	assert.Equal(t, longest, req.Header("X-Long"))
}

func TestRequestData(t *testing.T) {
	req := newRequest(t, "http://host/")
	body := []byte("one\x00two")
	require.NoError(t, req.CopyData(body))
	body[0] = 'X'
	assert.Equal(t, []byte("one\x00two"), req.Data(), "a copy does not change")
	assert.Equal(t, "7", req.Header("Content-Length"))

	require.NoError(t, req.SetData(body))
	assert.Equal(t, []byte("Xne\x00two"), req.Data())
	got := req.Data()
	got[0] = 'Y'
	assert.Equal(t, byte('X'), body[0], "Data is a copy")
	require.NoError(t, req.SetData([]byte("another")))
	assert.Equal(t, []byte("another"), req.Data())

	for name, empty := range map[string][]byte{"nil": nil, "empty": {}} {
		require.NoError(t, req.CopyData([]byte("full")))
		require.NoError(t, req.CopyData(empty), name)
		assert.Nil(t, req.Data(), name)
		assert.Equal(t, "0", req.Header("Content-Length"), name)
		require.NoError(t, req.SetData([]byte("full")))
		require.NoError(t, req.SetData(empty), name)
		assert.Nil(t, req.Data(), name)
		assert.Equal(t, "0", req.Header("Content-Length"), name)
	}
}

func TestResponseData(t *testing.T) {
	res := newResponse(t)
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB
	require.NoError(t, res.CopyData(large))
	assert.True(t, bytes.Equal(large, res.Data()))
	assert.Equal(t, "1048576", res.Header("Content-Length"))
	require.NoError(t, res.SetData(large[:10]))
	assert.Equal(t, large[:10], res.Data())
	assert.Equal(t, "10", res.Header("Content-Length"))

	require.NoError(t, res.SetData(nil))
	assert.Nil(t, res.Data())
	assert.Equal(t, "0", res.Header("Content-Length"))
	require.NoError(t, res.CopyData([]byte{}))
	assert.Nil(t, res.Data())
}

func TestRequestReset(t *testing.T) {
	req := newRequest(t, "http://host/path")
	require.NoError(t, req.SetMethod("PUT"))
	require.NoError(t, req.SetVersion("HTTP/1.0"))
	require.NoError(t, req.SetHeader("X-One", "1"))
	require.NoError(t, req.SetData([]byte("body")))
	require.NoError(t, req.Reset())
	assert.Equal(t, "GET", req.Method())
	assert.Equal(t, "HTTP/1.1", req.Version())
	assert.Empty(t, req.URI())
	assert.Empty(t, req.Header("Host"))
	assert.Empty(t, req.Header("X-One"))
	assert.Empty(t, req.Header("Content-Length"))
	assert.Nil(t, req.Data())
	require.NoError(t, req.SetURI("/again"))
	assert.Equal(t, "/again", req.URI())
}

func TestResponseReset(t *testing.T) {
	for name, make := range map[string]func() (*nng.Response, error){
		"plain": nng.NewResponse,
		"error": func() (*nng.Response, error) { return nng.NewErrorResponse(404) },
	} {
		t.Run(name, func(t *testing.T) {
			res, err := make()
			require.NoError(t, err)
			defer res.Close()
			require.NoError(t, res.SetStatus(503))
			require.NoError(t, res.SetReason("Busy"))
			require.NoError(t, res.SetVersion("HTTP/1.0"))
			require.NoError(t, res.SetHeader("X-One", "1"))
			require.NoError(t, res.SetData([]byte("body")))
			require.NoError(t, res.Reset())
			assert.Equal(t, 200, res.Status())
			assert.Equal(t, "OK", res.Reason())
			assert.Equal(t, "HTTP/1.1", res.Version())
			assert.Empty(t, res.Header("X-One"))
			assert.Empty(t, res.Header("Content-Type"))
			assert.Nil(t, res.Data())
		})
	}
}

func TestResponseStatus(t *testing.T) {
	res := newResponse(t)
	assert.Equal(t, 200, res.Status())
	assert.Equal(t, "OK", res.Reason())
	assert.Equal(t, "HTTP/1.1", res.Version())
	for status, reason := range map[int]string{
		100: "Continue",
		101: "Switching Protocols",
		204: "No Content",
		304: "Not Modified",
		404: "Not Found",
		500: "Internal Server Error",
		// nng's own table lacks these (defect P29).
		207: "Multi-Status",
		208: "Already Reported",
		226: "IM Used",
		308: "Permanent Redirect",
		413: "Content Too Large",
		422: "Unprocessable Content",
		502: "Bad Gateway",
	} {
		require.NoError(t, res.SetStatus(status))
		assert.Equal(t, status, res.Status())
		// Older texts say "Request Entity Too Large" and "Unprocessable Entity".
		switch got := res.Reason(); status {
		case 413:
			assert.Regexp(t, "Too Large$", got)
		case 422:
			assert.Regexp(t, "^Unprocessable ", got)
		default:
			assert.Equal(t, reason, got, "%d", status)
		}
	}
	require.NoError(t, res.SetStatus(999))
	assert.Equal(t, 999, res.Status())
	assert.NotEmpty(t, res.Reason())

	require.NoError(t, res.SetStatus(404))
	require.NoError(t, res.SetReason("Gone Fishing"))
	assert.Equal(t, "Gone Fishing", res.Reason())
	assert.Equal(t, 404, res.Status())
	require.NoError(t, res.SetReason(""))
	assert.Equal(t, "Not Found", res.Reason())
	require.NoError(t, res.SetStatus(502))
	require.NoError(t, res.SetReason(""))
	assert.Equal(t, "Bad Gateway", res.Reason())

	require.NoError(t, res.SetVersion("HTTP/1.0"))
	assert.Equal(t, "HTTP/1.0", res.Version())
	require.NoError(t, res.SetVersion(""))
	assert.Equal(t, "HTTP/1.1", res.Version())
}

func TestNewErrorResponse(t *testing.T) {
	for status, reason := range map[int]string{404: "Not Found", 502: "Bad Gateway", 308: "Permanent Redirect", 500: "Internal Server Error"} {
		res, err := nng.NewErrorResponse(status)
		require.NoError(t, err)
		assert.Equal(t, status, res.Status())
		assert.Equal(t, reason, res.Reason())
		assert.Contains(t, res.Header("Content-Type"), "text/html")
		assert.Contains(t, string(res.Data()), fmt.Sprint(status))
		assert.Equal(t, fmt.Sprint(len(res.Data())), res.Header("Content-Length"))
		require.NoError(t, res.Close())
	}
}

// wire is a connection of nng whose other end is Go's.
func wire(t testing.TB) (conn *nng.Conn, peer net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	client, err := nng.NewClient("http://" + l.Addr().String())
	require.NoError(t, err)
	defer client.Close()
	conn, err = client.Connect(timeout(t, 10*time.Second))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	peer, err = l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { peer.Close() })
	return conn, peer
}

func readString(t testing.TB, from net.Conn, n int) string {
	t.Helper()
	b := make([]byte, n)
	require.NoError(t, from.SetReadDeadline(time.Now().Add(10*time.Second)))
	for done := 0; done < n; {
		k, err := from.Read(b[done:])
		require.NoError(t, err, "after %q", b[:done])
		done += k
	}
	return string(b)
}

// C keeps the head of a message that was sent, so that changes would be half lost
// (defect CL10). They are refused until Reset.
func TestRequestSent(t *testing.T) {
	conn, peer := wire(t)
	ctx := timeout(t, 10*time.Second)
	req := newRequest(t, "http://host/first")
	require.NoError(t, req.SetMethod("PUT"))
	require.NoError(t, req.CopyData([]byte("body")))
	require.NoError(t, conn.WriteReq(ctx, req))
	const first = "PUT /first HTTP/1.1\r\nHost: host\r\nContent-Length: 4\r\n\r\nbody"
	require.Equal(t, first, readString(t, peer, len(first)))

	for name, change := range map[string]func() error{
		"SetMethod":  func() error { return req.SetMethod("GET") },
		"SetURI":     func() error { return req.SetURI("/second") },
		"SetVersion": func() error { return req.SetVersion("HTTP/1.0") },
		"SetHeader":  func() error { return req.SetHeader("X-One", "1") },
		"AddHeader":  func() error { return req.AddHeader("X-One", "1") },
		"DelHeader":  func() error { return req.DelHeader("Host") },
		"SetData":    func() error { return req.SetData([]byte("longer body")) },
		"CopyData":   func() error { return req.CopyData([]byte("longer body")) },
	} {
		assert.ErrorIs(t, change(), nng.ErrState, name)
	}
	assert.Equal(t, "/first", req.URI(), "it can be read")
	assert.Equal(t, []byte("body"), req.Data())

	require.NoError(t, conn.WriteReq(ctx, req), "it can be sent again")
	require.Equal(t, first, readString(t, peer, len(first)))

	require.NoError(t, req.Reset())
	require.NoError(t, req.SetURI("/second"))
	require.NoError(t, req.SetHeader("Host", "host"))
	require.NoError(t, conn.WriteReq(ctx, req))
	const second = "GET /second HTTP/1.1\r\nHost: host\r\n\r\n"
	require.Equal(t, second, readString(t, peer, len(second)))
}

func TestResponseSent(t *testing.T) {
	conn, peer := wire(t)
	ctx := timeout(t, 10*time.Second)
	res := newResponse(t)
	require.NoError(t, res.SetStatus(404))
	require.NoError(t, res.SetData([]byte("gone")))
	require.NoError(t, conn.WriteRes(ctx, res))
	const first = "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone"
	require.Equal(t, first, readString(t, peer, len(first)))

	for name, change := range map[string]func() error{
		"SetStatus":  func() error { return res.SetStatus(200) },
		"SetReason":  func() error { return res.SetReason("Fine") },
		"SetVersion": func() error { return res.SetVersion("HTTP/1.0") },
		"SetHeader":  func() error { return res.SetHeader("X-One", "1") },
		"AddHeader":  func() error { return res.AddHeader("X-One", "1") },
		"DelHeader":  func() error { return res.DelHeader("Content-Length") },
		"SetData":    func() error { return res.SetData(nil) },
		"CopyData":   func() error { return res.CopyData([]byte("longer body")) },
	} {
		assert.ErrorIs(t, change(), nng.ErrState, name)
	}
	assert.Equal(t, 404, res.Status())
	require.NoError(t, res.Reset())
	require.NoError(t, res.CopyData([]byte("back")))
	require.NoError(t, conn.WriteRes(ctx, res))
	const second = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nback"
	require.Equal(t, second, readString(t, peer, len(second)))
}

// ReadReq and ReadRes bring what was in the message before back to nothing.
func TestReadIntoUsed(t *testing.T) {
	conn, peer := wire(t)
	ctx := timeout(t, 10*time.Second)
	req := newRequest(t, "http://host/old")
	require.NoError(t, req.SetHeader("X-Old", "1"))
	require.NoError(t, req.SetData([]byte("old")))
	_, err := peer.Write([]byte("POST /new?q HTTP/1.0\r\nHost: there\r\nX-New: a\r\nX-New: b\r\nContent-Length: 4\r\n\r\nbody"))
	require.NoError(t, err)
	require.NoError(t, conn.ReadReq(ctx, req))
	assert.Equal(t, "POST", req.Method())
	assert.Equal(t, "/new?q", req.URI())
	assert.Equal(t, "HTTP/1.0", req.Version())
	assert.Equal(t, "there", req.Header("Host"))
	assert.Equal(t, "a, b", req.Header("X-New"))
	assert.Empty(t, req.Header("X-Old"))
	assert.Nil(t, req.Data())
	body := make([]byte, 4)
	require.NoError(t, conn.ReadAll(ctx, body))
	assert.Equal(t, "body", string(body))

	res, err := nng.NewErrorResponse(500)
	require.NoError(t, err)
	defer res.Close()
	_, err = peer.Write([]byte("HTTP/1.1 207 Many Things\r\nX-New: 1\r\n\r\n"))
	require.NoError(t, err)
	require.NoError(t, conn.ReadRes(ctx, res))
	assert.Equal(t, 207, res.Status())
	assert.Equal(t, "Many Things", res.Reason())
	assert.Equal(t, "1", res.Header("X-New"))
	assert.Nil(t, res.Data())
}

// The common calls stay cheap. Each ceiling is what was measured and one more, which
// the race detector and other compilers may need.
func TestMessageAllocs(t *testing.T) {
	req, res := newRequest(t, "http://host/"), newResponse(t)
	require.NoError(t, req.SetHeader("X-One", "1"))
	require.NoError(t, res.SetHeader("X-One", "1"))
	for _, test := range []struct {
		name string
		max  float64
		f    func()
	}{
		{"Request.Header", 3, func() { req.Header("X-One") }},
		{"Request.Header missing", 2, func() { req.Header("X-None") }},
		{"Request.SetHeader", 5, func() { _ = req.SetHeader("X-One", "1") }},
		{"Request.Method", 2, func() { req.Method() }},
		{"Response.Header", 3, func() { res.Header("X-One") }},
		{"Response.SetHeader", 5, func() { _ = res.SetHeader("X-One", "1") }},
		{"Response.SetStatus", 2, func() { _ = res.SetStatus(404) }},
		{"Response.Status", 0, func() { res.Status() }},
	} {
		got := testing.AllocsPerRun(100, test.f)
		t.Logf("%s: %.0f", test.name, got)
		assert.LessOrEqual(t, got, test.max, test.name)
	}
}

// Also in the page of an error response, which C makes (P29, patch 0011).
func TestErrorPagesNameTheirStatus(t *testing.T) {
	for status, name := range map[int]string{
		207: "Multi-Status", 208: "Already Reported", 226: "IM Used", 308: "Permanent Redirect",
		400: "Bad Request", 413: "Content Too Large", 422: "Unprocessable Content", 502: "Bad Gateway",
	} {
		res, err := nng.NewErrorResponse(status)
		require.NoError(t, err)
		assert.Contains(t, string(res.Data()), name)
		assert.Equal(t, name, res.Reason())
		require.NoError(t, res.Close())
	}
}
