package hostile

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestGenerator checks that what is generated is neither all good nor all bad: then most
// of it would show nothing.
func TestGenerator(t *testing.T) {
	g := NewGenerator(1)
	requests, good, empty := 0, 0, 0
	for range 5000 {
		_, script := g.Request()
		sent, _ := Sent(script)
		all, more := Requests(sent)
		requests += len(all)
		if more {
			good++
		}
		if len(all) == 0 {
			empty++
		}
	}
	t.Logf("of 5000 scripts %d are good to the end, %d have no good request; %d good requests", good, empty, requests)
	assert.Greater(t, requests, 6000)
	assert.Greater(t, good, 500)
	assert.Less(t, empty, 2000)
	answers, whole := 0, 0
	for range 5000 {
		kind, script := g.Answer()
		if kind&^OverTLS == WebSocket {
			continue
		}
		sent, _ := Sent(script)
		for _, a := range Answers(sent, false, false) {
			if answers++; a.Err == nil {
				whole++
			}
		}
	}
	t.Logf("%d of %d answers are whole", whole, answers)
	assert.Greater(t, whole, answers/5)
	assert.Less(t, whole, answers*4/5)
}
