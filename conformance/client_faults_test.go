package conformance_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/gonng/nnghttp/conformance"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A faultyClient is a client that changes what goes out and what comes in, and reads the response with
// net/http in between. It has one connection for each request.
type faultyClient struct {
	out, in func([]byte) []byte
	reply   func(*conformance.Reply) *conformance.Reply
}

func (f faultyClient) do(ctx context.Context, method, rawURL string) *conformance.Reply {
	r, err := f.exchange(ctx, method, rawURL)
	if err != nil {
		r = &conformance.Reply{Error: err.Error()}
	}
	if f.reply != nil {
		r = f.reply(r)
	}
	return r
}

func (f faultyClient) exchange(ctx context.Context, method, rawURL string) (*conformance.Reply, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	var body io.Reader
	if method == "POST" || method == "PUT" {
		body = strings.NewReader("hello")
	}
	req, err := http.NewRequestWithContext(ctx, method, rawURL, body)
	if err != nil {
		return nil, err
	}
	var sent bytes.Buffer
	if err := req.Write(&sent); err != nil {
		return nil, err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	b := sent.Bytes()
	if f.out != nil {
		b = f.out(b)
	}
	if _, err := conn.Write(b); err != nil {
		return nil, err
	}
	var all []byte
	buf := make([]byte, 64<<10)
	for end := false; !end; {
		n, err := conn.Read(buf)
		all = append(all, buf[:n]...)
		end = err != nil
		come := all
		if f.in != nil {
			come = f.in(bytes.Clone(all))
		}
		r, err := understand(method, come, end)
		if r != nil || end || err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
			return r, err
		}
	}
	return nil, io.ErrUnexpectedEOF
}

// understand returns a response when it is whole.
func understand(method string, b []byte, end bool) (*conformance.Reply, error) {
	in := bufio.NewReader(bytes.NewReader(b))
	for {
		res, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			return nil, err
		}
		if res.StatusCode < 200 {
			continue
		}
		body, err := io.ReadAll(res.Body)
		if err != nil || !end && res.ContentLength < 0 && len(res.TransferEncoding) == 0 {
			return nil, err
		}
		return conformance.NewReply(res.StatusCode, res.Header, body), nil
	}
}

// errorIs makes a reply of every error.
func errorIs(status int, body string) func(*conformance.Reply) *conformance.Reply {
	return func(r *conformance.Reply) *conformance.Reply {
		if r.Error != "" {
			return &conformance.Reply{Status: status, Body: body}
		}
		return r
	}
}

// chain returns a function that does one after the other.
func chain(all ...func([]byte) []byte) func([]byte) []byte {
	return func(b []byte) []byte {
		for _, f := range all {
			b = f(b)
		}
		return b
	}
}

// Each planted fault of a client is found by the case that names it.
func TestPlantedFaultsOfClients(t *testing.T) {
	withFields := func(names ...string) func(*conformance.Reply) *conformance.Reply {
		return func(r *conformance.Reply) *conformance.Reply {
			for _, name := range names {
				delete(r.Fields, name)
			}
			return r
		}
	}
	for name, x := range map[string]struct {
		faultyClient
		id string
	}{
		// What it sends.
		"no Host":                              {faultyClient{out: replace(`Host: [^\r]*\r\n`, "")}, "client-requests/host"},
		"two Hosts":                            {faultyClient{out: replace(`(Host: [^\r]*\r\n)`, "$1$1")}, "client-requests/host"},
		"Host without the port":                {faultyClient{out: replace(`(Host: [^:]*):\d+`, "$1")}, "client-requests/host"},
		"the user in Host":                     {faultyClient{out: replace(`Host: `, "Host: user:pass@")}, "client-requests/userinfo"},
		"a target without its query":           {faultyClient{out: replace(`\?c=d&e`, "")}, "client-requests/target"},
		"the fragment in the target":           {faultyClient{out: replace(`/a\?b`, "/a?b#c")}, "client-requests/fragment"},
		"escapes are decoded":                  {faultyClient{out: replace(`%2F`, "/")}, "client-requests/escapes"},
		"an escaped percent sign is decoded":   {faultyClient{out: replace(`%25`, "%")}, "client-requests/escaped-percent"},
		"a line feed alone ends lines":         {faultyClient{out: replace(`\r\n`, "\n")}, "client-requests/get"},
		"a blank too many in the request line": {faultyClient{out: replace(`GET /`, "GET  /")}, "client-requests/get"},
		"GET with a length":                    {faultyClient{out: replace(`(Host: )`, "Content-Length: 0\r\n$1")}, "client-requests/get"},
		"POST without a length":                {faultyClient{out: replace(`Content-Length: 5\r\n`, "")}, "client-requests/post"},
		"POST loses a byte":                    {faultyClient{out: chain(replace(`hello`, "hell"), replace(`Length: 5`, "Length: 4"))}, "client-requests/post"},
		"PUT becomes POST":                     {faultyClient{out: replace(`^PUT`, "POST")}, "client-requests/put"},
		"GET expects 100":                      {faultyClient{out: replace(`(Host: )`, "Expect: 100-continue\r\n$1")}, "client-requests/no-expectation"},
		"slashes are merged":                   {faultyClient{out: replace(`//a//b`, "/a/b")}, "client-requests/two-slashes"},
		"a length and chunks in a request":     {faultyClient{out: replace(`Content-Length: 5\r\n`, "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")}, "client-requests/post"},
		// What it makes of status lines.
		"a status that is unknown is an error": {faultyClient{reply: func(r *conformance.Reply) *conformance.Reply {
			if r.Status == 299 {
				return &conformance.Reply{Error: "what is 299?"}
			}
			return r
		}}, "client-status-lines/unknown-status-299"},
		"HTTP/1.2 is an error":             {faultyClient{in: replace(`^HTTP/1\.2`, "HTTP/x")}, "client-status-lines/http-1-2"},
		"a carriage return ends a line":    {faultyClient{in: replace(`\rX-A`, "\r\nX-A")}, "client-status-lines/bare-carriage-return"},
		"a letter in a status is left out": {faultyClient{in: replace(`2xx`, "200")}, "client-status-lines/status-with-letters"},
		"another protocol will do":         {faultyClient{in: replace(`^ICY`, "HTTP/1.1")}, "client-status-lines/another-protocol"},
		// What it makes of fields.
		"a value keeps its blanks": {faultyClient{reply: func(r *conformance.Reply) *conformance.Reply {
			if len(r.Fields["X-A"]) > 0 {
				r.Fields["X-A"][0] = "  b   "
			}
			return r
		}}, "client-fields/spaces-around-a-value"},
		"a field is lost":                          {faultyClient{reply: withFields("X-A")}, "client-fields/field"},
		"the second of two fields is lost":         {faultyClient{in: replace(`X-A: c\r\n`, "")}, "client-fields/two-of-one-name"},
		"two fields change places":                 {faultyClient{in: replace(`X-A: b\r\nX-A: c`, "X-A: c\r\nX-A: b")}, "client-fields/two-of-one-name"},
		"names are told apart by case":             {faultyClient{in: replace(`x-a: b\r\n`, "")}, "client-fields/name-in-lower-case"},
		"a folded line is a field":                 {faultyClient{in: replace(`\r\n X-B`, "\r\nX-B")}, "client-fields/folded-line-with-a-colon"},
		"a folded line is dropped":                 {faultyClient{in: replace(`\r\n c`, "")}, "client-fields/folded-line"},
		"a NUL ends a value":                       {faultyClient{in: replace(`\x00c`, "")}, "client-fields/nul-in-a-value"},
		"a carriage return in a value ends a line": {faultyClient{in: replace(`b\rX-B`, "b\r\nX-B")}, "client-fields/bare-carriage-return-in-a-value"},
		"bytes beyond ASCII are lost": {faultyClient{reply: func(r *conformance.Reply) *conformance.Reply {
			for _, values := range r.Fields {
				for i := range values {
					values[i] = strings.Map(func(c rune) rune {
						if c > '~' {
							return '?'
						}
						return c
					}, values[i])
				}
			}
			return r
		}}, "client-fields/value-of-bytes"},
		// Where it sees the end of a body.
		"a plus before a length is taken away":  {faultyClient{in: replace(`: \+5`, ": 5")}, "client-framing/content-length-plus-5"},
		"letters after a length are taken away": {faultyClient{in: replace(`: 5x`, ": 5")}, "client-framing/content-length-5x"},
		"a length has 64 bits":                  {faultyClient{in: replace(`18446744073709551621`, "5")}, "client-framing/content-length-2-to-the-64-and-5"},
		"a length has 32 bits":                  {faultyClient{in: replace(`4294967301`, "5")}, "client-framing/content-length-2-to-the-32-and-5"},
		"the first of two lengths counts":       {faultyClient{in: replace(`Content-Length: 6\r\n`, "")}, "client-framing/two-content-lengths"},
		"a body that is cut is whole":           {faultyClient{in: replace(`Length: 7`, "Length: 5")}, "client-framing/content-length-too-long"},
		"a body gets the bytes after it":        {faultyClient{in: replace(`Content-Length: 5\r\n\r\nhelloXX`, "Content-Length: 7\r\n\r\nhelloXX")}, "client-framing/content-length-too-short"},
		"a body to the end is empty":            {faultyClient{in: replace(`OK\r\n\r\n`, "OK\r\nContent-Length: 0\r\n\r\n")}, "client-framing/to-the-end"},
		"HEAD waits for a body":                 {faultyClient{reply: missing}, "client-framing/head-chunked"},
		"204 has a body": {faultyClient{reply: func(r *conformance.Reply) *conformance.Reply {
			if r.Status == 204 {
				r.Body = "hello"
			}
			return r
		}}, "client-framing/no-content-with-a-body"},
		"304 waits for its length":         {faultyClient{in: replace(`304 Not Modified`, "200 OK")}, "client-framing/not-modified-with-a-length"},
		"a length counts more than chunks": {faultyClient{in: replace(`Transfer-Encoding: chunked\r\n`, "")}, "client-framing/chunked-and-content-length"},
		"xchunked is chunked":              {faultyClient{in: replace(`xchunked`, "chunked")}, "client-framing/transfer-encoding-xchunked"},
		// Chunks.
		"CHUNKED is no coding":               {faultyClient{in: replace(`Transfer-Encoding: CHUNKED`, "Content-Length: 0")}, "client-chunks/name-in-upper-case"},
		"an extension is a part of the size": {faultyClient{in: replace(`5;a=b;c`, "5a=b")}, "client-chunks/extension"},
		"a chunk one byte too long":          {faultyClient{in: replace(`helloXX0`, "hello\r\n0")}, "client-chunks/data-too-long"},
		"0x before a size is taken away":     {faultyClient{in: replace(`0x5`, "5")}, "client-chunks/size-0x5"},
		"a size has 64 bits":                 {faultyClient{in: replace(`10000000000000005`, "5")}, "client-chunks/size-2-to-the-64-and-5"},
		"the last chunk may be missing":      {faultyClient{in: replace(`5\r\nhello\r\n$`, "5\r\nhello\r\n0\r\n\r\n")}, "client-chunks/cut-before-the-last-chunk"},
		"trailers are fields": {faultyClient{reply: func(r *conformance.Reply) *conformance.Reply {
			r.Fields["X-A"] = []string{"b"}
			return r
		}}, "client-chunks/trailer"},
		// Interim responses.
		"100 is the response": {faultyClient{in: replace(`^HTTP/1.1 100 Continue\r\n`, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n")}, "client-interim/continue"},
		"the fields of 103 are kept": {faultyClient{reply: func(r *conformance.Reply) *conformance.Reply {
			if r.Body == "hello" {
				r.Fields["X-A"] = []string{"b"}
			}
			return r
		}}, "client-interim/early-hints"},
		"103 has a body": {faultyClient{in: replace(`(103 Early Hints\r\nContent-Length: 5\r\n\r\n).{5}`, "$1")}, "client-interim/with-a-length"},
		// The end of a connection.
		"a response may end in a field":            {faultyClient{in: replace(`Content-Len$`, "Content-Length: 0\r\n\r\n")}, "client-connections/closed-in-a-field"},
		"the end without a response is a response": {faultyClient{reply: errorIs(200, "")}, "client-connections/closed-without-a-response"},
		"a reset in a body is its end":             {faultyClient{reply: errorIs(200, "hel")}, "client-connections/reset-in-a-body"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := playClient(t, &conformance.Client{Func: x.do}, x.id)
			assert.Equal(t, conformance.Forbidden, f.Verdict, "%s", f.Answer())
			good := playClient(t, &conformance.Client{Func: faultyClient{}.do}, x.id)
			assert.Equal(t, conformance.Allowed, good.Verdict, "without the fault: %s", good.Answer())
		})
	}
}

// missing makes an error of a response without a body.
func missing(r *conformance.Reply) *conformance.Reply {
	if r.Status == 200 && r.Body == "" {
		return &conformance.Reply{Error: "the body is missing"}
	}
	return r
}

// A keeper is a client with one connection that it keeps, whatever the server says, and that takes
// whatever comes for the response to its request.
type keeper struct {
	conn net.Conn
	in   *bufio.Reader
	host string
	// again: it makes every request that fails again.
	again bool
	// follows: it follows redirects.
	follows bool
	// always: it takes a connection for alive after an error, too.
	always bool
}

func (k *keeper) do(_ context.Context, method, rawURL string) *conformance.Reply {
	r, err := k.request(method, rawURL)
	if err != nil && k.again {
		k.conn = nil
		r, err = k.request(method, rawURL)
	}
	if err != nil {
		if !k.always && k.conn != nil {
			k.conn.Close()
			k.conn = nil
		}
		return &conformance.Reply{Error: err.Error()}
	}
	if to := r.Fields["Location"]; k.follows && len(to) == 1 {
		u, _ := url.Parse(rawURL)
		next, _ := u.Parse(to[0])
		return k.do(context.Background(), "GET", next.String())
	}
	return r
}

func (k *keeper) request(method, rawURL string) (*conformance.Reply, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	if k.conn == nil || k.host != u.Host {
		if k.conn, err = net.Dial("tcp", u.Host); err != nil {
			return nil, err
		}
		k.in, k.host = bufio.NewReader(k.conn), u.Host
	}
	body := ""
	if method == "POST" {
		body = "Content-Length: 5\r\n\r\nhello"
	} else {
		body = "\r\n"
	}
	if _, err := fmt.Fprintf(k.conn, "%s %s HTTP/1.1\r\nHost: %s\r\n%s", method, u.RequestURI(), u.Host, body); err != nil {
		return nil, err
	}
	res, err := http.ReadResponse(k.in, &http.Request{Method: method})
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	return conformance.NewReply(res.StatusCode, res.Header, b), nil
}

// Faults with connections.
func TestPlantedFaultsOfClientsWithConnections(t *testing.T) {
	for _, x := range []struct {
		name    string
		k       keeper
		id      string
		verdict conformance.Verdict
		answer  string
	}{
		{"close is not heard", keeper{}, "client-connections/close", conformance.Forbidden, `200 body="hello", follow-up`},
		{"close is not heard in another line", keeper{}, "client-connections/close-in-another-line", conformance.Forbidden, `200 body="hello", follow-up`},
		{"close is not heard after HEAD", keeper{}, "client-connections/close-to-head", conformance.Forbidden, `200 body="", follow-up`},
		{"a connection of HTTP/1.0 is kept", keeper{}, "client-connections/http-1-0", conformance.Forbidden, `200 body="hello", follow-up`},
		{"a second response is that of the next request", keeper{}, "client-connections/extra-response", conformance.Forbidden, `200 body="hello", misread(200 body="evil")`},
		{"and later, too", keeper{}, "client-connections/extra-response-later", conformance.Forbidden, `200 body="hello", misread(200 body="evil")`},
		{"and after HEAD", keeper{}, "client-connections/extra-response-after-head", conformance.Forbidden, `200 body="", misread(200 body="evil")`},
		{"a dead connection is used time and again", keeper{always: true}, "client-connections/closed-while-idle", conformance.Forbidden, `200 body="hello", lost`},
		{"POST is made again", keeper{again: true}, "client-connections/closed-without-a-response-to-post", conformance.Forbidden, `again, error, reconnects`},
		{"a redirect is followed", keeper{follows: true}, "client-redirects/moved-permanently", conformance.Forbidden, `request(GET /elsewhere), 200 Location=none body="elsewhere", lost`},
		{"what is right is right", keeper{}, "client-connections/keep-alive", conformance.Allowed, `200 body="hello", follow-up`},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			f := playClient(t, &conformance.Client{Func: x.k.do}, x.id)
			assert.Equal(t, x.answer, f.Answer())
			assert.Equal(t, x.verdict, f.Verdict)
		})
	}
}

// What net/http's client does otherwise than the rules have it is known, case by case.
func TestNetHTTPClient(t *testing.T) {
	known, err := conformance.LoadKnown("known/net-http-client.yaml")
	require.NoError(t, err)
	conformance.TestClient(t, &conformance.Client{Func: netHTTP(t)}, "nng-1.5.2-patched", known)
}

// A request that somebody else makes on the kit's port is not the client's.
func TestStrangers(t *testing.T) {
	good, strangers := netHTTP(t), 0
	c := &conformance.Client{Func: func(ctx context.Context, method, rawURL string) *conformance.Reply {
		if strangers == 0 {
			strangers++
			u, err := url.Parse(rawURL)
			if err == nil {
				_, err = http.Post(u.Scheme+"://"+u.Host+"/status/404", "text/plain", strings.NewReader("x"))
			}
			if err != nil {
				return &conformance.Reply{Error: err.Error()}
			}
		}
		return good(ctx, method, rawURL)
	}}
	f := playClient(t, c, "client-framing/content-length")
	assert.Equal(t, `200 body="hello", follow-up`, f.Answer())
}

// ServeClient goes by the contract.
func TestServeClient(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("X-A", strconv.Itoa(len(b)))
		w.Write([]byte{0xE9})
	}))
	defer s.Close()
	var out bytes.Buffer
	in := strings.NewReader("POST " + s.URL + "/\nGET http://127.0.0.1:0/\n")
	require.NoError(t, conformance.ServeClient(t.Context(), in, &out, netHTTP(t)))
	lines := strings.Split(out.String(), "\n")
	require.Len(t, lines, 3)
	assert.Contains(t, lines[0], `"X-A":["5"]`)
	assert.Contains(t, lines[0], `"body":"é"`)
	assert.Contains(t, lines[1], `"error":`)
	err := conformance.ServeClient(t.Context(), strings.NewReader("GET http://127.0.0.1:0/\n"), failing{}, netHTTP(t))
	assert.ErrorIs(t, err, errWrite)
}

var errWrite = errors.New("nobody reads")

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errWrite }
