package nethttp_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nethttp"
	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// costServerEnv makes the test program a server for TestHeadCost, of the kind that it says.
const costServerEnv = "NNGHTTP_TEST_COST_SERVER"

// costServer serves until its standard input ends. It says where on its standard output, and at
// /cpu how much CPU it has used.
func costServer(kind string) int {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/cpu" {
			fmt.Fprint(w, usedCPU())
		}
		_, _ = io.Copy(io.Discard, r.Body)
	})
	var addr string
	switch kind {
	case "net/http":
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 1
		}
		addr = l.Addr().String()
		go func() { _ = http.Serve(l, handler) }()
	default:
		srv, err := nng.HoldServer("http://127.0.0.1:0")
		if err != nil {
			return 1
		}
		if kind == "nng" { // a handler of nng's own kind beside the other one
			h, err := nng.NewHandler("/", func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
				return nng.NewResponse()
			})
			if err != nil || srv.AddHandler(h) != nil {
				return 1
			}
		}
		if err := (&nethttp.Server{Handler: handler}).Start(srv); err != nil {
			return 1
		}
		a, err := srv.Addr()
		if err != nil {
			return 1
		}
		addr = a.String()
	}
	fmt.Println(addr)
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// usedCPU returns the CPU time of this process in nanoseconds.
func usedCPU() int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}

// A costPeer asks a server in a process of its own.
type costPeer struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

func newCostPeer(t *testing.T, kind string) *costPeer {
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), costServerEnv+"="+kind)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		in.Close()
		assert.NoError(t, cmd.Wait())
	})
	addr, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	conn, err := net.Dial("tcp", strings.TrimSpace(addr))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(5*time.Minute)))
	return &costPeer{t, conn, bufio.NewReader(conn)}
}

func (p *costPeer) ask(head string) string {
	_, err := io.WriteString(p.conn, head)
	require.NoError(p.t, err)
	res, err := http.ReadResponse(p.r, nil)
	require.NoError(p.t, err)
	require.Equal(p.t, 200, res.StatusCode)
	body, err := io.ReadAll(res.Body)
	require.NoError(p.t, err)
	return string(body)
}

// cost is the server's CPU time for a request, the least of some rounds.
func (p *costPeer) cost(head string, times int) time.Duration {
	cpu := func() int64 {
		n, err := strconv.ParseInt(p.ask("GET /cpu HTTP/1.1\r\nHost: x\r\n\r\n"), 10, 64)
		require.NoError(p.t, err)
		return n
	}
	least := time.Hour
	for range 3 {
		before := cpu()
		for range times {
			p.ask(head)
		}
		least = min(least, time.Duration((cpu()-before)/int64(times)))
	}
	return least
}

// costHead makes a head of lines whose names and values are as long as they are told.
func costHead(lines ...[3]int) string {
	var b strings.Builder
	b.WriteString("GET / HTTP/1.1\r\nHost: x\r\n")
	n := 0
	for _, l := range lines {
		for range l[0] {
			name := strings.Repeat("X", l[1])
			if l[1] > 3 { // names that differ
				name = name[3:] + fmt.Sprintf("%03d", n)
			}
			b.WriteString(name + ": " + strings.Repeat("b", l[2]) + "\r\n")
			n++
		}
	}
	return b.String() + "\r\n"
}

// TestHeadCost: a request costs CPU in proportion to its bytes, within three times of what it
// costs net/http, whatever its head consists of.
func TestHeadCost(t *testing.T) {
	heads := []struct {
		name  string
		times int
		head  string
	}{
		{"1 KiB", 2000, costHead([3]int{19, 12, 37})},
		{"16 KiB", 500, costHead([3]int{310, 12, 37})},
		{"64 KiB", 200, costHead([3]int{900, 12, 55})},
		{"256 KiB", 60, costHead([3]int{900, 12, 272})},
		{"1 MiB", 20, costHead([3]int{900, 12, 1120})},
		{"15 lines of 65 KB", 20, costHead([3]int{15, 12, 65000})},
		{"15 lines of 65 KB, 980 short ones of their name", 20, costHead([3]int{15, 1, 65000}, [3]int{980, 1, 1})},
		{"990 lines of one name", 20, costHead([3]int{990, 1, 1040})},
		{"65 KB, 990 short lines of its name", 100, costHead([3]int{1, 1, 65000}, [3]int{990, 1, 1})},
		{"990 short names", 200, costHead([3]int{990, 5, 1})},
		{"990 long names", 20, costHead([3]int{990, 1000, 1})},
		{"31 very long names", 20, costHead([3]int{31, 32000, 1})},
	}
	std, ours, own := newCostPeer(t, "net/http"), newCostPeer(t, "nethttp"), newCostPeer(t, "nng")
	t.Logf("%-48s %9s %12s %12s %12s", "head", "bytes", "net/http", "nethttp", "nng")
	for _, h := range heads {
		a, b, c := std.cost(h.head, h.times), ours.cost(h.head, h.times), own.cost(h.head, h.times)
		x, y := float64(b)/float64(a), float64(c)/float64(a)
		t.Logf("%-48s %9d %12v %12v %12v  %.1f %.1f", h.name, len(h.head), a.Round(time.Microsecond), b.Round(time.Microsecond), c.Round(time.Microsecond), x, y)
		const slack = float64(50 * time.Microsecond)
		assert.Less(t, float64(b), 3*float64(a)+slack, "nethttp, %s", h.name)
		assert.Less(t, float64(c), 3*float64(a)+slack, "nng, %s", h.name)
	}
}

// TestChunkCost: the same of bodies in chunks, whatever their sizes: 1.1 to 1.8 times net/http's
// CPU, on a busy machine up to 2.3; it was 26 to 100 for small chunks. The bound leaves room for
// AddressSanitizer, which C alone has.
func TestChunkCost(t *testing.T) {
	if nng.LinkInfo().Mode == "noloop" {
		t.Skip("without the loop each read wakes two of nng's threads, and bodies in chunks are read 4 KiB at a time")
	}
	std, ours := newCostPeer(t, "net/http"), newCostPeer(t, "nethttp")
	for _, c := range []struct {
		size, chunks, times int
		extension           string
	}{
		{1, 10_000, 20, ""},
		{1, 10_000, 20, ";x=y"},
		{16, 4_000, 40, ""},
		{1000, 500, 40, ""},
		{30_000, 50, 40, ""},
	} {
		chunk := fmt.Sprintf("%x%s\r\n%s\r\n", c.size, c.extension, strings.Repeat("b", c.size))
		req := "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat(chunk, c.chunks) + "0\r\n\r\n"
		a, b := std.cost(req, c.times), ours.cost(req, c.times)
		t.Logf("%6d chunks of %6d bytes: %12v, net/http %12v  %.1f", c.chunks, c.size, b, a, float64(b)/float64(a))
		const slack = float64(50 * time.Microsecond)
		assert.Less(t, float64(b), 5*float64(a)+slack, "%d chunks of %d bytes", c.chunks, c.size)
	}
}
