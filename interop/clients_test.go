package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nethttp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fiveParts is what /parts sends.
const fiveParts = "part 0\npart 1\npart 2\npart 3\npart 4\n"

func TestCurlNetHTTP(t *testing.T) {
	testCurl(t, servePeers(t, &nethttp.Server{}, ""))
}

func TestCurlNetHTTPS(t *testing.T) {
	cert := newCertificate(t)
	t.Setenv("CURL_CA_BUNDLE", cert.certFile)
	testCurl(t, servePeers(t, &nethttp.Server{TLS: cert.config(t)}, ""))
}

func testCurl(t *testing.T, srv *peerServer) {
	url := srv.url
	file := filepath.Join(t.TempDir(), "large")
	body := large(3 << 20)
	require.NoError(t, os.WriteFile(file, []byte(body), 0o600))
	total := fmt.Sprintf("%d %s", len(body), sum(body))

	t.Run("GET", func(t *testing.T) {
		status, header, got := head(t, curl(t, "", "--include", url+"/hello").succeed(t).stdout)
		assert.Equal(t, "HTTP/1.1 200 OK", status)
		assert.Equal(t, "6", header["content-length"])
		assert.Equal(t, "text/plain; charset=utf-8", header["content-type"])
		assert.NotEmpty(t, header["date"])
		assert.NotContains(t, header, "connection")
		assert.Equal(t, "hello\n", got)
	})
	t.Run("not found", func(t *testing.T) {
		r := curl(t, "", "--fail", url+"/nowhere")
		assert.Equal(t, 22, r.code)
		assert.Contains(t, r.stderr, "404")
	})
	t.Run("POST", func(t *testing.T) {
		sent := strings.Repeat("\x00\xff any bytes\r\n", 50)
		status, header, got := head(t, curl(t, sent, "--include", "--data-binary", "@-", url+"/echo?q=1").succeed(t).stdout)
		assert.Equal(t, "HTTP/1.1 200 OK", status)
		assert.Equal(t, "POST", header["x-method"])
		assert.Equal(t, strconv.Itoa(len(sent)), header["x-length"])
		assert.Equal(t, "q=1", header["x-query"])
		assert.Equal(t, "application/x-www-form-urlencoded", header["x-type"])
		assert.True(t, sent == got)
	})
	t.Run("Expect 100-continue", func(t *testing.T) {
		start := time.Now()
		r := curl(t, "", "--verbose", "--http1.1", "--expect100-timeout", "20", "--data-binary", "@"+file, url+"/sum").succeed(t)
		assert.Equal(t, total, r.stdout)
		assert.Contains(t, r.stderr, "> Expect: 100-continue")
		assert.Contains(t, r.stderr, "< HTTP/1.1 100 Continue")
		assert.Less(t, time.Since(start), 10*time.Second, "curl has waited in vain")
	})
	t.Run("Expect 100-continue, refused", func(t *testing.T) {
		r := curl(t, "", "--verbose", "--expect100-timeout", "20", "--data-binary", "@"+file, url+"/status/403").succeed(t)
		assert.Contains(t, r.stderr, "< HTTP/1.1 403 Forbidden")
		assert.NotContains(t, r.stderr, "100 Continue")
	})
	t.Run("upload of a file", func(t *testing.T) {
		assert.Equal(t, total, curl(t, "", "--upload-file", file, url+"/sum").succeed(t).stdout)
	})
	t.Run("chunked upload", func(t *testing.T) {
		_, header, got := head(t, curl(t, body, "--include", "-H", "Expect:", "--upload-file", "-", url+"/sum").succeed(t).stdout)
		assert.Equal(t, total, got)
		assert.Equal(t, "-1", header["x-length"])
	})
	t.Run("chunked both ways", func(t *testing.T) {
		r := curl(t, body, "--request", "POST", "--upload-file", "-", url+"/echo").succeed(t)
		assert.True(t, body == r.stdout, "%d bytes have become %d others", len(body), len(r.stdout))
	})
	t.Run("chunked response", func(t *testing.T) {
		status, header, raw := head(t, curl(t, "", "--include", "--raw", url+"/parts").succeed(t).stdout)
		assert.Equal(t, "HTTP/1.1 200 OK", status)
		assert.Equal(t, "chunked", header["transfer-encoding"])
		assert.Equal(t, "X-Sum", header["trailer"])
		assert.True(t, strings.HasSuffix(raw, "\r\n0\r\nX-Sum: five parts\r\n\r\n"), "%q", raw)
		assert.Equal(t, fiveParts, curl(t, "", url+"/parts").succeed(t).stdout)
	})
	t.Run("large response", func(t *testing.T) {
		for _, query := range []string{"", "&length=y"} {
			r := curl(t, "", url+"/large?n=3145728"+query).succeed(t)
			assert.True(t, body == r.stdout, "%d bytes", len(r.stdout))
		}
	})
	t.Run("HEAD", func(t *testing.T) {
		status, header, got := head(t, curl(t, "", "--head", url+"/text").succeed(t).stdout)
		assert.Equal(t, "HTTP/1.1 200 OK", status)
		assert.Equal(t, "26", header["content-length"])
		assert.Equal(t, "bytes", header["accept-ranges"])
		assert.Empty(t, got)
	})
	t.Run("keep-alive", func(t *testing.T) { curlKeepAlive(t, url) })
	t.Run("keep-alive behind all kinds", func(t *testing.T) {
		srv.forget()
		r := curl(t, "some", "--verbose", url+"/hello", url+"/status/204", url+"/status/304", url+"/parts", url+"/nowhere",
			"--next", "--silent", "--noproxy", "*", "--head", url+"/hello",
			"--next", "--silent", "--noproxy", "*", "--data-binary", "@-", url+"/echo",
			"--next", "--silent", "--noproxy", "*", "--data", "not read", url+"/hello").succeed(t)
		assert.True(t, strings.HasPrefix(r.stdout, "hello\n"+fiveParts+"404 page not found\n"), r.stdout)
		assert.True(t, strings.HasSuffix(r.stdout, "\r\n\r\nsomehello\n"), r.stdout)
		connections, requests := srv.connections()
		assert.Equal(t, 8, requests)
		assert.Equal(t, 1, connections)
	})
	t.Run("Connection: close", func(t *testing.T) {
		r := curl(t, "", "--verbose", url+"/close", url+"/hello").succeed(t)
		assert.Equal(t, "bye\nhello\n", r.stdout)
		assert.Equal(t, 2, strings.Count(r.stderr, "* Connected to "), r.stderr)
	})
	t.Run("HTTP/1.0", func(t *testing.T) {
		status, header, got := head(t, curl(t, "", "--http1.0", "--include", url+"/hello").succeed(t).stdout)
		assert.Equal(t, "HTTP/1.0 200 OK", status)
		assert.Equal(t, "6", header["content-length"])
		assert.Equal(t, "hello\n", got)
		_, header, got = head(t, curl(t, "", "--http1.0", "--include", url+"/parts").succeed(t).stdout)
		assert.NotContains(t, header, "transfer-encoding")
		assert.Equal(t, fiveParts, got)
		assert.Equal(t, total, curl(t, body, "--http1.0", "--data-binary", "@-", url+"/sum").succeed(t).stdout)
	})
	t.Run("range", func(t *testing.T) {
		status, header, got := head(t, curl(t, "", "--include", "--range", "3-7", url+"/text").succeed(t).stdout)
		assert.Equal(t, "HTTP/1.1 206 Partial Content", status)
		assert.Equal(t, "bytes 3-7/26", header["content-range"])
		assert.Equal(t, "defgh", got)
		part := filepath.Join(t.TempDir(), "part")
		require.NoError(t, os.WriteFile(part, []byte(text[:10]), 0o600))
		curl(t, "", "--continue-at", "-", "--output", part, url+"/text").succeed(t)
		whole, err := os.ReadFile(part)
		require.NoError(t, err)
		assert.Equal(t, text, string(whole))
	})
	t.Run("conditional", func(t *testing.T) {
		status, header, got := head(t, curl(t, "", "--include", "-H", `If-None-Match: "letters"`, url+"/text").succeed(t).stdout)
		assert.Equal(t, "HTTP/1.1 304 Not Modified", status)
		assert.Equal(t, `"letters"`, header["etag"])
		assert.Empty(t, got)
		r := curl(t, "", "--time-cond", "Fri, 01 Mar 2024 00:00:00 GMT", "--write-out", "%{http_code}", url+"/text").succeed(t)
		assert.Equal(t, "304", r.stdout)
	})
	t.Run("compressed", func(t *testing.T) {
		r := curl(t, "", "--compressed", "--fail", url+"/gzip").succeed(t)
		assert.True(t, large(100_000) == r.stdout, "%d bytes", len(r.stdout))
	})
	t.Run("redirect and cookies", func(t *testing.T) {
		assert.Equal(t, "hello\n", curl(t, "", "--location", url+"/moved").succeed(t).stdout)
		r := curl(t, "", "--cookie", "", url+"/cookie", url+"/cookie").succeed(t)
		assert.Contains(t, []string{"[][first=1; second=2]", "[][second=2; first=1]"}, r.stdout)
	})
	t.Run("form", func(t *testing.T) {
		r := curl(t, "", "--form", "file=@"+file, "--form", "name=value", "--output", os.DevNull,
			"--write-out", "%{http_code} %{size_upload} %{size_download}", url+"/echo").succeed(t)
		var code, up, down int
		_, err := fmt.Sscan(r.stdout, &code, &up, &down)
		require.NoError(t, err)
		assert.Equal(t, 200, code)
		assert.Greater(t, up, len(body))
		assert.Equal(t, up, down)
	})
	t.Run("parallel", func(t *testing.T) {
		srv.forget()
		r := curl(t, "", "--parallel", "--parallel-immediate", "--parallel-max", "20", "--fail",
			"--output", os.DevNull, "--write-out", "%{http_code} %{size_download}\n", url+"/large?n=50000&i=[1-200]").succeed(t)
		assert.Equal(t, strings.Repeat("200 50000\n", 200), r.stdout)
		_, requests := srv.connections()
		assert.Equal(t, 200, requests)
	})
	t.Run("rate limit", func(t *testing.T) { // a client that takes its time
		r := curl(t, "", "--limit-rate", "2M", url+"/large?n=3145728").succeed(t)
		assert.True(t, body == r.stdout)
	})
}

func TestWget(t *testing.T) {
	wget := need(t, "wget", "wget")
	srv := servePeers(t, &nethttp.Server{}, "")
	dir := t.TempDir()
	run := func(t *testing.T, args ...string) result {
		t.Helper()
		return command(t, "", wget, append([]string{"--no-config", "--no-proxy", "--no-hsts", "--tries=1", "--timeout=20"}, args...)...)
	}
	t.Run("GET, on one connection", func(t *testing.T) {
		r := run(t, "--output-document=-", srv.url+"/hello", srv.url+"/large?n=1000000", srv.url+"/large?n=1000&length=y",
			srv.url+"/parts").succeed(t) // a trailer makes wget close
		assert.True(t, "hello\n"+large(1_000_000)+large(1000)+fiveParts == r.stdout, "%d bytes", len(r.stdout))
		connections, requests := srv.connections()
		assert.Equal(t, 4, requests)
		assert.Equal(t, 1, connections)
	})
	t.Run("headers", func(t *testing.T) {
		r := run(t, "--server-response", "--output-document=-", srv.url+"/text").succeed(t)
		assert.Equal(t, text, r.stdout)
		assert.Contains(t, r.stderr, "  HTTP/1.1 200 OK\n")
		assert.Contains(t, r.stderr, "  Content-Length: 26\n")
		assert.Contains(t, r.stderr, "  Last-Modified: Thu, 29 Feb 2024 12:00:00 GMT\n")
	})
	t.Run("POST", func(t *testing.T) {
		file := filepath.Join(dir, "body")
		require.NoError(t, os.WriteFile(file, []byte(large(300_000)), 0o600))
		r := run(t, "--post-file="+file, "--output-document=-", srv.url+"/echo").succeed(t)
		assert.True(t, large(300_000) == r.stdout)
	})
	t.Run("spider", func(t *testing.T) { // HEAD
		assert.Contains(t, run(t, "--spider", srv.url+"/text").succeed(t).stderr, "Length: 26")
		assert.Equal(t, 8, run(t, "--spider", srv.url+"/nowhere").code)
	})
	t.Run("go on, and only if it is newer", func(t *testing.T) {
		file := filepath.Join(dir, "text")
		require.NoError(t, os.WriteFile(file, []byte(text[:5]), 0o600))
		run(t, "--continue", "--directory-prefix="+dir, srv.url+"/text").succeed(t)
		whole, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Equal(t, text, string(whole))
		again := run(t, "--timestamping", "--server-response", "--directory-prefix="+dir, srv.url+"/text").succeed(t)
		assert.Contains(t, again.stderr, "304 Not Modified")
	})
	t.Run("redirect", func(t *testing.T) {
		assert.Equal(t, "hello\n", run(t, "--output-document=-", srv.url+"/moved").succeed(t).stdout)
	})
}

func TestPythonHTTP(t *testing.T) {
	for _, library := range []struct {
		name, module, debianPackage string
	}{
		{"http.client", "http.client", "python3"},
		{"requests", "requests", "python3-requests"},
		{"httpx", "httpx", "python3-httpx"},
	} {
		t.Run(library.name, func(t *testing.T) {
			python := pythonWith(t, library.module, library.debianPackage)
			srv := servePeers(t, &nethttp.Server{}, "")
			command(t, "", python, filepath.Join("testdata", "python", "http_client.py"), library.name, srv.url).succeed(t)
			connections, requests := srv.connections()
			assert.Greater(t, requests, 8*20)
			assert.LessOrEqual(t, connections, 1+1+8, "for %d requests", requests)
		})
	}
}

func TestNodeHTTP(t *testing.T) {
	node := need(t, "node", "nodejs")
	for _, kind := range []string{"fetch", "http"} {
		t.Run(kind, func(t *testing.T) {
			srv := servePeers(t, &nethttp.Server{}, "")
			command(t, "", node, filepath.Join("testdata", "node", "http.js"), kind, srv.url).succeed(t)
			connections, requests := srv.connections()
			assert.Greater(t, requests, 110)
			if kind == "http" { // fetch opens as many as there are requests at once
				assert.LessOrEqual(t, connections, 10, "for %d requests", requests)
			}
		})
	}
}

func TestJavaHTTPClient(t *testing.T) {
	need(t, "javac", "default-jdk-headless") // java compiles Client.java
	java := need(t, "java", "default-jdk-headless")
	srv := servePeers(t, &nethttp.Server{}, "")
	r := command(t, "", java, "-XX:TieredStopAtLevel=1", filepath.Join("testdata", "java", "Client.java"), srv.url).succeed(t)
	assert.Equal(t, "ok\n", r.stdout)
	_, requests := srv.connections()
	assert.Equal(t, 17+100, requests)
}

// ApacheBench speaks HTTP/1.0. With -k it asks for keep-alive, which the server need not
// grant, and does not.
func TestApacheBench(t *testing.T) {
	ab := need(t, "ab", "apache2-utils")
	srv := servePeers(t, &nethttp.Server{}, "")
	file := filepath.Join(t.TempDir(), "body")
	require.NoError(t, os.WriteFile(file, []byte(large(2000)), 0o600))
	for _, c := range []struct {
		name string
		size int
		args []string
	}{
		{"plain", 6, []string{srv.url + "/hello"}},
		{"keep-alive", 6, []string{"-k", srv.url + "/hello"}},
		{"HEAD", 0, []string{"-i", "-k", srv.url + "/hello"}},
		{"POST", 2000, []string{"-p", file, "-T", "text/plain", srv.url + "/echo"}},
		{"POST with keep-alive", 2000, []string{"-k", "-p", file, "-T", "text/plain", srv.url + "/echo"}},
		{"large", 100_000, []string{"-k", srv.url + "/large?n=100000"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv.forget()
			r := command(t, "", ab, append([]string{"-q", "-n", "400", "-c", "10", "-s", "20"}, c.args...)...).succeed(t)
			figure := func(name string) string {
				m := regexp.MustCompile(`(?m)^` + name + `: +(\d+)`).FindStringSubmatch(r.stdout)
				if m == nil {
					return ""
				}
				return m[1]
			}
			assert.Equal(t, "400", figure("Complete requests"), r.stdout)
			assert.Equal(t, "0", figure("Failed requests"), r.stdout)
			assert.Empty(t, figure("Non-2xx responses"), r.stdout)
			assert.Empty(t, figure("Write errors"), r.stdout)
			assert.Equal(t, strconv.Itoa(400*c.size), figure("HTML transferred"), r.stdout)
			_, requests := srv.connections()
			assert.GreaterOrEqual(t, requests, 400) // ab opens a few more than it needs
		})
	}
}
