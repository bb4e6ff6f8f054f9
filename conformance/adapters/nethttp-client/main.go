// Command nethttp-client is a client of the conformance kit with package nethttp.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/gonng/nnghttp/conformance"
	"github.com/gonng/nnghttp/nethttp"
)

func main() {
	transport := nethttp.Transport(nil)
	transport.DisableCompression = true
	client := conformance.RoundTripper(transport)
	if err := conformance.ServeClient(context.Background(), os.Stdin, os.Stdout, client); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
