package tests

import (
	"flag"
	"os"
	"syscall"
	"testing"

	"github.com/gonng/nnghttp/internal/unpatched"
)

var skips = []unpatched.Skip{
	{Test: "TestFails", Defect: "X1"},
	{Test: "TestAborts", Defect: "X1"},
	{Test: "TestPart/fails", Defect: "X1"},
	{Test: "TestSometimes", Defect: "X1", Often: true},
}

var stale = []unpatched.Skip{
	{Test: "TestPasses", Defect: "X1"},
	{Test: "TestGone", Defect: "X1"},
	{Test: "TestPart/gone", Defect: "X1"},
	{Test: "TestSkips", Defect: "X1"},
}

func TestMain(m *testing.M) {
	flag.Parse()
	all := skips
	if os.Getenv(unpatched.Mode) == "try" {
		all = append(all, stale...)
	}
	unpatched.Library{Name: "libnng"}.Left(all).Setup()
	os.Exit(m.Run())
}

func TestFails(t *testing.T)   { t.Fail() }
func TestPasses(*testing.T)    {}
func TestSometimes(*testing.T) {}
func TestSkips(t *testing.T)   { t.Skip("for no reason") }
func TestPart(t *testing.T) {
	t.Run("passes", func(*testing.T) {})
	t.Run("fails", func(t *testing.T) { t.Fail() })
}

// TestAborts is the last, because none can come after it. The signal is one that Go's runtime
// cannot catch: as it reports SIGABRT, it hangs once in a while.
func TestAborts(t *testing.T) {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}
