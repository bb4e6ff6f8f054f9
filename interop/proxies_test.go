package interop

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/template"
	"time"

	"github.com/gonng/nnghttp/nethttp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A proxyConfig is what the configurations below are filled in with.
type proxyConfig struct {
	Dir     string
	Front   string   // where the proxy listens
	Stats   string   // where HAProxy tells of its servers
	Servers []string // ours
	TLS     string   // more for each of them in HAProxy's configuration
}

const nginxConfig = `
daemon off;
master_process off;
pid {{.Dir}}/nginx.pid;
error_log stderr warn;
events { worker_connections 512; }
http {
	access_log off;
	client_max_body_size 100m;
	client_body_temp_path {{.Dir}}/body;
	proxy_temp_path {{.Dir}}/proxy;
	fastcgi_temp_path {{.Dir}}/fastcgi;
	uwsgi_temp_path {{.Dir}}/uwsgi;
	scgi_temp_path {{.Dir}}/scgi;
	map $http_upgrade $connection_upgrade {
		default upgrade;
		'' '';
	}
	upstream peers {
		{{range .Servers}}server {{.}} max_fails=1 fail_timeout=1s;
		{{end}}keepalive 8;
	}
	server {
		listen {{.Front}};
		location / {
			proxy_pass http://peers;
			proxy_http_version 1.1;
			proxy_set_header Host $host;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Connection $connection_upgrade;
			proxy_request_buffering off;
			proxy_connect_timeout 1s;
			proxy_next_upstream error timeout http_503;
		}
		# What nginx does by default: HTTP/1.0, a connection for each request, and
		# bodies gathered before they are passed on.
		location /old/ {
			proxy_pass http://peers/;
		}
	}
}
`

const haproxyConfig = `
global
	maxconn 1000
defaults
	mode http
	timeout connect 10s # handshakes, too
	timeout http-request 2s
	timeout http-keep-alive 20s
	timeout client 20s
	timeout server 20s
	timeout tunnel 20s
	timeout check 1s
	retries 3
	option redispatch 1
	retry-on conn-failure empty-response 503
	# Else it holds small pieces back for a fifth of a second, waiting for more.
	option http-no-delay
frontend front
	bind {{.Front}}
	default_backend peers
	# The same servers, asked for their health as HAProxy does by default:
	# "OPTIONS / HTTP/1.0" without a Host, and over HTTP/1.1 with one.
	use_backend plain if { path_beg /plain/ }
	use_backend host if { path_beg /host/ }
frontend stats
	bind {{.Stats}}
	stats enable
	stats uri /
backend peers
	balance roundrobin
	http-reuse always
	option httpchk GET /healthz
	http-check expect status 204
	default-server check inter 100ms fall 2 rise 2
	{{range $i, $s := .Servers}}server s{{$i}} {{$s}}{{$.TLS}}
	{{end}}
backend plain
	http-request replace-path /plain(.*) \1
	option httpchk
	{{range $i, $s := .Servers}}server s{{$i}} {{$s}} check inter 100ms{{$.TLS}}
	{{end}}
backend host
	http-request replace-path /host(.*) \1
	option httpchk
	http-check send meth HEAD uri /healthz ver HTTP/1.1 hdr Host peers.test
	http-check expect rstatus 2..
	{{range $i, $s := .Servers}}server s{{$i}} {{$s}} check inter 100ms{{$.TLS}}
	{{end}}
`

// startProxy runs a proxy with a configuration until the end of the test. It gives it ports
// that are free just now; should another program be quicker, the next ones will do.
func startProxy(t *testing.T, config, tls string, servers []*peerServer, command ...string) proxyConfig {
	t.Helper()
	c := proxyConfig{Dir: t.TempDir(), TLS: tls}
	for _, s := range servers {
		c.Servers = append(c.Servers, s.addr)
	}
	for range 5 {
		c.Front, c.Stats = freeAddr(t), freeAddr(t)
		var b bytes.Buffer
		require.NoError(t, template.Must(template.New("").Parse(config)).Execute(&b, c))
		file := filepath.Join(c.Dir, "proxy.conf")
		require.NoError(t, os.WriteFile(file, b.Bytes(), 0o600))
		args := append(command[1:len(command):len(command)], file)
		if tryProxy(t, c.Front, exec.Command(command[0], args...)) {
			return c
		}
	}
	t.Fatalf("%s does not start", command[0])
	return c
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

func tryProxy(t *testing.T, addr string, cmd *exec.Cmd) bool {
	t.Helper()
	log := &lockedBuffer{}
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(10*time.Second, func() { cmd.Process.Kill() })
		<-ended
		late.Stop()
		if t.Failed() {
			t.Logf("the log of %s:\n%s", cmd.Path, log)
		}
	})
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		select {
		case <-ended:
			t.Logf("%s: %s", cmd.Path, log)
			return false
		default:
		}
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return true
		}
	}
	return false
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// sbin finds a program where Debian keeps those of the system, too.
func sbin(t *testing.T, program, debianPackage string) string {
	t.Helper()
	if path := filepath.Join("/usr/sbin", program); exec.Command(path, "-v").Run() == nil {
		return path
	}
	return need(t, program, debianPackage)
}

func startNginx(t *testing.T, servers ...*peerServer) proxyConfig {
	t.Helper()
	nginx := sbin(t, "nginx", "nginx-light")
	return startProxy(t, nginxConfig, "", servers, nginx, "-e", "stderr", "-c")
}

func startHAProxy(t *testing.T, servers ...*peerServer) proxyConfig {
	t.Helper()
	return startProxy(t, haproxyConfig, "", servers, sbin(t, "haproxy", "haproxy"), "-db", "-f")
}

func TestNginx(t *testing.T) {
	srv := servePeers(t, &nethttp.Server{}, "")
	url := "http://" + startNginx(t, srv).Front
	testProxy(t, url, srv)
	t.Run("as nginx does by default", func(t *testing.T) {
		srv.forget()
		body := large(2 << 20)
		assert.Equal(t, "hello\n", curl(t, "", "--fail", url+"/old/hello").succeed(t).stdout)
		assert.Equal(t, fiveParts, curl(t, "", "--fail", url+"/old/parts").succeed(t).stdout)
		assert.Equal(t, fmt.Sprintf("%d %s", len(body), sum(body)),
			curl(t, body, "--upload-file", "-", "--fail", url+"/old/sum").succeed(t).stdout)
		_, header, _ := head(t, curl(t, "", "--head", url+"/old/text").succeed(t).stdout)
		assert.Equal(t, "26", header["content-length"])
		connections, _ := srv.connections()
		assert.Equal(t, 4, connections)
		assert.Equal(t, map[string]int{"HTTP/1.0": 4}, srv.versions())
	})
}

func TestHAProxy(t *testing.T) {
	srv := servePeers(t, &nethttp.Server{}, "")
	proxy := startHAProxy(t, srv)
	url := "http://" + proxy.Front
	proxy.waitFor(t, "peers", "s0", "UP")
	testProxy(t, url, srv)
	t.Run("trailer", func(t *testing.T) {
		r := curl(t, "", "--raw", url+"/parts").succeed(t)
		assert.Contains(t, strings.ToLower(r.stdout), "\r\n0\r\nx-sum: five parts\r\n\r\n")
	})
	// Not with nginx, which stops in the middle, with net/http behind it as well.
	t.Run("a large body both ways", func(t *testing.T) {
		body := large(10 << 20)
		r := curl(t, body, "--request", "POST", "--upload-file", "-", url+"/echo").succeed(t)
		assert.True(t, body == r.stdout, "%d bytes have become %d others", len(body), len(r.stdout))
	})
	t.Run("health checks", func(t *testing.T) {
		for _, backend := range []string{"plain", "host"} {
			proxy.waitFor(t, backend, "s0", "UP")
			assert.Equal(t, "hello\n", curl(t, "", "--fail", url+"/"+backend+"/hello").succeed(t).stdout)
		}
		srv.setSick(true)
		proxy.waitFor(t, "peers", "s0", "DOWN")
		proxy.waitFor(t, "host", "s0", "DOWN")
		assert.Equal(t, "503", curl(t, "", "--output", os.DevNull, "--write-out", "%{http_code}", url+"/hello").stdout)
		srv.setSick(false)
		proxy.waitFor(t, "peers", "s0", "UP")
		assert.Equal(t, "hello\n", curl(t, "", "--fail", url+"/hello").succeed(t).stdout)
	})
}

// HAProxy speaks TLS to the server, health checks and all.
func TestHAProxyTLS(t *testing.T) {
	cert := newCertificate(t)
	srv := servePeers(t, &nethttp.Server{TLS: cert.config(t)}, "")
	// The interval bounds a check's handshake too, which waits here for a hundred others.
	tls := " inter 2s fastinter 100ms fall 3 ssl verify required verifyhost localhost ca-file " + cert.certFile
	proxy := startProxy(t, haproxyConfig, tls, []*peerServer{srv},
		sbin(t, "haproxy", "haproxy"), "-db", "-f")
	proxy.waitFor(t, "peers", "s0", "UP")
	testProxy(t, "http://"+proxy.Front, srv)
}

// status is what HAProxy says of a server.
func (c proxyConfig) status(t *testing.T, backend, server string) string {
	t.Helper()
	r := curl(t, "", "http://"+c.Stats+"/;csv").succeed(t)
	records, err := csv.NewReader(strings.NewReader(r.stdout)).ReadAll()
	require.NoError(t, err)
	column := 0
	for i, name := range records[0] {
		if name == "status" {
			column = i
		}
	}
	for _, record := range records {
		if record[0] == backend && record[1] == server {
			return record[column]
		}
	}
	t.Fatalf("HAProxy knows no %s/%s", backend, server)
	return ""
}

func (c proxyConfig) waitFor(t *testing.T, backend, server, want string) {
	t.Helper()
	got := ""
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if got = c.status(t, backend, server); got == want {
			return
		}
	}
	t.Fatalf("%s/%s is %s, not %s", backend, server, got, want)
}

// testProxy asks srv through a proxy at url.
func testProxy(t *testing.T, url string, srv *peerServer) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}, Timeout: 20 * time.Second}
	defer client.CloseIdleConnections()
	send := func(t *testing.T, method, path string, body io.Reader, header ...string) (*http.Response, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, url+path, body)
		require.NoError(t, err)
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		res, err := client.Do(req)
		if !assert.NoError(t, err) {
			return &http.Response{}, ""
		}
		defer res.Body.Close()
		got, err := io.ReadAll(res.Body)
		assert.NoError(t, err)
		return res, string(got)
	}

	t.Run("keep-alive", func(t *testing.T) {
		srv.forget()
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				for n := range 50 {
					want := strings.Repeat(fmt.Sprintf("message %d of %d ", n, i), 40)
					res, got := send(t, "POST", "/echo", strings.NewReader(want))
					assert.Equal(t, 200, res.StatusCode)
					assert.Equal(t, want, got)
					res, got = send(t, "GET", "/hello", nil)
					assert.Equal(t, 200, res.StatusCode)
					assert.Equal(t, "hello\n", got)
				}
			})
		}
		all.Wait()
		connections, requests := srv.connections()
		assert.Equal(t, 800, requests)
		assert.LessOrEqual(t, connections, 24, "for 800 requests")
		t.Logf("800 requests of 8 clients on %d connections", connections)
	})
	t.Run("keep-alive behind all kinds", func(t *testing.T) {
		send(t, "GET", "/hello", nil)
		srv.forget()
		for range 5 {
			res, got := send(t, "GET", "/status/204", nil)
			assert.Equal(t, 204, res.StatusCode)
			assert.Empty(t, got)
			res, got = send(t, "GET", "/text", nil, "If-None-Match", `"letters"`)
			assert.Equal(t, 304, res.StatusCode)
			assert.Empty(t, got)
			assert.Equal(t, `"letters"`, res.Header.Get("ETag"))
			res, got = send(t, "HEAD", "/text", nil)
			assert.Equal(t, 200, res.StatusCode)
			assert.EqualValues(t, 26, res.ContentLength)
			assert.Empty(t, got)
			res, got = send(t, "HEAD", "/large?n=100000", nil)
			assert.Equal(t, 200, res.StatusCode)
			assert.Empty(t, got)
			res, got = send(t, "HEAD", "/nowhere", nil)
			assert.Equal(t, 404, res.StatusCode)
			assert.Empty(t, got)
			res, got = send(t, "GET", "/text", nil, "Range", "bytes=3-7")
			assert.Equal(t, 206, res.StatusCode)
			assert.Equal(t, "defgh", got)
			res, got = send(t, "GET", "/nowhere", nil)
			assert.Equal(t, 404, res.StatusCode)
			assert.Equal(t, "404 page not found\n", got)
			res, got = send(t, "GET", "/large?n=100000", nil)
			assert.Equal(t, 200, res.StatusCode)
			assert.Equal(t, large(100_000), got)
			res, got = send(t, "POST", "/hello", strings.NewReader("a body that the handler does not read"))
			assert.Equal(t, 200, res.StatusCode)
			assert.Equal(t, "hello\n", got)
		}
		_, requests := srv.connections()
		assert.Equal(t, 45, requests)
		assert.LessOrEqual(t, srv.opened(), 1, "connections were not kept")
	})
	t.Run("uploads", func(t *testing.T) {
		body := large(10 << 20)
		want := fmt.Sprintf("%d %s", len(body), sum(body))
		res, got := send(t, "POST", "/sum", strings.NewReader(body))
		assert.Equal(t, 200, res.StatusCode)
		assert.Equal(t, want, got)
		assert.Equal(t, fmt.Sprint(len(body)), res.Header.Get("X-Length"))
		res, got = send(t, "POST", "/sum", io.MultiReader(strings.NewReader(body)))
		assert.Equal(t, 200, res.StatusCode)
		assert.Equal(t, want, got)
		assert.Equal(t, "-1", res.Header.Get("X-Length"), "it was sent in chunks")
		r := curl(t, body, "--expect100-timeout", "20", "-H", "Expect: 100-continue", "--data-binary", "@-", url+"/sum").succeed(t)
		assert.Equal(t, want, r.stdout)
	})
	t.Run("parallel uploads", func(t *testing.T) {
		body := large(1 << 20)
		want := fmt.Sprintf("%d %s", len(body), sum(body))
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				_, got := send(t, "POST", "/sum", io.MultiReader(strings.NewReader(body)))
				assert.Equal(t, want, got)
			})
		}
		all.Wait()
	})
	t.Run("a large response for a slow client", func(t *testing.T) {
		for _, query := range []string{"", "&length=y"} {
			r := curl(t, "", "--limit-rate", "8M", url+"/large?n=8388608"+query).succeed(t)
			assert.True(t, large(8<<20) == r.stdout, "%d bytes", len(r.stdout))
		}
	})
	t.Run("a client that leaves", func(t *testing.T) {
		for range 10 {
			ctx, cancel := context.WithCancel(t.Context())
			req, err := http.NewRequestWithContext(ctx, "GET", url+"/large?n=8388608", nil)
			require.NoError(t, err)
			res, err := client.Do(req)
			require.NoError(t, err)
			_, _ = io.CopyN(io.Discard, res.Body, 1000)
			cancel()
			res.Body.Close()
		}
		_, got := send(t, "GET", "/hello", nil)
		assert.Equal(t, "hello\n", got)
	})
	t.Run("the response streams", func(t *testing.T) {
		res, err := client.Get(url + "/parts")
		require.NoError(t, err)
		defer res.Body.Close()
		first := make([]byte, 7)
		_, err = io.ReadFull(res.Body, first)
		require.NoError(t, err)
		start := time.Now()
		rest, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		assert.Equal(t, fiveParts, string(first)+string(rest))
		assert.Greater(t, time.Since(start), 100*time.Millisecond, "all came at once")
	})
	t.Run("the request streams", func(t *testing.T) {
		r, w := io.Pipe()
		defer w.Close()
		done := make(chan string, 1)
		go func() {
			_, got := send(t, "POST", "/stream", r)
			done <- got
		}()
		for i := range 5 {
			part := fmt.Sprintf("part %d\n", i)
			_, err := io.WriteString(w, part)
			require.NoError(t, err)
			select {
			case got := <-srv.parts:
				assert.Equal(t, part, got)
			case <-time.After(10 * time.Second):
				t.Fatal("the server has not seen the part before the next one was sent")
			}
		}
		require.NoError(t, w.Close())
		assert.Equal(t, "35 bytes", <-done)
	})
	t.Run("Connection: close of the server", func(t *testing.T) {
		for range 5 {
			_, got := send(t, "GET", "/close", nil)
			assert.Equal(t, "bye\n", got)
		}
	})
	t.Run("WebSocket", func(t *testing.T) {
		python := needPython(t)
		for _, name := range webSocketCases {
			t.Run(name, func(t *testing.T) {
				command(t, "", python, filepath.Join("testdata", "python", "client.py"), name,
					strings.Replace(url, "http", "ws", 1)+"/ws").succeed(t)
			})
		}
	})
}

// A server behind a proxy goes, gently or at once, and comes back. Meanwhile the proxy asks
// the other one, and no GET fails.
func TestProxiesWhenServersGo(t *testing.T) {
	for name, start := range map[string]func(*testing.T, ...*peerServer) proxyConfig{"nginx": startNginx, "HAProxy": startHAProxy} {
		t.Run(name, func(t *testing.T) {
			stays := servePeers(t, &nethttp.Server{}, "")
			goes := &nethttp.Server{}
			leaver := servePeers(t, goes, "")
			url := "http://" + start(t, stays, leaver).Front
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}, Timeout: 10 * time.Second}
			defer client.CloseIdleConnections()
			require.Eventually(t, func() bool { // HAProxy takes its time to see that they are there
				res, err := client.Get(url + "/hello")
				if err != nil {
					return false
				}
				res.Body.Close()
				_, n := leaver.connections()
				return res.StatusCode == 200 && n > 0
			}, 10*time.Second, 20*time.Millisecond)

			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var all sync.WaitGroup
			var mu sync.Mutex
			count := 0
			for range 4 {
				all.Go(func() {
					for ctx.Err() == nil {
						res, err := client.Get(url + "/hello")
						if !assert.NoError(t, err) {
							return
						}
						body, err := io.ReadAll(res.Body)
						res.Body.Close()
						assert.NoError(t, err)
						assert.Equal(t, 200, res.StatusCode)
						assert.Equal(t, "hello\n", string(body))
						mu.Lock()
						count++
						mu.Unlock()
						time.Sleep(2 * time.Millisecond)
					}
				})
			}
			time.Sleep(200 * time.Millisecond)
			for _, stop := range []func() error{func() error { return goes.Shutdown(t.Context()) }, func() error { return goes.Close() }} {
				require.NoError(t, stop())
				time.Sleep(300 * time.Millisecond)
				goes = &nethttp.Server{}
				leaver.end()
				leaver = servePeers(t, goes, leaver.addr)
				require.Eventually(t, func() bool {
					_, n := leaver.connections()
					return n > 10
				}, 10*time.Second, 20*time.Millisecond, "it is back, and gets no requests")
			}
			cancel()
			all.Wait()
			t.Logf("%d requests", count)
		})
	}
}
