package conformance

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// A Message is a WebSocket message that a client says it got. Its data has one character for each byte.
type Message struct {
	Type string `json:"type"` // "text" or "binary"
	Data string `json:"data"`
}

// NewMessage makes a Message.
func NewMessage(kind string, data []byte) Message { return Message{kind, toLatin1(data)} }

// The outcome of a case with a WebSocket client has what the client sent after its handshake, which
// echoes what it got, then how the connection ended, and "error" if the client says that there was
// no WebSocket connection:
//
//	text("hello"), follow-up
//	close(1002), closed
//	error
//	text("hello"), closed, heard(text("x"))
//
// "heard" is a message that the client tells and has not sent back; "misread" is one that it has sent
// back and tells otherwise.

// wsHandshake has the lines of a response to a handshake as it should be.
var wsHandshake = []string{
	"HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: ${accept}",
}

// playWebSocket plays a case with a WebSocket client. One to which no handshake came, or somebody
// else's, is played again: libnng as published loses a connect now and then (defect X4), and other
// programs may have had the port before. Neither happens twice.
func (c *Client) playWebSocket(ctx context.Context, one *Case, d Delivery, patience time.Duration) (*Result, error) {
	res, err := c.playWebSocketOnce(ctx, one, d, patience)
	if err == nil && (strings.HasPrefix(string(res.Outcome), "unsent") || strings.HasPrefix(string(res.Outcome), "malformed(request-line)")) {
		return c.playWebSocketOnce(ctx, one, d, patience)
	}
	return res, err
}

func (c *Client) playWebSocketOnce(ctx context.Context, one *Case, d Delivery, patience time.Duration) (*Result, error) {
	a, err := c.take(ctx)
	if err != nil {
		return nil, err
	}
	defer c.give(a)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	said := make(chan *answerOf, 1)
	go func() { said <- askWebSocket(ctx, a, "ws://"+l.Addr().String()+one.route(), 2*patience) }()
	_ = l.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	conn, err := l.Accept()
	if err != nil { // it has not come
		l.Close()
		a := <-said
		return &Result{Outcome: Outcome("unsent, " + a.shortWebSocket(nil)), Wrong: cmp.Or(a.wrong, one.unsent())}, ctx.Err()
	}
	capped := &cappedConn{Conn: conn}
	p := &player{c: one, conn: capped, raw: conn.(*net.TCPConn), host: l.Addr().String(), patience: patience, came: make(chan struct{})}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	go p.receive()
	w := &wsPlayer{player: p, c: one, d: d, begin: afterRequest}
	wrong, err := w.respond()
	if err != nil {
		return nil, err
	}
	conn.Close()
	answer := <-said
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if answer.how == "" {
		p.note(told([]byte(answer.line)))
	} else if answer.wrong != "" {
		p.note(Event{End: answer.wrong})
	}
	res := &Result{Outcome: w.clientOutcome(wrong, answer), Wrong: answer.wrong}
	if strings.HasPrefix(string(res.Outcome), "unsent") {
		res.Wrong = cmp.Or(res.Wrong, one.unsent())
	}
	if capped.received.Load() > mostReceived {
		p.note(Event{End: tooManyBytes.text})
		res.Outcome, res.Wrong = Outcome(tooManyBytes.outcome())+", "+res.Outcome, tooManyBytes.text
	}
	res.Trace = p.trace
	return res, nil
}

// A cappedConn ends a connection on which too much comes.
type cappedConn struct {
	net.Conn
	received atomic.Int64
}

func (c *cappedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.received.Add(int64(n)) > mostReceived {
		c.Close()
		return 0, net.ErrClosed
	}
	return n, err
}

// afterRequest returns what came after the request of a handshake.
func afterRequest(all []byte, _ bool) ([]byte, bool) {
	_, rest, err := parseRequest(all)
	return rest, !errors.Is(err, errMore)
}

// respond plays the server: it awaits the handshake, and sends the response and the frames of the
// case. It returns what is wrong with the handshake.
func (w *wsPlayer) respond() (wrong string, err error) {
	came := false
	w.await(w.patience, func(all []byte, ended bool) bool {
		_, came = afterRequest(all, ended)
		return came
	})
	if !came {
		return "", nil
	}
	w.mu.Lock()
	r, _, err := parseRequest(w.received)
	w.mu.Unlock()
	switch {
	case err != nil:
		wrong = err.Error()
	default:
		wrong = r.wrongHandshake(w.host, w.c.route())
	}
	key := strings.Join(r.Values("Sec-WebSocket-Key"), ", ")
	response, err := w.c.handshakeResponse(acceptOf(key))
	if err != nil {
		return "", err
	}
	if w.d == Apart {
		w.deliver(response)
		response = nil
	}
	w.run(response)
	return wrong, nil
}

// handshakeResponse returns the response of a case.
func (c *Case) handshakeResponse(accept string) ([]byte, error) {
	text := c.Raw
	if text == "" {
		head := c.Head
		if head == nil {
			head = wsHandshake
		}
		text = strings.Join(head, "\r\n") + "\r\n\r\n" + c.Body
	}
	return expand(strings.ReplaceAll(text, "${accept}", accept), "")
}

// wrongHandshake says what is wrong with a client's handshake (RFC 6455, section 4.1), in a word.
func (r *Request) wrongHandshake(host, target string) string {
	is := func(word string) func(string) bool { return func(s string) bool { return strings.EqualFold(s, word) } }
	key := r.Values("Sec-WebSocket-Key")
	switch {
	case r.Method != "GET" || r.Version != "HTTP/1.1" || r.Target != target:
		return "request-line"
	case !slices.Equal(r.Values("Host"), []string{host}):
		return "host"
	case !slices.ContainsFunc(listed(r.Values("Upgrade")), is("websocket")):
		return "upgrade"
	case !slices.ContainsFunc(listed(r.Values("Connection")), is("upgrade")):
		return "connection"
	case !slices.Equal(r.Values("Sec-WebSocket-Version"), []string{"13"}):
		return "version"
	case len(key) != 1:
		return "key"
	}
	if nonce, err := base64.StdEncoding.DecodeString(key[0]); err != nil || len(nonce) != 16 {
		return "key"
	}
	return ""
}

// askWebSocket gives a client a line, and parses its reply.
func askWebSocket(ctx context.Context, a asker, url string, patience time.Duration) *answerOf {
	b, err := a.ask(ctx, "WEBSOCKET "+url, patience)
	if err != nil {
		return noAnswer(err)
	}
	answer := &answerOf{line: string(b)}
	if r := new(Reply); json.Unmarshal(b, r) == nil && r.Status == 0 {
		answer.reply = r
	}
	return answer
}

// clientOutcome makes an outcome of what a client has sent and said. The lock is held.
func (w *wsPlayer) clientOutcome(wrong string, a *answerOf) Outcome {
	var parts []string
	frames, came := afterRequest(w.received, false)
	p := parseFrames(frames, true)
	if wrong != "" {
		parts = append(parts, "malformed("+wrong+")")
	}
	more, followed := w.told(p)
	parts = append(parts, more...)
	refused := a.reply != nil && a.reply.Error != ""
	switch {
	case !came:
		parts = append(parts, "unsent")
	case w.failed || followed || refused && len(more) == 0:
	case w.end != "":
		parts = append(parts, "closed")
	default:
		parts = append(parts, "open")
	}
	if s := a.shortWebSocket(&p); s != "" && (!w.failed || a.how != "") {
		parts = append(parts, s)
	}
	return Outcome(strings.Join(parts, ", "))
}

// shortWebSocket is what an outcome has of a client's reply, which has to go with what it has sent.
func (a *answerOf) shortWebSocket(sent *wsParsed) string {
	switch {
	case a.how != "":
		return a.how
	case a.reply == nil:
		return malformedReply
	case a.reply.Error != "":
		return "error"
	case sent == nil:
		return "connected"
	}
	var echoed []wsMessage
	for _, m := range sent.all {
		if m.op == wsText || m.op == wsBinary {
			echoed = append(echoed, m)
		}
	}
	var parts []string
	for i, m := range a.reply.Messages {
		data, ok := fromLatin1(m.Data)
		got := wsMessage{opcodes[m.Type], data}
		switch {
		case !ok || m.Type != "text" && m.Type != "binary":
			return malformedReply
		case i >= len(echoed):
			parts = append(parts, "heard("+got.short()+")")
		case got.short() != echoed[i].short():
			parts = append(parts, "misread("+got.short()+")")
		}
	}
	if n := len(a.reply.Messages); n < len(echoed) {
		parts = append(parts, fmt.Sprintf("misread(%d)", n))
	}
	return strings.Join(parts, ", ")
}
