package nng

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// #include "http_cgo.h"
import "C"

// Client connects to one HTTP server (nng_http_client). All methods may be called
// concurrently; connects run side by side.
type Client struct {
	url    string
	host   string
	secure bool // TLS

	maxBody bodyLimit

	mu      sync.Mutex
	curl    *C.nng_url
	tls     *cTLSConfig    // nil: each C client has the one that C made for it
	tlsSet  int            // how often tls was set
	used    bool           // an operation has begun
	spare   []*cClient     // idle
	using   sync.WaitGroup // operations in the hands of C
	closed  bool
	closing chan struct{}
}

// A cClient is one nng_http_client. It does one thing at a time: C dials one
// connection at a time per client, loses those that wait when it is freed (defect
// CL13), and in newer releases cancels one with the other (CL15).
type cClient struct {
	c      *C.nng_http_client
	tlsSet int // Client.tlsSet when it got its TLS configuration
}

// maxSpare is how many idle C clients a Client keeps.
const maxSpare = 16

// NewClient makes a client for the server of a URL (nng_http_client_alloc). The path
// of the URL does not matter. For https the server's certificate is verified against
// the CAs given with SetTLS.
//
// Errors: ErrBadAddr, ErrNotSupported (https without TLS, a library without HTTP),
// ErrNoMemory.
func NewClient(rawURL string) (*Client, error) {
	cu, u, err := parseURL("new client", rawURL)
	if err != nil {
		return nil, err
	}
	if u.Hostname() == "" {
		C.nng_url_free(cu)
		return nil, refuse("new client", rawURL, ErrBadAddr, "the URL names no host")
	}
	c := &Client{url: rawURL, host: u.Hostname(), secure: isSecure(u.Scheme), curl: cu, closing: make(chan struct{})}
	if e := holdPump(); e != 0 { // or it would come and go with each operation
		C.nng_url_free(cu)
		return nil, check("new client", rawURL, int(e))
	}
	first, err := c.alloc()
	if err != nil {
		releasePump()
		C.nng_url_free(cu)
		return nil, err
	}
	c.spare = append(c.spare, first)
	live.clients.Add(1)
	return c, nil
}

func (c *Client) alloc() (*cClient, error) {
	cc := &cClient{tlsSet: c.tlsSet}
	if rv := C.nngo_client_alloc(&cc.c, c.curl); rv != 0 {
		return nil, check("new client", c.url, int(rv))
	}
	if c.tls != nil {
		if rv := C.nng_http_client_set_tls(cc.c, c.tls.c); rv != 0 {
			cc.free()
			return nil, check("client set tls", c.url, int(rv))
		}
	}
	return cc, nil
}

// ended says that the client is closed, or the zero value. The lock is held.
func (c *Client) ended() bool { return c.closed || c.curl == nil }

// borrow takes a C client for one operation.
func (c *Client) borrow(op string) (*cClient, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended() {
		return nil, &OpError{Op: op, URL: c.url, Err: ErrClosed}
	}
	c.used = true
	c.tls.freeze()
	if n := len(c.spare); n > 0 {
		cc := c.spare[n-1]
		c.spare = c.spare[:n-1]
		c.using.Add(1)
		return cc, nil
	}
	cc, err := c.alloc()
	if err == nil {
		c.using.Add(1)
	}
	return cc, err
}

// giveBack ends borrow. A C client whose connect failed or was cancelled is not used
// again: C may still be busy with that, and would start the next one on the same aio.
func (c *Client) giveBack(cc *cClient, result Errno) {
	c.mu.Lock()
	keep := result == 0 && !c.closed && cc.tlsSet == c.tlsSet && len(c.spare) < maxSpare
	if keep {
		c.spare = append(c.spare, cc)
	}
	c.mu.Unlock()
	if !keep {
		cc.free()
	}
	c.using.Done()
}

// beforeFree is called before what C may be slow to free, if a test has set it.
var beforeFree atomic.Pointer[func()]

func freeing() {
	if f := beforeFree.Load(); f != nil {
		(*f)()
	}
}

// free releases the C client. Releases before 1.11 can block in that forever (defect
// CL14), so nobody waits long for it.
func (cc *cClient) free() {
	done := make(chan struct{})
	go func() {
		freeing()
		C.nng_http_client_free(cc.c)
		close(done)
	}()
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// Connect makes a connection (nng_http_client_connect), which the caller closes. It
// outlives the client. Over TLS the handshake happens with the first read or write,
// and its errors come from there.
//
// Errors: ErrConnRefused, ErrTimedOut, ErrCanceled, ErrUnreachable, ErrBadAddr (a name
// that is not found), ErrNoFiles, ErrClosed.
func (c *Client) Connect(ctx context.Context) (*Conn, error) {
	if ctx.Err() != nil {
		return nil, &OpError{Op: "connect", URL: c.url, Err: contextErrno(ctx)}
	}
	cc, err := c.borrow("connect")
	if err != nil {
		return nil, err
	}
	o, rv := newOp()
	if rv != 0 {
		c.giveBack(cc, 0)
		return nil, &OpError{Op: "connect", URL: c.url, Err: rv}
	}
	enterC()
	o.started(C.nngo_client_connect(cc.c, o.c))
	result, ok := o.wait(ctx, c.closing)
	end := func() *C.nng_http_conn {
		conn := (*C.nng_http_conn)(o.output)
		result := o.result
		o.free()
		c.giveBack(cc, result)
		return conn
	}
	if !ok {
		go func() {
			<-o.done
			if conn := end(); conn != nil {
				C.nng_http_conn_close(conn)
			}
		}()
		return nil, &OpError{Op: "connect", URL: c.url, Err: result}
	}
	conn := end()
	if result != 0 {
		if conn != nil { // cancelled as it completed (defect CL16)
			C.nng_http_conn_close(conn)
		}
		if result == ErrBadAddr {
			return nil, refuse("connect", c.url, result, "the host is not found")
		}
		return nil, &OpError{Op: "connect", URL: c.url, Err: result}
	}
	live.conns.Add(1)
	made := &Conn{c: conn, secure: c.secure}
	made.maxBody.n.Store(c.maxBody.n.Load())
	return made, nil
}

// SetMaxBody bounds the bodies of responses that Transact receives, also on connections
// that Connect makes from now on; 0 means no bound. It is DefaultMaxBody to start with.
//
// Errors: ErrInvalid (a negative size), ErrClosed.
func (c *Client) SetMaxBody(bytes int) error {
	const op = "client set max body"
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended() {
		return &OpError{Op: op, URL: c.url, Err: ErrClosed}
	}
	return c.maxBody.set(op, bytes)
}

// Transact connects, sends a request, receives the response with its body, and
// closes the connection (nng_http_client_transact). C adds "Connection: close" to
// req, for good. See Conn.Transact for which bodies there are, and SetMaxBody.
//
// Errors: those of Connect; ErrTooLong (the body is larger than SetMaxBody allows, or the
// head than nng does), ErrProtocol, ErrConnShut, ErrConnReset, ErrNoMemory; over
// TLS ErrPeerAuth and ErrCrypto (an untouched libnng with mbedTLS 2 says ErrCrypto for
// both); ErrBusy, ErrInvalid.
func (c *Client) Transact(ctx context.Context, req *Request, res *Response) error {
	if ctx.Err() != nil {
		return &OpError{Op: "transact", URL: c.url, Err: contextErrno(ctx)}
	}
	if !transactsInC {
		return c.transactInGo(ctx, req, res)
	}
	cc, err := c.borrow("transact")
	if err != nil {
		return err
	}
	t, err := newTransaction(req, res, func(result Errno) { c.giveBack(cc, result) })
	if err != nil {
		c.giveBack(cc, 0)
		return err
	}
	enterC()
	t.op.started(C.nngo_client_transact(cc.c, req.req, res.res, c.maxBody.max(), t.op.c))
	return t.wait(ctx, c.closing)
}

// SetTLS sets the TLS configuration (nng_http_client_set_tls), for operations that
// begin from now on. The client gets an nng_tls_config of its own, made from cfg as it
// is now. If cfg has no server name, it is the URL's host.
//
// Errors: ErrNotSupported (an http client), ErrInvalid (nil, or made for servers),
// ErrNoMemory, ErrClosed.
func (c *Client) SetTLS(cfg *TLSConfig) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended() {
		return &OpError{Op: "client set tls", URL: c.url, Err: ErrClosed}
	}
	return cfg.use("client set tls", func(s *tlsSettings) error {
		t, err := s.instance("client set tls", TLSClient, c.host)
		if err != nil {
			return err
		}
		old := c.tls
		c.tls = t
		cc, err := c.alloc() // C refuses a configuration here, if at all
		if err != nil {
			c.tls = old
			t.release()
			return err
		}
		old.release()
		c.startOver(cc)
		return nil
	})
}

// startOver makes cc the only idle C client, after a change to the others' TLS.
func (c *Client) startOver(cc *cClient) {
	c.tlsSet++
	cc.tlsSet = c.tlsSet
	for _, stale := range c.spare {
		if stale != cc {
			go stale.free()
		}
	}
	c.spare = []*cClient{cc}
}

// TLS returns the client's own TLS configuration (nng_http_client_get_tls), which the
// caller closes. It may be changed until the client's first operation, and answers
// ErrBusy from then on. Given to other clients it is shared, with its server name.
//
// Errors: ErrNotSupported (an http client), ErrClosed.
func (c *Client) TLS() (*TLSConfig, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended() {
		return nil, &OpError{Op: "client get tls", URL: c.url, Err: ErrClosed}
	}
	if len(c.spare) == 0 {
		cc, err := c.alloc()
		if err != nil {
			return nil, err
		}
		c.spare = append(c.spare, cc)
	}
	cc := c.spare[len(c.spare)-1]
	var t *C.nng_tls_config
	if rv := C.nng_http_client_get_tls(cc.c, &t); rv != 0 {
		return nil, check("client get tls", c.url, int(rv))
	}
	if c.tls != nil {
		C.nng_tls_config_free(t) // the same, which we hold
	} else {
		// Each C client has its own. From now on this one is for all.
		c.tls = ownTLSConfig(t)
		if c.used {
			c.tls.freeze()
		}
		c.startOver(cc)
	}
	return newTLSConfig(&tlsSettings{mode: TLSClient, c: c.tls.hold()}), nil
}

// Close cancels what is running and frees the client (nng_http_client_free).
// Connections stay. Closing twice is harmless.
func (c *Client) Close() error {
	c.mu.Lock()
	if c.ended() {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	spare := c.spare
	c.spare = nil
	close(c.closing)
	c.mu.Unlock()
	for _, cc := range spare {
		cc.free()
	}
	done := make(chan struct{})
	go func() {
		c.using.Wait()
		c.mu.Lock()
		c.tls.release()
		c.tls = nil
		C.nng_url_free(c.curl)
		c.mu.Unlock()
		releasePump()
		live.clients.Add(-1)
		close(done)
	}()
	timer := time.NewTimer(cancelGrace + time.Second)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C: // nng has lost a cancellation (defect CL16)
	}
	return nil
}
