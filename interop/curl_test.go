package interop

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func curl(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	// Without the user's settings and proxies.
	args = append([]string{"-q", "--noproxy", "*", "--silent", "--show-error", "--max-time", "30"}, args...)
	return command(t, stdin, need(t, "curl", "curl"), args...)
}

// head splits what curl prints with --include or --head.
func head(t *testing.T, output string) (status string, header map[string]string, body string) {
	t.Helper()
	top, body, found := strings.Cut(output, "\r\n\r\n")
	assert.True(t, found, "no head in %q", output)
	lines := strings.Split(top, "\r\n")
	header = make(map[string]string)
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		header[strings.ToLower(name)] = value
	}
	return lines[0], header, body
}

func TestCurl(t *testing.T) {
	url := newServer(t, nil)
	t.Run("GET", func(t *testing.T) {
		status, header, body := head(t, curl(t, "", "--include", url+"/hello").succeed(t).stdout)
		assert.Equal(t, "HTTP/1.1 200 OK", status)
		assert.Equal(t, "6", header["content-length"])
		assert.Equal(t, "hello\n", body)
	})
	t.Run("not found", func(t *testing.T) {
		r := curl(t, "", "--fail", url+"/nowhere")
		assert.Equal(t, 22, r.code)
		assert.Contains(t, r.stderr, "404")
	})
	t.Run("POST", func(t *testing.T) {
		sent := strings.Repeat("\x00\xff any bytes\r\n", 5000)
		r := curl(t, sent, "--data-binary", "@-", url+"/echo").succeed(t)
		assert.True(t, sent == r.stdout, "%d bytes have become %d others", len(sent), len(r.stdout))
	})
	t.Run("HEAD", func(t *testing.T) {
		status, header, body := head(t, curl(t, "", "--head", url+"/hello").succeed(t).stdout)
		assert.Equal(t, "HTTP/1.1 200 OK", status)
		assert.Equal(t, "6", header["content-length"])
		assert.Empty(t, body)
	})
	t.Run("keep-alive", func(t *testing.T) { curlKeepAlive(t, url) })
}

func curlKeepAlive(t *testing.T, url string, args ...string) {
	t.Helper()
	args = append(args, "--verbose", url+"/hello", url+"/hello")
	r := curl(t, "", args...).succeed(t)
	assert.Equal(t, "hello\nhello\n", r.stdout)
	assert.Contains(t, r.stderr, "Re-using existing connection")
	assert.Equal(t, 1, strings.Count(r.stderr, "* Connected to "), r.stderr)
}

func TestCurlHTTPS(t *testing.T) {
	cert := newCertificate(t)
	url := newServer(t, cert.config(t))
	t.Run("GET", func(t *testing.T) {
		r := curl(t, "", "--cacert", cert.certFile, url+"/hello").succeed(t)
		assert.Equal(t, "hello\n", r.stdout)
	})
	t.Run("keep-alive", func(t *testing.T) { curlKeepAlive(t, url, "--cacert", cert.certFile) })
	t.Run("without the CA", func(t *testing.T) {
		r := curl(t, "", url+"/hello")
		assert.Equal(t, 60, r.code, r.stderr) // the certificate cannot be verified
		assert.Empty(t, r.stdout)
	})
}
