package nethttp_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/http/httputil"
	"net/netip"
	"net/textproto"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nethttp"
	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"
)

// A trPeer is one of net/http's servers and a client that talks to it through nng.
type trPeer struct {
	*httptest.Server
	transport *http.Transport
	client    *http.Client
}

// trLeaks fails a test that leaves goroutines behind.
func trLeaks(t testing.TB) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		var err error
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
			if err = goleak.Find(before); err == nil {
				return
			}
		}
		t.Error(err)
	})
}

// trServe starts a server and makes a client for it.
func trServe(t testing.TB, secure bool, handler http.HandlerFunc) *trPeer {
	t.Helper()
	if secure {
		trNeedTLS(t)
	}
	p := &trPeer{Server: httptest.NewUnstartedServer(handler)}
	p.Config.ErrorLog = log.New(io.Discard, "", 0) // tests break connections on purpose
	var cfg *nng.TLSConfig
	if secure {
		p.EnableHTTP2 = true // which nobody must ask for
		p.StartTLS()
		cfg = trTLS(t, p.Certificate())
		require.NoError(t, cfg.SetServerName("example.com")) // the certificate's name
	} else {
		p.Start()
	}
	t.Cleanup(p.Server.Close)
	p.transport = nethttp.Transport(cfg)
	p.client = &http.Client{Transport: p.transport, Timeout: 30 * time.Second}
	t.Cleanup(p.transport.CloseIdleConnections)
	return p
}

func trNeedTLS(t testing.TB) {
	t.Helper()
	if nng.LinkInfo().TLSEngine == "none" {
		t.Skip("this libnng has no TLS")
	}
}

// trTLS is a configuration for clients that trusts one CA.
func trTLS(t testing.TB, ca *x509.Certificate) *nng.TLSConfig {
	t.Helper()
	trNeedTLS(t)
	cfg, err := nng.NewTLSConfig(nng.TLSClient)
	require.NoError(t, err)
	t.Cleanup(func() { cfg.Close() })
	require.NoError(t, cfg.SetCAChain(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Raw})), ""))
	return cfg
}

// trEach runs a test over http and over https.
func trEach(t *testing.T, handler http.HandlerFunc, test func(*testing.T, *trPeer)) {
	t.Helper()
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			trLeaks(t)
			test(t, trServe(t, scheme == "https", handler))
		})
	}
}

// trListen accepts connections and gives them to serve, which may leave them open.
func trListen(t testing.TB, serve func(n int, conn net.Conn)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 0; ; n++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			wg.Go(func() { serve(n, conn) })
		}
	})
	t.Cleanup(wg.Wait) // runs last
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// trFull is the address of a listener whose queue is full: a dial waits forever.
func trFull(t testing.TB) (addr string) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { syscall.Close(fd) })
	require.NoError(t, syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	require.NoError(t, syscall.Listen(fd, 0))
	name, err := syscall.Getsockname(fd)
	require.NoError(t, err)
	addr = fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	for range 16 {
		conn, err := net.DialTimeout("tcp", addr, 100*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { conn.Close() })
	}
	t.Skip("this system takes connections that a full queue has no room for")
	return ""
}

// trUnused is an address where nobody listens.
func trUnused(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// trNames answers look-ups for the length of a test; names that are not listed do not
// exist.
func trNames(t testing.TB, names map[string][]string) {
	t.Helper()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 512)
		for {
			n, from, err := udp.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			q := m.Questions[0]
			m.Response, m.Additionals = true, nil
			ips, ok := names[strings.TrimSuffix(q.Name.String(), ".")]
			if !ok {
				m.RCode = dnsmessage.RCodeNameError
			}
			for _, s := range ips {
				ip := netip.MustParseAddr(s)
				var body dnsmessage.ResourceBody
				switch {
				case ip.Is4() && q.Type == dnsmessage.TypeA:
					body = &dnsmessage.AResource{A: ip.As4()}
				case ip.Is6() && q.Type == dnsmessage.TypeAAAA:
					body = &dnsmessage.AAAAResource{AAAA: ip.As16()}
				default:
					continue
				}
				m.Answers = append(m.Answers, dnsmessage.Resource{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class}, Body: body,
				})
			}
			if packed, err := m.Pack(); err == nil {
				_, _ = udp.WriteTo(packed, from)
			}
		}
	}()
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", udp.LocalAddr().String())
	}}
	t.Cleanup(func() {
		net.DefaultResolver = before
		udp.Close()
		<-done
	})
}

// A trBody is a request body that knows whether it was closed.
type trBody struct {
	io.Reader
	closed atomic.Int32
}

func (b *trBody) Close() error {
	b.closed.Add(1)
	return nil
}

func trRequest(t testing.TB, method, url string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	require.NoError(t, err)
	return req
}

// trDo sends a request and reads the whole answer.
func trDo(t testing.TB, c *http.Client, req *http.Request) (*http.Response, string) {
	t.Helper()
	res, err := c.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res, string(body)
}

func trEcho(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).EnableFullDuplex() // or the answer's start drops the rest of the body
	w.Header().Set("Method", r.Method)
	w.Header().Set("Proto", r.Proto)
	_, _ = io.Copy(w, r.Body)
}

func trHello(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }

func TestTransportRequests(t *testing.T) {
	trEach(t, trEcho, func(t *testing.T, p *trPeer) {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"} {
			res, body := trDo(t, p.client, trRequest(t, method, p.URL+"/some/path?q=1", strings.NewReader("ping")))
			assert.Equal(t, 200, res.StatusCode)
			assert.Equal(t, method, res.Header.Get("Method"))
			assert.Equal(t, "ping", body)
			assert.Nil(t, res.TLS, "Go has not seen the handshake")
		}
	})
}

// Whatever a user asks for, nng cannot negotiate HTTP/2.
func TestTransportHTTP1Only(t *testing.T) {
	trEach(t, trEcho, func(t *testing.T, p *trPeer) {
		p.transport.ForceAttemptHTTP2 = true
		res, _ := trDo(t, p.client, trRequest(t, "GET", p.URL, nil))
		assert.Equal(t, "HTTP/1.1", res.Proto)
		assert.Equal(t, "HTTP/1.1", res.Header.Get("Proto"))
	})
}

func TestTransportWithoutBody(t *testing.T) {
	trEach(t, func(w http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(r.URL.Path[1:])
		if status == 200 {
			w.Header().Set("Content-Length", "1000")
		}
		w.WriteHeader(status)
	}, func(t *testing.T, p *trPeer) {
		for range 3 { // on one connection: nothing is left over
			for _, c := range []struct {
				method string
				status int
			}{{"HEAD", 200}, {"GET", 204}, {"GET", 304}, {"HEAD", 404}} {
				req := trRequest(t, c.method, fmt.Sprintf("%s/%d", p.URL, c.status), nil)
				res, err := p.transport.RoundTrip(req)
				require.NoError(t, err)
				require.NotNil(t, res.Body, "http.RoundTripper promises a body")
				body, err := io.ReadAll(res.Body)
				require.NoError(t, err)
				require.NoError(t, res.Body.Close())
				assert.Equal(t, c.status, res.StatusCode)
				assert.Empty(t, body)
			}
		}
	})
}

func TestTransportRequestNotModified(t *testing.T) {
	trEach(t, trEcho, func(t *testing.T, p *trPeer) {
		req := trRequest(t, "POST", p.URL+"/x?y=z", strings.NewReader("body"))
		req.Header.Set("X-Mine", "1")
		req.Trailer = http.Header{"X-Trailer": {"2"}}
		before := req.Clone(req.Context())
		for range 2 {
			req.Body, _ = req.GetBody()
			res, err := p.transport.RoundTrip(req)
			require.NoError(t, err)
			_, _ = io.Copy(io.Discard, res.Body)
			require.NoError(t, res.Body.Close())
		}
		assert.Equal(t, before.Header, req.Header)
		assert.Equal(t, before.Trailer, req.Trailer)
		assert.Equal(t, before.URL, req.URL)
		assert.Equal(t, before.Host, req.Host)
		assert.Equal(t, before.ContentLength, req.ContentLength)
		assert.Equal(t, before.TransferEncoding, req.TransferEncoding)
	})
}

func TestTransportBodyAlwaysClosed(t *testing.T) {
	trEach(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/abort" {
			panic(http.ErrAbortHandler)
		}
	}, func(t *testing.T, p *trPeer) {
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		plain := nethttp.Transport(nil)
		for name, c := range map[string]struct {
			ctx context.Context
			url string
			via *http.Transport
			ok  bool
		}{
			"answered":          {t.Context(), p.URL, p.transport, true},
			"aborted":           {t.Context(), p.URL + "/abort", p.transport, false},
			"cancelled":         {ended, p.URL, p.transport, false},
			"refused":           {t.Context(), "http://" + trUnused(t), p.transport, false},
			"https without CAs": {t.Context(), "https://" + trUnused(t), plain, false},
			"unknown scheme":    {t.Context(), "gopher://" + trUnused(t), p.transport, false},
		} {
			body := &trBody{Reader: strings.NewReader("something")}
			req := trRequest(t, "POST", c.url, body)
			res, err := c.via.RoundTrip(req.WithContext(c.ctx))
			assert.Equal(t, c.ok, err == nil, "%s: %v", name, err)
			if err == nil {
				res.Body.Close()
			} else {
				assert.Nil(t, res, name)
			}
			assert.Eventually(t, func() bool { return body.closed.Load() > 0 },
				5*time.Second, time.Millisecond, "%s: the body is not closed", name)
		}
	})
}

func TestTransportKeepAlive(t *testing.T) {
	trEach(t, trEcho, func(t *testing.T, p *trPeer) {
		var infos []httptrace.GotConnInfo
		var connected []string
		trace := &httptrace.ClientTrace{
			GotConn:      func(i httptrace.GotConnInfo) { infos = append(infos, i) },
			ConnectStart: func(network, addr string) { connected = append(connected, "start "+network+" "+addr) },
			ConnectDone: func(network, addr string, err error) {
				connected = append(connected, fmt.Sprint("done ", network, " ", addr, " ", err))
			},
		}
		for i := range 5 {
			req := trRequest(t, "POST", p.URL, strings.NewReader(strings.Repeat("x", i*1000)))
			trDo(t, p.client, req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
		}
		require.Len(t, infos, 5)
		for i, info := range infos {
			assert.Equal(t, i > 0, info.Reused)
		}
		addr := p.Listener.Addr().String()
		assert.Equal(t, []string{"start tcp " + addr, "done tcp " + addr + " <nil>"}, connected)
		if remote := infos[0].Conn.RemoteAddr().String(); remote != "unknown" {
			assert.Equal(t, addr, remote)
		}
	})
}

// When the server closes an idle connection, the next request goes over a new one.
func TestTransportServerClosesIdle(t *testing.T) {
	trEach(t, trHello, func(t *testing.T, p *trPeer) {
		for range 20 {
			_, body := trDo(t, p.client, trRequest(t, "GET", p.URL, nil))
			assert.Equal(t, "hello", body)
			p.CloseClientConnections()
		}
	})
}

func TestTransportLargeBodies(t *testing.T) {
	block := bytes.Repeat([]byte("0123456789abcdef"), 64<<10>>4)
	const blocks = 128 // 8 MiB
	want := sha256.New()
	for range blocks {
		want.Write(block)
	}
	trEach(t, trEcho, func(t *testing.T, p *trPeer) {
		for _, length := range []int64{blocks * int64(len(block)), -1} { // -1: chunked
			readers := make([]io.Reader, blocks)
			for i := range readers {
				readers[i] = bytes.NewReader(block)
			}
			req := trRequest(t, "POST", p.URL, io.MultiReader(readers...))
			req.ContentLength = length
			res, err := p.client.Do(req)
			require.NoError(t, err)
			got := sha256.New()
			n, err := io.Copy(got, res.Body)
			require.NoError(t, err)
			res.Body.Close()
			assert.EqualValues(t, blocks*len(block), n)
			assert.Equal(t, want.Sum(nil), got.Sum(nil))
		}
	})
}

// A request of some KiB goes out in one piece. In several, Nagle's algorithm would keep
// the last one back until the server's kernel has acknowledged the others, which takes
// 40 ms.
func TestTransportSendsInOnePiece(t *testing.T) {
	trLeaks(t)
	p := trServe(t, false, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	body := strings.Repeat("x", 20_000)
	start := time.Now()
	for range 20 {
		trDo(t, p.client, trRequest(t, "POST", p.URL, strings.NewReader(body)))
	}
	assert.Less(t, time.Since(start), 400*time.Millisecond)
}

func TestTransportTrailers(t *testing.T) {
	trEach(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Sum, Got")
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
		w.Header().Set("Sum", strconv.Itoa(len(body)))
		w.Header().Set("Got", r.Trailer.Get("Mine"))
	}, func(t *testing.T, p *trPeer) {
		req := trRequest(t, "POST", p.URL, io.NopCloser(strings.NewReader("four")))
		req.Trailer = http.Header{"Mine": {"was here"}}
		res, body := trDo(t, p.client, req)
		assert.Equal(t, "four", body)
		assert.Equal(t, http.Header{"Sum": {"4"}, "Got": {"was here"}}, res.Trailer)
	})
}

func TestTransportInformational(t *testing.T) {
	trEach(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusProcessing)
		_, _ = io.WriteString(w, "the answer")
	}, func(t *testing.T, p *trPeer) {
		var codes []int
		req := trRequest(t, "GET", p.URL, nil)
		req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
			Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
				codes = append(codes, code)
				assert.NotEmpty(t, h.Get("Link"))
				return nil
			},
		}))
		res, body := trDo(t, p.client, req)
		assert.Equal(t, 200, res.StatusCode)
		assert.Equal(t, "the answer", body)
		assert.Equal(t, []int{103, 102}, codes)
	})
}

func TestTransportExpectContinue(t *testing.T) {
	trEach(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/no" {
			w.WriteHeader(http.StatusExpectationFailed)
			return
		}
		trEcho(w, r)
	}, func(t *testing.T, p *trPeer) {
		p.transport.ExpectContinueTimeout = 20 * time.Second
		continued := false
		send := func(path string, body io.Reader) (*http.Response, string) {
			continued = false
			req := trRequest(t, "POST", p.URL+path, body)
			req.Header.Set("Expect", "100-continue")
			return trDo(t, p.client, req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
				Got100Continue: func() { continued = true },
			})))
		}
		start := time.Now()
		res, body := send("/", strings.NewReader("worth sending"))
		assert.Equal(t, 200, res.StatusCode)
		assert.Equal(t, "worth sending", body)
		assert.True(t, continued)

		refused := &trBody{Reader: trUnread{}}
		res, _ = send("/no", refused)
		assert.Equal(t, http.StatusExpectationFailed, res.StatusCode)
		assert.False(t, continued)
		assert.Eventually(t, func() bool { return refused.closed.Load() > 0 }, 5*time.Second, time.Millisecond)
		assert.Less(t, time.Since(start), 10*time.Second, "it waited for ExpectContinueTimeout")
	})
}

// trUnread is a body that must not be read.
type trUnread struct{}

func (trUnread) Read([]byte) (int, error) { panic("nobody asked for the body") }

func TestTransportUpgrade(t *testing.T) {
	trEach(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_, _ = io.Copy(conn, rw)
	}, func(t *testing.T, p *trPeer) {
		req := trRequest(t, "GET", p.URL, nil)
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Upgrade", "echo")
		res, err := p.transport.RoundTrip(req)
		require.NoError(t, err)
		require.Equal(t, 101, res.StatusCode)
		rw, ok := res.Body.(io.ReadWriteCloser)
		require.True(t, ok)
		for i := range 10 {
			_, err = fmt.Fprintf(rw, "line %d\n", i)
			require.NoError(t, err)
			got := make([]byte, 7)
			_, err = io.ReadFull(rw, got)
			require.NoError(t, err)
			assert.Equal(t, fmt.Sprintf("line %d\n", i), string(got))
		}
		require.NoError(t, rw.Close())
	})
}

// The body of a request that is sent again is asked for again.
func TestTransportGetBodyOnRetry(t *testing.T) {
	trLeaks(t)
	bodies := make(chan string, 10)
	addr := trListen(t, func(n int, conn net.Conn) {
		br := bufio.NewReader(conn)
		for i := 0; ; i++ {
			req, err := http.ReadRequest(br)
			if err != nil {
				return
			}
			body, _ := io.ReadAll(req.Body)
			bodies <- fmt.Sprintf("%d.%d %s", n, i, body)
			if i > 0 {
				conn.Close() // instead of an answer to the second request
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	tr := nethttp.Transport(nil)
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr}
	for _, text := range []string{"first", "second"} {
		req := trRequest(t, "POST", "http://"+addr, strings.NewReader(text))
		req.Header.Set("Idempotency-Key", text)
		asked := 0
		get := req.GetBody
		req.GetBody = func() (io.ReadCloser, error) { asked++; return get() }
		_, body := trDo(t, client, req)
		assert.Equal(t, "ok", body)
		assert.Equal(t, text == "second", asked > 0)
	}
	assert.Equal(t, "0.0 first", <-bodies)
	assert.Equal(t, "0.1 second", <-bodies)
	assert.Equal(t, "1.0 second", <-bodies)
}

func TestTransportCancel(t *testing.T) {
	release := make(chan struct{})
	reached := make(chan struct{}, 16)
	defer close(release)
	trEach(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			_, _ = io.WriteString(w, "a beginning")
			_ = http.NewResponseController(w).Flush()
		}
		reached <- struct{}{}
		select {
		case <-r.Context().Done():
		case <-release:
		}
	}, func(t *testing.T, p *trPeer) {
		mine := errors.New("changed my mind")
		for _, path := range []string{"/head", "/body"} {
			ctx, cancel := context.WithCancelCause(t.Context())
			go func() {
				<-reached
				time.Sleep(50 * time.Millisecond)
				cancel(mine)
			}()
			start := time.Now()
			res, err := p.client.Do(trRequest(t, "GET", p.URL+path, nil).WithContext(ctx))
			if path == "/body" && err == nil {
				_, err = io.ReadAll(res.Body)
				res.Body.Close()
			}
			assert.True(t, errors.Is(err, context.Canceled) || errors.Is(err, mine), "%s: %v", path, err)
			assert.Less(t, time.Since(start), 5*time.Second)
		}

		// On a busy machine these may not even reach the server.
		p.client.Timeout = 50 * time.Millisecond
		for _, path := range []string{"/head", "/body"} {
			res, err := p.client.Do(trRequest(t, "GET", p.URL+path, nil))
			if err == nil {
				_, err = io.ReadAll(res.Body)
				res.Body.Close()
			}
			var ne net.Error
			require.ErrorAs(t, err, &ne, path)
			assert.True(t, ne.Timeout(), "%s: %v", path, err)
		}
	})
}

// An upload that the server does not take is cancelled at once: closing the connection
// does not wait for the bytes that are queued.
func TestTransportCancelUpload(t *testing.T) {
	trLeaks(t)
	addr := trListen(t, func(int, net.Conn) {}) // reads nothing
	tr := nethttp.Transport(nil)
	defer tr.CloseIdleConnections()
	ctx, cancel := context.WithCancel(t.Context())
	var ended time.Time
	time.AfterFunc(300*time.Millisecond, func() { ended = time.Now(); cancel() })
	body := &trBody{Reader: trZeros{}}
	req := trRequest(t, "POST", "http://"+addr, body).WithContext(ctx)
	_, err := tr.RoundTrip(req)
	assert.ErrorIs(t, err, context.Canceled)
	assert.Less(t, time.Since(ended), 150*time.Millisecond)
	assert.Eventually(t, func() bool { return body.closed.Load() > 0 }, 5*time.Second, time.Millisecond)
}

type trZeros struct{}

func (trZeros) Read(p []byte) (int, error) { return len(p), nil }

func TestTransportCancelDial(t *testing.T) {
	trLeaks(t)
	addr := trFull(t)
	tr := nethttp.Transport(nil)

	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	body := &trBody{Reader: strings.NewReader("x")}
	start := time.Now()
	_, err := tr.RoundTrip(trRequest(t, "POST", "http://"+addr, body).WithContext(ctx))
	assert.ErrorIs(t, err, context.Canceled)
	assert.Less(t, time.Since(start), time.Second)
	assert.Eventually(t, func() bool { return body.closed.Load() > 0 }, 5*time.Second, time.Millisecond)

	_, err = (&http.Client{Transport: tr, Timeout: 50 * time.Millisecond}).Get("http://" + addr)
	assert.ErrorIs(t, err, context.DeadlineExceeded)

	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	conn, err := tr.DialContext(ctx, "tcp", addr)
	if err == nil {
		conn.Close()
		if lib.Lacks("X4") {
			return // defect X4: it says so now and then, though it is not connected
		}
	}
	assert.ErrorIs(t, err, nng.ErrTimedOut)
	assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
}

func TestTransportCloseWhileReading(t *testing.T) {
	trEach(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "a beginning")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}, func(t *testing.T, p *trPeer) {
		for range 10 {
			res, err := p.client.Get(p.URL)
			require.NoError(t, err)
			ended := make(chan error)
			go func() {
				_, err := io.Copy(io.Discard, res.Body)
				ended <- err
			}()
			time.Sleep(5 * time.Millisecond)
			require.NoError(t, res.Body.Close())
			assert.Error(t, <-ended)
		}
	})
}

func TestTransportParallel(t *testing.T) {
	trEach(t, trEcho, func(t *testing.T, p *trPeer) {
		p.transport.MaxIdleConnsPerHost = 4
		var wg sync.WaitGroup
		for i := range 32 {
			wg.Go(func() {
				for j := range 8 {
					want := strings.Repeat(fmt.Sprintf("%d.%d ", i, j), 1+i*40)
					res, err := p.client.Post(p.URL, "text/plain", strings.NewReader(want))
					if !assert.NoError(t, err) {
						return
					}
					got, err := io.ReadAll(res.Body)
					res.Body.Close()
					assert.NoError(t, err)
					assert.True(t, want == string(got), "%d bytes, want %d", len(got), len(want))
				}
			})
		}
		wg.Wait()
	})
}

func TestTransportResponseHeaderTimeout(t *testing.T) {
	trLeaks(t)
	addr := trListen(t, func(int, net.Conn) {}) // says nothing, not even hello
	ca := httptest.NewTLSServer(nil)
	ca.Close()
	tr := nethttp.Transport(trTLS(t, ca.Certificate()))
	defer tr.CloseIdleConnections()
	tr.ResponseHeaderTimeout = 100 * time.Millisecond
	for _, scheme := range []string{"http://", "https://"} {
		start := time.Now()
		_, err := tr.RoundTrip(trRequest(t, "GET", scheme+addr, nil))
		var ne net.Error
		require.ErrorAs(t, err, &ne)
		assert.True(t, ne.Timeout(), err.Error())
		assert.Less(t, time.Since(start), 5*time.Second)
	}
}

// trOtherCA is a CA that has signed nothing.
func trOtherCA(t testing.TB) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	tmpl := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "some other CA"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return cert
}

func TestTransportNotTrusted(t *testing.T) {
	trLeaks(t)
	p := trServe(t, true, trHello)
	name := trTLS(t, p.Certificate())
	require.NoError(t, name.SetServerName("other.test"))
	ca := trTLS(t, trOtherCA(t))
	require.NoError(t, ca.SetServerName("example.com"))
	for what, cfg := range map[string]*nng.TLSConfig{"name": name, "CA": ca} {
		for range 10 {
			tr := nethttp.Transport(cfg)
			_, err := (&http.Client{Transport: tr, Timeout: 10 * time.Second}).Get(p.URL)
			require.Error(t, err, what)
			lost := errors.Is(err, nng.ErrConnShut) // seldom
			assert.True(t, lost || errors.Is(err, nng.ErrPeerAuth) || errors.Is(err, nng.ErrCrypto), "%s: %v", what, err)
			assert.ErrorContains(t, err, "tls handshake "+p.Listener.Addr().String())
			if lost || errors.Is(err, nng.ErrPeerAuth) {
				assert.ErrorContains(t, err, "SetCAChain")
				assert.ErrorContains(t, err, "SetServerName")
			}
			var oe *nng.OpError
			assert.ErrorAs(t, err, &oe)
		}
	}

	_, err := (&http.Client{Transport: nethttp.Transport(nil)}).Get(p.URL)
	assert.ErrorIs(t, err, nng.ErrPeerAuth)
	assert.ErrorContains(t, err, "give nethttp.Transport a TLS configuration")

	closed := trTLS(t, p.Certificate())
	require.NoError(t, closed.Close())
	_, err = (&http.Client{Transport: nethttp.Transport(closed)}).Get(p.URL)
	assert.ErrorIs(t, err, nng.ErrClosed)
}

// A server that speaks no TLS.
func TestTransportTLSToPlainServer(t *testing.T) {
	trLeaks(t)
	p := trServe(t, false, trHello)
	secure := trServe(t, true, trHello)
	_, err := secure.client.Get("https://" + p.Listener.Addr().String())
	if !errors.Is(err, nng.ErrConnShut) { // see explain
		assert.ErrorIs(t, err, nng.ErrCrypto)
		assert.ErrorContains(t, err, "does not speak TLS")
	}
}

func TestTransportDialErrors(t *testing.T) {
	trLeaks(t)
	trNames(t, nil)
	tr := nethttp.Transport(nil)
	client := &http.Client{Transport: tr, Timeout: 10 * time.Second}

	_, err := client.Get("http://" + trUnused(t))
	assert.ErrorIs(t, err, syscall.ECONNREFUSED)
	assert.ErrorIs(t, err, nng.ErrConnRefused)

	_, err = client.Get("http://bücher.test/")
	var dns *net.DNSError
	require.ErrorAs(t, err, &dns)
	assert.True(t, dns.IsNotFound)
	assert.Equal(t, "xn--bcher-kva.test", dns.Name)
	var oe *nng.OpError
	require.ErrorAs(t, err, &oe)
	assert.Equal(t, "resolve", oe.Op)

	for _, c := range []struct {
		network, addr string
		want          error
	}{
		{"unix", "/some/socket", nng.ErrNotSupported},
		{"udp", "127.0.0.1:1", nng.ErrNotSupported},
		{"tcp", "127.0.0.1", nng.ErrBadAddr},
		{"tcp", "[::1", nng.ErrBadAddr},
		{"tcp", "[fe80::1%lo]:80", nng.ErrNotSupported},
	} {
		conn, err := tr.DialContext(t.Context(), c.network, c.addr)
		assert.Nil(t, conn)
		assert.ErrorIs(t, err, c.want, c.addr)
		require.ErrorAs(t, err, &oe)
		assert.NotEmpty(t, oe.Detail)
	}
	for _, addr := range []string{"127.0.0.1:no-such-service", "127.0.0.1:65536", "127.0.0.1:-1", "a b.test:1", "127.0.0.1:0", "0.0.0.0:1"} {
		conn, err := tr.DialContext(t.Context(), "tcp", addr)
		assert.Nil(t, conn, addr)
		assert.ErrorAs(t, err, &oe, addr)
	}
	_, err = tr.DialContext(t.Context(), "tcp6", "127.0.0.1:1")
	assert.ErrorAs(t, err, &oe)
}

// DialContext is of use without HTTP too.
func TestTransportDialContext(t *testing.T) {
	trLeaks(t)
	p := trServe(t, false, trHello)
	_, port, err := net.SplitHostPort(p.Listener.Addr().String())
	require.NoError(t, err)
	for _, host := range []string{"", "localhost", "127.0.0.1", "[::ffff:127.0.0.1]"} {
		conn, err := p.transport.DialContext(t.Context(), "tcp4", host+":"+port)
		require.NoError(t, err)
		_, err = io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n")
		require.NoError(t, err)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		assert.Equal(t, 200, res.StatusCode)
		require.NoError(t, conn.Close())
		assert.ErrorIs(t, conn.Close(), net.ErrClosed)
		assert.Eventually(t, func() bool {
			_, err := conn.Read(make([]byte, 1))
			return errors.Is(err, net.ErrClosed)
		}, 5*time.Second, time.Millisecond)
	}
}

func TestTransportIPv6(t *testing.T) {
	trLeaks(t)
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 here: ", err)
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Host) }))
	srv.Listener.Close()
	srv.Listener = l
	srv.Start()
	defer srv.Close()
	tr := nethttp.Transport(nil)
	defer tr.CloseIdleConnections()
	_, body := trDo(t, &http.Client{Transport: tr}, trRequest(t, "GET", "http://"+l.Addr().String(), nil))
	assert.Equal(t, l.Addr().String(), body)
}

// A server that listens on one of its host's addresses is found, whichever that is, and
// over TLS asked for the host's name.
func TestTransportTriesAllAddresses(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprint("secure=", secure), func(t *testing.T) {
			trLeaks(t)
			trNames(t, map[string][]string{
				"example.com": {"::1", "127.0.0.3", "127.0.0.1", "127.0.0.2"},
				"four.test":   {"127.0.0.1"},
			})
			p := trServe(t, secure, trHello)
			scheme, _, _ := strings.Cut(p.URL, ":")
			_, port, err := net.SplitHostPort(p.Listener.Addr().String())
			require.NoError(t, err)
			var cfg *nng.TLSConfig
			if secure {
				cfg = trTLS(t, p.Certificate()) // without a name: it is the URL's
			}
			tr := nethttp.Transport(cfg)
			defer tr.CloseIdleConnections()
			client := &http.Client{Transport: tr, Timeout: 20 * time.Second}
			_, body := trDo(t, client, trRequest(t, "GET", scheme+"://example.com:"+port, nil))
			assert.Equal(t, "hello", body)
			if !secure {
				_, body = trDo(t, client, trRequest(t, "GET", "http://four.test:"+port, nil))
				assert.Equal(t, "hello", body)
				_, body = trDo(t, client, trRequest(t, "GET", "http://localhost:"+port, nil))
				assert.Equal(t, "hello", body)
			}
		})
	}
}

// trProxy is a proxy that knows CONNECT and, for http, forwards everything to one server.
func trProxy(t testing.TB, to string) (proxy *url.URL, seen func() []string) {
	t.Helper()
	var mu sync.Mutex
	var lines []string
	target := &url.URL{Scheme: "http", Host: to}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		lines = append(lines, r.Method+" "+r.RequestURI)
		mu.Unlock()
		if r.Method != http.MethodConnect {
			(&httputil.ReverseProxy{Rewrite: func(pr *httputil.ProxyRequest) { pr.SetURL(target) }}).ServeHTTP(w, r)
			return
		}
		out, err := net.Dial("tcp", to)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer out.Close()
		in, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer in.Close()
		_, _ = io.WriteString(in, "HTTP/1.1 200 OK\r\n\r\n")
		go func() {
			_, _ = io.Copy(out, in)
			out.Close()
		}()
		_, _ = io.Copy(in, out)
	}))
	t.Cleanup(srv.Close)
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections) // the ReverseProxy's
	proxy, err := url.Parse(srv.URL)
	require.NoError(t, err)
	return proxy, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return lines
	}
}

func TestTransportProxy(t *testing.T) {
	trEach(t, trHello, func(t *testing.T, p *trPeer) {
		proxy, seen := trProxy(t, p.Listener.Addr().String())
		tr := nethttp.Transport(nil)
		defer tr.CloseIdleConnections()
		tr.Proxy = http.ProxyURL(proxy)
		scheme, _, _ := strings.Cut(p.URL, ":")
		if scheme == "https" { // behind the CONNECT, TLS is Go's
			pool := x509.NewCertPool()
			pool.AddCert(p.Certificate())
			tr.TLSClientConfig = &tls.Config{RootCAs: pool}
			tr.ForceAttemptHTTP2 = true // but Protocols says no
		}
		res, body := trDo(t, &http.Client{Transport: tr}, trRequest(t, "GET", scheme+"://example.com/x", nil))
		assert.Equal(t, "hello", body)
		assert.Equal(t, "HTTP/1.1", res.Proto)
		if scheme == "https" {
			assert.NotNil(t, res.TLS)
			assert.Equal(t, []string{"CONNECT example.com:443"}, seen())
		} else {
			assert.Equal(t, []string{"GET http://example.com/x"}, seen())
		}
	})
}

// The environment may name a proxy, but not whose TLS is used. net/http looks at the
// environment once, so this is a process of its own.
func TestTransportProxyFromEnvironment(t *testing.T) {
	if os.Getenv("TR_PROXY_CHILD") == "" {
		trLeaks(t)
		p := trServe(t, false, trHello)
		proxy, seen := trProxy(t, p.Listener.Addr().String())
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestTransportProxyFromEnvironment$", "-test.v")
		cmd.Env = append(os.Environ(), "TR_PROXY_CHILD=1", "HTTP_PROXY="+proxy.String(), "HTTPS_PROXY="+proxy.String(), "NO_PROXY=")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		require.Contains(t, string(out), "--- PASS: TestTransportProxyFromEnvironment")
		assert.Equal(t, []string{"GET http://example.com/env"}, seen())
		return
	}
	tr := nethttp.Transport(nil)
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr, Timeout: 10 * time.Second}
	_, body := trDo(t, client, trRequest(t, "GET", "http://example.com/env", nil))
	assert.Equal(t, "hello", body)
	_, err := client.Get("https://example.com/env")
	assert.ErrorIs(t, err, nng.ErrNotSupported)
	assert.ErrorContains(t, err, "TLSClientConfig")
}
