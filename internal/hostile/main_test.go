package hostile

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the corpus from the seeds")

func TestMain(m *testing.M) {
	flag.Parse()
	if !nng.LinkInfo().HTTP {
		fmt.Printf("%v: nothing to test\n", nng.LinkInfo())
		return
	}
	os.Exit(m.Run())
}

// TestCorpus checks that the committed corpus is what the seeds say. With -update it
// writes it. What a fuzzer has found has a name of 16 hexadecimal digits and stays.
func TestCorpus(t *testing.T) {
	for target, seeds := range map[string][]Seed{
		"FuzzServer":     RequestSeeds(),
		"FuzzServerTime": TimeSeeds(),
		"FuzzClient":     AnswerSeeds(),
		"FuzzClientTime": AnswerTimeSeeds(),
	} {
		dir := filepath.Join("testdata", "fuzz", target)
		want := make(map[string]string)
		for _, s := range seeds {
			require.NotContains(t, want, s.Name, "two seeds of one name")
			want[s.Name] = fmt.Sprintf("go test fuzz v1\nbyte(%q)\n[]byte(%q)\n", rune(s.Kind), s.Script)
		}
		if *update {
			require.NoError(t, os.MkdirAll(dir, 0o755))
			for name, text := range want {
				require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
			}
		}
		files, err := os.ReadDir(dir)
		require.NoError(t, err)
		for _, f := range files {
			if text, ours := want[f.Name()]; ours {
				b, err := os.ReadFile(filepath.Join(dir, f.Name()))
				require.NoError(t, err)
				assert.Equal(t, text, string(b), f.Name())
				delete(want, f.Name())
			} else {
				assert.True(t, len(f.Name()) == 16 && strings.Trim(f.Name(), "0123456789abcdef") == "", "%s has no seed; remove it", f.Name())
			}
		}
		assert.Empty(t, want, "seeds of %s that are not in the corpus: go test ./internal/hostile -run TestCorpus -update", target)
	}
}
