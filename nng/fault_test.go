//go:build nng_fault

package nng_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/gonng/nnghttp/internal/figures"
	"github.com/gonng/nnghttp/internal/hostile"
	"github.com/gonng/nnghttp/nethttp"
	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/require"
)

// These tests run with a library whose allocator is that of internal/faults:
// make alloc-faults.

var faultPage = flag.String("faultpage", "", "write the counts into this page")

// faultMemory is shared with internal/faults/fault.c.
type faultMemory struct {
	armed, count, failAt, failed uint64
	live                         int64
	frames                       uint64
	frame                        [24]uint64
	point                        uint64 // of a child: the allocation that it lets fail
}

const faultFile = "NNGO_FAULT_FILE"

func mapFaults(file string) (*faultMemory, error) {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size := int(unsafe.Sizeof(faultMemory{}))
	if err := f.Truncate(int64(size)); err != nil {
		return nil, err
	}
	mem, err := syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return (*faultMemory)(unsafe.Pointer(&mem[0])), nil
}

// A faultScenario uses a part of the package as a program would, and returns the first
// error. It lets go of all that it has made.
type faultScenario struct {
	name string
	run  func(context.Context) error
	tls  bool
}

var faultScenarios = []faultScenario{
	{name: "messages", run: faultMessages},
	{name: "server: hold, handlers, start, stop", run: faultServer},
	{name: "server: a handler in Go", run: faultServe("/go", "GET /go HTTP/1.1\r\nHost: a\r\nX: y\r\nX: z\r\n\r\n", false)},
	{name: "server: a collected body", run: faultServe("/go", "POST /go HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n"+strings.Repeat("x", 50000), false)},
	{name: "server: a pipeline", run: faultServe("/go", strings.Repeat("GET /go HTTP/1.1\r\nHost: a\r\n\r\n", 3), false)},
	{name: "server: static, file, directory, redirect", run: faultServe("/static", "GET /static HTTP/1.1\r\nHost: a\r\n\r\nGET /file HTTP/1.1\r\nHost: a\r\n\r\nGET /dir/file HTTP/1.1\r\nHost: a\r\n\r\nGET /redirect HTTP/1.1\r\nHost: a\r\n\r\n", false)},
	{name: "server: errors of its own", run: faultErrors},
	{name: "server: a long head", run: faultServe("/go", "GET /go HTTP/1.1\r\nHost: a\r\nX: "+strings.Repeat("x", 20000)+"\r\n\r\n", false)},
	{name: "server: hijack", run: faultHijack},
	{name: "server: https", run: faultServe("/go", "GET /go HTTP/1.1\r\nHost: a\r\n\r\n", true), tls: true},
	{name: "nethttp: requests", run: faultNetHTTP},
	{name: "nethttp: Listen", run: faultListen},
	{name: "nethttp: Transport", run: faultTransport},
	{name: "client: Transact", run: faultTransact(false)},
	{name: "client: Transact, https", run: faultTransact(true), tls: true},
	{name: "client: Conn", run: faultConn},
	{name: "ws: listener", run: faultWSListener},
	{name: "ws: dialer", run: faultWSDialer("ws")},
	{name: "wss: dialer and listener", run: faultWSDialer("wss"), tls: true},
	{name: "TLS settings", run: faultTLS, tls: true},
}

// TestAllocationFailures lets each allocation of libnng, and of this package's C code, fail
// once in each scenario: the result is a clean error, or the scenario does not notice, and
// nothing crashes, hangs or leaks. A child process runs the scenario; when it dies, another
// goes on after the point.
func TestAllocationFailures(t *testing.T) {
	if os.Getenv(faultFile) != "" {
		t.Skip("in a child")
	}
	var table strings.Builder
	table.WriteString("| scenario | points | errors | not noticed | crashes, hangs, leaks |\n|---|---|---|---|---|\n")
	points, faults := 0, 0
	for _, s := range faultScenarios {
		t.Run(s.name, func(t *testing.T) {
			if s.tls {
				needTLS(t)
			}
			r := runFaultScenario(t, s.name)
			t.Logf("%d points: %d errors, %d not noticed, %d faults", r.points, r.errors, r.unnoticed, len(r.faults))
			fmt.Fprintf(&table, "| %s | %d | %d | %d | %d |\n", s.name, r.points, r.errors, r.unnoticed, len(r.faults))
			points += r.points
			faults += len(r.faults)
			for _, f := range r.faults {
				t.Error(f)
			}
		})
	}
	fmt.Fprintf(&table, "| together | %d | | | %d |\n\n%s.\n", points, faults, figures.Machine())
	fmt.Print(table.String())
	if *faultPage != "" && !t.Failed() {
		require.NoError(t, figures.Replace(*faultPage, "allocations", table.String()))
	}
}

type faultResult struct {
	points, errors, unnoticed int
	faults                    []string
}

// runFaultScenario runs children until every point has been tried.
func runFaultScenario(t *testing.T, name string) (r faultResult) {
	file := filepath.Join(t.TempDir(), "faults")
	mem, err := mapFaults(file)
	require.NoError(t, err)
	next := uint64(1)
	for deaths := 0; deaths < 60; deaths++ {
		*mem = faultMemory{point: next}
		var out bytes.Buffer
		cmd := exec.Command(os.Args[0], "-test.run", "^TestAllocationFailuresChild$", "-test.timeout", "20m")
		cmd.Env = append(os.Environ(), faultFile+"="+file, "NNGO_FAULT_SCENARIO="+name, "NNGO_FAULT_FROM="+strconv.FormatUint(next, 10), "GOTRACEBACK=all")
		cmd.Stdout, cmd.Stderr = &out, &out
		err := cmd.Run()
		for line := range strings.Lines(out.String()) {
			f := strings.Fields(line)
			switch {
			case len(f) < 2 || f[0] != "POINT":
			case f[2] == "error":
				r.errors++
			case f[2] == "unnoticed":
				r.unnoticed++
			default:
				r.faults = append(r.faults, strings.TrimSpace(line))
			}
		}
		if err == nil {
			r.points = int(mem.point) - pastEnd
			return r
		}
		text := out.String()
		for _, mark := range []string{"ERROR: AddressSanitizer", "SIG", "panic:", "fatal error:", "FAIL"} {
			if i := strings.Index(text, mark); i >= 0 {
				text = text[i:]
				break
			}
		}
		r.faults = append(r.faults, fmt.Sprintf("POINT %d died: %v; %s\n%.2500s", mem.point, err, faultPlace(mem), text))
		next = mem.point + 1
	}
	r.points = int(mem.point)
	r.faults = append(r.faults, "too many died; the rest was not tried")
	return r
}

// faultPlace names the functions that asked for the memory they did not get.
func faultPlace(mem *faultMemory) string {
	addrs := []string{"-f", "-s", "-p", "-e", os.Args[0]}
	for _, a := range mem.frame[:mem.frames] {
		addrs = append(addrs, fmt.Sprintf("%#x", a-1))
	}
	out, _ := exec.Command("addr2line", addrs...).Output()
	var lines []string
	for line := range strings.Lines(string(out)) {
		if line = strings.TrimSpace(line); !strings.Contains(line, "??") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[:min(len(lines), 7)], " < ")
}

// pastEnd is how many runs in which nothing failed end the search: the number of allocations
// varies a little.
const pastEnd = 3

// TestAllocationFailuresChild is the child.
func TestAllocationFailuresChild(t *testing.T) {
	if os.Getenv(faultFile) == "" {
		t.Skip("runs for TestAllocationFailures")
	}
	slog.SetDefault(slog.New(slog.DiscardHandler))
	mem, err := mapFaults(os.Getenv(faultFile))
	require.NoError(t, err)
	i := slices.IndexFunc(faultScenarios, func(s faultScenario) bool { return s.name == os.Getenv("NNGO_FAULT_SCENARIO") })
	require.GreaterOrEqual(t, i, 0)
	scenario := faultScenarios[i]
	from, err := strconv.ParseUint(os.Getenv("NNGO_FAULT_FROM"), 10, 64)
	require.NoError(t, err)

	live := func() int64 { return atomic.LoadInt64(&mem.live) }
	run := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		hang := time.AfterFunc(30*time.Second, func() {
			_ = pprof.Lookup("goroutine").WriteTo(os.Stdout, 2)
			_ = syscall.Kill(os.Getpid(), syscall.SIGABRT)
		})
		defer hang.Stop()
		return scenario.run(ctx)
	}
	// What stays for good is made now: threads, lists that grow, pools.
	base := int64(0)
	for range 5 {
		require.NoError(t, run())
		base = max(base, settle(live))
	}
	past := 0
	for k := from; past < pastEnd; k++ {
		atomic.StoreUint64(&mem.point, k)
		atomic.StoreUint64(&mem.count, 0)
		atomic.StoreUint64(&mem.failed, 0)
		atomic.StoreUint64(&mem.failAt, k)
		atomic.StoreUint64(&mem.armed, 1)
		err := run()
		atomic.StoreUint64(&mem.armed, 0)
		if atomic.LoadUint64(&mem.failed) == 0 {
			past++ // fewer allocations than that
			continue
		}
		past = 0
		now := settle(live)
		// Growing for good is fine if it is not once for each failure.
		again := run()
		// On a busy machine what is freed in the background takes its time.
		for i := 0; again == nil && now > base && i < 50; i++ {
			now = settle(live)
		}
		switch {
		case again != nil:
			fmt.Printf("POINT %d broken: afterwards nothing works: %v; %s\n", k, again, faultPlace(mem))
			t.Fatal(again)
		case now > base:
			fmt.Printf("POINT %d leak: %d blocks; %.400q; %s\n", k, now-base, fmt.Sprint(err), faultPlace(mem))
			base = now
		case err == nil:
			fmt.Printf("POINT %d unnoticed\n", k)
		case !cleanFault(err):
			fmt.Printf("POINT %d strange: %.400q; %s\n", k, err.Error(), faultPlace(mem))
		default:
			fmt.Printf("POINT %d error %.400q\n", k, err.Error())
		}
	}
}

// settle waits until the number of blocks does not change any more: some are freed in the
// background.
func settle(live func() int64) int64 {
	low, since := live(), time.Now()
	for start := time.Now(); time.Since(since) < 30*time.Millisecond && time.Since(start) < 5*time.Second; time.Sleep(time.Millisecond) {
		if n := live(); n != low {
			low, since = n, time.Now()
		}
		runtime.Gosched()
	}
	return low
}

// cleanFault accepts what a caller can understand: no memory, or a connection that the
// other side has closed for want of it.
func cleanFault(err error) bool {
	if errors.Is(err, nng.ErrTimedOut) || errors.Is(err, os.ErrDeadlineExceeded) {
		return false // something was lost
	}
	for _, e := range []error{nng.ErrNoMemory, nng.ErrConnShut, nng.ErrConnReset, nng.ErrClosed, nng.ErrConnRefused, nng.ErrConnAborted, nng.ErrProtocol, io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE, errFault} {
		if errors.Is(err, e) {
			return true
		}
	}
	return strings.Contains(err.Error(), "EOF") || strings.Contains(err.Error(), "status 50")
}

// errFault is a response that a server has given for want of memory.
var errFault = errors.New("not the response that was wanted")

// closeAll closes what was made, last first.
type closeAll []io.Closer

func (c *closeAll) add(one io.Closer) { *c = append(*c, one) }
func (c *closeAll) Close() {
	for _, one := range slices.Backward(*c) {
		_ = one.Close()
	}
}

func faultMessages(context.Context) error {
	req, err := nng.NewRequest("http://host/path?query")
	if err != nil {
		return err
	}
	defer req.Close()
	res, err := nng.NewResponse()
	if err != nil {
		return err
	}
	defer res.Close()
	e, err := nng.NewErrorResponse(404)
	if err != nil {
		return err
	}
	defer e.Close()
	for _, step := range []func() error{
		func() error { return req.SetMethod("POST") }, func() error { return req.SetURI("/other") }, func() error { return req.SetVersion("HTTP/1.0") },
		func() error { return req.SetHeader("X", "y") }, func() error { return req.SetHeader("X", "z") }, func() error { return req.AddHeader("X", "more") },
		func() error { return req.CopyData([]byte("body")) }, func() error { return req.SetData([]byte("body")) }, func() error { return req.DelHeader("X") },
		func() error { return res.SetStatus(201) }, func() error { return res.SetReason("Fine") }, func() error { return res.SetHeader("X", "y") }, func() error { return res.CopyData([]byte("body")) },
		res.Reset, req.Reset,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// faultServerOf makes a server with every kind of handler.
func faultServerOf(c *closeAll, secure bool) (*nng.Server, string, error) {
	holdMu.Lock()
	defer holdMu.Unlock()
	url := "http://127.0.0.1:0"
	if secure {
		url = "https://127.0.0.1:0"
	}
	srv, err := nng.HoldServer(url)
	if err != nil {
		return nil, "", err
	}
	c.add(srv)
	if secure {
		cfg, err := nng.NewTLSConfig(nng.TLSServer)
		if err != nil {
			return nil, "", err
		}
		defer cfg.Close()
		if err := cfg.SetOwnCert(testCert().cert, testCert().key, ""); err != nil {
			return nil, "", err
		}
		if err := srv.SetTLS(cfg); err != nil {
			return nil, "", err
		}
	}
	dir := faultDir()
	for _, f := range []func() (*nng.Handler, error){
		func() (*nng.Handler, error) { return nng.NewHandler("/go", faultHandler) },
		func() (*nng.Handler, error) { return nng.NewHandler("/hijack", faultHijacker) },
		func() (*nng.Handler, error) { return nng.NewStaticHandler("/static", []byte("static"), "text/plain") },
		func() (*nng.Handler, error) { return nng.NewFileHandler("/file", filepath.Join(dir, "file")) },
		func() (*nng.Handler, error) { return nng.NewDirectoryHandler("/dir", dir) },
		func() (*nng.Handler, error) { return nng.NewRedirectHandler("/redirect", 302, "http://example/") },
	} {
		h, err := f()
		if err != nil {
			return nil, "", err
		}
		if h.Path() == "/go" {
			err = h.SetMethod("")
		}
		if err == nil {
			err = srv.AddHandler(h)
		}
		if err != nil {
			_ = h.Close()
			return nil, "", err
		}
	}
	if err := srv.Start(); err != nil {
		return nil, "", err
	}
	a, err := srv.Addr()
	if err != nil {
		return nil, "", err
	}
	return srv, a.String(), nil
}

var faultDir = func() func() string {
	dir := ""
	return func() string {
		if dir == "" {
			dir, _ = os.MkdirTemp("", "nngfault")
			_ = os.WriteFile(filepath.Join(dir, "file"), []byte("file"), 0o600)
		}
		return dir
	}
}()

func faultHandler(_ context.Context, _ *nng.Conn, req *nng.Request) (*nng.Response, error) {
	if _, err := req.Head(); err != nil {
		return nil, err
	}
	res, err := nng.NewResponse()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(res.SetHeader("X", "y"), res.CopyData(append([]byte("go"), req.Data()...))); err != nil {
		_ = res.Close()
		return nil, err
	}
	return res, nil
}

// faultHijacker echoes.
func faultHijacker(_ context.Context, conn *nng.Conn, _ *nng.Request) (*nng.Response, error) {
	if err := conn.Hijack(); err != nil {
		return nil, err
	}
	go func() {
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n"); err == nil {
			_, _ = io.Copy(conn, conn)
		}
	}()
	return nil, nil
}

func faultServer(context.Context) error {
	var c closeAll
	defer c.Close()
	srv, _, err := faultServerOf(&c, false)
	if err != nil {
		return err
	}
	if err := srv.SetErrorPage(404, "<html>"); err != nil {
		return err
	}
	if err := srv.SetErrorFile(500, filepath.Join(faultDir(), "file")); err != nil {
		return err
	}
	h, err := nng.NewHandler("/more", faultHandler)
	if err != nil {
		return err
	}
	defer h.Close()
	if err := errors.Join(h.SetHost("host"), h.SetMethod("PUT"), h.SetTree(), h.CollectBody(true, 10)); err != nil {
		return err
	}
	if err := srv.AddHandler(h); err != nil {
		return err
	}
	if err := srv.DelHandler(h); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return srv.Stop(ctx)
}

// faultServe sends requests to a server of nng, and expects as many responses.
func faultServe(path, requests string, secure bool) func(context.Context) error {
	wanted, _ := hostile.Requests([]byte(requests))
	n := len(wanted)
	return func(context.Context) error {
		var c closeAll
		defer c.Close()
		_, addr, err := faultServerOf(&c, secure)
		if err != nil {
			return err
		}
		return faultAsk(addr, requests, n, secure, "/missing")
	}
}

// faultErrors has a connection for each request, because the server closes it.
func faultErrors(context.Context) error {
	var c closeAll
	defer c.Close()
	_, addr, err := faultServerOf(&c, false)
	if err != nil {
		return err
	}
	for _, request := range []string{"GET /missing HTTP/1.1\r\nHost: a\r\n\r\n", "POST /static HTTP/1.1\r\nHost: a\r\n\r\n", "GARBAGE\r\n\r\n"} {
		if err := faultAsk(addr, request, 1, false, ""); err != nil {
			return err
		}
	}
	return nil
}

func faultAsk(addr, requests string, n int, secure bool, ok string) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if secure {
		c = tls.Client(c, &tls.Config{RootCAs: certPool(), ServerName: "localhost", MaxVersion: tls.VersionTLS12})
	}
	if _, err := io.WriteString(c, requests); err != nil {
		return err
	}
	r := bufio.NewReader(c)
	for range n {
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			return err
		}
		if res.StatusCode >= 500 {
			return fmt.Errorf("%w: status %d", errFault, res.StatusCode)
		}
	}
	return nil
}

func faultHijack(context.Context) error {
	var c closeAll
	defer c.Close()
	_, addr, err := faultServerOf(&c, false)
	if err != nil {
		return err
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	big := strings.Repeat("x", 300000)
	go func() {
		_, _ = io.WriteString(conn, "GET /hijack HTTP/1.1\r\nHost: a\r\n\r\n"+big)
		_ = conn.(*net.TCPConn).CloseWrite()
	}()
	b, err := io.ReadAll(conn)
	if err != nil {
		return err
	}
	if len(b) != len(big)+len("HTTP/1.1 200 OK\r\n\r\n") {
		return fmt.Errorf("%w: %d bytes", errFault, len(b))
	}
	return nil
}

func faultNetHTTP(ctx context.Context) error {
	srv, addr, err := faultHold()
	if err != nil {
		return err
	}
	defer srv.Close()
	s := &nethttp.Server{ErrorLog: slog.New(slog.DiscardHandler), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("X", "y")
		_, _ = w.Write(b)
		_ = http.NewResponseController(w).Flush()
		_, _ = io.WriteString(w, strings.Repeat("x", 5000))
	})}
	s.Handle("GET /other/", http.NotFoundHandler())
	holdMu.Lock()
	err = s.Start(srv)
	holdMu.Unlock()
	if err != nil {
		return err
	}
	defer s.Close()
	if addr, err = startedAddr(srv); err != nil {
		return err
	}
	if err := faultAsk(addr, "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET /other/ HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 3, false, ""); err != nil {
		return err
	}
	return s.Shutdown(ctx)
}

func faultHold() (*nng.Server, string, error) {
	holdMu.Lock()
	defer holdMu.Unlock()
	srv, err := nng.HoldServer("http://127.0.0.1:0")
	return srv, "", err
}

func startedAddr(srv *nng.Server) (string, error) {
	a, err := srv.Addr()
	if err != nil {
		return "", err
	}
	return a.String(), nil
}

func faultListen(context.Context) error {
	holdMu.Lock()
	l, err := nethttp.Listen("http://127.0.0.1:0", "/")
	holdMu.Unlock()
	if err != nil {
		return err
	}
	s := &http.Server{ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })}
	done := make(chan struct{})
	go func() {
		_ = s.Serve(l)
		close(done)
	}()
	err = faultAsk(l.Addr().String(), strings.Repeat("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", 2), 2, false, "")
	_ = s.Close()
	<-done
	return err
}

// faultUpstream is a server of net/http for clients.
func faultUpstream(secure bool) (url string, c io.Closer) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/chunks" {
			_ = http.NewResponseController(w).Flush()
		}
		_, _ = w.Write(append(b, "hello"...))
	})
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	if secure {
		pair, err := tls.X509KeyPair([]byte(testCert().cert), []byte(testCert().key))
		if err != nil {
			panic(err)
		}
		s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MaxVersion: tls.VersionTLS12}
		s.StartTLS()
		return strings.Replace(s.URL, "127.0.0.1", "localhost", 1), closer(s.Close)
	}
	s.Start()
	return s.URL, closer(s.Close)
}

type closer func()

func (c closer) Close() error { c(); return nil }

func faultTransport(ctx context.Context) error {
	url, upstream := faultUpstream(false)
	defer upstream.Close()
	tr := nethttp.Transport(nil)
	defer tr.CloseIdleConnections()
	for range 2 {
		req, err := http.NewRequestWithContext(ctx, "POST", url+"/chunks", strings.NewReader("body"))
		if err != nil {
			return err
		}
		res, err := tr.RoundTrip(req)
		if err != nil {
			return err
		}
		b, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil {
			return err
		}
		if string(b) != "bodyhello" {
			return fmt.Errorf("%w: %q", errFault, b)
		}
	}
	return nil
}

func faultClient(url string, secure bool) (*nng.Client, error) {
	client, err := nng.NewClient(url)
	if err != nil || !secure {
		return client, err
	}
	cfg, err := nng.NewTLSConfig(nng.TLSClient)
	if err == nil {
		defer cfg.Close()
		if err = cfg.SetCAChain(testCert().cert, ""); err == nil {
			err = client.SetTLS(cfg)
		}
	}
	if err != nil {
		_ = client.Close()
		return nil, err
	}
	return client, nil
}

func faultTransact(secure bool) func(context.Context) error {
	return func(ctx context.Context) error {
		url, upstream := faultUpstream(secure)
		defer upstream.Close()
		client, err := faultClient(url, secure)
		if err != nil {
			return err
		}
		defer client.Close()
		for _, path := range []string{"/length", "/chunks"} {
			if err := faultExchange(ctx, client, url+path); err != nil {
				return err
			}
		}
		return nil
	}
}

func faultExchange(ctx context.Context, on interface {
	Transact(context.Context, *nng.Request, *nng.Response) error
}, url string) error {
	req, err := nng.NewRequest(url)
	if err != nil {
		return err
	}
	defer req.Close()
	res, err := nng.NewResponse()
	if err != nil {
		return err
	}
	defer res.Close()
	if err := errors.Join(req.SetMethod("POST"), req.CopyData([]byte("body"))); err != nil {
		return err
	}
	if err := on.Transact(ctx, req, res); err != nil {
		return err
	}
	if string(res.Data()) != "bodyhello" {
		return fmt.Errorf("a body was lost without an error: status %d, %q", res.Status(), res.Data())
	}
	return nil
}

func faultConn(ctx context.Context) error {
	url, upstream := faultUpstream(false)
	defer upstream.Close()
	client, err := faultClient(url, false)
	if err != nil {
		return err
	}
	defer client.Close()
	conn, err := client.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, path := range []string{"/length", "/chunks"} {
		if err := faultExchange(ctx, conn, url+path); err != nil {
			return err
		}
	}
	req, err := nng.NewRequest(url + "/length")
	if err != nil {
		return err
	}
	defer req.Close()
	res, err := nng.NewResponse()
	if err != nil {
		return err
	}
	defer res.Close()
	if err := conn.WriteReq(ctx, req); err != nil {
		return err
	}
	if err := conn.ReadRes(ctx, res); err != nil {
		return err
	}
	if err := conn.ReadAll(ctx, make([]byte, 5)); err != nil {
		return err
	}
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, "GET /length HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		return err
	}
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r.Body)
	return err
}

func faultWSListener(ctx context.Context) error {
	holdMu.Lock()
	l, err := nng.NewWSListener("ws://127.0.0.1:0/ws")
	if err == nil {
		if err = errors.Join(l.SetRecvMaxSize(1000), l.SetProtocols("echo")); err == nil {
			if err = l.Listen(); err != nil {
				_ = l.Close()
			}
		} else {
			_ = l.Close()
		}
	}
	holdMu.Unlock()
	if err != nil {
		return err
	}
	defer l.Close()
	echoed := make(chan error, 1)
	go func() { echoed <- faultEcho(ctx, l) }()
	a, err := l.Addr()
	if err == nil {
		err = func() error {
			c, err := net.Dial("tcp", a.String())
			if err != nil {
				return err
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			r := bufio.NewReader(c)
			if _, err := io.WriteString(c, "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: echo\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"); err != nil {
				return err
			}
			res, err := http.ReadResponse(r, nil)
			if err != nil {
				return err
			}
			if res.StatusCode != 101 {
				return fmt.Errorf("%w: status %d", errFault, res.StatusCode)
			}
			// two fragments, a ping between them
			if _, err := io.WriteString(c, "\x02\x82\x00\x00\x00\x00he\x89\x80\x00\x00\x00\x00\x80\x83\x00\x00\x00\x00llo"); err != nil {
				return err
			}
			got := make([]byte, 9)
			if _, err := io.ReadFull(r, got); err != nil {
				return err
			}
			_, err = io.WriteString(c, "\x88\x82\x00\x00\x00\x00\x03\xe8")
			return err
		}()
	}
	_ = l.Close()
	return errors.Join(err, <-echoed)
}

// faultEcho accepts one connection and echoes one message.
func faultEcho(ctx context.Context, l *nng.WSListener) error {
	c, err := l.Accept(ctx)
	for errors.Is(err, nng.ErrNoMemory) { // as a server would
		c, err = l.Accept(ctx)
	}
	if err != nil {
		return err
	}
	defer c.Close()
	m, err := c.ReadMessage(ctx)
	if err != nil {
		return err
	}
	return c.WriteMessage(ctx, m)
}

func faultWSDialer(scheme string) func(context.Context) error {
	return func(ctx context.Context) error {
		holdMu.Lock()
		l, err := nng.NewWSListener(scheme + "://127.0.0.1:0/ws")
		if err == nil {
			if scheme == "wss" {
				err = faultSetTLS(l, nng.TLSServer)
			}
			if err == nil {
				err = l.Listen()
			}
			if err != nil {
				_ = l.Close()
			}
		}
		holdMu.Unlock()
		if err != nil {
			return err
		}
		defer l.Close()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		echoed := make(chan error, 1)
		go func() { echoed <- faultEcho(ctx, l) }()
		err = func() error {
			a, err := l.Addr()
			if err != nil {
				return err
			}
			d, err := nng.NewWSDialer(scheme + "://" + a.String() + "/ws")
			if err != nil {
				return err
			}
			defer d.Close()
			if scheme == "wss" {
				if err := faultSetTLS(d, nng.TLSClient); err != nil {
					return err
				}
			}
			if err := d.SetHeader("X", "y"); err != nil {
				return err
			}
			c, err := d.Dial(ctx)
			if err != nil {
				return err
			}
			defer c.Close()
			if err := c.WriteMessage(ctx, make([]byte, 100000)); err != nil {
				return err
			}
			m, err := c.ReadMessage(ctx)
			if err != nil {
				return err
			}
			if len(m) != 100000 {
				return fmt.Errorf("a message was cut to %d bytes without an error", len(m))
			}
			return nil
		}()
		cancel()
		if echo := <-echoed; err == nil && echo != nil && !errors.Is(echo, context.Canceled) {
			return echo
		}
		return err
	}
}

func faultSetTLS(on interface{ SetTLS(*nng.TLSConfig) error }, mode nng.TLSMode) error {
	cfg, err := nng.NewTLSConfig(mode)
	if err != nil {
		return err
	}
	defer cfg.Close()
	if mode == nng.TLSServer {
		err = cfg.SetOwnCert(testCert().cert, testCert().key, "")
	} else {
		err = cfg.SetCAChain(testCert().cert, "")
	}
	if err != nil {
		return err
	}
	return on.SetTLS(cfg)
}

func faultTLS(context.Context) error {
	cfg, err := nng.NewTLSConfig(nng.TLSServer)
	if err != nil {
		return err
	}
	defer cfg.Close()
	if err := errors.Join(cfg.SetOwnCert(testCert().cert, testCert().key, ""), cfg.SetCAChain(testCert().cert, ""), cfg.SetServerName("localhost"), cfg.SetAuthMode(nng.TLSAuthOptional)); err != nil {
		return err
	}
	holdMu.Lock()
	defer holdMu.Unlock()
	srv, err := nng.HoldServer("https://127.0.0.1:0")
	if err != nil {
		return err
	}
	defer srv.Close()
	if err := srv.SetTLS(cfg); err != nil {
		return err
	}
	got, err := srv.TLS()
	if err != nil {
		return err
	}
	return got.Close()
}
