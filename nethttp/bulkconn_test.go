package nethttp_test

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nethttp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// bulkEcho is net/http's server on connections of nng, and net/http's client on one.
func bulkEcho(t *testing.T) (client *http.Client, url string) {
	t.Helper()
	l := listen(t, "/")
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		if r.ContentLength >= 0 {
			w.Header().Set("Content-Length", fmt.Sprint(len(b)))
		}
		_, _ = w.Write(b)
	})}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	transport := nethttp.Transport(nil)
	transport.MaxConnsPerHost = 1
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}, "http://" + l.Addr().String()
}

func postEcho(t *testing.T, client *http.Client, url string, body []byte, chunked bool) {
	t.Helper()
	var in io.Reader = bytes.NewReader(body)
	if chunked {
		in = io.MultiReader(in)
	}
	res, err := client.Post(url, "", in)
	require.NoError(t, err)
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.True(t, bytes.Equal(body, got), "%d bytes of %d, chunked: %v", len(got), len(body), chunked)
}

// Long and short messages follow one another on one connection, and all arrive.
func TestBulkAndShort(t *testing.T) {
	client, url := bulkEcho(t)
	for i := range 200 {
		body := make([]byte, rand.IntN(3)*rand.IntN(400_000)+rand.IntN(20_000))
		_, _ = rand.NewChaCha8([32]byte{byte(i)}).Read(body)
		postEcho(t, client, url, body, i%2 == 0)
	}
}

// A long body in chunks, which net/http reads in pieces of 4 KiB, takes no call into C for each.
func TestBulkCalls(t *testing.T) {
	const size = 16 << 20
	client, url := bulkEcho(t)
	postEcho(t, client, url, nil, true) // a connection is there
	calls := int64(math.MaxInt64)
	for range 5 { // a busy machine brings the body in more pieces at times
		before := runtime.NumCgoCall()
		postEcho(t, client, url, make([]byte, size), true)
		calls = min(calls, runtime.NumCgoCall()-before)
	}
	t.Logf("%d calls for %d MiB up and down", calls, size>>20)
	assert.Less(t, calls, int64(size/(4<<10)), "it is twice as many with one for each piece, up and down")
}
