package nng_test

import (
	"bufio"
	"context"
	"crypto/sha1"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// upstreamPage stands for the page of example.com: longer than nng's buffer of 8 KiB.
var upstreamPage = strings.Repeat("<p>This domain is for use in documentation examples.</p>\n", 300)

func upstreamSum(b []byte) [sha1.Size]byte { return sha1.Sum(b) }

// upstreamSite stands for the sites in the Internet that upstream's client tests
// ask. connections counts those it got.
func upstreamSite(t *testing.T) (url string, connections *atomic.Int32) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(upstreamPage)))
		io.WriteString(w, upstreamPage)
	})
	mux.HandleFunc("/Chunked", func(w http.ResponseWriter, _ *http.Request) {
		for part := range strings.Lines(upstreamPage) {
			io.WriteString(w, part)
			w.(http.Flusher).Flush() // ends a chunk
		}
	})
	mux.HandleFunc("/delay/30", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done(): // the client has given up
		case <-time.After(30 * time.Second):
		}
	})
	connections = new(atomic.Int32)
	site := httptest.NewUnstartedServer(mux)
	site.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	site.Start()
	t.Cleanup(site.Close)
	return site.URL, connections
}

func upstreamClient(t *testing.T, url string) (cli *nng.Client, req *nng.Request, res *nng.Response) {
	t.Helper()
	cli, err := nng.NewClient(url)
	require.NoError(t, err)
	t.Cleanup(func() { cli.Close() })
	req, err = nng.NewRequest(url)
	require.NoError(t, err)
	t.Cleanup(func() { req.Close() })
	res, err = nng.NewResponse()
	require.NoError(t, err)
	t.Cleanup(func() { res.Close() })
	return cli, req, res
}

// tests/httpclient.c
func TestUpstreamHTTPClient(t *testing.T) {
	upstreamNeedsHTTP(t)
	url, connections := upstreamSite(t)
	t.Run("Given a TCP connection to example.com", func(t *testing.T) {
		cli, req, res := upstreamClient(t, url)
		ctx := timeout(t, 10*time.Second)
		conn, err := cli.Connect(ctx)
		require.NoError(t, err)
		defer conn.Close()
		t.Run("We can initiate a message", func(t *testing.T) {
			require.NoError(t, conn.WriteReq(ctx, req))
			require.NoError(t, conn.ReadRes(ctx, res))
			require.Equal(t, 200, res.Status())
			t.Run("The message contents are correct", func(t *testing.T) {
				n, err := strconv.Atoi(res.Header("Content-Length"))
				require.NoError(t, err)
				require.Positive(t, n)
				data := make([]byte, n)
				require.NoError(t, conn.ReadAll(ctx, data))
				assert.Equal(t, upstreamSum([]byte(upstreamPage)), upstreamSum(data))
			})
		})
	})
	t.Run("Given a client", func(t *testing.T) {
		t.Run("One off exchange works", func(t *testing.T) {
			cli, req, res := upstreamClient(t, url)
			require.NoError(t, cli.Transact(timeout(t, 10*time.Second), req, res))
			assert.Equal(t, 200, res.Status())
			assert.Equal(t, upstreamSum([]byte(upstreamPage)), upstreamSum(res.Data()))
		})
		t.Run("Connection reuse works", func(t *testing.T) {
			cli, req, res := upstreamClient(t, url)
			ctx := timeout(t, 10*time.Second)
			before := connections.Load()
			conn, err := cli.Connect(ctx)
			require.NoError(t, err)
			defer conn.Close()
			for range 2 { // with the same request, as upstream does
				require.NoError(t, conn.Transact(ctx, req, res))
				assert.Equal(t, 200, res.Status())
				assert.Equal(t, upstreamSum([]byte(upstreamPage)), upstreamSum(res.Data()))
			}
			assert.EqualValues(t, 1, connections.Load()-before)
		})
	})
	t.Run("Client times out", func(t *testing.T) {
		cli, req, res := upstreamClient(t, url+"/delay/30")
		require.NoError(t, req.SetHeader("Cache-Control", "no-cache"))
		begin := time.Now()
		err := cli.Transact(timeout(t, 10*time.Millisecond), req, res)
		require.ErrorIs(t, err, nng.ErrTimedOut)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Less(t, time.Since(begin), 10*time.Second)
	})
	t.Run("Given a client (chunked)", func(t *testing.T) {
		t.Run("One off exchange works", func(t *testing.T) {
			cli, req, res := upstreamClient(t, url+"/Chunked")
			require.NoError(t, cli.Transact(timeout(t, 10*time.Second), req, res))
			assert.Equal(t, 200, res.Status())
			assert.Equal(t, upstreamSum([]byte(upstreamPage)), upstreamSum(res.Data()))
		})
	})
}

// upstreamScript is a server that reads requests on one connection and answers each
// with the next of the replies. A reply may be in parts: the next part is sent when
// more has been called. It closes the connection at the end.
func upstreamScript(t *testing.T, replies ...string) (url string, requests func() int) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var served atomic.Int32
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		if err != nil {
			return // the test has ended early
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		r := bufio.NewReader(conn)
		for _, reply := range replies {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			io.Copy(io.Discard, req.Body)
			served.Add(1)
			if _, err := io.WriteString(conn, reply); err != nil {
				return
			}
		}
		r.ReadByte() // until the client has closed, so that it reads all
	}()
	t.Cleanup(func() {
		listener.Close()
		<-done
	})
	return "http://" + listener.Addr().String(), func() int { return int(served.Load()) }
}

// upstreamScripted has one transaction with a server of one reply.
func upstreamScripted(t *testing.T, reply string) (*nng.Response, error) {
	t.Helper()
	url, requests := upstreamScript(t, reply)
	cli, req, res := upstreamClient(t, url)
	ctx := timeout(t, 10*time.Second)
	conn, err := cli.Connect(ctx)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	err = conn.Transact(ctx, req, res)
	assert.Equal(t, 1, requests())
	return res, err
}

func upstreamChunked(t *testing.T, body string) (string, error) {
	t.Helper()
	res, err := upstreamScripted(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+body)
	return string(res.Data()), err
}

// http_client_test.c of main.
func TestUpstreamMainHTTPClient(t *testing.T) {
	upstreamNeedsHTTP(t)
	t.Run("http client request response", func(t *testing.T) {
		url, requests := upstreamScript(t, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 14\r\n"+
			"Connection: keep-alive\r\n\r\n{\"ok\": true}\r\n")
		cli, req, _ := upstreamClient(t, url+"/get")
		conn, err := cli.Connect(timeout(t, 10*time.Second))
		require.NoError(t, err)
		defer conn.Close()
		r, err := upstreamExchange(t, conn, req)
		require.NoError(t, err)
		upstreamWant(t, r, 200, "application/json", "{\"ok\": true}\r\n")
		assert.Equal(t, 1, requests())
	})
	t.Run("http client transact", func(t *testing.T) {
		res, err := upstreamScripted(t, "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello nng\r\n")
		require.NoError(t, err)
		assert.Equal(t, 200, res.Status())
		assert.Equal(t, "hello nng\r\n", string(res.Data()))
	})
	t.Run("http client invalid content length", func(t *testing.T) {
		// Defect CL8: 1.x as published takes it for no body.
		_, err := upstreamScripted(t, "HTTP/1.1 200 OK\r\nContent-Length: invalid_len\r\nConnection: close\r\n\r\nhello\r\n")
		require.ErrorIs(t, err, nng.ErrProtocol)
	})
	t.Run("http client reuse", func(t *testing.T) {
		url, requests := upstreamScript(t,
			"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\none\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ntwo\r\n")
		cli, req, res := upstreamClient(t, url)
		ctx := timeout(t, 10*time.Second)
		conn, err := cli.Connect(ctx)
		require.NoError(t, err)
		defer conn.Close()
		for _, want := range []string{"one\r\n", "two\r\n"} {
			require.NoError(t, conn.Transact(ctx, req, res))
			assert.Equal(t, want, string(res.Data()))
		}
		assert.Equal(t, 2, requests())
	})
	t.Run("http client timeout", func(t *testing.T) {
		url, _ := upstreamSite(t)
		cli, req, res := upstreamClient(t, url+"/delay/30")
		conn, err := cli.Connect(timeout(t, 10*time.Second))
		require.NoError(t, err)
		defer conn.Close()
		require.ErrorIs(t, conn.Transact(timeout(t, 20*time.Millisecond), req, res), nng.ErrTimedOut)
	})
	t.Run("http client chunked", func(t *testing.T) {
		body, err := upstreamChunked(t, "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
		require.NoError(t, err)
		assert.Equal(t, "hello world", body)
	})
	t.Run("http client chunked size overflow", func(t *testing.T) {
		// Defects CL1 and CL2: 1.x as published loses the highest digit, takes the rest,
		// 0, for the end, and has no memory for a body of 0 bytes.
		_, err := upstreamChunked(t, "10000000000000000\r\n\r\n")
		require.ErrorIs(t, err, nng.ErrTooLong)
	})
	t.Run("http client chunked alloc overflow", func(t *testing.T) {
		// Defect CL1: 1.x as published reads before its buffer, or aborts.
		_, err := upstreamChunked(t, "ffffffffffffffff\r\n\r\n")
		require.ErrorIs(t, err, nng.ErrTooLong)
	})
	for _, c := range []struct {
		name, body string
		want       string
		err        error
	}{
		{"extensions", "1;foo=bar\r\nx\r\n0\r\nSome-Trailer: ok\r\n\r\n", "x", nil},
		{"bad data crlf", "1\r\naXX", "", nng.ErrProtocol},
		{"bad extension", "1;\x01\r\nx\r\n0\r\n\r\n", "", nng.ErrProtocol},
		{"bad trailer", "0\r\nBad:\x01\r\n\r\n", "", nng.ErrProtocol},
		{"uppercase hex", "A\r\n1234567890\r\n0\r\n\r\n", "1234567890", nil},
		{"bad length", "g\r\n", "", nng.ErrProtocol},
		{"bad newline", "1\rx", "", nng.ErrProtocol},
		{"bad initial", "\r\n", "", nng.ErrProtocol},
		{"bad trailer cr", "0\r\nX\rx", "", nng.ErrProtocol},
	} {
		t.Run("http chunk parser "+c.name, func(t *testing.T) {
			body, err := upstreamChunked(t, c.body)
			require.ErrorIs(t, err, c.err)
			assert.Equal(t, c.want, body)
		})
	}
	t.Run("http chunk parser partial data", upstreamTestPartialChunk)
	t.Run("http chunk parser max size", func(t *testing.T) {
		url, _ := upstreamScript(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n")
		cli, req, res := upstreamClient(t, url)
		require.NoError(t, cli.SetMaxBody(5))
		require.ErrorIs(t, cli.Transact(timeout(t, 10*time.Second), req, res), nng.ErrTooLong)
	})
}

// A chunk that comes in two segments. The pause between them is what is tested: a
// shorter one than nng needs to read the first only makes the test weaker.
func upstreamTestPartialChunk(t *testing.T) {
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, buf, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		buf.WriteString("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab")
		buf.Flush()
		time.Sleep(20 * time.Millisecond)
		buf.WriteString("c\r\n0\r\n\r\n")
		buf.Flush()
	}))
	t.Cleanup(site.Close)
	cli, req, res := upstreamClient(t, site.URL)
	require.NoError(t, cli.Transact(timeout(t, 10*time.Second), req, res))
	assert.Equal(t, "abc", string(res.Data()))
}
