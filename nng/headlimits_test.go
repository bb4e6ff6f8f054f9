package nng_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMaxHeader(t *testing.T) {
	hold := func(bytes, fields int) *nng.Server {
		holdMu.Lock()
		defer holdMu.Unlock()
		srv, err := nng.HoldServer("http://127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { srv.Close() })
		err = srv.SetLimits(nng.Limits{MaxHeaderBytes: bytes, MaxHeaderFields: fields})
		if errors.Is(err, nng.ErrNotSupported) && !patched() {
			t.Skip("an untouched libnng has no such limits")
		}
		require.NoError(t, err)
		require.NoError(t, srv.AddHandler(everything(t, text("handled"))))
		require.NoError(t, srv.Start())
		return srv
	}
	srv, usual := hold(4000, 10), hold(0, 0)
	for _, q := range []struct {
		head          string
		status, other string
	}{
		{strings.Repeat("A: b\r\n", 8), "200", "200"}, // and Host and Connection
		{strings.Repeat("A: b\r\n", 9), "431", "200"},
		{strings.Repeat("A: b\r\n", 998), "431", "200"},
		{strings.Repeat("A: b\r\n", 999), "431", "431"},
		{"A: " + strings.Repeat("b", 3800) + "\r\n", "200", "200"},
		{"A: " + strings.Repeat("b", 4000) + "\r\n", "431", "200"},
		{"A: " + strings.Repeat("b", 65500) + "\r\n", "431", "200"},
	} {
		request := "GET / HTTP/1.1\r\n" + q.head + hostClose
		assert.Equal(t, []string{q.status}, statuses(deliver(t, address(t, srv), request)), "%.40q", q.head)
		assert.Equal(t, []string{q.other}, statuses(deliver(t, address(t, usual), request)), "%.40q", q.head)
	}
	// Nothing is waited for that could not be taken.
	c, err := net.Dial("tcp", address(t, srv))
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nA: "+strings.Repeat("b", 4000))
	require.NoError(t, err)
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	assert.Equal(t, 431, res.StatusCode)
	assert.True(t, res.Close)
	// The limit may be above the usual one, too.
	large := "GET / HTTP/1.1\r\n" + strings.Repeat("A: "+strings.Repeat("b", 400)+"\r\n", 4900) + hostClose
	for _, srv := range []*nng.Server{hold(2<<20, 5000), hold(-1, -1)} {
		assert.Equal(t, []string{"200"}, statuses(deliver(t, address(t, srv), large)))
	}
	// It may change while the server runs, for connections that come.
	require.NoError(t, usual.SetLimits(nng.Limits{MaxHeaderFields: -1, MaxHeaderBytes: -1}))
	assert.Equal(t, []string{"200"}, statuses(deliver(t, address(t, usual), large)))
}
