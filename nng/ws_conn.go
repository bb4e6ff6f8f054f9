package nng

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// #include "ws_cgo.h"
import "C"

// WSConn is a WebSocket connection that carries whole messages (nng_stream). It comes
// from WSListener.Accept or WSDialer.Dial and belongs to the caller, who closes it; it
// outlives the listener, the dialer and the server.
//
// All methods may be called concurrently. One message is received and one is sent at a
// time; further callers wait in Go.
//
// nng does the rest of the protocol while it receives: it answers pings and notices that
// the peer closes only while ReadMessage is waiting, or reads one message ahead. To a peer
// that pings and does not read it keeps one answer, to the last ping. (In a library without
// our patch it keeps one for each, defect W14.)
type WSConn struct {
	c       *C.nng_stream
	tooLong int  // messages of more bytes are refused here, if C does not; 0 for none
	text    bool // text messages are allowed

	rd, wr      *op
	rdTurn      chan struct{} // holds a token unless a receive is in the hands of C
	wrTurn      chan struct{}
	writeFailed atomic.Bool
	closing     chan struct{}
	closed      sync.Once
	finished    chan struct{} // closed when C's stream is given back
	mu          sync.Mutex    // guards that the stream is there
	local       net.Addr
	remote      net.Addr
	uri         string
	reqHeaders  []HeaderField
	resHeaders  []HeaderField
	sub         string
}

// wsCloseGrace is how long an operation may take to end when the stream is closed:
// nng gives the close frame 100 ms to go out, then it cuts the connection.
const wsCloseGrace = 300 * time.Millisecond

// wsRecvMax is what nng takes for SetRecvMaxSize to start with.
const wsRecvMax = 1 << 20

// newWSConn takes over a stream.
func newWSConn(c *C.nng_stream, o *wsOptions, dialed bool) (*WSConn, Errno) {
	conn := &WSConn{
		c:        c,
		rdTurn:   make(chan struct{}, 1),
		wrTurn:   make(chan struct{}, 1),
		closing:  make(chan struct{}),
		finished: make(chan struct{}),
	}
	o.mu.Lock()
	conn.text = o.recvText
	if dialed && !mends("w4") {
		conn.tooLong = wsRecvMax
		if o.recvMax != nil {
			conn.tooLong = *o.recvMax
		}
	}
	o.mu.Unlock()
	var e Errno
	if conn.rd, e = newOp(); e == 0 {
		if conn.wr, e = newOp(); e != 0 {
			conn.rd.free()
		}
	}
	if e != 0 {
		C.nng_stream_free(c)
		return nil, e
	}
	conn.rdTurn <- struct{}{}
	conn.wrTurn <- struct{}{}
	// C tells these as long as the stream is open, so they are asked for now.
	conn.uri = stringOption(func(s **C.char) C.int {
		return C.nng_stream_get_string(c, cstring(C.NNG_OPT_WS_REQUEST_URI), s)
	})
	conn.reqHeaders = headerFields(stringOption(func(s **C.char) C.int {
		return C.nng_stream_get_string(c, cstring(C.NNG_OPT_WS_REQUEST_HEADERS), s)
	}))
	conn.resHeaders = headerFields(stringOption(func(s **C.char) C.int {
		return C.nng_stream_get_string(c, cstring(C.NNG_OPT_WS_RESPONSE_HEADERS), s)
	}))
	conn.sub = fieldValue(conn.resHeaders, "Sec-WebSocket-Protocol")
	conn.local, conn.remote = wsAddr(c, C.NNG_OPT_LOCADDR), wsAddr(c, C.NNG_OPT_REMADDR)
	live.wsConns.Add(1)
	return conn, 0
}

func wsAddr(c *C.nng_stream, option string) net.Addr {
	var sa C.nng_sockaddr
	if C.nng_stream_get_addr(c, cstring(option), &sa) == 0 {
		if a := tcpAddr(&sa); a != nil {
			return a
		}
	}
	return unknownAddr{}
}

// LocalAddr returns the local address (NNG_OPT_LOCADDR).
func (c *WSConn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the address of the peer (NNG_OPT_REMADDR).
func (c *WSConn) RemoteAddr() net.Addr { return c.remote }

// URI returns the path and the query that the client asked for (NNG_OPT_WS_REQUEST_URI).
func (c *WSConn) URI() string { return c.uri }

// SubProtocol returns the sub-protocol that was agreed on, "" for none.
func (c *WSConn) SubProtocol() string { return c.sub }

// RequestHeader returns a header of the handshake's request, "" if it is not there
// (NNG_OPT_WS_REQUEST_HEADER). For connections of browsers a server should look at Origin.
func (c *WSConn) RequestHeader(name string) string { return fieldValue(c.reqHeaders, name) }

// RequestHeaders returns all headers of the request (NNG_OPT_WS_REQUEST_HEADERS).
func (c *WSConn) RequestHeaders() []HeaderField { return append([]HeaderField(nil), c.reqHeaders...) }

// ResponseHeader returns a header of the handshake's response, "" if it is not there
// (NNG_OPT_WS_RESPONSE_HEADER).
func (c *WSConn) ResponseHeader(name string) string { return fieldValue(c.resHeaders, name) }

// ResponseHeaders returns all headers of the response (NNG_OPT_WS_RESPONSE_HEADERS).
func (c *WSConn) ResponseHeaders() []HeaderField {
	return append([]HeaderField(nil), c.resHeaders...)
}

// SetNoDelay says whether small messages are sent at once, which they are from the
// start (NNG_OPT_TCP_NODELAY).
//
// Errors: ErrConnShut (the connection has ended), ErrClosed.
func (c *WSConn) SetNoDelay(on bool) error {
	return c.setBool("ws set no delay", C.NNG_OPT_TCP_NODELAY, on)
}

// SetKeepAlive says whether the system looks after a silent peer
// (NNG_OPT_TCP_KEEPALIVE).
//
// Errors: ErrConnShut (the connection has ended), ErrClosed.
func (c *WSConn) SetKeepAlive(on bool) error {
	return c.setBool("ws set keep alive", C.NNG_OPT_TCP_KEEPALIVE, on)
}

func (c *WSConn) setBool(op, option string, on bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.c == nil || isOver(c.closing) {
		return closedError(op)
	}
	return check(op, "", int(connErrno(Errno(C.nng_stream_set_bool(c.c, cstring(option), C.bool(on))))))
}

// take waits for the turn to send or to receive.
func (c *WSConn) take(op string, ctx context.Context, turn chan struct{}) error {
	if c.c == nil || isOver(c.closing) {
		return closedError(op)
	}
	if ctx.Err() != nil {
		return &OpError{Op: op, Err: contextErrno(ctx)}
	}
	select {
	case <-turn:
	case <-ctx.Done():
		return &OpError{Op: op, Err: contextErrno(ctx)}
	case <-c.closing:
		return closedError(op)
	}
	if isOver(c.closing) {
		turn <- struct{}{}
		return closedError(op)
	}
	return nil
}

// ReadMessage waits for the next message (nng_stream_recv). The slice is the caller's.
// When ctx ends, the connection stays as it is and the next call gets the message.
//
// Errors: ErrConnShut (the peer has closed, or the connection has ended for a message
// that is too large or not allowed, or otherwise; nng does not tell), ErrTooLong (the
// same for a dialer's connection, in a library without our patch for defect W4),
// ErrCanceled, ErrTimedOut, ErrNoMemory, ErrClosed.
func (c *WSConn) ReadMessage(ctx context.Context) ([]byte, error) {
	const op = "ws read message"
	if err := c.take(op, ctx, c.rdTurn); err != nil {
		return nil, err
	}
	// As published, nng closes the stream for a text message that is not allowed, and then
	// delivers it (defect W8).
	if !c.text && !c.writeFailed.Load() && bool(C.nngo_ws_closed(c.c)) {
		c.rdTurn <- struct{}{}
		return nil, &OpError{Op: op, Err: ErrConnShut}
	}
	enterC()
	c.rd.started(C.nngo_ws_recv(c.c, c.rd.c))
	result, ok := c.rd.wait(ctx, c.closing)
	if !ok {
		go func() {
			<-c.rd.done
			if c.rd.result == 0 {
				C.nng_msg_free(C.nngo_ws_received(c.rd.c))
			}
			c.rdTurn <- struct{}{}
		}()
		return nil, &OpError{Op: op, Err: result}
	}
	if result != 0 {
		c.rdTurn <- struct{}{}
		if ctx.Err() == nil && !isOver(c.closing) {
			result = connErrno(result)
		}
		return nil, &OpError{Op: op, Err: result}
	}
	msg := C.nngo_ws_received(c.rd.c)
	defer C.nng_msg_free(msg)
	n := int(C.nng_msg_len(msg))
	if c.tooLong > 0 && n > c.tooLong {
		C.nng_stream_close(c.c)
		c.rdTurn <- struct{}{}
		return nil, refuse(op, "", ErrTooLong, "the message is larger than SetRecvMaxSize allows")
	}
	data := make([]byte, n)
	copy(data, bytesAt(C.nng_msg_body(msg), n))
	c.rdTurn <- struct{}{}
	return data, nil
}

// WriteMessage sends a message (nng_stream_send), and returns when the system has taken
// all of it. If ctx ends before, the connection is closed, because a part may be out.
//
// Errors: ErrConnShut (the connection has ended), ErrConnReset, ErrCanceled, ErrTimedOut,
// ErrTooLong, ErrNoMemory, ErrClosed.
func (c *WSConn) WriteMessage(ctx context.Context, data []byte) error {
	const op = "ws write message"
	if err := checkData("ws", "write message", len(data)); err != nil {
		return err
	}
	if err := c.take(op, ctx, c.wrTurn); err != nil {
		return err
	}
	enterC()
	c.wr.started(C.nngo_ws_send(c.c, c.wr.c, bytesOf(data), C.size_t(len(data))))
	end := func() Errno {
		result := c.wr.result
		C.nngo_ws_sent(c.wr.c)
		if result != 0 {
			c.writeFailed.Store(true)
		}
		c.wrTurn <- struct{}{}
		return result
	}
	finish := func() error {
		result := end()
		if result != 0 && isOver(c.closing) {
			return closedError(op)
		}
		return check(op, "", int(connErrno(result)))
	}
	var why Errno
	select {
	case <-c.wr.done:
		return finish()
	case <-ctx.Done():
		why = contextErrno(ctx)
	case <-c.closing:
		why = ErrClosed
	}
	select {
	case <-c.wr.done: // both at once
		return finish()
	default:
	}
	// Cancelling would do the same, but without our patch nng loses it between two
	// frames (defect W21). The close tells the peer, too, if that reads at all.
	C.nng_stream_close(c.c)
	late := time.NewTimer(wsCloseGrace)
	defer late.Stop()
	select {
	case <-c.wr.done:
		if end() == 0 && why == ErrClosed {
			return nil // it had been sent
		}
	case <-late.C:
		go func() {
			<-c.wr.done
			end()
		}()
	}
	return &OpError{Op: op, Err: why}
}

// Close closes the connection and frees it (nng_stream_close, nng_stream_free). Calls
// that wait return ErrClosed. The peer gets a close frame with code 1000 if it reads.
// nng never waits for the answer to it, and answers the close frame of a peer only with
// our patch (defect W6). Closing twice is harmless.
func (c *WSConn) Close() error {
	if c.c == nil { // the zero value
		return nil
	}
	c.closed.Do(func() {
		c.mu.Lock()
		close(c.closing)
		C.nng_stream_close(c.c)
		c.mu.Unlock()
		go c.release()
	})
	late := time.NewTimer(wsCloseGrace)
	defer late.Stop()
	select {
	case <-c.finished:
	case <-late.C:
	}
	return nil
}

// release frees everything when nothing is in the hands of C any more.
func (c *WSConn) release() {
	<-c.rdTurn
	<-c.wrTurn
	c.rd.free()
	c.wr.free()
	C.nng_stream_free(c.c)
	live.wsConns.Add(-1)
	close(c.finished)
}
