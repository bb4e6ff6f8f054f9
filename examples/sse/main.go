// Sse sends the time once a second as server-sent events, until the client goes.
package main

import (
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/gonng/nnghttp/nethttp"
)

func main() {
	http.HandleFunc("/time", clock)
	log.Fatal(nethttp.ListenAndServe("http://127.0.0.1:8080", nil))
}

func clock(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	control := http.NewResponseController(w)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for now := time.Now(); ; {
		fmt.Fprintf(w, "data: %s\n\n", now.Format(time.RFC3339Nano))
		if control.Flush() != nil {
			return
		}
		select {
		case now = <-tick.C:
		case <-r.Context().Done(): // the client has gone, or the server is closed
			log.Print("client gone")
			return
		}
	}
}
