package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/require"
)

// needLimits skips a test of limits with a library that keeps none.
func needLimits(t *testing.T) {
	srv, err := nng.HoldServer("http://127.0.0.1:1")
	require.NoError(t, err)
	defer srv.Close()
	if _, err := srv.Stats(); err != nil {
		t.Skip("this library keeps no limits: ", err)
	}
}

// Four hundred half heads and 256 descriptors: when the time of the heads is over others are
// served, and until then the server does not spin.
func TestHalfHeadsTakeAllDescriptors(t *testing.T) {
	needLimits(t)
	const limit = 2 * time.Second
	p := startIn(t, "ulimit -n 256", "--read-header-timeout", limit.String())
	host := strings.TrimPrefix(p.url, "http://")
	peers := make(chan net.Conn, 400)
	done := make(chan struct{})
	defer close(done)
	go func() {
		for range 400 {
			c, err := net.DialTimeout("tcp", host, 100*time.Millisecond)
			if err != nil {
				continue // the backlog is full
			}
			fmt.Fprint(c, "GET /healthz HTTP/1.1\r\nHost: a\r\n")
			peers <- c
		}
		close(peers)
		<-done
		for c := range peers {
			c.Close()
		}
	}()
	require.Eventually(t, func() bool { return len(peers) >= 250 }, 20*time.Second, time.Millisecond)
	start := time.Now()
	for {
		c, err := net.DialTimeout("tcp", host, time.Second)
		if err == nil {
			_ = c.SetDeadline(time.Now().Add(time.Second))
			fmt.Fprint(c, "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
			got, _ := io.ReadAll(c)
			c.Close()
			if strings.HasPrefix(string(got), "HTTP/1.1 200 OK\r\n") {
				break
			}
		}
		// Two seconds were enough; the rest is for busy machines.
		require.Less(t, time.Since(start), limit+8*time.Second)
	}
	took := time.Since(start)
	t.Logf("served after %v; the server has used %v of CPU", took, p.cpu(t))
	require.Less(t, p.cpu(t), took)
	require.NoError(t, p.signal(syscall.SIGTERM))
	require.NoError(t, <-p.exited)
}

// cpu is the processor time that the process has used, 0 where that cannot be told.
func (p *process) cpu(t *testing.T) time.Duration {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(p.pid) + "/stat")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')'):]))
	user, err := strconv.Atoi(fields[12])
	require.NoError(t, err)
	system, err := strconv.Atoi(fields[13])
	require.NoError(t, err)
	return time.Duration(user+system) * 10 * time.Millisecond
}

// Each flag sets its limit, and /metrics tells what came of it.
func TestServeLimits(t *testing.T) {
	needLimits(t)
	const limit = 200 * time.Millisecond
	half := "GET /healthz HTTP/1.1\r\nHost: x\r\n"
	for name, c := range map[string]struct {
		cmd    serveCmd
		peer   string
		reason string
	}{
		"heads":      {serveCmd{ReadHeaderTimeout: limit}, half, "header_timeout"},
		"idle":       {serveCmd{IdleTimeout: limit}, half + "\r\n", "idle_timeout"},
		"handshakes": {serveCmd{TLSHandshakeTimeout: limit, SelfSigned: true}, "", "handshake_timeout"},
		"conns":      {serveCmd{MaxConns: 1}, half + "\r\n", "max_conns"},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := newTestServer(t, &c.cmd)
			scheme, host, _ := strings.Cut(s.url, "://")
			transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
			defer transport.CloseIdleConnections()
			if c.reason == "max_conns" {
				first, err := net.Dial("tcp", host)
				require.NoError(t, err)
				defer first.Close()
				fmt.Fprint(first, half+"\r\n")
				_, err = http.ReadResponse(bufio.NewReader(first), nil)
				require.NoError(t, err)
			}
			peer, err := net.Dial("tcp", host)
			require.NoError(t, err)
			defer peer.Close()
			require.NoError(t, peer.SetDeadline(time.Now().Add(20*time.Second)))
			fmt.Fprint(peer, c.peer)
			got, err := io.ReadAll(peer)
			require.NoError(t, err)
			if c.reason == "max_conns" {
				require.True(t, strings.HasPrefix(string(got), "HTTP/1.1 503 "), string(got))
				stats, err := s.http.Stats()
				require.NoError(t, err)
				require.EqualValues(t, 1, stats.RefusedConns)
				return // no connection is left to ask for the metrics
			}
			res, err := transport.RoundTrip(must(http.NewRequest("GET", scheme+"://"+host+"/metrics", nil)))
			require.NoError(t, err)
			metrics, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.Contains(t, string(metrics), "\nnnghttp_refused_total{reason=\""+c.reason+"\"} 1\n")
			require.Contains(t, string(metrics), "\nnnghttp_connections_open ")
		})
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
