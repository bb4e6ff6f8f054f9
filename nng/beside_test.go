//go:build nng_beside

package nng_test

import (
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nethttp"
	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What Go's loop must not do to C code in the same process, and it not to Go ("make
// test-beside"). The same holds without the loop, because it holds in C.

func page(t *testing.T, url string) string {
	t.Helper()
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get(url)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return string(body)
}

// Handlers of C code that block, on Go's own port, hold up nothing of Go's: with the loop
// as many as nng has threads, without it one less.
func TestBesideBlockingHandlers(t *testing.T) {
	srv := newServer(t, newHandler(t, "/go", text("go")))
	require.Zero(t, nng.BesideBlock(httpURL(t, srv), "/c"))
	n := min(2*runtime.NumCPU(), 16)
	if !nng.HasLoop() {
		n--
	}
	base := "http://" + address(t, srv)
	var clients sync.WaitGroup
	for range n {
		clients.Go(func() { assert.Equal(t, "c", page(t, base+"/c")) })
	}
	require.Eventually(t, func() bool { return nng.BesideBlocked() == n }, 20*time.Second, time.Millisecond)
	for range 50 {
		assert.Equal(t, "go", page(t, base+"/go"))
	}
	assert.Equal(t, n, nng.BesideBlocked(), "handlers that still block")
	nng.BesideRelease()
	clients.Wait()
}

// A callback of C code may wait for the network, which it could not if Go's pump ran it.
func TestBesideCallbackThatWaits(t *testing.T) {
	srv := newServer(t, newHandler(t, "/go", text("go")))
	assert.Zero(t, nng.BesideCallback())
	assert.Equal(t, "go", page(t, httpURL(t, srv)+"/go"))
}

// A callback whose signal is lost runs with the next one.
func TestBesideLostSignal(t *testing.T) {
	srv := newServer(t, newHandler(t, "/go", text("go")))
	assert.Equal(t, "go", page(t, httpURL(t, srv)+"/go"))
	n := nng.BesideLostSignal(20)
	t.Logf("the first ran with dispatch %d", n)
	assert.LessOrEqual(t, n, 2)
	assert.Positive(t, n)
	assert.Equal(t, "go", page(t, httpURL(t, srv)+"/go"))
}

// C code's own sockets do not wait for Go's scheduler.
func TestBesideComputing(t *testing.T) {
	srv := newServer(t, newHandler(t, "/go", text("go")))
	assert.Equal(t, "go", page(t, httpURL(t, srv)+"/go"))
	stop := make(chan struct{})
	var busy sync.WaitGroup
	for range 4 * runtime.GOMAXPROCS(0) {
		busy.Go(func() {
			for x := 1; ; x++ {
				if x%1_000_000 == 0 {
					select {
					case <-stop:
						return
					default:
					}
				}
			}
		})
	}
	us, rv := nng.BesidePings(100)
	close(stop)
	busy.Wait()
	require.Zero(t, rv)
	slices.Sort(us)
	t.Logf("round trips of C code while Go computes: median %d µs, 99 %%: %d µs", us[50], us[98])
	assert.Less(t, us[50], int32(20_000), "µs; through Go's scheduler it was 80,000")
}

// When C code ends the library right after everything of Go's was closed, nothing uses it
// afterwards, and what comes next works.
func TestBesideFini(t *testing.T) {
	if os.Getenv("NNGHTTP_TEST_FINI") == "" { // in a process of its own: others have objects
		cmd := exec.Command(os.Args[0], "-test.run=^TestBesideFini$", "-test.v")
		cmd.Env = append(os.Environ(), "NNGHTTP_TEST_FINI=1")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		assert.Contains(t, string(out), "--- PASS: TestBesideFini")
		return
	}
	kinds := map[string]func(){
		"server": func() {
			srv, err := nng.HoldServer("http://127.0.0.1:0")
			require.NoError(t, err)
			require.NoError(t, srv.AddHandler(newHandler(t, "/go", text("go"))))
			require.NoError(t, srv.Start())
			require.Equal(t, "go", page(t, httpURL(t, srv)+"/go"))
			require.NoError(t, srv.Close())
		},
		"websocket": func() {
			l, err := nng.NewWSListener("ws://127.0.0.1:0/ws")
			require.NoError(t, err)
			require.NoError(t, l.Listen())
			besideEcho(t, l)
			require.NoError(t, l.Close())
		},
		"websocket beside a server": func() {
			srv, err := nng.HoldServer("http://127.0.0.1:0")
			require.NoError(t, err)
			require.NoError(t, srv.Start())
			l, err := nng.NewWSListener("ws://" + address(t, srv) + "/ws")
			require.NoError(t, err)
			require.NoError(t, l.Listen())
			besideEcho(t, l)
			silent, err := net.Dial("tcp", address(t, srv))
			require.NoError(t, err)
			defer silent.Close()
			require.NoError(t, l.Close())
			require.NoError(t, srv.Close())
		},
		"websocket that nobody accepts": func() {
			l, err := nng.NewWSListener("ws://127.0.0.1:0/ws")
			require.NoError(t, err)
			require.NoError(t, l.Listen())
			d, err := nng.NewWSDialer(l.URL())
			require.NoError(t, err)
			c, err := d.Dial(t.Context())
			require.NoError(t, err)
			require.NoError(t, l.Close())
			require.NoError(t, c.Close())
			require.NoError(t, d.Close())
		},
		"dial that fails": func() {
			d, err := nng.NewWSDialer("ws://127.0.0.1:1/")
			require.NoError(t, err)
			_, err = d.Dial(t.Context())
			require.ErrorIs(t, err, nng.ErrConnRefused)
			require.NoError(t, d.Close())
		},
		"dial that is cancelled": func() {
			d, err := nng.NewWSDialer("ws://" + silentHost(t) + "/")
			require.NoError(t, err)
			_, err = d.Dial(timeout(t, 2*time.Millisecond))
			require.ErrorIs(t, err, nng.ErrTimedOut)
			require.NoError(t, d.Close())
		},
		"connections": func() {
			l, err := nethttp.Listen("http://127.0.0.1:0", "/")
			require.NoError(t, err)
			srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, "go")
			})}
			served := make(chan error)
			go func() { served <- srv.Serve(l) }()
			require.Equal(t, "go", page(t, "http://"+l.Addr().String()))
			require.NoError(t, srv.Shutdown(t.Context()))
			require.ErrorIs(t, <-served, http.ErrServerClosed)
		},
	}
	for name, use := range kinds {
		for i := range 20 {
			t.Log(name)
			use()
			if i%2 == 0 {
				time.Sleep(20 * time.Millisecond) // the pump has ended, or is about to
			}
			nng.BesideFini()
		}
	}
}

// besideEcho dials a listener and sends a message to and fro.
func besideEcho(t *testing.T, l *nng.WSListener) {
	t.Helper()
	d, err := nng.NewWSDialer(l.URL())
	require.NoError(t, err)
	echoed := make(chan struct{})
	go func() {
		defer close(echoed)
		c, err := l.Accept(t.Context())
		if !assert.NoError(t, err) {
			return
		}
		data, err := c.ReadMessage(t.Context())
		assert.NoError(t, err)
		assert.NoError(t, c.WriteMessage(t.Context(), data))
		assert.NoError(t, c.Close())
	}()
	c, err := d.Dial(t.Context())
	require.NoError(t, err)
	require.NoError(t, c.WriteMessage(t.Context(), []byte("go")))
	data, err := c.ReadMessage(t.Context())
	require.NoError(t, err)
	require.Equal(t, "go", string(data))
	require.NoError(t, c.Close())
	<-echoed
	require.NoError(t, d.Close())
}

// silentHost is the address of somebody who takes connections and says nothing.
func silentHost(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}
