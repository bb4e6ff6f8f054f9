package nng_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A stuck is a handler that writes until the systems' buffers are full, and returns.
type stuck struct {
	accepted int // bytes of the body
	returned time.Time
}

func stuckServer(t *testing.T) (srv *nng.Server, handlers chan stuck) {
	handlers = make(chan stuck, 10)
	return newServer(t, newHandler(t, "/", func(_ context.Context, conn *nng.Conn, _ *nng.Request) (*nng.Response, error) {
		_, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
		block, accepted := make([]byte, 32<<10), 0
		for err == nil {
			_ = conn.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
			var n int
			n, err = conn.Write(block)
			accepted += n
		}
		assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
		_ = conn.SetWriteDeadline(time.Time{})
		handlers <- stuck{accepted, time.Now()}
		return nil, nng.ErrAbortHandler
	})), handlers
}

// slowClient is a client whose system takes little before it reads.
func slowClient(t *testing.T, srv *nng.Server) (net.Conn, *bufio.Reader) {
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		return errors.Join(c.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 16<<10)
		}), err)
	}}
	c, err := d.Dial("tcp", address(t, srv))
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(time.Minute)))
	_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	r := bufio.NewReaderSize(c, 1024)
	for line := ""; line != "\r\n"; {
		line, err = r.ReadString('\n')
		require.NoError(t, err)
	}
	return c, r
}

// Who reads steadily gets everything, however slowly, though the server's system has no room for
// more for much longer than bytes may stay without moving.
func TestSlowReaderGetsEverything(t *testing.T) {
	const limit = 1500 * time.Millisecond
	defer nng.SetLinger(limit)()
	srv, handlers := stuckServer(t)
	_, r := slowClient(t, srv)
	h := <-handlers
	got, buf := 0, make([]byte, 8<<10)
	for time.Since(h.returned) < 3*limit {
		n, err := r.Read(buf)
		got += n
		require.NoError(t, err, "after %d bytes", got)
		time.Sleep(40 * time.Millisecond)
	}
	t.Logf("%d of %d KiB came slowly", got>>10, h.accepted>>10)
	rest, err := io.Copy(io.Discard, r)
	require.NoError(t, err)
	require.Equal(t, h.accepted, got+int(rest))
}

// Who stops reading is cut off.
func TestStoppedReaderIsCutOff(t *testing.T) {
	const limit = time.Second
	defer nng.SetLinger(limit)()
	srv, handlers := stuckServer(t)
	_, r := slowClient(t, srv)
	h := <-handlers
	require.NoError(t, srv.Stop(timeout(t, 20*time.Second))) // waits for the connection
	took := time.Since(h.returned)
	assert.Greater(t, took, limit*3/4)
	n, _ := io.Copy(io.Discard, r)
	t.Logf("cut off after %v, with %d KiB of %d lost", took, (h.accepted-int(n))>>10, h.accepted>>10)
	require.Less(t, int(n), h.accepted)
}
