package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/stretchr/testify/require"
)

// startProcess runs "nnghttp serve" and returns its URL, a function that signals it, and
// a channel that gets the outcome.
func startProcess(t *testing.T, args ...string) (url string, signal func(os.Signal) error, exited <-chan error) {
	t.Helper()
	p := startIn(t, ":", args...)
	return p.url, p.signal, p.exited
}

// A process is one of "nnghttp serve".
type process struct {
	url    string
	pid    int
	signal func(os.Signal) error
	exited <-chan error // gets the outcome
}

// startIn runs "nnghttp serve" in a shell that has run a command before.
func startIn(t *testing.T, before string, args ...string) *process {
	t.Helper()
	name, err := exec.LookPath("nnghttp") // put there by testscript.Main
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", before + `; exec "$0" "$@"`, name, "serve", "--listen", "http://127.0.0.1:0"}, args...)...)
	cmd.Env = append(os.Environ(), "GORACE="+raceOptions)
	log := new(logBuffer)
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(log)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err, "%s", log)
	url, found := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	require.True(t, found, line)
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	return &process{url, cmd.Process.Pid, cmd.Process.Signal, done}
}

// A request in flight when SIGTERM comes is answered in full, a WebSocket gets 1001,
// and the exit code is 0.
func TestDrain(t *testing.T) {
	for _, sig := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			const size = 32 << 20
			require.NoError(t, os.WriteFile(filepath.Join(dir, "large"), make([]byte, size), 0o600))
			url, signal, exited := startProcess(t, "--dir", dir)
			host := strings.TrimPrefix(url, "http://")

			// The handler cannot finish while nobody reads.
			c, err := net.Dial("tcp", host)
			require.NoError(t, err)
			defer c.Close()
			fmt.Fprint(c, "GET /files/large HTTP/1.1\r\nHost: x\r\n\r\n")
			r := bufio.NewReader(c)
			for line := ""; line != "\r\n"; {
				line, err = r.ReadString('\n')
				require.NoError(t, err)
			}
			socket, _, _, err := ws.Dial(context.Background(), "ws://"+host+"/ws")
			require.NoError(t, err)
			defer socket.Close()
			w := &wsClient{t: t, conn: socket, r: socket}

			require.NoError(t, signal(sig))
			w.expectClose(1001)
			w.send(ws.NewCloseFrame(ws.NewCloseFrameBody(1001, "")))

			n, err := io.CopyN(io.Discard, r, size)
			require.NoError(t, err, "after %d bytes", n)
			select {
			case err := <-exited:
				require.NoError(t, err)
			case <-time.After(5 * time.Second):
				t.Fatal("the server does not exit")
			}
			_, err = r.ReadByte()
			require.ErrorIs(t, err, io.EOF)
		})
	}
}

// The second signal does not wait for anybody.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "large"), make([]byte, 32<<20), 0o600))
	url, signal, exited := startProcess(t, "--dir", dir)
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	defer c.Close()
	fmt.Fprint(c, "GET /files/large HTTP/1.1\r\nHost: x\r\n\r\n")
	_, err = c.Read(make([]byte, 1))
	require.NoError(t, err)

	require.NoError(t, signal(syscall.SIGTERM))
	select {
	case err := <-exited:
		t.Fatal("the server did not wait for the request: ", err)
	case <-time.After(200 * time.Millisecond):
	}
	require.NoError(t, signal(syscall.SIGTERM))
	select {
	case err := <-exited:
		require.Error(t, err)
	case <-time.After(2 * time.Second):
		t.Fatal("the second signal did not end the server")
	}
}
