package examples

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A loadReport is what the load generator of behind-haproxy prints.
type loadReport struct {
	Requests, Failed int
	Seconds          float64
	ServedBy         map[string]int `json:"served_by"`
}

// Instances behind HAProxy are restarted one after another, and no request fails. With an
// instance killed, and with one that stops before HAProxy has noticed that it leaves,
// requests do fail, or else the first case would prove nothing.
func TestBehindHAProxy(t *testing.T) {
	if _, err := exec.LookPath("haproxy"); err != nil {
		if _, err := os.Stat("/usr/sbin/haproxy"); err != nil {
			reason := "haproxy is not there; install the package haproxy"
			if os.Getenv("CI") != "" {
				t.Fatal(reason)
			}
			fmt.Printf("skipping %s: %s\n", t.Name(), reason)
			t.Skip(reason)
		}
	}
	program := filepath.Join(t.TempDir(), "behind-haproxy")
	out, err := exec.Command("go", "build", "-o", program, "./behind-haproxy").CombinedOutput()
	require.NoError(t, err, "%s", out)

	for _, c := range []struct {
		name  string
		env   []string
		fails bool
	}{
		{"as it should be", nil, false},
		{"killed", []string{"SIGNAL=KILL", "ONLY=a", "WORKERS=32"}, true},
		{"stopped too early", []string{"NOTICE=0s", "ONLY=a", "WORKERS=32"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out []byte
			var err error
			log := new(strings.Builder)
			// With luck nothing fails in spite of all: then once more.
			for range 4 {
				log.Reset()
				cmd := exec.CommandContext(t.Context(), filepath.Join("behind-haproxy", "rolling-restart"))
				cmd.Env = append(append(os.Environ(), "PROGRAM="+program), c.env...)
				cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it ends what it has started
				cmd.Stderr = log
				if out, err = cmd.Output(); err != nil || !c.fails {
					break
				}
			}
			if c.fails {
				require.Error(t, err)
			} else {
				require.NoError(t, err, "%s%s", log, out)
			}
			var report loadReport
			require.NoError(t, json.Unmarshal(out, &report), "%s%s", log, out)
			t.Logf("%d requests in %.1f s, %d failed", report.Requests, report.Seconds, report.Failed)
			assert.Equal(t, c.fails, report.Failed > 0, "%s%s", log, out)
			for _, name := range []string{"a", "b", "c"} {
				assert.Greater(t, report.ServedBy[name], 50, "%s%s", log, out)
			}
		})
	}
}
