package nethttp_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"

	"github.com/gonng/nnghttp/nethttp"
	"github.com/gonng/nnghttp/nng"
)

// The one line that differs from net/http.
func ExampleListenAndServe() {
	http.HandleFunc("/hello", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "hello")
	})
	// was: log.Fatal(http.ListenAndServe("127.0.0.1:8080", nil))
	log.Fatal(nethttp.ListenAndServe("http://127.0.0.1:8080", nil))
}

// A server on a port that the system chooses, asked by nng's client.
func ExampleServer() {
	ns, err := nng.HoldServer("http://127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer ns.Close()
	srv := &nethttp.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "you asked for %s", r.URL.Path)
	})}
	if err := srv.Start(ns); err != nil {
		log.Fatal(err)
	}
	defer srv.Shutdown(context.Background())

	addr, err := ns.Addr()
	if err != nil {
		log.Fatal(err)
	}
	client := &http.Client{Transport: nethttp.Transport(nil)}
	defer client.CloseIdleConnections()
	res, err := client.Get("http://" + addr.String() + "/page")
	if err != nil {
		log.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	fmt.Println(string(body), err)
	// Output: you asked for /page <nil>
}

// net/http's own server on connections that nng has accepted.
func ExampleListen() {
	l, err := nethttp.Listen("http://127.0.0.1:8080", "/")
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.Serve(l, nil))
}

// An http.Handler for a part of an nng server.
func ExampleHandler() {
	srv, err := nng.HoldServer("http://127.0.0.1:8080")
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()
	h, err := nethttp.Handler(http.FileServer(http.Dir("public")))
	if err != nil {
		log.Fatal(err)
	}
	if err := srv.AddHandler(h); err != nil {
		log.Fatal(err)
	}
	if err := srv.Start(); err != nil {
		log.Fatal(err)
	}
	select {}
}
