package interop

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The cases that both clients in testdata know.
var webSocketCases = []string{"text", "binary", "large", "fragmented", "ping", "close", "parallel"}

// testWebSockets runs a client's cases against /ws, plain and over TLS.
func testWebSockets(t *testing.T, program string, args ...string) {
	cert := newCertificate(t)
	for _, transport := range []struct {
		scheme string
		serve  []string
		extra  []string // arguments of the client
	}{
		{"ws", []string{"--listen", "http://127.0.0.1:0"}, nil},
		{"wss", []string{"--listen", "https://127.0.0.1:0", "--cert", cert.certFile, "--key", cert.keyFile}, []string{cert.certFile}},
	} {
		t.Run(transport.scheme, func(t *testing.T) {
			url := strings.Replace(serve(t, transport.serve...), "http", "ws", 1) + "/ws"
			require.True(t, strings.HasPrefix(url, transport.scheme+"://"), url)
			for _, name := range webSocketCases {
				t.Run(name, func(t *testing.T) {
					all := append(append(args[:len(args):len(args)], name, url), transport.extra...)
					command(t, "", program, all...).succeed(t)
				})
			}
		})
	}
}

func TestNodeWebSocket(t *testing.T) {
	node := need(t, "node", "nodejs")
	installWS(t)
	testWebSockets(t, node, filepath.Join("testdata", "node", "client.js"))
}

// installWS installs npm's ws in the version that package.json asks for, unless it is
// there.
func installWS(t *testing.T) {
	t.Helper()
	dir := filepath.Join("testdata", "node")
	var want struct{ Dependencies map[string]string }
	readJSON(t, filepath.Join(dir, "package.json"), &want)
	var have struct{ Version string }
	installed := filepath.Join(dir, "node_modules", "ws", "package.json")
	if _, err := os.Stat(installed); err == nil {
		readJSON(t, installed, &have)
	}
	if have.Version == want.Dependencies["ws"] {
		return
	}
	cmd := exec.CommandContext(t.Context(), need(t, "npm", "npm"), "ci", "--no-audit", "--no-fund", "--no-update-notifier",
		"--fetch-retries", "1", "--fetch-timeout", "60000")
	cmd.Dir = dir
	if r := execute(t, cmd); r.code != 0 {
		why, _, _ := strings.Cut(r.stderr[max(0, strings.Index(r.stderr, "npm error")):], "\n")
		missing(t, "npm cannot install ws %s (%s); is there a network?", want.Dependencies["ws"], why)
	}
}

func readJSON(t *testing.T, file string, v any) {
	t.Helper()
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, v), file)
}

func TestPythonWebSocket(t *testing.T) {
	testWebSockets(t, needPython(t), filepath.Join("testdata", "python", "client.py"))
}

// needPython returns the Python that has the websockets package.
func needPython(t *testing.T) string {
	t.Helper()
	return pythonWith(t, "websockets", "python3-websockets")
}

// pythonWith returns a Python that has a module: the distribution's, whatever else is
// first in PATH.
func pythonWith(t *testing.T, module, debianPackage string) string {
	t.Helper()
	for _, python := range []string{"/usr/bin/python3", "python3"} {
		if path, err := exec.LookPath(python); err == nil &&
			command(t, "", path, "-c", "import "+module).code == 0 {
			return path
		}
	}
	missing(t, "no python3 with %s is there; install the package %s", module, debianPackage)
	return ""
}
