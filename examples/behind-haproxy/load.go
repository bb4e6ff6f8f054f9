package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

// A report is what the load generator prints at its end.
type report struct {
	Requests int            `json:"requests"`
	Failed   int            `json:"failed"`
	Seconds  float64        `json:"seconds"`
	Slowest  float64        `json:"slowest_ms"`
	ServedBy map[string]int `json:"served_by"`
}

// pace is the time between the requests of a worker, on average.
const pace = 10 * time.Millisecond

// generateLoad sends requests on several connections until ctx ends, and prints a report.
// A request has failed if its response is not the expected one to the last byte. Nothing is
// ever tried twice, as an http.Client does, which would hide what is looked for here.
func generateLoad(ctx context.Context, target string, workers int) error {
	u, err := url.Parse(target)
	if err != nil {
		return err
	}
	var (
		mu    sync.Mutex
		total = report{ServedBy: make(map[string]int)}
		all   sync.WaitGroup
		start = time.Now()
	)
	for i := range workers {
		all.Go(func() {
			c := client{base: u}
			defer c.close()
			first := i * slowEvery / workers // so that the slow ones are not all at once
			for n := first; ctx.Err() == nil; n++ {
				began := time.Now()
				by, err := c.send(n)
				took := time.Since(began)
				mu.Lock()
				total.Requests++
				total.ServedBy[by]++
				total.Slowest = max(total.Slowest, float64(took.Microseconds())/1000)
				if err != nil {
					total.Failed++
					log.Printf("request %d of connection %d failed after %v: %v", n-first, i, took, err)
				}
				mu.Unlock()
				time.Sleep(mathrand.N(2 * pace))
			}
		})
	}
	all.Wait()
	total.Seconds = time.Since(start).Seconds()
	if err := json.NewEncoder(os.Stdout).Encode(total); err != nil {
		return err
	}
	if total.Failed > 0 {
		return fmt.Errorf("%d of %d requests failed", total.Failed, total.Requests)
	}
	return nil
}

// A client has one connection, which it keeps while the server does.
type client struct {
	base *url.URL
	conn net.Conn
	r    *bufio.Reader
}

// Every so many requests are one to /slow, or have a large body.
const (
	slowEvery  = 101
	largeEvery = 23
)

// send sends the n-th request, checks the response, and says who served it.
func (c *client) send(n int) (by string, err error) {
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	method, path, want := http.MethodGet, "/", []byte("hello from libnng\n")
	var body io.Reader
	switch {
	case n%slowEvery == 0:
		path, want = "/slow", nil
		for i := range slowParts {
			want = fmt.Appendf(want, "part %d\n", i)
		}
	case n%2 == 0:
		method, path = http.MethodPost, "/echo"
		want = make([]byte, 100)
		if n%largeEvery == 0 {
			want = make([]byte, 256<<10)
		}
		_, _ = rand.Read(want)
		if body = bytes.NewReader(want); n%4 == 0 {
			body = io.MultiReader(body) // the length is not known: chunks
		}
	}
	req, err := http.NewRequest(method, c.base.JoinPath(path).String(), body)
	if err != nil {
		return "", err
	}
	if c.conn == nil {
		if c.conn, err = net.DialTimeout("tcp", c.base.Host, 5*time.Second); err != nil {
			return "", err
		}
		c.r = bufio.NewReader(c.conn)
	}
	_ = c.conn.SetDeadline(time.Now().Add(15 * time.Second))
	sent := make(chan error, 1)
	go func(conn net.Conn) { sent <- req.Write(conn) }(c.conn)
	res, err := http.ReadResponse(c.r, req)
	if err != nil {
		c.close() // which ends the writing, too
		return "", errors.Join(err, <-sent)
	}
	got, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		c.close()
		return "", errors.Join(fmt.Errorf("%s %s: %s %.60q", method, path, res.Status, got), err, <-sent)
	}
	if err := <-sent; err != nil {
		return "", err
	}
	if !bytes.Equal(got, want) {
		return "", fmt.Errorf("%s %s: the %d bytes that came are not the %d expected", method, path, len(got), len(want))
	}
	if res.Close || strings.EqualFold(res.Header.Get("Connection"), "close") {
		c.close()
	}
	return res.Header.Get("X-Served-By"), nil
}

func (c *client) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}
