package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http/httputil"
	"net/textproto"

	"github.com/gonng/nnghttp/internal/grammar"
	"github.com/gonng/nnghttp/nng"
)

// responseBody returns the body that follows a response's head on conn. It is read as it
// comes: nng would collect it whole, and knows nothing of bodies that end with the
// connection (defect CL7).
func responseBody(end grammar.Framing, conn io.Reader) io.Reader {
	switch {
	case end.Chunked:
		r := bufio.NewReader(conn)
		return &chunkedBody{chunks: httputil.NewChunkedReader(r), r: r}
	case end.Length < 0:
		return conn
	}
	return &exactly{conn, end.Length}
}

// framing says where the body of a response ends.
func framing(method string, res *nng.Response) (grammar.Framing, error) {
	fields, err := res.Headers()
	if err != nil {
		return grammar.Framing{}, err
	}
	var length, coding []string
	for _, f := range fields {
		switch {
		case grammar.EqualFold(f.Name, "Content-Length"):
			length = append(length, f.Value)
		case grammar.EqualFold(f.Name, "Transfer-Encoding"):
			coding = append(coding, f.Value)
		}
	}
	return grammar.ResponseFraming(method, res.Status(), res.Version(), length, coding)
}

// A chunkedBody is complete when its trailer section is (RFC 9112, section 7.1.2).
type chunkedBody struct {
	chunks io.Reader
	r      io.Reader // what the chunks are read from
	end    error
}

const maxTrailer = 64 << 10

func (b *chunkedBody) Read(p []byte) (int, error) {
	if b.end != nil {
		return 0, b.end
	}
	n, err := b.chunks.Read(p)
	if err == io.EOF {
		trailer := bufio.NewReader(io.LimitReader(b.r, maxTrailer))
		if _, bad := textproto.NewReader(trailer).ReadMIMEHeader(); bad != nil {
			err = fmt.Errorf("the trailer after the last chunk: %w", noEOF(bad))
		}
	}
	b.end = err
	return n, err
}

// noEOF turns io.EOF, which would be the end of the body, into an error.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// exactly reads n bytes. A stream that ends before is an error.
type exactly struct {
	r io.Reader
	n int64
}

func (e *exactly) Read(p []byte) (int, error) {
	if e.n == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > e.n {
		p = p[:e.n]
	}
	n, err := e.r.Read(p)
	e.n -= int64(n)
	if err == io.EOF && e.n > 0 {
		err = fmt.Errorf("the connection ended %d bytes early", e.n)
	}
	return n, err
}
