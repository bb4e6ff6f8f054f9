package nethttp

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/gonng/nnghttp/internal/hooks"
	"github.com/gonng/nnghttp/nng"
)

// A pattern says which requests a handler of nng gets.
type pattern struct {
	method string // "" for all
	host   string // "" for all
	path   string
	tree   bool // all below path, too
}

// everything is the pattern for what nobody else takes.
var everything = pattern{tree: true}

// parsePattern reads "[METHOD ][HOST]/PATH", the simple forms of http.ServeMux. A slash at
// the end stands for everything below.
func parsePattern(s string) (pattern, error) {
	var p pattern
	rest := s
	if method, after, ok := strings.Cut(s, " "); ok {
		p.method, rest = method, strings.TrimLeft(after, " ")
		if !isToken(method) {
			return p, fmt.Errorf("nethttp: pattern %q: %q is not a method", s, method)
		}
	}
	slash := strings.IndexByte(rest, '/')
	if slash < 0 || !isHost(rest[:slash]) || strings.ContainsAny(rest, "{} ") {
		return p, fmt.Errorf("nethttp: pattern %q: write [METHOD ][HOST]/PATH, without wildcards", s)
	}
	p.host, p.path = rest[:slash], rest[slash:]
	if cleanPath(p.path) != p.path {
		return p, fmt.Errorf("nethttp: pattern %q: the path is not clean, so that nothing would match", s)
	}
	if p.tree = strings.HasSuffix(p.path, "/"); p.tree {
		p.path = strings.TrimSuffix(p.path, "/") // nng's trees have none (defect P27)
	}
	return p, nil
}

// matches reports whether a request for a path may be the pattern's. Its method does not matter:
// another one's request is not to look like one for another path, either.
func (p pattern) matches(host, path string) bool {
	if !p.anyHost() && !strings.EqualFold(hostName(p.host), hostName(host)) {
		return false
	}
	rest, ok := strings.CutPrefix(path, p.path)
	return ok && (rest == "" || rest == "/" || p.tree && rest[0] == '/')
}

// anyHost reports whether the pattern may be for a host that is written in another way: nng compares
// addresses, which C reads in many ways ("127.1", "0x7f000001"), and "*" and those of zeros are all.
func (p pattern) anyHost() bool {
	name := hostName(p.host)
	return name == "" || name == "*" || name[0] == '[' || '0' <= name[0] && name[0] <= '9' && strings.Trim(name, "0123456789abcdefABCDEFxX.") == ""
}

// rank is higher for a pattern that is to win over others of the same path, as in an http.ServeMux.
func (p pattern) rank() (rank int) {
	if p.host != "" {
		rank += 2
	}
	if p.method != "" {
		rank++
	}
	return rank
}

// hostName is a host without its port, and without the dots that end a name.
func hostName(host string) string {
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host = host[:i]
	}
	return strings.TrimRight(host, ".")
}

// redirect returns where a request has to go, or "": to its path without "//" and dots, if that or
// the path as it is belongs to one of the patterns. nng takes a path as it is, and so a handler would
// get the request that may understand it as one for another, be that the Handler's. It is what an
// http.ServeMux does, except for escaped dots, which that leaves to its handlers.
func (a *adapter) redirect(r *http.Request) string {
	if len(a.patterns) == 0 || !strings.HasPrefix(r.URL.Path, "/") {
		return ""
	}
	to := cleanPath(r.URL.Path)
	matches := func(p route) bool { return p.pattern.matches(r.Host, to) }
	if to == r.URL.Path || a.pattern == everything && !slices.ContainsFunc(a.patterns, matches) {
		return ""
	}
	// Escapes stay as they are, unless they are of what is not clean.
	u := url.URL{Path: to, RawPath: cleanPath(r.URL.EscapedPath()), RawQuery: r.URL.RawQuery, ForceQuery: r.URL.ForceQuery}
	return u.String()
}

// cleanPath is path.Clean, but for a slash at the end.
func cleanPath(p string) string {
	to := path.Clean(p)
	if strings.HasSuffix(p, "/") && to != "/" {
		if p[:len(p)-1] == to {
			return p
		}
		to += "/"
	}
	return to
}

// handler makes the nng handler for the pattern. It reads bodies itself.
func (p pattern) handler(fn nng.HandlerFunc) (*nng.Handler, error) {
	h, err := nng.NewHandler(p.path, fn)
	if err != nil {
		return nil, err
	}
	hooks.OwnChecks(h) // readHead
	err = errors.Join(h.CollectBody(false, 0), h.SetMethod(p.method), h.SetHost(p.host))
	if p.tree {
		err = errors.Join(err, h.SetTree())
	}
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}
