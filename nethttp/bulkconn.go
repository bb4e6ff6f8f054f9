package nethttp

import "github.com/gonng/nnghttp/nng"

// A bulkConn is a connection whose bytes are for net/http, which reads a long body in pieces
// of a few KiB. While much arrives it takes larger ones from nng.
type bulkConn struct{ *nng.Conn }

func (c *bulkConn) Read(p []byte) (int, error) {
	return c.ReadAhead(p, max(len(p), 64<<10))
}
