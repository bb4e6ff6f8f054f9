package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/require"
)

// do sends a request with Go's client and returns the response and its body.
func do(t *testing.T, method, url, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	client := http.Client{
		Timeout:       10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res, string(b)
}

func TestRoutes(t *testing.T) {
	s, log := newTestServer(t, &serveCmd{})

	res, body := do(t, "GET", s.url+"/", "")
	require.Equal(t, 200, res.StatusCode)
	require.Equal(t, "text/html; charset=utf-8", res.Header.Get("Content-Type"))
	require.Contains(t, body, nng.LinkInfo().String())
	for _, id := range []string{"status", "message", "send", "log", "plot", "count", "ping", "linked", "requests", "connections"} {
		require.Contains(t, body, `id="`+id+`"`)
	}
	require.NotContains(t, strings.ReplaceAll(body, "http://www.w3.org/2000/svg", ""), "http://", "the page loads nothing from elsewhere")

	res, body = do(t, "GET", s.url+"/healthz", "")
	require.Equal(t, 200, res.StatusCode)
	require.Equal(t, "ok\n", body)

	res, body = do(t, "HEAD", s.url+"/healthz", "")
	require.Equal(t, 200, res.StatusCode)
	require.EqualValues(t, 3, res.ContentLength)
	require.Empty(t, body)

	res, _ = do(t, "POST", s.url+"/healthz", "x=1")
	require.Equal(t, 405, res.StatusCode)
	require.Equal(t, "GET, HEAD", res.Header.Get("Allow"))

	for _, path := range []string{"/none", "/health", "/files/x", "/a/b/c"} {
		res, _ = do(t, "GET", s.url+path, "")
		require.Equal(t, 404, res.StatusCode, path)
	}
	require.Contains(t, log.String(), "method=GET uri=/healthz status=200 bytes=3 duration=")
	require.Contains(t, log.String(), "method=HEAD uri=/healthz status=200 bytes=0 ")
	require.Contains(t, log.String(), "method=POST uri=/healthz status=405 ")
	require.Contains(t, log.String(), "remote=127.0.0.1:")
}

func TestEcho(t *testing.T) {
	s, _ := newTestServer(t, &serveCmd{})
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "REPORT"} {
		res, body := do(t, method, s.url+"/echo", "hello", "Content-Type", "text/x-test")
		require.Equal(t, 200, res.StatusCode, method)
		require.Equal(t, "hello", body, method)
		require.Equal(t, "text/x-test", res.Header.Get("Content-Type"))
		require.Equal(t, "nosniff", res.Header.Get("X-Content-Type-Options"))
	}
	res, body := do(t, "POST", s.url+"/echo", "")
	require.Equal(t, 200, res.StatusCode)
	require.Empty(t, body)
	require.Equal(t, "application/octet-stream", res.Header.Get("Content-Type"))

	big := string(bytes.Repeat([]byte("0123456789abcdef"), maxEcho/16))
	res, body = do(t, "POST", s.url+"/echo", big)
	require.Equal(t, 200, res.StatusCode)
	require.True(t, body == big, "16 MiB come back unchanged")
	res, _ = do(t, "POST", s.url+"/echo", big+"x")
	require.Equal(t, http.StatusRequestEntityTooLarge, res.StatusCode)

	c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	require.NoError(t, err)
	defer c.Close()
	_, err = io.WriteString(c, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n")
	require.NoError(t, err)
	res, err = http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusBadRequest, res.StatusCode)
}

func TestStats(t *testing.T) {
	s, log := newTestServer(t, &serveCmd{})
	stats := func() (n struct{ Requests, Running, Connections, Hijacked, Messages int }) {
		_, body := do(t, "GET", s.url+"/stats", "")
		require.NoError(t, json.Unmarshal([]byte(body), &n))
		return n
	}
	require.Zero(t, stats())
	do(t, "GET", s.url+"/healthz", "")
	do(t, "GET", s.url+"/none", "")
	w := dialWS(t, s)
	eventually(t, "all are counted", func() bool { return stats().Requests == 3 })
	n := stats()
	require.Equal(t, 1, n.Connections)
	require.Equal(t, 1, n.Hijacked)
	w.close(1000)
	eventually(t, "the connection is gone", func() bool { return stats().Connections == 0 })
	require.Equal(t, 1, stats().Hijacked)
	require.NotContains(t, log.String(), "/stats")
}

func TestTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key := testCert()
	c := serveCmd{Listen: "https://127.0.0.1:0", Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"), Dir: dir}
	require.NoError(t, os.WriteFile(c.Cert, []byte(cert), 0o600))
	require.NoError(t, os.WriteFile(c.Key, []byte(key), 0o600))
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "big"), big, 0o600))
	s, _ := newTestServer(t, &c)
	require.True(t, strings.HasPrefix(s.url, "https://127.0.0.1:"))

	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(cert))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport, Timeout: 10 * time.Second}
	for range 3 { // on one connection
		res, err := client.Get(s.url + "/files/big")
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.True(t, bytes.Equal(big, body))
		res.Body.Close()
	}
}

func TestMetrics(t *testing.T) {
	s, _ := newTestServer(t, &serveCmd{})
	do(t, "GET", s.url+"/healthz", "")
	do(t, "GET", s.url+"/none", "")
	w := dialWS(t, s)
	w.send(ws.NewTextFrame([]byte("hello")))
	w.expect(ws.OpText, "hello")
	// A message is counted after its echo is written, so the client can have it first.
	eventually(t, "all are counted", func() bool {
		return s.metrics.requests() == 3 && s.metrics.messages.Load() == 1
	})
	res, body := do(t, "GET", s.url+"/metrics", "")
	require.Equal(t, "text/plain; version=0.0.4; charset=utf-8", res.Header.Get("Content-Type"))
	for _, want := range []string{
		`nnghttp_requests_total{code="101"} 1`,
		`nnghttp_requests_total{code="200"} 1`,
		`nnghttp_requests_total{code="404"} 1`,
		`nnghttp_request_duration_seconds_bucket{le="+Inf"} 3`,
		`nnghttp_request_duration_seconds_count 3`,
		`nnghttp_requests_in_flight 1`,
		`nnghttp_websockets_open 1`,
		`nnghttp_websocket_messages_total 1`,
	} {
		require.Contains(t, body, "\n"+want+"\n")
	}
	require.Contains(t, body, `nnghttp_build_info{libnng="`+nng.Version()+`"`)
	w.close(1000)
}
