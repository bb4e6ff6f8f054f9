package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http/httputil"
	"strconv"
	"strings"

	"github.com/gonng/nnghttp/nng"
)

// responseBody returns the body that follows a response's head on conn, as RFC 9112,
// section 6.3, says. It is read as it comes: nng would collect it whole, and knows
// nothing of bodies that end with the connection (defect CL7).
func responseBody(method string, res *nng.Response, conn io.Reader) (io.Reader, error) {
	status := res.Status()
	coding, length := res.Header("Transfer-Encoding"), res.Header("Content-Length")
	switch {
	case method == "HEAD", status < 200, status == 204, status == 304:
		return strings.NewReader(""), nil
	case strings.EqualFold(coding, "chunked"):
		return httputil.NewChunkedReader(bufio.NewReader(conn)), nil
	case coding != "":
		return nil, fmt.Errorf("the transfer coding %q is not known", coding)
	case length != "":
		n, err := contentLength(length)
		if err != nil {
			return nil, err
		}
		return &exactly{conn, n}, nil
	}
	return conn, nil
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
