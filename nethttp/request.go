package nethttp

import (
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gonng/nnghttp/internal/grammar"
	"github.com/gonng/nnghttp/nng"
)

// A refusal is a request that RFC 9112 or RFC 9110 forbids to serve. nng as published looks at
// little of a request, and our patches at what everybody must know of it.
type refusal struct {
	status int
	reason string
}

func (r *refusal) Error() string {
	return strconv.Itoa(r.status) + " " + http.StatusText(r.status) + ": " + r.reason
}

func refused(p *grammar.Problem) *refusal { return &refusal{p.Status, p.Reason} }

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

// setHeader takes over the fields. The nng that we build tells lines of one name apart; others
// join them with ", ".
func setHeader(r *http.Request, fields []nng.HeaderField) error {
	r.Header = make(http.Header, len(fields))
	values := make([]string, len(fields)) // one allocation for all
	for i, f := range fields {
		if !isToken(f.Name) {
			return badRequest("invalid header name")
		}
		if !grammar.IsFieldValue(f.Value) {
			return badRequest("invalid header value")
		}
		name := textproto.CanonicalMIMEHeaderKey(f.Name)
		value := textproto.TrimString(f.Value)
		if before := r.Header[name]; before != nil {
			r.Header[name] = append(before, value)
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

// setHost finds the host that is asked for. An absolute target wins over the field (RFC 9112,
// section 3.2.2), which is the same, but for a port that goes without saying.
func setHost(r *http.Request) error {
	hosts, ok := r.Header["Host"]
	delete(r.Header, "Host")
	if p := grammar.CheckHosts(r.Method, r.RequestURI, r.Proto, hosts); p != nil {
		return refused(p)
	}
	if r.Host = r.URL.Host; r.Host == "" && ok {
		r.Host = hosts[0]
	}
	return nil
}

// setFraming finds out how long the body is (RFC 9112, section 6.3), what comes behind it,
// and what becomes of the connection.
func setFraming(r *http.Request) error {
	r.Close = nngCloses(r) || hasToken(r.Header["Connection"], "close")
	length, coding := r.Header["Content-Length"], r.Header["Transfer-Encoding"]
	delete(r.Header, "Transfer-Encoding")
	f, p := grammar.RequestFraming(r.Proto, length, coding)
	if p != nil {
		return refused(p)
	}
	if f.Chunked {
		r.TransferEncoding = []string{"chunked"}
		r.ContentLength = -1
		return setTrailer(r)
	}
	r.ContentLength = f.Length
	return nil
}

// nngCloses reports whether nng closes the connection behind the reply, whatever that says.
func nngCloses(r *http.Request) bool {
	return r.Proto != "HTTP/1.1" ||
		slices.ContainsFunc(r.Header["Connection"], func(v string) bool { return strings.Contains(v, "close") })
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
