package nethttp

import (
	"errors"
	"io"
	"math"

	"github.com/gonng/nnghttp/nng"
)

// A chunkSource passes on the bytes of a chunked body (RFC 9112, section 7.1) up to its
// end and none after it: those belong to the next request, which nng is to read, and it
// gives them back. It follows the framing to see the end. Where nothing can be given back
// it asks for no more than the body still has at the least, which is much slower for small
// chunks. Of the framing it judges the extensions of chunks; the reader on top of it does
// not look at them, and judges the rest.
type chunkSource struct {
	conn    *nng.Conn
	exact   bool // nothing can be given back
	state   chunkState
	size    uint64 // of the chunk, or what is left of it
	trailer int    // bytes of the trailer section so far
}

type chunkState int

const (
	chunkStart     chunkState = iota // before the first digit of a size
	chunkSize                        // in the digits
	chunkExtension                   // behind them, up to the line feed
	chunkData
	chunkEnd        // between the data and the line feed behind it
	chunkLine       // at the start of a line of the trailer section
	chunkTrailer    // inside such a line
	chunkLastReturn // behind the carriage return of the empty line
	chunkDone
	chunkBroken // in an extension; nothing behind it is passed on
)

// lastChunk is the length of the shortest end of a body: "0\r\n\r\n".
const lastChunk = 5

// maxTrailer bounds the trailer section, as net/http does.
const maxTrailer = 4 << 10

var (
	errLongTrailer = errors.New("nethttp: the trailer section is too long")
	errBadTrailer  = errors.New("nethttp: the trailer section has a malformed field")
	errExtension   = errors.New("nethttp: a control character in the extension of a chunk")
)

func (s *chunkSource) Read(p []byte) (int, error) {
	switch {
	case s.state == chunkDone:
		return 0, io.EOF
	case s.state == chunkBroken:
		return 0, errExtension
	case s.trailer > maxTrailer:
		return 0, errLongTrailer
	}
	least := s.least()
	if s.exact || least > len(p) {
		p = p[:min(len(p), least)]
	} else {
		p = p[:min(len(p), bufferSize)] // as much can be given back
		least = len(p)
	}
	n, err := s.conn.ReadAhead(p, least)
	good := s.follow(p[:n])
	switch {
	case good == n:
		return n, err
	case s.state == chunkBroken:
		return good, errExtension
	}
	if back := s.conn.Unread(p[good:n]); back != nil {
		return good, back
	}
	return good, err
}

// least returns how many bytes the body still has, at the least.
func (s *chunkSource) least() int {
	size := int(min(s.size, math.MaxInt32-16)) // an int may have 32 bits
	switch s.state {
	case chunkStart:
		return lastChunk
	case chunkSize, chunkExtension:
		if s.size == 0 {
			return 1 + 2 // a line feed, an empty line
		}
		return 1 + size + 2 + lastChunk
	case chunkData:
		return size + 2 + lastChunk
	case chunkEnd:
		return 1 + lastChunk
	}
	return 1 // trailers are short and seldom
}

// maxChunk keeps sums of sizes from overflowing; no such chunk ever ends.
const maxChunk = 1 << 62

// follow returns how many bytes may be passed on: fewer than there are if the next one must
// not be there, or comes after the body.
func (s *chunkSource) follow(p []byte) (good int) {
	whole := len(p)
	for len(p) > 0 && s.state != chunkDone {
		c := p[0]
		switch s.state {
		case chunkStart, chunkSize:
			if digit, ok := hexDigit(c); ok {
				s.size = min(s.size<<4|digit, maxChunk)
				s.state = chunkSize
				break
			}
			s.state = chunkExtension
			fallthrough
		case chunkExtension:
			switch {
			case c == '\n' && s.size == 0:
				s.state = chunkLine
			case c == '\n':
				s.state = chunkData
			case c < ' ' && c != '\t' && c != '\r', c == 0x7F:
				s.state = chunkBroken
				return whole - len(p)
			}
		case chunkData:
			n := min(uint64(len(p)), s.size)
			p = p[n:]
			if s.size -= n; s.size == 0 {
				s.state = chunkEnd
			}
			continue
		case chunkEnd:
			if c == '\n' {
				s.state = chunkStart
			}
		case chunkLine, chunkTrailer, chunkLastReturn:
			s.followTrailer(c)
		}
		p = p[1:]
	}
	return whole - len(p)
}

func (s *chunkSource) followTrailer(c byte) {
	s.trailer++
	switch {
	case c == '\n' && s.state == chunkTrailer:
		s.state = chunkLine
	case c == '\n':
		s.state = chunkDone
	case c == '\r' && s.state == chunkLine:
		s.state = chunkLastReturn
	default:
		s.state = chunkTrailer
	}
}

func hexDigit(c byte) (uint64, bool) {
	switch {
	case '0' <= c && c <= '9':
		return uint64(c - '0'), true
	case 'a' <= c && c <= 'f':
		return uint64(c-'a') + 10, true
	case 'A' <= c && c <= 'F':
		return uint64(c-'A') + 10, true
	}
	return 0, false
}
