package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/gonng/nnghttp/conformance"
)

// writeCase writes what a case for clients does, in the order in which it happens.
func writeCase(w io.Writer, c *conformance.Case) {
	if c.Role() != conformance.ClientRole {
		return
	}
	fmt.Fprintf(w, "  the client is asked for: %s\n", cmp.Or(c.Request, "GET /"))
	if s := c.Sent; s != nil {
		fmt.Fprintf(w, "  it has to send: target %s%s", s.Target, fields(s.Fields))
		if s.Body != "" {
			fmt.Fprintf(w, ", body %q", s.Body)
		}
		fmt.Fprintln(w)
	}
	when := "the response"
	if c.Early {
		when = "before the request comes"
	}
	text := c.Raw
	if c.Head != nil {
		text = strings.Join(c.Head, "\r\n") + "\r\n\r\n" + c.Body
	}
	fmt.Fprintf(w, "  %s:\n", when)
	lines(w, text)
	for _, step := range c.Then {
		fmt.Fprintf(w, "  a moment later:\n")
		lines(w, step.Send)
	}
	switch c.End {
	case "close":
		fmt.Fprintf(w, "  then the kit closes the connection\n")
	case "reset":
		fmt.Fprintf(w, "  then the kit resets the connection\n")
	}
	if u := c.Understood; u != nil {
		fmt.Fprintf(w, "  to be understood, if there is a response: body %s%s\n", short(u.Body), fields(u.Fields))
	}
}

// lines writes bytes, a line for each line of them.
func lines(w io.Writer, text string) {
	if text == "" {
		fmt.Fprintln(w, "    nothing")
	}
	for line := range strings.Lines(text) {
		fmt.Fprintf(w, "    %s\n", short(line))
	}
}

// short is a text in quotes; the middle of a long one is left out.
func short(text string) string {
	if r := []rune(text); len(r) > 200 {
		return strconv.QuoteToASCII(string(r[:100])) + fmt.Sprintf(" ... %d more ... ", len(r)-120) + strconv.QuoteToASCII(string(r[len(r)-20:]))
	}
	return strconv.QuoteToASCII(text)
}

func fields(f map[string][]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(f)) {
		values := "none"
		if len(f[name]) > 0 {
			values = ""
			for i, v := range f[name] {
				if i > 0 {
					values += ", "
				}
				values += short(v)
			}
		}
		fmt.Fprintf(&b, ", %s: %s", name, values)
	}
	return b.String()
}
