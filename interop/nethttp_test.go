package interop

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/gonng/nnghttp/nethttp"
	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A peerServer is a nethttp.Server with the handlers that clients and proxies ask, and a
// note of who came.
type peerServer struct {
	url   string
	addr  string
	parts chan string // what /stream reads
	end   func()      // closes the server, and lets go of its address

	mu     sync.Mutex
	peers  map[string]int  // requests by connection
	known  map[string]bool // the connections from before forget
	protos map[string]int  // requests by protocol version
	sick   bool            // /healthz fails
}

// servePeers starts srv, whose Handler it sets, on a free port, or on addr; with TLS if it
// has the configuration.
func servePeers(t *testing.T, srv *nethttp.Server, addr string) *peerServer {
	t.Helper()
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	p := &peerServer{parts: make(chan string, 16)}
	p.forget()
	srv.Handler = p.handler()
	srv.ErrorLog = slog.New(slog.NewTextHandler(silentLog{t}, nil))
	starting.Lock()
	defer starting.Unlock()
	scheme := "http://"
	if srv.TLS != nil {
		scheme = "https://"
	}
	held, err := nng.HoldServer(scheme + addr)
	require.NoError(t, err)
	if srv.TLS != nil {
		require.NoError(t, held.SetTLS(srv.TLS))
	}
	require.NoError(t, srv.Start(held))
	p.end = sync.OnceFunc(func() {
		assert.NoError(t, srv.Close())
		assert.NoError(t, held.Close())
	})
	t.Cleanup(p.end)
	bound, err := held.Addr()
	require.NoError(t, err)
	p.addr = bound.String()
	p.url = scheme + p.addr
	return p
}

// silentLog gives what a server logs to the test, which should be no more than what it has
// refused.
type silentLog struct{ t *testing.T }

func (l silentLog) Write(p []byte) (int, error) {
	if strings.Contains(string(p), "connections ended or refused") {
		l.t.Logf("the server has logged %s", p)
	} else {
		l.t.Errorf("the server has logged %s", p)
	}
	return len(p), nil
}

// forget starts counting again.
func (p *peerServer) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil {
		p.known = make(map[string]bool)
	}
	for peer := range p.peers {
		p.known[peer] = true
	}
	p.peers, p.protos = make(map[string]int), make(map[string]int)
}

// opened returns how many connections are new.
func (p *peerServer) opened() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for peer := range p.peers {
		if !p.known[peer] {
			n++
		}
	}
	return n
}

// connections returns how many connections and requests there were, without health checks.
func (p *peerServer) connections() (connections, requests int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range p.peers {
		requests += n
	}
	return len(p.peers), requests
}

// versions returns the number of requests by protocol version.
func (p *peerServer) versions() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.protos)
}

func (p *peerServer) setSick(sick bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sick = sick
}

// text is a body of 26 letters, which ranges are parts of.
const text = "abcdefghijklmnopqrstuvwxyz"

// modified is when text was changed last.
var modified = time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)

// large returns n bytes, no two KiB of which are the same.
func large(n int) string { return lines()[:n] }

var lines = sync.OnceValue(func() string {
	const most = 10 << 20
	var b strings.Builder
	b.Grow(most + 100)
	for i := 0; b.Len() < most; i++ {
		fmt.Fprintf(&b, "line %d of a large body\r\n", i)
	}
	return b.String()
})

func sum(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

func (p *peerServer) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello\n") })
	// What comes goes back, as it comes, with the request in the header.
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Method", r.Method)
		w.Header().Set("X-Length", strconv.FormatInt(r.ContentLength, 10))
		w.Header().Set("X-Query", r.URL.RawQuery)
		w.Header().Set("X-Type", r.Header.Get("Content-Type"))
		w.Header().Set("Content-Type", "application/octet-stream")
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
			panic(err)
		}
		if _, err := io.Copy(w, r.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
	})
	// The hash of what comes.
	mux.HandleFunc("/sum", func(w http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		n, err := io.Copy(h, r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("X-Length", strconv.FormatInt(r.ContentLength, 10))
		fmt.Fprintf(w, "%d %x", n, h.Sum(nil))
	})
	mux.HandleFunc("/large", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.FormValue("n"))
		if r.FormValue("length") != "" {
			w.Header().Set("Content-Length", strconv.Itoa(n))
		}
		_, _ = io.WriteString(w, large(n))
	})
	// Parts, with a pause before each, and a trailer.
	mux.HandleFunc("/parts", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		w.Header().Set("X-Accel-Buffering", "no") // nginx is to pass them on at once
		for i := range 5 {
			fmt.Fprintf(w, "part %d\n", i)
			_ = http.NewResponseController(w).Flush()
			time.Sleep(50 * time.Millisecond)
		}
		w.Header().Set("X-Sum", "five parts")
	})
	// What comes, part by part, to parts.
	mux.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) {
		buf, n := make([]byte, 1000), 0
		for {
			got, err := r.Body.Read(buf)
			if n += got; got > 0 {
				p.parts <- string(buf[:got])
			}
			if err == io.EOF {
				break
			} else if err != nil {
				panic(http.ErrAbortHandler)
			}
		}
		fmt.Fprintf(w, "%d bytes", n)
	})
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, r *http.Request) {}) // a plain health check
	mux.HandleFunc("/text", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"letters"`)
		http.ServeContent(w, r, "text.txt", modified, strings.NewReader(text))
	})
	mux.HandleFunc("/gzip", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Vary", "Accept-Encoding")
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			http.Error(w, "ask for gzip", http.StatusNotAcceptable)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = io.WriteString(z, large(100_000))
		_ = z.Close()
	})
	mux.HandleFunc("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(r.PathValue("code"))
		w.WriteHeader(code)
	})
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/hello", http.StatusFound) })
	mux.HandleFunc("/cookie", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "first", Value: "1"})
		http.SetCookie(w, &http.Cookie{Name: "second", Value: "2"})
		fmt.Fprint(w, r.Header.Values("Cookie"))
	})
	mux.HandleFunc("/close", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		fmt.Fprint(w, "bye\n")
	})
	mux.HandleFunc("/ws", echoWebSocket)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		sick := p.sick
		if r.URL.Path != "/healthz" && r.URL.Path != "/" {
			p.peers[r.RemoteAddr]++
			p.protos[r.Proto]++
		}
		p.mu.Unlock()
		switch {
		case r.URL.Path != "/healthz":
			mux.ServeHTTP(w, r)
		case sick:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	})
}

// echoWebSocket sends messages back, with the help of gobwas/ws, which hijacks.
func echoWebSocket(w http.ResponseWriter, r *http.Request) {
	conn, rw, _, err := ws.UpgradeHTTP(r, w)
	if err != nil {
		return
	}
	defer conn.Close()
	stream := struct {
		io.Reader
		io.Writer
	}{rw, conn}
	for {
		msg, op, err := wsutil.ReadClientData(stream)
		if err != nil || wsutil.WriteServerMessage(conn, op, msg) != nil {
			return
		}
	}
}
