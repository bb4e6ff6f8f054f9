package nng_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A request, and a round trip on a hijacked connection, wake none of nng's threads (N3).
func TestNoThreadOfNngIsWoken(t *testing.T) {
	srv := newServer(t, newHandler(t, "/", text("hello")), newHandler(t, "/echo", hijackEcho))
	requests, _ := dialKeepAlive(t, srv)
	echoes, _ := dialKeepAlive(t, srv)
	for _, conn := range []io.ReadWriter{requests, echoes} {
		message, reply := "GET / HTTP/1.1\r\nHost: x\r\n\r\n", make([]byte, 1024)
		if conn == echoes {
			_, err := io.WriteString(conn, "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n")
			require.NoError(t, err)
			message, reply = "0123456789abcdef", make([]byte, 16)
		}
		// Of many short rounds one will do: a busy machine makes tasks slow, and then nng's
		// threads get some.
		const n = 200
		most := 0
		for range 50 {
			before := switches(t, "nng:task", "nng:poll:epoll", "nng:reap2")
			for range n {
				_, err := io.WriteString(conn, message)
				require.NoError(t, err)
				_, err = io.ReadAtLeast(conn, reply, 16)
				require.NoError(t, err)
			}
			if most = switches(t, "nng:task", "nng:poll:epoll", "nng:reap2") - before; most < n/20 {
				break
			}
		}
		assert.Less(t, most, n/20, "context switches of nng's threads in %d round trips", n)
	}
}

func hijackEcho(_ context.Context, conn *nng.Conn, _ *nng.Request) (*nng.Response, error) {
	if err := conn.Hijack(); err != nil {
		return nil, err
	}
	defer conn.Close()
	_, err := io.Copy(conn, conn)
	return nil, err
}

// switches sums up how often the threads with these names have slept.
func switches(t *testing.T, names ...string) (sum int) {
	t.Helper()
	tasks, err := filepath.Glob("/proc/self/task/*")
	require.NoError(t, err)
	found := false
	for _, task := range tasks {
		status, err := os.ReadFile(task + "/status")
		if os.IsNotExist(err) {
			continue
		}
		require.NoError(t, err)
		fields := map[string]string{}
		for line := range strings.Lines(string(status)) {
			name, value, _ := strings.Cut(line, ":")
			fields[name] = strings.TrimSpace(value)
		}
		for _, name := range names {
			if fields["Name"] == name {
				n, err := strconv.Atoi(fields["voluntary_ctxt_switches"])
				require.NoError(t, err)
				sum += n
				found = true
			}
		}
	}
	require.True(t, found, "nng has no threads of these names")
	return sum
}
