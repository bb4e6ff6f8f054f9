package nng_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
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
	"unsafe"

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
	addr := address(t, newServer(t, must(t)(nng.NewDirectoryHandler("/files", dir))))
	get := func(target string) (*http.Response, string) {
		conn, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		defer conn.Close()
		require.NoError(t, conn.SetDeadline(time.Now().Add(60*time.Second)))
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", target)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
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
		want := 404
		if strings.Contains(target, "%00") {
			want = 400 // to whomever
		}
		assert.Equal(t, want, res.StatusCode, target)
		assert.NotContains(t, body, "confidential", target)
	}
}

// A handler for a part of the directory is asked for it, however the part is written.
func TestDirectoryGuard(t *testing.T) {
	skipWithDefect(t, "P24")
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "private", "sub"), 0o700))
	writeFile(t, filepath.Join(dir, "hello.txt"), "hello")
	writeFile(t, filepath.Join(dir, "private", "x"), "confidential")
	writeFile(t, filepath.Join(dir, "private", "sub", "x"), "confidential")
	guard := func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
		return nng.NewErrorResponse(403)
	}
	srv := newServer(t,
		must(t)(nng.NewDirectoryHandler("/files", dir)),
		newHandler(t, "/files/private", guard, (*nng.Handler).SetTree, method("")))
	for target, want := range map[string]int{
		"/files/hello.txt":            200,
		"/files/private":              403,
		"/files/private/x":            403,
		"/files/private//x":           404,
		"/files/p%72ivate/sub/x":      403,
		"/files//private/x":           404,
		"/files/./private/x":          404,
		"/files///private/sub/x":      404,
		"/files/.//./private/x":       404,
		"/files/%2e/private/x":        404,
		"/files/%2E/private/x":        404,
		"/files%2fprivate/x":          403, // as it is decoded
		"/files%2f%2fprivate/x":       404,
		"/files/private/../hello.txt": 404,
		"/files/x/../private/x":       404,
		"http://x/files//private/x":   404,
		"/files//hello.txt":           404,
		"/files/./hello.txt":          404,
	} {
		got := exchange(t, address(t, srv), "GET "+target+" HTTP/1.1\r\n"+hostClose)
		assert.Equal(t, []string{strconv.Itoa(want)}, statuses(got), target)
		assert.NotContains(t, got, "confidential", target)
	}
}

// Files are sent as they are read; what is no file is not opened.
func TestFileHandlerStreams(t *testing.T) {
	skipWithDefect(t, "S50")
	dir := t.TempDir()
	large, fifo := filepath.Join(dir, "large"), filepath.Join(dir, "fifo")
	const size = 200_000_000
	writeFile(t, large, "start")
	require.NoError(t, os.Truncate(large, size))
	writeFile(t, filepath.Join(dir, "empty"), "")
	writeFile(t, filepath.Join(dir, "small"), "small")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	srv := newServer(t,
		must(t)(nng.NewDirectoryHandler("/dir", dir)),
		must(t)(nng.NewFileHandler("/large", large)),
		must(t)(nng.NewFileHandler("/fifo", fifo)),
		must(t)(nng.NewFileHandler("/empty", filepath.Join(dir, "empty"))),
		must(t)(nng.NewFileHandler("/folder", dir)))
	url := httpURL(t, srv)

	before := peakMemory(t)
	for i := range 10 {
		conn, err := net.Dial("tcp", address(t, srv))
		require.NoError(t, err)
		defer conn.Close()
		require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", []string{"/large", "/dir/large"}[i%2])
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		require.EqualValues(t, size, res.ContentLength)
	}
	assert.Less(t, peakMemory(t)-before, int64(64<<20), "memory for ten unread files")

	for _, path := range []string{"/fifo", "/dir/fifo", "/folder"} {
		for range 20 { // more than nng has threads
			require.Equal(t, 404, ask(t, "GET", url+path, "").StatusCode, path)
		}
	}
	for _, path := range []string{"/empty", "/dir/empty"} {
		for _, method := range []string{"GET", "HEAD"} {
			got := ask(t, method, url+path, "")
			assert.Equal(t, 200, got.StatusCode, path)
			assert.Zero(t, got.ContentLength, path)
		}
	}
	assert.Equal(t, "small", ask(t, "GET", url+"/dir/small", "").body)
	head := ask(t, "HEAD", url+"/large", "")
	assert.EqualValues(t, size, head.ContentLength)
	res, err := http.Get(url + "/large")
	require.NoError(t, err)
	defer res.Body.Close()
	n, err := io.Copy(io.Discard, res.Body)
	require.NoError(t, err)
	assert.EqualValues(t, size, n)
}

// peakMemory is the most that the process has had so far.
func peakMemory(t *testing.T) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(status), "VmHWM:")
	require.True(t, ok)
	kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	require.NoError(t, err)
	return kb << 10
}

// Accepted connections have the keep-alive that those of net/http have, and the backlog is
// the system's.
func TestServerKeepAlive(t *testing.T) {
	skipWithDefect(t, "S52")
	srv := newServer(t, newHandler(t, "/", text("hello")))
	theirs, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer theirs.Close()
	go func() {
		for {
			c, err := theirs.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			_, _ = c.Write([]byte("x"))
		}
	}()
	listens, accepted := socketsOf(t, address(t, srv), "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	wantListens, wantAccepted := socketsOf(t, theirs.Addr().String(), "")
	assert.Equal(t, wantListens, listens)
	assert.Equal(t, wantAccepted, accepted)
	assert.Equal(t, map[string]int{"keep-alive": 1, "idle": 15, "interval": 15, "count": 9}, accepted)
}

// socketsOf connects to a server of this process and looks at its two sockets.
func socketsOf(t *testing.T, addr, request string) (backlog int, options map[string]int) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, request)
	require.NoError(t, err)
	_, err = conn.Read(make([]byte, 1)) // then the server is done with the options
	require.NoError(t, err)
	name := func(sa syscall.Sockaddr, err error) string {
		if in, ok := sa.(*syscall.SockaddrInet4); ok && err == nil {
			return net.JoinHostPort(net.IP(in.Addr[:]).String(), strconv.Itoa(in.Port))
		}
		return ""
	}
	fds := func() (all []int) {
		entries, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		for _, e := range entries {
			fd, err := strconv.Atoi(e.Name())
			require.NoError(t, err)
			if name(syscall.Getsockname(fd)) == addr {
				all = append(all, fd)
			}
		}
		return all
	}
	require.Eventually(t, func() bool {
		for _, fd := range fds() {
			get := func(level, option int) int {
				v, err := syscall.GetsockoptInt(fd, level, option)
				require.NoError(t, err)
				return v
			}
			switch {
			case get(syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN) == 1:
				// Where a connection has a count of segments a listener has its backlog.
				info := make([]byte, 64)
				n := uint32(len(info))
				require.NoError(t, getsockopt(fd, syscall.IPPROTO_TCP, syscall.TCP_INFO, info, &n))
				backlog = int(info[28]) | int(info[29])<<8 | int(info[30])<<16
			case name(syscall.Getpeername(fd)) == conn.LocalAddr().String():
				options = map[string]int{
					"keep-alive": get(syscall.SOL_SOCKET, syscall.SO_KEEPALIVE),
					"idle":       get(syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE),
					"interval":   get(syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL),
					"count":      get(syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT),
				}
			}
		}
		return options["count"] == 9
	}, 10*time.Second, 10*time.Millisecond, "%v", options)
	return backlog, options
}

func getsockopt(fd, level, option int, to []byte, n *uint32) error {
	_, _, e := syscall.Syscall6(syscall.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(option),
		uintptr(unsafe.Pointer(&to[0])), uintptr(unsafe.Pointer(n)), 0)
	if e != 0 {
		return e
	}
	return nil
}

// Children that are started while nng accepts, connects and reads files inherit none of its
// descriptors. NNGHTTP_CHILDREN says how many; `make fork` starts 5,000.
func TestChildrenInheritNothing(t *testing.T) {
	skipWithDefect(t, "S51")
	children := 1000
	if s := os.Getenv("NNGHTTP_CHILDREN"); s != "" {
		var err error
		children, err = strconv.Atoi(s)
		require.NoError(t, err)
	}
	ls, err := exec.LookPath("ls")
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "file")
	writeFile(t, file, strings.Repeat("x", 100_000))
	srv := newServer(t, newHandler(t, "/", text("hello")), must(t)(nng.NewFileHandler("/file", file)))
	addr := address(t, srv)

	ctx, cancel := context.WithCancel(context.Background())
	var load sync.WaitGroup
	defer load.Wait()
	defer cancel()
	for i := range 4 {
		load.Go(func() {
			client, err := nng.NewClient("http://" + addr)
			if !assert.NoError(t, err) {
				return
			}
			defer client.Close()
			buf := make([]byte, 4096)
			for n := 0; ctx.Err() == nil; n++ {
				if i == 0 { // sockets of nng's client
					if conn, err := client.Connect(ctx); err == nil {
						assert.NoError(t, conn.Close())
					}
					continue
				}
				conn, err := net.Dial("tcp", addr)
				if err != nil {
					continue
				}
				fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", []string{"/", "/file"}[n%2])
				_, _ = conn.Read(buf)
				_ = conn.Close()
			}
		})
	}

	// descriptors lists what a child has, but for the three that it is given and the one it
	// reads the list from.
	descriptors := func() (map[string]bool, error) {
		out, err := exec.Command(ls, "-l", "/proc/self/fd").Output()
		all := make(map[string]bool)
		for line := range bytes.Lines(out) {
			if words := strings.Fields(string(line)); len(words) > 3 && words[len(words)-2] == "->" {
				fd, target := words[len(words)-3], words[len(words)-1]
				if fd > "2" && !strings.HasPrefix(target, "/proc/") || len(fd) > 1 {
					all[fd+" -> "+target] = true
				}
			}
		}
		return all, err
	}
	ours, err := descriptors() // what the tests have inherited themselves
	require.NoError(t, err)
	var starters sync.WaitGroup
	todo := make(chan int, children)
	for i := range children {
		todo <- i
	}
	close(todo)
	for range 4 {
		starters.Go(func() {
			for range todo {
				got, err := descriptors()
				if err != nil {
					var exit *exec.ExitError
					if !errors.As(err, &exit) { // ls complains of its own descriptor
						assert.NoError(t, err)
					}
				}
				for d := range got {
					assert.True(t, ours[d], "a child has inherited %s", d)
				}
			}
		})
	}
	starters.Wait()
}
