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
// The handler's goroutines share it, and some may outlive the handler: every method may be called
// at any time, from any goroutine. (What Header returns is a map like others.)
type response struct {
	a    *adapter
	conn *nng.Conn
	req  *http.Request
	ctx  requestContext
	body *body // nil when the request has none

	mu sync.Mutex // guards what follows; held while the client takes its time, so see begin

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

	closing  bool // the connection ends with this response
	surprise bool // because it came before the body's end: the client may have sent more behind that
	failed   error

	// Guarded by the mutex of the server: its list of what is being served.
	next, prev *response
	entered    bool

	done       atomic.Bool // the handler has returned; set with deadlines held
	hijacked   atomic.Bool // set with mu held
	fullDuplex atomic.Bool
	deadlines  sync.Mutex // held while the handler changes a deadline

	// Of the goroutine that has called the handler.
	abandoned bool      // without an end; others may still use the buffers
	inUse     bool      // another goroutine was in the middle of a method then
	ended     time.Time // when all of the response was written

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

// begin locks the response for a method that the handler calls; the error says why it may not,
// and then it is not locked. Once the handler has returned nobody waits for the lock: whoever
// has it may be waiting for the client.
func (w *response) begin() error {
	if w.done.Load() {
		return errHandlerDone
	}
	w.mu.Lock()
	err := error(nil)
	switch {
	case w.hijacked.Load():
		err = http.ErrHijacked
	case w.done.Load():
		err = errHandlerDone
	default:
		return nil
	}
	w.mu.Unlock()
	return err
}

// end notes that the handler has returned. It says whether that is new.
func (w *response) end() bool {
	w.deadlines.Lock()
	defer w.deadlines.Unlock()
	return !w.done.Swap(true)
}

// abandon ends a response that finish has not: its handler has panicked or ended its
// goroutine. What was flushed goes out, and the connection is closed behind it. Another goroutine
// may be in the middle of a read or write: that fails then, and the buffers are not used again.
func (w *response) abandon() {
	if w.done.Load() {
		return
	}
	locked := w.mu.TryLock()
	if locked {
		defer w.mu.Unlock()
	}
	if w.hijacked.Load() || !w.end() {
		return
	}
	w.ctx.stopWatching()
	w.abandoned, w.inUse = true, !locked
	if locked {
		w.stopContinue()
		_ = w.out.Flush()
		_ = w.conn.Close() // or nng would answer 500 instead of a goroutine that has ended
	}
}

// release gives the buffers back, when nobody uses them any more.
func (w *response) release() {
	if w.abandoned {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.head.Reset(nil)
	w.out.Reset(nil)
	heads.Put(w.head)
	outs.Put(w.out)
	w.head, w.out = nil, nil
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
	if w.begin() == nil {
		defer w.mu.Unlock()
		if w.status != 0 && !w.shared && !w.headSent {
			w.sent = w.header.Clone()
		}
		w.shared = true
	}
	return w.header
}

// WriteHeader implements http.ResponseWriter. A status of 1xx is sent at once.
func (w *response) WriteHeader(status int) {
	switch err := w.begin(); {
	case err == http.ErrHijacked:
		w.misuse("WriteHeader on a hijacked connection")
		return
	case err != nil:
		w.misuse("WriteHeader after the handler has returned")
		return
	}
	superfluous := w.status != 0
	if !superfluous {
		defer w.mu.Unlock() // also when it panics
		w.writeHeader(status)
		return
	}
	w.mu.Unlock()
	w.misuse("superfluous WriteHeader")
}

// writeHeader is WriteHeader, the first time.
func (w *response) writeHeader(status int) {
	if status < 100 || status > 999 {
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
	if w.sent = w.header; w.shared {
		w.sent = w.header.Clone()
	}
	if cl := first(w.sent, "Content-Length"); cl != "" {
		if n, err := strconv.ParseInt(cl, 10, 64); err == nil && n >= 0 {
			w.length = n
		} else {
			w.a.log().Error("nethttp: a handler has set an invalid Content-Length", "value", cl)
			delete(w.sent, "Content-Length")
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
	if err := w.beginWrite(len(p)); err != nil {
		return 0, err
	}
	defer w.mu.Unlock()
	if err := w.mayWrite(len(p)); err != nil || len(p) == 0 {
		return 0, err
	}
	return w.head.Write(p)
}

// WriteString implements io.StringWriter.
func (w *response) WriteString(s string) (int, error) {
	if err := w.beginWrite(len(s)); err != nil {
		return 0, err
	}
	defer w.mu.Unlock()
	if err := w.mayWrite(len(s)); err != nil || s == "" {
		return 0, err
	}
	return w.head.WriteString(s)
}

// beginWrite is begin for a write of n bytes.
func (w *response) beginWrite(n int) error {
	err := w.begin()
	if err == http.ErrHijacked && n > 0 {
		w.misuse("Write on a hijacked connection")
	}
	return err
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
	w.stopContinue()
	if w.status == 0 {
		w.writeHeader(http.StatusOK)
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
	if err := w.begin(); err != nil {
		return err
	}
	defer w.mu.Unlock()
	if w.status == 0 {
		w.writeHeader(http.StatusOK)
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
	if err := w.begin(); err != nil {
		return nil, nil, err
	}
	defer w.mu.Unlock()
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
	w.hijacked.Store(true)
	if w.a.server != nil {
		w.a.server.exit(w)
	}
	if w.body != nil {
		// Another goroutine may be waiting for more of the body.
		_ = w.conn.SetReadDeadline(time.Unix(1, 0))
		ahead = append(w.body.takeBuffered(), ahead...)
		_ = w.conn.SetReadDeadline(time.Time{})
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
	w.deadlines.Lock()
	defer w.deadlines.Unlock()
	if w.done.Load() {
		return errHandlerDone
	}
	return w.conn.SetReadDeadline(t)
}

// SetWriteDeadline is for http.ResponseController.
func (w *response) SetWriteDeadline(t time.Time) error {
	w.deadlines.Lock()
	defer w.deadlines.Unlock()
	if w.done.Load() {
		return errHandlerDone
	}
	return w.conn.SetWriteDeadline(t)
}

// EnableFullDuplex is for http.ResponseController: the body of the request can be read
// behind the first write.
func (w *response) EnableFullDuplex() error {
	w.fullDuplex.Store(true)
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
	if w.expecting.Load() && !w.done.Load() {
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

// finish sends what the handler has left when it returned, unless it has hijacked the connection,
// and says how that goes on. A short response to a request that has been read is returned
// instead of sent: nng sends it with less ado.
func (w *response) finish() (res *nng.Response, hijacked, reusable bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hijacked.Load() {
		return nil, true, false
	}
	if w.status == 0 {
		w.writeHeader(http.StatusOK)
	}
	w.end()
	ahead := w.ctx.stopWatching()
	_ = w.head.Flush()
	if !w.headSent {
		w.writeHead(nil)
	}
	if w.chunks != nil {
		_ = w.chunks.Close()
		_ = w.finalTrailers().Write(w.out)
		_, _ = w.out.WriteString("\r\n")
	}
	// Before linger it is to be out.
	w.gather = !w.wrote && !w.mayHaveUnread() && !w.ctx.isSpent() && w.a.keepAlive()
	_ = w.out.Flush()
	if w.body != nil && !w.closing {
		w.body.discard()
	}
	if w.req.MultipartForm != nil {
		_ = w.req.MultipartForm.RemoveAll()
	}
	return w.gathered, false, len(ahead) == 0 && w.reusable()
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
	end := time.Now().Add(lingerTime)
	ctx, cancel := context.WithDeadline(context.Background(), end)
	defer cancel()
	if w.conn.Flush(ctx) == nil { // the client need not wait for the end
		_ = w.conn.CloseWrite()
	}
	_ = w.conn.SetReadDeadline(end)
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
