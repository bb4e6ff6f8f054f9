// Command net-http serves the routes of the conformance kit with net/http.
package main

import (
	"fmt"
	"net/http"
	"os"

	"github.com/gonng/nnghttp/conformance"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: net-http ADDRESS:PORT")
		os.Exit(2)
	}
	fmt.Fprintln(os.Stderr, http.ListenAndServe(os.Args[1], conformance.Handler()))
	os.Exit(1)
}
