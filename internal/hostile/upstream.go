package hostile

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gonng/nnghttp/internal/devcert"
	"github.com/gonng/nnghttp/nethttp"
	"github.com/gonng/nnghttp/nng"
)

// The kinds of clients that an Upstream is asked by.
const (
	ClientTransact = iota // nng.Client.Transact
	ConnTransact          // nng.Conn.Transact, twice on one connection
	Transport             // nethttp.Transport
	ReadRes               // nng.Conn.WriteReq, ReadRes, Read
	WebSocket             // nng.WSDialer
	Clients

	OverTLS = 0x10 // added to one of these
)

// Answered bounds what a client of ours is asked to take.
const Answered = 4 << 20

// An Upstream is a server that plays scripts. Each call of Ask has one of its own, which
// it finds by the path of the request.
type Upstream struct {
	plain, secure net.Listener
	cfg           *nng.TLSConfig // trusts secure
	client        *http.Client

	mu      sync.Mutex
	scripts map[string]*play
	next    atomic.Int64
	wait    sync.WaitGroup
}

type play struct {
	script []byte
	player Player
}

// NewUpstream starts the servers, one without and one with TLS.
func NewUpstream() (u *Upstream, err error) {
	u = &Upstream{scripts: make(map[string]*play)}
	defer func() {
		if err != nil {
			u.Close()
		}
	}()
	cert, err := devcert.SelfSigned(24*time.Hour, "127.0.0.1")
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair([]byte(cert.CertPEM), []byte(cert.KeyPEM))
	if err != nil {
		return nil, err
	}
	if u.plain, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	u.secure = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{pair}, MaxVersion: tls.VersionTLS12})
	if u.cfg, err = nng.NewTLSConfig(nng.TLSClient); err != nil {
		return nil, err
	}
	if err := errors.Join(u.cfg.SetCAChain(cert.CertPEM, ""), u.cfg.SetAuthMode(nng.TLSAuthRequired)); err != nil {
		return nil, err
	}
	transport := nethttp.Transport(u.cfg)
	transport.DisableKeepAlives = true
	u.client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, l := range []net.Listener{u.plain, u.secure} {
		u.wait.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				u.wait.Go(func() { u.serve(c) })
			}
		})
	}
	return u, nil
}

// Close ends the servers.
func (u *Upstream) Close() {
	for _, l := range []net.Listener{u.plain, u.secure} {
		if l != nil {
			_ = l.Close()
		}
	}
	if u.cfg != nil {
		_ = u.cfg.Close()
	}
	u.wait.Wait()
}

// serve waits for the head of a request, and plays the script that it names.
func (u *Upstream) serve(c net.Conn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	in := collect(c)
	if !in.wait(func(got []byte) bool { return bytes.Contains(got, []byte("\r\n\r\n")) }, Patience) {
		return
	}
	_, path, _ := strings.Cut(string(in.received()[:min(100, len(in.received()))]), "/")
	path, _, _ = strings.Cut(path, " ")
	u.mu.Lock()
	p := u.scripts[path]
	u.mu.Unlock()
	if p == nil {
		return
	}
	player := p.player
	player.Received = in.received
	player.Play(c, p.script)
}

// Stage gives a script a URL, until done is called. The scheme is http or https, ws or wss.
func (u *Upstream) Stage(scheme string, script []byte, p Player) (url string, done func()) {
	l := u.plain
	if scheme == "https" || scheme == "wss" {
		l = u.secure
	}
	id := strconv.FormatInt(u.next.Add(1), 10)
	u.mu.Lock()
	u.scripts[id] = &play{script, p}
	u.mu.Unlock()
	return scheme + "://" + l.Addr().String() + "/" + id, func() {
		u.mu.Lock()
		delete(u.scripts, id)
		u.mu.Unlock()
	}
}

// An Answer is a response as a client has understood it.
type Answer struct {
	Status int
	Body   []byte
	Err    error // why it is none
}

func (a Answer) String() string {
	if a.Err != nil {
		return a.Err.Error()
	}
	return fmt.Sprintf("%d with %d bytes, %.60q", a.Status, len(a.Body), a.Body)
}

var equalLengths = regexp.MustCompile(`(?i)\ncontent-length:[ \t]*\d+([ \t]*,[ \t]*\d+)+`)

var fold = regexp.MustCompile(`\r?\n[ \t]+`)

var blankBeforeColon = regexp.MustCompile("(\\n[!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \\t]+:")

// oneReading changes the head of a response to what net/http reads as libnng does, where
// RFC 9112 leaves them the choice.
func oneReading(head []byte) []byte {
	// 5.2: what is folded is one value.
	head = fold.ReplaceAll(head, []byte(" "))
	// 5.1: blanks before a colon mean nothing in a response. net/http does not know the
	// field then, or refuses it.
	head = blankBeforeColon.ReplaceAll(head, []byte("$1:"))
	// RFC 9110, 8.6 lets a recipient take a list of equal lengths. net/http does not.
	return equalLengths.ReplaceAllFunc(head, func(line []byte) []byte {
		name, list, _ := bytes.Cut(line, []byte(":"))
		first, rest, more := bytes.Cut(list, []byte(","))
		for more {
			var next []byte
			if next, rest, more = bytes.Cut(rest, []byte(",")); !bytes.Equal(bytes.TrimSpace(next), bytes.TrimSpace(first)) {
				return line
			}
		}
		return slices.Concat(name, []byte(":"), first)
	})
}

// headEnd returns where a head ends: behind its empty line, or at the end of the stream.
func headEnd(stream []byte) int {
	rest := stream
	for {
		line, after, ok := cutLine(rest)
		if !ok {
			return len(stream)
		}
		if rest = after; line == "" {
			return len(stream) - len(rest)
		}
	}
}

// Beyond tells that net/http has a bound where RFC 9112 has none, so that a client of ours
// may go on.
func Beyond(err error) bool {
	return err != nil && (strings.HasSuffix(err.Error(), "suspiciously long trailer after chunked body") ||
		strings.HasSuffix(err.Error(), "chunk length too large"))
}

// Answers reads a stream of responses to GET with net/http's reader. reset tells that the
// stream did not end by itself. Unless it is to be asIs, heads are changed by oneReading.
func Answers(stream []byte, reset, asIs bool) (all []Answer) {
	for len(all) < 10 {
		// An empty line too many after a response is skipped, so before the first one, too.
		// net/http refuses that.
		for line, rest, ok := cutLine(stream); ok && line == ""; line, rest, ok = cutLine(stream) {
			stream = rest
		}
		head, rest := stream, []byte(nil)
		if !asIs {
			end := headEnd(stream)
			head, rest = oneReading(stream[:end]), stream[end:]
		}
		raw := bytes.NewReader(slices.Concat(head, rest))
		r := bufio.NewReader(raw)
		res, err := http.ReadResponse(r, &http.Request{Method: http.MethodGet})
		if err != nil {
			return append(all, Answer{Err: err})
		}
		a := Answer{Status: res.StatusCode}
		if res.StatusCode == http.StatusSwitchingProtocols {
			return append(all, a)
		}
		a.Body, a.Err = io.ReadAll(res.Body)
		stream = stream[len(stream)-raw.Len()-r.Buffered():]
		if res.StatusCode/100 == 1 {
			continue
		}
		untilEnd := res.ContentLength < 0 && len(res.TransferEncoding) == 0
		if untilEnd && reset && a.Err == nil {
			a.Err = errors.New("reset before the end")
		}
		all = append(all, a)
		if a.Err != nil || untilEnd {
			return all
		}
	}
	return all
}

// Ask makes a client of ours ask for a script, and compares what it says with what
// net/http's reader makes of the bytes. A client may be stricter, never more trusting. It
// has to return in time: slack is what it may take after ctx has ended.
func (u *Upstream) Ask(ctx context.Context, kind int, script []byte, p Player) error {
	over := kind&OverTLS != 0
	kind &^= OverTLS
	scheme := "http"
	if kind == WebSocket {
		scheme = "ws"
	}
	if over {
		scheme += "s"
	}
	url, done := u.Stage(scheme, script, p)
	defer done()
	result := make(chan []Answer, 1)
	var messages [][]byte
	go func() {
		switch kind {
		case ClientTransact:
			result <- []Answer{u.transact(ctx, url, over)}
		case ConnTransact:
			result <- u.connTransact(ctx, url, over)
		case Transport:
			result <- []Answer{u.transport(ctx, url)}
		case ReadRes:
			result <- []Answer{u.readRes(ctx, url, over)}
		default:
			var err error
			messages, err = u.dial(ctx, url, over)
			result <- []Answer{{Err: err}}
		}
	}()
	var got []Answer
	slack := time.NewTimer(Patience)
	defer slack.Stop()
	select {
	case got = <-result:
	case <-ctx.Done():
		select {
		case got = <-result:
		case <-slack.C:
			return fmt.Errorf("client %d has not returned %v after its context has ended", kind, Patience)
		}
	}
	sent, end := Sent(script)
	if kind == WebSocket {
		if keys(script) > 1 {
			return nil // only the client knows what was sent
		}
		return checkMessages(sent, messages)
	}
	wanted := Answers(sent, end == 'r', kind == Transport)
	for i, a := range got {
		if a.Err != nil || i < len(wanted) && Beyond(wanted[i].Err) {
			return nil
		}
		if i >= len(wanted) || wanted[i].Err != nil || a.Status != wanted[i].Status || !bytes.Equal(a.Body, wanted[i].Body) {
			want := "nothing"
			if i < len(wanted) {
				want = wanted[i].String()
			}
			return fmt.Errorf("client %d: answer %d is %v; net/http reads %s\nsent: %s", kind, i, a, want, short(sent))
		}
	}
	return nil
}

func (u *Upstream) newClient(url string, over bool) (*nng.Client, error) {
	c, err := nng.NewClient(url)
	if err != nil {
		return nil, err
	}
	if over {
		if err := c.SetTLS(u.cfg); err != nil {
			_ = c.Close()
			return nil, err
		}
	}
	return c, nil
}

func (u *Upstream) transact(ctx context.Context, url string, over bool) (a Answer) {
	c, err := u.newClient(url, over)
	if err != nil {
		return Answer{Err: err}
	}
	defer c.Close()
	return transact(ctx, c, url)
}

// transact does one transaction of a Client or a Conn.
func transact(ctx context.Context, on interface {
	Transact(context.Context, *nng.Request, *nng.Response) error
}, url string) (a Answer) {
	req, err := nng.NewRequest(url)
	if err != nil {
		return Answer{Err: err}
	}
	defer req.Close()
	res, err := nng.NewResponse()
	if err != nil {
		return Answer{Err: err}
	}
	defer res.Close()
	if err := on.Transact(ctx, req, res); err != nil {
		return Answer{Err: err}
	}
	return Answer{Status: res.Status(), Body: res.Data()}
}

func (u *Upstream) connect(ctx context.Context, url string, over bool) (*nng.Conn, error) {
	c, err := u.newClient(url, over)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.Connect(ctx)
}

func (u *Upstream) connTransact(ctx context.Context, url string, over bool) (all []Answer) {
	conn, err := u.connect(ctx, url, over)
	if err != nil {
		return []Answer{{Err: err}}
	}
	defer conn.Close()
	for range 3 {
		a := transact(ctx, conn, url)
		all = append(all, a)
		if a.Err != nil || a.Status == http.StatusSwitchingProtocols { // what follows is no HTTP
			break
		}
	}
	return all
}

func (u *Upstream) transport(ctx context.Context, url string) (a Answer) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return Answer{Err: err}
	}
	req.Header.Set("Accept-Encoding", "identity")
	res, err := u.client.Do(req)
	if err != nil {
		return Answer{Err: err}
	}
	defer res.Body.Close()
	a.Status = res.StatusCode
	if a.Status == http.StatusSwitchingProtocols {
		return a
	}
	a.Body, a.Err = io.ReadAll(io.LimitReader(res.Body, Answered))
	return a
}

// readRes takes any number of responses' heads, and reads what follows the last.
func (u *Upstream) readRes(ctx context.Context, url string, over bool) (a Answer) {
	a.Err = errors.New("not compared")
	conn, err := u.connect(ctx, url, over)
	if err != nil {
		return a
	}
	defer conn.Close()
	req, err := nng.NewRequest(url)
	if err != nil {
		return a
	}
	defer req.Close()
	if err := conn.WriteReq(ctx, req); err != nil {
		return a
	}
	res, err := nng.NewResponse()
	if err != nil {
		return a
	}
	defer res.Close()
	for range 3 {
		if err := conn.ReadRes(ctx, res); err != nil {
			return a
		}
		if _, err := res.Headers(); err != nil {
			return a
		}
	}
	if end, ok := ctx.Deadline(); ok {
		_ = conn.SetReadDeadline(end)
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(conn, Answered))
	return a
}

// dial makes a WebSocket, and reads messages until it ends.
func (u *Upstream) dial(ctx context.Context, url string, over bool) (all [][]byte, err error) {
	d, err := nng.NewWSDialer(url)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	if over {
		if err := d.SetTLS(u.cfg); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(d.SetRecvMaxSize(MaxMessage), d.SetRecvMaxFrame(MaxFrame)); err != nil {
		return nil, err
	}
	c, err := d.Dial(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	for {
		m, err := c.ReadMessage(ctx)
		if err != nil {
			return all, nil
		}
		all = append(all, m)
	}
}

// checkMessages compares the messages of a WebSocket client with those that a strict reader
// finds in what the server has sent.
func checkMessages(sent []byte, got [][]byte) error {
	if len(got) == 0 {
		return nil
	}
	wanted := Messages(sent[headEnd(sent):], false)
	for i, m := range got {
		if i >= len(wanted) || !bytes.Equal(m, wanted[i]) {
			return fmt.Errorf("message %d of %d, %.60q, was not sent so; a strict reader finds %d\nsent: %s", i, len(got), m, len(wanted), short(sent))
		}
	}
	return nil
}

// Messages reads WebSocket frames by the letter of RFC 6455, and returns the messages that
// may be delivered: those before the first fault or close frame, without text. masked tells
// that frames must be masked, as a client's, or must not.
func Messages(stream []byte, masked bool) (all [][]byte) {
	var message []byte
	begun := false
	for len(stream) >= 2 {
		final, code := stream[0]&0x80 != 0, stream[0]&0x0F
		size, rest := uint64(stream[1]&0x7F), stream[2:]
		long := 0
		switch {
		case stream[0]&0x70 != 0 || (stream[1]&0x80 != 0) != masked:
			return all
		case code >= 8 && (!final || size > 125):
			return all
		case size == 126:
			long = 2
		case size == 127:
			long = 8
		}
		if len(rest) < long {
			return all
		}
		if long > 0 {
			size = 0
			for _, b := range rest[:long] {
				size = size<<8 | uint64(b)
			}
			if size>>63 != 0 || long == 2 && size < 126 || long == 8 && size <= 0xFFFF {
				return all
			}
			rest = rest[long:]
		}
		var mask [4]byte
		if masked {
			if len(rest) < 4 {
				return all
			}
			copy(mask[:], rest)
			rest = rest[4:]
		}
		if uint64(len(rest)) < size {
			return all
		}
		data := bytes.Clone(rest[:size])
		for i := range data {
			data[i] ^= mask[i%4]
		}
		stream = rest[size:]
		switch {
		case code == 9 || code == 10:
			continue
		case code == 2 && !begun:
			message = data
		case code == 0 && begun:
			message = append(message, data...)
		default:
			return all // a close frame, text, or what must not be
		}
		begun = !final
		if final {
			all = append(all, message)
			message = nil
		}
	}
	return all
}

// Moments are when a client gives up: at the end of the context that Storm gives it, and
// when nng ends a dial.
func (u *Upstream) Moments() []time.Duration {
	return []time.Duration{15 * time.Millisecond, 2 * time.Second}
}

// Limit is when a client of a script gives up.
func (u *Upstream) Limit(script []byte) time.Duration {
	if bytes.Contains(script, []byte(Act('t', 1))) {
		return 5 * time.Second
	}
	return u.Moments()[0]
}

// Storm makes many clients ask for one script at a time. Each comes to the moment of its
// time-out a little later than the one before, from 1 ms before the server's act to 4 ms
// after.
func (u *Upstream) Storm(kind int, script []byte, calls int) error {
	errs := make(chan error, calls)
	limit := u.Limit(script)
	for i := range calls {
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), limit)
			defer cancel()
			jitter := 5*time.Millisecond*time.Duration(i)/time.Duration(calls) - time.Millisecond
			errs <- u.Ask(ctx, kind, script, Player{Moments: u.Moments(), Jitter: jitter})
		}()
	}
	var first error
	for range calls {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

// Good asks for a good answer, and fails if a client cannot get it.
func (u *Upstream) Good(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	url, done := u.Stage("http", []byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), Player{})
	defer done()
	if a := u.transact(ctx, url, false); a.Err != nil || a.Status != 200 || string(a.Body) != "hello" {
		return fmt.Errorf("a good server, by Transact: %v", a)
	}
	if a := u.transport(ctx, url); a.Err != nil || a.Status != 200 || string(a.Body) != "hello" {
		return fmt.Errorf("a good server, by Transport: %v", a)
	}
	return nil
}
