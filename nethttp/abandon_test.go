package nethttp_test

import (
	"io"
	"maps"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// abandoning are ways of a handler to leave without returning.
var abandoning = map[string]func(){
	"panic":  func() { panic(http.ErrAbortHandler) },
	"Goexit": runtime.Goexit,
}

// TestUnfinished: what a handler leaves without returning is never ended as if it were complete.
func TestUnfinished(t *testing.T) {
	t.Setenv("GODEBUG", "panicnil=1")
	ways := maps.Clone(abandoning)
	ways["panic(nil)"] = func() { panic(nil) } //nolint:govet // what is tested
	for name, leave := range ways {
		t.Run(name, func(t *testing.T) {
			addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/chunks":
					_, _ = io.WriteString(w, "a part")
					w.(http.Flusher).Flush()
				case "/buffered":
					_, _ = io.WriteString(w, "a part")
				case "/length":
					w.Header().Set("Content-Length", "10")
					_, _ = io.WriteString(w, "a part")
					w.(http.Flusher).Flush()
				}
				leave()
			}))
			for path, ending := range map[string]string{"/": "", "/buffered": "", "/chunks": "\r\n\r\n6\r\na part\r\n", "/length": "\r\n\r\na part"} {
				p := dial(t, addr)
				p.send("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
				b, err := io.ReadAll(p.r)
				require.NoError(t, err)
				require.Equal(t, ending == "", len(b) == 0, "%s: %q", path, b)
				require.True(t, strings.HasSuffix(string(b), ending), "%s: %q", path, b)
			}
		})
	}
}

// TestAbandonedWriter: what a handler has left behind finds an error, not a nil buffer.
func TestAbandonedWriter(t *testing.T) {
	for name, leave := range abandoning {
		t.Run(name, func(t *testing.T) {
			ended := make(chan any, 1)
			addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				go func() {
					defer func() { ended <- recover() }()
					time.Sleep(200 * time.Millisecond)
					w.WriteHeader(http.StatusEarlyHints)
					w.WriteHeader(http.StatusOK)
					_, err := io.WriteString(w, "late")
					assert.Error(t, err)
					assert.Error(t, http.NewResponseController(w).Flush())
					_, _, err = http.NewResponseController(w).Hijack()
					assert.Error(t, err)
				}()
				leave()
			}))
			p := dial(t, addr)
			p.send(get)
			_, err := io.ReadAll(p.r)
			assert.False(t, err != nil && isTimeout(err))
			assert.Nil(t, <-ended)
		})
	}
}

// TestAbandonedBody: the connection ends although somebody waits for the body.
func TestAbandonedBody(t *testing.T) {
	for name, leave := range abandoning {
		for _, expect := range []string{"", "Expect: 100-continue\r\n"} {
			for _, wait := range []time.Duration{0, 100 * time.Millisecond} {
				t.Run(name+" "+expect+wait.String(), func(t *testing.T) {
					ended := make(chan any, 1)
					addr := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
						go func() {
							defer func() { ended <- recover() }()
							_, err := io.ReadAll(r.Body)
							assert.Error(t, err)
						}()
						time.Sleep(wait)
						leave()
					}))
					p := dial(t, addr)
					p.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n" + expect + "\r\n")
					_, err := io.ReadAll(p.r)
					assert.False(t, err != nil && isTimeout(err), "the connection is open")
					assert.Nil(t, <-ended)
				})
			}
		}
	}
}

// TestBodyClosedElsewhere: an http.Transport closes the body of a request that it forwards
// in a goroutine of its own, while the handler answers. The race detector looks on.
func TestBodyClosedElsewhere(t *testing.T) {
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		closed := make(chan error)
		go func() { closed <- r.Body.Close() }()
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-closed
	}))
	for range 10 {
		p := dial(t, addr)
		p.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
		p.answer(http.MethodPost)
		_ = p.Close()
	}
}

// TestBadChunkKeepsContext: a client that sends nonsense is not gone.
func TestBadChunkKeepsContext(t *testing.T) {
	ended := make(chan error, 1)
	addr := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		assert.Error(t, err)
		ended <- r.Context().Err()
	}))
	dial(t, addr).send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n")
	assert.NoError(t, <-ended)
}
