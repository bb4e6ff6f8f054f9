package main

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// newFileServer serves a directory with a few files. Next to it lies one that nobody
// may get.
func newFileServer(t *testing.T) (s *server, dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "public")
	write := func(name, content string) {
		name = filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
		require.NoError(t, os.WriteFile(name, []byte(content), 0o644))
	}
	write("../secret.txt", "confidential")
	write("hello.txt", "hello\n")
	write("empty", "")
	write("unnamed", "<!DOCTYPE html><title>x</title>")
	write("data.json", "{}")
	write("a b/ü.txt", "odd name")
	write("100%.txt", "percent")
	write("sub/index.html", "<title>sub</title>")
	write("bare/file.txt", "x")
	require.NoError(t, os.Symlink("hello.txt", filepath.Join(dir, "inside")))
	require.NoError(t, os.Symlink("../secret.txt", filepath.Join(dir, "outside")))
	require.NoError(t, os.Symlink(filepath.Dir(dir), filepath.Join(dir, "parent")))
	require.NoError(t, os.Symlink("loop", filepath.Join(dir, "loop")))
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
	s, _ = newTestServer(t, &serveCmd{Dir: dir})
	return s, dir
}

// raw sends a request target as it stands, which Go's client would clean.
func raw(t *testing.T, s *server, method, target string) (status int, body string) {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(5*time.Second)))
	fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", method, target)
	res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	require.NoError(t, err, target)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err, target)
	return res.StatusCode, string(b)
}

func TestFiles(t *testing.T) {
	s, _ := newFileServer(t)
	for _, test := range []struct{ path, contentType, body string }{
		{"/files/hello.txt", "text/plain; charset=utf-8", "hello\n"},
		{"/files/hello.txt?x=/../y", "text/plain; charset=utf-8", "hello\n"},
		{"/files/h%65llo%2Etxt", "text/plain; charset=utf-8", "hello\n"},
		{"/files/empty", "text/plain; charset=utf-8", ""},
		{"/files/unnamed", "text/html; charset=utf-8", "<!DOCTYPE html><title>x</title>"},
		{"/files/data.json", "application/json", "{}"},
		{"/files/a%20b/%C3%BC.txt", "text/plain; charset=utf-8", "odd name"},
		{"/files/100%25.txt", "text/plain; charset=utf-8", "percent"},
		{"/files/sub/", "text/html; charset=utf-8", "<title>sub</title>"},
		{"/files/inside", "text/plain; charset=utf-8", "hello\n"},
	} {
		res, body := do(t, "GET", s.url+test.path, "")
		require.Equal(t, 200, res.StatusCode, test.path)
		require.Equal(t, test.contentType, res.Header.Get("Content-Type"), test.path)
		require.Equal(t, test.body, body, test.path)
		require.NotEmpty(t, res.Header.Get("Last-Modified"))

		head, nothing := do(t, "HEAD", s.url+test.path, "")
		require.Equal(t, 200, head.StatusCode, test.path)
		require.EqualValues(t, len(test.body), head.ContentLength, test.path)
		require.Equal(t, test.contentType, head.Header.Get("Content-Type"), test.path)
		require.Empty(t, nothing)
	}

	res, _ := do(t, "GET", s.url+"/files/sub?q=1", "")
	require.Equal(t, 301, res.StatusCode)
	require.Equal(t, "sub/?q=1", res.Header.Get("Location"))
	res, _ = do(t, "GET", s.url+"/files", "")
	require.Equal(t, "/files/", res.Header.Get("Location"))

	res, _ = do(t, "POST", s.url+"/files/hello.txt", "x")
	require.Equal(t, 405, res.StatusCode)
}

func TestFilesStayInside(t *testing.T) {
	s, dir := newFileServer(t)
	up := strings.Repeat("../", 12)
	targets := []string{
		"/files/../secret.txt",
		"/files/sub/../../secret.txt",
		"/files/" + up + "etc/hostname",
		"/files/%2e%2e/secret.txt",
		"/files/%2E%2E%2Fsecret.txt",
		"/files/..%2fsecret.txt",
		"/files/sub%2f..%2f..%2fsecret.txt",
		"/files/%252e%252e/secret.txt",
		"/files//etc/hostname",
		"/files/%2Fetc/hostname",
		"/files/" + filepath.Dir(dir) + "/secret.txt",
		"/files%2f../secret.txt",
		"/files/./hello.txt",
		"/files/hello.txt/",
		"/files/hello.txt/x",
		"/files/hello.txt%00",
		"/files/hello.txt%00.png",
		"/files/%00",
		"/files/outside",
		"/files/parent/secret.txt",
		"/files/parent/public/hello.txt",
		"/files/loop",
		"/files/pipe",
		"/files/bare/",
		"/files/none",
		"/files/%",
		"/files/%zz",
		"/files/%ff",
		"/files/" + strings.Repeat("x", 300),
		"/filesystem",
	}
	for _, target := range targets {
		for _, method := range []string{"GET", "HEAD"} {
			status, body := raw(t, s, method, target)
			// A redirect is to the target without "..", on which the rule is the same.
			require.Contains(t, []int{301, 307, 400, 404}, status, target)
			require.NotContains(t, body, "confidential", target)
			require.NotContains(t, body, "hello\n", target)
		}
	}
	status, _ := raw(t, s, "GET", "/healthz")
	require.Equal(t, 200, status, "the server is well")
}

func TestFilesNotModified(t *testing.T) {
	s, dir := newFileServer(t)
	when := time.Date(2024, 2, 3, 4, 5, 6, 700, time.UTC)
	require.NoError(t, os.Chtimes(filepath.Join(dir, "hello.txt"), when, when))
	url := s.url + "/files/hello.txt"

	res, _ := do(t, "GET", url, "")
	require.Equal(t, "Sat, 03 Feb 2024 04:05:06 GMT", res.Header.Get("Last-Modified"))
	for since, status := range map[string]int{
		"Sat, 03 Feb 2024 04:05:05 GMT": 200,
		"Sat, 03 Feb 2024 04:05:06 GMT": 304,
		"Sat, 03 Feb 2029 04:05:06 GMT": 304,
		"yesterday":                     200,
	} {
		for _, method := range []string{"GET", "HEAD"} {
			res, body := do(t, method, url, "", "If-Modified-Since", since)
			require.Equal(t, status, res.StatusCode, since)
			if status == 304 || method == "HEAD" {
				require.Empty(t, body)
			} else {
				require.Equal(t, "hello\n", body)
			}
		}
	}
}

// A large file passes through in pieces: 64 MiB of it, sparse on disk.
func TestFilesLarge(t *testing.T) {
	s, dir := newFileServer(t)
	const size = 64 << 20
	name := filepath.Join(dir, "large")
	f, err := os.Create(name)
	require.NoError(t, err)
	require.NoError(t, f.Truncate(size))
	_, err = f.WriteAt([]byte("end"), size-3)
	require.NoError(t, err)
	want := sha256.New()
	_, err = io.Copy(want, f)
	require.NoError(t, err)
	require.NoError(t, f.Close())

	res, err := http.Get(s.url + "/files/large")
	require.NoError(t, err)
	defer res.Body.Close()
	require.EqualValues(t, size, res.ContentLength)
	got := sha256.New()
	_, err = io.Copy(got, res.Body)
	require.NoError(t, err)
	require.Equal(t, want.Sum(nil), got.Sum(nil))
}

// A client that goes away in the middle leaves nothing behind that would keep the
// server from stopping.
func TestFilesClientGone(t *testing.T) {
	s, dir := newFileServer(t)
	require.NoError(t, os.Truncate(filepath.Join(dir, "empty"), 1<<30))
	c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	require.NoError(t, err)
	fmt.Fprint(c, "GET /files/empty HTTP/1.1\r\nHost: x\r\n\r\n")
	_, err = io.CopyN(io.Discard, c, 1<<20)
	require.NoError(t, err)
	require.Equal(t, 1, s.http.InFlight())
	require.NoError(t, c.Close())
	eventually(t, "the handler returns", func() bool { return s.http.InFlight() == 0 })
}
