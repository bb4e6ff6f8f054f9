package nethttp

import (
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"

	"github.com/gonng/nnghttp/nng"
)

// A refusal is a request that RFC 9112 or RFC 9110 forbids to serve. nng lets it through
// because it does not look at most of a request.
type refusal struct {
	status int
	reason string
}

func (r *refusal) Error() string {
	return strconv.Itoa(r.status) + " " + http.StatusText(r.status) + ": " + r.reason
}

func badRequest(reason string) *refusal { return &refusal{http.StatusBadRequest, reason} }

// readHead fills net/http's request from nng's. It leaves body and context alone. Method
// and protocol are set even if the request is refused.
func readHead(r *http.Request, head nng.RequestHead) error {
	r.Method, r.RequestURI, r.Proto = head.Method, head.URI, head.Version
	var ok bool
	if r.ProtoMajor, r.ProtoMinor, ok = http.ParseHTTPVersion(head.Version); !ok {
		r.ProtoMajor, r.ProtoMinor = 1, 1
		return badRequest("malformed HTTP version")
	}
	if !isToken(r.Method) {
		return badRequest("invalid method")
	}
	if err := setTarget(r); err != nil {
		return err
	}
	if err := setHeader(r, head.Headers); err != nil {
		return err
	}
	if err := setHost(r); err != nil {
		return err
	}
	return setFraming(r)
}

// setTarget parses the request target (RFC 9112, section 3.2): a path, an absolute URI, an
// authority for CONNECT, or "*".
func setTarget(r *http.Request) error {
	target := r.RequestURI
	authority := r.Method == http.MethodConnect && !strings.HasPrefix(target, "/")
	if authority {
		target = "http://" + target
	}
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return badRequest("invalid request target")
	}
	if authority {
		u.Scheme = ""
	}
	r.URL = u
	return nil
}

// setHeader takes over the fields. nng joins fields of one name with ", " and keeps
// blanks that may not be there (defect P5).
func setHeader(r *http.Request, fields []nng.HeaderField) error {
	r.Header = make(http.Header, len(fields))
	values := make([]string, len(fields)) // one allocation for all
	for i, f := range fields {
		if !isToken(f.Name) {
			return badRequest("invalid header name")
		}
		if !isFieldValue(f.Value) {
			return badRequest("invalid header value")
		}
		name := textproto.CanonicalMIMEHeaderKey(f.Name)
		value := textproto.TrimString(f.Value)
		if name == "Cookie" {
			r.Header[name] = splitCookies(value)
			continue
		}
		values[i] = value
		r.Header[name] = values[i : i+1 : i+1]
	}
	if pragma := r.Header["Pragma"]; len(pragma) > 0 && pragma[0] == "no-cache" {
		if _, ok := r.Header["Cache-Control"]; !ok { // as net/http does
			r.Header["Cache-Control"] = []string{"no-cache"}
		}
	}
	return nil
}

// splitCookies undoes the joining of several Cookie fields. No cookie has a comma in it
// (RFC 6265, section 4.1.1), so one that is followed by a blank and another cookie comes
// from nng.
func splitCookies(value string) []string {
	var values []string
	for from := 0; ; {
		at := strings.Index(value[from:], ", ")
		if at < 0 {
			return append(values, value)
		}
		at += from
		if !startsCookie(value[at+2:]) {
			from = at + 2
			continue
		}
		values = append(values, value[:at])
		value, from = value[at+2:], 0
	}
}

// startsCookie reports whether s begins with a name and "=". It looks no further than
// the name: a client decides how often it is asked.
func startsCookie(s string) bool {
	for i := range len(s) {
		if !tokenBytes[s[i]] {
			return i > 0 && s[i] == '='
		}
	}
	return false
}

// setHost finds the host that is asked for. An absolute target wins over the field
// (RFC 9112, section 3.2.2).
func setHost(r *http.Request) error {
	hosts, ok := r.Header["Host"]
	delete(r.Header, "Host")
	switch {
	case !ok && r.ProtoAtLeast(1, 1) && r.Method != http.MethodConnect:
		return badRequest("missing required Host header")
	case ok && (!isHost(hosts[0]) || strings.HasSuffix(hosts[0], ",")): // nng joins several with ", "
		return badRequest("malformed Host header")
	}
	if r.Host = r.URL.Host; r.Host == "" && ok {
		r.Host = hosts[0]
	}
	return nil
}

// setFraming finds out how long the body is (RFC 9112, section 6.3), what comes behind it,
// and what becomes of the connection. It is strict: what can be read in two ways is an
// attack.
func setFraming(r *http.Request) error {
	r.Close = nngCloses(r) || hasToken(r.Header["Connection"], "close")
	length, hasLength := r.Header["Content-Length"]
	coding, hasCoding := r.Header["Transfer-Encoding"]
	delete(r.Header, "Transfer-Encoding")
	switch {
	case hasCoding && !r.ProtoAtLeast(1, 1):
		return badRequest("Transfer-Encoding in HTTP/1.0")
	case hasCoding && !strings.EqualFold(coding[0], "chunked"):
		return &refusal{http.StatusNotImplemented, "unsupported transfer encoding"}
	case hasCoding && hasLength:
		return badRequest("both Content-Length and Transfer-Encoding")
	case hasCoding:
		r.TransferEncoding = []string{"chunked"}
		r.ContentLength = -1
		return setTrailer(r)
	case hasLength:
		n, err := parseLength(length[0])
		if err != nil {
			return err
		}
		r.ContentLength = n
	}
	return nil
}

// nngCloses reports whether nng closes the connection behind the reply, whatever that says.
func nngCloses(r *http.Request) bool {
	connection := r.Header["Connection"]
	return r.Proto != "HTTP/1.1" || len(connection) > 0 && strings.Contains(connection[0], "close")
}

// parseLength takes a plain decimal number and nothing else (RFC 9110, section 8.6; P4).
func parseLength(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		return 0, badRequest("bad Content-Length")
	}
	return int64(n), nil
}

// setTrailer declares the fields that are to come behind a chunked body.
func setTrailer(r *http.Request) error {
	declared := r.Header["Trailer"]
	if len(declared) == 0 {
		return nil
	}
	delete(r.Header, "Trailer")
	r.Trailer = make(http.Header)
	for name := range elements(declared) {
		switch name = textproto.CanonicalMIMEHeaderKey(name); name {
		case "Transfer-Encoding", "Trailer", "Content-Length":
			return badRequest("bad trailer key")
		}
		r.Trailer[name] = nil
	}
	if len(r.Trailer) == 0 {
		r.Trailer = nil
	}
	return nil
}

// expects tells what the Expect field wants (RFC 9110, section 10.1.1).
func expects(r *http.Request) (proceed bool, err error) {
	values := r.Header["Expect"]
	switch {
	case len(values) == 0 || values[0] == "":
		return false, nil
	case !hasToken(values, "100-continue"):
		return false, &refusal{http.StatusExpectationFailed, "only 100-continue is known"}
	}
	return r.ProtoAtLeast(1, 1) && r.ContentLength != 0, nil
}
