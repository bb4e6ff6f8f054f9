package interop

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gonng/nnghttp/nethttp"
	"github.com/gonng/nnghttp/nng"
	"github.com/mccutchen/go-httpbin/v2/httpbin"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A probe is a request to go-httpbin.
type probe struct {
	method, target string
	header         http.Header
	body           string
	chunked        bool        // send the body in chunks
	trailer        http.Header // behind the chunks

	// Why nng's own client, in C, is not compared with net/http's here; "" if it is.
	notNative string
}

func (p probe) String() string {
	name := p.method + " " + p.target
	for _, k := range slices.Sorted(maps.Keys(p.header)) {
		name += fmt.Sprintf(" %s=%s", k, p.header.Get(k))
	}
	if p.chunked {
		name += " chunked"
	}
	return name
}

// The reasons for notNative.
const (
	noLength   = "net/http's client says Content-Length: 0, nng's leaves it out"
	noChunks   = "nng's client sends no chunks"
	noContinue = "nng's client takes 100 Continue for the response"
)

func with(pairs ...string) http.Header {
	h := make(http.Header)
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

// probes go to every route of go-httpbin, most of them with GET, HEAD and OPTIONS.
func probes() []probe {
	form := with("Content-Type", "application/x-www-form-urlencoded")
	all := []probe{
		{method: "DELETE", target: "/delete?a=b"},
		{method: "GET", target: "/delete"}, // 405
		{method: "GET", target: "/nowhere"},
		{method: "POST", target: "/post", header: form, body: "a=1&b=2&a=3"},
		{method: "POST", target: "/post", header: form, body: "a=1", chunked: true},
		{method: "POST", target: "/post", header: with("Content-Type", "application/json"), body: `{"x":[1,2]}`},
		{method: "POST", target: "/post", header: with("Content-Type", "application/json"), body: `{"x":`}, // 400
		{method: "POST", target: "/post", header: with("Content-Type", "text/plain")},
		{method: "POST", target: "/post", header: with("Content-Type", "multipart/form-data; boundary=XX"),
			body: "--XX\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f.txt\"\r\n\r\ndata\r\n--XX--\r\n"},
		{method: "POST", target: "/post", body: strings.Repeat("0123456789", 30_000)},
		{method: "POST", target: "/post", body: strings.Repeat("0123456789", 30_000), chunked: true},
		{method: "POST", target: "/post", body: strings.Repeat("x", 2<<20)}, // larger than allowed
		{method: "PUT", target: "/put", body: "put"},
		{method: "PATCH", target: "/patch", body: "patch"},
		{method: "POST", target: "/upload", body: strings.Repeat("u", 100_000)},
		{method: "PUT", target: "/upload", body: strings.Repeat("u", 100_000), chunked: true},
		{method: "PATCH", target: "/upload", body: "u"},
		{method: "POST", target: "/anything/a?b=c", body: "thing"},
		{method: "GET", target: "/anything", body: "a GET with a body"},
		{method: "HEAD", target: "/head"},
		{method: "QUERY", target: "/anything", body: "a=b"},
		{method: "GET", target: "/get", header: with("X-Multi", "1", "X-Other", "2", "Accept-Language", "de, en;q=0.5")},
		{method: "GET", target: "/cookies", header: with("Cookie", "a=1; b=2")},
		{method: "GET", target: "/basic-auth/u/p", header: with("Authorization", "Basic dTpw")},
		{method: "GET", target: "/hidden-basic-auth/u/p", header: with("Authorization", "Basic dTpw")},
		{method: "GET", target: "/bearer", header: with("Authorization", "Bearer token")},
		{method: "GET", target: "/cache", header: with("If-None-Match", `"x"`)},
		{method: "GET", target: "/etag/abc", header: with("If-None-Match", `"abc"`)},
		{method: "GET", target: "/etag/abc", header: with("If-Match", `"other"`)},
		{method: "GET", target: "/range/100", header: with("Range", "bytes=10-19")},
		{method: "GET", target: "/range/100", header: with("Range", "bytes=200-")},
		{method: "GET", target: "/range/100", header: with("Range", "bytes=0-1,5-6")},
		{method: "GET", target: "/image", header: with("Accept", "image/webp")},
		{method: "GET", target: "/image", header: with("Accept", "text/plain")},
		{method: "POST", target: "/dump/request", body: "dump me", chunked: true},
		{method: "POST", target: "/trailers?Test-Trailer=1&Other=2", body: "with trailers", chunked: true,
			trailer: with("Sent-Trailer", "yes")},
		{method: "OPTIONS", target: "/get", header: with("Origin", "http://a.example", "Access-Control-Request-Headers", "X-A")},
		{method: "POST", target: "/post", header: with("Expect", "100-continue"), body: "after 100"},
		{method: "POST", target: "/gzip", body: "not looked at"},
		{method: "POST", target: "/delay/10ms", body: strings.Repeat("left ", 20_000)},
	}
	for _, target := range []string{
		"/", "/encoding/utf8", "/forms/post", "/get", "/get?a=1&a=2&%C3%BC=%20", "/websocket/echo",
		"/absolute-redirect/3", "/anything", "/anything/else%2Fhere?x", "/base64/aGVsbG8=", "/base64/encode/hello", "/base64/decode/%21",
		"/basic-auth/u/p", "/bearer", "/bytes/5000?seed=1", "/bytes/0?seed=1", "/cache", "/cache/60", "/cookies",
		"/cookies/delete?a", "/cookies/set?a=1&b=2", "/deflate", "/delay/10ms", "/delay/x", "/deny",
		"/digest-auth/auth/u/p", "/digest-auth/auth/u/p/SHA-256",
		"/drip?numbytes=5&duration=50ms&delay=1ms", "/drip?numbytes=10&duration=0&code=500&delay=0", "/dump/request", "/env", "/etag/abc",
		"/gzip", "/headers", "/hidden-basic-auth/u/p", "/hostname", "/html", "/image", "/image/jpeg", "/image/svg", "/image/none",
		"/ip", "/ip?format=text", "/json", "/jsonl?count=5&duration=20ms", "/links/4", "/links/4/1", "/range/100",
		"/range/3000?chunk_size=100&duration=20ms", "/redirect-to?url=/x&status_code=307", "/redirect-to", "/redirect/2",
		"/relative-redirect/1", "/response-headers?X-A=1&X-A=2&X-B=%20blank%20", "/robots.txt", "/sse?count=3&duration=20ms", "/status/200",
		"/stream-bytes/10000?seed=1&chunk_size=1000", "/stream/5", "/trailers?Test-Trailer=1&Other=2",
		"/trailers?Content-Length=1", "/unstable?seed=1", "/user-agent", "/uuid", "/version", "/xml", "/brotli",
	} {
		all = append(all, probe{method: "GET", target: target}, probe{method: "HEAD", target: target},
			probe{method: "OPTIONS", target: target})
	}
	for _, status := range []int{201, 202, 204, 205, 206, 300, 301, 302, 303, 304, 305, 307, 308, 400, 401, 402, 404, 406, 407,
		418, 429, 451, 500, 503, 599} {
		all = append(all, probe{method: "GET", target: fmt.Sprintf("/status/%d", status)})
	}
	for i, p := range all {
		switch {
		case p.notNative != "":
		case p.chunked:
			all[i].notNative = noChunks
		case p.header.Get("Expect") != "":
			all[i].notNative = noContinue
		case p.method == "POST" && p.body == "":
			all[i].notNative = noLength
		}
	}
	return all
}

// What differs between two runs for good reasons.
var generated = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`\b[0-9a-f]{60}\b`), "BOUNDARY"},
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`), "UUID"},
	{regexp.MustCompile(`"timestamp":\d+`), "TIMESTAMP"},
	{regexp.MustCompile(`total_duration;dur=[0-9.]+`), "DURATION"},
	{regexp.MustCompile(`(nonce|opaque)=[0-9a-f]+`), "$1"},
	{regexp.MustCompile(`(Expires=)[^;]+`), "$1"},
}

func normal(s string) string {
	for _, g := range generated {
		s = g.pattern.ReplaceAllString(s, g.with)
	}
	return s
}

// An outcome is what a client sees of a response, without what is generated.
type outcome struct {
	status   string
	header   http.Header
	body     string
	trailer  http.Header
	length   int64
	encoding []string
	closes   bool
	err      string
}

func normalHeader(h http.Header, target string) http.Header {
	n := make(http.Header)
	for name, values := range h {
		for _, v := range values {
			n.Add(name, normal(v))
		}
	}
	n.Del("Date")
	slices.Sort(n["Trailer"]) // go-httpbin takes these from maps
	slices.Sort(n["Set-Cookie"])
	if target == "/cache" { // made from the time
		delete(n, "Etag")
		delete(n, "Last-Modified")
	}
	return n
}

// send sends p to a server.
func (p probe) send(t testing.TB, c *http.Client, host string, closing bool) outcome {
	t.Helper()
	var body io.Reader
	if p.body != "" {
		body = strings.NewReader(p.body)
	}
	if p.chunked {
		body = io.MultiReader(body)
	}
	req, err := http.NewRequestWithContext(t.Context(), p.method, "http://"+host+p.target, body)
	require.NoError(t, err)
	maps.Copy(req.Header, p.header)
	req.Header.Set("User-Agent", "probe")
	req.Host = "peer.example"
	req.Close = closing
	if p.trailer != nil {
		req.Trailer = p.trailer.Clone()
	}
	res, err := c.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	o := outcome{status: res.Status, header: normalHeader(res.Header, p.target), encoding: res.TransferEncoding, closes: res.Close}
	b, err := io.ReadAll(res.Body)
	if err != nil {
		o.err = err.Error()
	}
	o.body, o.trailer = normal(string(b)), normalHeader(res.Trailer, p.target)
	if o.length = res.ContentLength; o.body != string(b) && o.length >= 0 {
		o.length = 0 // generated values differ in length
		o.header.Set("Content-Length", "generated")
	}
	return o
}

// routeNotes notes which patterns of a ServeMux have been asked for.
type routeNotes struct {
	h    http.Handler
	mu   sync.Mutex
	seen map[string]bool
}

func (r *routeNotes) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.h.ServeHTTP(w, req)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen[req.Pattern] = true
}

// httpbinRoutes reads the list of routes from go-httpbin's source.
func httpbinRoutes(t *testing.T) []string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/mccutchen/go-httpbin/v2").Output()
	require.NoError(t, err)
	source, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "httpbin", "httpbin.go"))
	require.NoError(t, err)
	var routes []string
	for _, m := range regexp.MustCompile(`mux\.HandleFunc\("([^"]+)"`).FindAllStringSubmatch(string(source), -1) {
		routes = append(routes, m[1])
	}
	require.Greater(t, len(routes), 60)
	return routes
}

func newHTTPBin() http.Handler {
	return httpbin.New(httpbin.WithMaxBodySize(1<<20), httpbin.WithMaxDuration(time.Second))
}

// go-httpbin on our server and on net/http: every route answers the same.
func TestHTTPBin(t *testing.T) {
	t.Parallel()
	ours := &routeNotes{h: newHTTPBin(), seen: make(map[string]bool)}
	host := mount(t, ours)
	theirs := httptest.NewServer(newHTTPBin())
	t.Cleanup(theirs.Close)
	c := newClient(t)
	for _, p := range probes() {
		want := p.send(t, c, theirs.Listener.Addr().String(), false)
		got := p.send(t, c, host, false)
		assert.Equal(t, want, got, "%v", p)
	}
	ours.mu.Lock()
	defer ours.mu.Unlock()
	for _, route := range httpbinRoutes(t) {
		assert.True(t, ours.seen[route], "no request went to %s", route)
	}
}

// go-httpbin on net/http asked over nethttp.Transport and over net/http's own: the answers
// are the same.
func TestHTTPBinTransport(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(newHTTPBin())
	t.Cleanup(server.Close)
	host := server.Listener.Addr().String()
	std, ours := newClient(t), newClient(t)
	transport := nethttp.Transport(nil)
	transport.DisableCompression = true
	t.Cleanup(transport.CloseIdleConnections)
	ours.Transport = transport
	for _, p := range probes() {
		want := p.send(t, std, host, false)
		assert.Equal(t, want, p.send(t, ours, host, false), "%v", p)
	}
}

// go-httpbin's own WebSocket, which hijacks the connection.
func TestHTTPBinWebSocket(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	c, _, err := websocket.Dial(ctx, "ws://"+mount(t, newHTTPBin())+"/websocket/echo?max_fragment_size=1000&max_message_size=5000", nil)
	require.NoError(t, err)
	defer c.CloseNow()
	for i := range 100 {
		text := strings.Repeat("x", i*9)
		require.NoError(t, c.Write(ctx, websocket.MessageText, []byte(text)))
		_, b, err := c.Read(ctx)
		require.NoError(t, err)
		require.Equal(t, text, string(b))
	}
	require.NoError(t, c.Close(websocket.StatusNormalClosure, ""))
}

// nng's client, in C, and net/http's with go-httpbin: both get the same.
func TestHTTPBinNativeClient(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(newHTTPBin())
	t.Cleanup(server.Close)
	host := server.Listener.Addr().String()
	std := newClient(t)
	client, err := nng.NewClient(server.URL)
	require.NoError(t, err)
	defer client.Close()
	compared, excluded := 0, make(map[string]int)
	for _, p := range probes() {
		if p.notNative != "" {
			excluded[p.notNative]++
			continue
		}
		want := p.send(t, std, host, true)
		assert.Equal(t, want.native(), p.transact(t, host, client.Transact), "%v", p)
		compared++
	}
	assert.Greater(t, compared, 150)
	t.Logf("%d compared, left out: %v", compared, excluded)
}

// native leaves out what nng's client does not tell.
func (o outcome) native() outcome {
	o.trailer, o.encoding, o.closes, o.length = nil, nil, false, 0
	h := make(http.Header)
	for name, values := range o.header { // nng joins fields of one name
		h.Set(name, strings.Join(slices.Sorted(slices.Values(strings.Split(strings.Join(values, ", "), ", "))), ", "))
	}
	h.Del("Transfer-Encoding")
	h.Del("Connection")
	h.Del("Trailer")
	o.header = h
	return o
}

// transact sends p with nng's client.
func (p probe) transact(t *testing.T, host string, transact func(context.Context, *nng.Request, *nng.Response) error) outcome {
	t.Helper()
	req, err := nng.NewRequest("http://" + host + p.target)
	require.NoError(t, err)
	defer req.Close()
	res, err := nng.NewResponse()
	require.NoError(t, err)
	defer res.Close()
	require.NoError(t, req.SetMethod(p.method))
	require.NoError(t, req.SetHeader("User-Agent", "probe"))
	require.NoError(t, req.SetHeader("Host", "peer.example"))
	for name, values := range p.header {
		for _, v := range values {
			require.NoError(t, req.AddHeader(name, v))
		}
	}
	if p.body != "" {
		require.NoError(t, req.CopyData([]byte(p.body)))
	}
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	if err := transact(ctx, req, res); err != nil {
		return outcome{err: err.Error()}
	}
	fields, err := res.Headers()
	require.NoError(t, err)
	h := make(http.Header)
	for _, f := range fields {
		h.Add(f.Name, f.Value)
	}
	o := outcome{status: fmt.Sprint(res.Status(), " ", res.Reason()), header: normalHeader(h, p.target), body: normal(string(res.Data()))}
	if o.body != string(res.Data()) && h.Get("Content-Length") != "" {
		o.header.Set("Content-Length", "generated")
	}
	return o.native()
}
