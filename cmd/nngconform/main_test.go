package main

import (
	"encoding/json"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/gonng/nnghttp/conformance"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// output runs the command and returns what it says on standard output, and its exit code.
func output(t *testing.T, args ...string) (string, int) {
	t.Helper()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	old := os.Stdout
	os.Stdout = w
	defer func() { os.Stdout = old }()
	said := make(chan string)
	go func() {
		b, _ := io.ReadAll(r)
		said <- string(b)
	}()
	code := run(args)
	w.Close()
	return <-said, code
}

func TestCommand(t *testing.T) {
	s := httptest.NewServer(conformance.Handler())
	defer s.Close()

	text, code := output(t, "list")
	assert.Zero(t, code)
	assert.Contains(t, text, "field-lines/space-before-the-colon")

	text, code = output(t, "show", "field-lines/space-before-the-colon")
	assert.Zero(t, code)
	assert.Contains(t, text, "allowed: 400, closed")
	assert.Contains(t, text, "nng-1.5.2: 200 echo")

	text, code = output(t, "show", "client-chunks/trailer")
	assert.Zero(t, code)
	for _, part := range []string{"request: GET /?f=X-A\n", "    | X-A: b\\r\\n\n", "nng-1.5.2: 200"} {
		assert.Contains(t, text, part)
	}
	text, code = output(t, "show", "client-requests/post")
	assert.Zero(t, code)
	assert.Contains(t, text, "    sent:\n        target: /a\n        body: hello\n")
	text, code = output(t, "show", "client-connections/reset-at-once")
	assert.Zero(t, code)
	assert.Contains(t, text, "    end: reset\n    early: true\n")

	text, code = output(t, "list", "--role", "client", "--case", "*/content-length")
	assert.Zero(t, code)
	assert.Contains(t, text, "client-framing/content-length ")
	assert.Contains(t, text, "1 case in 1 topic")

	text, code = output(t, "compare", "nng-1.5.2", "nng-1.5.2-patched")
	assert.Zero(t, code)
	assert.Contains(t, text, "cases differ")

	file := filepath.Join(t.TempDir(), "report.json")
	text, code = output(t, "run", "--addr", s.URL, "--case", "request-line/get", "--json", file)
	assert.Zero(t, code, text)
	assert.Contains(t, text, "1 as the reference")
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	var rep conformance.Report
	require.NoError(t, json.Unmarshal(b, &rep))
	assert.Equal(t, "request-line/get", rep.Cases[0].ID)

	// net/http takes a control character in a chunk's extension.
	bad := []string{"run", "--addr", s.URL, "--case", "chunks/control-character-in-a-chunk-extension"}
	text, code = output(t, bad...)
	assert.Equal(t, exitDiffers, code)
	assert.Contains(t, text, "differs, the RFC forbids it")
	known := filepath.Join(t.TempDir(), "known.yaml")
	_, code = output(t, append(bad, "--known", known, "--fix")...)
	assert.Zero(t, code)
	_, code = output(t, append(bad, "--known", known)...)
	assert.Zero(t, code)

	// A client that tells of a response without having asked for it.
	liar := `sh -c 'while read a; do echo "{\"status\":200}"; done'`
	text, code = output(t, "run", "--client-cmd", liar, "--case", "client-framing/content-length")
	assert.Equal(t, exitDiffers, code)
	assert.Contains(t, text, "unsent, 200")

	for _, wrong := range [][]string{
		{"run", "--client-cmd", liar, "--role", "client", "--case", "chunks/*"}, {"run", "--addr", s.URL, "--cmd", "x"},
		{"run"}, {"run", "--addr", s.URL, "--case", "no/such"}, {"run", "--addr", s.URL, "--reference", "nng-9"},
		{"run", "--cmd", "false", "--wait", "1s"}, {"run", "--addr", s.URL, "--fix"},
		{"run", "--client-cmd", "/no/such/client"}, {"run", "--client-cmd", "true"}, {"run", "--addr", "127.0.0.1:8080"},
		{"run", "--addr", s.URL, "--delivery", "nonsense"}, {"run", "--addr", s.URL, "--role", "client"},
	} {
		_, code := output(t, wrong...)
		assert.Equal(t, exitOther, code, "%v", wrong)
	}
}
