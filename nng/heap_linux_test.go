package nng_test

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What C has freed does not stay with the process, though something in between is in use.
func TestHeapIsGivenBack(t *testing.T) {
	if with := instrumented(); with != "" {
		t.Skipf("%s has memory of its own", with)
	}
	debug.FreeOSMemory() // what other tests have allocated and not touched counts as Go's
	_, used := nng.Heap()
	if used <= 0 || used > 1<<40 {
		t.Skip("this allocator does not tell")
	}
	for name, open := range map[string]bool{"while something is open": true, "when all is closed": false} {
		t.Run(name, func(t *testing.T) {
			srv, err := nng.HoldServer("http://127.0.0.1:0") // makes the pump run
			require.NoError(t, err)
			require.NoError(t, srv.Start())
			defer srv.Close()
			givenBack(t, func() {
				if !open {
					require.NoError(t, srv.Close())
				}
			})
		})
	}
}

// givenBack fills C's heap, and frees most of it.
func givenBack(t *testing.T, then func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const n, size = 1000, 64 << 10
	data := make([]byte, size)
	var reqs []*nng.Request
	for range n {
		req, err := nng.NewRequest("http://127.0.0.1/")
		require.NoError(t, err)
		defer req.Close()
		require.NoError(t, req.CopyData(data))
		reqs = append(reqs, req)
	}
	full, _ := nng.Heap()
	require.Greater(t, full, int64(n*size/2))
	for i, req := range reqs {
		if i%50 != 49 {
			require.NoError(t, req.Close())
		}
	}
	then()
	assert.Eventually(t, func() bool {
		left, _ := nng.Heap()
		return left < full-n*size/2
	}, 30*time.Second, 100*time.Millisecond)
}
