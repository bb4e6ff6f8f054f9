package nng_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// newWSListener makes a listener that listens on a port of its own, unless the URL
// names one.
func newWSListener(t testing.TB, url string, set ...func(*nng.WSListener) error) *nng.WSListener {
	t.Helper()
	holdMu.Lock()
	defer holdMu.Unlock()
	l, err := nng.NewWSListener(url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	for _, s := range set {
		require.NoError(t, s(l))
	}
	require.NoError(t, l.Listen())
	return l
}

func newWSDialer(t testing.TB, url string, set ...func(*nng.WSDialer) error) *nng.WSDialer {
	t.Helper()
	d, err := nng.NewWSDialer(url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	for _, s := range set {
		require.NoError(t, s(d))
	}
	return d
}

// dialWS connects.
func dialWS(t testing.TB, d *nng.WSDialer) *nng.WSConn {
	t.Helper()
	c, err := d.Dial(timeout(t, 10*time.Second))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func acceptWS(t testing.TB, l *nng.WSListener) *nng.WSConn {
	t.Helper()
	c, err := l.Accept(timeout(t, 10*time.Second))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// wsPair is a connection with both its ends.
func wsPair(t testing.TB, l *nng.WSListener, set ...func(*nng.WSDialer) error) (server, client *nng.WSConn) {
	t.Helper()
	client = dialWS(t, newWSDialer(t, l.URL(), set...))
	return acceptWS(t, l), client
}

// wsTransfer sends a message from one end to the other.
func wsTransfer(t testing.TB, from, to *nng.WSConn, message []byte) {
	t.Helper()
	ctx := timeout(t, 10*time.Second)
	sent := make(chan error, 1)
	go func() { sent <- from.WriteMessage(ctx, message) }()
	got, err := to.ReadMessage(ctx)
	require.NoError(t, err)
	require.True(t, bytes.Equal(message, got), "%d bytes arrived as %d others", len(message), len(got))
	require.NoError(t, <-sent)
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func recvText(o interface{ SetRecvText(bool) error }) error { return o.SetRecvText(true) }

const anyWS = "ws://127.0.0.1:0/chat"

func TestWSMessages(t *testing.T) {
	for _, transport := range []string{"ws", "wss"} {
		t.Run(transport, func(t *testing.T) {
			var server, client *nng.WSConn
			if transport == "ws" {
				server, client = wsPair(t, newWSListener(t, anyWS))
			} else {
				needTLS(t)
				l := newWSListener(t, "wss://127.0.0.1:0/chat", func(l *nng.WSListener) error { return l.SetTLS(serverTLS(t)) })
				require.True(t, strings.HasPrefix(l.URL(), "wss://"), l.URL())
				server, client = wsPair(t, l, func(d *nng.WSDialer) error { return d.SetTLS(clientTLS(t)) })
			}
			for _, size := range []int{0, 1, 125, 126, 65535, 65536, 1<<20 - 1, 1 << 20} {
				t.Run(fmt.Sprint(size), func(t *testing.T) {
					message := randomBytes(size)
					wsTransfer(t, client, server, message)
					wsTransfer(t, server, client, message)
				})
			}
			assert.Equal(t, client.LocalAddr().String(), server.RemoteAddr().String())
			assert.Equal(t, server.LocalAddr().String(), client.RemoteAddr().String())
			require.NoError(t, client.SetNoDelay(false))
			require.NoError(t, server.SetKeepAlive(true))
			wsTransfer(t, client, server, []byte("again"))
		})
	}
}

// Messages keep their bounds and their order, both ways at once.
func TestWSManyMessages(t *testing.T) {
	server, client := wsPair(t, newWSListener(t, anyWS))
	ctx := timeout(t, 30*time.Second)
	const n = 2000
	var all sync.WaitGroup
	for _, end := range [][2]*nng.WSConn{{server, client}, {client, server}} {
		all.Go(func() {
			for i := range n {
				if !assert.NoError(t, end[0].WriteMessage(ctx, fmt.Appendf(nil, "%d%s", i, strings.Repeat(".", i%300)))) {
					return
				}
			}
		})
		all.Go(func() {
			for i := range n {
				got, err := end[1].ReadMessage(ctx)
				if !assert.NoError(t, err) || !assert.Equal(t, fmt.Sprint(i)+strings.Repeat(".", i%300), string(got)) {
					return
				}
			}
		})
	}
	all.Wait()
}

// Callers from many goroutines queue.
func TestWSConcurrent(t *testing.T) {
	server, client := wsPair(t, newWSListener(t, anyWS))
	ctx := timeout(t, 30*time.Second)
	var got sync.Map
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 50 {
				assert.NoError(t, client.WriteMessage(ctx, fmt.Append(nil, i*100+j)))
			}
		})
		all.Go(func() {
			for range 50 {
				message, err := server.ReadMessage(ctx)
				if assert.NoError(t, err) {
					_, twice := got.LoadOrStore(string(message), true)
					assert.False(t, twice, "%s", message)
				}
			}
		})
	}
	all.Wait()
}

func TestWSHandshake(t *testing.T) {
	servedBy := "nng"
	l := newWSListener(t, anyWS, func(l *nng.WSListener) error {
		err := l.SetHeader("X-Served-By", "first")
		if errors.Is(err, nng.ErrNotSupported) { // W11
			servedBy = ""
		} else if err == nil {
			err = l.SetHeader("x-served-by", servedBy)
		}
		if servedBy != "" && err != nil {
			return err
		}
		return l.SetProtocols("chat.v2", "chat.v1")
	})
	server, client := wsPair(t, l, func(d *nng.WSDialer) error {
		return errorsJoin(d.SetHeader("Authorization", "Basic eA=="), d.SetProtocols("chat.v1"))
	})
	for _, c := range []*nng.WSConn{server, client} {
		assert.Equal(t, "chat.v1", c.SubProtocol())
		assert.Equal(t, "/chat", c.URI())
		assert.Equal(t, "Basic eA==", c.RequestHeader("authorization"))
		assert.Equal(t, servedBy, c.ResponseHeader("X-Served-By"))
		assert.Equal(t, "websocket", c.RequestHeader("Upgrade"))
		assert.Len(t, c.RequestHeader("Sec-WebSocket-Key"), 24)
		assert.Len(t, c.ResponseHeader("Sec-WebSocket-Accept"), 28)
		assert.Empty(t, c.ResponseHeader("Authorization"))
		assert.GreaterOrEqual(t, len(c.RequestHeaders()), 6)
		assert.GreaterOrEqual(t, len(c.ResponseHeaders()), 4)
	}
	// They stay when the connection has gone.
	require.NoError(t, server.Close())
	assert.Equal(t, "chat.v1", server.SubProtocol())
	assert.Equal(t, "127.0.0.1", server.RemoteAddr().(*net.TCPAddr).IP.String())
}

func errorsJoin(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestWSSubProtocols(t *testing.T) {
	for _, c := range []struct {
		name             string
		listener, dialer []string
		want             string
		err              error
	}{
		{name: "none"},
		{name: "one", listener: []string{"a"}, dialer: []string{"a"}, want: "a"},
		{name: "one of several", listener: []string{"a", "b", "c"}, dialer: []string{"c"}, want: "c"},
		{name: "another", listener: []string{"a", "b"}, dialer: []string{"c"}, err: nng.ErrProtocol},
		{name: "a part", listener: []string{"abc"}, dialer: []string{"ab"}, err: nng.ErrProtocol},
		{name: "not asked", listener: []string{"a"}, err: nng.ErrProtocol},
		{name: "not offered", dialer: []string{"a"}, err: nng.ErrProtocol},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newWSListener(t, anyWS, func(l *nng.WSListener) error { return l.SetProtocols(c.listener...) })
			d := newWSDialer(t, l.URL(), func(d *nng.WSDialer) error { return d.SetProtocols(c.dialer...) })
			if c.err != nil {
				_, err := d.Dial(timeout(t, 10*time.Second))
				require.ErrorIs(t, err, c.err)
				return
			}
			assert.Equal(t, c.want, dialWS(t, d).SubProtocol())
			assert.Equal(t, c.want, acceptWS(t, l).SubProtocol())
		})
	}
}

// wsRaw is a client that speaks the protocol itself, so that it can do what nng does not.
type wsRaw struct {
	t testing.TB
	net.Conn
}

func rawWS(t testing.TB, l *nng.WSListener) wsRaw {
	t.Helper()
	addr, err := l.Addr()
	require.NoError(t, err)
	c, err := net.Dial("tcp", addr.String())
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = fmt.Fprintf(c, "GET /chat HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", addr)
	require.NoError(t, err)
	var head []byte
	for b := make([]byte, 1); !bytes.HasSuffix(head, []byte("\r\n\r\n")); head = append(head, b[0]) {
		_, err := c.Read(b)
		require.NoError(t, err)
	}
	require.Contains(t, string(head), "101 ")
	require.Contains(t, string(head), "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n")
	return wsRaw{t, c}
}

// frame sends a frame, with a mask of zeros. It holds less than 126 bytes.
func (c wsRaw) frame(head byte, payload string) {
	c.t.Helper()
	_, err := c.Write(append([]byte{head, 0x80 | byte(len(payload)), 0, 0, 0, 0}, payload...))
	require.NoError(c.t, err)
}

// next reads a frame.
func (c wsRaw) next() (head byte, payload []byte, err error) {
	var b [10]byte
	if _, err := io.ReadFull(c, b[:2]); err != nil {
		return 0, nil, err
	}
	n, more := int(b[1]), 0
	switch n {
	case 126:
		more = 2
	case 127:
		more = 8
	}
	if _, err := io.ReadFull(c, b[2:2+more]); err != nil {
		return 0, nil, err
	}
	if more > 0 {
		n = 0
		for _, x := range b[2 : 2+more] {
			n = n<<8 | int(x)
		}
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(c, payload)
	return b[0], payload, err
}

const (
	wsFinal  = 0x80
	wsText   = 1
	wsBinary = 2
	wsClose  = 8
	wsPing   = 9
	wsPong   = 10
)

// closeCode reads a close frame.
func (c wsRaw) closeCode() int {
	c.t.Helper()
	head, payload, err := c.next()
	require.NoError(c.t, err)
	require.Equal(c.t, byte(wsFinal|wsClose), head)
	require.Len(c.t, payload, 2)
	return int(payload[0])<<8 | int(payload[1])
}

func TestWSFragments(t *testing.T) {
	l := newWSListener(t, anyWS, func(l *nng.WSListener) error { return l.SetSendMaxFrame(10) })
	raw := rawWS(t, l)
	server := acceptWS(t, l)
	require.NoError(t, server.WriteMessage(timeout(t, 10*time.Second), []byte("twenty-one characters")))
	for _, want := range []struct {
		head    byte
		payload string
	}{{wsBinary, "twenty-one"}, {0, " character"}, {wsFinal, "s"}} {
		head, payload, err := raw.next()
		require.NoError(t, err)
		assert.Equal(t, want.head, head)
		assert.Equal(t, want.payload, string(payload))
	}

	raw.frame(wsBinary, "in ")
	raw.frame(0, "three ")
	raw.frame(wsFinal|wsPing, "between")
	raw.frame(wsFinal, "parts")
	got, err := server.ReadMessage(timeout(t, 10*time.Second))
	require.NoError(t, err)
	assert.Equal(t, "in three parts", string(got))
	head, payload, err := raw.next()
	require.NoError(t, err)
	assert.Equal(t, byte(wsFinal|wsPong), head)
	assert.Equal(t, "between", string(payload))
}

func TestWSLimits(t *testing.T) {
	limits := func(l *nng.WSListener) error { return errorsJoin(l.SetRecvMaxSize(100), l.SetRecvMaxFrame(60)) }
	tooLarge := func(t *testing.T, frames ...string) {
		l := newWSListener(t, anyWS, limits)
		raw := rawWS(t, l)
		server := acceptWS(t, l)
		raw.frame(wsFinal|wsBinary, strings.Repeat("x", 60)) // is fine
		got, err := server.ReadMessage(timeout(t, 10*time.Second))
		require.NoError(t, err)
		assert.Len(t, got, 60)
		for i, f := range frames {
			head := byte(0)
			if i == 0 {
				head = wsBinary
			}
			raw.frame(head, f)
		}
		_, err = server.ReadMessage(timeout(t, 10*time.Second))
		require.ErrorIs(t, err, nng.ErrConnShut)
		assert.Equal(t, 1009, raw.closeCode())
	}
	t.Run("frame", func(t *testing.T) { tooLarge(t, strings.Repeat("x", 61)) })
	t.Run("message", func(t *testing.T) {
		tooLarge(t, strings.Repeat("x", 50), strings.Repeat("x", 50), "x")
	})
	t.Run("default", func(t *testing.T) {
		server, client := wsPair(t, newWSListener(t, anyWS))
		go client.WriteMessage(timeout(t, 10*time.Second), randomBytes(1<<20+1))
		_, err := server.ReadMessage(timeout(t, 10*time.Second))
		require.ErrorIs(t, err, nng.ErrConnShut)
	})
	t.Run("none", func(t *testing.T) {
		l := newWSListener(t, anyWS, func(l *nng.WSListener) error { return errorsJoin(l.SetRecvMaxSize(0), l.SetRecvMaxFrame(0)) })
		server, client := wsPair(t, l)
		wsTransfer(t, client, server, randomBytes(5<<20))
	})
	// nng's dialer knows no bound (W4), so the binding has one, for libraries that are
	// not patched.
	t.Run("dialer", func(t *testing.T) {
		server, client := wsPair(t, newWSListener(t, anyWS), func(d *nng.WSDialer) error { return d.SetRecvMaxSize(100) })
		wsTransfer(t, server, client, make([]byte, 100))
		require.NoError(t, server.WriteMessage(timeout(t, 10*time.Second), make([]byte, 101)))
		_, err := client.ReadMessage(timeout(t, 10*time.Second))
		if !errors.Is(err, nng.ErrConnShut) {
			require.ErrorIs(t, err, nng.ErrTooLong)
		}
		_, err = client.ReadMessage(timeout(t, 10*time.Second))
		require.ErrorIs(t, err, nng.ErrConnShut)
		_, err = server.ReadMessage(timeout(t, 10*time.Second))
		require.ErrorIs(t, err, nng.ErrConnShut)
	})
}

// A dialer's sizes reach C (W4).
func TestWSDialerSizes(t *testing.T) {
	l := newWSListener(t, anyWS, func(l *nng.WSListener) error { return l.SetRecvMaxFrame(10) })
	server, client := wsPair(t, l, func(d *nng.WSDialer) error {
		return errorsJoin(d.SetSendMaxFrame(10), d.SetRecvMaxSize(100))
	})
	wsTransfer(t, client, server, []byte("twenty-one characters"))
	wsTransfer(t, server, client, make([]byte, 100))
	require.NoError(t, server.WriteMessage(timeout(t, 10*time.Second), make([]byte, 101)))
	_, err := client.ReadMessage(timeout(t, 10*time.Second))
	require.ErrorIs(t, err, nng.ErrConnShut)

	server, client = wsPair(t, newWSListener(t, anyWS))
	go server.WriteMessage(timeout(t, 10*time.Second), make([]byte, 1<<20+1))
	_, err = client.ReadMessage(timeout(t, 10*time.Second))
	require.ErrorIs(t, err, nng.ErrConnShut)
}

func TestWSText(t *testing.T) {
	t.Run("allowed", func(t *testing.T) {
		l := newWSListener(t, anyWS, func(l *nng.WSListener) error { return errorsJoin(recvText(l), l.SetSendText(true)) })
		raw := rawWS(t, l)
		server := acceptWS(t, l)
		for _, kind := range []byte{wsText, wsBinary} {
			raw.frame(wsFinal|kind, "grüße")
			got, err := server.ReadMessage(timeout(t, 10*time.Second))
			require.NoError(t, err)
			assert.Equal(t, "grüße", string(got))
			require.NoError(t, server.WriteMessage(timeout(t, 10*time.Second), got))
			head, payload, err := raw.next()
			require.NoError(t, err)
			assert.Equal(t, byte(wsFinal|wsText), head)
			assert.Equal(t, "grüße", string(payload))
		}
	})
	// nng ends the connection for such a message, and delivers it (W8).
	t.Run("refused", func(t *testing.T) {
		for _, waiting := range []bool{true, false} {
			l := newWSListener(t, anyWS)
			raw := rawWS(t, l)
			server := acceptWS(t, l)
			if !waiting { // nng reads ahead behind this one
				raw.frame(wsFinal|wsBinary, "binary")
				got, err := server.ReadMessage(timeout(t, 10*time.Second))
				require.NoError(t, err)
				require.Equal(t, "binary", string(got))
			}
			raw.frame(wsFinal|wsText, "text")
			if !waiting {
				assert.Equal(t, 1003, raw.closeCode())
			}
			for range 3 {
				_, err := server.ReadMessage(timeout(t, 10*time.Second))
				require.ErrorIs(t, err, nng.ErrConnShut)
			}
			if waiting {
				assert.Equal(t, 1003, raw.closeCode())
			}
		}
	})
	t.Run("both ends", func(t *testing.T) {
		l := newWSListener(t, anyWS, func(l *nng.WSListener) error { return recvText(l) })
		server, client := wsPair(t, l, func(d *nng.WSDialer) error { return d.SetSendText(true) })
		wsTransfer(t, client, server, []byte("text"))
		wsTransfer(t, server, client, []byte("binary"))
	})
}

// The end of a connection, as either side sees it.
func TestWSPeerCloses(t *testing.T) {
	for i := range 4 {
		waiting, textToo := i%2 == 0, i/2 == 0
		t.Run(fmt.Sprintf("waiting %v, text %v", waiting, textToo), func(t *testing.T) {
			server, client := wsPair(t, newWSListener(t, anyWS, func(l *nng.WSListener) error { return l.SetRecvText(textToo) }))
			wsTransfer(t, client, server, []byte("hello")) // so nng reads ahead
			if waiting {
				time.AfterFunc(50*time.Millisecond, func() { client.Close() })
			} else {
				require.NoError(t, client.Close())
				time.Sleep(50 * time.Millisecond)
			}
			// On a closed stream nng's own receive would wait forever.
			for range 3 {
				_, err := server.ReadMessage(timeout(t, 5*time.Second))
				require.ErrorIs(t, err, nng.ErrConnShut)
			}
			require.ErrorIs(t, server.WriteMessage(timeout(t, 5*time.Second), []byte("x")), nng.ErrConnShut)
			require.ErrorIs(t, server.SetNoDelay(true), nng.ErrConnShut)
			_, err := client.ReadMessage(context.Background())
			require.ErrorIs(t, err, nng.ErrClosed)
			require.ErrorIs(t, client.WriteMessage(context.Background(), nil), net.ErrClosed)
			require.ErrorIs(t, client.SetKeepAlive(true), nng.ErrClosed)
			require.NoError(t, client.Close())
		})
	}
	t.Run("without a word", func(t *testing.T) {
		l := newWSListener(t, anyWS)
		raw := rawWS(t, l)
		server := acceptWS(t, l)
		raw.Close()
		_, err := server.ReadMessage(timeout(t, 10*time.Second))
		require.ErrorIs(t, err, nng.ErrConnShut)
	})
	t.Run("our close frame", func(t *testing.T) {
		l := newWSListener(t, anyWS)
		raw := rawWS(t, l)
		require.NoError(t, acceptWS(t, l).Close())
		assert.Equal(t, 1000, raw.closeCode())
		_, _, err := raw.next()
		assert.Error(t, err, "the connection is still open")
	})
}

// A close frame is answered with its own code, or with 1000 (W6).
func TestWSCloseAnswered(t *testing.T) {
	for payload, code := range map[string]int{
		"\x03\xe9": 1001, "\x0f\xa0bye": 4000, "": 1000, "\x03\xf6": 1014, "\x0b\xb8": 3000, "\x13\x87": 4999,
		// What may not be sent does not come back (RFC 6455, section 7.4).
		"\x03": 1002, "\x00\x00": 1002, "\x03\xe7": 1002, "\x03\xec": 1002, "\x03\xed": 1002, "\x03\xee": 1002,
		"\x03\xf7": 1002, "\x0b\xb7": 1002, "\x13\x88": 1002, "\xff\xff": 1002,
	} {
		l := newWSListener(t, anyWS)
		raw := rawWS(t, l)
		server := acceptWS(t, l)
		ended := make(chan error, 1)
		go func() {
			_, err := server.ReadMessage(timeout(t, 10*time.Second))
			ended <- err
		}()
		raw.frame(wsFinal|wsClose, payload)
		assert.Equal(t, code, raw.closeCode())
		_, _, err := raw.next()
		assert.ErrorIs(t, err, io.EOF)
		require.ErrorIs(t, <-ended, nng.ErrConnShut)
	}
}

func TestWSCancel(t *testing.T) {
	l := newWSListener(t, anyWS)
	server, client := wsPair(t, l)
	ended, cancel := context.WithCancel(context.Background())
	cancel()

	t.Run("read", func(t *testing.T) {
		for range 20 {
			_, err := server.ReadMessage(timeout(t, time.Millisecond))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			_, err = server.ReadMessage(ended)
			require.ErrorIs(t, err, context.Canceled)
			wsTransfer(t, client, server, []byte("still there"))
		}
	})
	t.Run("accept", func(t *testing.T) {
		_, err := l.Accept(timeout(t, time.Millisecond))
		require.ErrorIs(t, err, nng.ErrTimedOut)
		_, err = l.Accept(ended)
		require.ErrorIs(t, err, nng.ErrCanceled)
	})
	t.Run("write", func(t *testing.T) { // the other end does not read
		require.ErrorIs(t, client.WriteMessage(ended, nil), nng.ErrCanceled)
		wsTransfer(t, client, server, []byte("still there"))
		ctx := timeout(t, 300*time.Millisecond)
		var err error
		for err == nil {
			err = client.WriteMessage(ctx, make([]byte, 1<<20))
		}
		require.ErrorIs(t, err, nng.ErrTimedOut)
		require.ErrorIs(t, client.WriteMessage(timeout(t, 10*time.Second), nil), nng.ErrConnShut)
	})
	t.Run("dial", func(t *testing.T) {
		_, err := newWSDialer(t, l.URL()).Dial(ended)
		require.ErrorIs(t, err, nng.ErrCanceled)

		silent, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer silent.Close()
		d := newWSDialer(t, "ws://"+silent.Addr().String()+"/")
		_, err = d.Dial(timeout(t, 100*time.Millisecond))
		require.ErrorIs(t, err, nng.ErrTimedOut)

		dialed := make(chan error)
		go func() {
			_, err := d.Dial(context.Background())
			dialed <- err
		}()
		time.Sleep(100 * time.Millisecond)
		require.NoError(t, d.Close())
		require.ErrorIs(t, <-dialed, nng.ErrClosed)
		_, err = d.Dial(context.Background())
		require.ErrorIs(t, err, nng.ErrClosed)
	})
}

// Close ends what waits, on both sides of the connection and whatever it is.
func TestWSCloseWhileBusy(t *testing.T) {
	server, client := wsPair(t, newWSListener(t, anyWS))
	errs := make(chan error, 2)
	go func() {
		_, err := client.ReadMessage(context.Background())
		errs <- err
	}()
	go func() {
		var err error
		for err == nil {
			err = client.WriteMessage(context.Background(), make([]byte, 1<<20))
		}
		errs <- err
	}()
	time.Sleep(200 * time.Millisecond) // until the write is stuck
	started := time.Now()
	require.NoError(t, client.Close())
	assert.Less(t, time.Since(started), time.Second)
	for range 2 {
		require.ErrorIs(t, <-errs, nng.ErrClosed)
	}
	require.NoError(t, server.Close())
}

func TestWSDialErrors(t *testing.T) {
	answer := func(status int) nng.HandlerFunc {
		return func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
			return nng.NewErrorResponse(status)
		}
	}
	srv := newServer(t, newHandler(t, "/401", answer(401)), newHandler(t, "/403", answer(403)),
		newHandler(t, "/500", answer(500)), newHandler(t, "/200", text("no WebSocket here")))
	url := "ws://" + address(t, srv)
	for path, want := range map[string]error{
		"/401": nng.ErrPermission, "/403": nng.ErrPermission, "/404": nng.ErrConnRefused,
		"/500": nng.ErrProtocol, "/200": nng.ErrProtocol,
	} {
		_, err := newWSDialer(t, url+path).Dial(timeout(t, 10*time.Second))
		assert.ErrorIs(t, err, want, path)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	free.Close()
	_, err = newWSDialer(t, "ws://"+free.Addr().String()+"/").Dial(timeout(t, 10*time.Second))
	require.ErrorIs(t, err, nng.ErrConnRefused)
	var op *nng.OpError
	require.ErrorAs(t, err, &op)
	assert.Equal(t, "ws dial", op.Op)
}

func TestWSSPeerNotTrusted(t *testing.T) {
	needTLS(t)
	l := newWSListener(t, "wss://127.0.0.1:0/", func(l *nng.WSListener) error { return l.SetTLS(serverTLS(t)) })
	refused := func(err error) {
		t.Helper()
		notTrusted(t, err)
		if patched() { // 0012
			require.ErrorIs(t, err, nng.ErrPeerAuth)
		}
	}
	_, err := newWSDialer(t, l.URL()).Dial(timeout(t, 10*time.Second))
	refused(err)
	other := newWSDialer(t, l.URL(), func(d *nng.WSDialer) error {
		cfg := clientTLS(t)
		return errorsJoin(cfg.SetServerName("elsewhere.example"), d.SetTLS(cfg))
	})
	_, err = other.Dial(timeout(t, 10*time.Second))
	refused(err)
}

// getOnce is one request of Go's own client.
func getOnce(t testing.TB, url string) (status int, body string) {
	t.Helper()
	// The server must not be the one to close: over TLS nng can lose the end of the
	// answer then (X2).
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: certPool()}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Timeout: 10 * time.Second, Transport: transport}
	res, err := client.Get(url)
	require.NoError(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(b)
}

// One port for a Go handler, a handler of nng's own, and two WebSocket listeners.
func TestWSSharesPort(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			if scheme == "https" {
				needTLS(t)
			}
			static, err := nng.NewStaticHandler("/static", []byte("from C"), "text/plain")
			require.NoError(t, err)
			var cfg *nng.TLSConfig
			trust := func(*nng.WSDialer) error { return nil }
			if scheme == "https" {
				cfg = serverTLS(t)
				trust = func(d *nng.WSDialer) error { return d.SetTLS(clientTLS(t)) }
			}
			srv := newServerURL(t, scheme+"://127.0.0.1:0", cfg, newHandler(t, "/go", text("from Go")), static)
			ws := strings.Replace(scheme, "http", "ws", 1) + "://" + address(t, srv)
			one, two := newWSListener(t, ws+"/one"), newWSListener(t, ws+"/two/deep")
			check := func() {
				t.Helper()
				for path, want := range map[string]string{"/go": "from Go", "/static": "from C"} {
					status, body := getOnce(t, scheme+"://"+address(t, srv)+path)
					assert.Equal(t, 200, status)
					assert.Equal(t, want, body)
				}
			}
			check()
			addr, err := one.Addr()
			require.NoError(t, err)
			assert.Equal(t, address(t, srv), addr.String())
			assert.Equal(t, ws+"/one", one.URL())
			server1, client1 := wsPair(t, one, trust)
			server2, client2 := wsPair(t, two, trust)
			wsTransfer(t, client1, server1, []byte("one"))
			wsTransfer(t, client2, server2, []byte("two"))

			// Requests that are none of WebSocket's, and paths that are nobody's.
			status, _ := getOnce(t, scheme+"://"+address(t, srv)+"/one")
			assert.Equal(t, 400, status)
			_, err = newWSDialer(t, ws+"/one/more", trust).Dial(timeout(t, 10*time.Second))
			assert.ErrorIs(t, err, nng.ErrConnRefused)
			_, err = newWSDialer(t, ws+"/two", trust).Dial(timeout(t, 10*time.Second))
			assert.ErrorIs(t, err, nng.ErrConnRefused)

			// The path is taken, for listeners and for handlers; a failed Listen can be
			// repeated (W1).
			again, err := nng.NewWSListener(ws + "/one")
			require.NoError(t, err)
			require.NoError(t, again.SetProtocols("again"))
			for range 3 {
				require.ErrorIs(t, again.Listen(), nng.ErrAddrInUse)
			}
			h := newHandler(t, "/one", text(""), func(h *nng.Handler) error { return h.SetHost("127.0.0.1") })
			require.ErrorIs(t, srv.AddHandler(h), nng.ErrAddrInUse)
			require.NoError(t, h.Close())

			require.NoError(t, one.Close())
			wsTransfer(t, client1, server1, []byte("one goes on"))
			wsTransfer(t, server2, client2, []byte("and two"))
			check()
			require.NoError(t, again.Listen())
			server3, client3 := wsPair(t, again, trust, func(d *nng.WSDialer) error { return d.SetProtocols("again") })
			assert.Equal(t, "again", client3.SubProtocol())
			wsTransfer(t, client3, server3, []byte("instead of the first"))
			require.NoError(t, again.Close())
			_, err = newWSDialer(t, ws+"/one", trust).Dial(timeout(t, 10*time.Second))
			assert.ErrorIs(t, err, nng.ErrConnRefused)
			check()

			_, err = nng.NewWSListener(strings.NewReplacer("wss:", "ws:", "ws:", "wss:").Replace(ws) + "/other")
			assert.ErrorIs(t, err, nng.ErrAddrInUse, "S25")
		})
	}
}

// wsOrder is a server and a listener on its port, with a connection, and a request that
// a handler is answering.
type wsOrder struct {
	srv            *nng.Server
	l              *nng.WSListener
	server, client *nng.WSConn
	release        chan struct{} // lets the handler go on
	answered       chan error
}

func newWSOrder(t *testing.T) *wsOrder {
	o := &wsOrder{release: make(chan struct{}), answered: make(chan error, 1)}
	entered := make(chan struct{})
	o.srv = newServer(t, newHandler(t, "/slow", func(ctx context.Context, _ *nng.Conn, _ *nng.Request) (*nng.Response, error) {
		close(entered)
		select {
		case <-o.release:
		case <-ctx.Done():
		}
		return text("slow")(ctx, nil, nil)
	}))
	o.l = newWSListener(t, "ws://"+address(t, o.srv)+"/chat")
	o.server, o.client = wsPair(t, o.l)
	url := httpURL(t, o.srv) + "/slow"
	go func() {
		client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		res, err := client.Get(url)
		if err == nil {
			res.Body.Close()
		}
		o.answered <- err
	}()
	<-entered
	return o
}

// portFree reports whether nobody listens on an address any more.
func portFree(addr string) bool {
	l, err := net.Listen("tcp", addr)
	if err == nil {
		l.Close()
	}
	return err == nil
}

func TestWSCloseOrders(t *testing.T) {
	alive := func(t *testing.T, o *wsOrder) {
		t.Helper()
		wsTransfer(t, o.client, o.server, []byte("up"))
		wsTransfer(t, o.server, o.client, []byte("down"))
	}
	inTime := func(t *testing.T, d time.Duration, f func()) {
		t.Helper()
		started := time.Now()
		f()
		assert.Less(t, time.Since(started), d)
	}
	t.Run("listener first, while a handler runs", func(t *testing.T) {
		o := newWSOrder(t)
		inTime(t, 500*time.Millisecond, func() { require.NoError(t, o.l.Close()) })
		alive(t, o)
		close(o.release)
		require.NoError(t, <-o.answered)
		addr := address(t, o.srv)
		require.NoError(t, o.srv.Stop(timeout(t, 10*time.Second)))
		assert.True(t, portFree(addr))
		alive(t, o)
		require.NoError(t, o.srv.Close())
		alive(t, o)
	})
	t.Run("server first", func(t *testing.T) {
		o := newWSOrder(t)
		addr := address(t, o.srv)
		close(o.release)
		require.NoError(t, <-o.answered)
		require.NoError(t, o.srv.Stop(timeout(t, 10*time.Second))) // others go on
		require.NoError(t, o.srv.Close())
		alive(t, o)
		server, client := wsPair(t, o.l)
		wsTransfer(t, client, server, []byte("the listener goes on"))
		status, _ := getOnce(t, "http://"+addr+"/slow")
		assert.Equal(t, 404, status)
		require.NoError(t, o.l.Close())
		assert.True(t, portFree(addr))
		alive(t, o)
	})
	t.Run("server first, while a handler runs", func(t *testing.T) {
		o := newWSOrder(t)
		addr := address(t, o.srv)
		require.NoError(t, o.srv.Close())
		inTime(t, 2*time.Second, func() { require.NoError(t, o.l.Close()) })
		alive(t, o)
		<-o.answered
		for end := time.Now().Add(5 * time.Second); !portFree(addr); time.Sleep(10 * time.Millisecond) {
			require.True(t, time.Now().Before(end), "the port stays")
		}
	})
	t.Run("both at once", func(t *testing.T) {
		o := newWSOrder(t)
		addr := address(t, o.srv)
		var all sync.WaitGroup
		all.Go(func() { assert.NoError(t, o.srv.Close()) })
		all.Go(func() { assert.NoError(t, o.l.Close()) })
		all.Go(func() { assert.NoError(t, o.l.Close()) })
		all.Wait()
		alive(t, o)
		<-o.answered
		for end := time.Now().Add(5 * time.Second); !portFree(addr); time.Sleep(10 * time.Millisecond) {
			require.True(t, time.Now().Before(end), "the port stays")
		}
	})
	t.Run("listener alone", func(t *testing.T) {
		l := newWSListener(t, anyWS)
		addr, err := l.Addr()
		require.NoError(t, err)
		server, client := wsPair(t, l)
		require.NoError(t, l.Close())
		assert.True(t, portFree(addr.String()))
		wsTransfer(t, client, server, []byte("the connection stays"))
		require.NoError(t, l.Close())
		// The same address can be had again, by both kinds.
		again := newWSListener(t, "ws://"+addr.String()+"/chat")
		server, client = wsPair(t, again)
		wsTransfer(t, server, client, []byte("again"))
	})
	t.Run("listener before the server starts", func(t *testing.T) {
		holdMu.Lock()
		defer holdMu.Unlock()
		srv, err := nng.HoldServer("http://127.0.0.1:0")
		require.NoError(t, err)
		defer srv.Close()
		require.NoError(t, srv.AddHandler(newHandler(t, "/go", text("from Go"))))
		l, err := nng.NewWSListener(anyWS)
		require.NoError(t, err)
		defer l.Close()
		require.NoError(t, l.Listen())
		require.NoError(t, srv.Start())
		addr, err := l.Addr()
		require.NoError(t, err)
		assert.Equal(t, address(t, srv), addr.String())
		_, body := getOnce(t, httpURL(t, srv)+"/go")
		assert.Equal(t, "from Go", body)
		wsPair(t, l)
	})
	t.Run("both held, the server starts first", func(t *testing.T) {
		holdMu.Lock()
		defer holdMu.Unlock()
		srv, err := nng.HoldServer("http://127.0.0.1:0")
		require.NoError(t, err)
		defer srv.Close()
		l, err := nng.NewWSListener(anyWS)
		require.NoError(t, err)
		defer l.Close()
		require.NoError(t, srv.Start())
		require.NoError(t, l.Listen())
		assert.Equal(t, "ws://"+address(t, srv)+"/chat", l.URL())
		wsPair(t, l)
	})
	t.Run("never listened", func(t *testing.T) {
		holdMu.Lock()
		defer holdMu.Unlock()
		l, err := nng.NewWSListener(anyWS)
		require.NoError(t, err)
		assert.Equal(t, anyWS, l.URL())
		_, err = l.Accept(context.Background())
		require.ErrorIs(t, err, nng.ErrState)
		_, err = l.Addr()
		require.ErrorIs(t, err, nng.ErrState)
		require.NoError(t, l.Close())
		require.NoError(t, l.Close())
		require.ErrorIs(t, l.Listen(), nng.ErrClosed)
		_, err = l.Accept(context.Background())
		require.ErrorIs(t, err, nng.ErrClosed)
		_, err = l.Addr()
		require.ErrorIs(t, err, nng.ErrClosed)
		require.ErrorIs(t, l.SetSendText(true), nng.ErrClosed)
	})
	t.Run("port busy", func(t *testing.T) {
		other, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		l, err := nng.NewWSListener("ws://" + other.Addr().String() + "/chat")
		require.NoError(t, err)
		defer l.Close()
		for range 2 {
			require.ErrorIs(t, l.Listen(), nng.ErrAddrInUse)
		}
		other.Close()
		require.NoError(t, l.Listen()) // W1
		wsPair(t, l)
	})
}

// Connections that nobody accepts, and accepts that nobody answers, end with the
// listener (W2).
func TestWSCloseListener(t *testing.T) {
	before := openFiles(t)
	l := newWSListener(t, anyWS)
	d := newWSDialer(t, l.URL())
	var waiting []*nng.WSConn
	for range 5 {
		waiting = append(waiting, dialWS(t, d))
	}
	errs := make(chan error)
	for range 8 { // five of them get a connection
		go func() {
			c, err := l.Accept(context.Background())
			if err == nil {
				err = c.Close()
			}
			errs <- err
		}()
	}
	for range 5 {
		require.NoError(t, <-errs)
	}
	for range 20 {
		waiting = append(waiting, dialWS(t, d))
	}
	for range 3 {
		require.NoError(t, <-errs)
	}
	require.NoError(t, l.Close())
	for _, c := range waiting {
		_, err := c.ReadMessage(timeout(t, 5*time.Second))
		require.ErrorIs(t, err, nng.ErrConnShut)
		require.NoError(t, c.Close())
	}
	for end := time.Now().Add(5 * time.Second); openFiles(t) > before; time.Sleep(10 * time.Millisecond) {
		require.True(t, time.Now().Before(end), "C has kept %d connections", openFiles(t)-before)
	}
	l = newWSListener(t, anyWS)
	for range 3 {
		go func() {
			_, err := l.Accept(context.Background())
			errs <- err
		}()
	}
	time.Sleep(20 * time.Millisecond)
	require.NoError(t, l.Close())
	for range 3 {
		require.ErrorIs(t, <-errs, nng.ErrClosed)
	}
}

// openFiles counts the descriptors of this process, where the system tells.
func openFiles(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(files)
}

// A WebSocket that nobody accepts has the time of a head, which may change as it waits.
func TestWSPendingTime(t *testing.T) {
	if !nng.HaveLimits() {
		t.Skip("this library keeps what nobody accepts forever (defect W23)")
	}
	const limit = time.Second
	srv, _ := newLimited(t, "http", nng.Limits{ReadHeaderTimeout: limit})
	l := newWSListener(t, "ws://"+address(t, srv)+"/chat")

	start := time.Now()
	late := rawWS(t, l)
	time.Sleep(limit / 2)
	next := rawWS(t, l)
	require.Equal(t, 1001, late.closeCode())
	require.GreaterOrEqual(t, time.Since(start), limit)
	_, err := late.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	accepted := acceptWS(t, l)
	require.EqualValues(t, 1, stats(t, srv).AcceptTimeouts)
	time.Sleep(limit)
	require.NoError(t, accepted.WriteMessage(timeout(t, 10*time.Second), []byte("hello")))
	_, payload, err := next.next()
	require.NoError(t, err)
	require.Equal(t, "hello", string(payload))

	require.NoError(t, srv.SetLimits(nng.Limits{ReadHeaderTimeout: -1}))
	patient := rawWS(t, l)
	require.NoError(t, patient.SetReadDeadline(time.Now().Add(limit+limit/2)))
	_, err = patient.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, patient.SetReadDeadline(time.Now().Add(20*time.Second)))
	require.NoError(t, srv.SetLimits(nng.Limits{ReadHeaderTimeout: limit}))
	require.Equal(t, 1001, patient.closeCode())
	require.EqualValues(t, 2, stats(t, srv).AcceptTimeouts)

	// Those that have left keep nothing, and another listener has the time from the start.
	other := newWSListener(t, "ws://"+address(t, srv)+"/other/chat")
	require.NoError(t, l.Close())
	require.NoError(t, srv.SetLimits(nng.Limits{ReadHeaderTimeout: limit}))
	d := newWSDialer(t, other.URL())
	for range 20 {
		c, err := d.Dial(timeout(t, 10*time.Second))
		require.NoError(t, err)
		require.NoError(t, c.Close())
	}
	require.Eventually(t, func() bool { return stats(t, srv).AcceptTimeouts == 22 }, 10*time.Second, 10*time.Millisecond)
}

// Closing while handshakes are going on (W2, W3, W6).
func TestWSCloseUnderLoad(t *testing.T) {
	for i := range 10 {
		var srv *nng.Server
		url := anyWS
		if i%2 == 0 {
			srv = newServer(t, newHandler(t, "/", text("x")))
			url = "ws://" + address(t, srv) + "/chat"
		}
		l := newWSListener(t, url)
		d := newWSDialer(t, l.URL())
		stop := make(chan struct{})
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if c, err := d.Dial(timeout(t, 5*time.Second)); err == nil {
						c.Close()
					}
				}
			})
		}
		time.Sleep(time.Duration(10+3*i) * time.Millisecond)
		started := time.Now()
		require.NoError(t, l.Close())
		// A second if C is slow to let go. TestMain sees a listener that never ends.
		assert.Less(t, time.Since(started), 5*time.Second)
		if srv != nil {
			require.NoError(t, srv.Close())
		}
		close(stop)
		all.Wait()
	}
}

func TestWSBadInput(t *testing.T) {
	for _, url := range []string{"", "http://127.0.0.1/", "tcp://127.0.0.1:1", "ws:127.0.0.1", "ws://127.0.0.1:1/a b",
		"ws://127.0.0.1:1/#part", "ws://127.0.0.1:1/#", "ws://user@127.0.0.1:1/", "ws://127.0.0.1:99999/", "ws://127.0.0.1:1/\x00"} {
		_, err := nng.NewWSListener(url)
		assert.ErrorIs(t, err, nng.ErrBadAddr, "listener %q", url)
		_, err = nng.NewWSDialer(url)
		assert.ErrorIs(t, err, nng.ErrBadAddr, "dialer %q", url)
	}
	_, err := nng.NewWSListener("ws://127.0.0.1:1/?query")
	assert.ErrorIs(t, err, nng.ErrBadAddr)
	_, err = nng.NewWSDialer("ws:///path")
	assert.ErrorIs(t, err, nng.ErrBadAddr)

	l := newWSListener(t, anyWS)
	d := newWSDialer(t, l.URL())
	for _, header := range [][2]string{{"", "x"}, {"Bad Name", "x"}, {"X", "a\r\nb"}, {"X", "a\x00"}, {"Connection", "close"},
		{"upgrade", "x"}, {"Sec-WebSocket-Protocol", "x"}, {"Content-Length", "3"}} {
		assert.ErrorIs(t, d.SetHeader(header[0], header[1]), nng.ErrInvalid, "%q", header)
	}
	assert.ErrorIs(t, d.SetHeader("X", strings.Repeat("x", 1<<20)), nng.ErrTooLong)
	for _, name := range []string{"", "a b", "a,b", "a\n"} {
		assert.ErrorIs(t, d.SetProtocols("good", name), nng.ErrInvalid, "%q", name)
	}
	for _, size := range []int{-1, 1 << 32} {
		assert.ErrorIs(t, d.SetRecvMaxSize(size), nng.ErrInvalid)
		assert.ErrorIs(t, d.SetRecvMaxFrame(size), nng.ErrInvalid)
		assert.ErrorIs(t, l.SetSendMaxFrame(size), nng.ErrInvalid)
	}
	assert.ErrorIs(t, l.Listen(), nng.ErrState)
	for name, err := range map[string]error{
		"protocols": l.SetProtocols("a"), "send text": l.SetSendText(true),
		"recv text": l.SetRecvText(true), "recv max": l.SetRecvMaxSize(1), "frame": l.SetRecvMaxFrame(1),
		"send frame": l.SetSendMaxFrame(1),
	} {
		assert.ErrorIs(t, err, nng.ErrBusy, name)
	}
}

func TestWSBadTLS(t *testing.T) {
	needTLS(t)
	l := newWSListener(t, anyWS)
	assert.ErrorIs(t, newWSDialer(t, l.URL()).SetTLS(clientTLS(t)), nng.ErrNotSupported)
	assert.ErrorIs(t, l.SetTLS(serverTLS(t)), nng.ErrBusy)
	secure := newWSDialer(t, "wss://127.0.0.1:1/")
	assert.ErrorIs(t, secure.SetTLS(nil), nng.ErrInvalid)
	assert.Equal(t, "wss://127.0.0.1:1/", secure.URL())
}

// URLs without a path, and with a query.
func TestWSPaths(t *testing.T) {
	l := newWSListener(t, "ws://127.0.0.1:0")
	for suffix, uri := range map[string]string{"": "/", "/": "/", "?a=b": "/?a=b", "/?a=b": "/?a=b"} {
		client := dialWS(t, newWSDialer(t, l.URL()+suffix))
		assert.Equal(t, uri, acceptWS(t, l).URI())
		assert.Equal(t, uri, client.URI())
	}
	_, err := newWSDialer(t, l.URL()+"/else").Dial(timeout(t, 10*time.Second))
	require.ErrorIs(t, err, nng.ErrConnRefused)
	// The Host header must name the host of the URL.
	_, err = newWSDialer(t, strings.Replace(l.URL(), "127.0.0.1", "localhost", 1)).Dial(timeout(t, 10*time.Second))
	require.ErrorIs(t, err, nng.ErrConnRefused)
	dialWS(t, newWSDialer(t, strings.Replace(l.URL(), "127.0.0.1", "localhost", 1),
		func(d *nng.WSDialer) error { return d.SetHeader("Host", "127.0.0.1:80") }))
}

// Words of headers are looked for as HTTP has them: with commas, blanks or tabs between
// them, in any letters (W7).
func TestWSWords(t *testing.T) {
	t.Run("listener", func(t *testing.T) {
		for _, c := range []struct {
			upgrade, connection string
			asked, got          string // sub-protocols
			ok                  bool
		}{
			{"websocket", "Upgrade", "", "", true},
			{"WebSocket", "keep-alive, Upgrade", "", "", true},
			{"WEBSOCKET", "keep-alive,Upgrade", "", "", true},
			{"foo/2,websocket", "upgrade,keep-alive", "", "", true},
			{"foo/2\t,\twebsocket", "\tkeep-alive\t,\tUPGRADE\t", "", "", true},
			{"websocket", "keep-alive\r\nConnection: upgrade", "", "", true},
			{"websocket", ",,Upgrade,", "", "", true},
			{"websocket2", "Upgrade", "", "", false},
			{"web", "Upgrade", "", "", false},
			{"websocket", "Upgraded", "", "", false},
			{"websocket", "keep-alive, NotUpgrade", "", "", false},
			{"websocket", "keep-alive", "", "", false},
			{"websocket", "Upgrade", "a", "a", true},
			{"websocket", "Upgrade", "c,b", "b", true},
			{"websocket", "Upgrade", "c, b\r\nSec-WebSocket-Protocol: a", "b", true},
			{"websocket", "Upgrade", "a,b", "a", true},
			{"websocket", "Upgrade", "c", "", false},
			{"websocket", "Upgrade", "ab", "", false},
			{"websocket", "Upgrade", ",", "", false},
		} {
			t.Run(fmt.Sprintf("%q %q %q", c.upgrade, c.connection, c.asked), func(t *testing.T) {
				l := newWSListener(t, anyWS, func(l *nng.WSListener) error {
					if c.asked == "" {
						return nil
					}
					return l.SetProtocols("a", "b")
				})
				addr, err := l.Addr()
				require.NoError(t, err)
				conn, err := net.Dial("tcp", addr.String())
				require.NoError(t, err)
				defer conn.Close()
				require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
				ask := "GET /chat HTTP/1.1\r\nHost: " + addr.String() + "\r\nUpgrade: " + c.upgrade +
					"\r\nConnection: " + c.connection + "\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
				if c.asked != "" {
					ask += "Sec-WebSocket-Protocol: " + c.asked + "\r\n"
				}
				_, err = io.WriteString(conn, ask+"\r\n")
				require.NoError(t, err)
				res, err := http.ReadResponse(bufio.NewReader(conn), nil)
				require.NoError(t, err)
				defer res.Body.Close()
				if !c.ok {
					require.Equal(t, 400, res.StatusCode)
					return
				}
				require.Equal(t, 101, res.StatusCode)
				require.Equal(t, c.got, res.Header.Get("Sec-WebSocket-Protocol"))
				require.Equal(t, c.got, acceptWS(t, l).SubProtocol())
			})
		}
	})
	t.Run("dialer", func(t *testing.T) {
		for _, c := range []struct {
			headers string
			ok      bool
		}{
			{"Upgrade: websocket\r\nConnection: Upgrade\r\n", true},
			{"upgrade: WEBSOCKET\r\nconnection: Keep-Alive, Upgrade\r\n", true},
			{"Upgrade: WebSocket\r\nConnection: upgrade,keep-alive\r\n", true},
			{"Upgrade: websocket2\r\nConnection: Upgrade\r\n", false},
			{"Upgrade: websocket, h2c\r\nConnection: Upgrade\r\n", false}, // RFC 6455, section 4.1
			{"Upgrade: websocket\r\nConnection: keep-alive\r\n", false},
			{"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: b\r\n", true},
			{"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: c\r\n", false},
			{"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: a, b\r\n", false},
		} {
			t.Run(fmt.Sprintf("%q", c.headers), func(t *testing.T) {
				url := wsAnswering(t, c.headers, nil)
				d := newWSDialer(t, url, func(d *nng.WSDialer) error {
					if !strings.Contains(c.headers, "Protocol") {
						return nil
					}
					return d.SetProtocols("a", "b")
				})
				conn, err := d.Dial(timeout(t, 20*time.Second))
				if !c.ok {
					require.ErrorIs(t, err, nng.ErrProtocol)
					return
				}
				require.NoError(t, err)
				require.NoError(t, conn.Close())
			})
		}
	})
}

// wsAnswering is a server that answers handshakes with headers and then calls speak. It
// ends with the test.
func wsAnswering(t testing.TB, headers string, speak func(net.Conn)) (url string) {
	t.Helper()
	url = answering(t, func(conn net.Conn, r *http.Request) bool {
		sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\n%sSec-WebSocket-Accept: %s\r\n\r\n",
			headers, base64.StdEncoding.EncodeToString(sum[:]))
		if speak != nil {
			speak(conn)
		}
		return false
	})
	return strings.Replace(url, "http://", "ws://", 1) + "/chat"
}

const wsUpgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\n"

// wsPeers runs a test with a WSConn of a listener and with one of a dialer. peer is the
// other end, which speaks for itself; mask is in the second byte of the frames that it sends.
func wsPeers(t *testing.T, test func(t *testing.T, conn *nng.WSConn, peer net.Conn, mask byte)) {
	t.Run("listener", func(t *testing.T) {
		l := newWSListener(t, anyWS)
		raw := rawWS(t, l)
		test(t, acceptWS(t, l), raw.Conn, 0x80)
	})
	t.Run("dialer", func(t *testing.T) {
		peers, done := make(chan net.Conn, 1), make(chan struct{})
		url := wsAnswering(t, wsUpgrade, func(conn net.Conn) {
			peers <- conn
			<-done
		})
		defer close(done)
		conn := dialWS(t, newWSDialer(t, url))
		peer := <-peers
		require.NoError(t, peer.SetDeadline(time.Now().Add(60*time.Second)))
		test(t, conn, peer, 0)
	})
}

// wsFrame is a frame, with a mask of zeros if there is to be one.
func wsFrame(head, mask byte, payload string) []byte {
	f := []byte{head, mask | byte(len(payload))}
	if mask != 0 {
		f = append(f, 0, 0, 0, 0)
	}
	return append(f, payload...)
}

// A message has a bound on its fragments, and ends with 1009 beyond it (W9).
func TestWSManyFragments(t *testing.T) {
	wsPeers(t, func(t *testing.T, conn *nng.WSConn, peer net.Conn, mask byte) {
		go func() {
			peer.Write(wsFrame(wsBinary, mask, ""))
			block := bytes.Repeat(wsFrame(0, mask, ""), 10000)
			for range 25 {
				if _, err := peer.Write(block); err != nil {
					return
				}
			}
		}()
		_, err := conn.ReadMessage(timeout(t, 60*time.Second))
		require.ErrorIs(t, err, nng.ErrConnShut)
		head, payload := readFrame(t, peer)
		require.Equal(t, byte(wsFinal|wsClose), head)
		require.Equal(t, "\x03\xf1", payload) // 1009
	})
	// As many as there may be, and what they hold.
	wsPeers(t, func(t *testing.T, conn *nng.WSConn, peer net.Conn, mask byte) {
		go func() {
			peer.Write(wsFrame(wsBinary, mask, ""))
			for i := range 60 {
				peer.Write(bytes.Repeat(wsFrame(0, mask, fmt.Sprintf("%016d", i)), 1000))
			}
			peer.Write(wsFrame(wsFinal, mask, "end"))
		}()
		got, err := conn.ReadMessage(timeout(t, 60*time.Second))
		require.NoError(t, err)
		var want strings.Builder
		for i := range 60 {
			want.WriteString(strings.Repeat(fmt.Sprintf("%016d", i), 1000))
		}
		require.True(t, want.String()+"end" == string(got), "%d bytes are others", len(got))
	})
}

// readFrame reads a frame of less than 126 bytes, masked or not.
func readFrame(t testing.TB, r io.Reader) (head byte, payload string) {
	t.Helper()
	var b [2]byte
	_, err := io.ReadFull(r, b[:])
	require.NoError(t, err)
	var mask [4]byte
	if b[1] >= 0x80 {
		_, err = io.ReadFull(r, mask[:])
		require.NoError(t, err)
	}
	data := make([]byte, b[1]&0x7f)
	_, err = io.ReadFull(r, data)
	require.NoError(t, err)
	for i := range data {
		data[i] ^= mask[i%4]
	}
	return b[0], string(data)
}

// A peer that pings and does not read is owed one pong, for its last ping (W14).
func TestWSPings(t *testing.T) {
	const pings = 200_000 // far more than the system's buffers hold
	wsPeers(t, func(t *testing.T, conn *nng.WSConn, peer net.Conn, mask byte) {
		read := make(chan error, 1)
		go func() {
			message, err := conn.ReadMessage(timeout(t, 60*time.Second))
			if err == nil && string(message) != "after the pings" {
				err = errors.New("another message")
			}
			read <- err
		}()
		out := bufio.NewWriterSize(peer, 1<<16)
		for i := range pings {
			out.Write(wsFrame(wsFinal|wsPing, mask, fmt.Sprintf("%0100d", i)))
		}
		out.Write(wsFrame(wsFinal|wsBinary, mask, "after the pings"))
		require.NoError(t, out.Flush())
		require.NoError(t, <-read)

		in, pongs, last := bufio.NewReader(peer), 0, fmt.Sprintf("%0100d", pings-1)
		for payload := ""; payload != last; pongs++ {
			require.Less(t, pongs, pings)
			var head byte
			head, payload = readFrame(t, in)
			require.Equal(t, byte(wsFinal|wsPong), head)
		}
		t.Logf("%d pongs for %d pings", pongs, pings)
		assert.Less(t, pongs, pings/2)
	})
}

// A connection whose handshake was refused carries nothing more: what follows the request may
// be frames.
func TestWSRefusalCloses(t *testing.T) {
	l := newWSListener(t, "ws://127.0.0.1:0/chat")
	addr, err := l.Addr()
	require.NoError(t, err)
	head := "GET /chat HTTP/1.1\r\nHost: " + addr.String() + "\r\n"
	for _, fields := range []string{"", "Upgrade: websocket\r\nConnection: Upgrade\r\n"} {
		got := deliver(t, addr.String(), head+fields+"\r\n", head+"\r\n")
		assert.Equal(t, []string{"400"}, statuses(got), "%q", got)
		assert.Contains(t, got, "\r\nConnection: close\r\n")
	}
}
