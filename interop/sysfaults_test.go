package interop

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// canTrace looks whether this process may trace others: strace is what makes system calls
// of the real program fail.
func canTrace(t *testing.T) string {
	t.Helper()
	strace := need(t, "strace", "strace")
	if out, err := exec.Command(strace, "-f", "-qq", "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		missing(t, "strace may not trace here: %v, %s", err, out)
	}
	return strace
}

// serveTraced runs "nnghttp serve" under strace, with some of its system calls failing as
// strace's option inject says. It returns the URL, or "" when the server has not started;
// stop ends the server and returns its status and its log.
func serveTraced(t *testing.T, inject []string, args ...string) (url string, stop func() (int, string)) {
	t.Helper()
	strace := canTrace(t)
	file, err := nnghttp()
	require.NoError(t, err)
	pidFile := filepath.Join(t.TempDir(), "pid")
	line := []string{"-f", "-qq", "-o", os.DevNull, "--seccomp-bpf"}
	for _, one := range inject {
		call, _, _ := strings.Cut(one, ":")
		line = append(line, "-e", "trace="+call, "-e", "inject="+one)
	}
	// A shell writes the number of the process that it becomes: strace's own is another.
	line = append(line, "sh", "-c", `echo $$ >"$0"; exec "$@"`, pidFile, file, "serve")
	cmd := exec.Command(strace, append(line, args...)...)
	var log lockedBuffer
	cmd.Stderr = &log
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	signal := func(s syscall.Signal) {
		var pid int
		if b, err := os.ReadFile(pidFile); err == nil {
			if _, err := fmt.Sscan(string(b), &pid); err == nil {
				_ = syscall.Kill(pid, s)
			}
		}
	}
	ended := make(chan struct{})
	t.Cleanup(func() {
		signal(syscall.SIGKILL)
		<-ended
	})
	late := time.AfterFunc(30*time.Second, func() { signal(syscall.SIGKILL) })
	first, _ := bufio.NewReader(stdout).ReadString('\n')
	late.Stop()
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	url, _ = strings.CutPrefix(strings.TrimSpace(first), "listening on ")
	return url, func() (int, string) {
		signal(syscall.SIGTERM)
		late := time.AfterFunc(30*time.Second, func() { signal(syscall.SIGABRT) })
		defer late.Stop()
		<-ended
		return cmd.ProcessState.ExitCode(), log.String()
	}
}

// untroubled looks for what a process says that has not ended by its own will.
func untroubled(t *testing.T, log string) {
	t.Helper()
	for _, word := range []string{"panic", "SIG", "BUG", "fatal error", "assert"} {
		assert.NotContains(t, log, word)
	}
}

// hammer sends requests of some kinds on new connections, whatever becomes of them.
func hammer(url string, n int) {
	client := &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for range n / 4 {
				var res *http.Response
				var err error
				switch i {
				case 0:
					res, err = client.Get(url + "/")
				case 1:
					res, err = client.Post(url+"/echo", "text/plain", strings.NewReader(strings.Repeat("x", 100_000)))
				case 2:
					res, err = client.Get(url + "/missing")
				case 3:
					c, cerr := net.DialTimeout("tcp", strings.TrimPrefix(strings.TrimPrefix(url, "http://"), "https://"), time.Second)
					if cerr == nil {
						_ = c.SetDeadline(time.Now().Add(time.Second))
						_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
						_, _ = c.Read(make([]byte, 10))
						_ = c.(*net.TCPConn).SetLinger(0)
						_ = c.Close()
					}
					continue
				}
				if err == nil {
					_, _ = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
				}
			}
		})
	}
	all.Wait()
}

// TestSystemCallsFail lets system calls of the real server fail as they do on a machine
// that has run out of something, and while peers go. The server lives on, serves others,
// and stops when it is told to.
func TestSystemCallsFail(t *testing.T) {
	canTrace(t)
	cert := newCertificate(t)
	for _, tc := range []struct {
		name   string
		inject []string // when=A+B: the A-th call of each thread, and then every B-th
		tls    bool
	}{
		{name: "accept EMFILE", inject: []string{"accept,accept4:error=EMFILE:when=2+3"}},
		{name: "accept ENFILE", inject: []string{"accept,accept4:error=ENFILE:when=2+3"}},
		{name: "accept ENOMEM", inject: []string{"accept,accept4:error=ENOMEM:when=2+3"}},
		{name: "accept ENOBUFS", inject: []string{"accept,accept4:error=ENOBUFS:when=2+3"}},
		{name: "accept ECONNABORTED", inject: []string{"accept,accept4:error=ECONNABORTED:when=2+3"}},
		{name: "accept EPERM", inject: []string{"accept,accept4:error=EPERM:when=2+3"}},
		{name: "accept EINTR", inject: []string{"accept,accept4:error=EINTR:when=2+3"}},
		{name: "accept EPROTO", inject: []string{"accept,accept4:error=EPROTO:when=2+3"}},
		{name: "epoll_ctl ENOSPC", inject: []string{"epoll_ctl:error=ENOSPC:when=20+5"}},
		{name: "epoll_ctl ENOMEM", inject: []string{"epoll_ctl:error=ENOMEM:when=21+7"}},
		{name: "read ECONNRESET", inject: []string{"readv:error=ECONNRESET:when=3+4"}},
		{name: "read ETIMEDOUT", inject: []string{"readv:error=ETIMEDOUT:when=3+4"}},
		{name: "read EINTR", inject: []string{"readv:error=EINTR:when=2+2"}},
		{name: "read EAGAIN", inject: []string{"readv:error=EAGAIN:when=2+2"}},
		{name: "write EPIPE", inject: []string{"sendmsg:error=EPIPE:when=3+4"}},
		{name: "write ECONNRESET", inject: []string{"sendmsg:error=ECONNRESET:when=3+4"}},
		{name: "write EINTR", inject: []string{"sendmsg:error=EINTR:when=2+2"}},
		{name: "write EAGAIN", inject: []string{"sendmsg:error=EAGAIN:when=2+2"}},
		{name: "setsockopt ENOBUFS", inject: []string{"setsockopt:error=ENOBUFS:when=5+3"}},
		{name: "fcntl EBADF", inject: []string{"fcntl:error=EINVAL:when=40+9"}},
		{name: "shutdown ENOTCONN", inject: []string{"shutdown:error=ENOTCONN:when=1+1"}},
		{name: "getpeername ENOTCONN", inject: []string{"getpeername:error=ENOTCONN:when=1+2"}},
		{name: "close EINTR", inject: []string{"close:error=EIO:when=30+11"}},
		{name: "several", inject: []string{"accept,accept4:error=EMFILE:when=3+5", "readv:error=ECONNRESET:when=5+7", "sendmsg:error=EPIPE:when=5+11"}},
		{name: "TLS, read ECONNRESET", inject: []string{"readv:error=ECONNRESET:when=5+7"}, tls: true},
		{name: "TLS, write EPIPE", inject: []string{"sendmsg:error=EPIPE:when=5+7"}, tls: true},
		{name: "TLS, accept EMFILE", inject: []string{"accept,accept4:error=EMFILE:when=2+3"}, tls: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			args := []string{"--listen", "http://127.0.0.1:0"}
			if tc.tls {
				args = []string{"--listen", "https://127.0.0.1:0", "--cert", cert.certFile, "--key", cert.keyFile}
			}
			starting.Lock()
			url, stop := serveTraced(t, tc.inject, args...)
			starting.Unlock()
			require.NotEmpty(t, url, "it has not started")
			hammer(url, 40)
			// Some calls go on failing, so not every request can be answered.
			client := &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
			good := 0
			for range 50 {
				if res, err := client.Get(url + "/healthz"); err == nil {
					if res.StatusCode == http.StatusOK {
						good++
					}
					_ = res.Body.Close()
				}
				if good == 5 {
					break
				}
			}
			assert.Equal(t, 5, good, "good requests were not served afterwards")
			status, log := stop()
			assert.Zero(t, status)
			untroubled(t, log)
			if t.Failed() {
				t.Logf("%.3000s", log)
			}
		})
	}
}

// goEnds says whether Go's runtime has ended the process because it has no poller for itself,
// of which nobody can keep it.
func goEnds(log string) bool { return strings.Contains(log, "runtime.netpollinit()") }

// TestStartFails lets what a server needs at its start fail: it says so in one line.
func TestStartFails(t *testing.T) {
	canTrace(t)
	for _, inject := range []string{
		"socket:error=EMFILE", "socket:error=EAFNOSUPPORT", "bind:error=EACCES", "bind:error=EADDRINUSE", "listen:error=EADDRINUSE", "setsockopt:error=EPERM",
		"epoll_ctl:error=ENOSPC:when=3+1", "getsockname:error=ENOBUFS",
	} {
		t.Run(inject, func(t *testing.T) {
			t.Parallel()
			starting.Lock()
			url, stop := serveTraced(t, []string{inject}, "--listen", "http://127.0.0.1:0")
			starting.Unlock()
			status, log := stop()
			if goEnds(log) {
				return
			}
			untroubled(t, log)
			if url == "" {
				assert.Equal(t, 1, status, "%s", log)
				assert.Equal(t, 1, strings.Count(log, "\n"), "%s", log)
			} else {
				assert.Zero(t, status, "%s", log)
			}
		})
	}
}

// TestStartDescriptors starts a server with room for one more descriptor each time, until it
// starts: it never says more than a line.
func TestStartDescriptors(t *testing.T) {
	file, err := nnghttp()
	require.NoError(t, err)
	refused := 0
	for n := 4; ; n++ {
		require.Less(t, n, 64, "it has not started")
		cmd := exec.Command("sh", "-c", `ulimit -n "$0" && exec "$@"`, strconv.Itoa(n), file, "serve", "--listen", "http://127.0.0.1:0")
		var log lockedBuffer
		cmd.Stderr = &log
		stdout, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		late := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Signal(syscall.SIGABRT) })
		first, _ := bufio.NewReader(stdout).ReadString('\n')
		if first != "" {
			require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		}
		_ = cmd.Wait()
		late.Stop()
		status := cmd.ProcessState.ExitCode()
		if first != "" {
			untroubled(t, log.String())
			require.Zero(t, status, "%d: %s", n, log.String())
			break
		}
		if status == 127 || goEnds(log.String()) {
			continue // 127: the linker has not found its libraries
		}
		refused++
		assert.Equal(t, 1, status, "%d: %.1000s", n, log.String())
		assert.Equal(t, 1, strings.Count(log.String(), "\n"), "%d: %.1000s", n, log.String())
	}
	assert.Positive(t, refused)
}

// TestGetFaults lets what a client needs fail: one line, and the exit code for it.
func TestGetFaults(t *testing.T) {
	strace := canTrace(t)
	file, err := nnghttp()
	require.NoError(t, err)
	url := newServer(t, nil)
	for _, tc := range []struct {
		inject string
		args   []string
		code   int
	}{
		{"socket:error=EMFILE", []string{url + "/hello"}, 2},
		{"socket:error=ENFILE", []string{url + "/hello"}, 2},
		{"connect:error=ECONNREFUSED", []string{url + "/hello"}, 2},
		{"connect:error=ENETUNREACH", []string{url + "/hello"}, 2},
		{"connect:error=ETIMEDOUT", []string{url + "/hello"}, 2},
		{"connect:error=EADDRNOTAVAIL", []string{url + "/hello"}, 2},
		{"epoll_ctl:error=ENOSPC:when=3+1", []string{url + "/hello"}, 1}, // no client can be made
		{"readv:error=ECONNRESET", []string{url + "/hello"}, 2},
		{"sendmsg:error=EPIPE", []string{url + "/hello"}, 2},
		{"sendmsg:error=ECONNRESET", []string{url + "/hello"}, 2},
		{"", []string{"http://name.invalid/"}, 2},
		{"", []string{"--output", "/dev/full", url + "/hello"}, 1},
		{"openat:error=EMFILE:when=30+1", []string{"http://name.invalid/"}, 2},
	} {
		t.Run(tc.inject+" "+strings.Join(tc.args, " "), func(t *testing.T) {
			args := append([]string{"get", "--timeout", "20s"}, tc.args...)
			program := file
			if tc.inject != "" {
				call, _, _ := strings.Cut(tc.inject, ":")
				args = append([]string{"-f", "-qq", "-o", os.DevNull, "-e", "trace=" + call, "-e", "inject=" + tc.inject, file}, args...)
				program = strace
			}
			r := command(t, "", program, args...)
			untroubled(t, r.stderr)
			assert.Equal(t, tc.code, r.code, "%s%s", r.stdout, r.stderr)
			assert.Equal(t, 1, strings.Count(r.stderr, "\n"), "%s", r.stderr)
		})
	}
}

// TestLogOnFullDisk serves with a log that cannot be written.
func TestLogOnFullDisk(t *testing.T) {
	file, err := nnghttp()
	require.NoError(t, err)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		missing(t, "there is no /dev/full: %v", err)
	}
	defer full.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, file, "serve", "--listen", "http://127.0.0.1:0")
	cmd.Stderr = full
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	starting.Lock()
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(stdout).ReadString('\n')
	starting.Unlock()
	require.NoError(t, err)
	url, _ := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	for range 10 {
		res, err := http.Get(url + "/healthz")
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, res.StatusCode)
		_ = res.Body.Close()
	}
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, cmd.Wait())
}
