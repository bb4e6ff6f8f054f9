package interop

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nethttp"
	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/require"
)

// mount serves h with nethttp.Server, libnng underneath, for the length of a test. It
// returns the address.
func mount(t testing.TB, h http.Handler) (host string) {
	t.Helper()
	log := &testLog{}
	s := &nethttp.Server{Handler: h, ErrorLog: slog.New(slog.NewTextHandler(log, nil))}
	starting.Lock()
	defer starting.Unlock()
	srv, err := nng.HoldServer("http://127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, s.Start(srv))
	t.Cleanup(func() {
		require.NoError(t, s.Close())
		require.NoError(t, srv.Close())
		if t.Failed() {
			t.Logf("the log of nethttp.Server:\n%s", log)
		}
	})
	addr, err := srv.Addr()
	require.NoError(t, err)
	return addr.String()
}

// A testLog keeps what a server logs for the case that its test fails.
type testLog struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *testLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *testLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// newClient makes the client of the tests that look at a server: it follows no redirects
// and takes no compression back. This is the one place to put another transport in.
func newClient(t testing.TB) *http.Client {
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       30 * time.Second,
	}
}

// fetch gets a URL and its whole body.
func fetch(t testing.TB, c *http.Client, url string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	return exchange(t, c, req)
}

// exchange sends a request and reads the whole body of the response.
func exchange(t testing.TB, c *http.Client, req *http.Request) (*http.Response, string) {
	t.Helper()
	res, err := c.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res, string(body)
}

// soon is how long things may take that should happen at once.
const soon = 10 * time.Second

// happens fails the test unless done is closed soon.
func happens(t testing.TB, done <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(soon):
		t.Fatal("did not happen: " + what)
	}
}
