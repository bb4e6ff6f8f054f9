package conformance_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
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

// standard serves the contract with net/http.
func standard(t *testing.T) string {
	s := httptest.NewUnstartedServer(conformance.Handler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}

func cases(t *testing.T, ids ...string) []*conformance.Case {
	t.Helper()
	all, err := conformance.Cases()
	require.NoError(t, err)
	if ids == nil {
		return all
	}
	var some []*conformance.Case
	for _, c := range all {
		if slices.Contains(ids, c.ID) {
			some = append(some, c)
		}
	}
	require.Len(t, some, len(ids), "%v", ids)
	return some
}

// Each recording has every case and was made with these.
func TestRecordings(t *testing.T) {
	all := cases(t)
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	assert.Contains(t, string(readme), fmt.Sprintf("has %d cases", len(all)))
	for _, name := range conformance.Recordings() {
		rec, err := conformance.LoadRecording(name)
		require.NoError(t, err)
		assert.Equal(t, name, rec.Name)
		assert.Equal(t, conformance.SetHash(), rec.SetHash, "%s is of other cases; run scripts/record", name)
		assert.Len(t, rec.Cases, len(all), name)
		for _, c := range all {
			assert.Contains(t, rec.Cases, c.ID, name)
		}
	}
	_, err = conformance.LoadRecording("nng-9")
	assert.ErrorContains(t, err, "nng-1.5.2")
}

// What net/http does otherwise than the rules have it is known, case by case.
func TestNetHTTP(t *testing.T) {
	known, err := conformance.LoadKnown("known/net-http.yaml")
	require.NoError(t, err)
	conformance.TestServer(t, conformance.Server{Start: newLocal(t).start}, "nng-1.5.2-patched", known)
}

// A faulty server: net/http with something before it that changes what goes in, or what comes out.
type faulty struct {
	in, out func([]byte) []byte
}

// replace makes a function that replaces what a pattern finds.
func replace(pattern, with string) func([]byte) []byte {
	re := regexp.MustCompile(pattern)
	return func(b []byte) []byte { return re.ReplaceAll(b, []byte(with)) }
}

// serve returns the URL of the faulty server. It takes what comes within a moment for a whole.
func (f faulty) serve(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	server := strings.TrimPrefix(standard(t), "http://")
	go func() {
		for {
			front, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer front.Close()
				back, err := net.Dial("tcp", server)
				if err != nil {
					return
				}
				defer back.Close()
				go pass(back, front, f.in)
				pass(front, back, f.out)
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

func pass(to, from net.Conn, change func([]byte) []byte) {
	buf := make([]byte, 64<<10)
	var all []byte
	for {
		_ = from.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
		n, err := from.Read(buf)
		all = append(all, buf[:n]...)
		if n > 0 {
			continue
		}
		if len(all) > 0 {
			if change != nil {
				all = change(all)
			}
			if _, err := to.Write(all); err != nil {
				return
			}
			all = nil
		}
		if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
			continue
		}
		_ = to.(*net.TCPConn).CloseWrite()
		return
	}
}

// Each planted fault is found by the case that names it.
func TestPlantedFaults(t *testing.T) {
	for name, x := range map[string]struct {
		faulty
		id string
	}{
		"a blank before a colon is taken away":     {faulty{in: replace(` :`, ":")}, "field-lines/space-before-the-colon"},
		"an empty field name is taken away":        {faulty{in: replace(`\r\n: b`, "")}, "field-lines/empty-name"},
		"lines may be folded, and lose a part":     {faulty{in: replace(`\r\n c: d`, "")}, "field-lines/folded-line-with-a-colon"},
		"a value keeps its blanks":                 {faulty{out: replace(`"b"\]`, `" b "]`)}, "field-lines/spaces-around-a-value"},
		"a second field of a name is lost":         {faulty{in: replace(`X-A: c\r\n`, "")}, "field-lines/name-of-one-name-twice"},
		"a plus before a length is taken away":     {faulty{in: replace(`: \+5`, ": 5")}, "framing/content-length-plus-5"},
		"the first of two lengths counts":          {faulty{in: replace(`Content-Length: 6\r\n`, "")}, "framing/two-content-lengths"},
		"the last of two lengths counts":           {faulty{in: replace(`Content-Length: 5\r\nContent-Length: 6`, "Content-Length: 6")}, "framing/two-content-lengths"},
		"a length beside a coding is dropped":      {faulty{in: replace(`Content-Length: 15\r\n`, "")}, "framing/chunked-and-content-length"},
		"an unknown coding is dropped":             {faulty{in: replace(`Transfer-Encoding: xchunked\r\n\r\n`, "Transfer-Encoding: chunked\r\n\r\n")}, "framing/transfer-encoding-xchunked"},
		"a chunk size in hex with 0x":              {faulty{in: replace(`0x3`, "3")}, "chunks/chunk-size-0x3"},
		"a chunk one byte too long":                {faulty{in: replace(`3\r\nabcd`, "4\r\nabcd")}, "chunks/chunk-data-too-long"},
		"bare line feeds end chunks":               {faulty{in: replace(`3\nabc`, "3\r\nabc")}, "chunks/bare-line-feed-after-a-chunk-size"},
		"HTTP/1.1 without a Host":                  {faulty{in: replace(`HTTP/1.1\r\n\r\n`, "HTTP/1.1\r\nHost: x\r\n\r\n")}, "hosts/no-host"},
		"the first of two hosts counts":            {faulty{in: replace(`Host: b\r\n`, "")}, "hosts/two-hosts"},
		"a host with a blank":                      {faulty{in: replace(`a b`, "ab")}, "hosts/host-with-space"},
		"HTTP/2.0 is served as HTTP/1.1":           {faulty{in: replace(`HTTP/2\.0`, "HTTP/1.1")}, "request-line/http-2-0"},
		"lower-case http is served":                {faulty{in: replace(`http/1\.1`, "HTTP/1.1")}, "request-line/lower-case-version"},
		"Connection: close is not heard":           {faulty{in: replace(`Connection: close\r\n\r\nGET /\?follow`, "\r\nGET /?follow")}, "connections/connection-close"},
		"a response has two lengths":               {faulty{out: replace(`Content-Length: (\d+)\r\n`, "Content-Length: $1\r\nContent-Length: 7\r\n")}, "request-line/get"},
		"a response has a length and a coding":     {faulty{out: replace(`Content-Length: (\d+)\r\n`, "Content-Length: $1\r\nTransfer-Encoding: chunked\r\n")}, "request-line/get"},
		"a response is a byte longer than it says": {faulty{out: replace(`\r\n\r\n\{`, "\r\n\r\nx{")}, "request-line/get"},
		"a response is cut":                        {faulty{out: func(b []byte) []byte { return b[:bytes.LastIndexByte(b, '}')] }}, "request-line/get"},
		"a status line without a blank":            {faulty{out: replace(`HTTP/1\.1 200 OK`, "HTTP/1.1 200")}, "request-line/get"},
		"a blank before a colon in a response":     {faulty{out: replace(`Content-Type:`, "Content-Type :")}, "request-line/get"},
		"the answer to HEAD has a body":            {faulty{out: replace(`\r\n\r\n`, "\r\n\r\nbody")}, "framing/head-with-a-body"},
		"the method is another one":                {faulty{out: replace(`"method":"POST"`, `"method":"GET"`)}, "request-line/post"},
		"the target loses its query":               {faulty{out: replace(`\?d%3De`, "")}, "targets/escapes"},
		"204 has a length":                         {faulty{out: replace(`204 No Content\r\n`, "204 No Content\r\nContent-Length: 0\r\n")}, "responses/status-204"},
		"204 has a body":                           {faulty{out: replace(`(204 No Content\r\n(?:[^\r]+\r\n)*\r\n)`, "${1}body")}, "responses/status-204"},
		"a taken connection loses bytes":           {faulty{in: replace(`hello`, "hell")}, "responses/hijack-pipelined"},
		"a response comes after 101":               {faulty{out: replace(`hello`, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nhello")}, "responses/hijack"},
		"a request after the last one is served":   {faulty{out: replace(`last\n`, "last\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")}, "responses/last-of-two"},
		"a body loses its last byte":               {faulty{out: replace(`"body":"12345"`, `"body":"1234"`)}, "request-line/post"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rep, err := conformance.Run{Cases: cases(t, x.id), Deliveries: []conformance.Delivery{conformance.One},
				Server: &conformance.Server{URL: x.serve(t), Patience: 500 * time.Millisecond}}.Do(t.Context())
			require.NoError(t, err)
			f := rep.Cases[0]
			good, err := conformance.Run{Cases: cases(t, x.id), Deliveries: []conformance.Delivery{conformance.One},
				Server: &conformance.Server{URL: standard(t)}}.Do(t.Context())
			require.NoError(t, err)
			if name != "a length beside a coding is dropped" { // which net/http does, too
				require.Equal(t, conformance.Allowed, good.Cases[0].Verdict, "%s", good.Cases[0].Answer())
			}
			assert.Equal(t, conformance.Forbidden, f.Verdict, "%s", f.Answer())
		})
	}
}

// A server that does not listen is not one whose responses are wrong.
func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	rep, err := conformance.Run{Cases: cases(t, "request-line/get"), Server: &conformance.Server{URL: "http://" + l.Addr().String()}}.Do(t.Context())
	require.NoError(t, err)
	assert.Equal(t, conformance.NotPlayed, rep.Cases[0].Verdict)
	assert.NotEmpty(t, rep.Cases[0].Deliveries[0].Error)
}

// Silence is no verdict: the case is tried again, and then that is what is said.
func TestSilence(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	accepted := make(chan net.Conn, 10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- c
		}
	}()
	rep, err := conformance.Run{Cases: cases(t, "request-line/get"), Deliveries: []conformance.Delivery{conformance.One},
		Server: &conformance.Server{URL: "http://" + l.Addr().String(), Patience: 200 * time.Millisecond}}.Do(t.Context())
	require.NoError(t, err)
	assert.Equal(t, conformance.Silent, rep.Cases[0].Verdict)
	assert.Equal(t, "silence", rep.Cases[0].Answer())
	require.NoError(t, l.Close())
	n := 0
	for c := range accepted {
		c.Close()
		n++
	}
	assert.Equal(t, 2, n, "connections")
}

// The same over TLS.
func TestTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(conformance.Handler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = nil
	s.StartTLS()
	t.Cleanup(s.Close)
	pool := s.Client().Transport.(*http.Transport).TLSClientConfig
	some := cases(t, "request-line/get", "chunks/two-chunks", "hosts/no-host", "request-line/closed-after-a-request")
	rep, err := conformance.Run{Cases: some, Server: &conformance.Server{URL: s.URL, TLS: pool}}.Do(t.Context())
	require.NoError(t, err)
	for _, f := range rep.Cases {
		assert.Equal(t, conformance.Allowed, f.Verdict, "%s: %s %s", f.ID, f.Answer(), f.Deliveries[0].Error)
	}
}

func TestOutcomeMatches(t *testing.T) {
	for _, x := range []struct {
		outcome conformance.Outcome
		pattern string
		matches bool
	}{
		{"400, closed", "400, closed", true},
		{"400, closed", "4xx, closed", true},
		{"400, closed", "400", false},
		{"400, closed", "400, *", true},
		{"400", "400, *", true},
		{"404, follow-up", "4xx, closed", false},
		{`200 echo(GET "/a, b" X-A="c, )"), follow-up`, "200 echo, follow-up", true},
		{`200 echo(GET / body="\"), "), follow-up`, "200 echo, follow-up", true},
		{"200, follow-up", "200 echo, follow-up", false},
		{"200 echo(GET /) cut, closed", "200 echo, closed", false},
		{"malformed(status-line), closed", "200, closed", false},
		{"closed", "closed", true},
		{"closed", "*", true},
	} {
		assert.Equal(t, x.matches, x.outcome.Matches(x.pattern), "%s, %s", x.outcome, x.pattern)
	}
}

// What is listed and has gone, what has changed, and what is new, is news.
func TestKnown(t *testing.T) {
	finding := func(id string, v conformance.Verdict, o conformance.Outcome) conformance.Finding {
		return conformance.Finding{ID: id, Verdict: v, Deliveries: []conformance.Observed{{Delivery: conformance.One, Outcome: o}}}
	}
	rep := &conformance.Report{Cases: []conformance.Finding{
		finding("request-line/get", conformance.Same, "200"), finding("request-line/post", conformance.Forbidden, "200, closed"),
		finding("chunks/two-chunks", conformance.Forbidden, "500"), finding("hosts/no-host", conformance.Allowed, "400"),
		finding("hosts/two-hosts", conformance.SameBroken, "204"),
	}}
	k := conformance.Known{"chunks/two-chunks": "501", "hosts/no-host": "200", "hosts/two-hosts": "204", "hosts/nothing": "200"}
	news := k.News(rep)
	require.Len(t, news, 4)
	assert.Contains(t, news[0], "chunks/two-chunks")
	assert.Contains(t, news[1], "hosts/no-host")
	assert.Contains(t, news[2], "hosts/nothing: listed as a difference, and there is no such case")
	assert.Contains(t, news[3], "request-line/post")
	k.Update(rep)
	assert.Empty(t, k.News(rep))
	assert.NotContains(t, k, "hosts/nothing")

	// What could not be played cannot be known.
	down := &conformance.Report{Cases: []conformance.Finding{finding("chunks/two-chunks", conformance.NotPlayed, "")}}
	k.Update(down)
	assert.Equal(t, "500", k["chunks/two-chunks"])
	assert.Len(t, k.News(down), 1)
	file := filepath.Join(t.TempDir(), "known.yaml")
	require.NoError(t, k.Save(file))
	again, err := conformance.LoadKnown(file)
	require.NoError(t, err)
	assert.Equal(t, k, again)
}

// A follow-up that has got something in front of it is none.
func TestFollowUpIsWhole(t *testing.T) {
	url := faulty{out: replace(`"method":"GET","target":"/\?follow-up"`, `"method":"12345GET","target":"/?follow-up"`)}.serve(t)
	rep, err := conformance.Run{Cases: cases(t, "bodies/body-unread"), Deliveries: []conformance.Delivery{conformance.One},
		Server: &conformance.Server{URL: url}}.Do(t.Context())
	require.NoError(t, err)
	assert.Equal(t, conformance.Forbidden, rep.Cases[0].Verdict, rep.Cases[0].Answer())
}

// A run in which nothing can be played is no run, and cases without a delivery are none that were.
func TestNothingPlayed(t *testing.T) {
	_, err := conformance.Run{Cases: cases(t, "client-framing/head"), Server: &conformance.Server{URL: standard(t)}}.Do(t.Context())
	assert.ErrorContains(t, err, "none of the 1 cases can be played")
	rep, err := conformance.Run{Cases: cases(t, "request-line/get", "responses/hijack"), Deliveries: []conformance.Delivery{conformance.Apart},
		Server: &conformance.Server{URL: standard(t)}}.Do(t.Context())
	require.NoError(t, err)
	assert.Len(t, rep.Cases, 1)
	assert.Equal(t, map[string]int{"they have none of these deliveries": 1}, rep.LeftOut)
}

// A server that sends without an end costs neither all memory nor all time.
func TestEndless(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
				for b := make([]byte, 1<<20); err == nil; {
					_, err = c.Write(b)
				}
			}()
		}
	}()
	rep, err := conformance.Run{Cases: cases(t, "request-line/get"), Deliveries: []conformance.Delivery{conformance.One},
		Server: &conformance.Server{URL: "http://" + l.Addr().String()}}.Do(t.Context())
	require.NoError(t, err)
	assert.Equal(t, conformance.Forbidden, rep.Cases[0].Verdict)
	assert.Contains(t, rep.Cases[0].Answer(), "endless")

	drip, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer drip.Close()
	go func() {
		c, err := drip.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		for err == nil {
			_, err = io.WriteString(c, "H")
			time.Sleep(20 * time.Millisecond)
		}
	}()
	rep, err = conformance.Run{Cases: cases(t, "request-line/get"), Deliveries: []conformance.Delivery{conformance.One},
		Server: &conformance.Server{URL: "http://" + drip.Addr().String(), Patience: 100 * time.Millisecond}}.Do(t.Context())
	require.NoError(t, err)
	assert.Contains(t, rep.Cases[0].Answer(), "endless")
}

// A server that has not ended in time is asked once more, as one that says nothing is.
func TestSlowStop(t *testing.T) {
	starts := 0
	server := &conformance.Server{Patience: 300 * time.Millisecond, Start: func(context.Context) (*conformance.Process, error) {
		starts++
		s := httptest.NewServer(conformance.Handler())
		gone, slow := make(chan struct{}), starts == 2 // the first one is shared
		end := sync.OnceFunc(func() {
			s.CloseClientConnections()
			s.Close()
			close(gone)
		})
		return &conformance.Process{URL: s.URL, Gone: gone, Kill: end, Err: func() error { return nil }, Stop: func() {
			if !slow {
				go end()
			}
		}}, nil
	}}
	rep, err := conformance.Run{Cases: cases(t, "stop/idle-after-a-response"), Server: server}.Do(t.Context())
	require.NoError(t, err)
	assert.Equal(t, conformance.Allowed, rep.Cases[0].Verdict, rep.Cases[0].Answer())
	assert.Equal(t, 3, starts)
}
