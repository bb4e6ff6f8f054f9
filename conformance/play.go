package conformance

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Server is where the server listens that is to be tested.
type Server struct {
	// URL is its address, as "http://127.0.0.1:8080"; a path in it is not used. Without one the
	// server that the cases share is started with Start, and started again when it crashes.
	URL string
	// Secure is the same server's address over https, where the topics on TLS are played, if
	// there is one and URL is not over https itself.
	Secure string
	// OverTLS: all cases are played over https.
	OverTLS bool
	// TLS is for https. Without it the certificate of the server is not checked.
	TLS *tls.Config
	// WebSocket says that the server has the WebSocket routes, too. Without it the cases of that
	// role are left out.
	WebSocket bool
	// Patience is how long a connection may be silent, 3 s if it is 0. No case leaves a server
	// that goes by the contract waiting for so long.
	Patience time.Duration
	// Start starts a server of the same kind, and returns once it listens. Cases that stop their
	// server have one of their own, and are left out without this.
	Start func(context.Context) (*Process, error)

	keep  *keeper // of the server that the cases share, if it was started
	alone bool    // nobody else uses the server now
}

// A Result is what came of a case in one delivery.
type Result struct {
	Outcome Outcome
	// Wrong says what the server has misunderstood of a request that it has served, or "".
	Wrong string
	// Announced: the connection has ended after a response that says so.
	Announced bool
	Trace     []Event

	understood bool // an echo was looked at
}

// An Event is a part of what crossed the wire: Sent or Received is set, or End, or Told.
type Event struct {
	Sent     []byte `json:"sent,omitempty"`
	Received []byte `json:"received,omitempty"`
	Omitted  int    `json:"omitted,omitempty"` // so many bytes more
	End      string `json:"end,omitempty"`     // "closed", "reset", "half-close by the client", ...
	Told     string `json:"told,omitempty"`    // what a client says that came of its request
}

// Times of a case that do not depend on the server's speed.
const (
	defaultPatience = 3 * time.Second
	pauseOfSplit    = 15 * time.Millisecond
	// What comes is more than any case asks for, or takes longer than any case has to.
	receivedMost  = 24 << 20
	patienceTimes = 10
	// A trace has so many bytes of an event.
	traceMost = 64 << 10
	// A follow-up that is sent apart comes so late when there is no answer to wait for.
	apartLatest = 250 * time.Millisecond
)

func (s *Server) patient() subject {
	again := *s
	again.alone = true
	again.Patience = 3 * cmp.Or(s.Patience, defaultPatience)
	return &again
}

// Play plays a case against a server. The error says what kept it from being played; whatever
// the server does is a Result.
func (s *Server) Play(ctx context.Context, c *Case, d Delivery) (*Result, error) {
	at, err := s.place(ctx, c)
	if err != nil {
		return nil, err
	}
	defer at.leave()
	first := &player{server: s, at: at, c: c}
	if err := first.dial(ctx); err != nil {
		if at.died(true) {
			return nil, errGone
		}
		return nil, err
	}
	defer first.close()
	stop := context.AfterFunc(ctx, first.close)
	defer stop()
	last := time.AfterFunc(patienceTimes*first.patience, func() {
		first.mu.Lock()
		first.endless = true
		first.mu.Unlock()
		first.close()
	})
	defer last.Stop()
	sent, err := c.Bytes(first.host)
	if err != nil {
		return nil, err
	}
	var res *Result
	if c.Role() == WebSocketServerRole {
		res = first.playWebSocket(d, sent)
	} else {
		res = first.playHTTP(ctx, d, sent)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	switch {
	case first.stopped: // the server was asked to end
		at.ended(first, res)
	case at.died(!strings.HasSuffix(string(res.Outcome), "follow-up")):
		if s.alone {
			return crashed(at.proc, res.Trace), nil
		}
		return nil, errGone
	}
	return res, nil
}

// playHTTP plays a case for a server of HTTP.
func (p *player) playHTTP(ctx context.Context, d Delivery, sent []byte) *Result {
	text := followUp
	if p.c.topic.TLS { // the client ends the connection, see play
		text = strings.Replace(followUp, "Connection: close\r\n", "", 1)
	}
	follow, _ := expand(text, p.host)
	p.play(ctx, d, sent, follow)
	return p.result()
}

// A player has one connection. That of a case's first one has the others, too.
type player struct {
	server   *Server
	at       *place
	c        *Case
	conn     net.Conn
	raw      *net.TCPConn
	host     string
	patience time.Duration
	others   []*player
	first    []byte // what was sent at first
	refused  string // why there is no connection, as an outcome has it
	agreed   string // the version and the protocol of TLS
	own      *sealer
	gate     chan struct{} // is closed when the rest is to be read
	stopped  bool          // the server was asked to stop

	mu       sync.Mutex
	came     chan struct{} // is closed, and replaced, whenever something comes
	received []byte
	end      string // how the connection has ended
	reset    bool   // by the client
	endless  bool   // the kit has ended it, because the server did not
	trace    []Event
}

// dial connects, and begins to receive. A server that refuses TLS is no error.
func (p *player) dial(ctx context.Context) error {
	s := p.server
	u, err := url.Parse(p.at.url)
	if err != nil {
		return err
	}
	p.host, p.patience, p.came = u.Host, cmp.Or(s.Patience, defaultPatience), make(chan struct{})
	if p.c.Hold {
		p.gate = make(chan struct{})
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return err
	}
	if toItself(conn) {
		conn.Close()
		return fmt.Errorf("nobody listens on %s", u.Host)
	}
	p.conn, p.raw = conn, conn.(*net.TCPConn)
	if p.c.Hold {
		_ = p.raw.SetReadBuffer(32 << 10) // so that the server notices soon
	}
	switch u.Scheme {
	case "http":
	case "https":
		if err := s.handshake(ctx, p, p.c, u.Hostname()); err != nil {
			conn.Close()
			return err
		}
		if p.refused != "" {
			p.end = "closed"
			return nil
		}
	default:
		conn.Close()
		return fmt.Errorf("%s: the scheme is neither http nor https", p.at.url)
	}
	go p.receive()
	return nil
}

// close ends all connections.
func (p *player) close() {
	p.mu.Lock()
	all := append(slices.Clone(p.others), p)
	p.mu.Unlock()
	for _, o := range all {
		if o.raw != nil {
			o.raw.Close()
		}
	}
}

// receive gathers what comes, until the connection ends.
func (p *player) receive() {
	buf := make([]byte, 64<<10)
	for {
		into := buf
		if p.gate != nil && len(p.received) == 0 {
			into = buf[:1]
		} else if p.gate != nil {
			<-p.gate
		}
		n, err := p.conn.Read(into)
		p.mu.Lock()
		if p.reset { // what TLS still had does not count
			n = 0
		}
		if n > 0 {
			p.received = append(p.received, buf[:n]...)
			p.note(Event{Received: bytes.Clone(buf[:n])})
		}
		if len(p.received) > receivedMost && err == nil {
			p.endless, err = true, io.EOF
			p.raw.Close()
		}
		if err != nil {
			p.end = p.endOf(err)
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
			last.shorten()
			return trace
		case e.Received != nil && last.Received != nil:
			last.Received = append(last.Received, e.Received...)
			last.shorten()
			return trace
		}
	}
	e.shorten()
	return append(trace, e)
}

// shorten leaves out what is more than a reader of a trace looks at.
func (e *Event) shorten() {
	for _, b := range []*[]byte{&e.Sent, &e.Received} {
		if n := len(*b) - traceMost; n > 0 {
			*b = (*b)[:traceMost]
			e.Omitted += n
		}
	}
}

// send writes, and does not mind if the server takes no more.
func (p *player) send(b []byte) {
	if len(b) == 0 || p.refused != "" {
		return
	}
	if p.first == nil {
		p.first = bytes.Clone(b)
	}
	p.mu.Lock()
	p.note(Event{Sent: bytes.Clone(b)})
	p.mu.Unlock()
	_ = p.conn.SetWriteDeadline(time.Now().Add(p.patience))
	if p.own != nil {
		p.own.write(p.raw, b)
		return
	}
	_, _ = p.conn.Write(b)
}

func (p *player) play(ctx context.Context, d Delivery, first, follow []byte) {
	c := p.c
	p.first = first
	together := c.End == "" && c.Then == nil // the follow-up goes with the rest
	rest := follow
	if together && d != Apart {
		first, rest = append(slices.Clone(first), follow...), nil
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
	now := p.steps(ctx, c.Then)
	switch c.End {
	case "half-close":
		now.halfClose()
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
		now.send(rest)
		if c.topic.TLS && now.awaitFollowUp() {
			now.halfClose()
		}
	}
	for _, o := range append([]*player{p}, p.others...) {
		o.readOn()
		o.await(o.patience, func([]byte, bool) bool { return false })
	}
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
func (p *player) result() *Result {
	res := new(Result)
	parts := p.parts(res)
	for i, o := range p.others {
		parts = append(append(parts, "again"), o.parts(res)...)
		res.Trace = append(res.Trace, Event{End: fmt.Sprintf("connection %d", i+2)})
		res.Trace = append(res.Trace, o.trace...)
	}
	res.Outcome = Outcome(strings.Join(parts, ", "))
	return res
}

// parts returns those of the outcome that a connection has.
func (p *player) parts(res *Result) (parts []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	res.Trace = append(res.Trace, p.trace...)
	if p.refused != "" {
		return []string{p.refused}
	}
	c := p.c
	overTLS := c.topic.TLS
	if overTLS && c.TLS != nil && p.agreed != "" {
		parts = append(parts, "tls("+p.agreed+")")
	}
	method, target := requestLine(p.first)
	got := responses(p.received, p.end != "" && !p.reset, []string{method})
	raw := c.TLS != nil && c.TLS.Raw
	if records, ok := recordParts(p.received); raw && ok {
		parts, got = append(parts, records...), parsed{}
	} else if strings.HasPrefix(target, "/hijack?raw") {
		got = parsed{data: p.received}
	}
	var echoed []string
	if m := asksFor.FindSubmatch(p.first); m != nil {
		echoed = strings.Split(string(m[1]), ",")
	}
	followed := false
	for _, r := range got.all {
		// A body that lasts as long as the connection is cut when that is.
		r.Cut = r.Cut || c.Length > 0 && r.toEnd && (p.end == "reset" || p.end == "cut")
		s := r.short(c.Fields, echoed)
		followed = s == "follow-up"
		res.Announced = r.last()
		parts = append(parts, s)
		e := r.echo()
		if e != nil && c.Understood != nil && !e.followUp() && !res.understood {
			res.understood = true
			res.Wrong = c.Understood.wrong(e, p.first)
		}
		if strings.HasPrefix(target, "/hijack?tunnel") && r.toEnd {
			got.data = r.Body
		}
		if e == nil && c.Length > 0 && r.Status == 200 && !r.Cut && len(r.Body) != c.Length {
			res.Wrong = fmt.Sprintf("a response of %d bytes looks whole, and %d were to come", len(r.Body), c.Length)
		}
	}
	if res.Wrong == "" {
		res.Wrong = c.Responds.wrong(got.all)
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
	case p.endless:
		parts = append(parts, endless)
	case p.reset:
		parts = append(parts, "reset")
	case p.end != "" && overTLS && !raw:
		parts = append(parts, p.toldEnd())
	case p.end != "" && !followed:
		parts = append(parts, "closed")
	case p.end == "" && len(p.received) == 0:
		parts = append(parts, string(Silence))
	case p.end == "":
		parts = append(parts, "open")
	}
	return parts
}

// toLatin1 makes a character of each byte.
func toLatin1(b []byte) string {
	r := make([]rune, len(b))
	for i, c := range b {
		r[i] = rune(c)
	}
	return string(r)
}
