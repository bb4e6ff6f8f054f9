package nethttp_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gonng/nnghttp/conformance"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A difference is a request on which this package and net/http may differ.
type difference struct {
	name    string
	topic   string // of the conformance kit's case whose id the name is
	request string

	// same is empty when both do the same: equal status, fields, body, trailers, and end of
	// the connection. Otherwise ours and std are what each does (see outcome), and why is the
	// reason.
	ours, std, why string

	// patch names a patch of libnng, such as "p9". A library that has it does as net/http,
	// or what patched says.
	patch, patched string

	half bool // the client sends no further request, and closes its side
}

// Requests are followed by this one on the connection, at once.
const probe = "GET /probe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

// req makes a request of HTTP/1.1 with a Host.
func req(method, target, body string, fields ...string) string {
	return rawReq(method+" "+target+" HTTP/1.1", body, append([]string{"Host: x"}, fields...)...)
}

func rawReq(line, body string, fields ...string) string {
	return line + "\r\n" + strings.Join(append(fields, ""), "\r\n") + "\r\n" + body
}

// do asks for one of the handlers below.
func do(name string, fields ...string) string {
	return req("GET", "/", "", append(fields, "Do: "+name)...)
}

func post(body string, fields ...string) string { return req("POST", "/", body, fields...) }

func chunked(body string, fields ...string) string {
	return post(body, append(fields, "Transfer-Encoding: chunked")...)
}

// An exchange is what a client got.
type exchange struct {
	answers []string // statuses, "probe" for the answer to that
	text    string   // everything, but what may differ
	end     string   // "closed" or "open"
}

// outcome is the short form of an exchange: its statuses, and how it ended. The probe asks
// for the end of the connection, so "closed" is said only if it was not answered.
func (x exchange) outcome() string {
	all := x.answers
	if n := len(all); n == 0 || all[n-1] != "probe" {
		all = append(slices.Clone(all), x.end)
	}
	return strings.Join(all, " ")
}

// patience is how long a connection may be silent. No request leaves it open.
const patience = 20 * time.Second

// talk sends a request, and the probe unless half is set, and gathers what comes back.
func talk(addr, request string, half bool) (x exchange, err error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return x, err
	}
	defer conn.Close()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		if half {
			_, _ = io.WriteString(conn, request)
			_ = conn.(*net.TCPConn).CloseWrite()
			return
		}
		_, _ = io.WriteString(conn, request+probe)
	}()
	defer func() { <-sent }()
	defer conn.Close()
	method, _, _ := strings.Cut(request, " ")
	r := bufio.NewReader(conn)
	var text strings.Builder
	for {
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		if _, err = r.Peek(1); err != nil {
			break
		}
		res, e := http.ReadResponse(r, &http.Request{Method: method})
		if err = e; err != nil {
			x.answers = append(x.answers, "garbage")
			fmt.Fprintf(&text, "garbage: %v\n", err)
			break
		}
		body, e := io.ReadAll(res.Body)
		x.answers = append(x.answers, note(&text, res, string(body), e))
		if err = e; err != nil {
			break
		}
		if res.StatusCode >= 200 || res.StatusCode == http.StatusSwitchingProtocols {
			method = "GET" // of the probe
		}
	}
	x.end = "closed"
	if isTimeout(err) {
		x.end = "open"
	}
	fmt.Fprintf(&text, "end: %s\n", x.end)
	x.text = text.String()
	return x, nil
}

// note writes down a response and returns its short form.
func note(text *strings.Builder, res *http.Response, body string, err error) string {
	if res.Header.Get("Probe") != "" {
		text.WriteString("probe\n")
		return "probe"
	}
	status := fmt.Sprint(res.StatusCode)
	if res.StatusCode >= 400 && res.Header.Get("Handler") == "" {
		// A refusal. What it says is each server's own matter.
		fmt.Fprintf(text, "%s close=%v refused\n", status, res.Close)
		return status
	}
	res.Header.Del("Date")
	fmt.Fprintf(text, "%s %s close=%v length=%d coding=%q\n", res.Proto, status, res.Close, res.ContentLength, res.TransferEncoding)
	writeFields(text, res.Header)
	fmt.Fprintf(text, "body %q\n", body)
	if len(res.Trailer) > 0 {
		text.WriteString("trailer:\n")
		writeFields(text, res.Trailer)
	}
	if err != nil {
		fmt.Fprintf(text, "cut short\n")
		return status + " cut"
	}
	return status
}

func writeFields(w io.Writer, h http.Header) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		fmt.Fprintf(w, "  %s: %q\n", name, h[name])
	}
}

// kitRoutes are the routes of the conformance kit other than the echo; contract serves them.
var (
	kitRoutes = regexp.MustCompile("^/(status/.*|empty|last|static|hijack|get|small|late|moved|virtual|error|gone|fail|fields|files/.*)$")
	contract  = conformance.Handler()
)

// differentialHandler does what the field Do says; by default it echoes the request.
func differentialHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/probe" {
			w.Header().Set("Probe", "1")
			return
		}
		w.Header().Set("Handler", "1")
		path, _, _ := strings.Cut(r.RequestURI, "?")
		switch {
		case path == "/unread":
			handlers["skip"](w, r)
			return
		case kitRoutes.MatchString(path):
			contract.ServeHTTP(w, r)
			return
		}
		if h, ok := handlers[r.Header.Get("Do")]; ok {
			h(w, r)
			return
		}
		echo(w, r)
	})
}

// echo answers with everything that a handler can see of a request.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s %s %d.%d close=%v\n", r.Method, r.RequestURI, r.Proto, r.ProtoMajor, r.ProtoMinor, r.Close)
	fmt.Fprintf(w, "host %q length=%d coding=%q\n", r.Host, r.ContentLength, r.TransferEncoding)
	fmt.Fprintf(w, "url %q opaque=%q host=%q path=%q raw=%q query=%q\n", r.URL, r.URL.Opaque, r.URL.Host, r.URL.Path, r.URL.RawPath, r.URL.RawQuery)
	writeFields(w, r.Header)
	if len(body) > 100 {
		fmt.Fprintf(w, "body of %d bytes\n", len(body))
	} else {
		fmt.Fprintf(w, "body %q\n", body)
	}
	fmt.Fprintf(w, "error %v, short %v\n", err != nil, errors.Is(err, io.ErrUnexpectedEOF))
	writeFields(w, r.Trailer)
}

// TestDifferential sends each request to this package and to net/http.
func TestDifferential(t *testing.T) {
	h := differentialHandler()
	ours, _ := serveLogged(t, h)
	std := serveStd(t, h)

	// All go at once, because some connections are kept open for half a second.
	type pair struct{ ours, std exchange }
	results := make([]pair, len(differences))
	errs := make([]error, len(differences))
	var wg sync.WaitGroup
	limit := make(chan struct{}, 24)
	for i, d := range differences {
		if left.Has("TestDifferential/" + d.name) {
			continue
		}
		wg.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			var err1, err2 error
			results[i].ours, err1 = talk(ours, d.request, d.half)
			results[i].std, err2 = talk(std, d.request, d.half)
			errs[i] = errors.Join(err1, err2)
		})
	}
	wg.Wait()

	seen := make(map[string]bool)
	for _, topic := range append([]string{""}, kitTopics...) {
		check := func(t *testing.T) {
			for i, d := range differences {
				if d.topic != topic {
					continue
				}
				t.Run(strings.TrimPrefix(d.name, topic+"/"), func(t *testing.T) {
					require.NoError(t, errs[i])
					require.False(t, seen[d.name], "the name is there twice")
					seen[d.name] = true
					d.check(t, results[i].ours, results[i].std)
				})
			}
		}
		if topic == "" {
			check(t)
		} else {
			t.Run(topic, check)
		}
	}
}

// What differs is a case of the kit that there is.
func TestKitDifferences(t *testing.T) {
	for id := range kitDifferences {
		assert.True(t, slices.ContainsFunc(differences, func(d difference) bool { return d.name == id }), "the kit has no case %s", id)
	}
}

// check compares what this package did with what net/http did.
func (d *difference) check(t *testing.T, ours, std exchange) {
	expected, same := d.ours, d.why == ""
	if d.patch != "" && !lib.Lacks(d.patch) {
		expected, same = d.patched, d.patched == ""
	}
	if same {
		assert.Equal(t, std.text, ours.text, "request %.300q", d.request)
		return
	}
	assert.Equal(t, expected, ours.outcome(), "ours, for %.300q:\n%s", d.request, ours.text)
	assert.Equal(t, d.std, std.outcome(), "net/http, for %.300q:\n%s", d.request, std.text)
	assert.NotEqual(t, std.text, ours.text, "there is no difference any more")
}
