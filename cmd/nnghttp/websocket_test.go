package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/stretchr/testify/require"
)

// A wsClient is a WebSocket client by gobwas on Go's own connection.
type wsClient struct {
	t    *testing.T
	conn net.Conn
	r    io.Reader
}

func dialWS(t *testing.T, s *server) *wsClient {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, br, _, err := ws.Dial(ctx, strings.Replace(s.url, "http", "ws", 1)+"/ws")
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	w := &wsClient{t: t, conn: conn, r: conn}
	if br != nil {
		w.r = br
	}
	return w
}

// send writes one frame, masked as a client must.
func (w *wsClient) send(f ws.Frame) {
	w.t.Helper()
	require.NoError(w.t, ws.WriteFrame(w.conn, ws.MaskFrame(f)))
}

func (w *wsClient) receive() ws.Frame {
	w.t.Helper()
	h, err := ws.ReadHeader(w.r)
	require.NoError(w.t, err)
	require.False(w.t, h.Masked, "a server does not mask")
	require.LessOrEqual(w.t, h.Length, int64(maxMessage))
	f := ws.Frame{Header: h, Payload: make([]byte, h.Length)}
	_, err = io.ReadFull(w.r, f.Payload)
	require.NoError(w.t, err)
	return f
}

func (w *wsClient) expect(op ws.OpCode, payload string) {
	w.t.Helper()
	f := w.receive()
	require.Equal(w.t, op, f.Header.OpCode)
	require.True(w.t, f.Header.Fin)
	require.True(w.t, string(f.Payload) == payload, "a payload of %d bytes comes back", len(payload))
}

// expectClose wants a close frame with a status, and then the end of the stream.
func (w *wsClient) expectClose(code ws.StatusCode) {
	w.t.Helper()
	f := w.receive()
	require.Equal(w.t, ws.OpClose, f.Header.OpCode, "%q", f.Payload)
	got, _ := ws.ParseCloseFrameData(f.Payload)
	require.Equal(w.t, code, got)
}

func (w *wsClient) expectEnd() {
	w.t.Helper()
	_, err := w.r.Read(make([]byte, 1))
	require.ErrorIs(w.t, err, io.EOF)
}

func (w *wsClient) close(code ws.StatusCode) {
	w.t.Helper()
	w.send(ws.NewCloseFrame(ws.NewCloseFrameBody(code, "")))
	w.expectClose(code)
	w.expectEnd()
}

func TestWebSocketEcho(t *testing.T) {
	s, log := newTestServer(t, &serveCmd{})
	w := dialWS(t, s)
	big := strings.Repeat("0123456789abcdef", 1<<16) // 1 MiB
	for _, text := range []string{"hello", "", "Grüße, 世界", strings.Repeat("x", 126), strings.Repeat("x", 65536), big} {
		w.send(ws.NewTextFrame([]byte(text)))
		w.expect(ws.OpText, text)
		w.send(ws.NewBinaryFrame([]byte(text + "\xff\x00")))
		w.expect(ws.OpBinary, text+"\xff\x00")
	}
	w.close(1000)
	eventually(t, "the end is logged", func() bool {
		return strings.Contains(log.String(), `msg="websocket closed" reason="closed with status 1000" messages=12 `)
	})
	require.NotContains(t, log.String(), "remote=unknown")
	require.Contains(t, log.String(), "uri=/ws status=101 bytes=0 ")
}

func TestWebSocketFragments(t *testing.T) {
	s, _ := newTestServer(t, &serveCmd{})
	w := dialWS(t, s)
	// A character cut in two, an empty part, a ping in between.
	w.send(ws.NewFrame(ws.OpText, false, []byte("Gr\xc3")))
	w.send(ws.NewFrame(ws.OpContinuation, false, []byte("\xbc")))
	w.send(ws.NewPingFrame([]byte("in between")))
	w.send(ws.NewFrame(ws.OpContinuation, false, nil))
	w.send(ws.NewFrame(ws.OpContinuation, true, []byte("ße")))
	w.expect(ws.OpPong, "in between")
	w.expect(ws.OpText, "Grüße")
	w.close(1000)
}

// A message of empty parts has an end: one of ours, with status 1009.
func TestWebSocketManyFragments(t *testing.T) {
	s, _ := newTestServer(t, &serveCmd{})
	w := dialWS(t, s)
	require.NoError(t, w.conn.SetDeadline(time.Now().Add(time.Minute)))
	part := bytes.NewBuffer(nil)
	require.NoError(t, ws.WriteFrame(part, ws.MaskFrame(ws.NewFrame(ws.OpContinuation, false, nil))))
	go func() {
		_ = ws.WriteFrame(w.conn, ws.MaskFrame(ws.NewFrame(ws.OpBinary, false, nil)))
		block := bytes.Repeat(part.Bytes(), 10_000)
		for range 25 {
			if _, err := w.conn.Write(block); err != nil {
				return
			}
		}
	}()
	w.expectClose(1009)

	// Many that hold something are a message.
	w = dialWS(t, s)
	require.NoError(t, w.conn.SetDeadline(time.Now().Add(time.Minute)))
	var frames bytes.Buffer
	require.NoError(t, ws.WriteFrame(&frames, ws.MaskFrame(ws.NewFrame(ws.OpBinary, false, nil))))
	for range 65_535 {
		require.NoError(t, ws.WriteFrame(&frames, ws.MaskFrame(ws.NewFrame(ws.OpContinuation, false, []byte("0123456789")))))
	}
	require.NoError(t, ws.WriteFrame(&frames, ws.MaskFrame(ws.NewFrame(ws.OpContinuation, true, nil))))
	_, err := w.conn.Write(frames.Bytes())
	require.NoError(t, err)
	w.expect(ws.OpBinary, strings.Repeat("0123456789", 65_535))
	w.close(1000)
}

// A WebSocket on which nothing comes has as long as a connection between requests, and there
// are no more of them than of connections.
func TestWebSocketLimits(t *testing.T) {
	s, log := newTestServer(t, &serveCmd{IdleTimeout: time.Second, MaxConns: 1})
	w := dialWS(t, s)
	for range 3 { // what comes extends it
		time.Sleep(600 * time.Millisecond)
		w.send(ws.NewPingFrame(nil))
		require.Equal(t, ws.OpPong, w.receive().Header.OpCode)
	}
	res, body := do(t, "GET", s.url+"/ws", "", "Upgrade", "websocket", "Connection", "Upgrade",
		"Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
	require.Equal(t, "too many WebSockets are open\n", body)
	start := time.Now()
	_, err := io.Copy(io.Discard, w.r)
	require.NoError(t, err)
	require.Less(t, time.Since(start), 5*time.Second)
	eventually(t, "it has gone", func() bool { open, _ := s.sockets.numbers(); return open == 0 })
	require.Contains(t, log.String(), "websocket closed")
	dialWS(t, s).close(1000)
}

// A client that sends and never reads is not read any more, when what waits for it fills the
// buffers of the connection. So it costs no memory, whatever it sends.
func TestWebSocketSlowReader(t *testing.T) {
	s, _ := newTestServer(t, &serveCmd{})
	for name, f := range map[string]ws.Frame{
		"pings":    ws.NewPingFrame(make([]byte, 125)),
		"messages": ws.NewBinaryFrame(make([]byte, 16<<10)),
	} {
		t.Run(name, func(t *testing.T) {
			w := dialWS(t, s)
			var one bytes.Buffer
			require.NoError(t, ws.WriteFrame(&one, ws.MaskFrame(f)))
			block := bytes.Repeat(one.Bytes(), 64<<10/one.Len()+1)
			const much = 256 << 20
			var err error
			sent := 0
			for ; err == nil && sent < much; sent += len(block) {
				require.NoError(t, w.conn.SetWriteDeadline(time.Now().Add(2*time.Second)))
				_, err = w.conn.Write(block)
			}
			require.ErrorIs(t, err, os.ErrDeadlineExceeded, "%d bytes were taken", sent)

			other := dialWS(t, s)
			other.send(ws.NewTextFrame([]byte("hello")))
			other.expect(ws.OpText, "hello")
			other.close(1000)
			w.conn.Close()
		})
	}
}

func TestWebSocketControl(t *testing.T) {
	s, _ := newTestServer(t, &serveCmd{})
	w := dialWS(t, s)
	w.send(ws.NewPingFrame(nil))
	w.expect(ws.OpPong, "")
	w.send(ws.NewPongFrame([]byte("nobody asked")))
	w.send(ws.NewPingFrame([]byte("hello")))
	w.expect(ws.OpPong, "hello")
	w.send(ws.NewCloseFrame(nil))
	f := w.receive()
	require.Equal(t, ws.OpClose, f.Header.OpCode)
	require.Empty(t, f.Payload)
	w.expectEnd()
}

// What a client does wrong ends the WebSocket, with the status that says so.
func TestWebSocketViolations(t *testing.T) {
	s, _ := newTestServer(t, &serveCmd{})
	for name, test := range map[string]struct {
		code ws.StatusCode
		send func(*wsClient)
	}{
		"not UTF-8":           {1007, func(w *wsClient) { w.send(ws.NewTextFrame([]byte("ab\xff"))) }},
		"character cut off":   {1007, func(w *wsClient) { w.send(ws.NewTextFrame([]byte("ab\xc3"))) }},
		"not masked":          {1002, func(w *wsClient) { require.NoError(t, ws.WriteFrame(w.conn, ws.NewTextFrame([]byte("x")))) }},
		"reserved bit":        {1002, func(w *wsClient) { f := ws.NewTextFrame([]byte("x")); f.Header.Rsv = 4; w.send(f) }},
		"reserved opcode":     {1002, func(w *wsClient) { w.send(ws.NewFrame(3, true, nil)) }},
		"ping in parts":       {1002, func(w *wsClient) { w.send(ws.NewFrame(ws.OpPing, false, nil)) }},
		"ping too long":       {1002, func(w *wsClient) { w.send(ws.NewPingFrame(bytes.Repeat([]byte("x"), 126))) }},
		"nothing to continue": {1002, func(w *wsClient) { w.send(ws.NewFrame(ws.OpContinuation, true, nil)) }},
		"close of one byte":   {1002, func(w *wsClient) { w.send(ws.NewCloseFrame([]byte{3})) }},
		"close status":        {1002, func(w *wsClient) { w.send(ws.NewCloseFrame([]byte{0, 1})) }},
		"frame too large": {1009, func(w *wsClient) {
			require.NoError(t, ws.WriteHeader(w.conn, ws.Header{Fin: true, OpCode: ws.OpBinary, Masked: true, Length: maxMessage + 1}))
		}},
		"message too large": {1009, func(w *wsClient) {
			w.send(ws.NewFrame(ws.OpBinary, false, make([]byte, 1000)))
			require.NoError(t, ws.WriteHeader(w.conn, ws.Header{Fin: true, OpCode: ws.OpContinuation, Masked: true, Length: maxMessage - 999}))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := dialWS(t, s)
			test.send(w)
			w.expectClose(test.code)
			w.send(ws.NewCloseFrame(ws.NewCloseFrameBody(test.code, "")))
			w.conn.Close()
		})
	}
	eventually(t, "all are gone", func() bool { open, _ := s.sockets.numbers(); return open == 0 })
}

func TestWebSocketRefusals(t *testing.T) {
	s, _ := newTestServer(t, &serveCmd{})
	const key = "dGhlIHNhbXBsZSBub25jZQ=="
	good := []string{"Upgrade", "websocket", "Connection", "keep-alive, Upgrade", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", key}
	with := func(name, value string) []string { return append(append([]string{}, good...), name, value) }
	for name, test := range map[string]struct {
		headers []string
		status  int
	}{
		"plain request": {nil, 426},
		"other upgrade": {with("Upgrade", "h2c"), 426},
		"no connection": {with("Connection", "close"), 426},
		"version":       {with("Sec-WebSocket-Version", "8"), 426},
		"key":           {with("Sec-WebSocket-Key", "short"), 400},
	} {
		res, _ := do(t, "GET", s.url+"/ws", "", test.headers...)
		require.Equal(t, test.status, res.StatusCode, name)
		if test.status == 426 {
			require.Equal(t, "websocket", res.Header.Get("Upgrade"))
			require.Equal(t, "13", res.Header.Get("Sec-WebSocket-Version"))
		}
	}
	res, _ := do(t, "POST", s.url+"/ws", "x", good...)
	require.Equal(t, 405, res.StatusCode)

	// The example of RFC 6455, section 1.3.
	c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	require.NoError(t, err)
	defer c.Close()
	fmt.Fprintf(c, "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n", key)
	head, err := bufio.NewReader(c).ReadString('=')
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(head, "HTTP/1.1 101 "))
	require.True(t, strings.HasSuffix(head, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))
}

// A frame sent in one piece with the request's head is not lost.
func TestWebSocketEarlyFrame(t *testing.T) {
	s, _ := newTestServer(t, &serveCmd{})
	c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	require.NoError(t, err)
	defer c.Close()
	var b bytes.Buffer
	b.WriteString("GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	require.NoError(t, ws.WriteFrame(&b, ws.MaskFrame(ws.NewTextFrame([]byte("early")))))
	_, err = c.Write(b.Bytes())
	require.NoError(t, err)
	r := bufio.NewReader(c)
	for line := ""; line != "\r\n"; {
		line, err = r.ReadString('\n')
		require.NoError(t, err)
	}
	w := &wsClient{t: t, conn: c, r: r}
	w.expect(ws.OpText, "early")
	w.close(1000)
}

func TestWebSocketMany(t *testing.T) {
	s, _ := newTestServer(t, &serveCmd{})
	var group sync.WaitGroup
	for i := range 50 {
		group.Go(func() {
			w := dialWS(t, s)
			for j := range 20 {
				text := fmt.Sprint(i, " ", j)
				w.send(ws.NewTextFrame([]byte(text)))
				w.expect(ws.OpText, text)
			}
			w.close(1000)
		})
	}
	group.Wait()
	require.EqualValues(t, 1000, s.metrics.messages.Load())
}

// Shutdown says 1001 to those who listen, and cuts off those who do not.
func TestWebSocketShutdown(t *testing.T) {
	s, log := newTestServer(t, &serveCmd{})
	polite, deaf := dialWS(t, s), dialWS(t, s)
	go func() {
		// It sends and never reads, so that the server's writes come to a halt.
		for ws.WriteFrame(deaf.conn, ws.MaskFrame(ws.NewBinaryFrame(make([]byte, 1<<20)))) == nil {
		}
	}()
	eventually(t, "the deaf one has sent", func() bool { return s.metrics.messages.Load() > 0 })

	done := make(chan time.Duration)
	start := time.Now()
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		s.sockets.shutdown(ctx)
		done <- time.Since(start)
	}()
	polite.expectClose(1001)
	polite.send(ws.NewCloseFrame(ws.NewCloseFrameBody(1001, "")))
	polite.expectEnd()
	select {
	case took := <-done:
		require.Less(t, took, 4*time.Second)
	case <-time.After(5 * time.Second):
		t.Fatal("shutdown hangs; log:\n", log)
	}
	open, _ := s.sockets.numbers()
	require.Zero(t, open)
}

func TestCloseReason(t *testing.T) {
	for err, want := range map[error]string{
		wsutil.ClosedError{Code: 1000}:                "closed with status 1000",
		wsutil.ClosedError{Code: 1001, Reason: "bye"}: "closed with status 1001: bye",
		io.EOF:             "the connection ended without a close frame",
		errors.New("else"): "else",
	} {
		require.Equal(t, want, closeReason(err))
	}
}

// Handshakes at the same time get no more places than there are.
func TestWebSocketPlaces(t *testing.T) {
	var s sockets
	var taken atomic.Int64
	var wait sync.WaitGroup
	for range 100 {
		wait.Go(func() {
			if s.take(10) {
				taken.Add(1)
			}
		})
	}
	wait.Wait()
	require.EqualValues(t, 10, taken.Load())
	s.give()
	require.True(t, s.take(10))
	require.False(t, s.take(10))
	require.True(t, s.take(0), "no limit")
}

// A closingConn is of a socket that somebody closes just when its reader gives the other side more
// time.
type closingConn struct {
	net.Conn
	s        *socket
	deadline time.Time
}

func (c *closingConn) SetReadDeadline(t time.Time) error {
	c.s.closed.Store(true)
	c.deadline = t
	return nil
}

func TestSocketClosedWhileIdle(t *testing.T) {
	conn := new(closingConn)
	conn.s = newSocket(conn, strings.NewReader("x"), ws.StateServerSide)
	conn.s.idle = time.Hour
	_, err := patient{conn.s, strings.NewReader("x")}.Read(make([]byte, 1))
	require.NoError(t, err)
	require.Less(t, time.Until(conn.deadline), 2*closeTime, "the time to answer the close frame")
}
