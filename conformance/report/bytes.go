package report

import (
	"fmt"
	"strings"
)

// Lines makes bytes readable: a line of text for each line, whose end is seen as \r\n or \n, and
// what cannot be printed as \xNN. Of what is longer than max a part is left out and counted.
func Lines(b []byte, max int) []string {
	left := 0
	if len(b) > max {
		b, left = b[:max], len(b)-max
	}
	var lines []string
	var line strings.Builder
	for i, c := range b {
		switch {
		case c == '\n':
			line.WriteString(`\n`)
		case c == '\r':
			line.WriteString(`\r`)
		case c == '\t':
			line.WriteString(`\t`)
		case c == '\\':
			line.WriteString(`\\`)
		case c < ' ' || c > '~':
			fmt.Fprintf(&line, `\x%02x`, c)
		default:
			line.WriteByte(c)
		}
		if c == '\n' || i == len(b)-1 {
			lines = append(lines, line.String())
			line.Reset()
		}
	}
	if left > 0 {
		lines = append(lines, fmt.Sprintf("... and %d bytes more", left))
	}
	return lines
}
