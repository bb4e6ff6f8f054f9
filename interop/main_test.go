package interop

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// scratch is a folder for what all tests share, removed at the end.
var scratch string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if scratch, err = os.MkdirTemp("", "nnghttp-interop-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(scratch)
	return m.Run()
}

// root is the folder of the project.
var root = sync.OnceValue(func() string {
	dir, err := filepath.Abs("..")
	if err != nil {
		panic(err)
	}
	return dir
})

// missing skips a test, loudly; in CI, where all must be there, it fails.
func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	reason := fmt.Sprintf(format, args...)
	if os.Getenv("CI") != "" {
		t.Fatal(reason)
	}
	fmt.Printf("skipping %s: %s\n", t.Name(), reason)
	t.Skip(reason)
}

// need returns the path of a program.
func need(t *testing.T, program, debianPackage string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		missing(t, "%s is not there; install the package %s", program, debianPackage)
	}
	return path
}

// A result is what a program has printed.
type result struct {
	stdout, stderr string
	code           int
}

// command runs a program to its end, for a minute at most.
func command(t *testing.T, stdin string, program string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdin = strings.NewReader(stdin)
	return execute(t, cmd)
}

func execute(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatalf("%v: %v", cmd.Args, err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// succeed fails the test unless the program has ended well.
func (r result) succeed(t *testing.T) result {
	t.Helper()
	require.Zero(t, r.code, "stdout:\n%s\nstderr:\n%s", r.stdout, r.stderr)
	return r
}

// nnghttp builds the command.
var nnghttp = sync.OnceValues(func() (string, error) {
	file := filepath.Join(scratch, "nnghttp")
	cmd := exec.Command("go", "build", "-o", file, "./cmd/nnghttp")
	cmd.Dir = root()
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return file, nil
})

// serve runs "nnghttp serve" for the length of a test and returns its URL. At the end
// it must stop when it is told to, without an error.
func serve(t *testing.T, args ...string) (url string) {
	t.Helper()
	file, err := nnghttp()
	require.NoError(t, err)
	cmd := exec.Command(file, append([]string{"serve"}, args...)...)
	var log bytes.Buffer
	cmd.Stderr = &log
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		late := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
		defer late.Stop()
		err := cmd.Wait()
		if err != nil || t.Failed() {
			t.Logf("the log of nnghttp serve:\n%s", &log)
		}
		require.NoError(t, err)
	})
	late := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
	defer late.Stop()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	url, found := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	require.True(t, found, "it printed %q", line)
	return url
}
