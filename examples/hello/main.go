// Hello serves an http.Handler with libnng. One line differs from net/http.
package main

import (
	"fmt"
	"log"
	"net/http"

	"github.com/gonng/nnghttp/nethttp"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello, %s\n", r.RemoteAddr)
	})
	// was: log.Fatal(http.ListenAndServe("127.0.0.1:8080", nil))
	log.Fatal(nethttp.ListenAndServe("http://127.0.0.1:8080", nil))
}
