package hostile

import (
	"bytes"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A Request is what a strict reader makes of one request of a stream.
type Request struct {
	Method, Target string
	Minor          int         // of the version: HTTP/1.Minor
	Fields         [][2]string // names and values as they came
	Body           int         // bytes of it, without framing
	Whole          bool        // the body is there to its end
	Stays          bool        // the connection may carry another request
	End            int         // where it ends in the stream
}

// Requests reads a stream of requests by the letter of RFC 9112, with its own parser. It
// stops at the first request that a server must not serve, and where the connection ends.
// more tells that another request may follow what was read, so that a server still reads
// the connection.
//
// A server may serve less than that, never more, and nothing else.
func Requests(stream []byte) (all []Request, more bool) {
	whole := len(stream)
	for {
		// RFC 9112, 2.2: empty lines before a request are skipped.
		for line, rest, ok := cutLine(stream); ok && line == ""; line, rest, ok = cutLine(stream) {
			stream = rest
		}
		if len(stream) == 0 {
			return all, true
		}
		r, chunked, length, rest, ok := readHead(stream)
		if !ok {
			return all, false
		}
		switch {
		case chunked:
			r.Body, rest, r.Whole = readChunks(rest)
		case length <= len(rest):
			r.Body, rest, r.Whole = length, rest[length:], true
		default:
			r.Body = len(rest)
		}
		r.End = whole - len(rest)
		all = append(all, r)
		if !r.Whole || !r.Stays {
			return all, false
		}
		stream = rest
	}
}

// readHead reads the header section of a request, and the framing that it announces.
func readHead(stream []byte) (r Request, chunked bool, length int, rest []byte, ok bool) {
	line, rest, ok := cutLine(stream)
	if !ok {
		return r, false, 0, nil, false
	}
	words := strings.Split(line, " ")
	noTarget := len(words) == 3 && words[1] == ""
	if noTarget {
		words[1] = "/"
	}
	if len(words) != 3 || !isToken(words[0]) || !isTarget(words[1]) {
		return r, false, 0, nil, false
	}
	minor, found := strings.CutPrefix(words[2], "HTTP/1.")
	if !found || len(minor) != 1 || minor[0] < '0' || minor[0] > '9' {
		return r, false, 0, nil, false
	}
	r = Request{Method: words[0], Target: words[1], Minor: int(minor[0] - '0')}
	var hosts, lengths, codings []string
	var options []string
	var upgrade bool
	for {
		line, rest, ok = cutLine(rest)
		if !ok {
			return r, false, 0, nil, false
		}
		if line == "" {
			break
		}
		name, value, found := strings.Cut(line, ":")
		if !found || !isToken(name) || !isValue(value) {
			return r, false, 0, nil, false
		}
		value = strings.Trim(value, " \t")
		r.Fields = append(r.Fields, [2]string{name, value})
		switch strings.ToLower(name) {
		case "host":
			hosts = append(hosts, value)
		case "content-length":
			lengths = append(lengths, value)
		case "transfer-encoding":
			codings = append(codings, value)
		case "upgrade":
			upgrade = strings.EqualFold(value, "websocket")
		case "connection":
			for option := range strings.SplitSeq(strings.ToLower(value), ",") {
				options = append(options, strings.Trim(option, " \t"))
			}
		}
	}
	if noTarget && (!upgrade || words[0] != "GET") { // nng's WebSocket dialers, as published, mean the root
		return r, false, 0, nil, false
	}
	if len(hosts) > 1 || len(hosts) == 0 && r.Minor > 0 || len(hosts) == 1 && !isHost(hosts[0]) {
		return r, false, 0, nil, false
	}
	if !HostsAgree(words[0], words[1], hosts) {
		return r, false, 0, nil, false
	}
	switch {
	case len(codings) > 0:
		// A handler of nng may know what was done before the chunks.
		var list []string
		for element := range strings.SplitSeq(strings.ToLower(strings.Join(codings, ",")), ",") {
			if element = strings.Trim(element, " \t"); element != "" { // RFC 9110, 5.6.1
				list = append(list, element)
			}
		}
		if r.Minor == 0 || len(list) == 0 || slices.Index(list, "chunked") != len(list)-1 || len(lengths) > 0 {
			return r, false, 0, nil, false
		}
		chunked = true
	case len(lengths) > 0:
		n, err := strconv.ParseUint(lengths[0], 10, 63)
		if len(lengths) > 1 || err != nil || lengths[0] == "" || lengths[0][0] == '+' {
			return r, false, 0, nil, false
		}
		length = int(n)
	}
	r.Stays = r.Minor > 0
	for _, option := range options {
		if option == "keep-alive" {
			r.Stays = true
		}
	}
	for _, option := range options {
		if option == "close" {
			r.Stays = false
		}
	}
	return r, chunked, length, rest, true
}

// readChunks reads a body in chunks with its trailers.
func readChunks(stream []byte) (body int, rest []byte, whole bool) {
	for {
		line, after, ok := cutLine(stream)
		if !ok {
			return body, nil, false
		}
		size, _, _ := strings.Cut(line, ";")
		size = strings.TrimRight(size, " \t") // tolerated by everyone
		n, err := strconv.ParseUint(size, 16, 62)
		if err != nil || size == "" || !isValue(line) {
			return body, nil, false
		}
		stream = after
		if n == 0 {
			break
		}
		if uint64(len(stream)) < n+2 {
			return body + int(min(uint64(len(stream)), n)), nil, false
		}
		body += int(n)
		if string(stream[n:n+2]) != "\r\n" {
			return body, nil, false
		}
		stream = stream[n+2:]
	}
	for {
		line, after, ok := cutLine(stream)
		if !ok {
			return body, nil, false
		}
		stream = after
		if line == "" {
			return body, stream, true
		}
		if name, value, found := strings.Cut(line, ":"); !found || !isToken(name) || !isValue(value) {
			return body, nil, false
		}
	}
}

// cutLine returns the bytes before a line's end, which is CR LF, or a bare LF as RFC 9112,
// 2.2 lets a recipient take it.
func cutLine(stream []byte) (line string, rest []byte, ok bool) {
	i := bytes.IndexByte(stream, '\n')
	if i < 0 {
		return "", nil, false
	}
	return string(bytes.TrimSuffix(stream[:i], []byte("\r"))), stream[i+1:], true
}

func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

func isTarget(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7F {
			return false
		}
	}
	return s != ""
}

// isValue accepts what RFC 9110, 5.5 calls field content.
func isValue(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7F {
			return false
		}
	}
	return true
}

// hostForm is RFC 3986's host and port, with zones, and without addresses of the future.
var hostForm = regexp.MustCompile(`^(\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*(?:%[-0-9A-Za-z!$%&()*+,.;='_~]+)?\]|[-0-9A-Za-z!$%&()*+,.;='_~]+)(?::([0-9]*))?$`)

// isHost accepts what a Host field may hold. It may be empty.
func isHost(s string) bool { return s == "" || hostForm.MatchString(s) }

// targetForm is an absolute target: its scheme, and all up to the path or the query.
var targetForm = regexp.MustCompile(`^(?i:(https?)://)([^/?]*)`)

// HostsAgree tells whether a target names the host of the Host field, or none, and has a path
// without a NUL.
func HostsAgree(method, target string, hosts []string) bool {
	if path, _, _ := strings.Cut(target, "?"); strings.Contains(path, "%00") {
		return false
	}
	var named, usual string
	if found := targetForm.FindStringSubmatch(target); method == "CONNECT" && target[0] != '/' {
		named = target
	} else if found != nil {
		named, usual = found[2], map[string]string{"http": "80", "https": "443"}[strings.ToLower(found[1])]
	} else {
		return true
	}
	want := hostForm.FindStringSubmatch(named)
	if want == nil {
		return false
	}
	if len(hosts) == 0 {
		return true // HTTP/1.0
	}
	have := hostForm.FindStringSubmatch(hosts[0])
	if have == nil || !strings.EqualFold(want[1], have[1]) {
		return false
	}
	if method == "CONNECT" && target[0] != '/' {
		usual = want[2]
	}
	for _, port := range []*string{&want[2], &have[2]} {
		if *port == "" {
			*port = usual
		}
	}
	return want[2] == have[2]
}
