package nng_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gonng/nnghttp/internal/hostile"
	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/require"
)

// FuzzURL gives any text to everything that takes a URL. It is refused with an error that
// names the operation, or a request for it can be sent.
func FuzzURL(f *testing.F) {
	for _, raw := range []string{
		"http://127.0.0.1:80/a?b=c#d", "https://[::1]:443", "http://*:0/", "http://127.0.0.1", "http:///x", "http://127.0.0.1:99999/", "http://127.0.0.1:/", "http://user:pw@127.0.0.1/",
		"http://127.0.0.1/%", "http://127.0.0.1/%zz", "http://127.0.0.1/a b", "http://127.0.0.1/\r\nX: y", "http://127.0.0.1/\x00", "http://127.0.0.1/\xc3\xbc", "ws://127.0.0.1/x", "ipc:///tmp/x", "inproc://x", "http:x", "://", "", "http://127.0.0.1?x", "http://[::1", "http://a]b/", "http://[fe80::1%25lo]/", "HTTP://127.0.0.1/", "http4://127.0.0.1/", "http://127.0.0.1:-1/", "http://127.0.0.1//..//../x", "http://127.0.0.1/%2e%2e/%00", `http://"`, "http://127.0.0.1:" + strings.Repeat("x", 900) + "/", "http://h/%" + strings.Repeat("\"", 900),
	} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		check := func(what io.Closer, err error) bool {
			t.Helper()
			var op *nng.OpError
			if err == nil {
				require.NoError(t, what.Close())
				return true
			}
			require.ErrorAs(t, err, &op)
			require.NotEmpty(t, op.Op)
			var code nng.Errno
			require.ErrorAs(t, err, &code)
			require.Less(t, len(err.Error()), 500)
			return false
		}
		if req, err := nng.NewRequest(raw); err == nil && raw == "" {
			require.NoError(t, req.Close()) // documented: the caller sets the target
		} else if err == nil {
			head := "GET " + req.URI() + " HTTP/1.1\r\nHost: " + req.Header("Host") + "\r\n\r\n"
			if all, _ := hostile.Requests([]byte(head)); hostile.HostsAgree("GET", req.URI(), nil) {
				require.Len(t, all, 1, head)
				require.Equal(t, req.URI(), all[0].Target)
			} // else it has a NUL, which is the caller's own doing
			require.True(t, check(req, nil))
		} else {
			check(nil, err)
		}
		c, err := nng.NewClient(raw)
		check(c, err)
		d, err := nng.NewWSDialer(raw)
		check(d, err)
		// These two look names up, which is not for a fuzzer.
		host := ""
		if u, err := url.Parse(raw); err == nil {
			host = u.Hostname()
		}
		if net.ParseIP(host) == nil && strings.Contains(raw, "://") {
			return
		}
		holdMu.Lock()
		defer holdMu.Unlock()
		s, err := nng.HoldServer(raw)
		check(s, err)
		l, err := nng.NewWSListener(raw)
		check(l, err)
	})
}

// FuzzMessage sends requests and responses with any method, target, status, reason and
// field. What a setter takes arrives as it was given, and changes nothing else.
func FuzzMessage(f *testing.F) {
	for _, s := range []struct{ method, uri, name, value, reason string }{
		{"GET", "/", "X-A", "b", "Fine"}, {"", "", "", "", ""}, {"get", "*", "x", " y ", "a b"}, {"POST", "/a?b", "X", "y\r\nInjected: 1", "z\r\nInjected: 1"},
		{"G T", "/a b", "X Y", "\x00", "\x00"}, {"GET\r\n", "/\r\n", "X:", "y:", ":"}, {"GET", "http://h/x", "X", "\xff\t", "\xff"}, {"GET", "/#f", "X", strings.Repeat("v", 9000), strings.Repeat("r", 9000)}, {"CONNECT", "a:1", "X\xc3", "y", "\t"}, {"0", "\x82", "0", "0", "0"},
	} {
		f.Add(s.method, s.uri, s.name, s.value, s.reason, 200, []byte("body"))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(f, err)
	f.Cleanup(func() { _ = l.Close() })
	client, err := nng.NewClient("http://" + l.Addr().String())
	require.NoError(f, err)
	f.Cleanup(func() { _ = client.Close() })

	f.Fuzz(func(t *testing.T, method, uri, name, value, reason string, status int, body []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		framing := []string{"content-length", "transfer-encoding", "host", "connection"}
		own := slices.Contains(framing, strings.ToLower(name)) // the caller's own doing
		want := strings.Trim(value, " \t")

		conn, err := client.Connect(ctx)
		require.NoError(t, err)
		defer conn.Close()
		peer, err := l.Accept()
		require.NoError(t, err)
		defer peer.Close()

		req, err := nng.NewRequest("http://127.0.0.1/")
		require.NoError(t, err)
		defer req.Close()
		res, err := nng.NewResponse()
		require.NoError(t, err)
		defer res.Close()
		taken := func(err error) bool {
			t.Helper()
			var op *nng.OpError
			if err != nil {
				require.ErrorAs(t, err, &op)
			}
			return err == nil
		}
		if !taken(req.SetMethod(method)) || method == "" {
			method = "GET"
		}
		if !taken(req.SetURI(uri)) {
			uri = "/"
		}
		if !hostile.HostsAgree(method, uri, []string{"127.0.0.1"}) { // the caller's own doing
			uri = "/"
			require.NoError(t, req.SetURI(uri))
		}
		fieldTaken, status200 := false, 0
		if !own {
			fieldTaken = taken(req.SetHeader(name, value))
			require.Equal(t, fieldTaken, taken(res.SetHeader(name, value)))
		}
		require.NoError(t, req.CopyData(body))
		require.NoError(t, res.CopyData(body))
		if taken(res.SetStatus(status)) {
			status200 = status
		} else {
			status200 = 200
		}
		reasonTaken := taken(res.SetReason(reason))

		sent := make(chan []byte, 1)
		go func() {
			_ = peer.SetReadDeadline(time.Now().Add(10 * time.Second))
			b, _ := io.ReadAll(peer)
			sent <- b
		}()
		require.NoError(t, conn.WriteReq(ctx, req))
		if status200/100 != 1 {
			require.NoError(t, conn.WriteRes(ctx, res))
		}
		require.NoError(t, conn.Close())
		got := <-sent

		all, _ := hostile.Requests(got)
		require.NotEmpty(t, all, "%q", got)
		r := all[0]
		require.Equal(t, method, r.Method)
		require.Equal(t, uri, r.Target)
		require.Equal(t, len(body), r.Body)
		found := false
		for _, field := range r.Fields {
			if strings.EqualFold(field[0], name) {
				found = true
				require.Equal(t, want, field[1])
			} else {
				require.Contains(t, framing, strings.ToLower(field[0]), "a field that nobody has set: %q", got)
			}
		}
		if !own {
			require.Equal(t, fieldTaken, found, "%q", got)
		}
		if status200/100 == 1 {
			return
		}
		back, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(got[r.End:])), &http.Request{Method: "GET"})
		require.NoError(t, err, "%q", got[r.End:])
		require.Equal(t, status200, back.StatusCode)
		if reasonTaken && reason != "" {
			require.Equal(t, strings.Trim(reason, " "), strings.Trim(strings.TrimPrefix(back.Status, back.Status[:3]), " "))
		}
		for k := range back.Header {
			require.True(t, strings.EqualFold(k, name) || slices.Contains(framing, strings.ToLower(k)), "a field that nobody has set: %q", got[r.End:])
		}
		if back.StatusCode != 204 && back.StatusCode != 304 {
			b, err := io.ReadAll(back.Body)
			require.True(t, err == nil || errors.Is(err, io.ErrUnexpectedEOF))
			require.Equal(t, string(body), string(b))
		}
	})
}
