package main

import (
	"bufio"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMakeHead(t *testing.T) {
	for _, k := range headKinds {
		for size := 45; size < 3000; size++ {
			head := makeHead(k, size)
			require.Len(t, head, size, k.name)
			_, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
			require.NoError(t, err, "%s, %d bytes", k.name, size)
		}
		for _, size := range headSizes {
			head := makeHead(k, size)
			assert.Len(t, head, size, k.name)
			assert.Less(t, strings.Count(head, "\r\n"), 1000, "there is a limit on fields")
		}
	}
}

func TestHeadSection(t *testing.T) {
	b := &bench{pairs: 2, seconds: 2}
	var all []headOutcome
	for _, k := range headKinds {
		for _, size := range headSizes {
			all = append(all, headOutcome{kind: k.name, size: size, ours: []float64{30e-6, 50e-6}, theirs: []float64{10e-6, 20e-6}})
		}
	}
	text := b.headSection(all)
	assert.Contains(t, text, "| 0.2 KiB, many small fields | 205 | 4 | 40.0 | 15.0 | 2.75 | 3 | ok |\n")
	assert.Contains(t, text, "at most 2.8 times net/http's")
	assert.Equal(t, "ratio head-cost-64k-few-large-fields 2.75 goal 3 ok", all[9].line())
	all[0].ours = []float64{40e-6, 80e-6}
	assert.Contains(t, b.headSection(all), "| 4.00 | 3 | short |")
	file := filepath.Join(t.TempDir(), "heads.svg")
	require.NoError(t, plotHeads(all, file))
	svg, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Contains(t, string(svg), "</svg>")
}
