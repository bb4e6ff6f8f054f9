package nethttp

import (
	"sync/atomic"

	"github.com/gonng/nnghttp/nng"
)

// A bulkConn is a connection whose bytes are for net/http, which reads a long body in pieces
// of a few KiB. Each piece would cost the way through nng's threads and back, so nng reads
// ahead while much arrives. It stops when a read has not got all it could take: what comes
// next may be long in coming, and the buffer is large.
type bulkConn struct {
	*nng.Conn
	full  atomic.Bool // the last Read was
	ahead atomic.Bool // ReadAhead is at work, or somebody sets it up
}

const (
	bulkPiece = 1 << 10   // a Read that is full and brings so much makes nng read ahead,
	bulkRead  = 256 << 10 // so much at a time
)

func (c *bulkConn) Read(p []byte) (int, error) {
	if c.full.Swap(false) && !c.ahead.Swap(true) && c.ReadAhead(c.next) != nil {
		c.ahead.Store(false)
	}
	n, err := c.Conn.Read(p)
	c.full.Store(n == len(p) && n >= bulkPiece)
	return n, err
}

func (c *bulkConn) next(p []byte) int {
	if p != nil && len(p) < bulkRead {
		c.ahead.Store(false)
		return 0
	}
	return bulkRead
}
