package interop

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nethttp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// slowhttptest opens many connections and is slow on each: with the head of a request, with
// its body, with reading the response. Others are served all the time. The server ends all of
// them by its time-outs, or a proxy before it does.
func TestSlowClients(t *testing.T) {
	tool := need(t, "slowhttptest", "slowhttptest")
	const connections = 200
	for _, c := range []struct {
		name  string
		path  string
		query string
		ended bool // by the server
		proxy bool
		args  []string
	}{
		{"heads", "/hello", "", false, false, []string{"-H", "-i", "1", "-l", "15"}},
		{"heads, behind HAProxy", "/hello", "", false, true, []string{"-H", "-i", "1", "-l", "15"}},
		{"bodies", "/sum", "", true, false, []string{"-B", "-i", "1", "-x", "10", "-s", "100000", "-l", "15"}},
		{"bodies that the handler does not read", "/hello", "", true, false, []string{"-B", "-i", "1", "-x", "10", "-s", "100000", "-l", "15"}},
		{"reads", "/large", "?n=4000000", true, false, []string{"-X", "-w", "256", "-y", "512", "-n", "1", "-z", "16", "-l", "5"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			const timeout = 2 * time.Second
			var mu sync.Mutex
			var slow []time.Duration // requests of slow clients
			srv := servePeers(t, &nethttp.Server{
				ReadHeaderTimeout: timeout,
				ReadTimeout:       timeout,
				WriteTimeout:      timeout,
				Observe: func(r *http.Request, o nethttp.Observation) {
					if r.URL.Path == c.path {
						mu.Lock()
						defer mu.Unlock()
						slow = append(slow, o.Duration)
					}
				},
			}, "")
			url := srv.url
			if c.proxy {
				proxy := startHAProxy(t, srv)
				proxy.waitFor(t, "peers", "s0", "UP")
				url = "http://" + proxy.Front
			}
			ctx, cancel := context.WithCancel(t.Context())
			var others sync.WaitGroup
			served, slowest := 0, time.Duration(0)
			others.Go(func() {
				client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
				for ; ctx.Err() == nil; served++ {
					start := time.Now()
					res, err := client.Get(url + "/parts")
					if !assert.NoError(t, err) {
						return
					}
					body, err := io.ReadAll(res.Body)
					res.Body.Close()
					assert.NoError(t, err)
					assert.Equal(t, fiveParts, string(body))
					slowest = max(slowest, time.Since(start))
				}
			})
			r := command(t, "", tool, append(c.args, "-c", strconv.Itoa(connections), "-r", "400", "-p", "3", "-u", url+c.path+c.query)...)
			cancel()
			others.Wait()
			out := colours.ReplaceAllString(r.stdout+r.stderr, "")
			t.Logf("%d other requests, the slowest %v", served, slowest)
			assert.Positive(t, served) // some rounds are over within a second
			assert.Less(t, slowest, 3*time.Second)
			assert.NotRegexp(t, `service available: +NO`, out)
			mu.Lock()
			defer mu.Unlock()
			if slices.Contains(c.args, "-H") {
				assert.Contains(t, out, "No open connections left")
			}
			if c.ended { // slowhttptest itself does not notice while it has bytes left to read
				assert.GreaterOrEqual(t, len(slow), connections)
				assert.Less(t, slices.Max(slow), timeout+time.Second)
			} else {
				assert.Less(t, len(slow), 20, "these are probes")
			}
		})
	}
}

// colours are what slowhttptest prints for a terminal.
var colours = regexp.MustCompile("\x1b\\[[0-9;]*[A-Za-z]")

// Clients that reset their connections, in the middle of everything, leave nothing behind.
func TestClientsThatVanish(t *testing.T) {
	cert := newCertificate(t)
	for name, srv := range map[string]*nethttp.Server{"http": {}, "https": {TLS: cert.config(t)}} {
		t.Run(name, func(t *testing.T) {
			p := servePeers(t, srv, "")
			before := openSockets(t)
			var conns []*net.TCPConn
			for i := range 60 {
				c, err := net.Dial("tcp", p.addr)
				require.NoError(t, err)
				raw := c.(*net.TCPConn)
				require.NoError(t, raw.SetLinger(0))
				conns = append(conns, raw)
				if srv.TLS != nil {
					c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
				}
				request := "GET /hello HTTP/1.1\r\nHo" // the head is never complete
				if path := []string{"", "/hello", "/sum", "/parts", "/large?n=4000000", "/echo"}[i%6]; path != "" {
					request = fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nsome", path)
				}
				_, err = io.WriteString(c, request)
				require.NoError(t, err)
				if i%2 == 0 {
					require.NoError(t, raw.Close())
				}
			}
			time.Sleep(100 * time.Millisecond)
			for i, c := range conns {
				if i%2 != 0 {
					require.NoError(t, c.Close())
				}
			}
			assert.Eventually(t, func() bool { return srv.InFlight() == 0 && openSockets(t) <= before }, 20*time.Second, 20*time.Millisecond)
			t.Logf("%d sockets before, %d now", before, openSockets(t))
		})
	}
}

// openSockets counts the sockets of this process.
func openSockets(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	n := 0
	for _, f := range files {
		if to, err := os.Readlink("/proc/self/fd/" + f.Name()); err == nil && strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}
