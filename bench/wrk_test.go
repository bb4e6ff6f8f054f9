package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const wrkOutput = `Running 2s test @ http://127.0.0.1:8080/
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   269.10us  337.94us  14.01ms   99.49%
    Req/Sec    62.51k     3.16k   64.68k    95.00%
  Latency Distribution
     50%  238.00us
     75%  264.00us
     90%  305.00us
     99%    1.50ms
  124400 requests in 2.00s, 15.90MB read
Requests/sec:  62200.00
Transfer/sec:      7.95MB
`

func TestParseWrk(t *testing.T) {
	r, err := parseWrk(wrkOutput)
	require.NoError(t, err)
	assert.Equal(t, result{count: 124400, seconds: 2, p50: 238, p99: 1500}, r)
}

func TestParseWrkTrouble(t *testing.T) {
	for _, trouble := range []string{
		"  Socket errors: connect 0, read 3, write 0, timeout 0\n",
		"  Non-2xx or 3xx responses: 7\n",
	} {
		_, err := parseWrk(strings.Replace(wrkOutput, "Requests/sec", trouble+"Requests/sec", 1))
		assert.ErrorContains(t, err, strings.TrimSpace(trouble))
	}
	idle := strings.ReplaceAll(strings.ReplaceAll(wrkOutput, " 124400 ", " 0 "), "62200.00", "0.00")
	for _, out := range []string{"", "unable to connect to 127.0.0.1:1 Connection refused\n", idle} {
		_, err := parseWrk(out)
		assert.Error(t, err, out)
	}
}
