package nethttp

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"sync"

	"github.com/gonng/nnghttp/nng"
)

// backlog is how many connections may wait for Accept.
const backlog = 128

// A listener gives out connections of an nng server, each at its first request for a
// pattern, with the head of that request given back.
type listener struct {
	srv     *nng.Server
	handler *nng.Handler
	owned   bool // srv is ours
	addr    net.Addr

	conns   chan net.Conn
	closing chan struct{}
	once    sync.Once
	mu      sync.Mutex // guards what goes into conns
}

// Listen holds and starts the nng server for a URL and returns a net.Listener of the
// connections whose first request matches pattern, "[METHOD ][HOST]/PATH": a slash at its
// end stands for everything below, "/" for everything that no other handler takes. What
// follows on a connection is the listener's too. So http.Server.Serve, or any other
// server, runs on nng's port beside nng's own handlers and sockets.
//
// nng has parsed the first request. It is given back as nng has understood it: without blanks
// around values, and, with an nng other than the one that we build, with fields of one name
// joined. Over TLS it is nng that encrypts, so http.Request.TLS is nil.
//
// The first head has the limits of the nng server: 30 seconds, if nothing else was set (see
// nng.Limits; to set them use ListenOn). After that, limits are up to the server that runs
// on the listener.
//
// 128 connections wait for Accept; more are answered with 503. Close makes Accept return
// net.ErrClosed, closes the connections that are waiting, and stops the server unless
// others hold its address; accepted connections live on.
//
// Errors: those of nng.HoldServer, nng.Server.Start and nng.Server.AddHandler; a pattern
// that is not one. For https see ListenOn.
func Listen(url, pattern string) (net.Listener, error) {
	srv, err := nng.HoldServer(url)
	if err != nil {
		return nil, err
	}
	l, err := listenOn(srv, pattern)
	if err == nil {
		if err = srv.Start(); err == nil {
			l.addr, err = srv.Addr()
		}
	}
	if err != nil {
		return nil, errors.Join(err, srv.Close())
	}
	l.owned = true
	return l, nil
}

// ListenOn is Listen for a server that the caller holds, and starts and closes: one that
// speaks TLS, or has other handlers. Closing the listener takes its handler off the server.
// Addr tells the server's address once that is started.
func ListenOn(srv *nng.Server, pattern string) (net.Listener, error) {
	l, err := listenOn(srv, pattern)
	if err != nil {
		return nil, err
	}
	return l, nil
}

func listenOn(srv *nng.Server, pattern string) (*listener, error) {
	p, err := parsePattern(pattern)
	if err != nil {
		return nil, err
	}
	l := &listener{srv: srv, conns: make(chan net.Conn, backlog), closing: make(chan struct{})}
	if l.handler, err = p.handler(l.take); err != nil {
		return nil, err
	}
	if err = srv.AddHandler(l.handler); err != nil {
		return nil, errors.Join(err, l.handler.Close())
	}
	return l, nil
}

// take is the handler: it takes the connection over and queues it for Accept.
func (l *listener) take(_ context.Context, conn *nng.Conn, req *nng.Request) (*nng.Response, error) {
	head, err := req.Head()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isClosed() || len(l.conns) == cap(l.conns) {
		return unavailable()
	}
	if err := conn.Hijack(); err != nil {
		return nil, err
	}
	l.conns <- &takenConn{bulkConn: bulkConn{Conn: conn}, head: headBytes(head)}
	return nil, nil
}

func unavailable() (*nng.Response, error) {
	res, err := nng.NewErrorResponse(http.StatusServiceUnavailable)
	if err != nil {
		return nil, err
	}
	return res, errors.Join(res.SetHeader("Retry-After", "1"), res.SetHeader("Connection", "close"))
}

// headBytes writes the head of a request as it may have come.
func headBytes(h nng.RequestHead) []byte {
	var b bytes.Buffer
	b.WriteString(h.Method + " " + h.URI + " " + h.Version + "\r\n")
	for _, f := range h.Headers {
		b.WriteString(f.Name + ": " + f.Value + "\r\n")
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

func (l *listener) isClosed() bool {
	select {
	case <-l.closing:
		return true
	default:
		return false
	}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	if !l.isClosed() {
		select {
		case c := <-l.conns:
			return c, nil
		case <-l.closing:
		}
	}
	return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr {
	if l.addr != nil {
		return l.addr
	}
	if addr, err := l.srv.Addr(); err == nil {
		return addr
	}
	return &net.TCPAddr{}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	err := error(&net.OpError{Op: "close", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed})
	l.once.Do(func() {
		l.mu.Lock()
		close(l.closing)
		l.mu.Unlock()
		if err = l.srv.DelHandler(l.handler); err == nil {
			err = l.handler.Close()
		}
		if errors.Is(err, nng.ErrClosed) || errors.Is(err, nng.ErrNotFound) {
			err = nil // the server was closed before, and the handler with it
		}
		for len(l.conns) > 0 {
			select {
			case c := <-l.conns:
				_ = c.Close()
			default: // Accept was faster
			}
		}
		if l.owned {
			err = errors.Join(err, l.srv.Close())
		}
	})
	return err
}

// A takenConn is a connection whose first bytes were read already.
type takenConn struct {
	bulkConn
	mu   sync.Mutex
	head []byte
}

func (c *takenConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	n := copy(p, c.head)
	if c.head = c.head[n:]; len(c.head) == 0 {
		c.head = nil
	}
	c.mu.Unlock()
	if n > 0 || len(p) == 0 {
		return n, nil
	}
	return c.bulkConn.Read(p)
}
