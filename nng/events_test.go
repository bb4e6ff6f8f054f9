package nng_test

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The pump comes and goes with those who need it, and what was begun before goes on.
func TestPumpComesAndGoes(t *testing.T) {
	for range 20 {
		srv := newServer(t, newHandler(t, "/", text("hello")))
		conn, _ := dialKeepAlive(t, srv)
		_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		_, err = conn.Read(make([]byte, 1024))
		require.NoError(t, err)
		require.NoError(t, srv.Close())
		// nng closes its side of the connection, whoever does the poller's work now.
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(5*time.Second)))
		_, err = conn.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
	}
}
