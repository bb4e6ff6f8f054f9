package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/gonng/nnghttp/nethttp"
	"github.com/gonng/nnghttp/nng"
)

// A server is the demo server: its routes, what it counts, and the WebSockets that
// live on connections taken over from it.
type server struct {
	nng     *nng.Server
	http    nethttp.Server
	url     string // with the real port
	log     *slog.Logger
	root    *os.Root // nil without --dir
	metrics metrics
	sockets sockets
}

const maxEcho = 16 << 20

// listen serves on an address.
func (s *server) listen(listen, scheme string, cfg *nng.TLSConfig) (err error) {
	if s.nng, err = nng.HoldServer(listen); err != nil {
		return listenError(listen, err)
	}
	if err := s.start(scheme, cfg); err != nil {
		s.nng.Close()
		return listenError(listen, err)
	}
	return nil
}

func listenError(listen string, err error) error {
	why := reason(err)
	var op *nng.OpError
	if errors.As(err, &op) && op.Err == nng.ErrBadAddr && op.Detail == "" {
		why = "this machine has no such address"
	}
	return fmt.Errorf("cannot listen on %s: %s", listen, why)
}

func (s *server) start(scheme string, cfg *nng.TLSConfig) error {
	if cfg != nil {
		if err := s.nng.SetTLS(cfg); err != nil {
			return err
		}
	}
	s.http.Handler = s.routes()
	s.http.ErrorLog = s.log
	s.http.ReadTimeout = time.Minute
	s.http.Observe = s.observe
	if err := s.http.Start(s.nng); err != nil {
		return err
	}
	addr, err := s.nng.Addr()
	if err != nil {
		return err
	}
	s.url = scheme + "://" + addr.String()
	return nil
}

func (s *server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", servePage())
	mux.HandleFunc("/echo", serveEcho)
	mux.HandleFunc("GET /ws", s.serveWebSocket)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /stats", s.serveStats)
	mux.HandleFunc("GET /metrics", s.serveMetrics)
	if s.root != nil {
		mux.Handle("GET /files/", http.StripPrefix("/files", serveFiles(s.root)))
	}
	return mux
}

// observe counts a request and writes a line for it.
func (s *server) observe(r *http.Request, o nethttp.Observation) {
	if o.Hijacked {
		o.Status = http.StatusSwitchingProtocols
	}
	if r.URL != nil && r.URL.Path == "/stats" {
		return // the page asks every second: that would drown the log and the counts
	}
	s.metrics.add(o)
	s.log.Info("request", "method", r.Method, "uri", r.RequestURI, "status", o.Status, "bytes", o.Written,
		"duration", o.Duration, "remote", r.RemoteAddr)
}

// shutdown lets requests finish and says goodbye to the WebSockets.
func (s *server) shutdown(patience time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	done := make(chan struct{})
	go func() {
		s.sockets.shutdown(ctx)
		close(done)
	}()
	err := s.http.Shutdown(ctx)
	<-done
	s.nng.Close()
	if s.root != nil {
		s.root.Close()
	}
	return err
}

func serveEcho(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxEcho))
	if err != nil {
		if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
			http.Error(w, "the body has at most 16 MiB", http.StatusRequestEntityTooLarge)
		} else {
			http.Error(w, "the body cannot be read", http.StatusBadRequest)
		}
		return
	}
	contentType := r.Header.Get("Content-Type")
	if contentType == "" {
		contentType = "application/octet-stream"
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("X-Content-Type-Options", "nosniff") // what others send here must not become a page of ours
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(body))) // nng's own clients want it
	_, _ = w.Write(body)
}

func (s *server) serveStats(w http.ResponseWriter, _ *http.Request) {
	var n struct {
		Requests    int64 `json:"requests"`    // answered
		Running     int   `json:"running"`     // being answered now, without this one
		Connections int64 `json:"connections"` // hijacked and open
		Hijacked    int64 `json:"hijacked"`    // so far
		Messages    int64 `json:"messages"`    // echoed over WebSockets
	}
	n.Requests, n.Running = s.metrics.requests(), s.http.InFlight()-1
	n.Connections, n.Hijacked = s.sockets.numbers()
	n.Messages = s.metrics.messages.Load()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(n)
}
