// Rest keeps notes in memory: GET, PUT and DELETE on /notes/NAME, and GET on /notes for
// all. It stops gently on SIGINT and SIGTERM.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/gonng/nnghttp/nethttp"
)

type notes struct {
	mu     sync.Mutex
	byName map[string]string
}

func main() {
	n := &notes{byName: make(map[string]string)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /notes", n.list)
	mux.HandleFunc("GET /notes/{name}", n.get)
	mux.HandleFunc("PUT /notes/{name}", n.put)
	mux.HandleFunc("DELETE /notes/{name}", n.remove)

	srv := &nethttp.Server{Handler: mux, MaxInFlight: 1000, ReadTimeout: 10 * time.Second}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	done := make(chan error, 1)
	go func() {
		<-ctx.Done()
		patience, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		done <- srv.Shutdown(patience)
	}()
	if err := srv.ListenAndServe("http://127.0.0.1:8080"); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
	if err := <-done; err != nil {
		log.Fatal(err)
	}
}

func (n *notes) list(w http.ResponseWriter, _ *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(n.byName)
}

func (n *notes) get(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	note, ok := n.byName[r.PathValue("name")]
	n.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	_, _ = io.WriteString(w, note)
}

func (n *notes) put(w http.ResponseWriter, r *http.Request) {
	note, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
	if err != nil {
		http.Error(w, "a note has at most 64 KiB", http.StatusRequestEntityTooLarge)
		return
	}
	n.mu.Lock()
	n.byName[r.PathValue("name")] = string(note)
	n.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

func (n *notes) remove(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	delete(n.byName, r.PathValue("name"))
	n.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}
