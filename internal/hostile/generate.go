package hostile

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// A Generator makes scripts: from a grammar of what peers send and of what they must not
// send, and from the seeds, changed a little. It is not for several goroutines.
type Generator struct {
	*rand.Rand
	requests, answers []Seed
	rare              int // how much rarer faults are
}

// NewGenerator makes a generator. Equal seeds make equal scripts.
func NewGenerator(seed uint64) *Generator {
	return &Generator{rand.New(rand.NewPCG(seed, seed)), RequestSeeds(), AnswerSeeds(), 1}
}

func (g *Generator) one(of []string) string { return of[g.IntN(len(of))] }

// chance is true once in n times.
func (g *Generator) chance(n int) bool { return g.IntN(n) == 0 }

// fault is chance for what ends a connection.
func (g *Generator) fault(n int) bool { return g.IntN(n*g.rare) == 0 }

var (
	methods  = []string{"GET", "GET", "GET", "POST", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "CONNECT", "PATCH", "TRACE", "M-SEARCH", "get", "G", "G\x00T", "G\xc3T", "PRI", "", "GET\t", "(GET)"}
	targets  = []string{"/raw/collect", "/raw/collect/x", "/raw/stream", "/raw/unread", "/raw/hijack", "/raw/fail", "/static", "/file", "/empty", "/dir", "/dir/", "/dir/file.txt", "/dir/big.bin", "/dir/no", "/dir/%66ile.txt", "/dir/..", "/dir/../file", "/dir/%2e%2e/x", "/dir/a%2fb", "/dir/file.txt/", "/redirect", "/tree", "/tree/a?b", "/tree//x", "/missing", "/read", "/skip", "/half", "/flush", "/trailer", "/large", "/status", "/panic", "/ws", "/", "*", "http://127.0.0.1/static", "http://127.0.0.1", "HTTP://127.0.0.1:80/file", "http://x/static", "https://127.0.0.1:80/", "http://:80/x", "http://[::1/x", "http:///x", "ftp://a/b", "a:1", "x", "/%", "/%4", "/%00", "/static%00/x", "/%zz", "/a b", "/\xc3\xbc", "/?", "/#f", "//", "/\x7f", "/a\tb", "/raw/collect?" + strings.Repeat("q", 300)}
	versions = []string{"HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "http/1.1", "HTTP/1.1 ", "HTTP/01.1", "HTTP/1.", "HTTP/1.10", "", "HTTP/1.1\r", "XTTP/1.1"}
	names    = []string{"X", "X-A", "Accept", "Cookie", "User-Agent", "Upgrade", "Trailer", "TE", "Range", "Via", "x_y", "X Y", "X\t", "", "X\x00", "\xc3", "X:", " X", "\tX", "Sec-WebSocket-Key", "If-Modified-Since", "Authorization", "Host"}
	values   = []string{"", "a", "b, c", "a=b; c=d", " x ", "\tx\t", "\"quoted\"", "\x00", "\x01", "\r", "a\rb", "\xff\xfe", "\x7f", "chunked", "close", "websocket", strings.Repeat("v", 200), strings.Repeat("w", 9000)}
	framings = []string{"Content-Length: %d", "Content-Length: %d", "Content-Length: %d", "Content-Length: 0%d", "Content-Length:%d", "content-length:\t%d", "Content-Length: +%d", "Content-Length: -%d", "Content-Length : %d", " Content-Length: %d", "Content-Length: %d, %[1]d", "Content-Length: %d\r\nContent-Length: %[1]d", "Content-Length: %d\r\nContent-Length: 0", "Content-Length: 0x%x", "Content-Length: %d.0", "Content-Length: %d a", "Content-Length: 1844674407370955%d", "Content-Length: %d\r\nTransfer-Encoding: chunked", "Content-Length\x00: %d", "Content-Length: %d\x00", "X: %d"}
	codings  = []string{"Transfer-Encoding: chunked", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked", "transfer-encoding:Chunked", "Transfer-Encoding: chunked, chunked", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: chunked, identity", "Transfer-Encoding: identity", "Transfer-Encoding: xchunked", "Transfer-Encoding : chunked", " Transfer-Encoding: chunked", "Transfer-Encoding:\x0bchunked", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "Transfer_Encoding: chunked", "Transfer-Encoding:", "Transfer-Encoding: \"chunked\"", "Transfer-Encoding: chunked;q=1"}
	hosts    = []string{"Host: 127.0.0.1", "Host: 127.0.0.1", "Host: 127.0.0.1", "Host: 127.0.0.1", "Host: x", "Host:", "Host: a, b", "Host: a\r\nHost: b", "host: [::1]:80", "Host : a", "Host: a/b", "Host: a b", "Host: [::1", "Host: 127.0.0.1:80:80", "Host: 127.0.0.1:80", "X: y"}
	options  = []string{"Connection: close", "Connection: keep-alive", "Connection: Close", "Connection: keep-alive, close", "Connection: upgrade", "Connection: Content-Length", "Expect: 100-continue", "Expect: 200-ok", "Upgrade: websocket", "Upgrade: h2c"}
	lineEnds = []string{"\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r", "\r\r\n", "\n\n", "", "\r\n\r\n", "\r\n "}
)

// end is the end of a line, nearly always the right one.
func (g *Generator) end() string {
	if g.fault(30) {
		return g.one(lineEnds)
	}
	return "\r\n"
}

// Request makes a script of a client for a door: one to eight requests, most of which are
// as they should be, or a seed that was changed.
func (g *Generator) Request() (door int, script []byte) {
	if g.chance(4) {
		s := g.requests[g.IntN(len(g.requests))]
		return int(s.Kind), g.change([]byte(s.Script), false)
	}
	door = g.IntN(2)
	if g.chance(20) {
		door = TLS // a handshake costs as much as 50 requests
	}
	// Few faults in many requests, or many in few.
	var b strings.Builder
	g.rare = 1
	for range g.IntN(3) {
		g.rare *= 6
	}
	for range 1 + g.IntN(8*g.rare) {
		g.request(&b)
	}
	script = []byte(b.String())
	if g.chance(6) {
		script = g.change(script, g.chance(10))
	}
	return door, script
}

func (g *Generator) request(b *strings.Builder) {
	if g.fault(40) {
		b.WriteString(g.one(lineEnds))
	}
	if g.fault(60) {
		b.WriteString(upgrade("/ws") + Act('w'))
		for range g.IntN(6) {
			g.frame(b, true)
		}
		return
	}
	blank := func() string {
		if g.fault(100) {
			return g.one([]string{"", "  ", "\t", "\r", "\x0b"})
		}
		return " "
	}
	// Most are good but for one thing, or the server would end at the first.
	method, target, version := g.one(methods[:8]), g.one(targets[:33]), "HTTP/1.1"
	switch g.IntN(20 * g.rare) {
	case 0:
		method = g.one(methods)
	case 1:
		target = g.one(targets)
	case 2:
		version = g.one(versions)
	}
	b.WriteString(method + blank() + target + blank() + version + g.end())
	if g.fault(20) {
		b.WriteString(g.one(hosts) + g.end())
	} else {
		b.WriteString("Host: 127.0.0.1\r\n")
	}
	for range g.IntN(4) {
		switch {
		case g.fault(25):
			b.WriteString(g.one(names) + g.one([]string{":", ": ", " :", ""}) + g.one(values) + g.end())
		case g.fault(30):
			b.WriteString(g.one(options) + g.end())
		default:
			b.WriteString(g.one(names[:8]) + ": " + g.one(values[:4]) + "\r\n")
		}
	}
	body, framing := g.body()
	b.WriteString(framing)
	b.WriteString(g.end() + body)
	if g.fault(8) {
		b.WriteString(g.act())
	}
}

// body makes a body and the fields that announce it, "" for none.
func (g *Generator) body() (body, framing string) {
	text := g.one([]string{"", "a", "hello", inner, inner + inner, strings.Repeat("x", 5000), "0\r\n\r\n", "\r\n", "5\r\nhello\r\n0\r\n\r\n"})
	switch g.IntN(6) {
	case 0, 1, 2:
		return "", ""
	case 3:
		var b strings.Builder
		g.chunks(&b, text)
		coding := codings[0]
		if g.fault(8) {
			coding = g.one(codings)
		}
		return b.String(), coding + g.end()
	default:
		n := len(text)
		if g.fault(8) {
			n += g.IntN(20) - 10
		}
		length := framings[0]
		if g.fault(8) {
			length = g.one(framings)
		}
		s := fmt.Sprintf(length, n)
		s, _, _ = strings.Cut(s, "%!(EXTRA")
		return text, s + g.end()
	}
}

// chunks writes a body in chunks, now and then a wrong one.
func (g *Generator) chunks(b *strings.Builder, text string) {
	for len(text) > 0 {
		n := 1 + g.IntN(len(text))
		size := fmt.Sprintf("%x", n)
		if g.fault(15) {
			size = g.one([]string{"", "0x" + size, size + " ", " " + size, size + ";x", size + ";x=y", size + ";\x00", size + ";\r", "-1", "+" + size, "ffffffffffffffff", "fffffffffffffffe", "8000000000000000", "10000000000000001", "00000000000000000000" + size, "7fffffff", "fffffffd", size + "g"})
		}
		b.WriteString(size + g.end() + text[:n])
		text = text[n:]
		b.WriteString(g.end())
	}
	b.WriteString("0" + g.end())
	if g.chance(8) {
		b.WriteString(g.one(names) + ": " + g.one(values) + g.end())
	}
	b.WriteString(g.end())
}

// act is an action.
func (g *Generator) act() string {
	switch g.IntN(12) {
	case 0:
		return Act('p', byte(g.IntN(3)))
	case 1:
		return Act('w')
	case 2:
		if g.chance(4) {
			return Act('h')
		}
	case 3:
		if g.chance(4) {
			return Act('c')
		}
	case 4:
		if g.chance(4) {
			return Act('r')
		}
	}
	return Act('s')
}

// frame writes a WebSocket frame.
func (g *Generator) frame(b *strings.Builder, masked bool) {
	size := []int{0, 1, 5, 125, 126, 127, 1000, 65535, 65536}[g.IntN(9)]
	first := []byte{0x82, 0x82, 0x82, 0x02, 0x80, 0x00, 0x81, 0x89, 0x8a, 0x88, 0x01}[g.IntN(11)]
	if g.chance(15) {
		first = byte(g.Uint32())
	}
	if first&0x08 != 0 && size > 125 && !g.chance(5) {
		size = 2
	}
	second := byte(0)
	if masked != g.chance(30) {
		second = 0x80
	}
	announced := size
	if g.chance(30) {
		announced += g.IntN(9) - 4
	}
	b.WriteByte(first)
	long := g.chance(30)
	switch {
	case announced < 0:
		b.Write([]byte{second | 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	case announced < 126 && !long:
		b.WriteByte(second | byte(announced))
	case announced <= 65535 && !(long && g.chance(2)):
		b.Write([]byte{second | 126, byte(announced >> 8), byte(announced)})
	default:
		b.Write([]byte{second | 127, 0, 0, 0, 0, 0, byte(announced >> 16), byte(announced >> 8), byte(announced)})
	}
	if second != 0 {
		b.Write([]byte{0, 0, 0, 0})
	}
	b.WriteString(strings.Repeat("m", size))
	if g.chance(5) {
		b.WriteString(g.act())
	}
}

var (
	statusLines = []string{"HTTP/1.1 200 OK", "HTTP/1.1 200 OK", "HTTP/1.1 200 OK", "HTTP/1.1 200 OK", "HTTP/1.1 404 Not Found", "HTTP/1.0 200 OK", "HTTP/1.1 204 No Content", "HTTP/1.1 304 Not Modified", "HTTP/1.1 100 Continue", "HTTP/1.1 103 Early Hints", "HTTP/1.1 101 Switching Protocols", "HTTP/1.1 200", "HTTP/1.1 200 ", "HTTP/2 200 OK", "HTTP/1.1 99 X", "HTTP/1.1 1000 X", "HTTP/1.1 -1 X", "HTTP/1.1  200 OK", "http/1.1 200 OK", "ICY 200 OK", "HTTP/1.1 2x0 OK", "", "HTTP/1.1 200 \x00", "HTTP/1.1 500 Broken"}
)

// Answer makes a script of a server for a kind of client.
func (g *Generator) Answer() (kind int, script []byte) {
	if g.chance(4) {
		s := g.answers[g.IntN(len(g.answers))]
		return int(s.Kind), g.change([]byte(s.Script), false)
	}
	kind, g.rare = g.IntN(Clients), 1
	if g.chance(10) {
		kind |= OverTLS
	}
	var b strings.Builder
	if kind&^OverTLS == WebSocket {
		b.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + Act('k') + "\r\n\r\n")
		for range g.IntN(8) {
			g.frame(&b, false)
		}
	} else {
		for range 1 + g.IntN(3) {
			g.response(&b)
		}
	}
	script = []byte(b.String())
	if g.chance(3) {
		script = g.change(script, g.chance(10))
	}
	return kind, script
}

func (g *Generator) response(b *strings.Builder) {
	if g.chance(40) {
		b.WriteString(g.one(lineEnds))
	}
	line := statusLines[0]
	if g.chance(4) {
		line = g.one(statusLines)
	}
	b.WriteString(line + g.end())
	for range g.IntN(4) {
		if g.chance(10) {
			b.WriteString(g.one(names) + g.one([]string{":", ": ", " :", ""}) + g.one(values) + g.end())
		} else {
			b.WriteString(g.one(names[:8]) + ": " + g.one(values[:4]) + "\r\n")
		}
	}
	if g.chance(10) {
		b.WriteString(g.one(options) + g.end())
	}
	body, framing := g.body()
	b.WriteString(framing + g.end() + body)
	b.WriteString(g.one([]string{Act('w'), Act('w'), Act('w'), "", Act('s'), Act('c'), Act('r'), "\r\n" + Act('w')}))
}

// change changes some bytes, or with much thrown in, many.
func (g *Generator) change(script []byte, much bool) []byte {
	n := 1 + g.IntN(3)
	if much {
		n *= 10
	}
	for range n {
		if len(script) == 0 {
			return script
		}
		at := g.IntN(len(script))
		to := min(len(script), at+1+g.IntN(20))
		switch g.IntN(7) {
		case 0:
			script[at] = byte(g.Uint32())
		case 1:
			script[at] ^= 1 << g.IntN(8)
		case 2:
			script = append(script[:at], script[to:]...)
		case 3:
			script = append(script[:to], script[at:]...) // twice
		case 4:
			script = insert(script, at, g.one([]string{"\r\n", "\n", "\r", " ", "\t", "\x00", ":", ",", ";", "0", "\xff", "-", "%", "\r\n\r\n"}))
		case 5:
			script = insert(script, at, g.act())
		case 6:
			script[at] = g.one([]string{" ", "\r", "\n", ":", "\x00", "\t", "/", "*", "0", "9"})[0]
		}
	}
	return script
}

func insert(script []byte, at int, s string) []byte {
	return append(script[:at:at], append([]byte(s), script[at:]...)...)
}
