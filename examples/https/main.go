// Https serves an http.Handler over TLS: https CERT KEY [CLIENT-CA]
//
// CERT and KEY are files in PEM, as "nnghttp cert" makes them. With CLIENT-CA only clients are
// let in that have a certificate of this authority.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gonng/nnghttp/nethttp"
	"github.com/gonng/nnghttp/nng"
)

func main() {
	if len(os.Args) != 3 && len(os.Args) != 4 {
		log.Fatal("usage: https CERT KEY [CLIENT-CA]")
	}
	config, err := nng.NewTLSConfig(nng.TLSServer)
	if err != nil {
		log.Fatal(err)
	}
	defer config.Close()
	if err := config.SetOwnCertFiles(os.Args[1], os.Args[2], ""); err != nil {
		log.Fatal(err)
	}
	if len(os.Args) == 4 {
		if err := config.SetCAFile(os.Args[3]); err != nil {
			log.Fatal(err)
		}
		if err := config.SetAuthMode(nng.TLSAuthRequired); err != nil {
			log.Fatal(err)
		}
	}

	server := &nethttp.Server{
		TLS: config,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "hello, %s, over TLS: %v\n", r.RemoteAddr, r.TLS != nil)
		}),
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() {
		last, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := server.Shutdown(last); err != nil {
			log.Print(err)
		}
	})
	if err := server.ListenAndServe("https://127.0.0.1:8443"); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
}
