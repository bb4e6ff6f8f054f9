package nng

import (
	"errors"
	"net/url"
	"strconv"
	"strings"

	"github.com/gonng/nnghttp/internal/grammar"
)

// #include "http_cgo.h"
import "C"

// checkURL refuses what nng_url_parse would take and later choke on.
func checkURL(op, raw string) (*url.URL, error) {
	bad := func(detail string) (*url.URL, error) {
		return nil, refuse(op, strconv.Quote(short(raw)), ErrBadAddr, detail)
	}
	if raw == "" {
		return bad("the URL is empty; write http://host:port or https://host:port")
	}
	if hasSpaceOrControl(raw) {
		return bad("a URL holds no blanks or control characters; escape them")
	}
	if len(raw) > maxHeaderValue {
		return bad("the URL is too long")
	}
	if !strings.Contains(raw, "://") {
		if raw[0] == ':' {
			raw = "*" + raw
		}
		return bad("a URL has a scheme; write http://" + short(raw))
	}
	// nng allows * for every address; net/url knows the empty host.
	u, err := url.Parse(strings.Replace(raw, "://*", "://", 1))
	if err != nil {
		var why *url.Error // which repeats the URL
		if errors.As(err, &why) {
			err = why.Err
		}
		return bad("it cannot be parsed: " + short(err.Error()))
	}
	switch u.Scheme {
	case "http", "https", "http4", "https4", "http6", "https6", "ws", "wss", "ws4", "wss4", "ws6", "wss6":
	default:
		return bad("the scheme must be http or https")
	}
	if u.Opaque != "" {
		return bad("write // behind the scheme")
	}
	_, authority, _ := strings.Cut(raw, "://")
	if end := strings.IndexAny(authority, "/?#"); end >= 0 {
		authority = authority[:end]
	}
	if strings.Count(authority, "@") > 1 { // net/url takes the last one, nng the first
		return bad("there is more than one @ before the host; escape it as %40 in a user's name")
	}
	if u.Hostname() != "" && !grammar.IsHost(u.Host) {
		return bad("the host is none, or has a character that no host name has")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n > 65535 {
			return bad("the port must be a number from 0 to 65535")
		}
	} else if strings.HasSuffix(u.Host, ":") {
		return bad("there is a colon but no port behind it")
	}
	return u, nil
}

// parseURL checks a URL and hands it to nng_url_parse. The caller frees the
// result with nng_url_free.
func parseURL(op, raw string) (*C.nng_url, *url.URL, error) {
	u, err := checkURL(op, raw)
	if err != nil {
		return nil, nil, err
	}
	var cu *C.nng_url
	switch rv := Errno(C.nng_url_parse(&cu, cstring(raw))); rv {
	case 0:
		return cu, u, nil
	case ErrInvalid:
		return nil, nil, refuse(op, strconv.Quote(short(raw)), ErrBadAddr, "nng cannot parse the URL")
	default:
		return nil, nil, &OpError{Op: op, URL: raw, Err: rv}
	}
}
