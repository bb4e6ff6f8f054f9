package nethttp_test

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nng"
	"go.uber.org/goleak"
)

// TestMain fails when the tests leave goroutines or sockets behind.
func TestMain(m *testing.M) {
	flag.Parse()
	setExamples()
	if !nng.LinkInfo().HTTP {
		fmt.Printf("%v: nothing to test\n", nng.LinkInfo())
		return
	}
	left.Setup()
	if kind := os.Getenv(costServerEnv); kind != "" {
		os.Exit(costServer(kind))
	}
	code := m.Run()
	if code == 0 {
		if left := leftovers(); len(left) > 0 {
			fmt.Println("FAIL: the tests have left behind:")
			fmt.Println("  " + strings.Join(left, "\n  "))
			code = 1
		}
	}
	os.Exit(code)
}

// leftovers lists what is still there. Some things go in the background, so it looks
// again for a while.
func leftovers() (left []string) {
	for end := time.Now().Add(10 * time.Second); ; {
		http.DefaultClient.CloseIdleConnections()
		runtime.GC()
		left = nil
		if err := goleak.Find(); err != nil {
			left = append(left, err.Error())
		}
		if n := sockets(); n > 0 {
			left = append(left, fmt.Sprintf("%d connections", n))
		}
		if len(left) == 0 || time.Now().After(end) {
			return left
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// sockets counts the TCP sockets of this process: those whose inode is in the system's
// table of them. It finds none where there is no /proc.
func sockets() (n int) {
	table, _ := os.ReadFile("/proc/self/net/tcp")
	inodes := make(map[string]bool)
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) > 9 {
			inodes["socket:["+f[9]+"]"] = true
		}
	}
	fds, _ := filepath.Glob("/proc/self/fd/*")
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && inodes[to] {
			n++
		}
	}
	return n
}
