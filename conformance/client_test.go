package conformance_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"
	"unicode/utf8"

	"github.com/gonng/nnghttp/conformance"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// playClient returns what a client's case comes to in one delivery.
func playClient(t *testing.T, c *conformance.Client, id string) conformance.Finding {
	t.Helper()
	rep, err := conformance.Run{Cases: cases(t, id), Client: c, Deliveries: []conformance.Delivery{conformance.One}}.Do(t.Context())
	require.NoError(t, err)
	require.Len(t, rep.Cases, 1)
	return rep.Cases[0]
}

// netHTTP is net/http's client.
func netHTTP(t *testing.T) conformance.ClientFunc {
	rt := &http.Transport{DisableCompression: true}
	t.Cleanup(rt.CloseIdleConnections)
	return conformance.RoundTripper(rt)
}

// A client that cannot be asked at all is no matter of the cases.
func TestClientThatCannotStart(t *testing.T) {
	for name, x := range map[string]struct{ command, wrong string }{
		"cannot be started": {"/no/such/client", "crashed"},
		"ends at once":      {"true", "crashed"},
		"writes no JSON":    {`sh -c 'read a; echo x'`, `"x"`},
		"writes nothing":    {"sleep 60", "silence"},
		"writes no line":    {"cat /dev/zero", "more than 8 MiB"},
		"":                  {"", "neither"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &conformance.Client{Command: x.command, Patience: 300 * time.Millisecond}
			defer c.Close()
			assert.ErrorContains(t, c.Check(t.Context()), x.wrong)
		})
	}
	assert.NoError(t, (&conformance.Client{Func: netHTTP(t)}).Check(t.Context()))
}

// The process that was tried out is that of the first case.
func TestClientCheckKeepsTheProcess(t *testing.T) {
	starts := filepath.Join(t.TempDir(), "starts")
	c := &conformance.Client{Command: fmt.Sprintf(`sh -c 'echo x >> %s; while read a; do echo "{\"status\":200}"; done'`, starts)}
	defer c.Close()
	require.NoError(t, c.Check(t.Context()))
	playClient(t, c, "client-framing/content-length")
	require.NoError(t, c.Check(t.Context()))
	b, err := os.ReadFile(starts)
	require.NoError(t, err)
	assert.Equal(t, "x\n", string(b))
}

// A command that cannot be started any more is not tried for each case, but for each run.
func TestClientThatCannotStartAgain(t *testing.T) {
	dir := t.TempDir()
	starts, broken := filepath.Join(dir, "starts"), filepath.Join(dir, "broken")
	c := &conformance.Client{Command: fmt.Sprintf(`sh -c 'echo x >> %s; if test -e %s; then exit; fi; read a; echo "{\"status\":200}"'`, starts, broken)}
	defer c.Close()
	require.NoError(t, c.Check(t.Context()))
	require.NoError(t, os.WriteFile(broken, nil, 0o666))
	one := cases(t, "client-framing/content-length")[0]
	res, err := c.Play(t.Context(), one, conformance.One)
	require.NoError(t, err)
	assert.Equal(t, conformance.Outcome("unsent, crashed"), res.Outcome)
	for range 3 {
		_, err = c.Play(t.Context(), one, conformance.One)
		assert.ErrorContains(t, err, "no line of JSON")
	}
	b, err := os.ReadFile(starts)
	require.NoError(t, err)
	assert.Equal(t, "x\nx\n", string(b))
	require.NoError(t, os.Remove(broken))
	assert.NoError(t, c.Check(t.Context()))
}

// Clients that do not end by themselves are waited for at the same time.
func TestClientCloseIsParallel(t *testing.T) {
	t.Parallel()
	starts := filepath.Join(t.TempDir(), "starts")
	c := &conformance.Client{Command: fmt.Sprintf(`sh -c 'echo x >> %s; while read a; do echo "{\"status\":200}"; done; sleep 60'`, starts)}
	rep, err := conformance.Run{Cases: cases(t, "client-framing/content-length", "client-framing/to-the-end",
		"client-framing/two-content-lengths", "client-framing/head-chunked"), Client: c, Parallel: 4,
		Deliveries: []conformance.Delivery{conformance.Bytes}}.Do(t.Context())
	require.NoError(t, err)
	require.Len(t, rep.Cases, 4)
	start := time.Now()
	require.NoError(t, c.Close())
	assert.Less(t, time.Since(start), 9*time.Second)
	b, err := os.ReadFile(starts)
	require.NoError(t, err)
	assert.Greater(t, len(b), len("x\n"), "there have to be several")
}

// A client that writes without an end costs the kit no memory, and is ended.
func TestClientWithoutEndOfLine(t *testing.T) {
	c := &conformance.Client{Command: `sh -c 'read a; echo "{\"status\":200}"; read a; head -c 9000000 /dev/zero; exec sleep 60'`}
	defer c.Close()
	f := playClient(t, c, "client-framing/content-length")
	assert.Equal(t, "unsent, malformed(reply)", f.Answer())
	assert.Equal(t, conformance.Forbidden, f.Verdict)
	require.NotEmpty(t, f.Deliveries[0].Trace)
	assert.Equal(t, "the client has written a line of more than 8 MiB", f.Deliveries[0].Trace[0].End)

	long := strings.Repeat("x", 9<<20)
	f = playClient(t, &conformance.Client{Func: func(context.Context, string, string) *conformance.Reply {
		return &conformance.Reply{Status: 200, Body: long}
	}}, "client-framing/content-length")
	assert.Equal(t, "unsent, malformed(reply)", f.Answer())
}

// The longest lines that there may be are no matter.
func TestClientWithLongLines(t *testing.T) {
	c := &conformance.Client{Command: `sh -c 'while read a; do printf "{\"status\":200,\"body\":\""; head -c 7000000 /dev/zero | tr "\\0" x; echo "\"}"; done'`}
	defer c.Close()
	f := playClient(t, c, "client-framing/content-length")
	assert.Contains(t, f.Answer(), "<7000000 bytes")
	told := f.Deliveries[0].Trace[0]
	assert.Len(t, told.Told, 64<<10)
	assert.Equal(t, 7000000+len(`{"status":200,"body":""}`)-64<<10, told.Omitted)
}

// What is cut has no part of a character.
func TestClientSaysLongCharacters(t *testing.T) {
	f := playClient(t, &conformance.Client{Func: func(context.Context, string, string) *conformance.Reply {
		return &conformance.Reply{Status: 200, Body: "x" + strings.Repeat("\u20ac", 30000)}
	}}, "client-framing/content-length")
	told := f.Deliveries[0].Trace[0]
	assert.True(t, utf8.ValidString(told.Told))
	assert.InDelta(t, 64<<10, len(told.Told), 3)
	assert.Equal(t, 3*30000+len(`{"status":200,"body":"x"}`), len(told.Told)+told.Omitted)
}

// A client that does not read its lines is one that does not respond, and does not keep a run from ending.
func TestClientThatDoesNotRead(t *testing.T) {
	text := "topic: t\nrole: client\ncases: [{id: a, title: a, source: a, level: check, request: GET /" + strings.Repeat("a", 200<<10) + ", head: ['HTTP/1.1 204 OK']}]"
	set, err := conformance.LoadCases(fstest.MapFS{"cases/t.yaml": {Data: []byte(text)}})
	require.NoError(t, err)
	const command = `sh -c 'read a; while :; do echo "{\"status\":200}" || exit; done'`
	c := &conformance.Client{Command: command, Patience: 300 * time.Millisecond}
	defer c.Close()
	res, err := c.Play(t.Context(), set[0], conformance.One)
	require.NoError(t, err)
	assert.Equal(t, conformance.Outcome("unsent, silence"), res.Outcome)

	c = &conformance.Client{Command: command, Patience: time.Minute}
	defer c.Close()
	require.NoError(t, c.Check(t.Context()))
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err = c.Play(ctx, set[0], conformance.One)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Less(t, time.Since(start), 10*time.Second)
}

// What a client does without an end is ended, and told.
func TestClientsThatDoTooMuch(t *testing.T) {
	good := netHTTP(t)
	dial := func(rawURL string) net.Conn {
		u, err := url.Parse(rawURL)
		if err != nil {
			return nil
		}
		conn, err := net.Dial("tcp", u.Host)
		if err != nil {
			return nil
		}
		return conn
	}
	for name, x := range map[string]struct {
		excess func(t *testing.T, rawURL string)
		part   string
		why    string
	}{
		"connections": {func(t *testing.T, rawURL string) {
			n := 0
			for ; n < 2000; n++ {
				conn := dial(rawURL)
				if conn == nil {
					break
				}
				defer conn.Close()
			}
			assert.Less(t, n, 2000)
		}, "malformed(connections)", "the client has made more than 100 connections"},
		"bytes": {func(t *testing.T, rawURL string) {
			conn := dial(rawURL)
			require.NotNil(t, conn)
			defer conn.Close()
			fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n")
			b, n := make([]byte, 1<<20), 0
			for ; n < 200; n++ {
				if _, err := conn.Write(b); err != nil {
					break
				}
			}
			assert.Less(t, n, 100)
		}, "malformed(too-long)", "the client has sent more than 16 MiB on a connection"},
		"requests": {func(t *testing.T, rawURL string) {
			conn := dial(rawURL)
			require.NotNil(t, conn)
			defer conn.Close()
			go io.Copy(io.Discard, conn)
			for range 10000 {
				if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
					return
				}
			}
			time.Sleep(time.Second)
			_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			assert.Error(t, err)
		}, "malformed(requests)", "the client has made more than 100 requests"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &conformance.Client{Patience: 20 * time.Second, Func: func(ctx context.Context, method, rawURL string) *conformance.Reply {
				if strings.HasSuffix(rawURL, "/") {
					x.excess(t, rawURL)
				}
				return good(ctx, method, rawURL)
			}}
			f := playClient(t, c, "client-framing/content-length")
			assert.Contains(t, f.Answer(), x.part)
			assert.Equal(t, conformance.Forbidden, f.Verdict)
			_, err := c.Play(t.Context(), cases(t, "client-framing/content-length")[0], conformance.One)
			require.NoError(t, err)
			var ends []string
			for _, e := range f.Deliveries[0].Trace {
				ends = append(ends, e.End)
			}
			assert.Contains(t, ends, x.why)
		})
	}
}

// The same for a WebSocket client.
func TestWebSocketClientThatSendsTooMuch(t *testing.T) {
	var id string
	all, err := conformance.Cases()
	require.NoError(t, err)
	for _, c := range all {
		if c.Role() == conformance.WebSocketClientRole {
			id = c.ID
			break
		}
	}
	var sent atomic.Int32
	c := &conformance.Client{WebSocket: true, Func: func(_ context.Context, _, rawURL string) *conformance.Reply {
		u, _ := url.Parse(rawURL)
		conn, err := net.Dial("tcp", u.Host)
		if err != nil {
			return &conformance.Reply{Error: err.Error()}
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nX: ", u.Path)
		b := bytes.Repeat([]byte("x"), 1<<20)
		for range 200 {
			if _, err := conn.Write(b); err != nil {
				return &conformance.Reply{Error: err.Error()}
			}
			sent.Add(1)
		}
		return new(conformance.Reply)
	}}
	f := playClient(t, c, id)
	assert.True(t, strings.HasPrefix(f.Answer(), "malformed(too-long), "), f.Answer())
	assert.Less(t, sent.Load(), int32(100))
	assert.Equal(t, conformance.Forbidden, f.Verdict)
}

// A client that sends no request breaks the rule of each case that does not name that.
func TestClientThatSendsNothing(t *testing.T) {
	fails := func(context.Context, string, string) *conformance.Reply { return &conformance.Reply{Error: "no"} }
	for allowed, verdict := range map[string]conformance.Verdict{
		"":                                      conformance.Forbidden,
		", allowed: ['*']":                      conformance.Forbidden,
		", allowed: ['unsent, error, lost']":    conformance.Allowed,
		", allowed: ['sent, 200', 'unsent, *']": conformance.Allowed,
	} {
		text := "topic: t\nrole: client\ncases: [{id: a, title: a, source: a, level: check, head: ['HTTP/1.1 204 OK']" + allowed + "}]"
		set, err := conformance.LoadCases(fstest.MapFS{"cases/t.yaml": {Data: []byte(text)}})
		require.NoError(t, err)
		rep, err := conformance.Run{Cases: set, Client: &conformance.Client{Func: fails}}.Do(t.Context())
		require.NoError(t, err)
		assert.Equal(t, verdict, rep.Cases[0].Verdict, "%s: %s", allowed, rep.Cases[0].Answer())
		if allowed == "" {
			assert.Equal(t, "the client has sent no request", rep.Cases[0].Deliveries[0].Why)
		}
	}
}

// A process that ends, or says nothing, is not one that could not be asked.
func TestClientProcesses(t *testing.T) {
	const good = `read a; echo '{"status":200,"body":"follow-up"}'; `
	for name, x := range map[string]struct {
		command, answer string
		verdict         conformance.Verdict
	}{
		"crashes in a case":     {`sh -c "` + strings.ReplaceAll(good, `"`, `\"`) + `read a; exit 1"`, "unsent, crashed", conformance.Forbidden},
		"hangs in a case":       {`sh -c "` + strings.ReplaceAll(good, `"`, `\"`) + `read a; exec sleep 60"`, "unsent, silence", conformance.Silent},
		"writes something":      {`sh -c "` + strings.ReplaceAll(good, `"`, `\"`) + `read a; echo x; read a; echo y"`, "unsent, malformed(reply), malformed(reply)", conformance.Forbidden},
		"crashes at the next":   {`sh -c "` + strings.ReplaceAll(good+good, `"`, `\"`) + `read a"`, `unsent, 200 body="follow-up", crashed`, conformance.Forbidden},
		"never asks the server": {`sh -c "while ` + strings.ReplaceAll(good, `"`, `\"`) + `do :; done"`, `unsent, 200 body="follow-up", reconnects`, conformance.Forbidden},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &conformance.Client{Command: x.command}
			if x.verdict == conformance.Silent {
				c.Patience = 500 * time.Millisecond
			}
			defer c.Close()
			f := playClient(t, c, "client-framing/content-length")
			assert.Equal(t, x.answer, f.Answer(), "%v", f.Deliveries)
			assert.Equal(t, x.verdict, f.Verdict)
		})
	}
}

// The same for a function.
func TestClientFuncs(t *testing.T) {
	for name, x := range map[string]struct {
		f       conformance.ClientFunc
		answer  string
		verdict conformance.Verdict
	}{
		"panics": {func(context.Context, string, string) *conformance.Reply { panic("planted") }, "unsent, crashed", conformance.Forbidden},
		"hangs": {func(ctx context.Context, _, _ string) *conformance.Reply {
			<-ctx.Done()
			return &conformance.Reply{Error: ctx.Err().Error()}
		}, "unsent, silence", conformance.Silent},
		"works": {netHTTP(t), `200 body="hello", follow-up`, conformance.Allowed},
	} {
		c := &conformance.Client{Func: x.f}
		if x.verdict == conformance.Silent {
			c.Patience = 500 * time.Millisecond
		}
		f := playClient(t, c, "client-framing/content-length")
		assert.Equal(t, x.answer, f.Answer(), name)
		assert.Equal(t, x.verdict, f.Verdict, name)
	}
}

// A client that ends in one case is started again for the next one.
func TestClientIsStartedAgain(t *testing.T) {
	marker := filepath.Join(t.TempDir(), "ended")
	// It responds to the first line, with which the kit tries it out, and ends at the second; later
	// ones respond to every line.
	command := fmt.Sprintf(`sh -c 'read a; echo "{\"status\":200}"; if ! test -e %[1]s; then read a; echo > %[1]s; exit 1; fi; `+
		`while read a; do echo "{\"status\":200}"; done'`, marker)
	c := &conformance.Client{Command: command}
	defer c.Close()
	f := playClient(t, c, "client-framing/content-length")
	assert.Equal(t, "unsent, crashed", f.Answer())
	f = playClient(t, c, "client-framing/content-length")
	assert.Equal(t, `unsent, 200 body="", misread(200 body="")`, f.Answer())
}

// What only the cases of a server can have is an error in those of a client, and the other way round.
func TestCasesOfClients(t *testing.T) {
	for text, wrong := range map[string]string{
		"role: client\ncases: [{id: a, title: a, source: a, level: check, raw: a, then: [{await: 100}]}]":          "await",
		"role: client\ncases: [{id: a, title: a, source: a, level: check, raw: a, fields: [A]}]":                   "fields",
		"role: client\ncases: [{id: a, title: a, source: a, level: check, raw: a, deliver: [apart]}]":              "apart",
		"role: client\ncases: [{id: a, title: a, source: a, level: check, raw: a, end: half-close}]":               "no end",
		"role: client\ncases: [{id: a, title: a, source: a, level: check, raw: a, request: 'GET /${x}'}]":          "not known",
		"role: client\ncases: [{id: a, title: a, source: a, level: check, raw: a, sent: {target: '/${x}'}}]":       "not known",
		"cases: [{id: a, title: a, source: a, level: check, raw: a, request: GET /}]":                              "test a client",
		"cases: [{id: a, title: a, source: a, level: check, raw: a, end: close}]":                                  "no end",
		"role: client\ncases: [{id: a, title: a, source: a, level: check, raw: a, end: close, sent: {target: /}}]": "",
	} {
		_, err := conformance.LoadCases(fstest.MapFS{"cases/t.yaml": {Data: []byte("topic: t\n" + text)}})
		if wrong == "" {
			assert.NoError(t, err)
		} else {
			assert.ErrorContains(t, err, wrong, text)
		}
	}
}
