package nng_test

import (
	"fmt"
	"math"
	"os"
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
	if nng.HeapUsed() == math.MaxInt64 {
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
	debug.FreeOSMemory() // or Go does that in between
	nng.ForgetHeapTrims()
	var reqs []*nng.Request
	for range n {
		req, err := nng.NewRequest("http://127.0.0.1/")
		require.NoError(t, err)
		defer req.Close()
		require.NoError(t, req.CopyData(data))
		reqs = append(reqs, req)
	}
	full := residentBytes(t)
	for i, req := range reqs {
		if i%50 != 49 {
			require.NoError(t, req.Close())
		}
	}
	then()
	assert.Eventually(t, func() bool {
		return residentBytes(t) < full-n*size*3/4
	}, 30*time.Second, 100*time.Millisecond)
}

// residentBytes is the memory of this process that is no file's.
func residentBytes(t *testing.T) int {
	statm, err := os.ReadFile("/proc/self/statm") // in pages: size, resident, shared, ...
	require.NoError(t, err)
	var size, resident, shared int
	_, err = fmt.Sscan(string(statm), &size, &resident, &shared)
	require.NoError(t, err)
	return (resident - shared) * os.Getpagesize()
}
