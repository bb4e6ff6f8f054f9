package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/rpc"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/gonng/nnghttp/nethttp"
	"github.com/gonng/nnghttp/nng"
)

// What handlers and clients have to agree on.
const (
	helloText  = "hello"
	staticText = "static\n"
	fileText   = "file\n"
	largeSize  = 1 << 20
	deepSize   = 200_000
	collectMax = 1 << 20

	headTimeout      = 5 * time.Second // which others must keep, on a machine that is busy
	handshakeTimeout = 5 * time.Second
	maxFields        = 100

	sentUpgrade = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n"
)

// The sites that a Host has: the same, without TLS and with it.
const (
	plain = iota
	secure
	sites
)

// A Host is the process with the servers. The other process calls its methods over a pipe.
type Host struct {
	dir  string // of the files to serve, with the certificate
	leak string

	mu   sync.Mutex
	tls  *nng.TLSConfig
	open [sites]*site
}

// host serves calls on standard input and output until that ends.
func host(dir, leak string) error {
	deep := filepath.Join(dir, "files", "deep")
	if err := os.MkdirAll(deep, 0o755); err != nil {
		return err
	}
	if err := errors.Join(
		os.WriteFile(filepath.Join(dir, "files", "a.txt"), []byte(fileText), 0o644),
		os.WriteFile(filepath.Join(deep, "b.bin"), make([]byte, deepSize), 0o644)); err != nil {
		return err
	}
	calls := rpc.NewServer()
	if err := calls.Register(&Host{dir: dir, leak: leak}); err != nil {
		return err
	}
	calls.ServeConn(struct {
		io.Reader
		io.Writer
		io.Closer
	}{os.Stdin, os.Stdout, os.Stdin})
	return nil
}

// Nothing is what calls have that need no argument, or no result.
type Nothing struct{}

// Start starts both sites and returns their addresses.
func (h *Host) Start(_ Nothing, addrs *[]string) (err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.tls, err = nng.NewTLSConfig(nng.TLSServer); err != nil {
		return err
	}
	if err := h.tls.SetCertKeyFile(filepath.Join(h.dir, certFile), ""); err != nil {
		return err
	}
	for i := range h.open {
		if h.open[i], err = h.start(i, "127.0.0.1:0"); err != nil {
			return err
		}
		*addrs = append(*addrs, h.open[i].addr)
	}
	return nil
}

// Restart shuts a site down, as a program does that is told to end, and starts another one on
// the same port.
func (h *Host) Restart(which int, _ *Nothing) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	addr := h.open[which].addr
	if err := h.open[which].stop(); err != nil {
		return err
	}
	var err error
	for range 50 { // in the moment in between, the port is anybody's
		if h.open[which], err = h.start(which, addr); !errors.Is(err, nng.ErrAddrInUse) {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}

// Stop ends both sites and closes all there is.
func (h *Host) Stop(_, _ *Nothing) (err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, s := range h.open {
		if s != nil {
			err = errors.Join(err, s.stop())
		}
		h.open[i] = nil
	}
	h.tls.Close()
	return err
}

// Sample says what the process uses now.
func (h *Host) Sample(_ Nothing, s *Sample) error {
	*s = sample()
	return nil
}

// Settled is Sample after the garbage is collected.
func (h *Host) Settled(_ Nothing, s *Sample) error {
	*s = settledSample()
	return nil
}

// A site is one port with everything on it: an http.Handler, each of nng's kinds of handlers,
// and nng's WebSockets.
type site struct {
	addr    string
	srv     *nng.Server
	web     *nethttp.Server
	sockets *nng.WSListener
	conns   sync.WaitGroup // of WebSockets
}

func (h *Host) start(which int, addr string) (s *site, err error) {
	s = &site{}
	defer func() {
		if err != nil {
			_ = s.stop()
		}
	}()
	scheme, wsScheme := "http://", "ws://"
	if which == secure {
		scheme, wsScheme = "https://", "wss://"
	}
	if s.srv, err = nng.HoldServer(scheme + addr); err != nil {
		return s, err
	}
	for path, fn := range map[string]nng.HandlerFunc{"/native": native, "/collect": collect, "/native-shout": nativeShout} {
		handler, err := nng.NewHandler(path, fn)
		if err != nil {
			return s, err
		}
		if path == "/collect" {
			err = errors.Join(handler.SetMethod("POST"), handler.CollectBody(true, collectMax))
		}
		if err = errors.Join(err, s.srv.AddHandler(handler)); err != nil {
			return s, err
		}
	}
	static, err1 := nng.NewStaticHandler("/static", []byte(staticText), "text/plain")
	file, err2 := nng.NewFileHandler("/file", filepath.Join(h.dir, "files", "a.txt"))
	directory, err3 := nng.NewDirectoryHandler("/files", filepath.Join(h.dir, "files"))
	if err = errors.Join(err1, err2, err3); err != nil {
		return s, err
	}
	if err = errors.Join(s.srv.AddHandler(static), s.srv.AddHandler(file), s.srv.AddHandler(directory)); err != nil {
		return s, err
	}
	s.web = &nethttp.Server{
		Handler: h.pages(), TLS: h.tls,
		ReadHeaderTimeout: headTimeout, TLSHandshakeTimeout: handshakeTimeout, MaxHeaderFields: maxFields,
		ErrorLog: slog.New(slog.DiscardHandler),
	}
	if err = s.web.Start(s.srv); err != nil {
		return s, err
	}
	a, err := s.srv.Addr()
	if err != nil {
		return s, err
	}
	s.addr = a.String()
	if s.sockets, err = nng.NewWSListener(wsScheme + s.addr + "/socket"); err != nil {
		return s, err
	}
	if err = s.sockets.Listen(); err != nil {
		return s, err
	}
	s.conns.Go(s.accept)
	return s, nil
}

// stop lets requests finish and closes everything. Hijacked connections end with their clients.
func (s *site) stop() (err error) {
	if s.sockets != nil {
		err = s.sockets.Close()
	}
	if s.web != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		err = errors.Join(err, s.web.Shutdown(ctx))
	}
	if s.srv != nil {
		err = errors.Join(err, s.srv.Close())
	}
	s.conns.Wait()
	return err
}

func (s *site) accept() {
	for {
		conn, err := s.sockets.Accept(context.Background())
		if err != nil {
			return
		}
		s.conns.Go(func() {
			defer conn.Close()
			for {
				message, err := conn.ReadMessage(context.Background())
				if err != nil || conn.WriteMessage(context.Background(), message) != nil {
					return
				}
			}
		})
	}
}

// pages is the http.Handler.
func (h *Host) pages() http.Handler {
	large := make([]byte, largeSize)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, r *http.Request) {
		leak(h.leak)
		io.WriteString(w, helloText)
	})
	mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body) // whole: a server may drop what is left when the response begins
		if err == nil {
			w.Write(body)
		}
	})
	mux.HandleFunc("POST /count", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err == nil {
			fmt.Fprint(w, n)
		}
	})
	mux.HandleFunc("GET /large", func(w http.ResponseWriter, r *http.Request) { w.Write(large) })
	mux.HandleFunc("GET /stream", func(w http.ResponseWriter, r *http.Request) {
		for range 10 {
			io.WriteString(w, helloText)
			http.NewResponseController(w).Flush()
		}
	})
	mux.HandleFunc("GET /slow", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(1200 * time.Millisecond):
			io.WriteString(w, helloText)
		}
	})
	mux.HandleFunc("GET /shout", func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		shout(conn)
	})
	mux.HandleFunc("GET /websocket", func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		conn.SetReadLimit(1 << 20)
		for {
			kind, message, err := conn.Read(context.Background())
			if err != nil || conn.Write(context.Background(), kind, message) != nil {
				return
			}
		}
	})
	return mux
}

// shout returns what it is sent in capitals, on a connection that was taken over.
func shout(conn net.Conn) {
	defer conn.Close()
	if _, err := io.WriteString(conn, sentUpgrade); err != nil {
		return
	}
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		if _, err := io.WriteString(conn, strings.ToUpper(string(buf[:n]))); err != nil {
			return
		}
	}
}

func native(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
	res, err := nng.NewResponse()
	if err != nil {
		return nil, err
	}
	return res, res.CopyData([]byte(helloText))
}

func collect(_ context.Context, _ *nng.Conn, req *nng.Request) (*nng.Response, error) {
	res, err := nng.NewResponse()
	if err != nil {
		return nil, err
	}
	return res, res.CopyData(req.Data())
}

func nativeShout(_ context.Context, conn *nng.Conn, _ *nng.Request) (*nng.Response, error) {
	if err := conn.Hijack(); err != nil {
		return nil, err
	}
	go shout(conn)
	return nil, nil
}
