package nethttp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"path"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gonng/nnghttp/nng"
)

// A response is the http.ResponseWriter of one request. What a handler writes passes:
//
//	response -> head (2 KiB, until the length is known or too large for that)
//	         -> bodyWriter, which sends the head of the response and makes chunks
//	         -> out (4 KiB) -> nng's connection
//
// As with net/http, one goroutine at a time may use it.
type response struct {
	a    *adapter
	conn *nng.Conn
	req  *http.Request
	ctx  requestContext
	body *body // nil when the request has none

	header   http.Header // the handler's
	shared   bool        // the handler has it
	sent     http.Header // header as it was at WriteHeader
	trailers []string    // declared in the Trailer field
	status   int         // 0 before WriteHeader
	length   int64       // the Content-Length, -1 when it is not known
	written  int64

	head     *bufio.Writer
	out      *bufio.Writer
	wire     bodyWriter
	headSent bool
	wrote    bool // out has passed something on to the connection
	gather   bool // what out passes on is all there is
	gathered *nng.Response
	chunks   io.WriteCloser // set when the body goes in chunks

	done       atomic.Bool // the handler has returned
	abandoned  bool        // without an end; others may still use the buffers
	hijacked   bool
	ended      time.Time // when all of the response was written
	fullDuplex bool
	closing    bool // the connection ends with this response
	surprise   bool // because it came before the body's end: the client may have sent more behind that
	failed     error

	// The client waits for 100 Continue. Body.Read sends it, which another goroutine may
	// call. Until expecting is false, out is used with continuing held.
	expecting  atomic.Bool
	continuing sync.Mutex
	declined   atomic.Bool // the final response came before, so the body may never come
}

// What a handler may find on its ResponseWriter; see also http.ResponseController.
var _ interface {
	http.ResponseWriter
	http.Flusher
	http.Hijacker
	io.StringWriter
	io.ReaderFrom
	FlushError() error
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
	EnableFullDuplex() error
} = (*response)(nil)

// headSize is how much of a body is held back for its length to be found out.
const headSize = 2 << 10

var (
	heads = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, headSize) }}
	outs  = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, bufferSize) }}
)

func newResponse(a *adapter, conn *nng.Conn, ctx context.Context) *response {
	w := &response{a: a, conn: conn, length: -1, header: make(http.Header)}
	w.ctx.w = w
	w.ctx.SetParent(ctx)
	w.req = noRequest.WithContext(&w.ctx)
	w.head, w.out = heads.Get().(*bufio.Writer), outs.Get().(*bufio.Writer)
	w.wire.w = w
	w.head.Reset(&w.wire)
	w.out.Reset(connWriter{w})
	return w
}

// noRequest is what requests start from; net/http sets a context in a copy only.
var noRequest = &http.Request{Body: http.NoBody}

// abandon ends a response that finish has not: its handler has panicked or ended its
// goroutine. What it has left behind may be in the middle of a read or write: that fails
// now, and the buffers are not used again.
func (w *response) abandon() {
	if w.hijacked || w.done.Swap(true) {
		return
	}
	w.ctx.stopWatching()
	w.stopContinue()
	_ = w.conn.SetReadDeadline(time.Unix(1, 0))
	w.abandoned = true
}

// release gives the buffers back, when nobody uses them any more.
func (w *response) release() {
	if !w.abandoned {
		w.head.Reset(nil)
		w.out.Reset(nil)
		heads.Put(w.head)
		outs.Put(w.out)
		w.head, w.out = nil, nil
	}
	if w.body != nil {
		w.body.release()
	}
}

// A connWriter writes to the connection and remembers that it has failed.
type connWriter struct{ w *response }

func (c connWriter) Write(p []byte) (int, error) {
	if c.w.gather {
		c.w.gathered = nng.WholeResponse(p)
		return len(p), nil
	}
	c.w.wrote = true
	n, err := c.w.conn.Write(p)
	if err != nil && c.w.failed == nil {
		c.w.failed = err
		c.w.clientGone()
	}
	return n, err
}

// Header implements http.ResponseWriter.
func (w *response) Header() http.Header {
	if w.status != 0 && !w.shared && !w.headSent {
		w.sent = w.header.Clone()
	}
	w.shared = true
	return w.header
}

// WriteHeader implements http.ResponseWriter. A status of 1xx is sent at once.
func (w *response) WriteHeader(status int) {
	switch {
	case w.hijacked:
		w.misuse("WriteHeader on a hijacked connection")
		return
	case w.done.Load():
		w.misuse("WriteHeader after the handler has returned")
		return
	case w.status != 0:
		w.misuse("superfluous WriteHeader")
		return
	case status < 100 || status > 999:
		panic(fmt.Sprintf("nethttp: WriteHeader with status %d, which is not one of three digits", status))
	}
	if status != http.StatusProcessing && status != http.StatusEarlyHints {
		w.stopContinue()
	}
	if status < 200 && status != http.StatusSwitchingProtocols {
		w.writeInformation(status)
		return
	}
	w.status = status
	if w.sent = w.header; w.shared && !w.done.Load() {
		w.sent = w.header.Clone()
	}
	if cl := w.sent.Get("Content-Length"); cl != "" {
		if n, err := strconv.ParseInt(cl, 10, 64); err == nil && n >= 0 {
			w.length = n
		} else {
			w.a.log().Error("nethttp: a handler has set an invalid Content-Length", "value", cl)
			w.sent.Del("Content-Length")
		}
	}
}

// writeInformation sends a 1xx response (RFC 9110, section 15.2), which clients of
// HTTP/1.0 do not know.
func (w *response) writeInformation(status int) {
	if !w.req.ProtoAtLeast(1, 1) {
		return
	}
	w.continuing.Lock()
	defer w.continuing.Unlock()
	w.writeStatus(status)
	_ = w.header.WriteSubset(w.out, framingFields)
	_, _ = w.out.WriteString("\r\n")
	_ = w.out.Flush()
}

var framingFields = map[string]bool{"Content-Length": true, "Transfer-Encoding": true}

// Write implements http.ResponseWriter.
func (w *response) Write(p []byte) (int, error) {
	if err := w.mayWrite(len(p)); err != nil || len(p) == 0 {
		return 0, err
	}
	return w.head.Write(p)
}

// WriteString implements io.StringWriter.
func (w *response) WriteString(s string) (int, error) {
	if err := w.mayWrite(len(s)); err != nil || s == "" {
		return 0, err
	}
	return w.head.WriteString(s)
}

// ReadFrom implements io.ReaderFrom, which io.Copy makes use of.
func (w *response) ReadFrom(r io.Reader) (int64, error) {
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	return io.CopyBuffer(struct{ io.Writer }{w}, r, *buf)
}

// copyBuffers are as large as what nng's connection takes at once.
var copyBuffers = sync.Pool{New: func() any {
	b := make([]byte, 64<<10)
	return &b
}}

func (w *response) mayWrite(n int) error {
	switch {
	case w.hijacked:
		if n > 0 {
			w.misuse("Write on a hijacked connection")
		}
		return http.ErrHijacked
	case w.done.Load():
		return errHandlerDone
	}
	w.stopContinue()
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if n == 0 {
		return nil
	}
	if !bodyAllowed(w.status) {
		return http.ErrBodyNotAllowed
	}
	w.written += int64(n)
	if w.length >= 0 && w.written > w.length {
		return http.ErrContentLength
	}
	return nil
}

var errHandlerDone = errors.New("nethttp: the handler of this request has returned")

// bodyAllowed reports whether a response with this status may have a body
// (RFC 9110, section 6.4.1).
func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// A bodyWriter takes the body behind its first 2 KiB, or when it is complete or flushed.
type bodyWriter struct{ w *response }

func (b *bodyWriter) Write(p []byte) (int, error) {
	w := b.w
	if !w.headSent {
		w.writeHead(p)
	}
	switch {
	case w.req.Method == http.MethodHead:
		return len(p), nil
	case w.chunks != nil:
		return w.chunks.Write(p)
	}
	return w.out.Write(p)
}

// Flush implements http.Flusher.
func (w *response) Flush() { _ = w.FlushError() }

// FlushError sends what has been written so far.
func (w *response) FlushError() error {
	switch {
	case w.hijacked:
		return http.ErrHijacked
	case w.done.Load():
		return errHandlerDone
	}
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return w.flush()
}

func (w *response) flush() error {
	err := w.head.Flush()
	if !w.headSent {
		w.writeHead(nil)
	}
	if e := w.out.Flush(); err == nil {
		err = e
	}
	return err
}

// Hijack implements http.Hijacker. The connection is an *nng.Conn. Bytes of the request's
// body that were read ahead are in the returned Reader.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	switch {
	case w.hijacked:
		return nil, nil, http.ErrHijacked
	case w.done.Load():
		return nil, nil, errHandlerDone
	}
	w.stopContinue()
	if w.status != 0 {
		if err := w.flush(); err != nil {
			return nil, nil, err
		}
	}
	ahead := w.ctx.stopWatching()
	if err := w.conn.SetDeadline(time.Time{}); err != nil {
		return nil, nil, err
	}
	if err := w.conn.Hijack(); err != nil {
		return nil, nil, err
	}
	w.hijacked = true
	if w.a.server != nil {
		w.a.server.exit(w)
	}
	if w.body != nil {
		ahead = append(w.body.takeBuffered(), ahead...)
	}
	r := bufio.NewReaderSize(io.MultiReader(strings.NewReader(string(ahead)), w.conn), bufferSize)
	if len(ahead) == 0 {
		r.Reset(w.conn)
	} else if _, err := r.Peek(len(ahead)); err != nil {
		return nil, nil, err
	}
	return w.conn, bufio.NewReadWriter(r, bufio.NewWriterSize(w.conn, bufferSize)), nil
}

// CloseNotify implements http.CloseNotifier, which is deprecated; gin's Context.Stream
// asserts it all the same.
func (w *response) CloseNotify() <-chan bool {
	gone := make(chan bool, 1)
	context.AfterFunc(&w.ctx, func() { gone <- true })
	return gone
}

// SetReadDeadline is for http.ResponseController.
func (w *response) SetReadDeadline(t time.Time) error {
	if w.done.Load() {
		return errHandlerDone
	}
	return w.conn.SetReadDeadline(t)
}

// SetWriteDeadline is for http.ResponseController.
func (w *response) SetWriteDeadline(t time.Time) error {
	if w.done.Load() {
		return errHandlerDone
	}
	return w.conn.SetWriteDeadline(t)
}

// EnableFullDuplex is for http.ResponseController: the body of the request can be read
// behind the first write.
func (w *response) EnableFullDuplex() error {
	w.fullDuplex = true
	return nil
}

// clientGone ends the request's context.
func (w *response) clientGone() { w.ctx.Cancel() }

// sendContinue sends 100 Continue if the client waits for it.
func (w *response) sendContinue() {
	if !w.expecting.Load() {
		return
	}
	w.continuing.Lock()
	defer w.continuing.Unlock()
	if w.expecting.Load() {
		_, _ = w.out.WriteString("HTTP/1.1 100 Continue\r\n\r\n")
		_ = w.out.Flush()
		w.expecting.Store(false)
	}
}

// stopContinue makes a later read of the body not send 100 Continue, because the final
// response comes first.
func (w *response) stopContinue() {
	if !w.expecting.Load() {
		return
	}
	w.continuing.Lock()
	defer w.continuing.Unlock()
	if w.expecting.Load() {
		w.declined.Store(true)
		w.expecting.Store(false)
	}
}

// misuse logs what a handler has done wrong, and where.
func (w *response) misuse(what string) {
	pc := make([]uintptr, 16)
	frames := runtime.CallersFrames(pc[:runtime.Callers(1, pc)])
	var f runtime.Frame
	for more := true; more; {
		f, more = frames.Next()
		if !strings.HasPrefix(f.Function, packageName) {
			break
		}
	}
	w.a.log().Error("nethttp: "+what, "caller", f.Function, "at", path.Base(f.File)+":"+strconv.Itoa(f.Line))
}

const packageName = "github.com/gonng/nnghttp/nethttp."

// finish sends what the handler has left when it returned. A short response to a request
// that has been read is returned instead, if whole allows it: nng sends it with less ado.
func (w *response) finish(whole bool) *nng.Response {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.done.Store(true)
	_ = w.head.Flush()
	if !w.headSent {
		w.writeHead(nil)
	}
	if w.chunks != nil {
		_ = w.chunks.Close()
		_ = w.finalTrailers().Write(w.out)
		_, _ = w.out.WriteString("\r\n")
	}
	w.gather = whole && !w.wrote && !w.mayHaveUnread() // before linger, it is to be out
	_ = w.out.Flush()
	if w.body != nil && !w.closing {
		w.body.discard()
	}
	if w.req.MultipartForm != nil {
		_ = w.req.MultipartForm.RemoveAll()
	}
	return w.gathered
}

// finalTrailers gathers the fields that come behind the body: those that the Trailer field
// has declared, and those with http.TrailerPrefix.
func (w *response) finalTrailers() http.Header {
	var t http.Header
	add := func(name string, values []string) {
		if t == nil {
			t = make(http.Header)
		}
		t[name] = append(t[name], values...)
	}
	for name, values := range w.header {
		if name, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			add(name, values)
		}
	}
	for _, name := range w.trailers {
		if values, ok := w.header[name]; ok {
			add(name, values)
		}
	}
	return t
}

// reusable reports whether another request can come on the connection, after finish.
func (w *response) reusable() bool {
	short := w.length >= 0 && w.length != w.written && w.req.Method != http.MethodHead && bodyAllowed(w.status)
	return !w.closing && !short && w.failed == nil && !w.bodyLeft()
}

// bodyLeft reports whether a part of the request's body has not been read.
func (w *response) bodyLeft() bool { return w.body != nil && !w.body.atEOF() }

// mayHaveUnread reports whether the client may have sent what nobody has read, though the
// connection ends.
func (w *response) mayHaveUnread() bool { return w.surprise || w.bodyLeft() }

// lingerTime is how long a connection is read on behind a reply when the client may have
// sent what nobody has read. Closing it at once would make the client's system throw the reply
// away (RFC 9112, section 9.6; defect P20).
const lingerTime = 500 * time.Millisecond

func (w *response) linger(unread bool) {
	if w.failed != nil || !unread {
		return
	}
	_ = w.conn.SetReadDeadline(time.Now().Add(lingerTime))
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	for err := error(nil); err == nil; {
		_, err = w.conn.Read(*buf)
	}
}

// declareTrailer notes a field of the Trailer field, unless it may not be one.
func (w *response) declareTrailer(name string) {
	switch name = textproto.CanonicalMIMEHeaderKey(name); name {
	case "Transfer-Encoding", "Content-Length", "Trailer":
	default:
		w.trailers = append(w.trailers, name)
	}
}

// writeChunks makes the rest of the response go in chunks.
func (w *response) writeChunks() { w.chunks = httputil.NewChunkedWriter(w.out) }
