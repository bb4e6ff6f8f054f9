package nethttp_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestCookieCommas: a Cookie field full of commas costs no more than another one.
func TestCookieCommas(t *testing.T) {
	p := dial(t, serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	line := "Cookie: " + strings.Repeat("a, ", 20000) + "a\r\n"
	start := time.Now()
	res, _ := p.ask("GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat(line, 15) + "\r\n")
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Less(t, time.Since(start), 5*time.Second)
}
