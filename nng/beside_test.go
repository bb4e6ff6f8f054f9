//go:build nng_beside

package nng_test

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

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

// When C code ends the library while Go has nothing in it, the next server is served.
func TestBesideFini(t *testing.T) {
	if os.Getenv("NNGHTTP_TEST_FINI") == "" { // in a process of its own: others have objects
		cmd := exec.Command(os.Args[0], "-test.run=^TestBesideFini$", "-test.v")
		cmd.Env = append(os.Environ(), "NNGHTTP_TEST_FINI=1")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		assert.Contains(t, string(out), "--- PASS: TestBesideFini")
		return
	}
	for i := range 20 {
		func() {
			h := newHandler(t, "/go", text("go"))
			srv, err := nng.HoldServer("http://127.0.0.1:0")
			require.NoError(t, err)
			require.NoError(t, srv.AddHandler(h))
			require.NoError(t, srv.Start())
			require.Equal(t, "go", page(t, httpURL(t, srv)+"/go"))
			require.NoError(t, srv.Close())
		}()
		if i%2 == 0 {
			time.Sleep(20 * time.Millisecond) // the pump has ended, or is about to
		}
		nng.BesideFini()
	}
}
