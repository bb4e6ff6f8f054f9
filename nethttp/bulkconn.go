package nethttp

import (
	"sync/atomic"

	"github.com/gonng/nnghttp/nng"
)

// A bulkConn is a connection whose bytes are for net/http, which reads a long body in pieces
// of a few KiB. While much arrives it takes larger ones from nng.
type bulkConn struct {
	*nng.Conn
	full atomic.Bool // the last Read was
}

func (c *bulkConn) Read(p []byte) (int, error) {
	most := len(p)
	if c.full.Load() {
		most = max(most, bulkRead)
	}
	n, err := c.ReadAhead(p, most)
	c.full.Store(n == len(p) && n >= bulkPiece)
	return n, err
}

const (
	bulkPiece = 1 << 10  // a Read that is full and brings so much
	bulkRead  = 64 << 10 // makes the next one take so much
)
