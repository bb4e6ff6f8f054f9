// Command nethttp serves the routes of the conformance kit with package nethttp.
package main

import (
	"fmt"
	"net/http"
	"os"

	"github.com/gonng/nnghttp/conformance"
	"github.com/gonng/nnghttp/nethttp"
	"github.com/gonng/nnghttp/nng"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: nethttp ADDRESS:PORT")
		os.Exit(2)
	}
	fmt.Fprintln(os.Stderr, serve("http://"+os.Args[1]))
	os.Exit(1)
}

// serve returns when it cannot.
func serve(url string) error {
	srv, err := nng.HoldServer(url)
	if err != nil {
		return err
	}
	contract := conformance.Handler()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ws", "/ws/binary", "/ws/chat":
			webSocket(w, r)
		default:
			contract.ServeHTTP(w, r)
		}
	})
	if err := (&nethttp.Server{Handler: handler}).Start(srv); err != nil {
		return err
	}
	select {}
}
