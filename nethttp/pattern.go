package nethttp

import (
	"errors"
	"fmt"
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
	if p.tree = strings.HasSuffix(p.path, "/"); p.tree {
		p.path = strings.TrimRight(p.path, "/") // nng's trees have none (defect P27)
	}
	return p, nil
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
