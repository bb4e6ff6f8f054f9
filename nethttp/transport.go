package nethttp

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gonng/nnghttp/nng"
)

// dialTimeout is how long a dial may take, all addresses together; dialStagger is how
// long one address may keep the next one waiting. Both are net/http's.
const (
	dialTimeout = 30 * time.Second
	dialStagger = 300 * time.Millisecond
)

// writeBuffer is large enough for most requests: each write costs a call into C, and with an
// untouched libnng, which leaves Nagle's algorithm on (N1), the second one can wait 40 ms.
const writeBuffer = 64 << 10

// Transport returns an http.Transport whose connections are made by libnng
// (nng_http_client_connect). What is sent over them is net/http's work. Its fields may
// be set before the first use, and it may be used concurrently, as any http.Transport.
//
// TLS: cfg is for https, a configuration for clients with the CAs that the servers'
// certificates are verified with. The caller closes it, after the last request. Without
// cfg, https is refused. The fields TLSClientConfig and TLSHandshakeTimeout do not
// matter to nng's TLS, and Response.TLS is nil. The handshake happens with the first
// bytes, after the dial: its errors come from the request, its time counts for
// ResponseHeaderTimeout, http.Client.Timeout and the request's context.
//
// Proxies: as with http.DefaultTransport, the environment names them, but https through
// one is refused: behind a CONNECT, and in a SOCKS tunnel, TLS is Go's, which knows
// nothing of cfg. Who wants that sets Proxy, and TLSClientConfig instead of cfg.
//
// The field Protocols excludes HTTP/2, which nng cannot negotiate; ForceAttemptHTTP2
// changes nothing about that. The other fields are those of http.DefaultTransport. Names
// are resolved as package net does, and a host's addresses are tried one after the other,
// the next one after a failure or after 300 ms.
//
// Connections are closed as nng.Conn.Close does, but in the background, because
// http.Transport holds locks meanwhile that others wait for. So CloseIdleConnections may
// return a moment before they have left libnng. Only C code in the same process has to
// care, which must not call nng_fini before they have.
//
// Errors, inside the *url.Error of http.Client: *nng.OpError with those of
// nng.Client.Connect (ErrConnRefused is also syscall.ECONNREFUSED, ErrTimedOut is also
// os.ErrDeadlineExceeded, …), with a *net.DNSError for a name that is not found, with
// ErrNotSupported for a network other than TCP, and with ErrPeerAuth or ErrCrypto for a
// handshake that failed (now and then ErrConnShut, when libnng loses the reason).
func Transport(cfg *nng.TLSConfig) *http.Transport {
	d := &transportDialer{tls: cfg}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                 proxyFromEnvironment,
		DialContext:           d.dial,
		DialTLSContext:        d.dialTLS,
		Protocols:             protocols,
		MaxIdleConns:          100,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		WriteBufferSize:       writeBuffer,
	}
}

// proxyFromEnvironment is http.ProxyFromEnvironment, but does not let the environment
// decide whose TLS is used and which certificates are trusted.
func proxyFromEnvironment(req *http.Request) (*url.URL, error) {
	proxy, err := http.ProxyFromEnvironment(req)
	if proxy == nil || err != nil || req.URL.Scheme != "https" {
		return proxy, err
	}
	return nil, &nng.OpError{Op: "proxy", URL: proxy.Redacted(), Err: nng.ErrNotSupported,
		Detail: "https through a proxy uses Go's TLS; set Proxy and TLSClientConfig to allow it, or Proxy to nil to connect directly"}
}

// A transportDialer makes the connections of a Transport. It keeps no clients of nng:
// one that lives for one dial costs little beside the dial, and nothing is left behind.
type transportDialer struct {
	tls *nng.TLSConfig
}

// dial is http.Transport.DialContext.
func (d *transportDialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return d.connect(ctx, network, addr, nil)
}

// dialTLS is http.Transport.DialTLSContext.
func (d *transportDialer) dialTLS(ctx context.Context, network, addr string) (net.Conn, error) {
	if d.tls == nil {
		return nil, &nng.OpError{Op: "connect", URL: "https://" + addr, Err: nng.ErrPeerAuth,
			Detail: "give nethttp.Transport a TLS configuration with the CAs to trust"}
	}
	cfg, err := nameTLS(d.tls, addr)
	if err != nil {
		return nil, err
	}
	defer cfg.Close()
	return d.connect(ctx, network, addr, cfg)
}

// nameTLS returns cfg as a client for addr would use it: with the host's name if it has
// none. The client for one of the host's addresses would give it that address.
func nameTLS(cfg *nng.TLSConfig, addr string) (*nng.TLSConfig, error) {
	host, port, err := splitAddr(addr)
	if err != nil {
		return nil, err
	}
	client, err := nng.NewClient("https://" + net.JoinHostPort(strings.TrimSuffix(host, "."), port))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	if err := client.SetTLS(cfg); err != nil {
		return nil, err
	}
	return client.TLS()
}

func splitAddr(addr string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(addr)
	if err != nil {
		return "", "", &nng.OpError{Op: "connect", URL: strconv.Quote(addr), Err: nng.ErrBadAddr,
			Detail: "the address is written host:port"}
	}
	if host == "" { // as package net does
		host = "localhost"
	}
	return host, port, nil
}

// connect makes a connection to one of the addresses of addr, over TLS if cfg is not nil.
func (d *transportDialer) connect(ctx context.Context, network, addr string, cfg *nng.TLSConfig) (net.Conn, error) {
	family, ok := map[string]string{"tcp": "ip", "tcp4": "ip4", "tcp6": "ip6"}[network]
	if !ok {
		return nil, &nng.OpError{Op: "connect", URL: network + " " + addr, Err: nng.ErrNotSupported,
			Detail: "the networks are tcp, tcp4 and tcp6"}
	}
	host, service, err := splitAddr(addr)
	if err != nil {
		return nil, err
	}
	if strings.Contains(host, "%") {
		return nil, &nng.OpError{Op: "connect", URL: addr, Err: nng.ErrNotSupported, Detail: "nng knows no IPv6 zones"}
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	port, err := net.DefaultResolver.LookupPort(ctx, network, service)
	if err != nil {
		return nil, &nng.OpError{Op: "resolve", URL: addr, Err: err}
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, family, host)
	if err != nil {
		return nil, &nng.OpError{Op: "resolve", URL: addr, Err: err}
	}
	return race(ctx, len(ips), func(ctx context.Context, i int) (net.Conn, error) {
		conn, err := connectTo(ctx, netip.AddrPortFrom(ips[i].Unmap(), uint16(port)), cfg)
		if err != nil {
			return nil, err
		}
		return &transportConn{bulkConn: bulkConn{Conn: conn}, addr: addr, tls: cfg != nil}, nil
	})
}

// connectTo makes a connection to one address.
func connectTo(ctx context.Context, addr netip.AddrPort, cfg *nng.TLSConfig) (conn *nng.Conn, err error) {
	if trace := httptrace.ContextClientTrace(ctx); trace != nil {
		if trace.ConnectStart != nil {
			trace.ConnectStart("tcp", addr.String())
		}
		if trace.ConnectDone != nil {
			defer func() { trace.ConnectDone("tcp", addr.String(), err) }()
		}
	}
	scheme := "http://"
	if cfg != nil {
		scheme = "https://"
	}
	client, err := nng.NewClient(scheme + addr.String())
	if err != nil {
		return nil, err
	}
	defer func() { go client.Close() }() // which can take its time after a failure
	if cfg != nil {
		if err := client.SetTLS(cfg); err != nil {
			return nil, err
		}
	}
	return client.Connect(ctx)
}

// race runs attempts 0 to n-1, each when all before it have failed or when the last one
// has had its time, and returns the first connection, or the first error.
func race(ctx context.Context, n int, attempt func(context.Context, int) (net.Conn, error)) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan result, n)
	var first error
	for started, running := 0, 0; ; {
		var stagger <-chan time.Time
		if started < n {
			i := started
			go func() {
				conn, err := attempt(ctx, i)
				results <- result{conn, err}
			}()
			started++
			running++
			stagger = time.After(dialStagger)
		}
		select {
		case r := <-results:
			running--
			if r.err == nil {
				go func() { // nobody needs the others
					for ; running > 0; running-- {
						if r := <-results; r.conn != nil {
							r.conn.Close()
						}
					}
				}()
				return r.conn, nil
			}
			if first == nil {
				first = r.err
			}
			if ctx.Err() != nil {
				n = started // no more of them
			}
			if running == 0 && started == n {
				return nil, first
			}
		case <-stagger:
		}
	}
}

// A transportConn is a connection of a Transport.
type transportConn struct {
	bulkConn
	addr   string      // as it was asked for
	tls    bool        // over TLS
	heard  atomic.Bool // something was read: the handshake is done
	closed atomic.Bool
}

// Read is nng.Conn.Read. When the handshake fails, it says what may be done about it.
func (c *transportConn) Read(p []byte) (int, error) {
	n, err := c.bulkConn.Read(p)
	if n > 0 {
		c.heard.Store(true)
	}
	return n, c.explain(err)
}

// Write is nng.Conn.Write; see Read.
func (c *transportConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	return n, c.explain(err)
}

const notTrusted = "the server's certificate is not for this host name or not by a CA that is trusted; " +
	"name the CA with TLSConfig.SetCAChain, and with SetServerName a name that the certificate is for (an address is none)"

// explain makes more of an error that ends a handshake. When a read and a write are
// under way in it, as they are at the start of a request, libnng finishes now and then
// both with NNG_ECLOSED.
func (c *transportConn) explain(err error) error {
	if err == nil || err == io.EOF || !c.tls || c.heard.Load() {
		return err
	}
	failed := &nng.OpError{Op: "tls handshake", URL: c.addr}
	switch {
	case errors.Is(err, nng.ErrPeerAuth):
		failed.Err, failed.Detail = nng.ErrPeerAuth, notTrusted
	case errors.Is(err, nng.ErrCrypto):
		failed.Err = nng.ErrCrypto
		failed.Detail = "the server does not speak TLS, has no version or cipher that nng has, or wants a client certificate (TLSConfig.SetOwnCert); " +
			"an untouched libnng also says so when it does not trust the server's certificate"
	case errors.Is(err, nng.ErrConnShut): // the end that the server makes is io.EOF
		failed.Err = nng.ErrConnShut
		failed.Detail = "libnng has closed the connection and lost the reason; most often " + notTrusted
	default:
		return err
	}
	return failed
}

// Close is nng.Conn.Close, which waits for bytes that are queued. http.Transport closes
// a connection when it needs it no more, or when a request was cancelled; neither has
// anything to wait for.
func (c *transportConn) Close() error {
	if c.closed.Swap(true) {
		return &nng.OpError{Op: "close", Err: nng.ErrClosed}
	}
	go c.Conn.Close()
	return nil
}
