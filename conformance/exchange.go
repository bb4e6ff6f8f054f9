package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// nextTarget is that of the request that a client is asked for after each case, and followUpReply the
// response to it.
const nextTarget = "/follow-up"

const followUpReply = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nfollow-up"

// What a client may do in a case before the kit ends it: none that goes by the contract comes near to that.
const (
	mostConnections = 100
	mostRequests    = 100      // on all connections
	mostReceived    = 16 << 20 // bytes on a connection
)

// An exchange is the kit's side of a case that a client plays: a server for this one alone.
type exchange struct {
	c        *Case // nil: there is nothing but the follow-up
	d        Delivery
	l        net.Listener
	host     string
	request  string // what the client is asked for: "GET http://127.0.0.1:1234/"
	response []byte
	patience time.Duration

	playing sync.Mutex // is held while the bytes of the case are sent

	mu      sync.Mutex
	conns   []net.Conn
	asked   []*arrived
	first   bool // the case's own request has had its reply
	closed  bool
	excess  excess // what was too much, or nothing
	trace   []Event
	working sync.WaitGroup
}

// arrived is a request that has come.
type arrived struct {
	*Request
	conn      int    // the number of the connection
	malformed string // what is wrong with it, or ""
}

// An excess is what a client has too much of.
type excess struct {
	word string // for the outcome
	text string
}

var (
	tooManyConnections = excess{"connections", fmt.Sprintf("the client has made more than %d connections", mostConnections)}
	tooManyRequests    = excess{"requests", fmt.Sprintf("the client has made more than %d requests", mostRequests)}
	tooManyBytes       = excess{"too-long", fmt.Sprintf("the client has sent more than %d MiB on a connection", mostReceived>>20)}
)

// outcome is the part of an outcome that it is.
func (e excess) outcome() string { return "malformed(" + e.word + ")" }

// An answerOf is what a client says to a line.
type answerOf struct {
	how   string // "silence", "crashed" or "malformed(reply)", or "" for a line
	wrong string // why there is no line, where how does not say it
	line  string
	reply *Reply // nil if the line is none
}

func listen(c *Case, d Delivery, patience time.Duration) (*exchange, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	x := &exchange{c: c, d: d, l: l, host: l.Addr().String(), patience: patience}
	if c != nil {
		if x.request, err = c.clientRequest(x.host); err == nil {
			x.response, err = c.Bytes(x.host)
		}
		if err != nil {
			l.Close()
			return nil, err
		}
	}
	x.working.Add(1)
	go x.accept()
	return x, nil
}

// checkClient says what is wrong with what only cases of one kind of role can have.
func (c *Case) checkClient() error {
	if c.topic.Role != ClientRole {
		if c.Request != "" || c.Sent != nil || c.Early {
			return errors.New("request, sent and early are for cases that test a client")
		}
		return nil
	}
	awaits := slices.ContainsFunc(c.Then, func(s Step) bool { return s.Await != 0 })
	if len(c.Fields) > 0 || awaits || slices.Contains(c.Deliver, Apart) {
		return errors.New("fields, await and the delivery apart are for cases that test a server")
	}
	if c.Sent != nil {
		if _, err := expand(c.Sent.Target, "host"); err != nil {
			return err
		}
	}
	_, err := c.clientRequest("host")
	return err
}

// clientRequest is the line that the client is given.
func (c *Case) clientRequest(host string) (string, error) {
	method, target, _ := strings.Cut(c.Request, " ")
	if method == "" {
		method, target = "GET", "/"
	}
	if !strings.Contains(target, "://") {
		target = "http://${host}" + target
	}
	b, err := expand(method+" "+target, host)
	return string(b), err
}

func (x *exchange) accept() {
	defer x.working.Done()
	for {
		conn, err := x.l.Accept()
		if err != nil {
			return
		}
		x.mu.Lock()
		if x.closed {
			x.mu.Unlock()
			conn.Close()
			return
		}
		if len(x.conns) == mostConnections {
			x.mu.Unlock()
			conn.Close()
			x.l.Close()
			x.exceeded(tooManyConnections)
			return
		}
		x.conns = append(x.conns, conn)
		n := len(x.conns)
		if n > 1 {
			x.trace = append(x.trace, Event{End: "connection " + strconv.Itoa(n)})
		}
		x.working.Add(1)
		x.mu.Unlock()
		go func() {
			defer x.working.Done()
			x.serve(conn.(*net.TCPConn), n)
		}()
	}
}

// exceeded notes that there was too much of something.
func (x *exchange) exceeded(e excess) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.excess.word == "" {
		x.excess = e
		x.trace = append(x.trace, Event{End: e.text})
	}
}

// close ends everything. It may be called twice.
func (x *exchange) close() {
	x.mu.Lock()
	x.closed = true
	conns := x.conns
	x.mu.Unlock()
	x.l.Close()
	for _, conn := range conns {
		conn.Close()
	}
	x.working.Wait()
}

// serve reads requests from a connection, and responds.
func (x *exchange) serve(conn *net.TCPConn, n int) {
	defer conn.Close()
	var all []byte
	buf := make([]byte, 16<<10)
	played, received := false, 0
	if x.c != nil && x.c.Early && !x.after() {
		if played = true; !x.play(conn) {
			return
		}
	}
	for {
		r, rest, err := parseRequest(all)
		if errors.Is(err, errMore) {
			n, err := conn.Read(buf)
			if n > 0 {
				all = append(all, buf[:n]...)
				x.note(Event{Received: bytes.Clone(buf[:n])})
			}
			if received += n; received > mostReceived {
				x.exceeded(tooManyBytes)
				return
			}
			if err != nil {
				x.note(Event{End: "closed by the client"})
				return
			}
			continue
		}
		a := &arrived{Request: r, conn: n}
		if err != nil {
			a.malformed = err.Error()
		}
		all = rest
		x.mu.Lock()
		full := len(x.asked) == mostRequests
		if !full {
			x.asked = append(x.asked, a)
		}
		x.mu.Unlock()
		if full {
			x.exceeded(tooManyRequests)
			return
		}
		switch {
		case r.Target == nextTarget || x.c == nil:
			x.send(conn, []byte(followUpReply))
			return
		case x.own(r):
			if played && x.c.Early { // it has had its response
				played = false
				continue
			}
			if !x.play(conn) {
				x.drain(conn)
				return
			}
		default: // where the client was sent to
			x.send(conn, []byte(strings.ReplaceAll(followUpReply, "follow-up", "elsewhere")))
			return
		}
		if a.malformed != "" || r.closes() {
			_ = conn.CloseWrite()
			x.drain(conn)
			return
		}
	}
}

// own reports whether a request is that of the case. A target that is not as it should be is, too,
// as long as the client has been told nothing yet.
func (x *exchange) own(r *Request) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.asked) == 1 || x.asked[0].Method == r.Method && x.asked[0].Target == r.Target
}

// drain reads on, so that what the client sends in vain does not reset the connection.
func (x *exchange) drain(conn net.Conn) {
	buf := make([]byte, 4<<10)
	for {
		if _, err := conn.Read(buf); err != nil {
			return
		}
	}
}

// play sends the bytes of the case. It returns false if the connection has ended with that.
func (x *exchange) play(conn *net.TCPConn) bool {
	x.playing.Lock()
	defer x.playing.Unlock()
	switch x.d {
	case Split:
		half := len(x.response) / 2
		x.send(conn, x.response[:half])
		time.Sleep(pauseOfSplit)
		x.send(conn, x.response[half:])
	case Bytes:
		for i := range x.response {
			if !x.send(conn, x.response[i:i+1]) {
				break
			}
		}
	default:
		x.send(conn, x.response)
	}
	for _, s := range x.c.Then {
		time.Sleep(pauseOfSplit)
		b, _ := expand(s.Send, x.host) // check has tried it
		x.send(conn, b)
	}
	switch x.c.End {
	case "close":
		x.note(Event{End: "closed by the kit"})
		_ = conn.CloseWrite()
		return false
	case "reset":
		x.note(Event{End: "reset by the kit"})
		_ = conn.SetLinger(0)
		_ = conn.Close()
		return false
	}
	return true
}

// send writes, and returns false if the client takes no more.
func (x *exchange) send(conn net.Conn, b []byte) bool {
	if len(b) == 0 {
		return true
	}
	x.note(Event{Sent: bytes.Clone(b)})
	_ = conn.SetWriteDeadline(time.Now().Add(x.patience))
	_, err := conn.Write(b)
	return err == nil
}

func (x *exchange) note(e Event) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.trace = noted(x.trace, e)
}

// ask gives the client a line.
func (x *exchange) ask(ctx context.Context, c asker, line string) *answerOf {
	b, err := c.ask(ctx, line, x.patience)
	if err != nil {
		a := noAnswer(err)
		if a.wrong != "" {
			x.note(Event{End: a.wrong})
		}
		return a
	}
	x.note(told(b))
	a := &answerOf{line: string(b)}
	r := new(Reply)
	if json.Unmarshal(b, r) == nil && (r.Status > 0) != (r.Error != "") {
		a.reply = r
	}
	return a
}

// noAnswer is what a client says to a line if it says nothing that could be one of its own.
func noAnswer(err error) *answerOf {
	switch {
	case errors.Is(err, errCrashed):
		return &answerOf{how: "crashed"}
	case errors.Is(err, errLong):
		return &answerOf{how: malformedReply, wrong: err.Error()}
	}
	return &answerOf{how: string(Silence)}
}

const malformedReply = "malformed(reply)"

// told is the event of a line, without what is more than a reader of a trace looks at.
func told(line []byte) Event {
	kept := line
	if len(kept) > traceMost {
		kept = kept[:traceMost]
		for n := 1; n < utf8.UTFMax; n++ { // no part of a character
			if last := len(kept) - n; utf8.RuneStart(kept[last]) {
				if !utf8.FullRune(kept[last:]) {
					kept = kept[:last]
				}
				break
			}
		}
	}
	return Event{Told: string(kept), Omitted: len(line) - len(kept)}
}

// followUp has the client make another request. It waits until the bytes of the case are out, and what
// the kit does to the connection then is done, and gives the client a moment to see that.
func (x *exchange) followUp(ctx context.Context, c asker) *answerOf {
	x.playing.Lock()
	x.mu.Lock()
	x.first = true
	x.mu.Unlock()
	x.playing.Unlock()
	time.Sleep(pauseOfSplit)
	line := "GET http://" + x.host + nextTarget
	a := x.ask(ctx, c, line)
	if x.c.End != "" && a.reply != nil && a.reply.Error != "" {
		// A request may get lost with a connection that the server has closed (RFC 9112,
		// section 9.3.1); the one after it must not.
		a = x.ask(ctx, c, line)
	}
	return a
}

func (x *exchange) after() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.first
}

// result makes an outcome of what has come. The second answer is nil if the first one was none. It
// also reports whether a request has come that nobody has asked the client for.
func (x *exchange) result(first, second *answerOf) (res *Result, strange bool) {
	x.close() // so nothing comes any more
	res = &Result{Trace: x.trace}
	var parts []string
	add := func(format string, a ...any) {
		if part := fmt.Sprintf(format, a...); !slices.Contains(parts, part) {
			parts = append(parts, part)
		}
	}
	method, url, _ := strings.Cut(x.request, " ")
	var own *arrived
	var followed int
	for _, a := range x.asked {
		followUp := a.Target == nextTarget
		switch {
		case x.c.Early && !followUp: // it may have come, or not
			continue
		case followUp:
			// What was sent on a connection that the client then gave up may arrive later.
			followed = max(followed, a.conn)
		case own == nil:
			own = a
			strange = a.Method != method || !strings.HasSuffix(url, a.Target)
			if x.c.Sent != nil {
				add("sent(%s)", x.c.Sent.short(a.Request))
				res.Wrong = x.c.Sent.wrong(a.Request, method, x.host)
			}
		case a.Target == own.Target && a.Method == own.Method:
			if method == "POST" { // others may be made again (RFC 9110, section 9.2.2)
				add("again")
			}
			own, strange = a, true
		default:
			add("request(%s %s)", word(a.Method), word(a.Target))
			own, strange = a, true
		}
		if a.malformed != "" {
			add("malformed(%s)", a.malformed)
		}
	}
	if own == nil && !x.c.Early {
		add("unsent")
		res.Wrong = x.c.unsent()
	}
	if x.excess.word != "" {
		add("%s", x.excess.outcome())
	}
	parts = append(parts, first.short(x.c.asksFor()))
	if r := first.reply; r != nil && r.Error == "" && x.c.Understood != nil && res.Wrong == "" {
		res.Wrong = x.c.Understood.wrongReply(r)
	}
	if x.excess.word != "" {
		res.Wrong = x.excess.text
	} else if first.wrong != "" {
		res.Wrong = first.wrong
	}
	if second != nil {
		if second.wrong != "" {
			res.Wrong = second.wrong
		}
		s := second.short(nil)
		switch {
		case s == `200 body="follow-up"` && own != nil && own.conn == followed:
			s = "follow-up"
		case s == `200 body="follow-up"`:
			s = "reconnects"
		case s == "error":
			s = "lost"
		case second.reply != nil:
			s = "misread(" + s + ")"
		}
		parts = append(parts, s)
	}
	// The port is another one each time.
	res.Outcome = Outcome(strings.ReplaceAll(strings.Join(parts, ", "), x.host, "HOST"))
	return res, strange
}

// unsent says what is wrong if the client sends no request, or "" if the rule of the case names that.
func (c *Case) unsent() string {
	for _, pattern := range c.Allowed {
		if slices.Contains(Outcome(pattern).parts(), "unsent") {
			return ""
		}
	}
	return "the client has sent no request"
}

// asksFor returns the fields of the response that count.
func (c *Case) asksFor() []string {
	if m := asksFor.FindStringSubmatch(c.Request); m != nil {
		return strings.Split(m[1], ",")
	}
	return nil
}

// short is the part of an outcome that a reply is.
func (a *answerOf) short(fields []string) string {
	switch r := a.reply; {
	case a.how != "":
		return a.how
	case r == nil:
		return malformedReply
	case r.Error != "":
		return "error"
	default:
		s := strconv.Itoa(r.Status)
		for _, name := range fields {
			s += fmt.Sprintf(" %s=%s", name, strings.Join(quoted(valuesOf(r.Fields, name)), " "))
		}
		return s + " body=" + printableQuoted(r.Body)
	}
}

// wrongReply says what is wrong with what a client has understood of a response.
func (u *Understood) wrongReply(r *Reply) string {
	if r.Body != u.Body {
		return fmt.Sprintf("the body is %s and not %s", printableQuoted(r.Body), printableQuoted(u.Body))
	}
	return wrongFields(u.Fields, func(name string) (values []string) {
		for _, v := range valuesOf(r.Fields, name) {
			// What replaces the end of a folded line may be several blanks (RFC 9112, section 5.2).
			values = append(values, blanks.ReplaceAllString(v, " "))
		}
		return values
	})
}

var blanks = regexp.MustCompile("  +")

// A Sent is what a client has to have sent, besides the method.
type Sent struct {
	Target string              `yaml:"target"` // "*": whichever
	Body   string              `yaml:"body"`
	Fields map[string][]string `yaml:"fields"` // no values: the field may not be there
}

// names returns the names of the fields that count.
func (s *Sent) names() (names []string) {
	for name := range s.Fields {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// short is the part of an outcome that a request is.
func (s *Sent) short(r *Request) string {
	text := word(r.Method) + " " + word(r.Target)
	for _, name := range s.names() {
		text += " " + name + "=" + strings.Join(quoted(r.Values(name)), " ")
	}
	if len(r.Body) > 0 {
		text += " body=" + printableQuoted(toLatin1(r.Body))
	}
	return text
}

// wrong says what is wrong with a request.
func (s *Sent) wrong(r *Request, method, host string) string {
	target, _ := expand(s.Target, host) // check has tried it
	switch {
	case r.Method != method:
		return fmt.Sprintf("the method is %s and not %s", printableQuoted(r.Method), printableQuoted(method))
	case r.Target != string(target) && s.Target != "*":
		return fmt.Sprintf("the target is %s and not %s", printableQuoted(r.Target), printableQuoted(string(target)))
	}
	if body := toLatin1(r.Body); body != s.Body {
		return fmt.Sprintf("the body is %s and not %s", printableQuoted(body), printableQuoted(s.Body))
	}
	fields := make(map[string][]string)
	for name, values := range s.Fields {
		fields[name] = nil
		for _, v := range values {
			fields[name] = append(fields[name], strings.ReplaceAll(v, "${host}", host))
		}
	}
	return wrongFields(fields, r.Values)
}

// A Request is a request as it came over the wire.
type Request struct {
	Method, Target, Version string
	Fields                  []Field
	Body                    []byte
}

// Values returns the values of the fields of a name, in order, a character for each byte.
func (r *Request) Values(name string) (values []string) {
	for _, f := range r.Fields {
		if strings.EqualFold(f.Name, name) {
			values = append(values, toLatin1([]byte(f.Value)))
		}
	}
	return values
}

// closes reports whether the client wants no other response on the connection.
func (r *Request) closes() bool {
	options := strings.ToLower(strings.Join(r.Values("Connection"), ","))
	return strings.Contains(options, "close") || r.Version == "HTTP/1.0" && !strings.Contains(options, "keep-alive")
}

// parseRequest takes a request from the front of b. Nothing is forgiven: the error is errMore if
// there is not enough, and else says in a few words what RFC 9112 does not let a client send. The
// request is then what could be understood of it.
func parseRequest(b []byte) (r *Request, rest []byte, err error) {
	head, rest, ok := bytes.Cut(b, []byte("\r\n\r\n"))
	if !ok {
		if head, rest, ok = bytes.Cut(b, []byte("\n\n")); !ok {
			return nil, b, errMore
		}
		err = errors.New("line-end")
	}
	wrong := func(what string) {
		if err == nil {
			err = errors.New(what)
		}
	}
	lines := strings.Split(string(head), "\r\n")
	r = new(Request)
	words := strings.Split(lines[0], " ")
	if len(words) != 3 || !isToken(words[0]) || words[2] != "HTTP/1.1" && words[2] != "HTTP/1.0" || !isTarget(words[1]) {
		wrong("request-line")
	}
	words = append(words, "", "")
	r.Method, r.Target, r.Version = words[0], words[1], words[2]
	for _, line := range lines[1:] {
		f, what := parseField(line)
		if what != "" {
			wrong(what)
		}
		r.Fields = append(r.Fields, f)
	}
	if hosts := r.Values("Host"); len(hosts) > 1 || len(hosts) == 0 && r.Version == "HTTP/1.1" {
		wrong("host")
	}
	lengths, codings := r.Values("Content-Length"), r.Values("Transfer-Encoding")
	switch {
	case len(codings) > 1 || len(lengths) > 1 || len(codings) > 0 && len(lengths) > 0:
		wrong("framing")
	case len(codings) > 0:
		body := new(Response)
		var e error
		if codings[0] != "chunked" {
			wrong("transfer-encoding")
		} else if body, rest, e = body.chunks(rest, false); errors.Is(e, errMore) {
			return nil, b, errMore
		} else if e != nil {
			wrong(e.Error())
		} else {
			r.Body = body.Body
		}
	case len(lengths) > 0:
		n, e := strconv.ParseUint(lengths[0], 10, 31)
		if e != nil {
			wrong("content-length")
		} else if uint64(len(rest)) < n {
			return nil, b, errMore
		} else {
			r.Body, rest = rest[:n], rest[n:]
		}
	}
	return r, rest, err
}

// isTarget reports whether a request target has only what a URI may have.
func isTarget(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune("\"<>\\^`{|}#", c) })
}

// parseField: RFC 9112, section 5. The text says what is wrong.
func parseField(line string) (Field, string) {
	name, value, ok := strings.Cut(line, ":")
	value = strings.Trim(value, " \t")
	switch {
	case !ok || !isToken(name):
		return Field{name, value}, "field-line"
	case strings.ContainsFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7F }):
		return Field{name, value}, "field-value"
	}
	return Field{name, value}, ""
}
