// Command listen serves the routes of the conformance kit with net/http on a listener of
// package nethttp: nng parses the first request of each connection, and net/http reads it from
// what nng has understood.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/gonng/nnghttp/conformance"
	"github.com/gonng/nnghttp/nethttp"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: listen ADDRESS:PORT")
		os.Exit(2)
	}
	go func() { // the standard input ends, and so does this
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	l, err := nethttp.Listen("http://"+os.Args[1], "/")
	if err == nil {
		err = http.Serve(l, conformance.Handler())
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
