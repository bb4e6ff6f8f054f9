package figures

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReplace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.md")
	require.NoError(t, os.WriteFile(file, []byte("a\n<!-- x -->\nold\n<!-- end x -->\nb\n"), 0o600))
	require.NoError(t, Replace(file, "x", "\nnew\n\n"))
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, "a\n<!-- x -->\nnew\n<!-- end x -->\nb\n", string(b))
	require.Error(t, Replace(file, "y", ""))
	require.Error(t, Replace(file+"x", "x", ""))
}

func TestThousands(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000"} {
		assert.Equal(t, want, Thousands(n))
	}
}

func TestMachine(t *testing.T) {
	m := Machine()
	assert.Contains(t, m, runtime.Version())
	assert.Contains(t, m, nng.Version())
	assert.Regexp(t, `[0-9]+ processors`, m)
	if name, err := os.Hostname(); err == nil && len(name) > 3 {
		assert.NotContains(t, m, name)
	}
	assert.Empty(t, match("/no/such/file", "x"))
}
