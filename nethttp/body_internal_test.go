package nethttp

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// A takeover that comes just as the handler returns may find a body that has been given back.
// TestLateHijack meets that moment now and then; here it is certain.
func TestTakeBufferedAfterRelease(t *testing.T) {
	b := &body{buf: getReader()}
	b.release()
	assert.Empty(t, b.takeBuffered())
	assert.True(t, b.closed)
}
