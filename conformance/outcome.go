package conformance

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// An Outcome is what came of a case: its responses, then how the connection ended. As a text
// it is, for example,
//
//	200 echo(POST /a body="12345"), follow-up
//	400, closed
//	100, 200 echo(POST / body="1"), follow-up
//	malformed(chunk-size)
//	silence
//	200, closed, again, refused, gone
//	tls(1.2), 200 echo(GET /), follow-up, close-notify
//
// "follow-up" is the response to the request that is sent after each case, and shows that
// server and client agree on where the case's own request ended. It asks for the end of
// the connection, so "closed" is said only when it was not answered. "open" is a connection
// that stays when it should not, "silence" one on which nothing comes. "again" is the next
// connection of a case that has several, "refused" one that the server does not take, "reset"
// one that the client has reset, and "gone" the end of a server that was stopped. Over TLS,
// in the topics on that, the versions and protocol that were agreed on come first where they
// matter, and last whether the end was told ("close-notify") or not ("cut").
//
// That of a client is what it says of the response, then what became of the follow-up:
//
//	200 body="hello", follow-up
//	error, reconnects
//	200 body="", misread(200 body="hello")
//	crashed
//
// "reconnects": the follow-up came on another connection. "lost": the client says that it failed.
// "again": the POST of the case came several times; "unsent": it did not come. What was sent stands
// before that as "sent(GET / Host="HOST")" where it counts.
type Outcome string

// Silence is the outcome when nothing has come in time. It is no verdict: the machine may be
// slow, so such a case is tried again.
const Silence Outcome = "silence"

// Crashed is the outcome of a case that has ended a server that the kit has started.
const Crashed Outcome = "crashed"

// endless is what an outcome ends with when the kit ended the connection, because more came than any
// case asks for, or for longer.
const endless = "endless"

const (
	followUpTarget = "/?follow-up"
	followUp       = "GET " + followUpTarget + " HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n"
)

// timedOut reports whether the outcome says that something has not come for a while: bytes, the end of
// a connection, or that of a server that was stopped.
func (o Outcome) timedOut() bool {
	return strings.HasSuffix(string(o), string(Silence)) || strings.HasSuffix(string(o), "open") ||
		strings.HasSuffix(string(o), stays)
}

// stays is what an outcome ends with when a server that was stopped has not ended in time.
const stays = "stays"

// An Echo is what a server says of a request that it has received.
type Echo struct {
	Method string              `json:"method"`
	Target string              `json:"target"`
	Fields map[string][]string `json:"fields"`
	Body   string              `json:"body"`
}

// echo returns what an echo says, or nil if the response is none.
func (r *Response) echo() *Echo {
	if r.Status != 200 || r.Cut || !slices.Equal(r.Values("Conformance"), []string{"echo"}) {
		return nil
	}
	e := new(Echo)
	if json.Unmarshal(r.Body, e) != nil {
		return nil
	}
	return e
}

// followUp reports whether it is the echo of the follow-up, as that was sent.
func (e *Echo) followUp() bool {
	return e.Target == followUpTarget && e.Method == "GET" && e.Body == ""
}

func (e *Echo) short(names []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", word(e.Method), word(e.Target))
	for _, name := range names {
		fmt.Fprintf(&b, " %s=%s", name, strings.Join(quoted(e.values(name)), ","))
	}
	if e.Body != "" {
		fmt.Fprintf(&b, " body=%s", printableQuoted(e.Body))
	}
	return b.String()
}

func (e *Echo) values(name string) []string { return valuesOf(e.Fields, name) }

// valuesOf returns the values of a field, whatever the case of its name.
func valuesOf(fields map[string][]string, name string) (values []string) {
	for _, n := range slices.Sorted(maps.Keys(fields)) {
		if strings.EqualFold(n, name) {
			values = append(values, fields[n]...)
		}
	}
	return values
}

func quoted(values []string) []string {
	if len(values) == 0 {
		return []string{"none"}
	}
	q := make([]string, len(values))
	for i, v := range values {
		q[i] = printableQuoted(v)
	}
	return q
}

var plain = regexp.MustCompile(`^[A-Za-z0-9/?=&.:;*%_~!$+@-]{1,200}$`)

// word is a text in quotes, unless it has only letters, digits and what is common in a target.
func word(s string) string {
	if plain.MatchString(s) {
		return s
	}
	return printableQuoted(s)
}

// printableQuoted is a text of bytes, as characters up to U+00FF, in printable ones; a long one
// is told by its length and hash.
func printableQuoted(s string) string {
	if len(s) > 200 {
		sum := sha256.Sum256([]byte(s))
		return fmt.Sprintf("<%d bytes, %x>", len([]rune(s)), sum[:4])
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// wrong says what is wrong with an echo of a request that was sent.
func (u *Understood) wrong(e *Echo, sent []byte) string {
	method, target := requestLine(sent)
	for _, x := range []struct{ what, want, got string }{
		{"the method", cmp.Or(u.Method, method), e.Method}, {"the target", cmp.Or(u.Target, target), e.Target}, {"the body", u.Body, e.Body},
	} {
		if x.got != x.want {
			return fmt.Sprintf("%s is %s and not %s", x.what, printableQuoted(x.got), printableQuoted(x.want))
		}
	}
	return wrongFields(u.Fields, e.values)
}

// wrongFields says which fields have not the values that they should have.
func wrongFields(fields map[string][]string, values func(name string) []string) string {
	for name, want := range fields {
		got := values(name)
		// Several lines of one field are one list (RFC 9110, section 5.3; RFC 6265, section
		// 5.4, for cookies).
		separator := ", "
		if strings.EqualFold(name, "Cookie") {
			separator = "; "
		}
		if strings.Join(got, separator) != strings.Join(want, separator) {
			return fmt.Sprintf("%s is %s and not %s", name, strings.Join(quoted(got), ","), strings.Join(quoted(want), ","))
		}
	}
	return ""
}

// A pattern is an outcome with wildcards: "4xx, closed", "200 echo, follow-up", "4xx, *".
// A part is a status, in which an x is any digit, with " echo" if it has to be one, or a
// word of an outcome. "next" is "follow-up" or "reconnects", "sent" whatever was sent. "*" stands for
// whatever follows, also nothing, and "close(*)" for any close frame.
var patternPart = regexp.MustCompile(`^([1-5][0-9x]{2}( echo| cut| [a-z-]+=\[.*\])?|follow-up|closed|open|unfinished|silence|data\(("|<).*("|>)\)|\*|` +
	`error|reconnects|next|lost|again|unsent|sent|` +
	`(text|binary|ping|pong|heard)\(.*\)|close\(([0-9]{4}|\*)?\)|` +
	`refused(\([0-9]+\))?|reset|gone|close-notify|cut|alert(\([0-9]+\))?|tls(\(1\.[0-3](, [a-z0-9./]+)?\))?|` +
	`server-hello(\([0-9a-f]{4}\))?)$`)

func checkPattern(p string) error {
	for _, part := range Outcome(p).parts() {
		if !patternPart.MatchString(part) {
			return fmt.Errorf("%q is not understood in the outcome %q", part, p)
		}
	}
	return nil
}

// Matches reports whether the outcome is one of those that the pattern stands for.
func (o Outcome) Matches(pattern string) bool {
	parts, wanted := o.parts(), Outcome(pattern).parts()
	for i, w := range wanted {
		if w == "*" {
			return true
		}
		if i >= len(parts) || !matchesPart(parts[i], w) {
			return false
		}
	}
	return len(parts) == len(wanted)
}

// parts cuts an outcome at its commas, except for those in parentheses, quotes, and <...>.
func (o Outcome) parts() (parts []string) {
	depth, quoted, start := 0, false, 0
	s := string(o)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '(' || c == '<':
			depth++
		case c == ')' || c == '>':
			depth--
		case c == ',' && depth == 0:
			parts = append(parts, s[start:i])
			start = i + 2
		}
	}
	return append(parts, s[start:])
}

func matchesPart(part, wanted string) bool {
	if strings.HasPrefix(wanted, "close(") {
		return part == wanted || wanted == "close(*)" && strings.HasPrefix(part, "close(")
	}
	switch wanted {
	case "next":
		return part == "follow-up" || part == "reconnects"
	case "sent":
		return strings.HasPrefix(part, "sent(")
	case "refused", "alert", "tls", "server-hello": // whatever it tells
		return part == wanted || strings.HasPrefix(part, wanted+"(")
	}
	wanted, cut := strings.CutSuffix(wanted, " cut")
	status, echo := strings.CutSuffix(wanted, " echo")
	if wanted[0] < '1' || wanted[0] > '5' {
		return part == wanted
	}
	status, fields, _ := strings.Cut(status, " ") // "426 upgrade=[...]": these fields and no others
	got, rest, _ := strings.Cut(part, " ")
	if fields != "" && rest != fields {
		return false
	}
	if len(got) != 3 || echo && !strings.HasPrefix(rest, "echo(") || strings.HasSuffix(part, " cut") != cut {
		return false
	}
	if _, err := strconv.Atoi(got); err != nil {
		return false
	}
	for i := range 3 {
		if status[i] != 'x' && status[i] != got[i] {
			return false
		}
	}
	return true
}
