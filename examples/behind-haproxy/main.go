// Behind-haproxy is a web server that can be restarted behind a balancer without a single
// failed request. Three of them, HAProxy before them (haproxy.cfg) and a restart of one after
// another under load are in the script rolling-restart. To look at it by hand:
//
//	go run ./examples/behind-haproxy --listen http://127.0.0.1:8081 --name a &
//	go run ./examples/behind-haproxy --listen http://127.0.0.1:8082 --name b &
//	go run ./examples/behind-haproxy --listen http://127.0.0.1:8083 --name c &
//	haproxy -db -f examples/behind-haproxy/haproxy.cfg &
//	curl http://127.0.0.1:8080/
//
// What it does on SIGTERM, and why in this order:
//
//  1. /healthz answers 503 from now on, every other request is served as before, and its
//     response says "Connection: close". So the balancer takes its idle connections to us
//     out of use one by one.
//  2. It goes on like that until the balancer must have noticed (--notice): longer than it
//     takes for as many checks to fail as the balancer asks for. Now nothing comes any more.
//  3. Shutdown lets the requests finish that are still running, and closes the connections.
//     A request that came now would get 503, and one that is on its way on a connection that
//     we close would get nothing: that is what step 2 is there for.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gonng/nnghttp/nethttp"
)

func main() {
	log.SetFlags(log.Ltime | log.Lmicroseconds)
	listen := flag.String("listen", "http://127.0.0.1:8081", "the `URL` to serve on")
	name := flag.String("name", "a", "the `name` that responses carry")
	notice := flag.Duration("notice", time.Second, "how long the balancer needs to notice a failing health check")
	drain := flag.Duration("drain", 20*time.Second, "how long running requests may take to finish")
	load := flag.String("load", "", "put load on this `URL` until SIGTERM instead of serving")
	workers := flag.Int("workers", 16, "with -load: how many connections")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if *load != "" {
		err = generateLoad(ctx, *load, *workers)
	} else {
		log.SetPrefix(*name + " ")
		err = serve(ctx, *listen, *name, *notice, *drain)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// serve serves until ctx ends, and then as long as the balancer and the requests need.
func serve(ctx context.Context, listen, name string, notice, drain time.Duration) error {
	var leaving atomic.Bool
	app := application(name)
	srv := &nethttp.Server{
		ReadTimeout:  10 * time.Second,
		WriteTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if leaving.Load() {
				w.Header().Set("Connection", "close")
			}
			if r.URL.Path != "/healthz" {
				app.ServeHTTP(w, r)
			} else if leaving.Load() {
				http.Error(w, "leaving", http.StatusServiceUnavailable)
			} else {
				fmt.Fprintln(w, "ok")
			}
		}),
	}
	served := make(chan error, 1)
	go func() { served <- srv.ListenAndServe(listen) }()
	select {
	case err := <-served:
		return err // it could not start
	case <-ctx.Done():
	}

	log.Printf("leaving: the health check fails for %v", notice)
	leaving.Store(true)
	time.Sleep(notice)

	log.Printf("stopping: %d requests are running", srv.InFlight())
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		return err
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	log.Print("stopped")
	return nil
}

const slowParts = 15

// application is what this server is for.
func application(name string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Served-By", name)
		fmt.Fprintf(w, "hello from libnng\n")
	})
	// What is sent comes back, as it comes.
	mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Served-By", name)
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = io.Copy(w, r.Body)
	})
	// A response that takes longer than --notice, in pieces. So some are still running when
	// Shutdown comes.
	mux.HandleFunc("GET /slow", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Served-By", name)
		for i := range slowParts {
			fmt.Fprintf(w, "part %d\n", i)
			_ = http.NewResponseController(w).Flush()
			time.Sleep(100 * time.Millisecond)
		}
	})
	return mux
}
