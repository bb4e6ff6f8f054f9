// Sharedport has everything on one port: an http.Handler, a handler of nng's kind, one that
// is nng's own C code, net/http's server on connections that nng has accepted, and a
// WebSocket of nng's, which C programs dial as ws://127.0.0.1:8080/socket.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"github.com/gonng/nnghttp/nethttp"
	"github.com/gonng/nnghttp/nng"
)

func main() {
	srv, err := nng.HoldServer("http://127.0.0.1:8080")
	check(err)
	defer srv.Close()

	// Answered by C: no Go runs for it.
	static, err := nng.NewStaticHandler("/static", []byte("from C\n"), "text/plain")
	check(err)
	check(srv.AddHandler(static))

	// A Go function with nng's request and response.
	native, err := nng.NewHandler("/native", func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
		res, err := nng.NewResponse()
		if err != nil {
			return nil, err
		}
		return res, res.CopyData([]byte("from a handler of nng's kind\n"))
	})
	check(err)
	check(srv.AddHandler(native))

	// net/http's own server takes the connections whose first request is for /nethttp/, with
	// all that follows on them.
	l, err := nethttp.ListenOn(srv, "/nethttp/")
	check(err)
	go func() { log.Fatal(http.Serve(l, says("from net/http's server"))) }()

	// nng's own WebSocket streams: whole messages.
	sockets, err := nng.NewWSListener("ws://127.0.0.1:8080/socket")
	check(err)
	defer sockets.Close()
	check(sockets.Listen())
	go func() {
		for {
			conn, err := sockets.Accept(context.Background())
			if err != nil {
				return
			}
			go echo(conn)
		}
	}()

	// Everything else is for an http.Handler.
	s := &nethttp.Server{Handler: says("from an http.Handler")}
	log.Fatal(s.Serve(srv))
}

func echo(conn *nng.WSConn) {
	defer conn.Close()
	for {
		message, err := conn.ReadMessage(context.Background())
		if err != nil {
			return
		}
		if err := conn.WriteMessage(context.Background(), message); err != nil {
			return
		}
	}
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, text) }
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
