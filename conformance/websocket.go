package conformance

import (
	"cmp"
	"crypto/tls"
	"slices"
	"strings"
	"time"
)

// The outcome of a WebSocket case has the response to the handshake, then what came, message by
// message (how they are cut into frames does not count), then how the connection ended:
//
//	101, text("hello"), follow-up
//	101, close(1002), closed
//	400, follow-up
//	101, malformed(masked), closed
//
// After its own frames a case sends one more message, whose echo is the "follow-up": it shows that
// both sides agree on where the frames ended. Then the kit closes, and what comes of that is told
// by the cases about closing alone. After a response that is not 101 the follow-up is that of HTTP.
//
// Pongs are told before messages, because the order of the two is the server's matter, and so is
// whether it responds to a ping after which another one has come (RFC 6455, section 5.5.3).

const wsFollowUp = "follow-up"

// route is the target of the handshake.
func (c *Case) route() string { return cmp.Or(c.Route, "/ws") }

// handshake has the lines of an opening handshake as it should be.
func (c *Case) handshake() []string {
	return []string{
		"GET " + c.route() + " HTTP/1.1", "Host: ${host}", "Upgrade: websocket", "Connection: Upgrade",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13",
	}
}

// followUpType is that of the message that is sent after a case.
func (c *Case) followUpType() byte {
	if c.Route == "/ws/binary" {
		return wsBinary
	}
	return wsText
}

// playWebSocket plays a case for a WebSocket server.
func (p *player) playWebSocket(d Delivery, first []byte) *Result {
	method, _ := requestLine(first)
	w := &wsPlayer{player: p, c: p.c, d: d, client: true}
	w.begin = func(all []byte, ended bool) ([]byte, bool) {
		got := responses(all, ended, []string{method})
		return got.data, len(got.all) > 0 && got.all[len(got.all)-1].Status == 101
	}
	w.deliver(first)
	final := 0
	p.await(p.patience, func(all []byte, ended bool) bool {
		got := responses(all, ended, []string{method})
		for _, r := range got.all {
			final = r.Status
		}
		return got.malformed != "" || final == 101 || final >= 200
	})
	switch {
	case final == 101:
		w.run(nil)
	case final >= 200:
		follow, _ := expand(followUp, p.host)
		p.send(follow)
		p.await(p.patience, func([]byte, bool) bool { return false })
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return &Result{Outcome: w.serverOutcome(first), Trace: p.trace}
}

// serverOutcome makes an outcome of what a server has sent. The lock is held.
func (w *wsPlayer) serverOutcome(first []byte) Outcome {
	method, _ := requestLine(first)
	got := responses(w.received, w.end != "", []string{method})
	var parts []string
	followed, upgraded := false, false
	for _, r := range got.all {
		s := r.short(w.c.Fields, nil)
		followed = followed || s == wsFollowUp
		parts = append(parts, s)
		if r.Status != 101 {
			continue
		}
		upgraded = true
		if wrong := r.wrongUpgrade(fieldsOf(first)); wrong != "" {
			parts = append(parts, "malformed("+wrong+")")
		}
	}
	switch {
	case got.malformed != "":
		parts = append(parts, "malformed("+got.malformed+")")
	case len(got.rest) > 0:
		parts = append(parts, "unfinished")
	}
	if upgraded {
		var more []string
		more, followed = w.told(parseFrames(got.data, false))
		parts = append(parts, more...)
	}
	return w.outcome(parts, followed)
}

// outcome adds how the connection has ended. The lock is held.
func (w *wsPlayer) outcome(parts []string, followed bool) Outcome {
	switch {
	case w.endless:
		parts = append(parts, endless)
	case w.failed || followed: // how it would have ended nobody knows, or wants to
	case w.end != "":
		parts = append(parts, "closed")
	case w.end == "" && len(w.received) == 0:
		parts = append(parts, string(Silence))
	case w.end == "":
		parts = append(parts, "open")
	}
	return Outcome(strings.Join(parts, ", "))
}

// A wsPlayer plays a case on a connection, as a client or as a server.
type wsPlayer struct {
	*player
	c      *Case
	d      Delivery
	client bool // the kit is
	// begin returns what came after the handshake, and whether that is done.
	begin func(all []byte, ended bool) (frames []byte, done bool)

	sentClose bool
	failed    bool    // by the kit, because of what came
	awaited   [16]int // so many have been waited for, by opcode
}

// parse parses what has come after the handshake.
func (w *wsPlayer) parse(all []byte) wsParsed {
	frames, _ := w.begin(all, false)
	return parseFrames(frames, !w.client)
}

// run sends the frames of the case, with what comes first before them, and the follow-up; then it
// closes, and waits for the end.
func (w *wsPlayer) run(first []byte) {
	over := false
	chunk := first // of what goes in one write
	flush := func() {
		w.deliver(chunk)
		chunk = nil
	}
	for _, s := range w.c.script {
		over = over || s.last
		switch s.do {
		case "send":
			if w.d == Apart {
				flush()
			}
			chunk = append(chunk, s.send...)
			w.sentClose = w.sentClose || s.last
		case "await":
			flush()
			w.awaited[s.await]++
			w.await(w.patience, func(all []byte, _ bool) bool {
				p := w.parse(all)
				return p.count(s.await) >= w.awaited[s.await] || p.over()
			})
		default:
			flush()
			w.cut(s.do)
		}
	}
	if !over {
		follow := wsFrame(w.c.followUpType(), []byte(wsFollowUp), w.client)
		if w.d == Apart {
			flush()
			before := w.awaitedInAll()
			w.await(apartLatest, func(all []byte, _ bool) bool {
				p := w.parse(all)
				return len(p.all) > before || p.over()
			})
		}
		w.mu.Lock()
		gone := w.parse(w.received)
		w.mu.Unlock()
		if !gone.over() {
			chunk = append(chunk, follow...)
		}
	}
	flush()
	w.finish(over)
}

func (w *wsPlayer) awaitedInAll() (n int) {
	for _, a := range w.awaited {
		n += a
	}
	return n
}

// finish waits for the follow-up, or for the peer to close, and closes, too.
func (w *wsPlayer) finish(over bool) {
	ready, malformed := false, false
	w.await(w.patience, func(all []byte, _ bool) bool {
		p := w.parse(all)
		ready = p.count(wsClose) > 0 || !over && p.followed()
		malformed = p.malformed != ""
		return ready || malformed
	})
	if malformed { // there is nothing to wait for: the kit fails the connection
		return
	}
	if ready && !w.sentClose {
		w.send(wsFrame(wsClose, []byte{1000 >> 8, 1000 & 0xFF}, w.client))
	}
	if !w.client {
		// The server ends the connection, once there was a close frame (RFC 6455, section 7.1.1).
		if ready {
			w.await(apartLatest, func(all []byte, _ bool) bool { p := w.parse(all); return p.over() })
		}
		w.cut("half-close")
	} else if ready && !over { // the end of the follow-up, of which nothing is told
		w.await(apartLatest, func([]byte, bool) bool { return false })
		return
	}
	w.await(w.patience, func([]byte, bool) bool { return false })
}

// deliver sends bytes in the way of the delivery.
func (w *wsPlayer) deliver(b []byte) {
	switch w.d {
	case Split:
		half := len(b) / 2
		w.send(b[:half])
		if half > 0 {
			time.Sleep(pauseOfSplit)
		}
		w.send(b[half:])
	case Bytes:
		for i := range b {
			w.send(b[i : i+1])
		}
	default:
		w.send(b)
	}
}

// cut ends the connection, or the kit's direction of it.
func (w *wsPlayer) cut(how string) {
	if how == "reset" {
		w.ended("reset by the kit")
		_ = w.raw.SetLinger(0)
		w.raw.Close()
		return
	}
	w.ended("half-close by the kit")
	if t, ok := w.conn.(*tls.Conn); ok {
		_ = t.CloseWrite()
	} else {
		_ = w.raw.CloseWrite()
	}
}

// count returns how many there are with an opcode.
func (p *wsParsed) count(op byte) (n int) {
	for _, m := range p.all {
		if m.op == op {
			n++
		}
	}
	return n
}

// over reports whether nothing that comes after this has a meaning.
func (p *wsParsed) over() bool { return p.malformed != "" || p.count(wsClose) > 0 }

func (m wsMessage) followUp() bool {
	return (m.op == wsText || m.op == wsBinary) && string(m.payload) == wsFollowUp
}

func (p *wsParsed) followed() bool { return slices.ContainsFunc(p.all, wsMessage.followUp) }

// told makes parts of an outcome of what has come.
func (w *wsPlayer) told(p wsParsed) (parts []string, followed bool) {
	var pings []string // those that need no response are all but the last
	for _, s := range w.c.script {
		if s.ping != nil {
			pings = append(pings, string(s.ping))
		}
	}
	var pongs []string
	for _, m := range p.all {
		switch {
		case followed && m.op == wsClose: // the end of the follow-up
		case m.op == wsPong:
			if i := slices.Index(pings, string(m.payload)); i < 0 || i == len(pings)-1 {
				pongs = append(pongs, m.short())
			}
		case m.followUp():
			followed = true
			parts = append(parts, wsFollowUp)
		default:
			parts = append(parts, m.short())
		}
	}
	parts = append(pongs, parts...)
	switch {
	case p.malformed != "":
		w.failed = true
		return append(parts, "malformed("+p.malformed+")"), false
	case p.rest:
		return append(parts, "unfinished"), false
	}
	return parts, followed
}
