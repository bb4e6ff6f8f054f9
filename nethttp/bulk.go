package nethttp

import (
	"io"
	"sync"
)

// A bulkReader reads large bodies in large pieces, however little its reader asks for: each
// read from the connection costs the way through nng's threads and back.
type bulkReader struct {
	src  io.Reader
	more func() uint64 // how many bytes src still has, at the least
	buf  *[]byte       // from bulkBuffers, while there is something in it
	rest []byte        // of buf
}

// bulkMin is the least that is worth a detour through a buffer.
const bulkMin = 16 << 10

var bulkBuffers = sync.Pool{New: func() any {
	b := make([]byte, 64<<10)
	return &b
}}

func (b *bulkReader) Read(p []byte) (int, error) {
	if len(b.rest) == 0 {
		if uint64(len(p)) >= b.more() || b.more() < bulkMin {
			return b.src.Read(p)
		}
		b.buf = bulkBuffers.Get().(*[]byte)
		n, err := b.src.Read(*b.buf)
		if b.rest = (*b.buf)[:n]; n == 0 {
			b.release()
			return 0, err
		}
		// An error comes again with the next read.
	}
	n := copy(p, b.rest)
	if b.rest = b.rest[n:]; len(b.rest) == 0 {
		b.release()
	}
	return n, nil
}

// release gives the buffer back.
func (b *bulkReader) release() {
	if b.buf != nil {
		bulkBuffers.Put(b.buf)
		b.buf, b.rest = nil, nil
	}
}
