// Package hostile plays bytes, pauses and abrupt ends of connections against servers and
// clients, and says what the peer may do with them. The fuzz targets of this module, and
// the long run of them (make fuzz-long), are built on it.
package hostile

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"math/rand/v2"
	"net"
	"strings"
	"time"
)

// A script is what one side of a connection does, as bytes that a fuzzer can change and a
// person can read. It is the bytes to send, except that Mark and the letter after it stand
// for an action:
//
//	p N   pause N milliseconds (one byte), 50 at most; see Player.MaxPause
//	t N   pause until about the moment that Player.Moments[N] names, counted from the last write
//	s     begin a new TCP segment
//	w     wait until the peer has sent something, or for Player.Patience
//	h     end the sending direction
//	c     close the connection
//	r     reset the connection
//	x N   repeat the bytes since the last action 2^N times (14 at most)
//	k     the Sec-WebSocket-Accept that answers the request that was received
//
// Everything after h, c or r is ignored.
const Mark = 0xFE

// MaxSent bounds what one script sends, with what it repeats.
const MaxSent = 2 << 20

// Act writes an action: Act('p', 20).
func Act(letter byte, n ...byte) string { return string(append([]byte{Mark, letter}, n...)) }

// A step is an action, or bytes to send.
type step struct {
	letter byte // 0: send
	n      byte
	text   []byte
}

// parse reads a script. Every string is one.
func parse(script []byte) (steps []step) {
	sent := 0
	literal := func(b []byte) {
		if sent+len(b) > MaxSent {
			b = b[:MaxSent-sent]
		}
		if sent += len(b); len(b) > 0 {
			steps = append(steps, step{text: b})
		}
	}
	for len(script) > 0 {
		i := bytes.IndexByte(script, Mark)
		if i < 0 || i+1 >= len(script) {
			literal(script)
			return steps
		}
		run := script[:i]
		letter := script[i+1]
		rest := script[i+2:]
		var n byte
		switch letter {
		case 'p', 't', 'x':
			if len(rest) > 0 {
				n, rest = rest[0], rest[1:]
			}
		case 's', 'w', 'h', 'c', 'r', 'k':
		default: // no action: the two bytes are as they are
			literal(script[:i+2])
			script = rest
			continue
		}
		if letter == 'x' {
			times := 1 << min(n, 14)
			if len(run) > 0 {
				times = min(times, (MaxSent-sent)/len(run)+1)
			}
			literal(bytes.Repeat(run, times))
		} else {
			literal(run)
			steps = append(steps, step{letter: letter, n: n})
		}
		if strings.IndexByte("hcr", letter) >= 0 {
			return steps
		}
		script = rest
	}
	return steps
}

// Sent returns the bytes that a script sends, without its actions, and the letter of the
// action that ends the script: h, c, r or 0.
func Sent(script []byte) (sent []byte, end byte) {
	for _, s := range parse(script) {
		switch s.letter {
		case 0:
			sent = append(sent, s.text...)
		case 'h', 'c', 'r':
			end = s.letter
		}
	}
	return sent, end
}

// keys is how often a script sends a Sec-WebSocket-Accept.
func keys(script []byte) (n int) {
	for _, s := range parse(script) {
		if s.letter == 'k' {
			n++
		}
	}
	return n
}

// A Player plays scripts. The zero value makes all haste.
type Player struct {
	// MaxPause bounds the pauses of one script together. 0 means 50 ms.
	MaxPause time.Duration
	// Patience bounds each wait for the peer. 0 means 50 ms.
	Patience time.Duration
	// Moments are when time-outs of the peer end, counted from the last write. The
	// action t goes for one of them: Jitter is added, and a little noise.
	Moments []time.Duration
	Jitter  time.Duration
	// Received returns what the peer has sent so far, for the actions w and k. nil means
	// that nobody reads.
	Received func() []byte
}

// Play plays a script on a connection. It returns false when that is closed or reset,
// by the script or because the peer takes no more, and true when it can still be read.
func (p *Player) Play(c net.Conn, script []byte) (open bool) {
	pauses := p.MaxPause
	if pauses == 0 {
		pauses = 50 * time.Millisecond
	}
	patience := p.Patience
	if patience == 0 {
		patience = 50 * time.Millisecond
	}
	last := time.Now()
	seen := 0
	for _, s := range parse(script) {
		switch s.letter {
		case 0:
			if _, err := c.Write(s.text); err != nil {
				return true // what the peer has said before it closed may be read
			}
			last = time.Now()
		case 's':
			time.Sleep(200 * time.Microsecond)
		case 'p':
			d := min(time.Duration(s.n)*time.Millisecond, pauses)
			pauses -= d
			time.Sleep(d)
		case 't':
			if len(p.Moments) == 0 {
				continue
			}
			at := p.Moments[int(s.n)%len(p.Moments)] + p.Jitter + time.Duration(rand.IntN(200))*time.Microsecond
			time.Sleep(time.Until(last.Add(at)))
		case 'w':
			if p.Received == nil {
				continue
			}
			for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Microsecond) {
				if n := len(p.Received()); n > seen {
					seen = n
					break
				}
			}
		case 'k':
			if p.Received != nil {
				_, _ = c.Write([]byte(AcceptKey(p.Received())))
			}
		case 'h':
			if half, ok := c.(interface{ CloseWrite() error }); ok {
				_ = half.CloseWrite()
				return true
			}
			return true
		case 'c':
			_ = c.Close()
			return false
		case 'r':
			if over, ok := c.(interface{ NetConn() net.Conn }); ok {
				c = over.NetConn() // TLS would say that this is the end
			}
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			_ = c.Close()
			return false
		}
	}
	return true
}

// AcceptKey is the Sec-WebSocket-Accept for the request in received.
func AcceptKey(received []byte) string {
	const name = "sec-websocket-key:"
	i := bytes.LastIndex(bytes.ToLower(received), []byte(name))
	if i < 0 {
		return ""
	}
	key, _, _ := bytes.Cut(received[i+len(name):], []byte("\r\n"))
	sum := sha1.Sum([]byte(string(bytes.TrimSpace(key)) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
