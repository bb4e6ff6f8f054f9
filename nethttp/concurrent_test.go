package nethttp_test

import (
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nethttp"
	"github.com/stretchr/testify/require"
)

// intruders are what a goroutine that outlives its handler may call. Hijack gives the connection to take.
func intruders(w http.ResponseWriter, r *http.Request, take func(net.Conn)) []func() {
	rc := http.NewResponseController(w)
	block := make([]byte, 3000)
	return []func(){
		func() { _, _ = w.Write(block) },
		func() { _, _ = w.Write(block[:10]) },
		func() { _, _ = io.WriteString(w, "text") },
		func() { _, _ = w.(io.ReaderFrom).ReadFrom(strings.NewReader("some more text")) },
		func() { w.WriteHeader(http.StatusTeapot) },
		func() { w.WriteHeader(http.StatusEarlyHints) },
		func() { w.Header() },
		func() { _ = rc.Flush() },
		func() { w.(http.Flusher).Flush() },
		func() { _ = rc.SetReadDeadline(time.Now().Add(time.Minute)) },
		func() { _ = rc.SetWriteDeadline(time.Now().Add(time.Minute)) },
		func() { _ = rc.EnableFullDuplex() },
		func() { _, _ = r.Body.Read(make([]byte, 10)) },
		func() { _ = r.Body.Close() },
		func() { r.Context().Done(); _ = r.Context().Err() },
		func() { r.Context().Value(http.LocalAddrContextKey) },
		//lint:ignore SA1019 gin uses it
		func() { w.(http.CloseNotifier).CloseNotify() },
		func() {
			if c, buf, err := rc.Hijack(); err == nil {
				_, _ = buf.WriteString("taken")
				_ = buf.Flush()
				take(c)
			}
		},
	}
}

// Goroutines call everything there is while their handler returns, panics or ends its goroutine,
// and afterwards. Nothing comes of that but errors. (With -race: nor is there a data race.)
func TestUseBeyondTheHandler(t *testing.T) {
	var calls, hijacks atomic.Int64
	var others sync.WaitGroup
	var mu sync.Mutex
	ended := false // so that no handler adds to others any more
	take := func(c net.Conn) {
		hijacks.Add(1)
		_ = c.Close()
	}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		late := ended
		if !late {
			others.Add(3)
		}
		mu.Unlock()
		if late {
			return
		}
		all := intruders(w, r, take)
		var started sync.WaitGroup
		for range 3 {
			started.Add(1)
			go func() {
				defer others.Done()
				started.Done()
				for range 2 * len(all) {
					which := rand.IntN(len(all) + 100) // hijacking ends most of what there is to be seen
					if which >= len(all) {
						which %= len(all) - 1
					}
					all[which]()
					calls.Add(1)
				}
			}()
		}
		started.Wait()
		time.Sleep(time.Duration(rand.IntN(60)) * time.Microsecond)
		switch rand.IntN(8) {
		case 0:
			panic(http.ErrAbortHandler)
		case 1:
			runtime.Goexit()
		case 2:
			_, _ = io.Copy(io.Discard, r.Body)
		}
	})
	s := &nethttp.Server{Handler: h, ErrorLog: slog.New(slog.DiscardHandler), Observe: func(*http.Request, nethttp.Observation) {}}
	addr, _ := serveWith(t, s)
	old := slog.Default()
	slog.SetDefault(slog.New(slog.DiscardHandler)) // goroutines that end are logged there
	defer slog.SetDefault(old)
	bodies := []string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
		"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n" + strings.Repeat("x", 500),
	}
	var clients sync.WaitGroup
	end := time.Now().Add(2 * time.Second)
	for range 8 {
		clients.Add(1)
		go func() {
			defer clients.Done()
			for time.Now().Before(end) {
				c, err := net.Dial("tcp", addr)
				if err != nil {
					t.Error(err)
					return
				}
				_ = c.SetDeadline(time.Now().Add(300 * time.Millisecond))
				for range 3 {
					_, _ = io.WriteString(c, bodies[rand.IntN(len(bodies))])
				}
				_, _ = io.CopyN(io.Discard, c, int64(rand.IntN(20000)))
				_ = c.Close()
			}
		}()
	}
	clients.Wait()
	mu.Lock()
	ended = true
	mu.Unlock()
	others.Wait()
	t.Logf("%d calls, %d connections taken", calls.Load(), hijacks.Load())
	require.NotZero(t, hijacks.Load())
	require.Positive(t, calls.Load())
	for end := time.Now().Add(10 * time.Second); s.InFlight() > 0 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	require.Zero(t, s.InFlight())
}

// Hijack, as the handler returns, takes the connection or says why not.
func TestLateHijack(t *testing.T) {
	results := make(chan error, 1)
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.FormValue("x"))
		go func() {
			time.Sleep(time.Duration(rand.IntN(100)) * time.Microsecond)
			c, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				err = c.Close()
			}
			results <- err
		}()
		time.Sleep(time.Duration(rand.IntN(100)) * time.Microsecond)
	}))
	late, tries := 0, 300
	for range tries {
		p := dial(t, addr)
		p.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\nx=y")
		if err := <-results; err != nil {
			late++
			require.NotErrorIs(t, err, http.ErrHijacked)
			_, text := p.answer("POST")
			require.Equal(t, "y", text)
		}
		_ = p.Close()
	}
	t.Logf("%d of %d came too late", late, tries)
}
