package main

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMedian(t *testing.T) {
	assert.Equal(t, 2.0, median([]float64{3, 1, 2}))
	assert.Equal(t, 2.5, median([]float64{4, 1, 2, 3}))
	assert.Equal(t, 7.0, median([]float64{7}))
	assert.True(t, math.IsNaN(median(nil)))
	values := []float64{3, 1, 2}
	median(values)
	assert.Equal(t, []float64{3, 1, 2}, values, "it leaves the order alone")
}

func TestLine(t *testing.T) {
	for _, c := range []struct {
		figure
		ratios []float64
		want   string
	}{
		{figure{name: "a-1", goal: 0.9}, []float64{1.2, 0.7, 0.904}, "ratio a-1 0.90 (min 0.70 max 1.20) goal 0.90 ok"},
		{figure{name: "a-1", goal: 0.9}, []float64{0.894}, "ratio a-1 0.89 (min 0.89 max 0.89) goal 0.90 short"},
		{figure{name: "a-1", goal: 0.9}, []float64{0.896}, "ratio a-1 0.90 (min 0.90 max 0.90) goal 0.90 ok"},
		{figure{name: "cpu", goal: 1.3, cpu: true}, []float64{1.304, 1.1, 1.5}, "ratio cpu 1.30 (min 1.10 max 1.50) goal 1.30 ok"},
		{figure{name: "cpu", goal: 1.3, cpu: true}, []float64{1.31}, "ratio cpu 1.31 (min 1.31 max 1.31) goal 1.30 short"},
		{figure{name: "c"}, []float64{2}, "also c 2.00 (min 2.00 max 2.00)"},
	} {
		assert.Equal(t, c.want, (&outcome{figure: c.figure, ratios: c.ratios}).line())
	}
}

func TestCountLine(t *testing.T) {
	for _, c := range []struct {
		count
		want string
	}{
		{count{name: "a", value: 2.04, limit: 2}, "count a 2 limit 2 ok"},
		{count{name: "a", value: 2.06, limit: 2}, "count a 2.1 limit 2 short"},
		{count{name: "a", value: 15.83, limit: 40}, "count a 15.8 limit 40 ok"},
		{count{name: "i", value: 23270.4}, "also i 23270"},
		{count{name: "i", not: "why"}, "also i not counted: why"},
	} {
		assert.Equal(t, c.want, c.line())
	}
}

func TestValue(t *testing.T) {
	r := result{count: 200, seconds: 2, cpu: 0.01}
	assert.Equal(t, 100.0, (&figure{}).value(r))
	assert.InDelta(t, 50e-6, (&figure{cpu: true}).value(r), 1e-12)
	r.cpu = 0
	assert.Positive(t, (&figure{cpu: true}).value(r))
	assert.Equal(t, "105 MB/s", (&figure{size: mib}).amount(r))
}

func TestParseStat(t *testing.T) {
	seconds, err := parseStat("12 (a) b) S 1 12 12 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 100 0 0")
	require.NoError(t, err)
	assert.Equal(t, 3.0, seconds)
	_, err = parseStat("12 (a) S 1")
	assert.Error(t, err)
}

func TestParseFields(t *testing.T) {
	fields, err := parseFields("count=12 seconds=0.5\n")
	require.NoError(t, err)
	assert.Equal(t, map[string]float64{"count": 12, "seconds": 0.5}, fields)
	_, err = parseFields("trouble")
	assert.Error(t, err)
}

func TestNames(t *testing.T) {
	assert.NoError(t, (&bench{only: []string{"handler-64", "instructions"}}).checkNames())
	assert.Error(t, (&bench{only: []string{"handler-65"}}).checkNames())
	seen := make(map[string]bool)
	for _, f := range figures {
		assert.False(t, seen[f.name], f.name)
		seen[f.name] = true
	}
}
