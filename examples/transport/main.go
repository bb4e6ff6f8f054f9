// Transport fetches a URL with net/http's client on libnng's connections: transport URL
package main

import (
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/gonng/nnghttp/nethttp"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: transport URL")
	}
	client := &http.Client{Transport: nethttp.Transport(nil), Timeout: 10 * time.Second}
	res, err := client.Get(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(os.Stdout, res.Body); err != nil {
		log.Fatal(err)
	}
}
