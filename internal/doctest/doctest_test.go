package doctest

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const root = "../.."

// pages are the files whose blocks are tested.
func pages(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"*.md", "docs/*.md", "third_party/nng/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		all = append(all, found...)
	}
	require.NotEmpty(t, all)
	return all
}

// blocks returns the fenced blocks of one language in a page.
func blocks(t *testing.T, page, language string) []string {
	t.Helper()
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	var found []string
	for _, m := range regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		if m[1] == language {
			found = append(found, m[2])
		}
	}
	return found
}

func goCommand(args ...string) *exec.Cmd {
	cmd := exec.Command("go", args...)
	cmd.Dir = root
	return cmd
}

func TestGoBlocksCompile(t *testing.T) {
	n := 0
	for _, page := range pages(t) {
		for i, block := range blocks(t, page, "go") {
			n++
			file := filepath.Join(t.TempDir(), "main.go")
			require.NoError(t, os.WriteFile(file, []byte(block), 0o600))
			out, err := goCommand("build", "-o", os.DevNull, file).CombinedOutput()
			assert.NoError(t, err, "%s, block %d:\n%s", page, i+1, out)
		}
	}
	assert.NotZero(t, n, "no page has a Go block any more")
}

// The README shows examples as they are.
func TestReadmeShowsTheExamples(t *testing.T) {
	for _, example := range []string{"hello", "hijack"} {
		want, err := os.ReadFile(filepath.Join(root, "examples", example, "main.go"))
		require.NoError(t, err)
		assert.Contains(t, blocks(t, filepath.Join(root, "README.md"), "go"), string(want))
	}
}

// serve starts the command and returns its address.
func serve(t *testing.T, bin string) string {
	t.Helper()
	cmd := exec.Command(bin, "serve", "--listen", "http://127.0.0.1:0")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		assert.NoError(t, cmd.Process.Signal(os.Interrupt))
		assert.NoError(t, cmd.Wait())
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	url := strings.TrimSpace(line[strings.LastIndex(line, " ")+1:])
	res, err := http.Get(url + "/healthz")
	require.NoError(t, err)
	res.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	return strings.TrimPrefix(url, "http://")
}

// elsewhere names the commands whose real run is another test or a step of CI, and
// which.
var elsewhere = []struct{ command, where string }{
	{"git clone ", "interop: TestOutsideModule, with this checkout in its place"},
	{"go mod edit ", "interop: TestOutsideModule"},
	{"go mod tidy", "interop: TestOutsideModule"},
	{"make -C ../nnghttp lib", "interop: TestOutsideModule"},
	{"bash .ci/run", "CI itself"},
	{"cmake ", "scripts/test-build"},
	{"go run ./cmd/nngconform run ", "cmd/nngconform: TestReports, with a server of its own"},
	{"nngconform ", "cmd/nngconform: TestReports, TestShow"},
	{"go install github.com/gonng/nnghttp/cmd/nngconform@latest", "cmd/nngconform: TestInstall, from this checkout"},
	{"go build -o nngconform ./cmd/nngconform", "cmd/nngconform: TestInstall"},
}

// TestCommands runs what the pages tell people to type. Targets of make are looked up,
// not made: this test is a part of some of them.
func TestCommands(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "nnghttp")
	out, err := goCommand("build", "-o", bin, "./cmd/nnghttp").CombinedOutput()
	require.NoError(t, err, "%s", out)
	addr := serve(t, bin)
	for _, page := range pages(t) {
		for _, block := range blocks(t, page, "sh") {
			for line := range strings.Lines(strings.ReplaceAll(block, "\\\n", "")) {
				line, _, _ = strings.Cut(strings.TrimSpace(line), "  #")
				if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
					t.Run(line, func(t *testing.T) { command(t, line, bin, addr) })
				}
			}
		}
	}
}

func command(t *testing.T, line, bin, addr string) {
	for _, e := range elsewhere {
		if strings.HasPrefix(line, e.command) {
			t.Logf("run by %s", e.where)
			return
		}
	}
	words := strings.Fields(line)
	shell := line
	switch first := words[0]; {
	case first == "make":
		shell = "make -n " + strings.Join(words[1:], " ")
	case strings.HasPrefix(first, "scripts/with-lib") && strings.Contains(line, "go test"):
		shell = strings.Replace(line, "go test", "go test -list", 1)
		shell = strings.Replace(shell, "-run ", "", 1)
	case strings.HasPrefix(line, "go run ./cmd/nngconform "):
	case first == "curl", first == "echo", strings.HasSuffix(first, "/nnghttp"), strings.HasPrefix(first, "scripts/"):
		shell = strings.ReplaceAll(shell, "build/bin/nnghttp", bin)
		shell = strings.ReplaceAll(shell, "127.0.0.1:8080", addr)
	default:
		t.Fatalf("nobody tests the command %q: teach this test or drop it", line)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", "set -euo pipefail; "+shell)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	assert.NoError(t, err, "%s", out)
	if strings.Contains(line, "hello") {
		assert.Contains(t, string(out), "hello", "what was sent comes back")
	}
	if strings.Contains(line, "healthz") {
		assert.Contains(t, string(out), "ok")
	}
}

// TestLinks looks for the files that the pages link to.
func TestLinks(t *testing.T) {
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile(`\]\(([^)#]+)[^)]*\)`).FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			_, err := os.Stat(filepath.Join(filepath.Dir(page), m[1]))
			assert.NoError(t, err, fmt.Sprintf("%s links to %s", page, m[1]))
		}
	}
}

// TestNamedTestsExist looks for the tests that these pages name as evidence.
func TestNamedTestsExist(t *testing.T) {
	declared := make(map[string]bool)
	require.NoError(t, filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(file, "_test.go") {
			return err
		}
		text, err := os.ReadFile(file)
		for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`).FindAllStringSubmatch(string(text), -1) {
			declared[m[1]] = true
		}
		return err
	}))
	for _, page := range []string{"SECURITY.md", "docs/threat-model.md", "docs/reliability.md"} {
		text, err := os.ReadFile(filepath.Join(root, page))
		require.NoError(t, err)
		for _, m := range regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w*`).FindAllString(string(text), -1) {
			assert.True(t, declared[m], "%s names %s, and there is no such test", page, m)
		}
	}
}
