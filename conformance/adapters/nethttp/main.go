// Command nethttp serves the routes of the conformance kit with package nethttp.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"

	"github.com/gonng/nnghttp/conformance"
	"github.com/gonng/nnghttp/conformance/adapters/internal/stop"
	"github.com/gonng/nnghttp/nethttp"
	"github.com/gonng/nnghttp/nng"
)

func main() {
	if len(os.Args) != 2 && len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: nethttp ADDRESS:PORT [TLS-ADDRESS:PORT CERT KEY]")
		os.Exit(2)
	}
	if err := serve(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serve returns when the servers have been stopped, or cannot be started.
func serve(args []string) error {
	contract := conformance.Handler()
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ws", "/ws/binary", "/ws/chat":
			webSocket(w, r)
		default:
			contract.ServeHTTP(w, r)
		}
	})
	servers := []*nethttp.Server{{Handler: h}, {Handler: h}}
	plain, err := nng.HoldServer("http://" + args[0])
	if err != nil {
		return err
	}
	if err := servers[0].Start(plain); err != nil {
		return err
	}
	if len(args) > 1 {
		secure, err := nng.HoldServer("https://" + args[1])
		if err != nil {
			return err
		}
		if err := setTLS(secure, args[2], args[3]); err != nil {
			return err
		}
		if err := servers[1].Start(secure); err != nil {
			return err
		}
	}
	ctx, cancel := stop.Wait()
	defer cancel()
	return shutdown(ctx, servers)
}

func shutdown(ctx context.Context, servers []*nethttp.Server) error {
	for _, s := range servers {
		if err := s.Shutdown(ctx); err != nil {
			return err
		}
	}
	return nil
}

func setTLS(srv *nng.Server, cert, key string) error {
	cfg, err := nng.NewTLSConfig(nng.TLSServer)
	if err != nil {
		return err
	}
	defer cfg.Close()
	if err := cfg.SetOwnCertFiles(cert, key, ""); err != nil {
		return err
	}
	return srv.SetTLS(cfg)
}
