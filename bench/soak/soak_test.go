package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMain lets the test program be the process with the servers, too.
func TestMain(m *testing.M) {
	if len(os.Args) == 5 && os.Args[1] == "-host" {
		if err := host(os.Args[2], os.Args[4]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// TestSoak is a short run of everything, which writes a page.
func TestSoak(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	require.NoError(t, os.WriteFile(page, []byte("before\n<!-- soak -->\n<!-- end soak -->\nafter\n"), 0o600))
	require.NoError(t, run(t.Context(), options{duration: 10 * time.Second, warmUp: 5 * time.Second, settling: settleTime, page: page}))
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	for _, k := range allKinds() {
		assert.Contains(t, string(text), k.name)
	}
	svg, err := os.ReadFile(filepath.Join(filepath.Dir(page), "page", chartFile))
	require.NoError(t, err)
	assert.Contains(t, string(svg), "</svg>")
}

// TestSoakFindsLeaks leaves something behind on purpose.
func TestSoakFindsLeaks(t *testing.T) {
	for leak, want := range map[string]string{
		"goroutine": "goroutines of the servers", "descriptor": "open descriptors of the servers",
		"c": "C heap of the servers", "go": "Go heap of the servers",
	} {
		t.Run(leak, func(t *testing.T) {
			t.Parallel()
			err := run(t.Context(), options{duration: 3 * time.Second, warmUp: time.Second, settling: 8 * time.Second, only: "http.Handler, net/http", leak: leak})
			require.ErrorContains(t, err, want)
		})
	}
}

func TestCompare(t *testing.T) {
	var base, end [processes]Sample
	for i := range base {
		base[i] = Sample{Goroutines: 5, Threads: 20, NngThreads: 14, Descriptors: 10, CHeap: 4 << 20, GoHeap: 3 << 20, Resident: 50 << 20}
		end[i] = Sample{Goroutines: 5, Threads: 84, NngThreads: 14, Descriptors: 10, CHeap: 6 << 20, GoHeap: 5 << 20, Resident: 500 << 20}
	}
	require.NoError(t, compare(base, end))
	end[clients] = Sample{Goroutines: 6, Threads: 85, NngThreads: 15, Descriptors: 11, CHeap: 7 << 20, GoHeap: 6 << 20}
	var found sentences
	require.ErrorAs(t, compare(base, end), &found)
	assert.Len(t, found, len(bounds))
	assert.Equal(t, "goroutines of the clients: 6 after everything was closed, 5 after the first round, and at most 0 more are allowed", found[0])
}

func TestJudge(t *testing.T) {
	s := &soak{kinds: []*kind{{name: "good"}, {name: "bad"}, {name: "idle"}}}
	s.kinds[0].actions.Store(10)
	s.kinds[0].restarts.Store(9)
	s.kinds[1].actions.Store(10)
	s.kinds[1].unexpected.Store(1)
	require.EqualError(t, s.judge(), "1 of 10 actions failed, and no server was just being restarted: bad\nnothing has succeeded: idle")
	s.kinds = s.kinds[:1]
	require.NoError(t, s.judge())
}

func TestNiceStep(t *testing.T) {
	for highest, want := range map[float64]float64{0: 1, 1: 0.5, 4: 1, 9: 5, 40: 10, 100: 50, 790: 200} {
		assert.InDelta(t, want, niceStep(highest), 1e-9, "%v", highest)
	}
}
