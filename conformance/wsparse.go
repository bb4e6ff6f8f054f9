package conformance

import (
	"crypto/sha1" //nolint:gosec // the handshake wants it
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// A wsMessage is a message or a control frame that came.
type wsMessage struct {
	op      byte
	payload []byte
}

// wsParsed is what the bytes after a handshake are.
type wsParsed struct {
	all       []wsMessage
	malformed string // why nothing more was parsed
	rest      bool   // a frame or a message is not whole
}

// parseFrames parses frames. Nothing is forgiven: what RFC 6455 does not let an endpoint send is
// malformed.
func parseFrames(b []byte, fromClient bool) (p wsParsed) {
	var message *wsMessage // of which more has to come
	for len(b) > 0 {
		f, rest, err := parseFrame(b, fromClient)
		if err == errMore {
			p.rest = true
			return p
		}
		if err == nil && p.count(wsClose) > 0 {
			err = errors.New("frame-after-close") // section 5.5.1
		}
		if err == nil {
			err = f.check(message != nil)
		}
		if err != nil {
			p.malformed = err.Error()
			return p
		}
		b = rest
		switch {
		case f.op >= wsClose:
			p.all = append(p.all, wsMessage{f.op, f.payload})
			continue
		case f.op == wsContinuation:
			message.payload = append(message.payload, f.payload...)
		default:
			message = &wsMessage{f.op, slices.Clone(f.payload)}
		}
		if !f.fin {
			continue
		}
		if message.op == wsText && !utf8.Valid(message.payload) { // section 5.6
			p.malformed = "utf-8"
			return p
		}
		p.all = append(p.all, *message)
		message = nil
	}
	p.rest = message != nil
	return p
}

// parseFrame takes a frame from the front of b (RFC 6455, section 5.2).
func parseFrame(b []byte, fromClient bool) (f wsFrameSpec, rest []byte, err error) {
	if len(b) < 2 {
		return f, nil, errMore
	}
	f.fin, f.rsv, f.op = b[0]&0x80 != 0, b[0]&0x70, b[0]&0x0F
	f.masked, f.says = b[1]&0x80 != 0, uint64(b[1]&0x7F)
	n, least := 2, uint64(0)
	switch f.says {
	case 126:
		n, least = 4, 126
	case 127:
		n, least = 10, 1<<16
	}
	if f.masked {
		n += 4
	}
	if len(b) < n {
		return f, nil, errMore
	}
	switch least {
	case 126:
		f.says = uint64(binary.BigEndian.Uint16(b[2:]))
	case 1 << 16:
		f.says = binary.BigEndian.Uint64(b[2:])
	}
	switch {
	case f.rsv != 0:
		return f, nil, errors.New("reserved-bits")
	case f.op > wsBinary && f.op < wsClose || f.op > wsPong:
		return f, nil, errors.New("opcode-" + opcodeName(f.op))
	case f.masked && !fromClient: // section 5.1
		return f, nil, errors.New("masked")
	case !f.masked && fromClient:
		return f, nil, errors.New("unmasked")
	case f.says < least || f.says>>63 != 0:
		return f, nil, errors.New("length")
	case f.op >= wsClose && f.says > 125: // section 5.5
		return f, nil, errors.New("control-length")
	case f.op >= wsClose && !f.fin:
		return f, nil, errors.New("control-fragment")
	}
	if uint64(len(b)-n) < f.says {
		return f, nil, errMore
	}
	f.payload = slices.Clone(b[n : n+int(f.says)])
	if f.masked {
		for i := range f.payload {
			f.payload[i] ^= b[n-4+i%4]
		}
	}
	return f, b[n+int(f.says):], nil
}

// check says what is wrong with a frame where it stands: in a message of which more has to come,
// or not.
func (f wsFrameSpec) check(within bool) error {
	switch {
	case f.op == wsContinuation && !within:
		return errors.New("continuation-of-nothing")
	case (f.op == wsText || f.op == wsBinary) && within:
		return errors.New("message-in-a-message")
	case f.op != wsClose || len(f.payload) == 0:
		return nil
	case len(f.payload) == 1:
		return errors.New("close-code")
	}
	code := binary.BigEndian.Uint16(f.payload)
	switch {
	case !mayBeSent(code):
		return fmt.Errorf("close-code-%d", code)
	case !utf8.Valid(f.payload[2:]):
		return errors.New("close-reason")
	}
	return nil
}

// mayBeSent reports whether a close frame may have a code. Of those that nobody has defined RFC 6455
// forbids none, but for the first thousand, and three that stand for what was not sent (section 7.4).
func mayBeSent(code uint16) bool {
	return code >= 1000 && code != 1005 && code != 1006 && code != 1015
}

// short is the part of an outcome that a message is. The reasons of close frames are for people.
func (m wsMessage) short() string {
	switch {
	case m.op == wsClose && len(m.payload) == 0:
		return "close()"
	case m.op == wsClose:
		return fmt.Sprintf("close(%d)", binary.BigEndian.Uint16(m.payload))
	}
	return fmt.Sprintf("%s(%s)", opcodeName(m.op), printableQuoted(toLatin1(m.payload)))
}

// acceptOf is the Sec-WebSocket-Accept of a key (RFC 6455, section 4.2.2).
func acceptOf(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // see above
	return base64.StdEncoding.EncodeToString(sum[:])
}

// listed returns the members of fields that are lists, without parameters.
func listed(values []string) (members []string) {
	for _, v := range values {
		for _, m := range strings.Split(v, ",") {
			m, _, _ = strings.Cut(m, ";")
			if m = strings.TrimSpace(m); m != "" {
				members = append(members, m)
			}
		}
	}
	return members
}

// wrongUpgrade says what is wrong with the response to a handshake that has the status 101
// (RFC 6455, section 4.1), in a word, or "".
func (r *Response) wrongUpgrade(asked []Field) string {
	request := Response{Fields: asked}
	is := func(word string) func(string) bool { return func(s string) bool { return strings.EqualFold(s, word) } }
	accept, key := r.Values("Sec-WebSocket-Accept"), request.Values("Sec-WebSocket-Key")
	protocol := r.Values("Sec-WebSocket-Protocol")
	extensions := listed(request.Values("Sec-WebSocket-Extensions"))
	unasked := func(m string) bool { return !slices.Contains(extensions, m) }
	switch {
	case len(r.Values("Upgrade")) != 1 || !is("websocket")(r.Values("Upgrade")[0]):
		return "upgrade"
	case !slices.ContainsFunc(listed(r.Values("Connection")), is("upgrade")):
		return "connection"
	case len(key) == 1 && !slices.Equal(accept, []string{acceptOf(key[0])}):
		return "accept"
	case len(protocol) > 1 || len(protocol) == 1 && !slices.Contains(listed(request.Values("Sec-WebSocket-Protocol")), protocol[0]):
		return "protocol"
	case slices.ContainsFunc(listed(r.Values("Sec-WebSocket-Extensions")), unasked):
		return "extension"
	}
	return ""
}

// fieldsOf returns the fields of a request, as far as its lines are any.
func fieldsOf(request []byte) (fields []Field) {
	head, _, _ := strings.Cut(toLatin1(request), "\r\n\r\n")
	for _, line := range strings.Split(head, "\r\n")[1:] {
		if name, value, ok := strings.Cut(line, ":"); ok {
			fields = append(fields, Field{name, strings.Trim(value, " \t")})
		}
	}
	return fields
}
