package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"

	"github.com/gonng/nnghttp/nethttp"
	"github.com/gonng/nnghttp/nng"
	"github.com/valyala/fasthttp"
)

const hello = "Hello, World!"

// start starts a server of a kind and returns its address. It serves until the process
// ends. cert is for those that can speak https.
func start(kind, cert string) (addr string, err error) {
	switch kind {
	case "handler":
		return startHandler(answer)
	case "echo":
		return startHandler(hijack(echo))
	case "ondata":
		return startHandler(onData)
	case "bulk":
		return startHandler(hijack(bulk))
	case "idle":
		return startHandler(hijack(idle))
	case "nethttp":
		return startNethttp(cert)
	case "std":
		return startStd(pages)
	case "stdecho":
		return startStd(stdHijack(echo))
	case "stdbulk":
		return startStd(stdHijack(bulk))
	case "listener":
		l, err := nethttp.Listen("http://127.0.0.1:0", "/")
		if err != nil {
			return "", err
		}
		go exit(http.Serve, l, http.Handler(pages))
		return l.Addr().String(), nil
	case "fasthttp":
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		go exit(fasthttp.Serve, l, fasthttp.RequestHandler(fastAnswer))
		return l.Addr().String(), nil
	}
	return "", fmt.Errorf("no kind of server is called %q", kind)
}

// exit serves, and ends the program with the error.
func exit[H any](serve func(net.Listener, H) error, l net.Listener, h H) {
	log.Fatal(serve(l, h))
}

// startHandler starts C's server with one handler.
func startHandler(fn nng.HandlerFunc) (string, error) {
	h, err := nng.NewHandler("/", fn)
	if err != nil {
		return "", err
	}
	srv, err := nng.HoldServer("http://127.0.0.1:0")
	if err != nil {
		return "", err
	}
	if err := srv.AddHandler(h); err != nil {
		return "", err
	}
	if err := srv.Start(); err != nil {
		return "", err
	}
	return address(srv)
}

func startStd(h http.Handler) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go exit(http.Serve, l, h)
	return l.Addr().String(), nil
}

func startNethttp(cert string) (string, error) {
	url := "http://127.0.0.1:0"
	if cert != "" {
		url = "https://127.0.0.1:0"
	}
	srv, err := nng.HoldServer(url)
	if err != nil {
		return "", err
	}
	if cert != "" {
		cfg, err := nng.NewTLSConfig(nng.TLSServer)
		if err != nil {
			return "", err
		}
		if err := errors.Join(cfg.SetCertKeyFile(cert, ""), srv.SetTLS(cfg)); err != nil {
			return "", err
		}
	}
	if err := (&nethttp.Server{Handler: pages}).Start(srv); err != nil {
		return "", err
	}
	return address(srv)
}

func address(srv *nng.Server) (string, error) {
	addr, err := srv.Addr()
	if err != nil {
		return "", err
	}
	return addr.String(), nil
}

// answer is the handler of c/handler.c in Go.
func answer(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
	res, err := nng.NewResponse()
	if err != nil {
		return nil, err
	}
	if err := res.CopyData([]byte(hello)); err != nil {
		return nil, err
	}
	return res, res.SetHeader("Content-Type", "text/plain")
}

func fastAnswer(ctx *fasthttp.RequestCtx) {
	ctx.SetContentType("text/plain")
	ctx.WriteString(hello)
}

var mib = make([]byte, 1<<20)

// pages is what net/http and package nethttp serve.
var pages http.HandlerFunc = func(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	switch r.URL.Path {
	case "/1mib":
		w.Write(mib)
	case "/upload":
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		io.WriteString(w, strconv.FormatInt(n, 10))
	default:
		io.WriteString(w, hello)
	}
}

const upgraded = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: bench\r\n\r\n"

// hijack makes a handler that takes connections over and gives each to a goroutine.
func hijack(speak func(net.Conn)) nng.HandlerFunc {
	return func(_ context.Context, conn *nng.Conn, _ *nng.Request) (*nng.Response, error) {
		if err := conn.Hijack(); err != nil {
			return nil, err
		}
		go func() {
			defer conn.Close()
			if _, err := io.WriteString(conn, upgraded); err == nil {
				speak(conn)
			}
		}()
		return nil, nil
	}
}

// stdHijack is hijack for net/http.
func stdHijack(speak func(net.Conn)) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			log.Print(err)
			return
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, upgraded); err == nil {
			speak(conn)
		}
	}
}

// onData echoes as echo does, from a callback.
func onData(_ context.Context, conn *nng.Conn, _ *nng.Request) (*nng.Response, error) {
	if err := conn.Hijack(); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, upgraded); err != nil {
		return nil, err
	}
	return nil, conn.OnData(func(p []byte, err error) {
		if err == nil {
			_, err = conn.Write(p)
		}
		if err != nil {
			conn.Close()
		}
	})
}

func echo(conn net.Conn) {
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		if _, err := conn.Write(buf[:n]); err != nil {
			return
		}
	}
}

func bulk(conn net.Conn) {
	block := make([]byte, 64<<10)
	for {
		if _, err := conn.Write(block); err != nil {
			return
		}
	}
}

// idle waits, as a connection with nothing to do does.
func idle(conn net.Conn) {
	conn.Read(make([]byte, 1))
}
