// Websocket echoes messages: a WebSocket library for net/http on a connection that was
// taken over from libnng's server.
package main

import (
	"log"
	"net/http"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/gonng/nnghttp/nethttp"
)

func main() {
	http.HandleFunc("/echo", echo)
	log.Fatal(nethttp.ListenAndServe("http://127.0.0.1:8080", nil))
}

func echo(w http.ResponseWriter, r *http.Request) {
	conn, _, _, err := ws.UpgradeHTTP(r, w)
	if err != nil {
		log.Print(err)
		return
	}
	// The connection is ours now; the handler can stay or return.
	defer conn.Close()
	for {
		message, op, err := wsutil.ReadClientData(conn)
		if err != nil {
			return
		}
		if err := wsutil.WriteServerMessage(conn, op, message); err != nil {
			return
		}
	}
}
