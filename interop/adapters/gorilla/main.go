// Command gorilla is a server and a client of the conformance kit with gorilla/websocket, on net/http:
// with an address it serves the routes, without one it reads lines.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/gonng/nnghttp/conformance"
	"github.com/gorilla/websocket"
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
	u := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	switch r.URL.Path {
	case "/ws", "/ws/binary":
	case "/ws/chat":
		u.Subprotocols = []string{"chat"}
	default:
		conformance.Handler().ServeHTTP(w, r)
		return
	}
	conn, err := u.Upgrade(w, r, nil)
	if err != nil {
		return // it has responded
	}
	echo(conn, r.URL.Path, func(int, []byte) {})
}

// echo sends back what comes.
func echo(conn *websocket.Conn, path string, got func(kind int, message []byte)) {
	defer conn.Close()
	conn.SetReadLimit(maxMessage)
	for {
		kind, message, err := conn.ReadMessage()
		if err != nil {
			return
		}
		if kind == websocket.TextMessage && strings.HasPrefix(path, "/ws/binary") {
			_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseUnsupportedData, ""), time.Now().Add(time.Second))
			return
		}
		got(kind, message)
		if conn.WriteMessage(kind, message) != nil {
			return
		}
	}
}

func ask(ctx context.Context, method, url string) *conformance.Reply {
	if method != "WEBSOCKET" {
		return conformance.RoundTripper(http.DefaultTransport)(ctx, method, url)
	}
	d := websocket.Dialer{HandshakeTimeout: 2 * time.Second}
	_, path, _ := strings.Cut(strings.TrimPrefix(url, "ws://"), "/")
	if path == "ws/chat" {
		d.Subprotocols = []string{"chat"}
	}
	conn, _, err := d.DialContext(ctx, url, nil)
	if err != nil {
		return &conformance.Reply{Error: err.Error()}
	}
	r := new(conformance.Reply)
	echo(conn, "/"+path, func(kind int, message []byte) {
		name := "text"
		if kind == websocket.BinaryMessage {
			name = "binary"
		}
		r.Messages = append(r.Messages, conformance.NewMessage(name, message))
	})
	return r
}
