package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What people have written on the page stays.
func TestReplaceMeasured(t *testing.T) {
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	renewed, err := replaceMeasured(string(text), "NEW")
	require.NoError(t, err)
	before, after, ok := strings.Cut(renewed, "NEW")
	require.True(t, ok)
	assert.True(t, strings.HasPrefix(string(text), before))
	assert.True(t, strings.HasSuffix(string(text), after))
	assert.Contains(t, after, "## Where the time goes")
	_, err = replaceMeasured("a page", "NEW")
	assert.Error(t, err)
}

func TestMeasured(t *testing.T) {
	b := &bench{pairs: 2, seconds: 2, counts: []count{{name: "c", value: 2, limit: 2}, {name: "d", not: "no tool"}}}
	run := []result{{count: 100, seconds: 1, cpu: 0.01, p50: 10, p99: 20}}
	for _, f := range figures {
		b.outcomes = append(b.outcomes, outcome{figure: f, ratios: []float64{0.5, 0.7}, ourRuns: run, theirRuns: run})
	}
	text := b.measured()
	for _, want := range []string{
		"| handler-1 | nng.Handler over C handler, 1 connection, requests/s | 0.60 | 0.50 | 0.70 | 0.70 | short |\n",
		"| handler-1 | 100/s | 100.0 | 10 | 20 | 100/s | 100.0 | 10 | 20 |\n",
		"| nethttp-1mib | 105 MB/s | 100.0 |", "| c | 2 | 2 | ok |\n", "| d | no tool |  |  |\n",
	} {
		assert.Contains(t, text, want)
	}
	for name, draw := range map[string]func([]outcome, string) error{"throughput": plotThroughput, "ratios": plotRatios} {
		file := filepath.Join(t.TempDir(), name+".svg")
		require.NoError(t, draw(b.outcomes, file))
		svg, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Contains(t, string(svg), "</svg>")
	}
}
