package nng_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// skipWithDefect skips a test of what only the patched library does.
func skipWithDefect(t *testing.T, defect string) {
	t.Helper()
	if !patched() {
		t.Skipf("%v has defect %s", nng.LinkInfo(), defect)
	}
}

// Which file of a directory a request names. The whole list is in
// internal/patchtests/p24_directory_names.c.
func TestDirectoryHandlerNames(t *testing.T) {
	skipWithDefect(t, "P24")
	base := t.TempDir()
	dir := filepath.Join(base, "public")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "sub"), 0o700))
	require.NoError(t, os.Mkdir(dir+"-secret", 0o700))
	writeFile(t, filepath.Join(base, "secret.txt"), "confidential")
	writeFile(t, filepath.Join(dir+"-secret", "s.txt"), "confidential")
	writeFile(t, filepath.Join(dir, "hello.txt"), "hello")
	writeFile(t, filepath.Join(dir, "a b.txt"), "blank")
	writeFile(t, filepath.Join(dir, "%41.txt"), "once")
	require.NoError(t, os.Symlink("../secret.txt", filepath.Join(dir, "link")))
	conn, err := net.Dial("tcp", address(t, newServer(t, must(t)(nng.NewDirectoryHandler("/files", dir)))))
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(60*time.Second)))
	r := bufio.NewReader(conn)
	get := func(target string) (*http.Response, string) { // all on one connection
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", target)
		res, err := http.ReadResponse(r, nil)
		require.NoError(t, err, target)
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err, target)
		return res, string(body)
	}

	for target, want := range map[string]string{
		"/files/hello.txt":           "hello",
		"/files/hello.txt?v=1":       "hello",
		"/files/hello.txt?/../..":    "hello",
		"/f%69les/h%65llo.txt":       "hello",
		"http://x/files/hello.txt":   "hello",
		"/files/a%20b.txt":           "blank",
		"/files/%2541.txt":           "once",
		"/files/link":                "confidential", // links are followed
		"http://x/files/a%20b.txt?q": "blank",
	} {
		res, body := get(target)
		assert.Equal(t, 200, res.StatusCode, target)
		assert.Equal(t, want, body, target)
		assert.EqualValues(t, len(want), res.ContentLength, target)
	}
	for _, target := range []string{
		"/files/../secret.txt", "/files/sub/../../secret.txt", "/files/../public-secret/s.txt", "/files-secret/s.txt",
		"/files/%2e%2e/secret.txt", "/files/.%2e/secret.txt", "/files/..%2fsecret.txt", "/files%2f../secret.txt",
		"/files/%252e%252e/secret.txt", "/files//../..", "/files/..%00", "/files/hello.txt%00.png", "/files/%", "/files/hello%2",
		"/files/....//secret.txt", "/files/%c0%ae%c0%ae/secret.txt", "http://x/files/../secret.txt", "/files/..\\secret.txt",
		"/files/" + strings.Repeat("../", 12) + "etc/hostname", "/files/..%2f..%2f..%2f..%2f..%2fetc/hostname",
	} {
		res, body := get(target)
		assert.Equal(t, 404, res.StatusCode, target)
		assert.NotContains(t, body, "confidential", target)
		assert.False(t, res.Close, target)
	}
}
