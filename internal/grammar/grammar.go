// Package grammar has the rules of RFC 9110 and RFC 9112 that a head must obey before
// anybody looks at it, as far as they are not in the standard library. Packages nng and nethttp
// share them; patches of libnng (P3, P4, P5) have the same in C.
package grammar

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"net/textproto"
	"strconv"
	"strings"
)

// IsToken reports whether s is a token (RFC 9110, section 5.6.2).
func IsToken(s string) bool {
	for i := range len(s) {
		if !tokenBytes[s[i]] {
			return false
		}
	}
	return s != ""
}

// IsFieldValue reports whether s may be the value of a field (RFC 9110, section 5.5).
func IsFieldValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// IsHost reports whether s may be what a Host field holds: nothing, or a host and perhaps a port
// (RFC 9110, section 7.2; RFC 3986, section 3.2).
func IsHost(s string) bool {
	_, ok := splitHost(s)
	return ok
}

// An authority is what a Host field holds, or a target.
type authority struct {
	host string
	port string // "" also if there is only the colon
}

// splitHost finds the host and the port: an address between brackets, or a name, and behind a colon
// digits. Anything else the next one might read in another way.
func splitHost(s string) (authority, bool) {
	end := 0
	name := func() {
		for end < len(s) && nameBytes[s[end]] {
			end++
		}
	}
	if strings.HasPrefix(s, "[") {
		end = len(s) - len(strings.TrimLeft(s[1:], "0123456789abcdefABCDEF:."))
		colon := strings.Contains(s[:end], ":")
		if strings.HasPrefix(s[end:], "%") && len(s) > end+1 && s[end+1] != ']' {
			name() // a zone
		}
		if !colon || !strings.HasPrefix(s[end:], "]") {
			return authority{}, false
		}
		end++
	} else {
		name()
	}
	port, colon := strings.CutPrefix(s[end:], ":")
	if end == 0 && s != "" || !colon && end < len(s) || strings.Trim(port, "0123456789") != "" {
		return authority{}, false
	}
	return authority{s[:end], port}, true
}

// same reports whether two authorities are one, for a scheme with a default port.
func (a authority) same(b authority, port string) bool {
	return EqualFold(a.host, b.host) && cmp.Or(a.port, port) == cmp.Or(b.port, port)
}

// targetAuthority returns the authority that a request target names, and the port if that has none.
func targetAuthority(method, target string) (s, port string, ok bool) {
	if method == "CONNECT" && !strings.HasPrefix(target, "/") {
		_, port, _ = strings.Cut(target[strings.IndexByte(target, ']')+1:], ":")
		return target, port, true
	}
	scheme, rest, found := strings.Cut(target, "://")
	switch {
	case found && EqualFold(scheme, "http"):
		port = "80"
	case found && EqualFold(scheme, "https"):
		port = "443"
	default:
		return "", "", false
	}
	if end := strings.IndexAny(rest, "/?"); end >= 0 {
		rest = rest[:end]
	}
	return rest, port, true
}

// IsCleanPath reports whether the path of a request target has neither "//" nor a component "." or
// "..", once it is decoded as libnng does that. A target without a path is clean.
func IsCleanPath(target string) bool {
	path, _, _ := strings.Cut(target, "?")
	if scheme, rest, ok := strings.Cut(path, "://"); ok && (EqualFold(scheme, "http") || EqualFold(scheme, "https")) {
		_, path, _ = strings.Cut(rest, "/")
		path = "/" + path
	}
	if !strings.Contains(path, "%") && !strings.Contains(path, "//") && !strings.Contains(path, "/.") {
		return true // as nearly all are
	}
	path, ok := strings.CutPrefix(decode(path), "/")
	for more := ok; more; {
		var component string
		component, path, more = strings.Cut(path, "/")
		if component == "." || component == ".." || component == "" && more {
			return false
		}
	}
	return true
}

// decode takes "%" with two digits for a byte, and leaves what else it finds.
func decode(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(n))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// IsVersion reports whether s is the version of a protocol (RFC 9112, section 2.3).
func IsVersion(s string) bool {
	return len(s) == len("HTTP/1.1") && s[:5] == "HTTP/" && isDigit(s[5]) && s[6] == '.' && isDigit(s[7])
}

// EqualFold is strings.EqualFold for words of HTTP, which are ASCII: the Kelvin sign is no k in
// "chunked". No other letter that folds to one of ASCII is as long as that.
func EqualFold(s, word string) bool { return len(s) == len(word) && strings.EqualFold(s, word) }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

const alphanumeric = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

var (
	tokenBytes = byteSet(alphanumeric + "!#$%&'*+-.^_`|~")
	nameBytes  = byteSet(alphanumeric + "-._~!$%&'()*+,;=") // of a host's name
)

func byteSet(members string) (set [256]bool) {
	for i := range len(members) {
		set[members[i]] = true
	}
	return set
}

// Elements yields the elements of a list (RFC 9110, section 5.6.1).
func Elements(values []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, v := range values {
			for e := range strings.SplitSeq(v, ",") {
				if e = textproto.TrimString(e); e != "" && !yield(e) {
					return
				}
			}
		}
	}
}

// HasToken reports whether a list has an element, in any case.
func HasToken(values []string, token string) bool {
	for e := range Elements(values) {
		if EqualFold(e, token) {
			return true
		}
	}
	return false
}

// A Problem is why a request is refused.
type Problem struct {
	Status int
	Reason string
}

// Bad is the problem of a request that nobody can understand.
func Bad(reason string) *Problem { return &Problem{400, reason} }

// CheckHosts looks who is asked (RFC 9112, section 3.2): at the Host fields of a request, and
// whether the target names another one, or none where it has to. A library that joins fields makes
// one of several, with a comma and a blank. A target's path must not have a NUL, which ends it for C
// and for nobody else, and begins with a slash before it is decoded. (A target that is not there at
// all is what nng's WebSocket dialers, as published, send for the root.)
func CheckHosts(method, target, version string, hosts []string) *Problem {
	if len(hosts) == 0 && strings.HasPrefix(version, "HTTP/1.") && version != "HTTP/1.0" {
		return Bad("missing required Host header")
	}
	if len(hosts) > 1 || len(hosts) == 1 && (!IsHost(hosts[0]) || strings.HasSuffix(hosts[0], ",")) {
		return Bad("malformed Host header")
	}
	switch path, _, _ := strings.Cut(target, "?"); {
	case path == "" && target != "" || strings.HasPrefix(path, "%"):
		return Bad("no path in the request target")
	case strings.Contains(path, "%00"):
		return Bad("NUL in the request target")
	}
	s, port, ok := targetAuthority(method, target)
	if !ok {
		return nil
	}
	if a, ok := splitHost(s); !ok || a.host == "" {
		return Bad("malformed host in the request target")
	} else if len(hosts) == 0 { // HTTP/1.0; our patches add one
		return Bad("no Host header beside the host of the request target")
	} else if field, _ := splitHost(hosts[0]); !a.same(field, port) {
		return Bad("the Host header is not the host of the request target")
	}
	return nil
}

// Framing tells how long the body of a message is.
type Framing struct {
	Length  int64 // -1: the body of a response ends with the connection
	Chunked bool  // then there is no Length
}

// RequestFraming finds out where a request ends, from its Content-Length and Transfer-Encoding
// fields (RFC 9112, section 6.3). It is strict: what can be read in two ways is an attack.
func RequestFraming(version string, length, coding []string) (Framing, *Problem) {
	switch {
	case len(coding) > 0 && version == "HTTP/1.0":
		return Framing{}, Bad("Transfer-Encoding in HTTP/1.0")
	case len(coding) > 0 && len(length) > 0:
		return Framing{}, Bad("both Content-Length and Transfer-Encoding")
	case len(coding) > 0:
		return Framing{Chunked: true}, checkCoding(coding)
	case len(length) > 1:
		return Framing{}, Bad("more than one Content-Length")
	case len(length) == 1:
		n, err := strconv.ParseUint(length[0], 10, 63) // a plain decimal number and nothing else
		if err != nil {
			return Framing{}, Bad("bad Content-Length")
		}
		return Framing{Length: int64(n)}, nil
	}
	return Framing{}, nil
}

// checkCoding takes chunks and nothing else. A body whose last coding is not that has no end that
// anybody knows.
func checkCoding(coding []string) *Problem {
	if len(coding) == 1 && EqualFold(coding[0], "chunked") {
		return nil
	}
	chunked, last, empty := 0, false, true
	for e := range Elements(coding) {
		empty = false
		if last = EqualFold(e, "chunked"); last {
			chunked++
		}
	}
	if empty || chunked > 1 || chunked == 1 && !last {
		return Bad("chunked is not the last transfer coding")
	}
	return &Problem{501, "unsupported transfer coding"}
}

// ResponseFraming finds out where the body of a response to a method ends, from its
// Content-Length and Transfer-Encoding fields (RFC 9112, section 6.3). They must be right also
// where there is no body. Some servers send a length more than once, so these need only be the
// same. A length that no int64 holds is a strconv.ErrRange.
func ResponseFraming(method string, status int, version string, length, coding []string) (f Framing, err error) {
	if method == "CONNECT" && status/100 == 2 { // RFC 9110, section 9.3.6: what they say is to be ignored
		return Framing{}, nil
	}
	f = Framing{Length: -1, Chunked: coding != nil}
	switch c := strings.Join(coding, ", "); {
	case !IsVersion(version):
		return f, fmt.Errorf("the version %.64q is none of HTTP", version)
	case f.Chunked && !EqualFold(c, "chunked"):
		return f, fmt.Errorf("the transfer coding %.64q is not known", c)
	case f.Chunked && version < "HTTP/1.1": // section 6.1
		return f, errors.New("HTTP/1.0 has no transfer codings")
	}
	if length != nil {
		if f.Length, err = responseLength(strings.Join(length, ",")); err != nil {
			return f, err
		}
	}
	if method == "HEAD" || status < 200 || status == 204 || status == 304 {
		return Framing{}, nil
	}
	return f, nil
}

func responseLength(list string) (int64, error) {
	first, rest, more := strings.Cut(list, ",")
	first = strings.Trim(first, " \t")
	for more {
		var next string
		if next, rest, more = strings.Cut(rest, ","); strings.Trim(next, " \t") != first {
			return 0, errors.New("there is more than one Content-Length")
		}
	}
	n, err := strconv.ParseUint(first, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("the Content-Length %.64q is no number: %w", first, err)
	}
	return int64(n), nil
}

// CheckHead looks at the head of a request: who is asked, and where the request ends.
func CheckHead(method, target, version string, fields iter.Seq2[string, string]) (Framing, *Problem) {
	if !IsToken(method) {
		return Framing{}, Bad("invalid method")
	}
	if !IsVersion(version) {
		return Framing{}, Bad("malformed HTTP version")
	}
	var hosts, length, coding []string
	for name, value := range fields {
		if !IsToken(name) {
			return Framing{}, Bad("invalid header name")
		}
		if !IsFieldValue(value) {
			return Framing{}, Bad("invalid header value")
		}
		switch textproto.CanonicalMIMEHeaderKey(name) {
		case "Host":
			hosts = append(hosts, value)
		case "Content-Length":
			length = append(length, value)
		case "Transfer-Encoding":
			coding = append(coding, value)
		}
	}
	if p := CheckHosts(method, target, version, hosts); p != nil {
		return Framing{}, p
	}
	return RequestFraming(version, length, coding)
}
