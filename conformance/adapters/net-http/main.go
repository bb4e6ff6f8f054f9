// Command net-http serves the routes of the conformance kit with net/http.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"

	"github.com/gonng/nnghttp/conformance"
	"github.com/gonng/nnghttp/conformance/adapters/internal/stop"
)

func main() {
	if len(os.Args) != 2 && len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: net-http ADDRESS:PORT [TLS-ADDRESS:PORT CERT KEY]")
		os.Exit(2)
	}
	h := conformance.Handler()
	quiet := log.New(io.Discard, "", 0) // the kit's handshakes are meant to fail
	plain := &http.Server{Addr: os.Args[1], Handler: h, ErrorLog: quiet}
	secure := &http.Server{Handler: h, ErrorLog: quiet, Protocols: new(http.Protocols)}
	secure.Protocols.SetHTTP1(true) // HTTP/2 is another matter
	go func() { failed(plain.ListenAndServe()) }()
	if len(os.Args) == 5 {
		secure.Addr = os.Args[2]
		go func() { failed(secure.ListenAndServeTLS(os.Args[3], os.Args[4])) }()
	}
	ctx, cancel := stop.Wait()
	defer cancel()
	_ = plain.Shutdown(ctx)
	_ = secure.Shutdown(ctx)
}

// failed ends the program unless it was the server's end.
func failed(err error) {
	if err != http.ErrServerClosed {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
