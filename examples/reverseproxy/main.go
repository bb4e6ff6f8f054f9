// Reverseproxy passes everything on to another server: libnng in front, and libnng's client
// behind. WebSockets pass, too.
package main

import (
	"log"
	"net/http/httputil"
	"net/url"
	"os"

	"github.com/gonng/nnghttp/nethttp"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: reverseproxy URL")
	}
	target, err := url.Parse(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.SetXForwarded()
		},
		Transport: nethttp.Transport(nil),
	}
	log.Fatal(nethttp.ListenAndServe("http://127.0.0.1:8080", proxy))
}
