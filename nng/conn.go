package nng

import (
	"bytes"
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// #include "http_cgo.h"
import "C"

// Conn is an HTTP connection (nng_http_conn) and a net.Conn.
//
// A Conn comes from Client.Connect, or from a handler. The handler's belongs to
// the server until Hijack; see there. Either way whoever owns it calls Close.
//
// All methods may be called concurrently. At most one read and one write are in
// flight in C at a time; further callers wait in Go.
//
// There are two families of methods:
//
//   - Read, Write and the deadlines are those of net.Conn. A deadline does not harm
//     the connection: in C the transfer goes on, and the next Read gets its bytes.
//     Write copies into a bounded queue that C empties in the background, as the
//     kernel does with its own buffer; an error met there is returned by the next
//     Write or Flush.
//   - The methods that take a context are C's operations. Cancelling one closes the
//     connection, because C does that (nng_http_conn_read(3)): afterwards every
//     call answers ErrConnShut, and Close is still to be called. Their errors: ErrCanceled
//     and ErrTimedOut (the context), ErrConnShut, ErrConnReset, ErrClosed, ErrProtocol (a
//     head that is none), ErrState (a Read that timed out, or ReadAhead, has bytes to be read first),
//     ErrBusy (the message is in use), ErrNoMemory; over TLS ErrCrypto and ErrPeerAuth.
type Conn struct {
	c       *C.nng_http_conn
	req     *Request                // the request a server connection came with
	traffic atomic.Pointer[traffic] // made when it is needed: many handlers only return a response
	closed  atomic.Bool
	secure  bool // over TLS
	maxBody bodyLimit

	callMu        sync.Mutex // guards who owns the connection, that closed is set, traffic is made
	call          *call      // the handler call that owns the connection, nil once hijacked
	tracked       bool       // the server knows that a handler uses it
	local, remote net.Addr
}

var _ net.Conn = (*Conn)(nil)

// traffic is what a connection needs to be read and written.
type traffic struct {
	rd readSide
	wr writeSide

	readDeadline  deadline
	writeDeadline deadline

	closing  chan struct{} // closed by Close: waiting calls return
	finished chan struct{} // closed when C's connection is gone

	transacting chan struct{} // holds a token during transactInGo
}

// io returns the connection's traffic.
func (c *Conn) io() *traffic {
	if t := c.traffic.Load(); t != nil {
		return t
	}
	c.callMu.Lock()
	defer c.callMu.Unlock()
	t := c.traffic.Load()
	if t == nil {
		c.closed.CompareAndSwap(false, c.c == nil) // the zero value
		t = &traffic{
			readDeadline:  newDeadline(),
			writeDeadline: newDeadline(),
			closing:       make(chan struct{}),
			finished:      make(chan struct{}),
		}
		if !transactsInC {
			t.transacting = make(chan struct{}, 1)
		}
		t.rd.turn = make(chan struct{}, 1)
		t.wr.turn = make(chan struct{}, 1)
		t.wr.moved = make(chan struct{}, 1)
		if c.closed.Load() {
			close(t.closing)
		}
		c.traffic.Store(t)
	}
	return t
}

// shut marks the connection as closed and makes waiting calls return. It says whether this
// is the first time. callMu is held.
func (c *Conn) shut() bool {
	if c.closed.Swap(true) {
		return false
	}
	if t := c.traffic.Load(); t != nil {
		close(t.closing)
	}
	return true
}

// wrote reports whether anything was written.
func (c *Conn) wrote() bool {
	t := c.traffic.Load()
	return t != nil && t.wr.used.Load()
}

// lingerTime is how long bytes that are queued at Close, or when a handler returns, may stay
// without moving before they are given up.
func lingerTime() time.Duration { return time.Duration(lingerNanos.Load()) }

// lingerNanos is changed by tests only.
var lingerNanos atomic.Int64

func init() { lingerNanos.Store(int64(30 * time.Second)) }

// closeWait is how long Close itself waits for them.
const closeWait = 250 * time.Millisecond

// connErrno translates what C answers on a connection that we have not closed.
// C closes a connection on any error and when an operation is cancelled, and says
// ErrClosed from then on.
func connErrno(e Errno) Errno {
	if e == ErrClosed || e == ErrCanceled {
		return ErrConnShut
	}
	return e
}

// addr asks for an address once, while the connection is known to be alive.
func (c *Conn) addr(remote bool) net.Addr {
	var sa C.nng_sockaddr
	if C.nngo_conn_addr(c.c, C.bool(remote), &sa) == 0 {
		if a := tcpAddr(&sa); a != nil {
			return a
		}
	}
	return unknownAddr{}
}

// unknownAddr stands for an address that this libnng does not tell.
type unknownAddr struct{}

func (unknownAddr) Network() string { return "tcp" }
func (unknownAddr) String() string  { return "unknown" }

// LocalAddr returns the local address, as far as libnng tells it. Libraries that
// hide it, which shared ones do, give an address whose String is "unknown".
func (c *Conn) LocalAddr() net.Addr { return c.address(false) }

// RemoteAddr returns the address of the peer; see LocalAddr.
func (c *Conn) RemoteAddr() net.Addr { return c.address(true) }

// Secure reports whether the connection is over TLS.
func (c *Conn) Secure() bool { return c.secure }

func (c *Conn) address(remote bool) net.Addr {
	c.callMu.Lock()
	defer c.callMu.Unlock()
	at := &c.local
	if remote {
		at = &c.remote
	}
	if *at == nil {
		if c.open("address") != nil {
			return unknownAddr{}
		}
		*at = c.addr(remote)
	}
	return *at
}

// open answers ErrClosed if the connection is closed.
func (c *Conn) open(op string) error {
	if c.closed.Load() || c.c == nil {
		return closedError(op)
	}
	return nil
}

// SetDeadline sets the read and the write deadline. Its only error, and that of the other two,
// is net.ErrClosed.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.open("set deadline"); err != nil {
		return err
	}
	c.io().readDeadline.set(t)
	c.io().writeDeadline.set(t)
	return nil
}

// SetReadDeadline sets the time after which Read answers os.ErrDeadlineExceeded;
// the zero time means never. It applies to calls that wait already.
func (c *Conn) SetReadDeadline(t time.Time) error {
	if err := c.open("set read deadline"); err != nil {
		return err
	}
	c.io().readDeadline.set(t)
	return nil
}

// SetWriteDeadline sets the time after which Write answers os.ErrDeadlineExceeded;
// the zero time means never. It applies to calls that wait already.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	if err := c.open("set write deadline"); err != nil {
		return err
	}
	c.io().writeDeadline.set(t)
	return nil
}

// Hijack takes the connection away from the server (nng_http_hijack). A handler
// calls it, usually to speak another protocol from then on.
//
// After Hijack the server does nothing more with the connection: it sends no
// response, and stopping or closing it leaves the connection alone. The caller
// closes the connection. The request given to the handler lives until then too.
// Deadlines may be set. Bytes that nng had read behind the head come out of the
// first Read. The handler returns nil, nil, whenever it likes: Server.Stop does not wait
// for it any more.
//
// Errors: ErrState when the connection is hijacked already or was not given to a
// handler, ErrClosed when the handler has returned or the connection is closed.
func (c *Conn) Hijack() error {
	c.callMu.Lock()
	defer c.callMu.Unlock()
	if c.closed.Load() {
		return closedError("hijack")
	}
	if c.call == nil {
		return refuse("hijack", "", ErrState, "the connection does not belong to a server (any more)")
	}
	if err := check("hijack", "", int(C.nng_http_hijack(c.c))); err != nil {
		return err
	}
	if c.tracked {
		c.call.server.untrack(c)
	}
	call := c.call
	c.call = nil
	call.ctx.Detach()
	c.req.adopt()
	live.conns.Add(1)
	// For the server the call is over, so that Stop does not wait for what may last as
	// long as the connection.
	enterC()
	C.nngo_call_end(call.server.n, call.aio, 0)
	leaveC()
	return nil
}

// Close closes the connection (nng_http_conn_close) and frees it. Waiting calls
// return with ErrClosed. Bytes that are queued are sent first: Close waits while
// they move, and lets go after a quarter of a second without movement; then they
// go out in the background until 30 seconds pass without movement. Deadlines do not
// matter to that.
//
// In a handler, before Hijack, Close drops the connection: it is closed when the
// handler returns, whatever that returns.
//
// The first call returns nil, further ones ErrClosed.
func (c *Conn) Close() error {
	if c.c == nil {
		return closedError("close")
	}
	c.callMu.Lock()
	first, owned := c.shut(), c.call == nil
	c.callMu.Unlock()
	if !first {
		return closedError("close")
	}
	if !owned {
		return nil
	}
	t := c.io()
	go c.teardown(t)
	if d := t.rd.data.Load(); d != nil && !d.mu.TryLock() {
		return nil // the function of OnData is running, and may be who calls
	} else if d != nil {
		d.mu.Unlock()
	}
	wait := time.NewTimer(closeWait)
	defer wait.Stop()
	for sent := t.wr.writes(); ; {
		select {
		case <-t.finished:
			return nil
		case <-wait.C:
			now := t.wr.writes()
			if now == sent {
				return nil
			}
			sent = now
			wait.Reset(closeWait)
		}
	}
}

// teardown ends everything on a connection that is ours and frees it. nng demands
// the order: every aio is done before the connection goes (defect S23), and
// buffers go last, because over TLS a cancelled read may still point at its own.
func (c *Conn) teardown(t *traffic) {
	t.retire()
	t.wr.drain(c, lingerTime(), nil, nil)
	t.stop()
	if c.req != nil {
		c.req.leave() // it must not ask the connection for anything any more
	}
	C.nng_http_conn_close(c.c)
	t.free()
	if c.req != nil {
		c.req.Close()
	}
	live.conns.Add(-1)
	close(t.finished)
}

// drop makes a handler's connection fail, so that the handler returns.
func (c *Conn) drop() {
	c.callMu.Lock()
	defer c.callMu.Unlock()
	if c.call != nil && !c.closed.Load() {
		c.call.ctx.Cancel() // whoever sees the connection fail finds the reason
		c.shut()
	}
}

// inUse notes that a handler reads or writes its connection, so that closing the
// server can interrupt it.
func (c *Conn) inUse() {
	c.callMu.Lock()
	aborted := false
	if c.call != nil {
		c.tracked = true
		aborted = c.call.server.track(c)
	}
	c.callMu.Unlock()
	if aborted {
		c.drop()
	}
}

// reclaim ends a server connection's use by a handler, unless that has hijacked it. usable
// is false if it was closed. t is what settle has to deal with.
func (c *Conn) reclaim() (hijacked, usable bool, t *traffic) {
	c.callMu.Lock()
	defer c.callMu.Unlock()
	if c.call == nil {
		return true, false, nil
	}
	return false, c.shut(), c.traffic.Load() // no Hijack from here on
}

// settle waits until what the handler has written is out, and says whether the connection can
// be used for another request.
func (c *Conn) settle(t *traffic) (ok bool) {
	t.retire()
	ok = true
	if t.rd.op != nil || t.wr.c != nil {
		ok = t.wr.drain(c, lingerTime(), c.call.server.ctx.Done(), t.writeDeadline.passed()) && !t.rd.pending()
		t.stop()
		t.free()
	}
	t.writeDeadline.set(time.Time{})
	if c.tracked {
		c.call.server.untrack(c)
	}
	return ok
}

// retire takes both turns for good. The connection is closed, so whoever has one
// gives it back, and nobody asks for one again.
func (t *traffic) retire() {
	t.rd.turn <- struct{}{}
	t.wr.turn <- struct{}{}
	t.readDeadline.set(time.Time{})
}

// stop cancels what is in flight and waits until C has let go of it.
func (t *traffic) stop() {
	if o := t.rd.op; o != nil {
		C.nngo_op_stop(o.c)
	}
	if d := t.rd.data.Load(); d != nil {
		d.stop()
	}
	if t.wr.c != nil {
		C.nngo_writer_stop(t.wr.c)
	}
}

// free frees aios and buffers, after stop.
func (t *traffic) free() {
	t.rd.free()
	t.wr.free()
	t.writeDeadline.set(time.Time{})
}

// Read reads up to len(p) bytes (nng_http_conn_read). It never reads more from C
// than len(p), so Read may be mixed with ReadReq and ReadRes. At the end of the
// stream it returns io.EOF.
//
// Errors: *OpError with os.ErrDeadlineExceeded, net.ErrClosed, ErrConnReset, and
// over TLS ErrPeerAuth and ErrCrypto (an untouched libnng with mbedTLS 2 says ErrCrypto
// for both).
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 { // C would close the connection (defect CL19)
		return 0, c.open("read")
	}
	return c.io().rd.read(c, p, len(p))
}

// ReadAhead is Read for callers that take many small pieces of a long stream: while much arrives, one
// read of C takes up to max bytes, 64 KiB at the most, and what p has no room for is kept for
// the next Read or ReadAhead. Until all of that has been taken ReadReq, ReadRes, ReadAll,
// Transact and OnData answer ErrState, and a handler that returns has the connection closed.
//
// Errors: those of Read; ErrInvalid (max is less than 1).
func (c *Conn) ReadAhead(p []byte, max int) (int, error) {
	if len(p) == 0 {
		return 0, c.open("read ahead")
	}
	if max < 1 {
		return 0, refuse("read ahead", "", ErrInvalid, "max is a number of bytes, 1 at the least")
	}
	return c.io().rd.read(c, p, max)
}

// Unread puts p back in front of what is read next, for callers that had to read on to find
// where something ends, or which protocol it is. C takes it back, and ReadReq and ReadRes find it
// there; it has room for all that one Read has brought, up to 8 KiB (after ReadAll there may be less).
// Where C cannot (a Read has
// timed out, the stream has ended) Conn keeps it for the next Read, and until that has taken it
// the others return ErrState, as after ReadAhead. Transact has no use for bytes before its
// response, and fails. Unread waits for a Read that is under way. nng's public API has nothing
// like it.
//
// Errors: *OpError with ErrNotSupported (a libnng without patch 0097; to find out, give back
// nothing), ErrTooLong (no room; nothing was put back), ErrState (OnData reads), ErrConnShut (C
// has closed the connection), net.ErrClosed.
func (c *Conn) Unread(p []byte) error {
	if err := c.open("unread"); err != nil {
		return err
	}
	if !canUnread {
		return refuse("unread", "", ErrNotSupported, "a published libnng takes nothing back")
	}
	if len(p) == 0 {
		return nil
	}
	s := &c.io().rd
	if err := s.take(context.Background(), c, "unread"); err != nil {
		return err
	}
	defer s.give()
	if s.pending() { // C's next bytes are not the ones after p
		s.rest = slices.Concat(p, s.rest)
	} else {
		enterC()
		rv := C.nngo_conn_unread(c.c, unsafe.Pointer(&p[0]), C.size_t(len(p)))
		leaveC()
		switch e := connErrno(Errno(rv)); e {
		case 0:
		case ErrState: // C may still be reading for an AwaitData that was given up
			s.rest = bytes.Clone(p)
		default:
			return &OpError{Op: "unread", Err: e}
		}
	}
	s.came -= int64(len(p)) // they may be of a body that is left
	return nil
}

// canUnread is whether the library can take bytes back (patch P31).
var canUnread = bool(C.nngo_can_unread())

// Write queues p for sending (nng_http_conn_write_all) and returns when all of it
// is queued. Close sends what is queued; Flush waits for it.
//
// Errors: *OpError with os.ErrDeadlineExceeded, net.ErrClosed, ErrConnShut (the
// peer is gone), and over TLS ErrCrypto and ErrPeerAuth.
func (c *Conn) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, c.open("write")
	}
	return c.io().wr.write(c, p)
}

// Flush waits until everything written has been taken by the kernel, or over TLS
// by the TLS engine, and returns the error if any of it could not be sent. A context that ends
// does no harm to what is queued.
//
// Errors: those of Write, context.Canceled, context.DeadlineExceeded.
func (c *Conn) Flush(ctx context.Context) error {
	_, err := c.writeOp(ctx, "flush", nil)
	return err
}

// CloseWrite ends the direction to the peer after all that was written: the peer's reads end with
// io.EOF, and it can go on sending, as with net.TCPConn.CloseWrite. It waits until the kernel has
// taken what is queued, and until the write deadline at the most. nng's public API has nothing
// like it.
//
// Errors: *OpError with ErrNotSupported (TLS, or a libnng without patch 0081), ErrConnShut (the
// peer is gone, and so may be what was queued), os.ErrDeadlineExceeded, net.ErrClosed.
func (c *Conn) CloseWrite() error {
	const op = "close write"
	t := c.io()
	passed := t.writeDeadline.passed()
	if err := takeTurn(op, t.wr.turn, t.closing, passed); err != nil {
		return err
	}
	defer t.wr.give()
	for {
		busy, err := t.wr.look(true)
		switch {
		case c.closed.Load():
			return closedError(op)
		case err != 0:
			return &OpError{Op: op, Err: err}
		case !busy:
			enterC()
			rv := connErrno(Errno(C.nngo_conn_fin(c.c)))
			leaveC()
			if rv == ErrSystem+Errno(syscall.ENOTCONN) { // both directions have ended
				rv = ErrConnShut
			}
			return check(op, "", int(rv))
		case isOver(passed):
			return &OpError{Op: op, Err: ErrTimedOut}
		}
		select {
		case <-t.wr.moved:
		case <-t.closing:
		case <-passed:
			passed = t.writeDeadline.passed() // it may have been moved on
		}
	}
}

// ReadAll fills p (nng_http_conn_read_all). On error the number of bytes that had
// arrived is unknown, as in C, and nothing is returned of them.
func (c *Conn) ReadAll(ctx context.Context, p []byte) error {
	if len(p) == 0 {
		return c.open("read all")
	}
	return c.readOp(ctx, "read all", func(s *readSide) error {
		if err := s.buf.reserve(len(p)); err != 0 {
			return &OpError{Op: "read all", Err: err}
		}
		enterC()
		s.op.started(C.nngo_conn_read(c.c, s.op.c, s.buf.ptr(), C.size_t(len(p)), true))
		return nil
	}, func(s *readSide) { copy(p, s.buf.mem) })
}

// WriteSome writes at least one byte of p and says how many
// (nng_http_conn_write).
func (c *Conn) WriteSome(ctx context.Context, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, c.open("write some")
	}
	return c.writeOp(ctx, "write some", func(s *writeSide) error { return s.startBytes("write some", p, false) })
}

// WriteAll writes all of p and returns when C has done it
// (nng_http_conn_write_all).
func (c *Conn) WriteAll(ctx context.Context, p []byte) error {
	if len(p) == 0 {
		return c.open("write all")
	}
	_, err := c.writeOp(ctx, "write all", func(s *writeSide) error { return s.startBytes("write all", p, true) })
	return err
}

// ReadReq reads the head of a request into req, which is reset first
// (nng_http_conn_read_req). A body is left for Read.
func (c *Conn) ReadReq(ctx context.Context, req *Request) error {
	if req == nil {
		return refuse("read req", "", ErrInvalid, "the request is nil")
	}
	return c.readHead(ctx, "read req", &req.message, req.Reset, func(o *op) {
		enterC()
		o.started(C.nngo_conn_read_req(c.c, req.req, o.c))
	})
}

// ReadRes reads the head of a response into res, which is reset first
// (nng_http_conn_read_res). A body is left for Read.
func (c *Conn) ReadRes(ctx context.Context, res *Response) error {
	if res == nil {
		return refuse("read res", "", ErrInvalid, "the response is nil")
	}
	return c.readHead(ctx, "read res", &res.message, res.Reset, func(o *op) {
		enterC()
		o.started(C.nngo_conn_read_res(c.c, res.res, o.c))
	})
}

func (c *Conn) readHead(ctx context.Context, op string, m *message, reset func() error, start func(*op)) error {
	return c.readOp(ctx, op, func(s *readSide) error {
		if err := reset(); err != nil {
			return err
		}
		if err := m.acquire(op); err != nil {
			return err
		}
		s.after = func() { m.release(false) }
		start(s.op)
		return nil
	}, nil)
}

// WriteReq writes a request, body included (nng_http_conn_write_req).
func (c *Conn) WriteReq(ctx context.Context, req *Request) error {
	if req == nil {
		return refuse("write req", "", ErrInvalid, "the request is nil")
	}
	return c.writeMessage(ctx, "write req", &req.message, req.sendable, func(w *C.nngo_writer) {
		enterC()
		C.nngo_writer_req(w, req.req)
		leaveC()
	})
}

// WriteRes writes a response, body included (nng_http_conn_write_res). It sends
// what it is given: Connection and Content-Length are the caller's.
func (c *Conn) WriteRes(ctx context.Context, res *Response) error {
	if res == nil {
		return refuse("write res", "", ErrInvalid, "the response is nil")
	}
	return c.writeMessage(ctx, "write res", &res.message, nil, func(w *C.nngo_writer) {
		enterC()
		C.nngo_writer_res(w, res.res)
		leaveC()
	})
}

func (c *Conn) writeMessage(ctx context.Context, op string, m *message, sendable func(string) error, start func(*C.nngo_writer)) error {
	_, err := c.writeOp(ctx, op, func(s *writeSide) error {
		if err := m.acquire(op); err != nil {
			return err
		}
		if sendable != nil {
			if err := sendable(op); err != nil {
				m.release(false)
				return err
			}
		}
		s.mu.Lock()
		s.after = func() { m.release(true) }
		s.mu.Unlock()
		start(s.c)
		return nil
	})
	return err
}

// SetMaxBody bounds the bodies of responses that Transact receives; 0 means no bound. To
// start with it is what the Client has that made the connection, or DefaultMaxBody.
//
// Errors: ErrInvalid (a negative size), ErrClosed.
func (c *Conn) SetMaxBody(bytes int) error {
	if err := c.open("set max body"); err != nil {
		return err
	}
	return c.maxBody.set("set max body", bytes)
}

// Transact sends a request and receives the response with its body, whole
// (nng_http_conn_transact). The connection stays open for another one, unless the
// peer says otherwise. Responses that come before the final one, such as 103, are skipped.
//
// A body has a length, or is chunked, or ends with the connection, which takes as long
// as the peer likes. There is none after HEAD, a CONNECT that succeeds, and with status
// 101, 204 or 304. A body that is cut off is an error, and so is one with any other
// transfer coding. A body of more than SetMaxBody is ErrTooLong, as soon as that is known,
// and so is a head that is larger than nng takes. After an error the connection is closed
// in C, and Close is still to be called.
//
// req and res belong to C until Transact returns; they answer ErrBusy meanwhile.
func (c *Conn) Transact(ctx context.Context, req *Request, res *Response) error {
	if !transactsInC {
		return c.transactInGo(ctx, req, res)
	}
	// A transaction reads and writes, so it takes both turns.
	if err := c.io().rd.take(ctx, c, "transact"); err != nil {
		return err
	}
	if err := c.io().wr.take(ctx, c, "transact"); err != nil {
		c.io().rd.give()
		return err
	}
	giveBack := func(Errno) {
		c.io().rd.give()
		c.io().wr.give()
	}
	if rd := &c.io().rd; rd.untaken() {
		giveBack(0)
		return refuse("transact", "", ErrState, readPending)
	}
	t, err := newTransaction(req, res, giveBack)
	if err != nil {
		giveBack(0)
		return err
	}
	c.inUse()
	enterC()
	t.op.started(C.nngo_conn_transact(c.c, req.req, res.res, c.maxBody.max(), t.op.c))
	err = t.wait(ctx, c.io().closing)
	if errors.Is(err, ErrClosed) && !c.closed.Load() {
		err = &OpError{Op: "transact", Err: ErrConnShut}
	}
	return err
}
