package conformance

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"
)

// A Server is where the server listens that is to be tested.
type Server struct {
	// URL is its address, as "http://127.0.0.1:8080"; a path in it is not used.
	URL string
	// TLS is for https. Without it the certificate of the server is not checked.
	TLS *tls.Config
	// WebSocket says that the server has the WebSocket routes, too. Without it the cases of that
	// role are left out.
	WebSocket bool
	// Patience is how long a connection may be silent, 3 s if it is 0. No case leaves a server
	// that goes by the contract waiting for so long.
	Patience time.Duration
}

// A Result is what came of a case in one delivery.
type Result struct {
	Outcome Outcome
	// Wrong says what the server has misunderstood of a request that it has served, or "".
	Wrong string
	Trace []Event
}

// An Event is a part of what crossed the wire: Sent or Received is set, or End, or Told.
type Event struct {
	Sent     []byte `json:"sent,omitempty"`
	Received []byte `json:"received,omitempty"`
	End      string `json:"end,omitempty"`  // "closed", "reset", "half-close by the client", ...
	Told     string `json:"told,omitempty"` // what a client says that came of its request
}

// Times of a case that do not depend on the server's speed.
const (
	defaultPatience = 3 * time.Second
	pauseOfSplit    = 15 * time.Millisecond
	// A follow-up that is sent apart comes so late when there is no answer to wait for.
	apartLatest = 250 * time.Millisecond
)

func (s *Server) patient() subject {
	again := *s
	again.Patience = 3 * cmp.Or(s.Patience, defaultPatience)
	return &again
}

// Play plays a case against a server. The error says what kept it from being played; whatever
// the server does is a Result.
func (s *Server) Play(ctx context.Context, c *Case, d Delivery) (*Result, error) {
	if c.Role() == WebSocketServerRole {
		return s.playWebSocket(ctx, c, d)
	}
	p, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer p.conn.Close()
	stop := context.AfterFunc(ctx, func() { p.conn.Close() })
	defer stop()
	first, err := c.bytes(p.host)
	if err != nil {
		return nil, err
	}
	follow, _ := expand(followUp, p.host)
	go p.receive()
	p.play(c, d, first, follow)
	res := p.result(c, first)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return res, nil
}

// A player has one connection.
type player struct {
	conn     net.Conn
	raw      *net.TCPConn
	host     string
	patience time.Duration

	mu       sync.Mutex
	came     chan struct{} // is closed, and replaced, whenever something comes
	received []byte
	end      string // how the connection has ended
	trace    []Event
}

func (s *Server) dial(ctx context.Context) (*player, error) {
	u, err := url.Parse(s.URL)
	if err != nil {
		return nil, err
	}
	p := &player{host: u.Host, patience: cmp.Or(s.Patience, defaultPatience), came: make(chan struct{})}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return nil, err
	}
	p.conn, p.raw = conn, conn.(*net.TCPConn)
	switch u.Scheme {
	case "http":
	case "https":
		cfg := s.TLS.Clone()
		if cfg == nil {
			cfg = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // it is HTTP that is tested
		}
		if cfg.ServerName == "" {
			cfg.ServerName = u.Hostname()
		}
		t := tls.Client(conn, cfg)
		if err := t.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, err
		}
		p.conn = t
	default:
		conn.Close()
		return nil, fmt.Errorf("%s: the scheme is neither http nor https", s.URL)
	}
	return p, nil
}

// receive gathers what comes, until the connection ends.
func (p *player) receive() {
	buf := make([]byte, 64<<10)
	for {
		n, err := p.conn.Read(buf)
		p.mu.Lock()
		if n > 0 {
			p.received = append(p.received, buf[:n]...)
			p.note(Event{Received: bytes.Clone(buf[:n])})
		}
		if err != nil {
			p.end = "closed"
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				p.end = "reset"
			}
			p.note(Event{End: p.end})
		}
		close(p.came)
		p.came = make(chan struct{})
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// note adds an event. The lock is held.
func (p *player) note(e Event) { p.trace = noted(p.trace, e) }

// noted adds an event to a trace.
func noted(trace []Event, e Event) []Event {
	if n := len(trace); n > 0 {
		last := &trace[n-1]
		switch {
		case e.Sent != nil && last.Sent != nil:
			last.Sent = append(last.Sent, e.Sent...)
			return trace
		case e.Received != nil && last.Received != nil:
			last.Received = append(last.Received, e.Received...)
			return trace
		}
	}
	return append(trace, e)
}

// send writes, and does not mind if the server takes no more.
func (p *player) send(b []byte) {
	if len(b) == 0 {
		return
	}
	p.mu.Lock()
	p.note(Event{Sent: bytes.Clone(b)})
	p.mu.Unlock()
	_ = p.conn.SetWriteDeadline(time.Now().Add(p.patience))
	_, _ = p.conn.Write(b)
}

func (p *player) play(c *Case, d Delivery, first, follow []byte) {
	together := c.End == "" && c.Then == nil // the follow-up goes with the rest
	rest := follow
	if together && d != Apart {
		first, rest = append(first, follow...), nil
	}
	switch d {
	case Split:
		half := len(first) / 2
		if together {
			half = (len(first) - len(follow)) / 2
		}
		p.send(first[:half])
		time.Sleep(pauseOfSplit)
		p.send(first[half:])
	case Bytes:
		for i := range first {
			p.send(first[i : i+1])
		}
	default:
		p.send(first)
	}
	for _, s := range c.Then {
		if s.Send != "" {
			b, _ := expand(s.Send, p.host) // check has tried it
			p.send(b)
		} else {
			p.await(p.patience, func(all []byte, ended bool) bool {
				for _, r := range responses(all, ended, nil).all {
					if r.Status == s.Await {
						return true
					}
				}
				return false
			})
		}
	}
	switch c.End {
	case "half-close":
		p.ended("half-close by the client")
		if t, ok := p.conn.(*tls.Conn); ok {
			_ = t.CloseWrite()
		} else {
			_ = p.raw.CloseWrite()
		}
	case "":
		if d == Apart {
			method, _ := requestLine(first)
			p.await(apartLatest, func(all []byte, ended bool) bool {
				for _, r := range responses(all, ended, []string{method}).all {
					if r.Status >= 200 {
						return true
					}
				}
				return false
			})
		}
		p.send(rest)
	}
	p.await(p.patience, func([]byte, bool) bool { return false })
}

func (p *player) ended(how string) {
	p.mu.Lock()
	p.note(Event{End: how})
	p.mu.Unlock()
}

// await waits until what has come is enough, the connection has ended, or nothing has come for
// the time.
func (p *player) await(patience time.Duration, enough func(all []byte, ended bool) bool) {
	t := time.NewTimer(patience)
	defer t.Stop()
	for {
		p.mu.Lock()
		all, end, came := p.received, p.end, p.came
		p.mu.Unlock()
		if end != "" || enough(all, false) {
			return
		}
		select {
		case <-came:
			t.Reset(patience)
		case <-t.C:
			return
		}
	}
}

// parsed is what the bytes of a connection are.
type parsed struct {
	all       []*Response
	malformed string
	data      []byte // after 101
	rest      []byte // of a response that is not whole
}

// responses parses what a server has sent. The methods are those of the requests; those that
// are not told are GET.
func responses(b []byte, ended bool, methods []string) (p parsed) {
	for len(b) > 0 {
		method := "GET"
		if len(methods) > 0 {
			method = methods[0]
		}
		r, rest, err := parseResponse(b, method, ended)
		if err == errMore {
			p.rest = b
			return p
		}
		if err != nil {
			p.malformed = err.Error()
			return p
		}
		p.all = append(p.all, r)
		if r.Status == 101 {
			p.data = rest
			return p
		}
		if r.Status >= 200 && len(methods) > 0 {
			methods = methods[1:]
		}
		b = rest
	}
	return p
}

// requestLine returns the method and the target of a request, a character for each byte.
func requestLine(b []byte) (method, target string) {
	line, _, _ := bytes.Cut(bytes.TrimLeft(b, "\r\n"), []byte("\n"))
	words := strings.SplitN(toLatin1(line), " ", 3)
	if len(words) > 1 {
		target = words[1]
	}
	return words[0], target
}

var asksFor = regexp.MustCompile(`[?&]f=([A-Za-z0-9_,-]+)`)

// result makes an outcome of what has come.
func (p *player) result(c *Case, first []byte) *Result {
	p.mu.Lock()
	defer p.mu.Unlock()
	res := &Result{Trace: p.trace}
	method, _ := requestLine(first)
	got := responses(p.received, p.end != "", []string{method})
	var echoed []string
	if m := asksFor.FindSubmatch(first); m != nil {
		echoed = strings.Split(string(m[1]), ",")
	}
	var parts []string
	followed, looked := false, false
	for _, r := range got.all {
		s := r.short(c.Fields, echoed)
		followed = s == "follow-up"
		parts = append(parts, s)
		if e := r.echo(); e != nil && c.Understood != nil && e.Target != followUpTarget && !looked {
			looked = true
			res.Wrong = c.Understood.wrong(e, first)
		}
	}
	switch {
	case got.malformed != "":
		parts = append(parts, "malformed("+got.malformed+")")
	case len(got.rest) > 0:
		parts = append(parts, "unfinished")
	}
	if len(got.data) > 0 {
		parts = append(parts, "data("+printableQuoted(toLatin1(got.data))+")")
	}
	switch {
	case p.end != "" && !followed:
		parts = append(parts, "closed")
	case p.end == "" && len(p.received) == 0:
		parts = append(parts, string(Silence))
	case p.end == "":
		parts = append(parts, "open")
	}
	res.Outcome = Outcome(strings.Join(parts, ", "))
	return res
}

// toLatin1 makes a character of each byte.
func toLatin1(b []byte) string {
	r := make([]rune, len(b))
	for i, c := range b {
		r[i] = rune(c)
	}
	return string(r)
}
