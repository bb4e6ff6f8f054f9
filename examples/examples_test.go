// Package examples runs the examples below it.
package examples

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/gonng/nnghttp/internal/devcert"
	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// build compiles an example. Those that serve use port 8080, or 8443 for https, which may be
// taken here, so the source is built with another address instead.
func build(t *testing.T, name, addr string) string {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(name, "main.go"))
	require.NoError(t, err)
	dir := t.TempDir()
	file := filepath.Join(dir, "main.go")
	changed := strings.NewReplacer("127.0.0.1:8080", addr, "127.0.0.1:8443", addr).Replace(string(source))
	require.NoError(t, os.WriteFile(file, []byte(changed), 0o600))
	bin := filepath.Join(dir, name)
	out, err := exec.Command("go", "build", "-o", bin, file).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return bin
}

// freeAddr is an address on which nobody listens just now.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

func TestHijack(t *testing.T) {
	addr := freeAddr(t)
	cmd := exec.Command(build(t, "hijack", addr))
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	defer func() {
		require.NoError(t, cmd.Process.Signal(os.Interrupt))
		assert.NoError(t, cmd.Wait())
	}()
	var c net.Conn
	require.Eventually(t, func() (ok bool) {
		var err error
		c, err = net.Dial("tcp", addr)
		return err == nil
	}, 10*time.Second, 10*time.Millisecond)
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(c, "GET /shout HTTP/1.1\r\nHost: x\r\n\r\nhello\nworld\n")
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	assert.Equal(t, 101, res.StatusCode)
	for _, want := range []string{"HELLO\n", "WORLD\n"} {
		line, err := r.ReadString('\n')
		require.NoError(t, err)
		assert.Equal(t, want, line)
	}
	res, err = http.Get("http://" + addr + "/")
	require.NoError(t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	res.Body.Close()
	assert.Contains(t, string(body), "hello from libnng")
}

func TestClient(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "you asked for %s\n", r.URL.Path)
	}))
	defer srv.Close()
	out, err := exec.Command(build(t, "client", freeAddr(t)), srv.URL+"/page").CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Equal(t, "200 OK\nyou asked for /page\n", string(out))
}

// start runs an example that serves, and ends it with the test.
func start(t *testing.T, name string, args ...string) (url string) {
	t.Helper()
	addr := freeAddr(t)
	cmd := exec.Command(build(t, name, addr), args...)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	}, 10*time.Second, 10*time.Millisecond)
	return "http://" + addr
}

// ask sends a request and returns status and body.
func ask(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	require.NoError(t, err)
	req.Close = true
	res, err := (&http.Client{Timeout: 10 * time.Second}).Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(b)
}

func TestHello(t *testing.T) {
	status, body := ask(t, "GET", start(t, "hello")+"/any", "")
	assert.Equal(t, 200, status)
	assert.Contains(t, body, "hello, 127.0.0.1:")
}

// echoes checks that a WebSocket at url sends messages back.
func echoes(t *testing.T, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, _, _, err := ws.Dial(ctx, strings.Replace(url, "http", "ws", 1))
	require.NoError(t, err)
	defer conn.Close()
	for _, text := range []string{"one", "", strings.Repeat("two", 100_000)} {
		require.NoError(t, wsutil.WriteClientText(conn, []byte(text)))
		got, err := wsutil.ReadServerText(conn)
		require.NoError(t, err)
		require.Equal(t, text, string(got))
	}
}

func TestWebSocket(t *testing.T) {
	echoes(t, start(t, "websocket")+"/echo")
}

func TestRest(t *testing.T) {
	url := start(t, "rest")
	status, _ := ask(t, "GET", url+"/notes/a", "")
	assert.Equal(t, 404, status)
	status, _ = ask(t, "PUT", url+"/notes/a", "remember")
	assert.Equal(t, 204, status)
	_, body := ask(t, "GET", url+"/notes/a", "")
	assert.Equal(t, "remember", body)
	_, body = ask(t, "GET", url+"/notes", "")
	assert.JSONEq(t, `{"a":"remember"}`, body)
	status, _ = ask(t, "PUT", url+"/notes/b", strings.Repeat("x", 1<<20))
	assert.Equal(t, 413, status)
	status, _ = ask(t, "POST", url+"/notes/a", "")
	assert.Equal(t, 405, status)
	status, _ = ask(t, "DELETE", url+"/notes/a", "")
	assert.Equal(t, 204, status)
	status, _ = ask(t, "GET", url+"/notes/a", "")
	assert.Equal(t, 404, status)
}

// Events arrive while the handler runs, and it notices that the client has gone.
func TestSSE(t *testing.T) {
	addr := freeAddr(t)
	cmd := exec.Command(build(t, "sse", addr))
	log, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	var res *http.Response
	require.Eventually(t, func() bool {
		res, err = http.Get("http://" + addr + "/time")
		return err == nil
	}, 10*time.Second, 10*time.Millisecond)
	assert.Equal(t, "text/event-stream", res.Header.Get("Content-Type"))
	lines := bufio.NewScanner(res.Body)
	for events := 0; events < 2; {
		require.True(t, lines.Scan())
		if text, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			_, err := time.Parse(time.RFC3339Nano, text)
			require.NoError(t, err)
			events++
		}
	}
	res.Body.Close()
	gone := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(log).ReadString('\n')
		gone <- line
	}()
	select {
	case line := <-gone:
		assert.Contains(t, line, "client gone")
	case <-time.After(10 * time.Second):
		t.Fatal("the handler does not notice")
	}
}

func TestReverseProxy(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ws" {
			conn, _, _, err := ws.UpgradeHTTP(r, w)
			if err != nil {
				return
			}
			defer conn.Close()
			for {
				message, op, err := wsutil.ReadClientData(conn)
				if err != nil || wsutil.WriteServerMessage(conn, op, message) != nil {
					return
				}
			}
		}
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s for %s", r.Method, body, r.Header.Get("X-Forwarded-For"))
	}))
	defer backend.Close()
	url := start(t, "reverseproxy", backend.URL)
	status, body := ask(t, "POST", url+"/x", "text")
	assert.Equal(t, 200, status)
	assert.Equal(t, "POST text for 127.0.0.1", body)
	echoes(t, url+"/ws")
}

func TestSharedPort(t *testing.T) {
	url := start(t, "sharedport")
	for path, want := range map[string]string{
		"/static":    "from C\n",
		"/native":    "from a handler of nng's kind\n",
		"/nethttp/x": "from net/http's server\n",
		"/":          "from an http.Handler\n",
		"/other":     "from an http.Handler\n",
	} {
		status, body := ask(t, "GET", url+path, "")
		assert.Equal(t, 200, status, path)
		assert.Equal(t, want, body, path)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	dialer, err := nng.NewWSDialer(strings.Replace(url, "http", "ws", 1) + "/socket")
	require.NoError(t, err)
	defer dialer.Close()
	conn, err := dialer.Dial(ctx)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.WriteMessage(ctx, []byte("hello")))
	got, err := conn.ReadMessage(ctx)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(got))
}

func TestTransport(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "you asked for %s\n", r.URL.Path)
	}))
	defer srv.Close()
	out, err := exec.Command(build(t, "transport", freeAddr(t)), srv.URL+"/page").CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Equal(t, "you asked for /page\n", string(out))
}

func TestHTTPS(t *testing.T) {
	ca, err := devcert.Authority(time.Hour, "clients")
	require.NoError(t, err)
	own, err := devcert.SelfSigned(time.Hour, "127.0.0.1")
	require.NoError(t, err)
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	cert, key, authority := file("cert.pem", own.CertPEM), file("key.pem", own.KeyPEM), file("ca.pem", ca.CertPEM)

	trusted := x509.NewCertPool()
	trusted.AddCert(own.Leaf)
	get := func(url string, mine ...tls.Certificate) (string, error) {
		client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{RootCAs: trusted, Certificates: mine},
		}}
		res, err := client.Get(strings.Replace(url, "http:", "https:", 1))
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		return string(b), err
	}
	text, err := get(start(t, "https", cert, key))
	require.NoError(t, err)
	assert.Contains(t, text, "over TLS: true")

	url := start(t, "https", cert, key, authority)
	_, err = get(url)
	assert.Error(t, err, "without a certificate")
	client, err := ca.Issue(time.Hour, "somebody")
	require.NoError(t, err)
	pair, err := tls.X509KeyPair([]byte(client.CertPEM), []byte(client.KeyPEM))
	require.NoError(t, err)
	text, err = get(url, pair)
	require.NoError(t, err)
	assert.Contains(t, text, "over TLS: true")
}

// Every example has a test.
func TestAllAreTested(t *testing.T) {
	dirs, err := filepath.Glob("*/main.go")
	require.NoError(t, err)
	tests, err := filepath.Glob("*_test.go")
	require.NoError(t, err)
	var code strings.Builder
	for _, file := range tests {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		code.Write(b)
	}
	for _, dir := range dirs {
		assert.Contains(t, code.String(), `"`+filepath.Dir(dir)+`"`)
	}
}
