package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"github.com/gonng/nnghttp/nethttp"
	"github.com/gonng/nnghttp/nng"
)

// patience is how long anything may take that has no time of its own. It is long, because the
// machine may be busy.
const patience = 30 * time.Second

// A target is a site as clients see it.
type target struct {
	addr       string
	secure     bool
	generation atomic.Int64 // odd while the site restarts
}

func (t *target) url(path string) string {
	if t.secure {
		return "https://" + t.addr + path
	}
	return "http://" + t.addr + path
}

// A kind is one kind of traffic.
type kind struct {
	name    string
	workers int
	pause   time.Duration // between two actions of a worker
	start   func(*traffic, *target) (client, error)

	counts
}

type counts struct {
	actions    atomic.Int64
	restarts   atomic.Int64 // failed, while the site restarted
	unexpected atomic.Int64
}

// A client does one thing again and again. Its actions may be called concurrently.
type client struct {
	act   func(context.Context) error
	close func()
}

// kinds returns the kinds of traffic that have these words in their names, with no counts.
func kinds(words string) []*kind {
	return slices.DeleteFunc(allKinds(), func(k *kind) bool { return !strings.Contains(k.name, words) })
}

func allKinds() []*kind {
	const ms = time.Millisecond
	return []*kind{
		{name: "http.Handler, net/http's client", workers: 3, pause: 2 * ms, start: func(t *traffic, to *target) (client, error) {
			return t.pages(&http.Transport{TLSClientConfig: t.goTLS(), MaxIdleConnsPerHost: 8}, to)
		}},
		{name: "http.Handler, nethttp.Transport", workers: 3, pause: 2 * ms, start: func(t *traffic, to *target) (client, error) {
			return t.pages(nethttp.Transport(t.tls), to)
		}},
		{name: "nng's handlers, net/http's client", workers: 2, pause: 2 * ms, start: (*traffic).native},
		{name: "nng's handlers, Client.Transact", workers: 2, pause: 5 * ms, start: (*traffic).transact},
		{name: "WSDialer and WSListener", workers: 2, pause: 20 * ms, start: (*traffic).streams},
		{name: "WebSocket on a hijacked connection", workers: 2, pause: 20 * ms, start: (*traffic).webSockets},
		{name: "lines echoed on a hijacked connection", workers: 2, pause: 20 * ms, start: (*traffic).shouts},
		{name: "cancelled, nethttp.Transport", workers: 2, pause: 50 * ms, start: (*traffic).cancelled},
		{name: "cancelled, Client.Transact", workers: 2, pause: 50 * ms, start: (*traffic).cancelledTransact},
		{name: "resets in mid-body and mid-handshake", workers: 2, pause: 40 * ms, start: (*traffic).resets},
		{name: "slow heads and handshakes, which time out", workers: 4, pause: 50 * ms, start: (*traffic).slowHeads},
		{name: "requests that are refused", workers: 2, pause: 20 * ms, start: (*traffic).refused},
	}
}

// traffic is all load, from start to stop.
type traffic struct {
	targets  [sites]*target
	pool     *x509.CertPool
	tls      *nng.TLSConfig
	kinds    []*kind
	requests atomic.Int64
	messages atomic.Int64 // of WebSockets, and lines

	stopping chan struct{}
	workers  sync.WaitGroup
	clients  []client
	fail     func(string) // is told what failed
}

// startTraffic starts clients of each kind for each site.
func startTraffic(addrs []string, cert string, all []*kind, fail func(string)) (*traffic, error) {
	t := &traffic{kinds: all, pool: x509.NewCertPool(), stopping: make(chan struct{}), fail: fail}
	if !t.pool.AppendCertsFromPEM([]byte(cert)) {
		return nil, errors.New("the certificate cannot be used")
	}
	var err error
	if t.tls, err = nng.NewTLSConfig(nng.TLSClient); err != nil {
		return nil, err
	}
	if err := t.tls.SetCAChain(cert, ""); err != nil {
		return nil, err
	}
	for i, addr := range addrs {
		t.targets[i] = &target{addr: addr, secure: i == secure}
	}
	for _, k := range all {
		for _, to := range t.targets {
			c, err := k.start(t, to)
			if err != nil {
				t.stop()
				return nil, fmt.Errorf("%s: %w", k.name, err)
			}
			t.clients = append(t.clients, c)
			for range k.workers {
				t.workers.Go(func() { t.work(k, to, c) })
			}
		}
	}
	return t, nil
}

// stop lets every action end, and closes all clients.
func (t *traffic) stop() {
	close(t.stopping)
	t.workers.Wait()
	for _, c := range t.clients {
		c.close()
	}
	t.tls.Close()
}

func (t *traffic) work(k *kind, to *target, c client) {
	for {
		select {
		case <-t.stopping:
			return
		case <-time.After(k.pause/2 + rand.N(k.pause)):
		}
		generation := to.generation.Load()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		err := c.act(ctx)
		cancel()
		k.actions.Add(1)
		switch {
		case err == nil:
		case generation%2 == 1 || generation != to.generation.Load():
			k.restarts.Add(1)
		default:
			if k.unexpected.Add(1) <= 5 {
				t.fail(fmt.Sprintf("%s, %s: %v", k.name, to.url(""), err))
			}
		}
	}
}

func (t *traffic) goTLS() *tls.Config { return &tls.Config{RootCAs: t.pool} }

// dial connects without a client of HTTP.
func (t *traffic) dial(to *target) (net.Conn, error) {
	c, err := net.DialTimeout("tcp", to.addr, patience)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	if to.secure {
		c = tls.Client(c, &tls.Config{RootCAs: t.pool, ServerName: "127.0.0.1"})
	}
	return c, nil
}

// reset makes closing a connection a reset.
func reset(c net.Conn) {
	if s, ok := c.(*tls.Conn); ok {
		c = s.NetConn()
	}
	_ = c.(*net.TCPConn).SetLinger(0)
	_ = c.Close()
}

// do sends a request and compares the response.
func (t *traffic) do(c *http.Client, req *http.Request, status int, body []byte) error {
	defer t.requests.Add(1)
	res, err := c.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("%s: %w after %d bytes", req.URL.Path, err, len(got))
	}
	if res.StatusCode != status || body != nil && !bytes.Equal(got, body) {
		return fmt.Errorf("%s: %s with %d bytes, not %d with %d", req.URL.Path, res.Status, len(got), status, len(body))
	}
	return nil
}

func (t *traffic) get(ctx context.Context, c *http.Client, url string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return err
	}
	return t.do(c, req, 200, body)
}

// random makes up to n bytes.
func random(n int) []byte {
	b := make([]byte, rand.N(n))
	for i := 0; i < len(b); i += 101 {
		b[i] = byte(rand.N(256))
	}
	return b
}

// pages uses the http.Handler.
func (t *traffic) pages(transport *http.Transport, to *target) (client, error) {
	c := &http.Client{Transport: transport}
	zeros, stream := make([]byte, largeSize), bytes.Repeat([]byte(helloText), 10)
	act := func(ctx context.Context) error {
		switch n := rand.N(20); {
		case n == 0:
			return t.get(ctx, c, to.url("/large"), zeros)
		case n < 4:
			return t.get(ctx, c, to.url("/stream"), stream)
		case n < 8:
			body := random(100_000)
			var r io.Reader = bytes.NewReader(body)
			if n == 4 {
				r = io.MultiReader(r) // of no known length, so it goes in chunks
			}
			req, err := http.NewRequestWithContext(ctx, "POST", to.url("/echo"), r)
			if err != nil {
				return err
			}
			return t.do(c, req, 200, body)
		}
		return t.get(ctx, c, to.url("/hello"), []byte(helloText))
	}
	return client{act, transport.CloseIdleConnections}, nil
}

// nativePages are those of nng's handlers.
var nativePages = map[string][]byte{
	"/static": []byte(staticText), "/file": []byte(fileText), "/files/a.txt": []byte(fileText),
	"/files/deep/b.bin": make([]byte, deepSize), "/native": []byte(helloText),
}

// native uses nng's handlers.
func (t *traffic) native(to *target) (client, error) {
	transport := &http.Transport{TLSClientConfig: t.goTLS(), MaxIdleConnsPerHost: 8}
	c := &http.Client{Transport: transport}
	act := func(ctx context.Context) error {
		for path, body := range nativePages { // in the order of chance
			return t.get(ctx, c, to.url(path), body)
		}
		return nil
	}
	return client{act, transport.CloseIdleConnections}, nil
}

// newClient makes a client of nng for a site.
func (t *traffic) newClient(to *target) (*nng.Client, error) {
	c, err := nng.NewClient(to.url("/"))
	if err == nil && to.secure {
		err = c.SetTLS(t.tls)
	}
	return c, err
}

func (t *traffic) transactOnce(ctx context.Context, c *nng.Client, to *target, path string, send, want []byte) error {
	defer t.requests.Add(1)
	req, err := nng.NewRequest(to.url(path))
	if err != nil {
		return err
	}
	defer req.Close()
	res, err := nng.NewResponse()
	if err != nil {
		return err
	}
	defer res.Close()
	if send != nil {
		if err := errors.Join(req.SetMethod("POST"), req.CopyData(send)); err != nil {
			return err
		}
	}
	if err := c.Transact(ctx, req, res); err != nil {
		return err
	}
	if res.Status() != 200 || !bytes.Equal(res.Data(), want) {
		return fmt.Errorf("%s: %d with %d bytes, not %d", path, res.Status(), len(res.Data()), len(want))
	}
	return nil
}

// transact uses nng's handlers with nng's client.
func (t *traffic) transact(to *target) (client, error) {
	c, err := t.newClient(to)
	if err != nil {
		return client{}, err
	}
	act := func(ctx context.Context) error {
		if rand.N(4) == 0 {
			body := random(100_000)
			return t.transactOnce(ctx, c, to, "/collect", body, body)
		}
		for path, body := range nativePages {
			return t.transactOnce(ctx, c, to, path, nil, body)
		}
		return nil
	}
	return client{act, func() { c.Close() }}, nil
}

// messagesEach is how many messages a connection has.
const messagesEach = 20

// streams uses nng's WebSockets.
func (t *traffic) streams(to *target) (client, error) {
	d, err := nng.NewWSDialer(strings.Replace(to.url("/socket"), "http", "ws", 1))
	if err != nil {
		return client{}, err
	}
	if to.secure {
		if err := d.SetTLS(t.tls); err != nil {
			return client{}, err
		}
	}
	act := func(ctx context.Context) error {
		conn, err := d.Dial(ctx)
		// nng gives a server two seconds for each step, which a busy machine may not keep.
		for n := 0; n < 4 && errors.Is(err, nng.ErrTimedOut); n++ {
			conn, err = d.Dial(ctx)
		}
		if err != nil {
			return err
		}
		defer conn.Close()
		for range messagesEach {
			message := random(20_000)
			if err := conn.WriteMessage(ctx, message); err != nil {
				return err
			}
			got, err := conn.ReadMessage(ctx)
			if err != nil {
				return err
			}
			if !bytes.Equal(got, message) {
				return fmt.Errorf("a message of %d bytes has come back with %d", len(message), len(got))
			}
			t.messages.Add(1)
		}
		return nil
	}
	return client{act, func() { d.Close() }}, nil
}

// webSockets uses a WebSocket library on connections that it takes over.
func (t *traffic) webSockets(to *target) (client, error) {
	transport := &http.Transport{TLSClientConfig: t.goTLS()}
	options := &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}}
	act := func(ctx context.Context) error {
		conn, _, err := websocket.Dial(ctx, strings.Replace(to.url("/websocket"), "http", "ws", 1), options)
		if err != nil {
			return err
		}
		defer conn.CloseNow()
		conn.SetReadLimit(1 << 20)
		for range messagesEach {
			message := random(20_000)
			if err := conn.Write(ctx, websocket.MessageBinary, message); err != nil {
				return err
			}
			_, got, err := conn.Read(ctx)
			if err != nil {
				return err
			}
			if !bytes.Equal(got, message) {
				return fmt.Errorf("a message of %d bytes has come back with %d", len(message), len(got))
			}
			t.messages.Add(1)
		}
		return conn.Close(websocket.StatusNormalClosure, "")
	}
	return client{act, transport.CloseIdleConnections}, nil
}

// shouts uses hijacked connections of both packages.
func (t *traffic) shouts(to *target) (client, error) {
	act := func(ctx context.Context) error {
		path := "/shout"
		if rand.N(2) == 0 {
			path = "/native-shout"
		}
		conn, err := t.dial(to)
		if err != nil {
			return err
		}
		defer conn.Close()
		in := bufio.NewReader(conn)
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n", path)
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			return err
		}
		if res.StatusCode != 101 {
			return errors.New("not upgraded: " + res.Status)
		}
		for i := range messagesEach {
			line := fmt.Sprintf("line %d\n", i)
			if _, err := io.WriteString(conn, line); err != nil {
				return err
			}
			got, err := in.ReadString('\n')
			if err != nil {
				return err
			}
			if got != strings.ToUpper(line) {
				return fmt.Errorf("%q has come back as %q", line, got)
			}
			t.messages.Add(1)
		}
		return nil
	}
	return client{act, func() {}}, nil
}

// ended is no error for what was cancelled.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nng.ErrTimedOut)) {
		return nil
	}
	return err
}

// cancelled gives up requests at all moments: while connecting, sending and waiting.
func (t *traffic) cancelled(to *target) (client, error) {
	transport := nethttp.Transport(t.tls)
	c := &http.Client{Transport: transport}
	act := func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, rand.N(40*time.Millisecond))
		defer cancel()
		if rand.N(3) == 0 {
			req, err := http.NewRequestWithContext(ctx, "POST", to.url("/count"), io.LimitReader(endless{}, 2<<20))
			if err != nil {
				return err
			}
			return ended(ctx, t.do(c, req, 200, nil))
		}
		return ended(ctx, t.get(ctx, c, to.url("/slow"), []byte(helloText)))
	}
	return client{act, transport.CloseIdleConnections}, nil
}

// endless is a body that has no end of its own.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func (t *traffic) cancelledTransact(to *target) (client, error) {
	c, err := t.newClient(to)
	if err != nil {
		return client{}, err
	}
	act := func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, rand.N(40*time.Millisecond))
		defer cancel()
		return ended(ctx, t.transactOnce(ctx, c, to, "/slow", nil, []byte(helloText)))
	}
	return client{act, func() { c.Close() }}, nil
}

// resets leaves in the middle of what it sends, of what it receives, and of a handshake.
func (t *traffic) resets(to *target) (client, error) {
	act := func(ctx context.Context) error {
		conn, err := t.dial(to)
		if err != nil {
			return err
		}
		defer reset(conn)
		t.requests.Add(1)
		switch rand.N(3) {
		case 0:
			if _, err := io.WriteString(conn, "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"); err != nil {
				return err
			}
			_, err = conn.Write(random(500_000))
		case 1:
			if _, err := io.WriteString(conn, "GET /large HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
				return err
			}
			_, err = io.CopyN(io.Discard, conn, 10_000)
		default:
			raw := conn
			if s, ok := conn.(*tls.Conn); ok {
				raw = s.NetConn()
			}
			_, err = io.WriteString(raw, "\x16\x03\x01\x02\x00\x01") // the beginning of a handshake
		}
		return err
	}
	return client{act, func() {}}, nil
}

// slowHeads sends a head byte by byte, or begins no handshake, until the server has had enough.
func (t *traffic) slowHeads(to *target) (client, error) {
	act := func(ctx context.Context) error {
		conn, err := t.dial(to)
		if err != nil {
			return err
		}
		defer conn.Close()
		if s, ok := conn.(*tls.Conn); ok && rand.N(2) == 0 {
			return untilClosed(s.NetConn())
		}
		for _, b := range []byte("GET /hello HTTP/1.1\r\nHost: a\r\n") {
			if _, err := conn.Write([]byte{b}); err != nil {
				return nil
			}
			time.Sleep(headTimeout / 10)
		}
		return untilClosed(conn)
	}
	return client{act, func() {}}, nil
}

// untilClosed waits for the server to end the connection. It may end with a reset.
func untilClosed(conn net.Conn) error {
	n, err := io.Copy(io.Discard, conn)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() || n > 0 {
		return fmt.Errorf("a client that says nothing was sent %d bytes and not cut off: %w", n, err)
	}
	return nil
}

// refusals are requests and the status that ends their connection.
var refusals = []struct {
	request string
	status  int
}{
	{"GARBAGE\r\n\r\n", 400},
	{"GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
	{"GET /static HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\nabc", 400},
	{"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
	{"POST /collect HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501},
	{"GET /native HTTP/9.1\r\nHost: a\r\n\r\n", 505},
	{"POST /collect HTTP/1.1\r\nHost: a\r\nContent-Length: " + strconv.Itoa(collectMax+1) + "\r\n\r\nabc", 400},
	{"GET /hello HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: y\r\n", maxFields+1) + "\r\n", 431},
	{"GET /" + strings.Repeat("x", 70_000) + " HTTP/1.1\r\nHost: a\r\n\r\n", 414},
}

// refused sends requests that no handler may see, and reads until the server closes.
func (t *traffic) refused(to *target) (client, error) {
	act := func(ctx context.Context) error {
		r := refusals[rand.N(len(refusals))]
		conn, err := t.dial(to)
		if err != nil {
			return err
		}
		defer conn.Close()
		t.requests.Add(1)
		if _, err := io.WriteString(conn, r.request); err != nil {
			return err
		}
		in := bufio.NewReader(conn)
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			return fmt.Errorf("%.60q: %w", r.request, err)
		}
		if res.StatusCode != r.status {
			return fmt.Errorf("%.60q: %s, not %d", r.request, res.Status, r.status)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			return fmt.Errorf("%.60q: %w", r.request, err)
		}
		if n, _ := io.Copy(io.Discard, in); n > 0 {
			return fmt.Errorf("%.60q: %d bytes after the refusal", r.request, n)
		}
		return nil
	}
	return client{act, func() {}}, nil
}
