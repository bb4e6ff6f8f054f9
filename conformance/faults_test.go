package conformance_test

import (
	"testing"
	"time"

	"github.com/gonng/nnghttp/conformance"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Faults in what a server makes of sections that most servers get right: each is found by the case
// that names it, and net/http without the fault passes that.
func TestPlantedFaultsOfServers(t *testing.T) {
	for name, x := range map[string]struct {
		faulty
		id string
	}{
		"a trailer becomes a header field":               {faulty{out: replace(`"Host":\["x"\]`, `"X-T": ["1"]`)}, "chunks/trailer"},
		"a trailer's Host counts":                        {faulty{out: replace(`"Host":\["x"\]`, `"Host":["y"]`)}, "chunks/trailer-host"},
		"a chunk extension that is unknown is an error":  {faulty{in: replace(`3;a=b;c`, "3,a=b;c")}, "chunks/chunk-extension"},
		"the name of a coding has case":                  {faulty{in: replace(`: Chunked`, ": hunked")}, "framing/chunked-capital"},
		"an empty element of a list is a length":         {faulty{in: replace(`Content-Length: 5,`, "Content-Length: 4")}, "framing/content-length-5-comma"},
		"a fold takes the rest of the line away":         {faulty{in: replace(`X-A: b\r\n c`, "X-A: b")}, "field-lines/folded-line"},
		"NUL ends a value":                               {faulty{in: replace("X-A: a\x00b", "X-A: a")}, "field-lines/nul-in-a-value"},
		"a bare carriage return ends a line":             {faulty{in: replace(`X-A: a\rContent-Length: 5`, "X-A: a\r\nContent-Length: 5")}, "field-lines/bare-carriage-return-hides-a-field"},
		"what is left of a body is a request":            {faulty{in: replace(`Content-Length: 35\r\n`, "")}, "framing/body-looks-like-a-request"},
		"requests at once are served in part":            {faulty{out: replace(`(?s)^((?:.*?HTTP/1\.1 200 OK.*?){3}).*$`, "${1}")}, "field-lines/20-requests-of-500-bytes-at-once"},
		"%2500 is decoded twice":                         {faulty{out: replace(`/a%2500b`, "/a%00b  ")}, "targets/nul-escaped-twice"},
		"a scheme has case":                              {faulty{in: replace(`GET HTTP://h/a`, "GET XHTTP//h/a")}, "targets/absolute-capital-scheme"},
		"the path of two slashes is a host":              {faulty{in: replace(`GET //a//b`, "GET //b")}, "targets/two-slashes"},
		"405 does not say which methods there are":       {faulty{out: replace(`Allow: [^\r]*\r\n`, "")}, "responses/get-only-post"},
		"HEAD has other fields than GET":                 {faulty{out: replace(`application/json`, "text/html")}, "responses/get-only-head"},
		"a body of a byte too many is cut":               {faulty{in: replace(`Content-Length: 17\r\n\r\n0123456789abcdefg`, "Content-Length: 16\r\n\r\n0123456789abcdef")}, "responses/small-body-and-a-byte"},
		"responses come in another order":                {faulty{in: replace(`(?s)^(GET /late.*?\r\n\r\n)(GET /static.*?\r\n\r\n)`, "${2}${1}")}, "responses/late-pipelined"},
		"a response is lost when the client has ended":   {faulty{out: replace(`(?s).*late.*`, "")}, "responses/late-half-close"},
		"a redirect does not say where to":               {faulty{out: replace(`Location: [^\r]*\r\n`, "")}, "responses/moved"},
		"a host has case":                                {faulty{in: replace(`Virtual\.EXAMPLE`, "other.example")}, "responses/virtual-in-capitals"},
		"a failing handler leaves the connection":        {faulty{out: replace(`500 Internal Server Error`, "500 Internal Server Error\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK")}, "responses/fail"},
		"a host of its own serves all":                   {faulty{in: replace(`other\.example`, "virtual.example")}, "responses/virtual-of-another-host"},
		"the query is a part of a file's name":           {faulty{in: replace(`a\.txt\?v=1`, "a.txt%3Fv=1")}, "responses/file-with-a-query"},
		"an empty file is none":                          {faulty{in: replace(`empty\.txt`, "none.txt")}, "responses/file-empty"},
		"the last of a field's values is all":            {faulty{out: replace(`X-A: 1\r\n`, "")}, "responses/fields"},
		"the page of an error is another":                {faulty{out: replace(`<p>gone`, "<p>lost")}, "responses/gone"},
		"a client that waits for 100 waits":              {faulty{out: replace(`HTTP/1\.1 100 Continue\r\n\r\n`, "")}, "expectations/expect-100-continue-waits"},
		"HTTP/1.0 gets 100":                              {faulty{out: replace(`^HTTP/1\.. 200`, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200")}, "expectations/expect-100-continue-http-1-0"},
		"a persistent connection ends, and nobody says":  {faulty{out: replace(`(?s)^(HTTP/1\.1 200.*?"body":"[^"]*"\}).*$`, "${1}")}, "connections/connection-keep-alive"},
		"closed is taken for close":                      {faulty{in: replace(`Connection: closed`, "Connection: close")}, "connections/connection-closed"},
		"a lower-case head has no body, as HEAD":         {faulty{in: replace(`^head`, "HEAD")}, "request-line/lower-case-head"},
		"a line that is too long is closed with nothing": {faulty{in: func([]byte) []byte { return []byte("\x00\r\n\r\n") }, out: func([]byte) []byte { return nil }}, "request-line/line-of-100-kb"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play := func(url string, patience time.Duration) *conformance.Finding {
				rep, err := conformance.Run{Cases: cases(t, x.id), Deliveries: []conformance.Delivery{conformance.One},
					Server: &conformance.Server{URL: url, Patience: patience}}.Do(t.Context())
				require.NoError(t, err)
				return &rep.Cases[0]
			}
			f := play(standard(t), 0)
			require.Equal(t, conformance.Allowed, f.Verdict, "%s: %s", f.Answer(), f.Deliveries[0].Why)
			f = play(x.serve(t), 500*time.Millisecond)
			assert.Equal(t, conformance.Forbidden, f.Verdict, "%s", f.Answer())
		})
	}
}

// A server that does without persistent connections, and says so, breaks no rule but that of
// persistence (RFC 9112, sections 9.3 and 9.6); one that does not say so does.
func TestAnnouncedClose(t *testing.T) {
	closing := replace(`(?s)^(HTTP/1\.1 200 OK\r\n)(.*?"body":"[^"]*"\}).*$`, "${1}Connection: close\r\n${2}")
	silent := replace(`(?s)^(HTTP/1\.1 200 OK\r\n)(.*?"body":"[^"]*"\}).*$`, "${1}${2}")
	for _, x := range []struct {
		out     func([]byte) []byte
		id      string
		verdict conformance.Verdict
	}{
		{closing, "request-line/get", conformance.Allowed},
		{closing, "request-line/two-requests", conformance.Forbidden},
		{silent, "request-line/get", conformance.Forbidden},
	} {
		rep, err := conformance.Run{Cases: cases(t, x.id), Deliveries: []conformance.Delivery{conformance.One},
			Server: &conformance.Server{URL: faulty{out: x.out}.serve(t), Patience: 500 * time.Millisecond}}.Do(t.Context())
		require.NoError(t, err)
		assert.Equal(t, x.verdict, rep.Cases[0].Verdict, "%s: %s", x.id, rep.Cases[0].Answer())
	}
}
