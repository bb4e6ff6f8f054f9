package nng_test

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fullListener returns the address of a listener that takes no more connections: what
// asks for one gets no answer.
func fullListener(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = syscall.Close(fd) })
	require.NoError(t, syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	require.NoError(t, syscall.Listen(fd, 0))
	sa, err := syscall.Getsockname(fd)
	require.NoError(t, err)
	addr := fmt.Sprintf("127.0.0.1:%d", sa.(*syscall.SockaddrInet4).Port)
	for range 10 {
		c, err := net.DialTimeout("tcp", addr, 200*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { c.Close() })
	}
	if runtime.GOOS == "linux" {
		t.Fatal("the listener takes everything")
	}
	t.Skip("this system takes connections that a full queue has no room for")
	return ""
}

// A connect ends when the server has answered, not before (defect X4).
func TestConnectWaitsForTheServer(t *testing.T) {
	client, err := nng.NewClient("http://" + fullListener(t))
	require.NoError(t, err)
	defer client.Close()
	for range 40 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		conn, err := client.Connect(ctx)
		cancel()
		if !assert.ErrorIs(t, err, nng.ErrTimedOut) {
			conn.Close()
			return
		}
	}
}
