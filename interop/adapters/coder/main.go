// Command coder is a server and a client of the conformance kit with coder/websocket, on net/http:
// with an address it serves the routes, without one it reads lines.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/coder/websocket"
	"github.com/gonng/nnghttp/conformance"
)

const maxMessage = 1 << 20 // what the contract wants

func main() {
	var err error
	if len(os.Args) == 2 {
		err = http.ListenAndServe(os.Args[1], http.HandlerFunc(serve))
	} else {
		err = conformance.ServeClient(context.Background(), os.Stdin, os.Stdout, ask)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(w http.ResponseWriter, r *http.Request) {
	o := &websocket.AcceptOptions{InsecureSkipVerify: true}
	switch r.URL.Path {
	case "/ws", "/ws/binary":
	case "/ws/chat":
		o.Subprotocols = []string{"chat"}
	default:
		conformance.Handler().ServeHTTP(w, r)
		return
	}
	conn, err := websocket.Accept(w, r, o)
	if err != nil {
		return // it has responded
	}
	echo(r.Context(), conn, r.URL.Path, func(websocket.MessageType, []byte) {})
}

// echo sends back what comes.
func echo(ctx context.Context, conn *websocket.Conn, path string, got func(websocket.MessageType, []byte)) {
	defer conn.CloseNow()
	conn.SetReadLimit(maxMessage)
	for {
		kind, message, err := conn.Read(ctx)
		if err != nil {
			return
		}
		if kind == websocket.MessageText && strings.HasPrefix(path, "/ws/binary") {
			_ = conn.Close(websocket.StatusUnsupportedData, "")
			return
		}
		got(kind, message)
		if conn.Write(ctx, kind, message) != nil {
			return
		}
	}
}

func ask(ctx context.Context, method, url string) *conformance.Reply {
	if method != "WEBSOCKET" {
		return conformance.RoundTripper(http.DefaultTransport)(ctx, method, url)
	}
	o := new(websocket.DialOptions)
	_, path, _ := strings.Cut(strings.TrimPrefix(url, "ws://"), "/")
	if path == "ws/chat" {
		o.Subprotocols = []string{"chat"}
	}
	conn, _, err := websocket.Dial(ctx, url, o)
	if err != nil {
		return &conformance.Reply{Error: err.Error()}
	}
	r := new(conformance.Reply)
	echo(ctx, conn, "/"+path, func(kind websocket.MessageType, message []byte) {
		name := "text"
		if kind == websocket.MessageBinary {
			name = "binary"
		}
		r.Messages = append(r.Messages, conformance.NewMessage(name, message))
	})
	return r
}
