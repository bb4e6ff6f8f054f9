package nethttp_test

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// examples is how many connections TestRapid makes up, in parts side by side.
const (
	examples = 10_000
	parts    = 8
)

// setExamples is called by TestMain. The flag -rapid.checks is per part.
func setExamples() {
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if _, env := os.LookupEnv("RAPID_CHECKS"); !given && !env {
		if err := flag.Set("rapid.checks", fmt.Sprint(examples/parts)); err != nil {
			panic(err)
		}
	}
}

// A madeUp is one request and what the handler does with it.
type madeUp struct {
	method, target, version string
	fields                  []string
	body                    string // as it is sent
	hasBody                 bool
	size                    int // of the body's content
	expects                 bool
	program                 []step
}

func (m *madeUp) bytes(key string) string {
	return rawReq(m.method+" "+m.target+" "+m.version, m.body, append([]string{"Host: x", "Example: " + key}, m.fields...)...)
}

func (m *madeUp) String() string { return fmt.Sprintf("%q %+v", m.bytes("0"), m.program) }

// A step is one thing that a handler does.
type step struct {
	do    string
	n     int
	name  string
	value string
}

// A run is what came of a madeUp on one server.
type run struct {
	started atomic.Bool
	done    chan struct{}
	log     strings.Builder
	size    int64 // of the body's content
	got     int64
	over    bool // the handler has read all of the body
	closed  bool // and has closed it
}

func (r *run) note(format string, args ...any) {
	fmt.Fprintf(&r.log, format+"\n", args...)
}

// read names what came of reading the body. Behind its end ours goes on with io.EOF;
// net/http says ErrBodyReadAfterClose once it has sent the head of the response, which
// breaks what reads on in another goroutine, as http.Transport does.
func (r *run) read(n int64, err error) string {
	r.got += n
	r.over = r.over || n == 0 && r.size > 0 && r.got == r.size
	if r.over && !r.closed && n == 0 && (err == nil || err == io.EOF || errors.Is(err, http.ErrBodyReadAfterClose)) {
		return "over"
	}
	r.over = r.over || err == nil || err == io.EOF || err == io.ErrUnexpectedEOF
	return errorClass(err)
}

type example struct {
	m madeUp
	r run
}

// rapidServer runs programs.
type rapidServer struct {
	addr     string
	examples sync.Map // key to *example
	next     atomic.Int64
}

func (s *rapidServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/probe" {
		w.Header().Set("Probe", "1")
		return
	}
	found, ok := s.examples.Load(r.Header.Get("Example"))
	if !ok {
		panic("no such example")
	}
	ex := found.(*example)
	ex.r.started.Store(true)
	defer close(ex.r.done)
	ex.r.note("%s %s %s host=%s length=%d coding=%q close=%v", r.Method, r.RequestURI, r.Proto, r.Host, r.ContentLength, r.TransferEncoding, r.Close)
	h := r.Header.Clone()
	h.Del("Example")
	ex.r.note("%q %q", h, r.Trailer)
	w.Header().Set("Handler", "1")
	for _, st := range ex.m.program {
		if !st.take(w, r, &ex.r) {
			break
		}
	}
}

// take does a step. It returns false when the connection is no longer the server's.
func (st step) take(w http.ResponseWriter, r *http.Request, to *run) bool {
	switch st.do {
	case "set":
		w.Header().Set(st.name, st.value)
	case "add":
		w.Header().Add(st.name, st.value)
	case "del":
		w.Header().Del(st.name)
	case "status":
		w.WriteHeader(st.n)
	case "write":
		n, err := w.Write(bytes.Repeat([]byte(st.value), st.n))
		to.note("write %d %s", n, errorClass(err))
	case "write string":
		n, err := io.WriteString(w, strings.Repeat(st.value, st.n))
		to.note("write string %d %s", n, errorClass(err))
	case "copy":
		n, err := io.Copy(w, strings.NewReader(strings.Repeat(st.value, st.n)))
		to.note("copy %d %s", n, errorClass(err))
	case "flush":
		to.note("flush %s", errorClass(http.NewResponseController(w).Flush()))
	case "read":
		n, err := io.ReadFull(r.Body, make([]byte, st.n))
		if err == nil { // there may be more
			to.got += int64(n)
			to.note("read %d", n)
		} else {
			to.note("read %d %s", n, to.read(int64(n), err))
		}
	case "read all":
		b, err := io.ReadAll(r.Body)
		to.note("read all %d %.20q %s %q", len(b), b, to.read(int64(len(b)), err), r.Trailer)
	case "echo":
		b, err := io.ReadAll(r.Body)
		n, err2 := io.Copy(w, bytes.NewReader(b))
		to.note("echo %d %s %d %s", len(b), to.read(int64(len(b)), err), n, errorClass(err2))
	case "close body":
		to.closed = true
		to.note("close body %s", errorClass(r.Body.Close()))
	case "full duplex":
		to.note("full duplex %v", http.NewResponseController(w).EnableFullDuplex())
	case "duplex copy":
		n, err := io.Copy(w, r.Body)
		to.note("duplex copy %d %s", n, to.read(n, err))
	case "abort":
		panic(http.ErrAbortHandler)
	case "hijack":
		conn, buf, err := w.(http.Hijacker).Hijack()
		to.note("hijack %s", errorClass(err))
		if err != nil {
			return true
		}
		_, _ = io.WriteString(buf, st.value)
		_ = buf.Flush()
		n, err := w.Write([]byte("x"))
		to.note("write %d %s", n, errorClass(err))
		_ = conn.Close()
		return false
	}
	return true
}

// errorClass names an error as far as a handler may rely on it.
func errorClass(err error) string {
	for _, known := range []error{io.EOF, io.ErrUnexpectedEOF, http.ErrBodyNotAllowed, http.ErrContentLength, http.ErrHijacked, http.ErrBodyReadAfterClose} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	if err != nil {
		return "another error"
	}
	return "ok"
}

// Generators.

var (
	sizes          = rapid.SampledFrom([]int{0, 1, 3, 100, 511, 512, 513, 2047, 2048, 2049, 4095, 4096, 4097, 6000, 20_000})
	fieldNames     = rapid.SampledFrom([]string{"X-A", "x-b", "ETag", "Vary", "Content-Language", "Set-Cookie", "Server"})
	values         = rapid.SampledFrom([]string{"", "a", "b, c", "text/x", "\"q\"", "a b\tc", "é", "x\r\ny"})
	asked          = rapid.StringMatching(`[!-~]([ -~]{0,8}[!-~])?|`) // values in requests
	requestTargets = rapid.StringMatching(`/([a-zA-Z0-9._~!$&'()*+,;=:@/-]|%[2-7][0-9A-F]){0,12}(\?[a-z0-9=&%20+/?-]{0,8})?`)
	letters        = rapid.SampledFrom([]string{"a", "<", "{", "\x00"})
)

func genStep(t *rapid.T, m *madeUp, duplex, last bool) []step {
	kinds := []string{"set", "set", "add", "del", "status", "write", "write", "write string", "copy", "flush", "length", "type", "close",
		"trailer", "trailer value", "trailer prefix", "coding", "date", "information"}
	switch {
	case duplex:
		kinds = append(kinds, "read all", "duplex copy", "read")
	case m.expects: // net/http closes if a part is left
		kinds = append(kinds, "read all", "echo")
	default:
		kinds = append(kinds, "read", "read", "read all", "echo", "close body")
	}
	if last && !m.hasBody {
		kinds = append(kinds, "abort", "hijack")
	}
	st := step{do: rapid.SampledFrom(kinds).Draw(t, "do")}
	switch st.do {
	case "set", "add":
		st.name, st.value = fieldNames.Draw(t, "name"), values.Draw(t, "value")
	case "del":
		st.name = fieldNames.Draw(t, "name")
	case "status":
		st.n = rapid.SampledFrom([]int{200, 200, 201, 204, 205, 206, 299, 304, 404, 500}).Draw(t, "status")
	case "information":
		if m.version == "HTTP/1.0" { // net/http sends 1xx to such a client, we do not
			return nil
		}
		st.do, st.n = "status", rapid.SampledFrom([]int{102, 103}).Draw(t, "status")
	case "write", "write string", "copy":
		st.n, st.value = sizes.Draw(t, "size"), letters.Draw(t, "letter")
	case "read":
		st.n = rapid.IntRange(0, 3000).Draw(t, "n")
	case "length":
		st = step{do: "set", name: "Content-Length", value: fmt.Sprint(sizes.Draw(t, "length"))}
	case "type":
		st = step{do: "set", name: "Content-Type", value: values.Draw(t, "type")}
	case "close":
		st = step{do: "set", name: "Connection", value: "close"}
	case "trailer":
		st = step{do: "add", name: "Trailer", value: rapid.SampledFrom([]string{"A", "A, B", "b"}).Draw(t, "trailer")}
	case "trailer value":
		st = step{do: "set", name: rapid.SampledFrom([]string{"A", "B", "C"}).Draw(t, "name"), value: asked.Draw(t, "value")}
	case "trailer prefix":
		st = step{do: "set", name: http.TrailerPrefix + rapid.SampledFrom([]string{"A", "D"}).Draw(t, "name"), value: asked.Draw(t, "value")}
	case "coding":
		if !rapid.Bool().Draw(t, "seldom") {
			return nil
		}
		st = step{do: "set", name: "Transfer-Encoding", value: "chunked"}
	case "date":
		st = step{do: "set", name: "Date", value: "now"}
	case "hijack":
		st.value = rapid.SampledFrom([]string{"", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhi"}).Draw(t, "raw")
	}
	return []step{st}
}

// genRequest makes up a request. Most of what RFC 9112 forbids is left to TestDifferential.
func genRequest(t *rapid.T, last bool) madeUp {
	m := madeUp{
		method:  rapid.SampledFrom([]string{"GET", "GET", "POST", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH", "get", "X-Y"}).Draw(t, "method"),
		target:  requestTargets.Draw(t, "target"),
		version: "HTTP/1.1",
	}
	if lib.Lacks("S1") {
		m.target = strings.ReplaceAll(m.target, "%", "p")
	}
	if last && rapid.IntRange(0, 9).Draw(t, "old") == 0 {
		m.version = "HTTP/1.0"
	}
	names := map[string]bool{}
	for range rapid.IntRange(0, 4).Draw(t, "fields") {
		name := rapid.SampledFrom([]string{"X-A", "x-b", "X-C!#$", "Accept", "Cookie", "Cookie", "Pragma", "Range", "TE", "Upgrade"}).Draw(t, "field")
		if names[name] && lib.Lacks("P17") {
			continue // nng joins fields of one name
		}
		value := asked.Draw(t, "value")
		if name == "Cookie" {
			value = rapid.StringMatching(`[a-z]+=[a-z0-9]*(; [a-z]+=[a-z0-9]+)?`).Draw(t, "cookie")
		}
		names[name] = true
		m.fields = append(m.fields, name+rapid.SampledFrom([]string{": ", ":", ":  "}).Draw(t, "colon")+value)
	}
	if m.version == "HTTP/1.1" && rapid.IntRange(0, 9).Draw(t, "close") == 0 {
		m.fields = append(m.fields, "Connection: "+rapid.SampledFrom([]string{"close", "Close", "x, close", "keep-alive"}).Draw(t, "connection"))
	}
	content := strings.Repeat(letters.Draw(t, "letter"), sizes.Draw(t, "size"))
	switch kind := rapid.SampledFrom([]string{"none", "none", "length", "length", "chunks", "chunks"}).Draw(t, "body"); {
	case kind == "length":
		m.hasBody, m.body, m.size = true, content, len(content)
		m.fields = append(m.fields, fmt.Sprintf("Content-Length: %d", len(content)))
	case kind == "chunks" && m.version == "HTTP/1.1":
		m.hasBody, m.size = true, len(content)
		m.fields = append(m.fields, "Transfer-Encoding: chunked")
		m.body = genChunks(t, &m, content)
	}
	if m.hasBody && m.version == "HTTP/1.1" && rapid.IntRange(0, 4).Draw(t, "expect") == 0 {
		m.expects = true
		m.fields = append(m.fields, "Expect: 100-continue")
	}
	duplex := m.hasBody && !m.expects && rapid.IntRange(0, 4).Draw(t, "duplex") == 0
	if duplex {
		m.program = append(m.program, step{do: "full duplex"})
	}
	for range rapid.IntRange(0, 8).Draw(t, "steps") {
		m.program = append(m.program, genStep(t, &m, duplex, last)...)
	}
	if duplex { // net/http closes if a part is left
		m.program = append(m.program, step{do: "read all"})
	}
	// With io.Copy, net/http sends the head at once, so it knows no length where we may know
	// one, and writes in other portions.
	hasLength := slices.ContainsFunc(m.program, func(s step) bool { return s.name == "Content-Length" })
	noBody := slices.ContainsFunc(m.program, func(s step) bool { return s.do == "status" && (s.n == 204 || s.n == 304) })
	var program []step
	reads := false
	for _, st := range m.program {
		switch st.do {
		case "read all", "echo":
			if m.expects && reads {
				continue // at the end of such a body, net/http does not say that it was closed
			}
			reads = true
		case "set":
			if hasLength && st.name == "Transfer-Encoding" {
				continue // net/http goes on counting with the length that it does not send
			}
		case "hijack":
			program = append(program, step{do: "flush"}) // without which net/http forgets what was written
		}
		copies := st.do == "copy" || st.do == "echo" || st.do == "duplex copy"
		switch {
		case !hasLength && !noBody:
		case st.do == "copy":
			st.do = "write"
		case copies:
			st.do = "read all"
		}
		program = append(program, st)
		if copies {
			program = append(program, step{do: "flush"})
		}
	}
	m.program = program
	return m
}

func genChunks(t *rapid.T, m *madeUp, content string) string {
	var b strings.Builder
	for len(content) > 0 {
		n := rapid.IntRange(1, len(content)).Draw(t, "chunk")
		fmt.Fprintf(&b, rapid.SampledFrom([]string{"%x", "%X", "0%x", "%x;a=b", "%x "}).Draw(t, "chunk head"), n)
		fmt.Fprintf(&b, "\r\n%s\r\n", content[:n])
		content = content[n:]
	}
	b.WriteString("0\r\n")
	if rapid.IntRange(0, 3).Draw(t, "trailer") == 0 {
		m.fields = append(m.fields, "Trailer: X-T, X-U")
		fmt.Fprintf(&b, "X-T: %s\r\nX-V: 1\r\n", asked.Draw(t, "value"))
	}
	b.WriteString("\r\n")
	return b.String()
}

// A rapidClient has a connection to a server, which it keeps as long as it can.
type rapidClient struct {
	s    *rapidServer
	conn net.Conn
	r    *bufio.Reader
}

// play sends the requests and the probe, and tells everything that came of it.
func (c *rapidClient) play(t *rapid.T, sequence []madeUp, pipelined bool) string {
	if c.conn == nil {
		conn, err := net.Dial("tcp", c.s.addr)
		if err != nil {
			t.Fatal(err)
		}
		c.conn, c.r = conn, bufio.NewReader(conn)
	}
	_ = c.conn.SetDeadline(time.Now().Add(10 * time.Second))
	all := make([]*example, len(sequence))
	requests := make([]string, len(sequence), len(sequence)+1)
	for i, m := range sequence {
		key := fmt.Sprint(c.s.next.Add(1))
		all[i] = &example{m: m, r: run{done: make(chan struct{}), size: int64(m.size)}}
		c.s.examples.Store(key, all[i])
		defer c.s.examples.Delete(key)
		requests[i] = m.bytes(key)
	}
	requests = append(requests, "GET /probe HTTP/1.1\r\nHost: x\r\n\r\n")
	if pipelined {
		requests = []string{strings.Join(requests, "")}
	}
	conn, alive := c.conn, false
	var text strings.Builder
	var sending sync.WaitGroup
	for i := range len(sequence) + 1 {
		if i < len(requests) {
			sending.Wait()
			sending.Go(func() { _, _ = io.WriteString(conn, requests[i]) })
		}
		method := "GET"
		if i < len(sequence) {
			method = sequence[i].method
		}
		status := c.answer(&text, method)
		if alive = status == "probe"; status == "" || alive || i == len(sequence) {
			break
		}
		<-all[i].r.done
	}
	if !alive {
		_ = c.conn.Close()
		c.conn = nil
		text.WriteString("closed\n")
	}
	sending.Wait()
	for _, ex := range all {
		if ex.r.started.Load() {
			<-ex.r.done
			text.WriteString(ex.r.log.String())
		}
	}
	return text.String()
}

// answer notes a response with the informational ones before it. It returns "" when the
// connection has ended.
func (c *rapidClient) answer(text *strings.Builder, method string) string {
	for {
		if _, err := c.r.Peek(1); err != nil {
			if isTimeout(err) {
				text.WriteString("no answer\n")
			}
			return ""
		}
		res, err := http.ReadResponse(c.r, &http.Request{Method: method})
		if err != nil {
			fmt.Fprintf(text, "garbage %v\n", err)
			return ""
		}
		body, err := io.ReadAll(res.Body)
		if res.ContentLength < 0 && len(res.TransferEncoding) == 0 && errors.Is(err, syscall.ECONNRESET) {
			err = nil // the end of the body, and of a connection with the probe unread
		}
		if res.Header.Get("Date") != "now" {
			res.Header.Del("Date")
		}
		status := note(text, res, fmt.Sprintf("%d %.40q", len(body), body), err)
		if err != nil {
			return ""
		}
		if res.Close && res.StatusCode >= 200 {
			return "" // it may take half a second
		}
		if res.StatusCode >= 200 {
			return status
		}
	}
}

func firstDifference(a, b string) string {
	la, lb := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(la), len(lb)) {
		if la[i] != lb[i] {
			return fmt.Sprintf("first difference, line %d:\n%s\n%s", i+1, la[i], lb[i])
		}
	}
	return "one is shorter"
}

// TestRapid makes up requests and handlers, and compares what comes of them here with what
// comes of them on net/http.
func TestRapid(t *testing.T) {
	ours, std := &rapidServer{}, &rapidServer{}
	ours.addr, _ = serveLogged(t, ours)
	std.addr = serveStd(t, std)
	var wg sync.WaitGroup
	defer wg.Wait()
	for part := range parts {
		wg.Go(func() {
			t.Run(fmt.Sprint(part), func(t *testing.T) {
				a, b := &rapidClient{s: ours}, &rapidClient{s: std}
				defer func() {
					for _, c := range []*rapidClient{a, b} {
						if c.conn != nil {
							c.conn.Close()
						}
					}
				}()
				rapid.Check(t, func(t *rapid.T) {
					sequence := make([]madeUp, rapid.IntRange(1, 4).Draw(t, "requests"))
					for i := range sequence {
						sequence[i] = genRequest(t, i == len(sequence)-1)
					}
					pipelined := rapid.Bool().Draw(t, "pipelined")
					got, want := a.play(t, sequence, pipelined), b.play(t, sequence, pipelined)
					if got != want {
						t.Fatalf("%+.2000v\nours:\n%s\nnet/http:\n%s\n%s", sequence, got, want, firstDifference(got, want))
					}
				})
			})
		})
	}
}
