package nethttp

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/gonng/nnghttp/internal/grammar"
	"github.com/gonng/nnghttp/nng"
)

// maxDiscard is how much of a body that its handler has left is read to keep the
// connection. net/http uses the same figure.
const maxDiscard = 256 << 10

// A body is the body of a request. It reads from the connection as the handler does, and
// never a byte of what is behind the body.
type body struct {
	w   *response
	buf *bufio.Reader // over fixed or chunks

	mu     sync.Mutex
	src    io.Reader    // the content
	fixed  *fixedSource // nil for chunks
	chunks *chunkSource // nil for a Content-Length
	sawEOF bool
	closed bool
	broken bool  // reading has failed, or was given up: the connection ends with the reply
	failed error // why
}

// newBody makes the body of w's request, which has one.
func newBody(w *response) *body {
	b := &body{w: w, buf: getReader()}
	if n := w.req.ContentLength; n >= 0 {
		b.fixed = &fixedSource{conn: w.conn, left: n}
		b.buf.Reset(b.fixed)
		b.src = b.buf
	} else {
		b.chunks = &chunkSource{conn: w.conn, exact: w.conn.Unread(nil) != nil}
		b.buf.Reset(b.chunks)
		b.src = httputil.NewChunkedReader(b.buf)
	}
	return b
}

// A fixedSource passes on the bytes of a body with a Content-Length.
type fixedSource struct {
	conn *nng.Conn
	left int64
}

func (s *fixedSource) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	n, err := s.conn.ReadAhead(p[:min(int64(len(p)), s.left)], int(min(s.left, math.MaxInt32)))
	s.left -= int64(n)
	return n, err
}

// Read implements io.Reader. The first call sends 100 Continue to a client that waits
// for that.
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, http.ErrBodyReadAfterClose
	}
	if !b.sawEOF {
		b.w.sendContinue()
	}
	return b.read(p)
}

func (b *body) read(p []byte) (int, error) {
	if b.sawEOF {
		return 0, io.EOF
	}
	n, err := b.src.Read(p)
	switch {
	case err == io.EOF && b.left() > 0:
		err = io.ErrUnexpectedEOF
	case err == io.EOF && b.chunks != nil:
		if err = b.readTrailer(); err == nil {
			err = io.EOF
		}
	case err == nil && b.fixed != nil && b.left() == 0:
		err = io.EOF
	}
	switch {
	case err == io.EOF:
		b.sawEOF = true
	case err != nil:
		b.fail(err)
	}
	return n, err
}

// fail notes that the rest of the body cannot be had, so nothing behind it either.
func (b *body) fail(err error) {
	b.broken, b.failed = true, err
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		b.closed = b.chunks != nil // its reader has lost the framing
		if op := (*nng.OpError)(nil); errors.As(err, &op) || err == io.ErrUnexpectedEOF {
			b.w.clientGone() // else it is there, and has sent nonsense
		}
	}
}

// left returns how much a Content-Length has left, 0 for chunks.
func (b *body) left() int64 {
	if b.fixed == nil {
		return 0
	}
	return b.fixed.left + int64(b.buf.Buffered())
}

// readTrailer reads the trailer section of a chunked body, with the empty line.
func (b *body) readTrailer() error {
	section, err := b.peekTrailer()
	if err != nil {
		return err
	}
	if section[0] == '\n' { // an exact chunkSource has expected two bytes, so one may be the next request's
		return errBareEnd
	}
	for line := range bytes.Lines(section) {
		if line[0] == ' ' || line[0] == '\t' { // folded: RFC 9112, 5.2, lets a server refuse that
			return errBadTrailer
		}
	}
	fields, err := textproto.NewReader(b.buf).ReadMIMEHeader()
	if err != nil {
		return err
	}
	if b.buf.Buffered() > 0 { // cannot be; the next request would miss these bytes
		return errors.New("nethttp: read beyond the body")
	}
	if len(fields) > 0 && b.w.req.Trailer == nil {
		b.w.req.Trailer = make(http.Header)
	}
	for name, values := range fields {
		if !isToken(name) || slices.ContainsFunc(values, func(v string) bool { return !grammar.IsFieldValue(v) }) {
			return errBadTrailer
		}
		b.w.req.Trailer[name] = values
	}
	return nil
}

var errBareEnd = errors.New("nethttp: a bare line feed ends the chunked body, instead of CR LF")

// peekTrailer waits for all that chunkSource takes for the trailer section.
func (b *body) peekTrailer() ([]byte, error) {
	for b.chunks.state != chunkDone {
		_, err := b.buf.Peek(b.buf.Buffered() + 1)
		switch err {
		case nil:
		case io.EOF:
			return nil, io.ErrUnexpectedEOF
		case bufio.ErrBufferFull:
			return nil, errLongTrailer
		default:
			return nil, err
		}
	}
	return b.buf.Peek(b.buf.Buffered())
}

// Close implements io.Closer: it reads what is left, up to 256 KiB.
func (b *body) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return b.failed
	}
	err := b.skip()
	b.closed = true
	return cmp.Or(err, b.failed)
}

// discard reads what is left, up to 256 KiB, and reports whether that is all. If it is
// not, the handler can read on.
func (b *body) discard() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed && !b.sawEOF { // whoever has read it all goes on getting io.EOF
		_ = b.skip()
		b.closed = b.sawEOF || b.broken
	}
	return b.sawEOF
}

var afterFunc = time.AfterFunc // except in a test

// skip reads what is left. The client has as long for that as for a head.
func (b *body) skip() error {
	if b.sawEOF || b.broken || b.left() > maxDiscard || b.w.declined.Load() || b.w.expecting.Load() {
		return nil
	}
	if limit := b.w.a.readHeaderTimeout(); limit > 0 && (b.fixed == nil || b.fixed.left > 0) {
		fired := make(chan struct{})
		t := afterFunc(limit, func() {
			_ = b.w.conn.SetReadDeadline(time.Unix(1, 0))
			close(fired)
		})
		defer func() {
			if !t.Stop() { // it may come only now, upon a connection that was hijacked
				<-fired
				_ = b.w.conn.SetReadDeadline(time.Time{})
			}
		}()
	}
	_, err := io.CopyN(io.Discard, unlocked{b}, maxDiscard+1)
	if err == io.EOF {
		err = nil
	}
	return err
}

// unlocked reads from a body whose lock the caller has.
type unlocked struct{ b *body }

func (u unlocked) Read(p []byte) (int, error) { return u.b.read(p) }

// takeBuffered ends the body and returns what was read ahead of the handler.
func (b *body) takeBuffered() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.buf == nil {
		return nil
	}
	ahead, _ := b.buf.Peek(b.buf.Buffered())
	return bytes.Clone(ahead)
}

// atEOF reports whether all of the body has been read.
func (b *body) atEOF() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sawEOF
}

// release ends the body when its handler has returned. Whoever still reads it gets
// http.ErrBodyReadAfterClose.
func (b *body) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	putReader(b.buf)
	b.buf, b.src = nil, nil
}

// The buffers between handlers and connections, of net/http's size.
const bufferSize = 4 << 10

var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, bufferSize) }}

func getReader() *bufio.Reader { return readers.Get().(*bufio.Reader) }

func putReader(r *bufio.Reader) {
	r.Reset(nil)
	readers.Put(r)
}
