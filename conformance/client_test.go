package conformance_test

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

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

// A process that ends, or says nothing, is not one that could not be asked.
func TestClientProcesses(t *testing.T) {
	const good = `read a; echo '{"status":200,"body":"follow-up"}'; `
	for name, x := range map[string]struct {
		command, answer string
		verdict         conformance.Verdict
	}{
		"cannot be started":     {"/no/such/client", "error", conformance.NotPlayed},
		"ends at once":          {"true", "error", conformance.NotPlayed},
		"writes no JSON":        {`sh -c 'read a; echo x'`, "error", conformance.NotPlayed},
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
