package nng_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The tests here are for defects that the binding keeps from showing, and that no other
// test looks at (docs/defects.md).

// A handler of nng's own may go while its data is on the way (S9). Unpatched nng would send
// what its memory holds by then.
func TestStaticHandlerRemovedWhileSending(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<20) // 16 MiB, more than the system takes
	h := must(t)(nng.NewStaticHandler("/large", data, ""))
	srv := newServer(t, h)
	conn, err := net.Dial("tcp", address(t, srv))
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	_, err = io.WriteString(conn, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	require.NoError(t, srv.DelHandler(h))
	require.NoError(t, h.Close())
	got, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(data, got), "it is not what the handler has")
}

// The Go side of a handler ends with its server, also when a stop comes as a request does:
// nng may forget to call a handler's destructor then (S13).
func TestHandlersEndWithTheServer(t *testing.T) {
	before := nng.LiveObjects()["handlers"]
	for i := range 40 {
		srv := newServer(t, newHandler(t, "/", text("x"), method("")))
		addr := address(t, srv)
		var clients sync.WaitGroup
		for range 4 {
			clients.Go(func() {
				conn, err := net.Dial("tcp", addr)
				if err != nil {
					return
				}
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
				_, _ = io.WriteString(conn, strings.Repeat("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 20))
				_, _ = io.Copy(io.Discard, conn)
			})
		}
		time.Sleep(time.Duration(i%5) * time.Millisecond)
		require.NoError(t, srv.Close())
		clients.Wait()
	}
	assert.Eventually(t, func() bool { return nng.LiveObjects()["handlers"] == before }, 10*time.Second, 10*time.Millisecond,
		"%d handlers are left", nng.LiveObjects()["handlers"]-before)
}

// While one Server has the address started, another one on it changes its TLS no more:
// nng frees the configuration that it is accepting with (S24).
func TestSetTLSOnASharedAddress(t *testing.T) {
	needTLS(t)
	first := secureServer(t, ownCert(leafCert()))
	second, err := nng.HoldServer("https://" + address(t, first))
	require.NoError(t, err)
	defer second.Close()
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				conn, err := tls.Dial("tcp", address(t, first), &tls.Config{InsecureSkipVerify: true})
				if assert.NoError(t, err) {
					conn.Close()
				}
			}
		})
	}
	for range 20 {
		assert.ErrorIs(t, second.SetTLS(serverTLS(t)), nng.ErrBusy)
	}
	close(stop)
	clients.Wait()
	ws, err := nng.NewWSListener("wss://" + address(t, first) + "/chat")
	require.NoError(t, err)
	defer ws.Close()
	assert.ErrorIs(t, ws.SetTLS(serverTLS(t)), nng.ErrBusy)
}

// A connection survives a read of nothing, for which nng would close it (CL19).
func TestReadNothing(t *testing.T) {
	eachTransport(t, func(t *testing.T, p *pair) {
		client, server := mustPipe(t, p)
		conn := client.(*nng.Conn)
		reads := map[string]func() (int, error){
			"Read nil":       func() (int, error) { return conn.Read(nil) },
			"Read empty":     func() (int, error) { return conn.Read([]byte{}) },
			"ReadAhead":      func() (int, error) { return conn.ReadAhead(nil, 100) },
			"ReadAll":        func() (int, error) { return 0, conn.ReadAll(timeout(t, 10*time.Second), nil) },
			"Read after all": func() (int, error) { return conn.Read(make([]byte, 0, 10)) },
		}
		for name, read := range reads {
			n, err := read()
			assert.NoError(t, err, name)
			assert.Zero(t, n, name)
		}
		_, err := server.Write([]byte("still here"))
		require.NoError(t, err)
		for name, read := range reads { // now there is something
			n, err := read()
			assert.NoError(t, err, name)
			assert.Zero(t, n, name)
		}
		got := make([]byte, 10)
		_, err = io.ReadFull(client, got)
		require.NoError(t, err)
		assert.Equal(t, "still here", string(got))
	})
}

// An error response that was reset is a plain one: nng would put its error page into it
// (CL22).
func TestResetErrorResponse(t *testing.T) {
	srv := newServer(t, newHandler(t, "/", func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
		res, err := nng.NewErrorResponse(404)
		if err != nil {
			return nil, err
		}
		return res, errors.Join(res.Reset(), res.CopyData([]byte("mine")))
	}))
	require.NoError(t, srv.SetErrorPage(200, "<p>not mine</p>"))
	got := ask(t, "GET", httpURL(t, srv)+"/", "")
	assert.Equal(t, 200, got.StatusCode)
	assert.Equal(t, "mine", got.body)
	assert.Empty(t, got.Header.Get("Content-Type"))
}

// Connects of one Client run side by side, and the end of one is not that of another: a
// client of nng's dials one at a time, and loses those that wait when it is freed (CL13), or
// ends them with the one that is cancelled (CL15).
func TestConnectsAreApart(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	addr := fullListener(t)
	full := newClient(t, "http://"+addr)
	ended := make(chan error, 8)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	connect := func(ctx context.Context) {
		conn, err := full.Connect(ctx)
		for err == nil && lib.Lacks("X4") { // nobody has answered all the same
			_ = conn.Close()
			conn, err = full.Connect(ctx)
		}
		ended <- err
	}
	for range cap(ended) / 2 { // these wait until they are told not to
		go connect(ctx)
		go connect(t.Context())
	}
	require.Eventually(t, func() bool { return connecting(t, addr) == cap(ended) }, 20*time.Second, time.Millisecond,
		"they do not ask for a connection all at once")
	cancel()
	for range cap(ended) / 2 {
		require.ErrorIs(t, <-ended, nng.ErrCanceled)
	}
	select {
	case err := <-ended:
		t.Fatal("a connect that nobody has cancelled has ended:", err)
	case <-time.After(50 * time.Millisecond):
	}
	// Another one does not wait behind them, and all of them end with their client.
	client := newClient(t, "http://"+l.Addr().String())
	conn, err := client.Connect(timeout(t, 10*time.Second))
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	require.NoError(t, full.Close())
	for range cap(ended) / 2 {
		select {
		case err := <-ended:
			require.ErrorIs(t, err, nng.ErrClosed)
		case <-time.After(10 * time.Second):
			t.Fatal("a connect has been lost")
		}
	}
}

// connecting counts the sockets that ask an address for a connection.
func connecting(t *testing.T, addr string) (n int) {
	at, err := netip.ParseAddrPort(addr)
	require.NoError(t, err)
	sockets, err := os.ReadFile("/proc/self/net/tcp")
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("this system does not tell")
	}
	require.NoError(t, err)
	for line := range strings.Lines(string(sockets)) {
		fields := strings.Fields(line)
		if len(fields) > 3 && strings.HasSuffix(fields[2], fmt.Sprintf(":%04X", at.Port())) && fields[3] == "02" { // SYN_SENT
			n++
		}
	}
	return n
}

// A request that cannot be written does not end an operation that was stopped (CL21): it is
// refused before C has it, and the connection goes on.
func TestRequestWithoutURILeavesTheConnection(t *testing.T) {
	conn, peer := wire(t)
	ctx := timeout(t, 10*time.Second)
	for range 3 {
		require.ErrorIs(t, conn.WriteReq(ctx, newRequest(t, "")), nng.ErrInvalid)
		require.ErrorIs(t, conn.Transact(ctx, newRequest(t, ""), newResponse(t)), nng.ErrInvalid)
	}
	const want = "GET /x HTTP/1.1\r\nHost: host\r\n\r\n"
	require.NoError(t, conn.WriteReq(ctx, newRequest(t, "http://host/x")))
	require.Equal(t, want, readString(t, peer, len(want)))
}

// The settings of a listener outlive a port that is taken; nng would lose them, and crash
// the next time (W1).
func TestWSListenAgain(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	l, err := nng.NewWSListener(fmt.Sprintf("ws://%s/chat", taken.Addr()))
	require.NoError(t, err)
	defer l.Close()
	require.NoError(t, l.SetProtocols("chat.v1"))
	for range 3 {
		require.ErrorIs(t, l.Listen(), nng.ErrAddrInUse)
		_, err = l.Addr()
		require.ErrorIs(t, err, nng.ErrState)
	}
	require.NoError(t, l.SetRecvMaxSize(1000), "it can still be changed")
	require.NoError(t, taken.Close())
	require.NoError(t, l.Listen())
	server, client := wsPair(t, l, func(d *nng.WSDialer) error { return d.SetProtocols("chat.v1") })
	assert.Equal(t, "chat.v1", server.SubProtocol())
	wsTransfer(t, client, server, []byte("hello"))
}

// A peer that accepts and says nothing may keep a TLS handshake waiting, but nothing else:
// what is cancelled returns, all else goes on, and all is given back when the peer goes
// (CL17).
func TestSilentTLSPeerHoldsNothingUp(t *testing.T) {
	needTLS(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var peers sync.WaitGroup
	gone := make(chan struct{})
	peers.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			peers.Go(func() {
				<-gone
				c.Close()
			})
		}
	})
	defer peers.Wait()
	defer l.Close()
	defer close(gone)

	client := newClient(t, "https://"+l.Addr().String())
	require.NoError(t, client.SetTLS(clientTLS(t)))
	dialer := newWSDialer(t, "wss://"+l.Addr().String()+"/", func(d *nng.WSDialer) error { return d.SetTLS(clientTLS(t)) })
	short := func() context.Context { return timeout(t, 30*time.Millisecond) }
	operations := map[string]func() error{
		"write": func() error {
			conn, err := client.Connect(timeout(t, 10*time.Second))
			require.NoError(t, err)
			defer conn.Close()
			return conn.WriteAll(short(), []byte("hello"))
		},
		"read": func() error {
			conn, err := client.Connect(timeout(t, 10*time.Second))
			require.NoError(t, err)
			defer conn.Close()
			return conn.ReadAll(short(), make([]byte, 1))
		},
		"dial": func() error {
			_, err := dialer.Dial(short())
			return err
		},
	}
	var all sync.WaitGroup
	for name, operation := range operations {
		for range 8 {
			all.Go(func() {
				start := time.Now()
				assert.ErrorIs(t, operation(), context.DeadlineExceeded, name)
				assert.Less(t, time.Since(start), 10*time.Second, name)
			})
		}
	}
	all.Wait()
	srv := newServer(t, newHandler(t, "/", text("goes on")))
	for range 3 {
		assert.Equal(t, "goes on", get(t, httpURL(t, srv)+"/"))
		conn, err := newClient(t, httpURL(t, srv)).Connect(timeout(t, 10*time.Second))
		require.NoError(t, err)
		require.NoError(t, conn.Close())
	}
}

// A response ends the connection if it says so in any letters, or in a list; nng looks for
// "close" as it is written here (P19).
func TestResponseSaysClose(t *testing.T) {
	for _, value := range []string{"close", "Close", "CLOSE", "x, Close"} {
		srv := newServer(t, newHandler(t, "/", func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
			res, err := nng.NewResponse()
			if err != nil {
				return nil, err
			}
			return res, res.SetHeader("Connection", value)
		}))
		_, _, closed := raw(t, address(t, srv), "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		assert.True(t, closed, value)
	}
}

// C may be slow to free a client, a dialer or a listener, or never be done with it (CL14, W3):
// whoever connects, dials or closes does not wait for that.
func TestNobodyWaitsForAFree(t *testing.T) {
	full := fullListener(t)
	client, err := nng.NewClient("http://" + full)
	require.NoError(t, err)
	dialer := newWSDialer(t, "ws://"+full+"/")
	listener := newWSListener(t, anyWS)
	blocked := make(chan struct{})
	defer nng.Freeing(func() { <-blocked })()
	defer close(blocked)
	for name, f := range map[string]func() error{
		"connect": func() error {
			conn, err := client.Connect(timeout(t, 20*time.Millisecond))
			if err == nil && lib.Lacks("X4") { // nobody has answered all the same
				err = errors.Join(nng.ErrTimedOut, conn.Close())
			}
			return err
		},
		"dial": func() error {
			_, err := dialer.Dial(timeout(t, 20*time.Millisecond))
			return err
		},
	} {
		ended := make(chan error, 1)
		go func() { ended <- f() }()
		select {
		case err := <-ended:
			require.ErrorIs(t, err, nng.ErrTimedOut, name)
		case <-time.After(20 * time.Second):
			t.Fatal(name, "waits")
		}
	}
	for name, c := range map[string]io.Closer{"client": client, "dialer": dialer, "listener": listener} {
		ended := make(chan error, 1)
		go func() { ended <- c.Close() }()
		select {
		case err := <-ended:
			require.NoError(t, err, name)
		case <-time.After(20 * time.Second):
			t.Fatal("closing the", name, "waits")
		}
	}
}

// A shared library hides the addresses of connections, and more; the binding does without (L1).
func TestAddressesAsFarAsTheyAreTold(t *testing.T) {
	conn, peer := wire(t)
	if lib.Lacks("L1") {
		assert.Equal(t, "unknown", conn.RemoteAddr().String())
		assert.Equal(t, "tcp", conn.RemoteAddr().Network())
		return
	}
	assert.Equal(t, peer.LocalAddr().String(), conn.RemoteAddr().String())
}

// Connections that nobody has accepted end with the listener; nng would close them and keep
// their sockets (W2).
func TestWSCloseListenerWithConnections(t *testing.T) {
	l := newWSListener(t, anyWS)
	d := newWSDialer(t, l.URL())
	var waiting []*nng.WSConn
	for range 20 {
		waiting = append(waiting, dialWS(t, d))
	}
	time.Sleep(100 * time.Millisecond) // nng's listener gets them behind the answer
	open := openFiles(t)
	require.NoError(t, l.Close())
	for _, c := range waiting {
		_, err := c.ReadMessage(timeout(t, 10*time.Second))
		require.ErrorIs(t, err, nng.ErrConnShut)
		require.NoError(t, c.Close())
	}
	assert.Eventually(t, func() bool { return openFiles(t) <= max(0, open-2*len(waiting)) }, 10*time.Second, 10*time.Millisecond,
		"C keeps connections")
}
