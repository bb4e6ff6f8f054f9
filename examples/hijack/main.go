// Hijack serves a page with libnng, and on the same port a protocol of its own: a
// connection to /shout is taken over and returns every line in capitals.
package main

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"

	"github.com/gonng/nnghttp/nng"
)

func main() {
	srv, err := nng.HoldServer("http://127.0.0.1:8080") // nng_http_server_hold
	check(err)
	defer srv.Close() // nng_http_server_release

	for path, fn := range map[string]nng.HandlerFunc{"/": hello, "/shout": shout} {
		h, err := nng.NewHandler(path, fn) // nng_http_handler_alloc
		check(err)
		check(srv.AddHandler(h)) // nng_http_server_add_handler
	}
	check(srv.Start()) // nng_http_server_start

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	<-ctx.Done()
	check(srv.Stop(context.Background())) // lets requests finish, then nng_http_server_stop
}

// hello answers a request. The response belongs to the server once it is returned.
func hello(ctx context.Context, conn *nng.Conn, req *nng.Request) (*nng.Response, error) {
	res, err := nng.NewResponse()
	if err != nil {
		return nil, err
	}
	return res, res.CopyData([]byte("hello from libnng " + nng.Version() + "\n"))
}

// shout takes the connection over. From Hijack on it is a net.Conn of ours.
func shout(ctx context.Context, conn *nng.Conn, req *nng.Request) (*nng.Response, error) {
	if err := conn.Hijack(); err != nil { // nng_http_hijack
		return nil, err
	}
	go func() {
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n")
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			fmt.Fprintln(conn, strings.ToUpper(lines.Text()))
		}
	}()
	return nil, nil
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
