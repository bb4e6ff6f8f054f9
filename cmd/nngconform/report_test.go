package main

import (
	"encoding/xml"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gonng/nnghttp/conformance"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReports(t *testing.T) {
	s := httptest.NewServer(conformance.Handler())
	defer s.Close()
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	read := func(name string) string {
		b, err := os.ReadFile(in(name))
		require.NoError(t, err)
		return string(b)
	}
	for _, name := range []string{"a", "b"} {
		text, code := output(t, "run", "--addr", s.URL, "--name", name, "--topic", "hosts", "--level", "must",
			"--json", in(name+".json"), "--html", in(name+".html"), "--junit", in(name+".xml"))
		assert.Equal(t, exitDiffers, code)
		// The table: a line for the topic, one for all, and what the verdicts mean.
		assert.Regexp(t, `(?m)^topic +played +same +allowed +reference breaks +forbidden$`, text)
		assert.Regexp(t, `(?m)^hosts +\d+ +\d+ +(\d+|-) +- +[1-9]\d*$`, text)
		assert.Regexp(t, `(?m)^all +\d+ +\d+ +(\d+|-) +- +[1-9]\d*$`, text)
		assert.Regexp(t, `(?m)^ +\d+ differs, the RFC forbids it$`, text)
		assert.NotContains(t, text, "\033", "this is no terminal")
	}
	assert.Contains(t, read("a.html"), "hosts/no-host")
	var suites struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
	}
	require.NoError(t, xml.Unmarshal([]byte(read("a.xml")), &suites))
	assert.NotZero(t, suites.Failures)
	assert.Greater(t, suites.Tests, 20)

	_, code := output(t, "report", in("a.json"), in("b.json"), "--html", in("both.html"), "--markdown", in("both.md"))
	assert.Zero(t, code)
	assert.Contains(t, read("both.html"), "2 implementations")
	assert.Contains(t, read("both.md"), "| topic | a | b |")
	text, code := output(t, "report", in("a.json"))
	assert.Zero(t, code)
	assert.Contains(t, text, "a, compared with nng-1.5.2-patched")

	text, code = output(t, "compare", in("a.json"), in("b.json"))
	assert.Zero(t, code)
	assert.Contains(t, text, "0 of ")
	text, code = output(t, "compare", "nng-1.5.2-patched", in("a.json"))
	assert.Zero(t, code)
	assert.Regexp(t, `(?m)^hosts/host-with-two-ports: .*\n  nng-1\.5\.2-patched  400, closed\n  a                  200 echo\(GET /\), follow-up$`, text)

	for _, wrong := range [][]string{
		{"report"}, {"report", in("none.json")}, {"report", in("a.html")}, {"report", in("a.json"), in("a.json"), "--html", in("x.html")},
		{"run", "--addr", s.URL, "--topic", "none"}, {"list", "--level", "none"}, {"list", "--topic", "bodies", "--case", "hosts/no-host"},
		{"compare", in("a.html"), in("b.json")},
	} {
		_, code := output(t, wrong...)
		assert.Equal(t, exitOther, code, "%v", wrong)
	}
}

func TestShow(t *testing.T) {
	text, code := output(t, "list", "--topic", "hosts", "--topic", "bodies")
	assert.Zero(t, code)
	assert.Regexp(t, `(?m)^hosts \(server\): \d+ cases$`, text)
	assert.Contains(t, text, "cases in 2 topics")

	text, code = output(t, "show", "chunks/two-chunks")
	assert.Zero(t, code)
	for _, want := range []string{
		"  deliveries: one, apart, split, bytes", "    | POST / HTTP/1.1\\r\\n\n    | Host: x\\r\\n\n",
		"    | 3\\r\\n\n    | abc\\r\\n\n", "body: abcde", "    | Conformance: echo\\r\\n\n",
	} {
		assert.Contains(t, text, want)
	}
	text, code = output(t, "show", "bodies/body-of-1-mib")
	assert.Zero(t, code)
	assert.Contains(t, text, "bytes more")
	assert.Less(t, len(text), 10_000)
	_, code = output(t, "show", "*/*") // every case can be shown
	assert.Zero(t, code)
}

// Colours are for terminals, and for those who want them.
func TestColour(t *testing.T) {
	assert.Equal(t, "x", paint(false).verdict(conformance.Forbidden, true, "x"))
	assert.Equal(t, "\033[1;31mx\033[0m", paint(true).verdict(conformance.Forbidden, true, "x"))
	assert.Equal(t, "\033[2mx\033[0m", paint(true).verdict(conformance.Forbidden, false, "x"))
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	defer terminal.Close()
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	assert.True(t, bool(newPaint(terminal)))
	t.Setenv("NO_COLOR", "1")
	assert.False(t, bool(newPaint(terminal)))
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "dumb")
	assert.False(t, bool(newPaint(terminal)))
}

// The command is built where there is neither a C compiler nor libnng.
func TestInstall(t *testing.T) {
	goTool, err := exec.LookPath("go")
	require.NoError(t, err)
	dir := t.TempDir()
	var env []string
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if name != "PATH" && !strings.HasPrefix(name, "CGO_") && name != "CC" && name != "CXX" && name != "PKG_CONFIG_PATH" {
			env = append(env, v)
		}
	}
	env = append(env, "CGO_ENABLED=0", "PATH="+dir, "GOBIN="+dir, "GOFLAGS=")
	command := func(name string, args ...string) string {
		cmd := exec.Command(name, args...)
		cmd.Env = env
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return string(out)
	}
	for _, dep := range strings.Fields(command(goTool, "list", "-deps", ".")) {
		assert.NotContains(t, []string{"runtime/cgo", "C"}, dep)
		if strings.HasPrefix(dep, "github.com/gonng/nnghttp/") {
			assert.True(t, strings.HasPrefix(dep, "github.com/gonng/nnghttp/conformance") ||
				strings.HasSuffix(dep, "/cmd/nngconform") || strings.HasSuffix(dep, "/internal/procgroup"), dep)
		}
	}
	command(goTool, "install", ".")
	assert.Contains(t, command(filepath.Join(dir, "nngconform"), "list"), "chunks/two-chunks")
}
