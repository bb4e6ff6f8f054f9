package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Response is a response as it came over the wire. Nothing is forgiven: what RFC 9112 does
// not let a server send makes it malformed.
type Response struct {
	Status int
	// Version is that of the status line, as "HTTP/1.1".
	Version string
	Fields  []Field
	Body    []byte
	// Cut is set when the connection ended in the body.
	Cut bool
	// toEnd: the body has no other end than that of the connection.
	toEnd bool
}

// A Field is a header field of a response.
type Field struct{ Name, Value string }

// Values returns the values of the fields of a name, in order.
func (r *Response) Values(name string) (values []string) {
	for _, f := range r.Fields {
		if strings.EqualFold(f.Name, name) {
			values = append(values, f.Value)
		}
	}
	return values
}

// last reports whether the server says that it closes the connection after this response (RFC
// 9112, section 9.3).
func (r *Response) last() bool {
	options := strings.ToLower(strings.Join(r.Values("Connection"), ","))
	has := func(option string) bool {
		return slices.ContainsFunc(strings.Split(options, ","), func(s string) bool { return strings.Trim(s, " \t") == option })
	}
	return has("close") || r.Version == "HTTP/1.0" && !has("keep-alive") || r.toEnd
}

// errMore: what has come is not a whole response yet.
var errMore = errors.New("more has to come")

// parseResponse takes the next response from the front of b, which is all that has come so far,
// or all that there is if ended is set. It returns errMore if there is not enough, and else an
// error that says in a few words what is malformed.
func parseResponse(b []byte, method string, ended bool) (r *Response, rest []byte, err error) {
	head, rest, ok := bytes.Cut(b, []byte("\r\n\r\n"))
	if !ok {
		// It may be clear already that this is no response.
		start := b[:min(len(b), 5)]
		switch {
		case !bytes.HasPrefix([]byte("HTTP/"), start):
			return nil, nil, errors.New("no-response")
		case ended:
			return nil, nil, errors.New("cut-head")
		}
		return nil, nil, errMore
	}
	lines := strings.Split(string(head), "\r\n")
	r = new(Response)
	if r.Status, err = parseStatusLine(lines[0]); err != nil {
		return nil, nil, err
	}
	r.Version, _, _ = strings.Cut(lines[0], " ")
	for _, line := range lines[1:] {
		name, value, ok := strings.Cut(line, ":")
		if !ok || !isToken(name) {
			return nil, nil, errors.New("field-line")
		}
		value = strings.Trim(value, " \t")
		if strings.ContainsFunc(value, isControl) {
			return nil, nil, errors.New("field-value")
		}
		r.Fields = append(r.Fields, Field{name, value})
	}
	length, chunked, err := r.framing(method)
	switch {
	case err != nil:
		return nil, nil, err
	case chunked:
		return r.chunks(rest, ended)
	case length < 0: // up to the end
		r.toEnd = true
		r.Body = rest
		if !ended {
			return nil, nil, errMore
		}
		return r, nil, nil
	case len(rest) < length:
		if !ended {
			return nil, nil, errMore
		}
		r.Body, r.Cut = rest, true
		return r, nil, nil
	}
	r.Body = rest[:length]
	return r, rest[length:], nil
}

// parseStatusLine: RFC 9112, section 4. The space after the status has to be there.
func parseStatusLine(line string) (int, error) {
	version, rest, _ := strings.Cut(line, " ")
	status, _, ok := strings.Cut(rest, " ")
	n, err := strconv.Atoi(status)
	if version != "HTTP/1.1" && version != "HTTP/1.0" || !ok || len(status) != 3 || err != nil || n < 100 ||
		strings.ContainsFunc(line, isControl) {
		return 0, errors.New("status-line")
	}
	return n, nil
}

// framing says how long the body is, -1 for one that ends with the connection (RFC 9112,
// section 6.3).
func (r *Response) framing(method string) (length int, chunked bool, err error) {
	lengths, codings := r.Values("Content-Length"), r.Values("Transfer-Encoding")
	none := r.Status < 200 || r.Status == 204
	switch {
	case len(lengths) > 0 && len(codings) > 0:
		return 0, false, errors.New("length-and-coding")
	case none && (len(lengths) > 0 || len(codings) > 0):
		return 0, false, errors.New("length-of-nothing")
	case len(slices.Compact(slices.Clone(lengths))) > 1:
		return 0, false, errors.New("two-lengths")
	}
	length = -1
	if len(lengths) > 0 {
		n, e := strconv.ParseUint(lengths[0], 10, 62) // digits alone
		if length, err = int(n), e; err != nil {
			return 0, false, errors.New("content-length")
		}
	}
	switch {
	// What CONNECT opens has no body (RFC 9110, section 9.3.6), but an echo is no tunnel.
	case none, r.Status == 304, method == "HEAD":
		return 0, false, nil
	case len(codings) > 0:
		if all := strings.ToLower(strings.Join(codings, ",")); all != "chunked" {
			return 0, false, errors.New("transfer-encoding")
		}
		return 0, true, nil
	}
	return length, false, nil
}

// chunks reads a body in chunks (RFC 9112, section 7.1).
func (r *Response) chunks(b []byte, ended bool) (*Response, []byte, error) {
	more := func() (*Response, []byte, error) {
		if !ended {
			return nil, nil, errMore
		}
		r.Cut = true
		return r, nil, nil
	}
	for {
		line, rest, ok := bytes.Cut(b, []byte("\r\n"))
		if !ok {
			return more()
		}
		digits, _, extended := strings.Cut(string(line), ";")
		if extended { // there may be blanks before it
			digits = strings.TrimRight(digits, " \t")
		}
		n, err := strconv.ParseUint(digits, 16, 31)
		if err != nil || strings.ContainsFunc(string(line), isControl) {
			return nil, nil, errors.New("chunk-size")
		}
		if b = rest; n == 0 {
			break
		}
		if uint64(len(b)) < n+2 {
			r.Body = append(r.Body, b[:min(uint64(len(b)), n)]...)
			return more()
		}
		if b[n] != '\r' || b[n+1] != '\n' {
			return nil, nil, errors.New("chunk-end")
		}
		r.Body = append(r.Body, b[:n]...)
		b = b[n+2:]
	}
	for { // the trailer section
		line, rest, ok := bytes.Cut(b, []byte("\r\n"))
		if !ok {
			return more()
		}
		if b = rest; len(line) == 0 {
			return r, b, nil
		}
		if name, value, ok := strings.Cut(string(line), ":"); !ok || !isToken(name) || strings.ContainsFunc(value, isControl) {
			return nil, nil, errors.New("trailer")
		}
	}
}

// isControl reports whether a character may be in no field value, reason or extension.
func isControl(c rune) bool { return c < ' ' && c != '\t' || c == 0x7F }

func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", c))
	})
}

// short is the part of an outcome that a response is: its status, the fields that count, and
// what was understood, if it is an echo.
func (r *Response) short(fields, echoed []string) string {
	var b strings.Builder
	e := r.echo()
	switch {
	case e != nil && e.followUp():
		b.WriteString("follow-up")
	case e != nil:
		fmt.Fprintf(&b, "%d echo(%s)", r.Status, e.short(echoed))
	default:
		fmt.Fprintf(&b, "%d", r.Status)
	}
	for _, name := range fields {
		if e == nil || !e.followUp() {
			fmt.Fprintf(&b, " %s=%q", strings.ToLower(name), r.Values(name))
		}
	}
	if r.Cut {
		b.WriteString(" cut")
	}
	return b.String()
}
