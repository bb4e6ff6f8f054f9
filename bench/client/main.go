// Client is one of the Go clients that are measured: client KIND URL INFLIGHT SECONDS. It
// prints how many requests it has done.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"runtime/pprof"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gonng/nnghttp/nethttp"
	"github.com/gonng/nnghttp/nng"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("client: ")
	profile := flag.String("profile", "", "`file` for a CPU profile")
	flag.Parse()
	if flag.NArg() != 4 {
		log.Fatal("usage: client [-profile FILE] transact|transport|std URL INFLIGHT SECONDS")
	}
	kind, url := flag.Arg(0), flag.Arg(1)
	inFlight, err := strconv.Atoi(flag.Arg(2))
	check(err)
	seconds, err := strconv.ParseFloat(flag.Arg(3), 64)
	check(err)

	var newRequester func() func() error
	switch kind {
	case "transact":
		client, err := nng.NewClient(url)
		check(err)
		newRequester = func() func() error { return transact(client, url) }
	case "transport", "std":
		transport := http.DefaultTransport.(*http.Transport).Clone()
		if kind == "transport" {
			transport = nethttp.Transport(nil)
		}
		transport.MaxIdleConnsPerHost = inFlight
		client := &http.Client{Transport: transport, Timeout: 5 * time.Second}
		newRequester = func() func() error { return func() error { return get(client, url) } }
	default:
		log.Fatalf("no kind of client is called %q", kind)
	}
	if *profile != "" {
		file, err := os.Create(*profile)
		check(err)
		check(pprof.StartCPUProfile(file))
		defer pprof.StopCPUProfile()
	}

	var count atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	end := start.Add(time.Duration(seconds * float64(time.Second)))
	for range inFlight {
		request := newRequester()
		wg.Go(func() {
			for time.Now().Before(end) {
				check(request())
				count.Add(1)
			}
		})
	}
	wg.Wait()
	fmt.Printf("count=%d seconds=%f\n", count.Load(), time.Since(start).Seconds())
}

// transact does what c/transact.c does.
func transact(client *nng.Client, url string) func() error {
	req, err := nng.NewRequest(url)
	check(err)
	res, err := nng.NewResponse()
	check(err)
	return func() error {
		if err := client.Transact(context.Background(), req, res); err != nil {
			return err
		}
		return status(res.Status())
	}
}

func get(client *http.Client, url string) error {
	res, err := client.Get(url)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	return status(res.StatusCode)
}

func status(code int) error {
	if code != 200 {
		return fmt.Errorf("status %d", code)
	}
	return nil
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
