package nng_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// transactions runs a test with transactions by nng, and by package nng, which does them
// with a library that should not.
func transactions(t *testing.T, test func(t *testing.T)) {
	t.Run("C", func(t *testing.T) {
		if !nng.TransactsInC() {
			t.Skip("this libnng has no bounds for transactions (defects CL1, CL8)")
		}
		test(t)
	})
	t.Run("Go", func(t *testing.T) {
		defer nng.TransactInGo()()
		test(t)
	})
}

// answering is a server that answers each request as answer does, and then closes the
// connection, unless answer has returned true: then it goes on. It ends with the test.
func answering(t testing.TB, answer func(conn net.Conn, r *http.Request) (goOn bool)) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var mu sync.Mutex
	var conns []net.Conn
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			all.Go(func() {
				defer conn.Close()
				r := bufio.NewReader(conn)
				for {
					req, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					io.Copy(io.Discard, req.Body)
					if !answer(conn, req) {
						conn.(*net.TCPConn).CloseWrite()
						io.Copy(io.Discard, r) // a reset would take the answer back
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return "http://" + l.Addr().String()
}

// transact has one transaction, on a connection of its own or with Client.Transact.
func transact(t testing.TB, url, method string, onConn bool) (*nng.Response, error) {
	t.Helper()
	client, req, res := newClient(t, url), newRequest(t, url+"/x"), newResponse(t)
	require.NoError(t, req.SetMethod(method))
	ctx := timeout(t, 20*time.Second)
	if !onConn {
		return res, client.Transact(ctx, req, res)
	}
	conn, err := client.Connect(ctx)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return res, conn.Transact(ctx, req, res)
}

func TestTransactBodies(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	long := strings.Repeat("a body of many bytes. ", 5000)
	for _, test := range []struct {
		name   string
		answer string
		goOn   bool // the server waits for another request
		method string
		status int
		body   string
		err    error
	}{
		{"length", ok + "Content-Length: 5\r\n\r\nhello", true, "GET", 200, "hello", nil},
		{"length 0", ok + "Content-Length: 0\r\n\r\n", true, "GET", 200, "", nil},
		{"length twice", ok + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", true, "GET", 200, "hello", nil},
		{"two lengths", ok + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", true, "GET", 200, "", nng.ErrProtocol},
		{"length with letters", ok + "Content-Length: 5x\r\n\r\nhello", true, "GET", 200, "", nng.ErrProtocol},
		{"length +5", ok + "Content-Length: +5\r\n\r\nhello", true, "GET", 200, "", nng.ErrProtocol},
		{"length -1", ok + "Content-Length: -1\r\n\r\nhello", true, "GET", 200, "", nng.ErrProtocol},
		{"length empty", ok + "Content-Length:\r\n\r\nhello", false, "GET", 200, "", nng.ErrProtocol},
		{"coding empty", ok + "Transfer-Encoding:\r\n\r\nhello", false, "GET", 200, "", nng.ErrProtocol},
		{"length empty element", ok + "Content-Length: 5,\r\n\r\nhello", true, "GET", 200, "", nng.ErrProtocol},
		{"length 2^64", ok + "Content-Length: 18446744073709551616\r\n\r\nhello", true, "GET", 200, "", nng.ErrTooLong},
		{"length 2^64+5", ok + "Content-Length: 18446744073709551621\r\n\r\nhello", true, "GET", 200, "", nng.ErrTooLong},
		{"length cut off", ok + "Content-Length: 6\r\n\r\nhello", false, "GET", 200, "", nng.ErrConnShut},
		{"to the end", ok + "\r\nhello", false, "GET", 200, "hello", nil},
		{"to the end, much", ok + "Connection: close\r\n\r\n" + long, false, "GET", 200, long, nil},
		{"to the end, nothing", ok + "\r\n", false, "GET", 200, "", nil},
		{"to the end, HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nhello", false, "GET", 200, "hello", nil},
		{"chunked", ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", true, "GET", 200, "hello", nil},
		{"Chunked", ok + "Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", true, "GET", 200, "hello", nil},
		{"chunked, empty", ok + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", true, "GET", 200, "", nil},
		{"chunked and length", ok + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", true, "GET", 200, "hello", nil},
		{"chunked, trailer", ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\nC: d\r\n\r\n", true, "GET", 200, "hello", nil},
		{"chunked, cut off", ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", false, "GET", 200, "", nng.ErrConnShut},
		{"chunked, cut in a chunk", ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhel", false, "GET", 200, "", nng.ErrConnShut},
		{"chunked, cut in the trailer", ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", false, "GET", 200, "", nng.ErrConnShut},
		{"chunk of 2^64-1", ok + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n\n0\r\n\r\n", true, "GET", 200, "", nng.ErrTooLong},
		{"chunk of 2^64", ok + "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\n", true, "GET", 200, "", nng.ErrTooLong},
		{"bad chunk", ok + "Transfer-Encoding: chunked\r\n\r\nx\r\n", true, "GET", 200, "", nng.ErrProtocol},
		{"gzip, chunked", ok + "Transfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", true, "GET", 200, "", nng.ErrProtocol},
		{"chunked, gzip", ok + "Transfer-Encoding: chunked, gzip\r\n\r\n5\r\nhello\r\n0\r\n\r\n", true, "GET", 200, "", nng.ErrProtocol},
		{"unchunked", ok + "Transfer-Encoding: unchunked\r\n\r\nhello", false, "GET", 200, "", nng.ErrProtocol},
		{"HEAD with length", ok + "Content-Length: 5\r\n\r\n", true, "HEAD", 200, "", nil},
		{"HEAD with chunked", ok + "Transfer-Encoding: chunked\r\n\r\n", true, "HEAD", 200, "", nil},
		{"HEAD without", ok + "\r\n", true, "HEAD", 200, "", nil},
		{"204 with length", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", true, "GET", 204, "", nil},
		{"304 with length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", true, "GET", 304, "", nil},
		{"304 with chunked", "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", true, "GET", 304, "", nil},
		{"204 with length +5", "HTTP/1.1 204 No Content\r\nContent-Length: +5\r\n\r\n", true, "GET", 204, "", nng.ErrProtocol},
		{"304 with two lengths", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", true, "GET", 304, "", nng.ErrProtocol},
		{"304 with unchunked", "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: unchunked\r\n\r\n", true, "GET", 304, "", nng.ErrProtocol},
		{"HEAD with gzip", ok + "Transfer-Encoding: gzip\r\n\r\n", true, "HEAD", 200, "", nng.ErrProtocol},
		{"101 with a coding", "HTTP/1.1 101 Switching Protocols\r\nTransfer-Encoding: x\r\n\r\n", true, "GET", 101, "", nng.ErrProtocol},
		{"chunked, HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", false, "GET", 200, "", nng.ErrProtocol},
		{"chunked, HTTP/0.1", "HTTP/0.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", false, "GET", 200, "", nng.ErrProtocol},
		{"chunked, a trailer without a colon", ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nHTTP/1.1 200 OK\r\n\r\n", true, "GET", 200, "", nng.ErrProtocol},
		{"chunked, a trailer without a name", ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n: b\r\n\r\n", true, "GET", 200, "", nng.ErrProtocol},
		{"chunked, a blank in a trailer's name", ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA B: c\r\n\r\n", true, "GET", 200, "", nng.ErrProtocol},
		{"chunked, a folded trailer", ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n c: d\r\n\r\n", true, "GET", 200, "", nng.ErrProtocol},
		{"chunked, text in a trailer", ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\tü\r\n\r\n", true, "GET", 200, "hello", nil},
		{"chunked, a control character in an extension", ok + "Transfer-Encoding: chunked\r\n\r\n5;x=\x01\r\nhello\r\n0\r\n\r\n", true, "GET", 200, "", nng.ErrProtocol},
		{"CONNECT", ok + "\r\n", true, "CONNECT", 200, "", nil},
		{"101", "HTTP/1.1 101 Switching Protocols\r\n\r\n", true, "GET", 101, "", nil},
		{"103 first", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok + "Content-Length: 5\r\n\r\nhello", true, "GET", 200, "hello", nil},
		{"100 and 102 first", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nContent-Length: 7\r\n\r\n" + ok + "Content-Length: 5\r\n\r\nhello", true, "GET", 200, "hello", nil},
		{"103 with length +0", "HTTP/1.1 103 Early Hints\r\nContent-Length: +0\r\n\r\n" + ok + "Content-Length: 5\r\n\r\nhello", true, "GET", 0, "", nng.ErrProtocol},
		{"103 forever", strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 1000), true, "GET", 0, "", nng.ErrProtocol},
		{"403, to the end", "HTTP/1.1 403 Forbidden\r\n\r\nno", false, "GET", 403, "no", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			url := answering(t, func(conn net.Conn, _ *http.Request) bool {
				io.WriteString(conn, test.answer)
				return test.goOn
			})
			transactions(t, func(t *testing.T) {
				for _, onConn := range []bool{false, true} {
					res, err := transact(t, url, test.method, onConn)
					if test.err != nil {
						require.ErrorIs(t, err, test.err)
						var e *nng.OpError
						require.ErrorAs(t, err, &e)
						assert.Equal(t, "transact", e.Op)
						continue
					}
					require.NoError(t, err)
					assert.Equal(t, test.status, res.Status())
					assert.Equal(t, test.body, string(res.Data()))
					assert.NotContains(t, res.Header("Link"), "a", "of a response before")
				}
			})
		})
	}
}

// After a response without a body, or one behind 103, comes that of the next request.
func TestTransactKeepsStep(t *testing.T) {
	n := 0
	var mu sync.Mutex
	answers := []string{
		"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n0",
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\n\r\n1\r\n3\r\n0\r\n\r\n",
		"HTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n5",
	}
	url := answering(t, func(conn net.Conn, _ *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		io.WriteString(conn, answers[n%len(answers)])
		n++
		return true
	})
	transactions(t, func(t *testing.T) {
		ctx := timeout(t, 20*time.Second)
		conn, err := newClient(t, url).Connect(ctx)
		require.NoError(t, err)
		defer conn.Close()
		for range 3 {
			for i, want := range []struct {
				status int
				body   string
			}{{200, "0"}, {304, ""}, {200, ""}, {200, "3"}, {204, ""}, {200, "5"}} {
				res := newResponse(t)
				require.NoError(t, conn.Transact(ctx, newRequest(t, url), res), i)
				require.Equal(t, want.status, res.Status(), i)
				require.Equal(t, want.body, string(res.Data()), i)
			}
		}
	})
}

// A server that sends without end is cut off at the bound.
func TestTransactTooLarge(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\n"
	block := strings.Repeat("x", 4096)
	for _, test := range []struct{ name, first, each string }{
		{"length", head + "Content-Length: 1000001\r\n\r\n", ""},
		{"length of 2^62", head + "Content-Length: 4611686018427387904\r\n\r\n", ""},
		{"to the end", head + "Connection: close\r\n\r\n", block},
		{"chunks", head + "Transfer-Encoding: chunked\r\n\r\n", "1000\r\n" + block + "\r\n"},
		{"one chunk", head + "Transfer-Encoding: chunked\r\n\r\nf4241\r\n", ""},
		{"chunk of 2^62", head + "Transfer-Encoding: chunked\r\n\r\n4000000000000000\r\n", ""},
		{"size of a chunk", head + "Transfer-Encoding: chunked\r\n\r\n", strings.Repeat("0", 1000)},
		{"extension", head + "Transfer-Encoding: chunked\r\n\r\n5;", block},
		{"trailer", head + "Transfer-Encoding: chunked\r\n\r\n0\r\n", "A: " + block[:1000] + "\r\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			url := answering(t, func(conn net.Conn, _ *http.Request) bool {
				_, err := io.WriteString(conn, test.first)
				for sent := 0; err == nil && test.each != "" && sent < 1<<30; sent += len(test.each) {
					_, err = io.WriteString(conn, test.each)
				}
				return true
			})
			transactions(t, func(t *testing.T) {
				ctx := timeout(t, 20*time.Second)
				client := newClient(t, url)
				require.NoError(t, client.SetMaxBody(1_000_000))
				err := client.Transact(ctx, newRequest(t, url), newResponse(t))
				require.ErrorIs(t, err, nng.ErrTooLong)

				conn, err := client.Connect(ctx) // has the client's bound
				require.NoError(t, err)
				defer conn.Close()
				err = conn.Transact(ctx, newRequest(t, url), newResponse(t))
				require.ErrorIs(t, err, nng.ErrTooLong)
				// What is left of it cannot be taken for the next response.
				err = conn.Transact(ctx, newRequest(t, url), newResponse(t))
				require.ErrorIs(t, err, nng.ErrConnShut)
			})
		})
	}
}

// The bound is on the bytes of the body, and exact.
func TestTransactBound(t *testing.T) {
	for _, framing := range []string{"length", "chunked", "chunks of one", "end"} {
		t.Run(framing, func(t *testing.T) {
			var wanted atomic.Int64 // the race detector does not see what C sends
			url := answering(t, func(conn net.Conn, _ *http.Request) bool {
				size := int(wanted.Load())
				body := strings.Repeat("b", size)
				switch framing {
				case "length":
					fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", size, body)
				case "chunked":
					fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", size, body)
				case "chunks of one":
					fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%s0\r\n\r\n", strings.Repeat("1\r\nb\r\n", size))
				case "end":
					fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\n\r\n%s", body)
				}
				return framing != "end"
			})
			transactions(t, func(t *testing.T) {
				client, ctx := newClient(t, url), timeout(t, 60*time.Second)
				for _, max := range []int{1, 2, 999, 8192, 20000} {
					require.NoError(t, client.SetMaxBody(max))
					wanted.Store(int64(max))
					res := newResponse(t)
					require.NoError(t, client.Transact(ctx, newRequest(t, url), res))
					require.Equal(t, max, len(res.Data()))
					wanted.Store(int64(max + 1))
					require.ErrorIs(t, client.Transact(ctx, newRequest(t, url), res), nng.ErrTooLong)
					require.NoError(t, client.SetMaxBody(0))
					require.NoError(t, client.Transact(ctx, newRequest(t, url), res))
					require.Equal(t, max+1, len(res.Data()))
				}
			})
		})
	}
}

// The default lets 64 MiB through and no more. Nothing of such a size is sent.
func TestTransactDefaultBound(t *testing.T) {
	var length atomic.Int64
	url := answering(t, func(conn net.Conn, _ *http.Request) bool {
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", length.Load())
		return false
	})
	transactions(t, func(t *testing.T) {
		length.Store(nng.DefaultMaxBody)
		_, err := transact(t, url, "GET", false)
		require.ErrorIs(t, err, nng.ErrConnShut) // before its end
		length.Add(1)
		_, err = transact(t, url, "GET", false)
		require.ErrorIs(t, err, nng.ErrTooLong)
		_, err = transact(t, url, "GET", true)
		require.ErrorIs(t, err, nng.ErrTooLong)
	})
}

// A response that Transact has refused is not seen.
func TestTransactAfterTooLarge(t *testing.T) {
	url := answering(t, func(conn net.Conn, r *http.Request) bool {
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
		return true
	})
	transactions(t, func(t *testing.T) {
		client, ctx, res := newClient(t, url), timeout(t, 20*time.Second), newResponse(t)
		require.NoError(t, client.SetMaxBody(4))
		require.ErrorIs(t, client.Transact(ctx, newRequest(t, url), res), nng.ErrTooLong)
		assert.Empty(t, res.Data())
		require.NoError(t, client.SetMaxBody(5))
		require.NoError(t, client.Transact(ctx, newRequest(t, url), res))
		assert.Equal(t, "hello", string(res.Data()))
	})
}

// What package nng does itself, with libraries that should not, can be cancelled, too.
func TestTransactInGo(t *testing.T) {
	defer nng.TransactInGo()()
	t.Run("cancel", TestCancelTransact)
	t.Run("close", TestClosedClientWaiting)
	t.Run("upstream", TestUpstreamMainHTTPClient)
}
