package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/gonng/nnghttp/internal/grammar"
	"github.com/gonng/nnghttp/nng"
)

// serveWebSocket takes the connection away from the C server and echoes messages on it.
func (s *server) serveWebSocket(w http.ResponseWriter, r *http.Request) {
	if !grammar.EqualFold(r.Header.Get("Upgrade"), "websocket") || r.Header.Get("Sec-WebSocket-Version") != "13" ||
		!grammar.HasToken(r.Header.Values("Connection"), "upgrade") {
		h := w.Header()
		h.Set("Upgrade", "websocket")
		h.Set("Connection", "Upgrade")
		h.Set("Sec-WebSocket-Version", "13")
		http.Error(w, "this is for WebSockets", http.StatusUpgradeRequired)
		return
	}
	if nonce, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-WebSocket-Key")); err != nil || len(nonce) != 16 {
		http.Error(w, "bad Sec-WebSocket-Key", http.StatusBadRequest)
		return
	}
	if !s.sockets.take(s.http.MaxConns) {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many WebSockets are open", http.StatusServiceUnavailable)
		return
	}
	conn, rw, _, err := ws.UpgradeHTTP(r, w)
	if err != nil { // it has answered on the connection, which nobody else will close
		if conn != nil {
			conn.Close()
		}
		s.sockets.give()
		return
	}
	sock := newSocket(conn, rw.Reader, ws.StateServerSide)
	sock.idle = max(cmp.Or(s.http.IdleTimeout, nng.DefaultIdleTimeout), 0)
	if !s.sockets.add(sock) { // shutting down
		sock.close(ws.StatusGoingAway, "the server is shutting down")
		sock.end(net.ErrClosed) // the client may answer
		s.sockets.give()
		return
	}
	go func() {
		defer s.sockets.remove(sock)
		s.echo(sock)
	}()
}

// echo sends every message back until the WebSocket ends.
func (s *server) echo(sock *socket) {
	remote := sock.conn.RemoteAddr() // which nobody tells once it is closed
	start, messages, bytes := time.Now(), 0, 0
	var err error
	for err == nil {
		var op ws.OpCode
		var p []byte
		if op, p, err = sock.read(); err == nil {
			if err = sock.write(op, p); err == nil {
				messages++
				bytes += len(p)
				s.metrics.messages.Add(1)
			}
		}
	}
	sock.end(err)
	s.log.Info("websocket closed", "reason", closeReason(err), "messages", messages, "bytes", bytes,
		"duration", time.Since(start), "remote", remote)
}

// closeReason says in a few words how a WebSocket has ended.
func closeReason(err error) string {
	var closed wsutil.ClosedError
	switch {
	case errors.As(err, &closed):
		s := "closed with status " + strconv.Itoa(int(closed.Code))
		if closed.Reason != "" {
			s += ": " + closed.Reason
		}
		return s
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection ended without a close frame"
	}
	return reason(err)
}

// sockets are the open WebSockets of a server. The C server no longer knows them, so
// ending them is up to us.
type sockets struct {
	mu       sync.Mutex
	open     map[*socket]struct{}
	taken    int // open, or about to be
	total    int64
	stopping bool
	running  sync.WaitGroup
}

// add answers false when it is too late for another one.
func (s *sockets) add(sock *socket) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return false
	}
	if s.open == nil {
		s.open = make(map[*socket]struct{})
	}
	s.open[sock] = struct{}{}
	s.total++
	s.running.Add(1)
	return true
}

// take has a place for another socket, unless there are limit of them; 0 and less is no
// limit. Who does not use it gives it back.
func (s *sockets) take(limit int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if limit > 0 && s.taken >= limit {
		return false
	}
	s.taken++
	return true
}

func (s *sockets) give() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
}

func (s *sockets) remove(sock *socket) {
	s.mu.Lock()
	delete(s.open, sock)
	s.taken--
	s.mu.Unlock()
	s.running.Done()
}

func (s *sockets) numbers() (open, total int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(len(s.open)), s.total
}

// shutdown closes all with status 1001 and waits until they are gone. Those that do
// not answer in time are cut off.
func (s *sockets) shutdown(ctx context.Context) {
	s.mu.Lock()
	s.stopping = true
	for sock := range s.open {
		// A slow reader may keep the socket's lock, so nobody waits for it here.
		go func() {
			sock.close(ws.StatusGoingAway, "the server is shutting down")
			_ = sock.conn.SetReadDeadline(time.Now().Add(closeTime))
		}()
	}
	s.mu.Unlock()

	gone := make(chan struct{})
	go func() {
		s.running.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		return
	case <-ctx.Done():
	}
	s.mu.Lock()
	for sock := range s.open {
		go sock.conn.Close()
	}
	s.mu.Unlock()
	<-gone
}
