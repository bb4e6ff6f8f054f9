package conformance_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"github.com/gonng/nnghttp/conformance"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A wsPeer is an endpoint of WebSocket that echoes, and has the fault that it is given, or none.
type wsPeer struct {
	conn     net.Conn
	r        *bufio.Reader
	server   bool
	binary   bool // text is refused
	fault    string
	messages []conformance.Message
}

const (
	protocolError = 1002
	badType       = 1003
	badText       = 1007
	tooBig        = 1009
)

// echo echoes messages until the connection ends.
func (p *wsPeer) echo() {
	defer p.conn.Close()
	if code := p.read(); code != 0 {
		p.send(ws.OpClose, binary.BigEndian.AppendUint16(nil, code))
	}
}

func (p *wsPeer) send(op ws.OpCode, payload []byte) {
	f := ws.NewFrame(op, true, bytes.Clone(payload))
	if !p.server && p.fault != "sends unmasked" {
		f = ws.MaskFrame(f)
	} else if p.fault == "sends masked" {
		f = ws.MaskFrame(f)
	}
	if p.fault == "sends a reserved bit" {
		f.Header.Rsv = 4
	}
	if p.fault == "length off by one" && len(payload) == 126 {
		f.Payload = f.Payload[:125]
		f.Header.Length = 125
	}
	_ = ws.WriteFrame(p.conn, f)
}

// read returns the code to close with, 0 for none.
func (p *wsPeer) read() uint16 {
	var message []byte
	var op ws.OpCode // of the message of which more has to come
	for {
		h, err := ws.ReadHeader(p.r)
		switch {
		case errors.Is(err, ws.ErrHeaderLengthMSB):
			return tooBig
		case err != nil:
			return 0
		case h.Length > 1<<20 || h.Length+int64(len(message)) > 1<<20:
			return tooBig
		}
		payload := make([]byte, h.Length)
		if _, err := io.ReadFull(p.r, payload); err != nil {
			return 0
		}
		if h.Masked {
			ws.Cipher(payload, h.Mask, 0)
		}
		switch {
		case h.Masked != p.server && p.fault != "takes unmasked" && p.fault != "takes masked":
			return protocolError
		case h.Rsv != 0 && p.fault != "takes reserved bits":
			return protocolError
		case h.OpCode.IsReserved() && p.fault == "ignores reserved opcodes":
			continue
		case h.OpCode.IsReserved():
			return protocolError
		case h.OpCode.IsControl() && h.Length > 125 && p.fault != "takes long control frames":
			return protocolError
		case h.OpCode.IsControl() && !h.Fin && p.fault != "takes fragments of control frames":
			return protocolError
		case h.OpCode.IsControl():
			if code, over := p.control(h.OpCode, payload); over {
				return code
			}
			continue
		case h.OpCode == ws.OpContinuation && op == 0 && p.fault == "takes a continuation of nothing":
			op = ws.OpText
		case h.OpCode == ws.OpContinuation && op == 0:
			return protocolError
		case h.OpCode != ws.OpContinuation && op != 0 && p.fault != "takes a message in a message":
			return protocolError
		}
		if h.OpCode != ws.OpContinuation {
			op = h.OpCode
		}
		switch p.fault {
		case "turns fragments round":
			message = append(payload, message...)
		case "forgets the first fragment":
			message = payload
		default:
			message = append(message, payload...)
		}
		if !h.Fin {
			continue
		}
		switch {
		case op == ws.OpText && p.binary:
			return badType
		case op == ws.OpText && !utf8.Valid(message) && p.fault != "takes invalid UTF-8":
			return badText
		}
		kind := "text"
		if op == ws.OpBinary {
			kind = "binary"
		}
		p.messages = append(p.messages, conformance.NewMessage(kind, message))
		if p.fault == "changes the type" {
			op = ws.OpText + ws.OpBinary - op
		}
		if p.fault != "loses empty messages" || len(message) > 0 {
			p.send(op, message)
		}
		message, op = nil, 0
	}
}

// control says whether the connection is over, and with which code.
func (p *wsPeer) control(op ws.OpCode, payload []byte) (code uint16, over bool) {
	switch {
	case op == ws.OpPing && p.fault == "changes the payload of a pong":
		p.send(ws.OpPong, append(payload, '!'))
	case op == ws.OpPing && p.fault != "sends no pong":
		p.send(ws.OpPong, payload)
	case op == ws.OpPong && p.fault == "responds to a pong":
		p.send(ws.OpPong, payload)
	case op != ws.OpClose:
	case p.fault == "does not respond to a close frame":
		return 0, true
	case p.fault == "goes on after a close frame":
		p.send(ws.OpClose, payload)
	case p.fault == "stays after a close frame":
		p.send(ws.OpClose, payload)
		_, _ = io.Copy(io.Discard, p.conn)
		return 0, true
	case len(payload) == 0:
		return 1000, true
	case p.fault == "echoes each code":
		p.send(ws.OpClose, payload)
		return 0, true
	case len(payload) == 1:
		return protocolError, true
	default:
		code := binary.BigEndian.Uint16(payload)
		if code < 1000 || code == 1005 || code == 1006 || code == 1015 || !utf8.Valid(payload[2:]) {
			return protocolError, true
		}
		return code, true
	}
	return 0, false
}

// wsServer serves the WebSocket routes, with a fault.
func wsServer(t *testing.T, fault string) *conformance.Server {
	contract := conformance.Handler()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/ws") {
			contract.ServeHTTP(w, r)
			return
		}
		key := r.Header["Sec-Websocket-Key"]
		nonce, err := base64.StdEncoding.DecodeString(strings.Join(key, ","))
		version := r.Header["Sec-Websocket-Version"]
		switch {
		case r.Method != http.MethodGet || r.ContentLength != 0 || !has(r.Header, "Upgrade", "websocket") || !has(r.Header, "Connection", "upgrade"):
			http.Error(w, "no handshake", http.StatusBadRequest)
			return
		case (err != nil || len(nonce) != 16) && fault != "takes any key":
			http.Error(w, "bad key", http.StatusBadRequest)
			return
		case !slices.Equal(version, []string{"13"}) && fault != "takes any version":
			w.Header().Set("Sec-WebSocket-Version", "13")
			http.Error(w, "another version", http.StatusUpgradeRequired)
			return
		}
		sum := acceptOf(strings.Join(key, ""))
		if fault == "accepts another key" {
			sum = acceptOf("AQIDBAUGBwgJCgsMDQ4PEA==")
		}
		head := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + sum + "\r\n"
		if fault == "takes any sub-protocol" && r.Header.Get("Sec-WebSocket-Protocol") != "" || r.URL.Path == "/ws/chat" && has(r.Header, "Sec-WebSocket-Protocol", "chat") {
			name, _, _ := strings.Cut(r.Header.Get("Sec-WebSocket-Protocol"), ",")
			if r.URL.Path == "/ws/chat" {
				name = "chat"
			}
			head += "Sec-WebSocket-Protocol: " + name + "\r\n"
		}
		if fault == "takes any extension" && r.Header.Get("Sec-WebSocket-Extensions") != "" {
			head += "Sec-WebSocket-Extensions: " + r.Header.Get("Sec-WebSocket-Extensions") + "\r\n"
		}
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, head+"\r\n")
		(&wsPeer{conn: conn, r: rw.Reader, server: true, binary: r.URL.Path == "/ws/binary", fault: fault}).echo()
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	t.Cleanup(s.Close)
	return &conformance.Server{URL: s.URL, WebSocket: true, Patience: 2 * time.Second}
}

func has(h http.Header, name, word string) bool {
	for _, v := range h.Values(name) {
		for _, w := range strings.Split(v, ",") {
			if strings.EqualFold(strings.TrimSpace(w), word) {
				return true
			}
		}
	}
	return false
}

// acceptOf is what gobwas/ws makes of a key.
func acceptOf(key string) string {
	var b bytes.Buffer
	u := ws.Upgrader{}
	if len(key) != 24 {
		return "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
	}
	_, _ = u.Upgrade(struct {
		io.Reader
		io.Writer
	}{strings.NewReader("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + "\r\n\r\n"), &b})
	res, err := http.ReadResponse(bufio.NewReader(&b), nil)
	if err != nil {
		return ""
	}
	return res.Header.Get("Sec-WebSocket-Accept")
}

// wsClient is a client with a fault.
func wsClient(fault string) *conformance.Client {
	f := func(ctx context.Context, _, rawURL string) *conformance.Reply {
		p, err := dialWS(ctx, rawURL, fault)
		if err != nil {
			return &conformance.Reply{Error: err.Error()}
		}
		p.echo()
		if fault == "tells another message" && len(p.messages) > 0 {
			p.messages[0].Data += "!"
		}
		return &conformance.Reply{Messages: p.messages}
	}
	return &conformance.Client{Func: f, WebSocket: true, Patience: time.Second}
}

func dialWS(ctx context.Context, rawURL, fault string) (*wsPeer, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return nil, err
	}
	key, protocol := "AQIDBAUGBwgJCgsMDQ4PEA==", ""
	if fault == "sends a short key" {
		key = "AQIDBA=="
	}
	if u.Path == "/ws/chat" {
		protocol = "Sec-WebSocket-Protocol: chat\r\n"
	}
	_, _ = io.WriteString(conn, "GET "+u.RequestURI()+" HTTP/1.1\r\nHost: "+u.Host+"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: "+key+"\r\nSec-WebSocket-Version: 13\r\n"+protocol+"\r\n")
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, nil)
	switch {
	case err != nil:
	case res.StatusCode != 101 && fault != "takes any status":
		err = errors.New(res.Status)
	case res.Header.Get("Sec-WebSocket-Accept") != acceptOf(key) && fault != "takes any accept":
		err = errors.New("accept")
	case !has(res.Header, "Upgrade", "websocket") || !has(res.Header, "Connection", "upgrade"):
		err = errors.New("upgrade")
	case len(res.Header["Sec-Websocket-Extensions"]) > 0:
		err = errors.New("extension")
	case fault != "takes any sub-protocol" && len(res.Header["Sec-Websocket-Protocol"]) > 0 && (protocol == "" || res.Header.Get("Sec-WebSocket-Protocol") != "chat"):
		err = errors.New("sub-protocol")
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return &wsPeer{conn: conn, r: r, binary: u.Path == "/ws/binary", fault: fault}, nil
}

// Each planted fault of a WebSocket server is found by the case that names it.
func TestPlantedWebSocketServerFaults(t *testing.T) {
	for fault, id := range map[string]string{
		"sends masked":                      "ws-messages/text",
		"sends a reserved bit":              "ws-messages/text",
		"length off by one":                 "ws-messages/text-of-126",
		"takes unmasked":                    "ws-frames/unmasked-text",
		"takes reserved bits":               "ws-frames/rsv1",
		"ignores reserved opcodes":          "ws-frames/opcode-3",
		"takes long control frames":         "ws-control/pong-of-126",
		"takes fragments of control frames": "ws-control/ping-without-fin",
		"takes a continuation of nothing":   "ws-frames/continuation-of-nothing",
		"takes a message in a message":      "ws-frames/message-in-a-message",
		"turns fragments round":             "ws-messages/two-fragments",
		"forgets the first fragment":        "ws-messages/three-fragments",
		"takes invalid UTF-8":               "ws-utf8/byte-ff",
		"changes the type":                  "ws-messages/binary",
		"loses empty messages":              "ws-messages/empty-text",
		"changes the payload of a pong":     "ws-control/ping",
		"sends no pong":                     "ws-control/empty-ping",
		"responds to a pong":                "ws-control/pong",
		"does not respond to a close frame": "ws-close/normal",
		"goes on after a close frame":       "ws-close/message-after-close",
		"echoes each code":                  "ws-close/code-1005",
		"takes any key":                     "ws-handshake/short-key",
		"takes any version":                 "ws-handshake/version-7",
		"accepts another key":               "ws-handshake/as-it-should-be",
		"takes any sub-protocol":            "ws-handshake/protocol-nobody-knows",
		"takes any extension":               "ws-handshake/extension-nobody-knows",
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			for _, x := range []struct {
				fault string
				want  conformance.Verdict
			}{{"", conformance.Allowed}, {fault, conformance.Forbidden}} {
				rep, err := conformance.Run{Cases: cases(t, id), Server: wsServer(t, x.fault)}.Do(t.Context())
				require.NoError(t, err)
				require.Len(t, rep.Cases, 1)
				assert.Equal(t, x.want, rep.Cases[0].Verdict, "%q: %s", x.fault, rep.Cases[0].Answer())
			}
		})
	}
}

// The same of a client.
func TestPlantedWebSocketClientFaults(t *testing.T) {
	for fault, id := range map[string]string{
		"sends unmasked":                    "ws-client-messages/text",
		"sends a reserved bit":              "ws-client-messages/text",
		"length off by one":                 "ws-client-messages/text-of-126",
		"takes masked":                      "ws-client-frames/masked-text",
		"takes reserved bits":               "ws-client-frames/rsv1",
		"ignores reserved opcodes":          "ws-client-frames/opcode-3",
		"takes long control frames":         "ws-client-frames/pong-of-126",
		"takes fragments of control frames": "ws-client-frames/ping-without-fin",
		"takes a message in a message":      "ws-client-frames/message-in-a-message",
		"turns fragments round":             "ws-client-messages/two-fragments",
		"takes invalid UTF-8":               "ws-client-messages/invalid-utf-8",
		"changes the payload of a pong":     "ws-client-messages/ping",
		"does not respond to a close frame": "ws-client-close/normal",
		"goes on after a close frame":       "ws-client-close/message-after-close",
		"echoes each code":                  "ws-client-close/code-1006",
		"sends a short key":                 "ws-client-handshake/as-it-should-be",
		"takes any status":                  "ws-client-handshake/status-200",
		"takes any accept":                  "ws-client-handshake/no-accept",
		"takes any sub-protocol":            "ws-client-handshake/protocol-not-asked-for",
		"tells another message":             "ws-client-messages/text",
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			for _, x := range []struct {
				fault string
				want  conformance.Verdict
			}{{"", conformance.Allowed}, {fault, conformance.Forbidden}} {
				rep, err := conformance.Run{Cases: cases(t, id), Client: wsClient(x.fault)}.Do(t.Context())
				require.NoError(t, err)
				require.Len(t, rep.Cases, 1)
				assert.Equal(t, x.want, rep.Cases[0].Verdict, "%q: %s", x.fault, rep.Cases[0].Answer())
			}
		})
	}
}

// A server that stays after the closing handshake is told apart from one that says nothing.
func TestWebSocketServerStays(t *testing.T) {
	s := wsServer(t, "stays after a close frame")
	s.Patience = 200 * time.Millisecond
	rep, err := conformance.Run{Cases: cases(t, "ws-close/normal"), Deliveries: []conformance.Delivery{conformance.One}, Server: s}.Do(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "101, close(1000), open", rep.Cases[0].Answer())
	assert.Equal(t, conformance.Silent, rep.Cases[0].Verdict)
}

// The peer of these tests goes by the rules, so that a fault is the only thing that is found.
func TestWebSocketPeer(t *testing.T) {
	run := conformance.Run{Server: wsServer(t, ""), Client: wsClient(""), Cases: cases(t)}
	run.Cases = slices.DeleteFunc(run.Cases, func(c *conformance.Case) bool {
		return c.Role() != conformance.WebSocketServerRole && c.Role() != conformance.WebSocketClientRole
	})
	rep, err := run.Do(t.Context())
	require.NoError(t, err)
	assert.Greater(t, len(rep.Cases), 300)
	for _, f := range rep.Cases {
		// Those that it gets from net/http, and the grammar of fields that it does not look at.
		known := []string{"ws-handshake/two-versions", "ws-handshake/fragment", "ws-handshake/empty-protocol", "ws-handshake/extensions-that-are-no-list",
			"ws-client-handshake/upgrade-list", "ws-client-handshake/two-accepts", "ws-handshake/http-1-0"}
		if !slices.Contains(known, f.ID) {
			assert.Equal(t, conformance.Allowed, f.Verdict, "%s: %s %s", f.ID, f.Answer(), f.Deliveries[0].Error)
		}
	}
}
