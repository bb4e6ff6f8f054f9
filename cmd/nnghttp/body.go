package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http/httputil"
	"net/textproto"
	"slices"
	"strconv"
	"strings"

	"github.com/gonng/nnghttp/nng"
)

// responseBody returns the body that follows a response's head on conn, as RFC 9112,
// section 6.3, says. It is read as it comes: nng would collect it whole, and knows
// nothing of bodies that end with the connection (defect CL7).
func responseBody(method string, res *nng.Response, conn io.Reader) (io.Reader, error) {
	status := res.Status()
	length, chunked, err := framing(res)
	switch {
	case err != nil:
		return nil, err
	case method == "HEAD", status < 200, status == 204, status == 304:
		return strings.NewReader(""), nil
	case chunked:
		r := bufio.NewReader(conn)
		return &chunkedBody{chunks: httputil.NewChunkedReader(r), r: r}, nil
	case length >= 0:
		return &exactly{conn, length}, nil
	}
	return conn, nil
}

// framing says where the body of a response ends, if it has one: after so many bytes, or -1.
// What says so must be right also where there is none.
func framing(res *nng.Response) (length int64, chunked bool, err error) {
	coding, value := res.Header("Transfer-Encoding"), res.Header("Content-Length")
	fields, err := res.Headers()
	coded := coding != "" || err == nil && slices.ContainsFunc(fields, func(h nng.HeaderField) bool {
		return strings.EqualFold(h.Name, "Transfer-Encoding")
	})
	switch {
	case coded && !strings.EqualFold(coding, "chunked"):
		return 0, false, fmt.Errorf("the transfer coding %q is not known", coding)
	case coded && res.Version() < "HTTP/1.1": // RFC 9112, 6.1
		return 0, false, errors.New("HTTP/1.0 has no transfer codings")
	case value == "" && !has(res, "Content-Length"):
		return -1, coded, nil
	}
	length, err = contentLength(value)
	return length, coded, err
}

// has tells an empty field from one that is not there.
func has(res *nng.Response, name string) bool {
	fields, err := res.Headers()
	return err != nil || slices.ContainsFunc(fields, func(h nng.HeaderField) bool { return strings.EqualFold(h.Name, name) })
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

// contentLength parses a Content-Length. Several headers of the name arrive as one
// list, which is fine as long as they agree.
func contentLength(value string) (int64, error) {
	first, rest, more := strings.Cut(value, ",")
	for more {
		var next string
		next, rest, more = strings.Cut(rest, ",")
		if strings.TrimSpace(next) != strings.TrimSpace(first) {
			return 0, fmt.Errorf("the response has several lengths: %s", value)
		}
	}
	n, err := strconv.ParseUint(strings.TrimSpace(first), 10, 63)
	if err != nil {
		return 0, fmt.Errorf("the response has a length that is no number: %q", value)
	}
	return int64(n), nil
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
