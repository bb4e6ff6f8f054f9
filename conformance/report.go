package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
)

// MaxReceived is how many bytes of what came a recording keeps: enough for libnng's longest error
// page and the response to the follow-up.
const MaxReceived = 1000

var (
	datePattern = regexp.MustCompile(`(?i)(\r\nDate: )[^\r]*`)
	portPattern = regexp.MustCompile(`127\.0\.0\.1:[0-9]+`)
	// A WebSocket client's handshake has a key, and its frames have masks, that are made up each time.
	keyPattern = regexp.MustCompile(`(?is)(\r\nSec-WebSocket-Key: )[^\r]*(.*?\r\n\r\n).*`)
)

// received is what came, the first bytes of it, as Steady has it.
func received(trace []Event) string {
	var all []byte
	for _, e := range trace {
		all = append(all, e.Received...)
	}
	return SteadyPart(all, MaxReceived)
}

// SteadyPart is the beginning of what Steady makes of b: so many bytes, if there are as many.
func SteadyPart(b []byte, n int) string {
	const replaced = 200 // what is replaced becomes shorter by no more
	s := []rune(Steady(b[:min(len(b), n+replaced)]))
	return string(s[:min(len(s), n)])
}

// Steady makes a character of each byte, and replaces dates and ports, which are others each
// time. So what two servers sent can be compared.
func Steady(b []byte) string {
	s := datePattern.ReplaceAllString(toLatin1(b), "${1}...")
	s = keyPattern.ReplaceAllString(s, "${1}...${2}...")
	return portPattern.ReplaceAllString(s, "127.0.0.1:PORT")
}

// LoadReport reads a report from a file that nngconform run --json has written.
func LoadReport(file string) (*Report, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	r := new(Report)
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(r.Cases) == 0 {
		return nil, fmt.Errorf("%s: there are no cases in this report", file)
	}
	return r, nil
}

// Deliveries returns those in which the case is played.
func (c *Case) Deliveries() []Delivery { return slices.Clone(c.deliveries()) }
