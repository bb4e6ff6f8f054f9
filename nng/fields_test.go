package nng_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Lines of one name stay apart, byte for byte, and are joined for who asks for the name.
func TestRepeatedFields(t *testing.T) {
	heads := make(chan nng.RequestHead, 1)
	srv := newServer(t, newHandler(t, "/", func(ctx context.Context, c *nng.Conn, req *nng.Request) (*nng.Response, error) {
		head, err := req.Head()
		if err != nil {
			return nil, err
		}
		heads <- head
		return text(req.Header("x-a")+"|"+req.Header("Cookie"))(ctx, c, req)
	}))
	got := exchange(t, address(t, srv), "GET / HTTP/1.1\r\nHost: x\r\nX-A: 1, 2\r\nCookie: a=b, c=d; e=f\r\nX-B:\r\n"+
		"x-a: \t3\t\r\nCookie: g=h\r\nX-A:\r\nX-A: \xff,,4 , \r\nConnection: close\r\n\r\n")
	assert.Equal(t, []string{"200"}, statuses(got))
	assert.True(t, strings.HasSuffix(got, "1, 2, 3, , \xff,,4 ,|a=b, c=d; e=f; g=h"), "%q", got)
	assert.Equal(t, []nng.HeaderField{
		{Name: "Host", Value: "x"}, {Name: "X-A", Value: "1, 2"}, {Name: "Cookie", Value: "a=b, c=d; e=f"}, {Name: "X-B"},
		{Name: "x-a", Value: "3"}, {Name: "Cookie", Value: "g=h"}, {Name: "X-A"}, {Name: "X-A", Value: "\xff,,4 ,"},
		{Name: "Connection", Value: "close"},
	}, (<-heads).Headers)

	// What was read can be changed.
	taken := make(chan *nng.Conn, 1)
	var taking *nng.Request
	srv = newServer(t, newHandler(t, "/", func(_ context.Context, c *nng.Conn, req *nng.Request) (*nng.Response, error) {
		if err := c.Hijack(); err != nil {
			return nil, err
		}
		taking = req
		taken <- c
		return nil, nil
	}))
	c, err := net.Dial("tcp", address(t, srv))
	require.NoError(t, err)
	defer c.Close()
	_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nX-B: 2\r\nX-A: 3\r\nx-a: 4\r\nX-B: 5\r\nX-C: 6\r\nX-C: 7\r\n\r\n")
	require.NoError(t, err)
	conn := <-taken
	defer conn.Close()
	require.NoError(t, taking.AddHeader("X-A", "8"))
	require.NoError(t, taking.SetHeader("x-b", "9"))
	require.NoError(t, taking.DelHeader("x-C"))
	require.ErrorIs(t, taking.DelHeader("x-C"), nng.ErrNotFound)
	fields, err := taking.Headers()
	require.NoError(t, err)
	assert.Equal(t, []nng.HeaderField{{Name: "Host", Value: "x"}, {Name: "X-A", Value: "1, 3, 4, 8"}, {Name: "X-B", Value: "9"}}, fields)
	require.NoError(t, taking.AddHeader("X-B", taking.Header("X-B")))
	assert.Equal(t, "9, 9", taking.Header("X-B"))

	// On the wire it goes as one line.
	require.NoError(t, taking.Reset())
	require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = io.WriteString(c, "GET /again HTTP/1.1\r\nHost: x\r\nCookie: a=b\r\nX-A: 1\r\nCookie: c=d\r\nX-A: 2\r\n\r\n")
	require.NoError(t, err)
	require.NoError(t, conn.ReadReq(timeout(t, 10*time.Second), taking))
	require.NoError(t, conn.WriteReq(timeout(t, 10*time.Second), taking))
	sent, err := http.ReadRequest(bufio.NewReader(c))
	require.NoError(t, err)
	assert.Equal(t, http.Header{"Cookie": {"a=b; c=d"}, "X-A": {"1, 2"}}, sent.Header)

	// Of a response, too.
	_, err = io.WriteString(c, "HTTP/1.1 200 OK\r\nSet-Cookie: a=b, c\r\nSet-Cookie: d=e\r\nContent-Length: 0\r\n\r\n")
	require.NoError(t, err)
	res, err := nng.NewResponse()
	require.NoError(t, err)
	defer res.Close()
	require.NoError(t, conn.ReadRes(timeout(t, 10*time.Second), res))
	fields, err = res.Headers()
	require.NoError(t, err)
	assert.Equal(t, []nng.HeaderField{{Name: "Set-Cookie", Value: "a=b, c"}, {Name: "Set-Cookie", Value: "d=e"}, {Name: "Content-Length", Value: "0"}}, fields)
	assert.Equal(t, "a=b, c, d=e", res.Header("Set-Cookie"))
}
