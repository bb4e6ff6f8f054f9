package nethttp

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A connection that has brought much and waits does not keep the buffer for what is read ahead.
func TestBulkLetsGo(t *testing.T) {
	l, err := Listen("http://127.0.0.1:0", "/")
	require.NoError(t, err)
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer client.Close()
	const head, size = "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 3<<20 + 1
	_, err = io.WriteString(client, head)
	require.NoError(t, err)
	accepted, err := l.Accept()
	require.NoError(t, err)
	defer accepted.Close()
	go client.Write(make([]byte, size))

	c := accepted.(*takenConn)
	piece := make([]byte, 4<<10)
	_, err = io.ReadFull(c, piece[:len(head)])
	require.NoError(t, err)
	ahead := false
	for n := 0; n < size; {
		m, err := c.Read(piece)
		require.NoError(t, err)
		n += m
		ahead = ahead || c.ahead.Load()
	}
	assert.True(t, ahead, "nothing was read ahead")
	go c.Read(piece)
	assert.Eventually(t, func() bool { return !c.ahead.Load() }, 5*time.Second, time.Millisecond)
}
