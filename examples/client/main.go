// Client fetches a URL with libnng's own client: client URL
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/gonng/nnghttp/nng"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: client URL")
	}
	if err := fetch(os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func fetch(url string) error {
	client, err := nng.NewClient(url)
	if err != nil {
		return err
	}
	defer client.Close()
	req, err := nng.NewRequest(url)
	if err != nil {
		return err
	}
	defer req.Close()
	res, err := nng.NewResponse()
	if err != nil {
		return err
	}
	defer res.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := client.Transact(ctx, req, res); err != nil {
		return err
	}
	fmt.Println(res.Status(), res.Reason())
	_, err = os.Stdout.Write(res.Data())
	return err
}
