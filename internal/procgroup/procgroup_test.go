//go:build unix

package procgroup

import (
	"bufio"
	"io"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What a shell has started, and does not pass signals on to, ends with it: then nobody holds the
// standard output any more.
func TestGroup(t *testing.T) {
	for name, end := range map[string]func(*exec.Cmd){"Interrupt": Interrupt, "Kill": Kill} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command("sh", "-c", "trap '' TERM; sh -c 'echo started; exec sleep 60'; echo over")
			Set(cmd)
			out, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			r := bufio.NewReader(out)
			line, err := r.ReadString('\n')
			require.NoError(t, err)
			assert.Equal(t, "started\n", line)
			start := time.Now()
			end(cmd)
			_, err = io.ReadAll(r)
			assert.NoError(t, err)
			assert.Error(t, cmd.Wait())
			assert.Less(t, time.Since(start), 30*time.Second)
		})
	}
}
