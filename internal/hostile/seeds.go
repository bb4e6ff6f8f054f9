package hostile

import (
	"fmt"
	"strings"
)

// A Seed is a case to begin with, under the name of what it has shown.
type Seed struct {
	Name   string
	Kind   byte // the door, or the kind of client
	Script string
}

// inner is a whole request as the body of another. Nobody may serve it.
const inner = "GET /raw/collect/smuggled HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

// RequestSeeds are scripts of clients. The first letters are those of the lists of faults.
func RequestSeeds() (all []Seed) {
	host := "Host: 127.0.0.1\r\n"
	add := func(name, script string, doors ...byte) {
		if len(doors) == 0 {
			doors = []byte{Raw, Both}
		}
		for _, door := range doors {
			all = append(all, Seed{fmt.Sprintf("%s-%d", name, door), door, script})
		}
	}
	// what is right
	add("good", "GET /raw/collect HTTP/1.1\r\n"+host+"\r\n"+"POST /raw/stream HTTP/1.1\r\n"+host+"Content-Length: 5\r\n\r\nhello"+"GET /static HTTP/1.1\r\n"+host+"\r\n", Raw, Both, TLS)
	add("chunked", "POST /read HTTP/1.1\r\n"+host+"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\nGET /x HTTP/1.1\r\n"+host+"\r\n", Raw, Both, TLS)
	for _, path := range []string{"/static", "/file", "/empty", "/dir/file.txt", "/dir/", "/dir/empty.txt?x=1", "/redirect", "/tree/of/it?q", "/raw/unread", "/raw/stream", "/raw/fail", "/raw/hijack", "/missing", "/flush", "/trailer", "/large", "/status", "/skip", "/half", "/panic", "/hijack"} {
		name := "path" + strings.ReplaceAll(strings.ReplaceAll(path, "/", "-"), "?", "-")
		add(name, "GET "+path+" HTTP/1.1\r\n"+host+"\r\nHEAD "+path+" HTTP/1.1\r\n"+host+"\r\nPOST "+path+" HTTP/1.1\r\n"+host+"Content-Length: 57\r\n\r\n"+inner+"DELETE "+path+" HTTP/1.0\r\n\r\n")
	}
	add("expect", "POST /raw/collect HTTP/1.1\r\n"+host+"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"+Act('w')+"hello")
	add("segments", "GET /x"+Act('s')+"y HTTP/1.1\r"+Act('s')+"\nHost: a\r\n"+Act('s')+"\r\n"+Act('s')+"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	add("websocket", upgrade("/ws")+Act('w')+"\x81\x85\x00\x00\x00\x00hello"+"\x89\x80\x00\x00\x00\x00"+"\x88\x82\x00\x00\x00\x00\x03\xe8")
	add("half-close", "GET /x HTTP/1.1\r\n"+host+"\r\n"+Act('h'))
	add("reset", "POST /x HTTP/1.1\r\n"+host+"Content-Length: 100\r\n\r\nabc"+Act('p', 2)+Act('r'))
	add("http-1-0", "GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /y HTTP/1.0\r\n\r\n")

	// framing that nng decides by exact names, and its own answers that stay (A2, A3)
	for i, field := range []string{
		"Content-Length : 58", " Content-Length: 58", "\tContent-Length: 58", "Content-Length: +58", "Content-Length: -1", "Content-Length: 58, 58",
		"Content-Length: 58\r\nContent-Length: 58", "Content-Length: 18446744073709551674", "Content-Length: 0x3a", "Content-Length:", "content-length: 5 8",
		"Transfer-Encoding : chunked", " Transfer-Encoding: chunked", "Transfer Encoding: chunked", "\x7fTransfer-Encoding: chunked",
		"Transfer-Encoding: chunked\r\nContent-Length: 58", "Transfer-Encoding: xchunked", "Transfer-Encoding: chunked, identity", "Transfer-Encoding: identity",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "Transfer-Encoding:\tchunked", "X: y\r\n folded: z", ": empty", "no colon", "X: a\x00b", "X: a\rb",
		"Host: other", "Host: a b", "Host: a/b", "Host:", "Connection: close, Content-Length", "Expect: 100-continue\r\nContent-Length: 58",
	} {
		for j, line := range []string{"POST * HTTP/1.1", "GET * HTTP/1.1", "POST /static HTTP/1.1", "POST /raw/stream HTTP/1.1", "POST /raw/collect HTTP/1.1", "POST /read HTTP/1.1"} {
			if i > 2 && j != i%6 {
				continue // all with all for the first three, one of each for the rest
			}
			add(fmt.Sprintf("a2-a3-%d-%d", i, j), line+"\r\n"+host+field+"\r\n\r\n"+inner)
			if i == 0 {
				add(fmt.Sprintf("a2-no-host-%d", j), line+"\r\n"+field+"\r\n\r\n"+inner)
			}
		}
	}
	add("a3-other-host", "GET http://b/raw/collect HTTP/1.1\r\nHost: a\r\n\r\n")
	add("a3-other-host-old", "GET http://b/raw/collect HTTP/1.0\r\n\r\n")
	add("a3-nul", "GET /raw/collect%00/x HTTP/1.1\r\nHost: a\r\n\r\n")
	add("a3-two-hosts", "GET /raw/collect HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
	add("a11-cookies", "GET /raw/collect HTTP/1.1\r\n"+host+"Cookie: a=b, c=d; e=f\r\n\r\n")
	add("a10-redirect", "GET /.evil.example/ HTTP/1.1\r\n"+host+"\r\nGET /tree/../.evil.example HTTP/1.1\r\n"+host+"\r\nGET /tree/%0d%0aX:%20y HTTP/1.1\r\n"+host+"\r\n")
	add("p24-directory", "GET /dir/../../../etc/hostname HTTP/1.1\r\n"+host+"\r\nGET /dir/%2e%2e/%2e%2e/etc/hostname HTTP/1.1\r\n"+host+"\r\nGET /dir/..%2f..%2fetc%2fhostname HTTP/1.1\r\n"+host+"\r\n")
	// heads that cost much (A4)
	add("a4-many-fields", "GET /x HTTP/1.1\r\n"+host+Act('s')+"X:b\r\n"+Act('x', 10)+"\r\n")
	add("a4-long-line", "GET /x HTTP/1.1\r\n"+host+"X: "+Act('s')+"bbbbbbbb"+Act('x', 12)+"\r\n"+Act('s')+"X:b\r\n"+Act('x', 9)+"\r\n")
	add("a4-long-target", "GET /"+Act('s')+"a"+Act('x', 14)+" HTTP/1.1\r\n"+host+"\r\n")
	// what is no request (A0, P8, P10, E2)
	for i, line := range []string{"GARBAGE", "", "GET", "GET /", "GET  / HTTP/1.1", "GET / HTTP/1.1 x", " GET / HTTP/1.1", "GET / HTTP/2.0", "GET / HTTP/0.9", "GET / HTTP/1", "GET / http/1.1", "GET /pa th HTTP/1.1", "GET / HTTP/01.01", "PRI * HTTP/2.0", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "G\x00T / HTTP/1.1", "GET /%41 HTTP/1.1", "GET /% HTTP/1.1", "GET /%4 HTTP/1.1", "GET http://a/b HTTP/1.1", "GET a.b:80 HTTP/1.1", "CONNECT a:1 HTTP/1.1", "OPTIONS * HTTP/1.1", "GET //x HTTP/1.1", "GET /x#y HTTP/1.1", "GET /\xc3\xbc HTTP/1.1", "GET ? HTTP/1.1"} {
		add(fmt.Sprintf("line-%d", i), line+"\r\n"+host+"\r\n"+inner, Raw, Both)
	}
	add("p8-empty-lines", "\r\n\r\nGET /x HTTP/1.1\r\n"+host+"\r\n\r\n\r\nGET /y HTTP/1.1\r\n"+host+"\r\n")
	add("bare-lf", "GET /raw/collect HTTP/1.1\nHost: a\n\nGET /raw/collect HTTP/1.1\nHost: a\nContent-Length: 3\n\nabc")
	// chunk lines (E3)
	for i, body := range []string{"5;\r\nhello\r\n0\r\n\r\n", "5;bad[=x\r\nhello\r\n0\r\n\r\n", "5;x=\x01\r\nhello\r\n0\r\n\r\n", "ffffffffffffffff\r\nhello\r\n0\r\n\r\n", "5 \r\nhello\r\n0\r\n\r\n", "-5\r\nhello\r\n0\r\n\r\n", "5\r\nhelloX\r\n0\r\n\r\n", "5\nhello\n0\n\n", "0x5\r\nhello\r\n0\r\n\r\n", "5\r\nhello\r\n0\r\nContent-Length: 3\r\n\r\n", "0\r\nbad trailer\r\n\r\n", "5\r\nhel" + Act('h'), "\r\nhello\r\n0\r\n\r\n"} {
		add(fmt.Sprintf("e3-chunks-%d", i), "POST /read HTTP/1.1\r\n"+host+"Transfer-Encoding: chunked\r\n\r\n"+body+inner, Both)
	}
	// WebSockets (A6, A17, E8)
	for i, frames := range []string{
		"\x02\x80\x00\x00\x00\x00" + Act('s') + "\x00\x80\x00\x00\x00\x00" + Act('x', 12),
		Act('s') + "\x89\x80\x00\x00\x00\x00" + Act('x', 10),
		"\x88\x82\x00\x00\x00\x00\x03\xed", "\x88\x81\x00\x00\x00\x00\x03", "\x88\x80\x00\x00\x00\x00\x88\x80\x00\x00\x00\x00",
		"\xf1\x85\x00\x00\x00\x00hello", "\x81\x05hello", "\x83\x85\x00\x00\x00\x00hello", "\x09\x80\x00\x00\x00\x00", "\x89\xfe\x00\x7e\x00\x00\x00\x00",
		"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", "\x82\xff\x00\x00\x00\x00\x00\x01\x00\x01\x00\x00\x00\x00", "\x80\x85\x00\x00\x00\x00hello", "\x02\x85\x00\x00\x00\x00hello\x82\x85\x00\x00\x00\x00hello", "\x82\xfe\x00\x05\x00\x00\x00\x00hello",
		"\x82\xfe\x80\x01\x00\x00\x00\x00" + Act('s') + "x" + Act('x', 14),
	} {
		add(fmt.Sprintf("ws-%d", i), upgrade("/ws")+Act('w')+frames, Raw)
	}
	add("ws-no-key", strings.Replace(upgrade("/ws"), "Sec-WebSocket-Key", "X", 1)+inner)
	add("ws-version-8", strings.Replace(upgrade("/ws"), "Version: 13", "Version: 8", 1)+inner)
	add("w7-words", strings.Replace(upgrade("/ws"), "Connection: Upgrade", "Connection: keep-alive,upgrade", 1))
	add("tls-garbage", "GARBAGE\r\n\r\n", Garbled)
	add("tls-record", "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03"+Act('w')+"\x15\x03\x01\x00\x02\x02\x00"+Act('h'), Garbled)
	add("folded-trailer", "POST /read HTTP/1.1\r\n"+host+"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nContent-Length:\r\n 3\r\n\r\n"+inner, Both)
	add("kelvin-sign", "POST /read HTTP/1.1\r\n"+host+"Transfer-Encoding: chun\u212aed\r\n\r\n0\r\n\r\n"+inner, Both)
	return all
}

func upgrade(path string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
}

// TimeSeeds are scripts of clients that close, reset or speak at the moment of a time-out.
func TimeSeeds() (all []Seed) {
	ends := [][2]string{{"close", Act('c')}, {"reset", Act('r')}, {"half", Act('h')}, {"speak", "GET / HTTP/1.1\r\n" + Act('p', 3) + "\r\n"}}
	for i, start := range [][2]string{
		{"a0-garbage", "GARBAGE\r\n\r\n"},
		{"unread", "POST /missing HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\nabc"},
		{"half-head", "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX"},
		{"idle", "GET /raw/collect HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"},
		{"half-body", "POST /raw/collect HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\nabc"},
		{"skipped", "POST /skip HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10000000\r\n\r\nabc"},
		{"websocket", upgrade("/ws") + "\x88\x82\x00\x00\x00\x00\x03\xe8"},
		{"silent", ""},
	} {
		for j, end := range ends {
			if i > 0 && (i+j)%2 == 0 {
				continue // every second one: each takes more than half a second
			}
			door := byte((i + j) % 3)
			all = append(all, Seed{fmt.Sprintf("%s-%s-%d", start[0], end[0], door), door, start[1] + Act('t', 0) + end[1]})
		}
	}
	return all
}

// AnswerSeeds are scripts of servers, for each kind of client.
func AnswerSeeds() (all []Seed) {
	const ok = "HTTP/1.1 200 OK\r\n"
	const more = "HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nwrong"
	n := 0
	add := func(name, script string) {
		for _, kind := range []byte{ClientTransact, ConnTransact, Transport, ReadRes} {
			if n++; n%7 == 0 {
				kind |= OverTLS
			}
			all = append(all, Seed{fmt.Sprintf("%s-%d", name, kind), kind, script})
		}
	}
	add("length", ok+"Content-Length: 5\r\n\r\nhello"+Act('w')+more)
	add("chunked", ok+"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"+Act('w')+more)
	add("until-end", ok+"\r\nhello"+Act('c'))
	add("b2-reset", ok+"\r\nhello"+Act('p', 5)+Act('r'))
	add("reset", ok+"Content-Length: 5\r\n\r\nhe"+Act('r'))
	add("nothing", Act('c'))
	add("silence", Act('p', 50))
	add("c1-empty-line", "\r\n"+ok+"Content-Length: 5\r\n\r\nhello"+Act('w')+more)
	add("c2-crlf", ok+"Content-Length: 5\r\n\r\nhello\r\n"+Act('w')+more)
	add("c3-early-hints", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"+ok+"Content-Length: 5\r\n\r\nhello"+Act('w')+more)
	add("c4-folded", ok+"X: a\r\n b\r\nContent-Length: 5\r\n\r\nhello")
	add("c4-no-reason", "HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello")
	add("c5-304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"+Act('w')+more)
	add("c6-chunked", ok+"Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
	for i, size := range []string{"ffffffffffffffff", "fffffffffffffffe", "7fffffffffffffff", "10000000000000005", "-1", "5x", " 5", "", "0x5", "fffffffd", "80000000"} {
		add(fmt.Sprintf("a18-cl1-chunk-%d", i), ok+"Transfer-Encoding: chunked\r\n\r\n"+size+"\r\n\nhello\r\n0\r\n\r\n"+Act('p', 5))
	}
	add("cl2-empty-chunked", ok+"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"+Act('w')+more)
	for i, length := range []string{"5, 5", "5x", "+5", "-5", "", "5\r\nContent-Length: 6", "5\r\nContent-Length: 5", "18446744073709551621", "4294967301", "9223372036854775807", "5\r\nTransfer-Encoding: chunked", "1000000000"} {
		add(fmt.Sprintf("cl8-length-%d", i), ok+"Content-Length: "+length+"\r\n\r\nhello"+Act('w')+more)
	}
	add("a7-endless-body", ok+"\r\n"+Act('s')+"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"+Act('x', 14))
	add("a7-endless-chunks", ok+"Transfer-Encoding: chunked\r\n\r\n"+Act('s')+"1\r\nx\r\n"+Act('x', 14))
	add("a7-endless-head", ok+Act('s')+"X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n"+Act('x', 14))
	add("a7-endless-line", ok+"X: "+Act('s')+"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"+Act('x', 14))
	add("a7-endless-1xx", "HTTP/1.1 100 Continue\r\n\r\n"+Act('x', 14))
	for i, line := range []string{"HTTP/1.1 200 OK", "HTTP/1.0 200 OK", "HTTP/2 200 OK", "HTTP/1.1 99 X", "HTTP/1.1 1000 X", "HTTP/1.1 -20 X", "HTTP/1.1 2 X", "HTTP/1.1  200 OK", "http/1.1 200 ok", "ICY 200 OK", "GARBAGE", "HTTP/1.1", "HTTP/1.1 200 O\x00K", "HTTP/1.1 204 No", "HTTP/1.1 101 Switching", "HTTP/1.1 200 \xff"} {
		add(fmt.Sprintf("line-%d", i), line+"\r\nContent-Length: 5\r\n\r\nhello"+Act('w')+more)
	}
	for i, field := range []string{"X : y", ": y", "X", "X: a\x00b", "X: a\rb", "X Y: z", "Content-Length : 3", "Transfer-Encoding : chunked", "Transfer-Encoding: gzip", "Transfer-Encoding: chunked, chunked", "Transfer-Encoding: xchunked", "Connection: close", "Set-Cookie: a=b\r\nSet-Cookie: c=d"} {
		add(fmt.Sprintf("field-%d", i), ok+field+"\r\nContent-Length: 5\r\n\r\nhello"+Act('w')+more)
	}
	add("segments", "HTTP/1.1 20"+Act('s')+"0 OK\r"+Act('s')+"\nContent-Length: 5\r\n\r"+Act('s')+"\nhe"+Act('s')+"llo")
	add("bare-lf", "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello")

	const accepted = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
	for i, script := range []string{
		accepted + Act('k') + "\r\n\r\n\x82\x05hello\x02\x02he\x80\x03llo\x89\x00\x88\x02\x03\xe8",
		accepted + "wrong\r\n\r\n\x82\x05hello",
		accepted + Act('k') + "\r\n\r\n\x82\x85\x00\x00\x00\x00hello",
		accepted + Act('k') + "\r\n\r\n\x81\x05hello\x82\x05hello",
		accepted + Act('k') + "\r\n\r\n\xf2\x05hello",
		accepted + Act('k') + "\r\n\r\n\x02\x00" + Act('s') + "\x00\x00" + Act('x', 13),
		accepted + Act('k') + "\r\n\r\n" + Act('s') + "\x89\x00" + Act('x', 13),
		accepted + Act('k') + "\r\n\r\n\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff",
		accepted + Act('k') + "\r\n\r\n\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x01",
		accepted + Act('k') + "\r\n\r\n\x82\x7e\x00\x05hello\x80\x00",
		accepted + Act('k') + "\r\n\r\n\x82\x05he" + Act('r'),
		strings.Replace(accepted, "Connection: Upgrade", "Connection: Keep-Alive, Upgrade", 1) + Act('k') + "\r\n\r\n\x82\x05hello",
		"HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 101 X\r\n\r\n", "GARBAGE\r\n\r\n", Act('c'), Act('p', 50) + Act('r'),
		ok + "X: " + Act('s') + "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy" + Act('x', 14),
	} {
		kind := byte(WebSocket)
		if i%4 == 3 {
			kind |= OverTLS
		}
		all = append(all, Seed{fmt.Sprintf("ws-%d", i), kind, script})
	}
	add("length-twice", ok+"Content-Length: 5, 05\r\n\r\nhello"+Act('w')+more)
	add("kelvin-sign", ok+"Transfer-Encoding: chun\u212aed\r\n\r\n5\r\nhello\r\n0\r\n\r\n"+Act('w')+more)
	return all
}

// AnswerTimeSeeds are scripts of servers that close, reset or speak at the moment at which
// the client gives up: moment 0 is that of its context, 1 the 2 s that nng gives a dialer.
func AnswerTimeSeeds() (all []Seed) {
	const ok = "HTTP/1.1 200 OK\r\n"
	half := ok + "Content-Length: 100\r\n\r\nabc"
	for i, script := range []string{
		Act('t', 0) + Act('c'), Act('t', 0) + Act('r'), Act('t', 0) + half, half + Act('t', 0) + Act('c'), half + Act('t', 0) + Act('r'), half + Act('r'), ok + "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
		ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n" + Act('t', 0) + "zz\r\n", ok + "\r\nabc" + Act('t', 0) + Act('h'), ok + "Content-Length: 3\r\n\r\nab" + Act('t', 0) + "c",
	} {
		for j, kind := range []byte{ClientTransact, ConnTransact, Transport, WebSocket} {
			if (i+j)%3 == 2 {
				kind |= OverTLS
			}
			all = append(all, Seed{fmt.Sprintf("give-up-%d-%d", i, kind), kind, script})
		}
	}
	for end, act := range map[string]string{"close": Act('c'), "reset": Act('r'), "speak": ok + "\r\n"} {
		all = append(all, Seed{"a0b-dial-" + end, WebSocket, Act('t', 1) + act})
	}
	return all
}
