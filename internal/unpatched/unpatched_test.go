package unpatched

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLeft(t *testing.T) {
	all := []Skip{{Test: "TestA", Defect: "S1"}, {Test: "TestB", Defect: "P6 P7"}, {Test: "TestC", Defect: "P6"}, {Test: "TestD", Defect: "L1"}}
	tests := func(version string, patches ...string) (names string) {
		for _, s := range (Library{Version: version, Patches: patches, Shared: version == "1.10.0"}).Left(all).skips {
			names += s.Test[4:]
		}
		return names
	}
	assert.Equal(t, "ABC", tests("1.5.2"))
	assert.Equal(t, "BC", tests("1.5.2", "0001-s1-words"))
	assert.Equal(t, "BCD", tests("1.10.0"))
	assert.Equal(t, "AB", tests("1.5.2", "0002-p6-words"))
	assert.Equal(t, "A", tests("1.5.2", "0002-p6-p7"))
	assert.Equal(t, "ABC", tests("1.5.2", "0001-s11-p66-words"))
	assert.False(t, Library{Patches: []string{"0020-p22-words"}}.Lacks("p22"))
}

func TestExpression(t *testing.T) {
	for _, c := range []struct {
		pattern, expression string
		yes, no             []string
	}{
		{"TestA", "^TestA$", []string{"TestA"}, []string{"TestAB", "TestA/b", "ATestA"}},
		{"Test*/https", "^Test.*$/^https$", []string{"TestA/https", "Test/https"}, []string{"TestA", "TestA/b/https", "TestA/http"}},
		{`TestA/OPTIONS_\*_with_a.b`, `^TestA$/^OPTIONS_\*_with_a\.b$`, []string{"TestA/OPTIONS * with a.b"}, []string{"TestA/OPTIONS x with a.b", "TestA/OPTIONS * with axb"}},
	} {
		assert.Equal(t, c.expression, expression(c.pattern))
		for _, name := range c.yes {
			assert.True(t, match(c.pattern, name), "%s %s", c.pattern, name)
		}
		for _, name := range c.no {
			assert.False(t, match(c.pattern, name), "%s %s", c.pattern, name)
		}
	}
}

func TestPrint(t *testing.T) {
	var b bytes.Buffer
	Library{Name: "libnng"}.Left([]Skip{{Test: "TestA", Defect: "S1"}, {Test: "TestB/c", Defect: "P6"}}).print(&b)
	assert.Equal(t, "libnng lacks patches; left out are, with the defects of docs/defects.md (2 lines):\n"+
		"  P6        TestB/c\n  S1        TestA\n", b.String())
}

// The program below has each kind of test: what Setup makes of it is seen from outside.
func TestSetup(t *testing.T) {
	program := filepath.Join(t.TempDir(), "tests")
	out, err := exec.Command("go", "test", "-c", "-vet=off", "-o", program, "./testdata").CombinedOutput()
	require.NoError(t, err, "%s", out)
	run := func(mode string) (string, error) {
		cmd := exec.Command(program, "-test.v")
		cmd.Env = append(os.Environ(), Mode+"="+mode)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}

	text, err := run("")
	require.NoError(t, err, text)
	for _, line := range []string{"X1        TestFails\n", "X1        TestPart/fails\n", "--- PASS: TestPart/passes", "--- PASS: TestPasses"} {
		assert.Contains(t, text, line)
	}
	assert.NotContains(t, text, "RUN   TestFails")
	assert.NotContains(t, text, "RUN   TestPart/fails")

	text, err = run("run")
	require.Error(t, err)
	assert.Contains(t, text, "--- FAIL: TestFails")
	assert.Contains(t, text, "--- FAIL: TestPart/fails")

	text, err = run("try")
	require.Error(t, err)
	for _, line := range []string{
		"^TestFails$: fails\n", "^TestAborts$: ends the process\n", "^TestPart$/^fails$: fails\n", "^TestSometimes$: passes now, but not always\n",
		"^TestPasses$: PASSES", "TestGone: IS NOT THERE\n", "TestPart/gone: IS NOT THERE", "^TestSkips$: PASSES",
	} {
		assert.Contains(t, text, line)
	}
}
