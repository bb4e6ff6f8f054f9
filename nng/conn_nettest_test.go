package nng_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"
)

const upgradeHead = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\n"

// A pair makes two connected connections: client side and server side.
type pair struct {
	mu   sync.Mutex // one at a time, or the wrong ends meet
	srv  *nng.Server
	from chan *nng.Conn
	dial func() (net.Conn, error)
}

func (p *pair) pipe() (client, server net.Conn, stop func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	client, err = p.dial()
	if err != nil {
		return nil, nil, nil, err
	}
	if _, err = fmt.Fprintf(client, "GET /take HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		return nil, nil, nil, err
	}
	select {
	case server = <-p.from:
	case <-time.After(10 * time.Second):
		return nil, nil, nil, fmt.Errorf("no connection has arrived at the handler")
	}
	if _, err = server.Write([]byte(upgradeHead)); err != nil {
		return nil, nil, nil, err
	}
	// One byte at a time, so that nothing behind the head is swallowed.
	head := bufio.NewReaderSize(oneByte{client}, 16)
	for n := 0; n < len(upgradeHead); n++ {
		if _, err = head.ReadByte(); err != nil {
			return nil, nil, nil, fmt.Errorf("reading the head: %w", err)
		}
	}
	stop = func() {
		client.Close()
		server.Close()
	}
	return client, server, stop, nil
}

type oneByte struct{ net.Conn }

func (o oneByte) Read(p []byte) (int, error) { return o.Conn.Read(p[:1]) }

func newPair(t testing.TB, secure, nngClient bool) *pair {
	t.Helper()
	p := &pair{from: make(chan *nng.Conn, 16)}
	h := newHandler(t, "/take", hijacker(p.from))
	url := "http://127.0.0.1:0"
	var cfg *nng.TLSConfig
	if secure {
		url, cfg = "https://127.0.0.1:0", serverTLS(t)
	}
	p.srv = newServerURL(t, url, cfg, h)
	addr := address(t, p.srv)
	switch {
	case nngClient:
		scheme := "http://"
		if secure {
			scheme = "https://"
		}
		c, err := nng.NewClient(scheme + addr)
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		if secure {
			require.NoError(t, c.SetTLS(clientTLS(t)))
		}
		p.dial = func() (net.Conn, error) { return c.Connect(timeout(t, 10*time.Second)) }
	case secure:
		p.dial = func() (net.Conn, error) {
			return tls.Dial("tcp", addr, &tls.Config{RootCAs: certPool(), ServerName: "localhost"})
		}
	default:
		p.dial = func() (net.Conn, error) { return net.Dial("tcp", addr) }
	}
	return p
}

// TestConn runs nettest's suite against both sides of a connection.
func TestConn(t *testing.T) {
	for _, side := range []struct {
		name              string
		secure, nngClient bool
		swap              bool // the suite's first connection is the server's
		ahead             bool // nng's connections are read with ReadAhead
	}{
		{"Server", false, false, true, false},
		{"Client", false, true, false, false},
		{"Both", false, true, true, false},
		{"BothAhead", false, true, true, true},
		{"ServerTLS", true, false, true, false},
		{"ClientTLS", true, true, false, false},
		{"BothTLS", true, true, true, false},
		{"BothAheadTLS", true, true, true, true},
	} {
		t.Run(side.name, func(t *testing.T) {
			if side.secure && nng.LinkInfo().TLSEngine == "none" {
				t.Skip("this libnng has no TLS")
			}
			p := newPair(t, side.secure, side.nngClient)
			nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
				c1, c2, stop, err = p.pipe()
				if side.ahead && err == nil {
					c1, c2 = aheadConn{c1.(*nng.Conn)}, aheadConn{c2.(*nng.Conn)}
				}
				if side.swap {
					c1, c2 = c2, c1
				}
				return c1, c2, stop, err
			})
		})
	}
}

type aheadConn struct{ *nng.Conn }

func (c aheadConn) Read(p []byte) (int, error) { return c.ReadAhead(p, 64<<10) }
