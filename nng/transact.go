package nng

import (
	"context"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"unsafe"

	"github.com/gonng/nnghttp/internal/grammar"
)

// #include "http_cgo.h"
import "C"

// DefaultMaxBody is the largest body that Transact receives unless SetMaxBody says
// otherwise: 64 MiB. It collects the body in memory, twice for a moment. For larger ones
// use Connect, WriteReq, ReadRes and Read, or nethttp.Transport, which has no bound because
// net/http reads a body as it comes.
const DefaultMaxBody = 64 << 20

// A bodyLimit is what SetMaxBody sets.
type bodyLimit struct {
	n atomic.Int64 // 0 for the default, -1 for no bound
}

func (l *bodyLimit) set(op string, bytes int) error {
	switch {
	case bytes < 0:
		return refuse(op, strconv.Itoa(bytes), ErrInvalid, "a size is a number of bytes, or 0, which means no bound")
	case bytes == 0:
		bytes = -1
	}
	l.n.Store(int64(bytes))
	return nil
}

// max is the bound for C, where 0 would mean nng's own transactions, which have none and
// take bodies without a length for empty.
func (l *bodyLimit) max() C.size_t {
	switch n := l.n.Load(); n {
	case 0:
		return DefaultMaxBody
	case -1:
		return math.MaxInt - 1
	default:
		return C.size_t(n)
	}
}

// transactsInC says whether nng does transactions. With a library that lacks our patches a
// server could make it write outside its memory (defect CL1), fill all of it (CL8), and lose
// bodies (CL7). There Go does them.
var transactsInC = bool(C.nngo_can_transact())

// A transaction is one request and its response in the hands of C. It reserves
// both messages until C has let go of them.
type transaction struct {
	op       *op
	req      *Request
	res      *Response
	giveBack func(result Errno) // called at the end
}

// acquireBoth reserves both messages, the response reset.
func acquireBoth(req *Request, res *Response) error {
	if req == nil || res == nil {
		return refuse("transact", "", ErrInvalid, "the request or the response is nil")
	}
	if err := req.acquire("transact"); err != nil {
		return err
	}
	err := req.sendable("transact")
	if err == nil {
		err = res.Reset()
	}
	if err == nil {
		err = res.acquire("transact")
	}
	if err != nil {
		req.release(false)
	}
	return err
}

func newTransaction(req *Request, res *Response, giveBack func(Errno)) (*transaction, error) {
	if err := acquireBoth(req, res); err != nil {
		return nil, err
	}
	t := &transaction{req: req, res: res, giveBack: giveBack}
	o, rv := newOp()
	if rv != 0 {
		req.release(false)
		res.release(false)
		return nil, &OpError{Op: "transact", Err: rv}
	}
	t.op = o
	return t, nil
}

// wait returns when the transaction is over. Should nng lose its cancellation, the
// messages come free in the background when it ends after all.
func (t *transaction) wait(ctx context.Context, closing <-chan struct{}) error {
	result, ok := t.op.wait(ctx, closing)
	if ok {
		t.end()
	} else {
		go func() {
			<-t.op.done
			t.end()
		}()
	}
	if result == ErrTooLong {
		return tooLong()
	}
	return check("transact", "", int(result))
}

func tooLong() error {
	return refuse("transact", "", ErrTooLong, "the body is larger than SetMaxBody allows, or the head than nng does")
}

func (t *transaction) end() {
	result := t.op.result
	t.op.free()
	t.req.release(true)
	t.res.release(false)
	t.giveBack(result)
}

// transactInGo is Client.Transact with a library that should not do it.
func (c *Client) transactInGo(ctx context.Context, req *Request, res *Response) error {
	// What is wrong with them is known before a connection is made.
	if err := acquireBoth(req, res); err != nil {
		return err
	}
	res.release(false)
	req.release(false)
	if err := req.SetHeader("Connection", "close"); err != nil && !errors.Is(err, ErrState) {
		return transactError(err)
	}
	conn, err := c.Connect(ctx)
	if err != nil {
		return transactError(err)
	}
	defer conn.Close()
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-c.closing:
			conn.Close()
		case <-ended:
		}
	}()
	return conn.transactInGo(ctx, req, res)
}

// transactInGo is Conn.Transact with a library that should not do it.
func (c *Conn) transactInGo(ctx context.Context, req *Request, res *Response) error {
	if err := c.open("transact"); err != nil {
		return err
	}
	turn := c.io().transacting
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-c.io().closing:
		return closedError("transact")
	case <-ctx.Done():
		return &OpError{Op: "transact", Err: contextErrno(ctx)}
	}
	rd := &c.io().rd
	if err := rd.take(ctx, c, "transact"); err != nil {
		return err
	}
	unread := rd.untaken()
	rd.give()
	if unread {
		return refuse("transact", "", ErrState, readPending)
	}
	if err := acquireBoth(req, res); err != nil {
		return err
	}
	defer res.release(false)
	defer req.release(true)
	x := exchange{c, ctx, res, int64(c.maxBody.max())}
	if err := x.send(req); err != nil {
		return transactError(err)
	}
	body, err := x.receive(C.GoString(C.nng_http_req_get_method(req.req)))
	if err == nil && len(body) > 0 {
		err = x.set(body)
	}
	if err != nil {
		c.spoil()
	}
	return transactError(err)
}

// transactError is an error of a part of a transaction as one of the whole.
func transactError(err error) error {
	var e *OpError
	switch {
	case errors.Is(err, io.EOF):
		return &OpError{Op: "transact", Err: ErrConnShut}
	case errors.As(err, &e):
		return &OpError{Op: "transact", URL: e.URL, Err: e.Err, Detail: e.Detail}
	}
	return err
}

// spoil makes the connection useless, which is out of step with the peer.
func (c *Conn) spoil() {
	s := &c.io().rd
	if s.take(context.Background(), c, "transact") != nil {
		return // closed
	}
	if s.err == nil {
		s.err = &OpError{Op: "read", Err: ErrConnShut, Detail: "a transaction has failed"}
	}
	s.give()
}

// An exchange sends the request of a transaction and receives its response. Both are
// reserved, so nobody else looks at them.
type exchange struct {
	c   *Conn
	ctx context.Context
	res *Response
	max int64
}

// hold keeps a message reserved until an operation that uses it has ended, which can be
// after the transaction when the connection is closed.
func hold(m *message) (release func()) {
	m.mu.Lock()
	m.using++
	m.mu.Unlock()
	return func() { m.release(false) }
}

func (x exchange) send(req *Request) error {
	_, err := x.c.writeOp(x.ctx, "transact", func(s *writeSide) error {
		s.mu.Lock()
		s.after = hold(&req.message)
		s.mu.Unlock()
		enterC()
		C.nngo_writer_req(s.c, req.req)
		leaveC()
		return nil
	})
	return err
}

// head reads the head of a response, and returns its status.
func (x exchange) head() (status int, err error) {
	err = x.c.readOp(x.ctx, "transact", func(s *readSide) error {
		s.after = hold(&x.res.message)
		C.nng_http_res_reset(x.res.res)
		enterC()
		s.op.started(C.nngo_conn_read_res(x.c.c, x.res.res, s.op.c))
		return nil
	}, nil)
	if err != nil {
		return 0, err
	}
	return int(C.nng_http_res_get_status(x.res.res)), nil
}

// field returns a header of the response.
func (x exchange) field(name string) (value string, there bool) {
	p := C.nng_http_res_get_header(x.res.res, cstring(name))
	return C.GoString(p), p != nil
}

// set makes body the body of the response, which has no more headers than it came with.
func (x exchange) set(body []byte) error {
	_, there := x.field("Content-Length")
	rv := C.nng_http_res_copy_data(x.res.res, unsafe.Pointer(&body[0]), C.size_t(len(body)))
	if rv == 0 && !there {
		C.nng_http_res_del_header(x.res.res, cstring("Content-Length"))
	}
	return check("transact", "", int(rv))
}

// maxInterim bounds the responses before the final one.
const maxInterim = 100

// receive reads the response, and returns its body.
func (x exchange) receive(method string) ([]byte, error) {
	var status int
	var body grammar.Framing
	for n := 0; status < 200 && status != 101; n++ {
		if n > maxInterim {
			return nil, refuse("transact", "", ErrProtocol, "too many responses before the final one")
		}
		var err error
		if status, err = x.head(); err != nil {
			return nil, err
		}
		if body, err = x.framing(method, status); err != nil {
			return nil, err
		}
	}
	switch {
	case body.Chunked:
		return x.chunks()
	case body.Length < 0:
		data, err := x.read(nil, x.max+1)
		switch {
		case err == nil:
			return nil, tooLong()
		case errors.Is(err, io.EOF):
			return data, nil
		}
		return nil, err
	}
	if body.Length > x.max {
		return nil, tooLong()
	}
	return x.read(nil, body.Length)
}

// framing finds out where the body of a response ends.
func (x exchange) framing(method string, status int) (grammar.Framing, error) {
	values := func(name string) []string {
		if value, there := x.field(name); there {
			return []string{value}
		}
		return nil
	}
	f, err := grammar.ResponseFraming(method, status, C.GoString(C.nng_http_res_get_version(x.res.res)),
		values("Content-Length"), values("Transfer-Encoding"))
	switch {
	case errors.Is(err, strconv.ErrRange):
		return f, tooLong()
	case err != nil:
		return f, refuse("transact", "", ErrProtocol, err.Error())
	}
	return f, nil
}

// read appends n bytes to p. On error it returns those that have come.
func (x exchange) read(p []byte, n int64) ([]byte, error) {
	for n > 0 {
		step := int(min(n, maxRead))
		err := x.c.readOp(x.ctx, "transact", func(s *readSide) error {
			if err := s.buf.reserve(step); err != 0 {
				return &OpError{Op: "transact", Err: err}
			}
			enterC()
			s.op.started(C.nngo_conn_read(x.c.c, s.op.c, s.buf.ptr(), C.size_t(step), false))
			return nil
		}, func(s *readSide) {
			p = append(p, s.buf.mem[:s.op.count]...)
			n -= int64(s.op.count)
		})
		if err != nil {
			return p, err
		}
	}
	return p, nil
}

// maxChunkLine bounds the line of a chunk's size, and maxTrailer all lines of the trailer,
// as our patch does.
const (
	maxChunkLine = 8 << 10
	maxTrailer   = 64 << 10
)

// chunks reads a chunked body. It takes no byte that comes after that, so it reads lines
// byte by byte.
func (x exchange) chunks() (body []byte, err error) {
	for {
		line, err := x.line(maxChunkLine)
		if err != nil {
			return nil, err
		}
		digits, _, _ := strings.Cut(line, ";")
		size, err := strconv.ParseUint(digits, 16, 63)
		switch {
		case errors.Is(err, strconv.ErrRange):
			return nil, tooLong()
		case err != nil:
			return nil, badChunks()
		case size == 0:
			for trailer := 0; ; {
				line, err := x.line(maxTrailer - trailer)
				if err != nil || line == "" {
					return body, err
				}
				if name, _, ok := strings.Cut(line, ":"); !ok || !isToken(name) {
					return nil, badChunks()
				}
				trailer += len(line)
			}
		case size > uint64(x.max)-uint64(len(body)):
			return nil, tooLong()
		}
		if body, err = x.read(body, int64(size)); err != nil {
			return nil, err
		}
		end, err := x.read(nil, 2)
		switch {
		case err != nil:
			return nil, err
		case string(end) != "\r\n":
			return nil, badChunks()
		}
	}
}

func badChunks() error {
	return refuse("transact", "", ErrProtocol, "the chunks are malformed")
}

// line reads a line that ends with CRLF, which is not returned.
func (x exchange) line(max int) (string, error) {
	var line []byte
	for last := byte(0); len(line) < max+len("\r\n"); {
		var err error
		if line, err = x.read(line, 1); err != nil {
			return "", err
		}
		c := line[len(line)-1]
		switch {
		case last == '\r' && c == '\n':
			return string(line[:len(line)-2]), nil
		case last == '\r', c < ' ' && c != '\r' && c != '\t', c == 0x7f:
			return "", badChunks()
		}
		last = c
	}
	return "", refuse("transact", "", ErrTooLong, "a line between the chunks is too long")
}
