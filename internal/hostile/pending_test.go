package hostile

import "testing"

// pending are seeds that show faults which are not mended yet, by the defect or the row of
// the list of faults that they belong to. They are tried nevertheless: one that passes is
// an ordinary test, and its line here can go.
var pending = map[string]string{
	"a7-":           "B1: bytes that came before a reset may be lost",
	"b2-reset":      "B2: a body that is cut by a reset is taken for whole",
	"c1-empty-line": "C1: an empty line before a response is skipped, net/http refuses it",
	"c2-crlf":       "C2: an empty line after a response is the next one",
	"field-1":       "P5: a field without a name is taken, in responses",
	"line-":         "CL9: the version of a response is not looked at",
	"e3-chunks-2":   "E3: control characters in a chunk's extension",
	"ws-":           "P1: the 400 of a failed WebSocket handshake does not close",
}

// failed reports what a script has shown: as a failure, or as one that is expected.
func failed(t *testing.T, seeds []Seed, script []byte, err error) {
	t.Helper()
	for _, s := range seeds {
		if s.Script != string(script) {
			continue
		}
		for name, why := range pending {
			if len(s.Name) >= len(name) && s.Name[:len(name)] == name {
				t.Skipf("pending, %s: %.200v", why, err)
			}
		}
	}
	t.Error(err)
}
