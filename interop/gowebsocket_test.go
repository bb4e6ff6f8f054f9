package interop

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	"github.com/gobwas/httphead"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"
	"github.com/gobwas/ws/wsutil"
	gorilla "github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A socket is a WebSocket of any of the libraries.
type socket interface {
	send(message []byte) error
	receive() ([]byte, error) // io.EOF behind the last message
	finish() error            // begins the closing handshake, as a client
	drop()
}

// A webSocketLibrary can be on both ends.
type webSocketLibrary struct {
	name   string
	accept func(w http.ResponseWriter, r *http.Request, compress bool) (socket, error)
	dial   func(ctx context.Context, url string, compress bool) (s socket, compressed bool, err error)
}

var webSocketLibraries = []webSocketLibrary{
	{"gorilla", acceptGorilla, dialGorilla},
	{"coder", acceptCoder, dialCoder},
	{"gobwas", acceptGobwas, dialGobwas},
}

type gorillaSocket struct{ *gorilla.Conn }

func acceptGorilla(w http.ResponseWriter, r *http.Request, compress bool) (socket, error) {
	u := gorilla.Upgrader{EnableCompression: compress}
	c, err := u.Upgrade(w, r, nil)
	if err != nil {
		return nil, err
	}
	return gorillaSocket{c}, nil
}

func dialGorilla(ctx context.Context, url string, compress bool) (socket, bool, error) {
	d := gorilla.Dialer{EnableCompression: compress}
	c, res, err := d.DialContext(ctx, url, nil)
	if err != nil {
		return nil, false, err
	}
	return gorillaSocket{c}, hasDeflate(res), nil
}

func hasDeflate(res *http.Response) bool {
	return strings.HasPrefix(res.Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate")
}

func (s gorillaSocket) send(m []byte) error { return s.WriteMessage(gorilla.BinaryMessage, m) }

func (s gorillaSocket) receive() ([]byte, error) {
	_, m, err := s.ReadMessage()
	if gorilla.IsCloseError(err, gorilla.CloseNormalClosure) {
		err = io.EOF
	}
	return m, err
}

func (s gorillaSocket) finish() error {
	return s.WriteControl(gorilla.CloseMessage, gorilla.FormatCloseMessage(gorilla.CloseNormalClosure, ""), time.Now().Add(soon))
}

func (s gorillaSocket) drop() { s.Close() }

type coderSocket struct{ *coder.Conn }

func coderMode(compress bool) coder.CompressionMode {
	if compress {
		return coder.CompressionContextTakeover
	}
	return coder.CompressionDisabled
}

func acceptCoder(w http.ResponseWriter, r *http.Request, compress bool) (socket, error) {
	c, err := coder.Accept(w, r, &coder.AcceptOptions{CompressionMode: coderMode(compress), CompressionThreshold: 1})
	if err != nil {
		return nil, err
	}
	c.SetReadLimit(1 << 20)
	return coderSocket{c}, nil
}

func dialCoder(ctx context.Context, url string, compress bool) (socket, bool, error) {
	c, res, err := coder.Dial(ctx, url, &coder.DialOptions{CompressionMode: coderMode(compress), CompressionThreshold: 1})
	if err != nil {
		return nil, false, err
	}
	c.SetReadLimit(1 << 20)
	return coderSocket{c}, hasDeflate(res), nil
}

func (s coderSocket) send(m []byte) error {
	return s.Write(context.Background(), coder.MessageBinary, m)
}

func (s coderSocket) receive() ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	_, m, err := s.Read(ctx)
	if coder.CloseStatus(err) == coder.StatusNormalClosure {
		err = io.EOF
	}
	return m, err
}

func (s coderSocket) finish() error { return s.Close(coder.StatusNormalClosure, "") }

func (s coderSocket) drop() { _ = s.CloseNow() }

type gobwasSocket struct {
	net.Conn
	rd       wsutil.Reader
	state    ws.State
	msg      *wsflate.MessageState
	compress bool
}

func newGobwas(c net.Conn, from io.Reader, state ws.State, compress bool) *gobwasSocket {
	s := &gobwasSocket{Conn: c, state: state, msg: new(wsflate.MessageState), compress: compress}
	s.rd = wsutil.Reader{Source: from, State: state}
	if compress {
		s.rd.State |= ws.StateExtended
		s.rd.Extensions = []wsutil.RecvExtension{s.msg}
	}
	return s
}

func acceptGobwas(w http.ResponseWriter, r *http.Request, compress bool) (socket, error) {
	var u ws.HTTPUpgrader
	e := wsflate.Extension{Parameters: wsflate.DefaultParameters}
	if compress {
		u.Negotiate = e.Negotiate
	}
	c, rw, _, err := u.Upgrade(r, w)
	if err != nil {
		return nil, err
	}
	_, accepted := e.Accepted()
	return newGobwas(c, rw, ws.StateServerSide, accepted), nil
}

func dialGobwas(ctx context.Context, url string, compress bool) (socket, bool, error) {
	var d ws.Dialer
	if compress {
		d.Extensions = []httphead.Option{wsflate.DefaultParameters.Option()}
	}
	c, br, hs, err := d.Dial(ctx, url)
	if err != nil {
		return nil, false, err
	}
	from := io.Reader(c)
	if br != nil {
		from = br
	}
	compressed := len(hs.Extensions) > 0
	return newGobwas(c, from, ws.StateClientSide, compressed), compressed, nil
}

func (s *gobwasSocket) send(m []byte) error {
	f := ws.NewBinaryFrame(m)
	if s.compress {
		var err error
		if f, err = wsflate.CompressFrame(f); err != nil {
			return err
		}
	}
	if s.state.ClientSide() {
		f = ws.MaskFrame(f)
	}
	return ws.WriteFrame(s, f)
}

func (s *gobwasSocket) receive() ([]byte, error) {
	for {
		h, err := s.rd.NextFrame()
		if err != nil {
			return nil, err
		}
		if h.OpCode.IsControl() {
			err := wsutil.ControlFrameHandler(s, s.state)(h, &s.rd)
			if closed, ok := err.(wsutil.ClosedError); ok && closed.Code == ws.StatusNormalClosure {
				return nil, io.EOF
			}
			if err != nil {
				return nil, err
			}
			continue
		}
		from := io.Reader(&s.rd)
		if s.compress && s.msg.IsCompressed() {
			from = wsflate.NewReader(from, func(r io.Reader) wsflate.Decompressor { return flate.NewReader(r) })
		}
		return io.ReadAll(from)
	}
}

func (s *gobwasSocket) finish() error {
	f := ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))
	if s.state.ClientSide() {
		f = ws.MaskFrame(f)
	}
	return ws.WriteFrame(s, f)
}

func (s *gobwasSocket) drop() { s.Conn.Close() }

// echoAll sends back what comes, until the client closes.
func echoAll(s socket) error {
	for {
		m, err := s.receive()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.send(m); err != nil {
			return err
		}
	}
}

// message is the i-th message: of any size, half of it repeating.
func message(i int) []byte {
	sum := sha256.Sum256([]byte(fmt.Sprint(i)))
	n := i * 7 % 900
	if i%250 == 249 {
		n = 100_000
	}
	return append(bytes.Repeat(sum[:], n/64), bytes.Repeat([]byte("a"), n/2)...)
}

// chat sends messages without waiting and expects their echos in order.
func chat(s socket, count int) error {
	sent := make(chan error, 1)
	go func() {
		for i := range count {
			if err := s.send(message(i)); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	for i := range count {
		m, err := s.receive()
		if err != nil {
			return fmt.Errorf("message %d: %w", i, err)
		}
		if !bytes.Equal(m, message(i)) {
			return fmt.Errorf("message %d came back with %d bytes and other ones", i, len(m))
		}
	}
	return <-sent
}

// Every library on our ResponseWriter, with each as its client: a thousand messages,
// plain and compressed.
func TestGoWebSockets(t *testing.T) {
	t.Parallel()
	for _, server := range webSocketLibraries {
		for _, compress := range []bool{false, true} {
			ended := make(chan error, 1)
			host := mount(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				s, err := server.accept(w, r, compress)
				if err != nil {
					ended <- err
					return
				}
				defer s.drop()
				ended <- echoAll(s)
			}))
			for _, client := range webSocketLibraries {
				name := fmt.Sprintf("%s to %s", client.name, server.name)
				if compress {
					name += " compressed"
				}
				t.Run(name, func(t *testing.T) {
					ctx, cancel := context.WithTimeout(t.Context(), 3*soon)
					defer cancel()
					s, compressed, err := client.dial(ctx, "ws://"+host+"/chat", compress)
					require.NoError(t, err)
					defer s.drop()
					defer context.AfterFunc(ctx, s.drop)()
					require.Equal(t, compress, compressed)
					require.NoError(t, chat(s, 1000))
					require.NoError(t, s.finish())
					if client.name != "coder" { // its finish has waited for the answer
						_, err = s.receive()
						require.Equal(t, io.EOF, err)
					}
					select {
					case err := <-ended:
						require.NoError(t, err)
					case <-time.After(soon):
						t.Fatal("the server's end goes on")
					}
				})
			}
		}
	}
}

// coder/websocket makes a net.Conn of a WebSocket; over it, net/http serves.
func TestCoderNetConn(t *testing.T) {
	t.Parallel()
	host := mount(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := coder.Accept(w, r, nil)
		if err != nil {
			return
		}
		n := coder.NetConn(context.Background(), c, coder.MessageBinary)
		defer n.Close()
		_, _ = io.Copy(n, n)
	}))
	ctx, cancel := context.WithTimeout(t.Context(), 2*soon)
	defer cancel()
	c, _, err := coder.Dial(ctx, "ws://"+host, nil)
	require.NoError(t, err)
	n := coder.NetConn(ctx, c, coder.MessageBinary)
	want := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB
	go func() { _, _ = n.Write(want) }()
	got := make([]byte, len(want))
	_, err = io.ReadFull(n, got)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, got))

	// A deadline passes without a message.
	require.NoError(t, n.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	_, err = n.Read(got)
	require.Error(t, err)
	n.Close()
}

// gorilla/websocket fails when the bufio.Reader of Hijack has anything buffered. With us it
// never has: what a client sends early is still in nng, and comes with the first read.
func TestEarlyFrames(t *testing.T) {
	t.Parallel()
	for _, server := range webSocketLibraries {
		t.Run(server.name, func(t *testing.T) {
			ended := make(chan error, 1)
			host := mount(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				s, err := server.accept(w, r, false)
				if err == nil {
					defer s.drop()
					err = echoAll(s)
				}
				ended <- err
			}))
			c, err := net.Dial("tcp", host)
			require.NoError(t, err)
			defer c.Close()
			require.NoError(t, c.SetDeadline(time.Now().Add(soon)))
			var b bytes.Buffer
			b.WriteString("GET / HTTP/1.1\r\nHost: " + host + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
				"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n")
			require.NoError(t, ws.WriteFrame(&b, ws.MaskFrame(ws.NewBinaryFrame([]byte("early")))))
			require.NoError(t, ws.WriteFrame(&b, ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusNormalClosure, "")))))
			_, err = c.Write(b.Bytes())
			require.NoError(t, err)
			answer, _ := io.ReadAll(c)
			head, frames, _ := strings.Cut(string(answer), "\r\n\r\n")
			require.NoError(t, <-ended)
			assert.Contains(t, head, "HTTP/1.1 101 ")
			r := strings.NewReader(frames)
			h, err := ws.ReadHeader(r)
			require.NoError(t, err)
			require.EqualValues(t, len("early"), h.Length)
			payload := make([]byte, h.Length)
			_, err = io.ReadFull(r, payload)
			require.NoError(t, err)
			assert.Equal(t, "early", string(payload))
		})
	}
}
