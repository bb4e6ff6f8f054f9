package nng_test

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/require"
)

// intruders are what a goroutine that outlives its handler may call. The first take the connection.
func intruders(conn *nng.Conn, req *nng.Request, res *nng.Response, hijacks *atomic.Int64) []func() {
	soon := func() context.Context {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.IntN(2000))*time.Microsecond)
		context.AfterFunc(ctx, cancel)
		return ctx
	}
	fresh := func(f func(*nng.Request, *nng.Response)) {
		q, err := nng.NewRequest("http://localhost/")
		if err != nil {
			return
		}
		defer q.Close()
		s, err := nng.NewResponse()
		if err != nil {
			return
		}
		defer s.Close()
		f(q, s)
	}
	return []func(){
		func() {
			if conn.Hijack() == nil {
				hijacks.Add(1)
				time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond)
				_ = conn.Close()
			}
		},
		func() { _ = conn.Close() },
		func() { _, _ = conn.Read(make([]byte, 3)) },
		func() { _, _ = conn.ReadAhead(make([]byte, 3), 100) },
		func() { _ = conn.Unread(make([]byte, 3)) },
		func() { _ = conn.CloseWrite() },
		func() { _ = conn.AwaitData(soon()) },
		func() { _, _ = conn.Write(make([]byte, 100)) },
		func() { _ = conn.Flush(soon()) },
		func() { _ = conn.ReadAll(soon(), make([]byte, 3)) },
		func() { _, _ = conn.WriteSome(soon(), []byte("x")) },
		func() { _ = conn.WriteAll(soon(), []byte("xy")) },
		func() { fresh(func(q *nng.Request, _ *nng.Response) { _ = conn.ReadReq(soon(), q) }) },
		func() { fresh(func(_ *nng.Request, s *nng.Response) { _ = conn.WriteRes(soon(), s) }) },
		func() { fresh(func(q *nng.Request, s *nng.Response) { _ = conn.Transact(soon(), q, s) }) },
		func() { _ = conn.WriteReq(soon(), req) },
		func() { _ = conn.OnData(func([]byte, error) {}) },
		func() { conn.LocalAddr(); conn.RemoteAddr(); conn.Secure() },
		func() { _ = conn.SetDeadline(time.Now().Add(time.Millisecond)) },
		func() { _ = conn.SetReadDeadline(time.Now()); _ = conn.SetWriteDeadline(time.Time{}) },
		func() { req.Method(); req.URI(); req.Header("Host"); req.Data() },
		func() { _, _ = req.Head(); _, _ = req.Headers() },
		func() { _ = req.SetHeader("X", "y"); _ = req.DelHeader("X") },
		func() { _ = req.Close() },
		func() { _ = res.SetStatus(404); res.Status(); res.Reason() },
		func() { _ = res.SetHeader("X", "y"); _ = res.AddHeader("X", "z") },
		func() { _ = res.CopyData([]byte("body")); res.Data() },
		func() { _ = conn.WriteRes(soon(), res) },
		func() { _ = res.Reset() },
	}
}

// Goroutines call everything there is while their handler returns, panics or ends its goroutine,
// and afterwards. Nothing comes of that but errors. (With -race: nor is there a data race.)
func TestUseBeyondTheHandler(t *testing.T) {
	var hijacks, calls atomic.Int64
	var others sync.WaitGroup
	var mu sync.Mutex
	ended := false // so that no handler adds to others any more
	fn := func(_ context.Context, conn *nng.Conn, req *nng.Request) (*nng.Response, error) {
		res, err := nng.NewResponse()
		if err != nil {
			return nil, err
		}
		mu.Lock()
		late := ended
		if !late {
			others.Add(3)
		}
		mu.Unlock()
		if late {
			return res, nil
		}
		all := intruders(conn, req, res, &hijacks)
		var started sync.WaitGroup
		for range 3 {
			started.Add(1)
			go func() {
				defer others.Done()
				started.Done()
				_ = conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
				for range len(all) {
					which := rand.IntN(5 * len(all)) // the first two end most of what there is to be seen
					if which >= len(all) {
						which = 2 + which%(len(all)-2)
					}
					all[which]()
					calls.Add(1)
				}
			}()
		}
		started.Wait()
		time.Sleep(time.Duration(rand.IntN(200)) * time.Microsecond)
		switch rand.IntN(8) {
		case 0:
			defer res.Close()
			panic("a handler panics")
		case 1:
			defer res.Close()
			runtime.Goexit()
		case 2:
			defer res.Close()
			return nil, nng.ErrAbortHandler
		}
		return res, nil
	}
	old := slog.Default()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	defer slog.SetDefault(old)
	srv := newServer(t,
		newHandler(t, "/", fn, func(h *nng.Handler) error { return h.SetMethod("") }),
		newHandler(t, "/own", fn, func(h *nng.Handler) error { return h.CollectBody(false, 0) },
			func(h *nng.Handler) error { return h.SetMethod("") }))
	addr := address(t, srv)
	requests := []string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /own HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
		"POST /own HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n" + strings.Repeat("x", 500),
		"POST /own HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
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
					_, _ = io.WriteString(c, requests[rand.IntN(len(requests))])
				}
				_, _ = io.CopyN(io.Discard, c, int64(rand.IntN(1000)))
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
}
