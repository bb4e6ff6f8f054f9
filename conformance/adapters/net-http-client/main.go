// Command net-http-client is a client of the conformance kit with net/http.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"

	"github.com/gonng/nnghttp/conformance"
)

func main() {
	client := conformance.RoundTripper(&http.Transport{DisableCompression: true})
	if err := conformance.ServeClient(context.Background(), os.Stdin, os.Stdout, client); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
