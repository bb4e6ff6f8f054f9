package nng_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// upTo answers what is left of n bytes.
func upTo(n int) func(p []byte) int {
	return func(p []byte) int {
		n -= len(p)
		return n
	}
}

// eachAhead is eachTransport where ReadAhead is supported.
func eachAhead(t *testing.T, f func(t *testing.T, p *pair)) {
	eachTransport(t, func(t *testing.T, p *pair) {
		if strings.HasSuffix(t.Name(), "/TLS") {
			needsPatches(t)
		}
		f(t, p)
	})
}

// All bytes arrive, in order and whole, however they are read, and next sees the same.
func TestReadAhead(t *testing.T) {
	eachAhead(t, func(t *testing.T, p *pair) {
		for _, most := range []int{1, 100, 4 << 10, 100_000, 2 << 20} {
			client, s := mustPipe(t, p)
			server := s.(*nng.Conn)
			size := min(8<<20, most*2000)
			in, seen, out := sha256.New(), sha256.New(), sha256.New()
			var sent sync.WaitGroup
			sent.Go(func() {
				_, err := io.CopyN(io.MultiWriter(client, in), rand.NewChaCha8([32]byte{byte(most)}), int64(size))
				assert.NoError(t, err)
			})
			left := upTo(size)
			require.NoError(t, server.ReadAhead(func(p []byte) int {
				seen.Write(p)
				return min(left(p), most)
			}))
			buf := make([]byte, 64<<10)
			for n := 0; n < size; {
				m, err := server.Read(buf[:1+rand.IntN(len(buf))])
				require.NoError(t, err)
				out.Write(buf[:m])
				n += m
			}
			sent.Wait()
			assert.Equal(t, in.Sum(nil), out.Sum(nil), "read, %d at most", most)
			assert.Equal(t, in.Sum(nil), seen.Sum(nil), "seen by next, %d at most", most)
		}
	})
}

// Not a byte is read beyond what next allows: C still has what is behind.
func TestReadAheadReadsNothingBeyond(t *testing.T) {
	p := newPair(t, false, false)
	client, s := mustPipe(t, p)
	server := s.(*nng.Conn)
	body := bytes.Repeat([]byte("b"), 300_000)
	go fmt.Fprintf(client, "%sGET /next HTTP/1.1\r\nHost: x\r\n\r\n%srest", body, body)
	req, err := nng.NewRequest("http://x/")
	require.NoError(t, err)
	defer req.Close()
	for i := range 2 {
		require.NoError(t, server.ReadAhead(upTo(len(body))))
		got := make([]byte, len(body))
		_, err := io.ReadFull(server, got)
		require.NoError(t, err)
		require.Equal(t, body, got)
		if i == 0 {
			require.NoError(t, server.ReadReq(timeout(t, 10*time.Second), req))
			assert.Equal(t, "/next", req.URI())
		}
	}
	rest := make([]byte, 4)
	_, err = io.ReadFull(server, rest) // Read reads as ever
	require.NoError(t, err)
	assert.Equal(t, "rest", string(rest))
}

// What is read ahead is bounded, however much next would allow.
func TestReadAheadIsBounded(t *testing.T) {
	p := newPair(t, false, false)
	client, s := mustPipe(t, p)
	server := s.(*nng.Conn)
	var mu sync.Mutex
	seen := 0
	require.NoError(t, server.ReadAhead(func(p []byte) int {
		mu.Lock()
		defer mu.Unlock()
		seen += len(p)
		return 16 << 20
	}))
	const size = 16 << 20
	go client.Write(make([]byte, size))
	ahead := func() int {
		mu.Lock()
		defer mu.Unlock()
		return seen
	}
	require.Eventually(t, func() bool { return ahead() > 512<<10 }, 10*time.Second, time.Millisecond)
	time.Sleep(50 * time.Millisecond)
	assert.LessOrEqual(t, ahead(), 1<<20)
	n, err := io.CopyN(io.Discard, server, size)
	require.NoError(t, err)
	assert.EqualValues(t, size, n)
}

// Deadlines work as ever, and lose nothing.
func TestReadAheadDeadline(t *testing.T) {
	p := newPair(t, false, false)
	client, s := mustPipe(t, p)
	server := s.(*nng.Conn)
	require.NoError(t, server.ReadAhead(upTo(10)))
	require.NoError(t, server.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
	buf := make([]byte, 100)
	_, err := server.Read(buf)
	assert.ErrorIs(t, err, nng.ErrTimedOut)
	require.NoError(t, server.SetReadDeadline(time.Time{}))
	fmt.Fprint(client, "0123456789later")
	_, err = io.ReadFull(server, buf[:15])
	require.NoError(t, err)
	assert.Equal(t, "0123456789later", string(buf[:15]))
}

// The end of the stream comes behind the last byte.
func TestReadAheadEndOfStream(t *testing.T) {
	eachAhead(t, func(t *testing.T, p *pair) {
		client, s := mustPipe(t, p)
		server := s.(*nng.Conn)
		require.NoError(t, server.ReadAhead(func([]byte) int { return 1 << 20 }))
		_, err := client.Write(make([]byte, 100_000))
		require.NoError(t, err)
		require.NoError(t, client.Close())
		n, err := io.Copy(io.Discard, server)
		require.NoError(t, err)
		assert.EqualValues(t, 100_000, n)
		_, err = server.Read(make([]byte, 1))
		assert.ErrorIs(t, err, io.EOF)
		assert.ErrorIs(t, server.ReadAhead(upTo(1)), io.EOF)
	})
}

// Close ends it, whoever is at work, and waits for what C is doing with the memory.
func TestReadAheadClose(t *testing.T) {
	eachAhead(t, func(t *testing.T, p *pair) {
		for range 50 {
			client, s := mustPipe(t, p)
			server := s.(*nng.Conn)
			require.NoError(t, server.ReadAhead(func([]byte) int { return 1 << 20 }))
			var wg sync.WaitGroup
			wg.Go(func() {
				for {
					if _, err := client.Write(make([]byte, 10_000)); err != nil {
						return
					}
				}
			})
			wg.Go(func() {
				_, err := io.Copy(io.Discard, server)
				assert.ErrorIs(t, err, net.ErrClosed)
			})
			time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond)
			require.NoError(t, server.Close())
			require.NoError(t, client.Close())
			wg.Wait()
		}
	})
}

// A panic in next is ours to deal with: it must not go through C.
func TestReadAheadPanic(t *testing.T) {
	p := newPair(t, false, false)
	client, s := mustPipe(t, p)
	server := s.(*nng.Conn)
	require.NoError(t, server.ReadAhead(func(p []byte) int {
		if len(p) > 0 {
			panic("in next")
		}
		return 10
	}))
	fmt.Fprint(client, "x")
	require.Eventually(t, func() bool {
		_, err := server.Read(make([]byte, 10))
		return err != nil
	}, 10*time.Second, time.Millisecond)
	_, err := client.Read(make([]byte, 1))
	assert.Error(t, err, "the connection is closed")
}

func TestReadAheadRefuses(t *testing.T) {
	p := newPair(t, false, false)
	client, s := mustPipe(t, p)
	server := s.(*nng.Conn)
	assert.ErrorIs(t, server.ReadAhead(nil), nng.ErrInvalid)
	require.NoError(t, server.ReadAhead(func([]byte) int { return 0 }), "nothing to do")

	require.NoError(t, server.ReadAhead(upTo(3)))
	assert.ErrorIs(t, server.ReadAhead(upTo(3)), nng.ErrState)
	assert.ErrorIs(t, server.OnData(func([]byte, error) {}), nng.ErrState)
	assert.ErrorIs(t, server.ReadAll(t.Context(), make([]byte, 1)), nng.ErrState)
	assert.ErrorIs(t, server.Transact(t.Context(), newRequest(t, "http://x/"), newResponse(t)), nng.ErrState)
	fmt.Fprint(client, "abc")
	got := make([]byte, 3)
	_, err := io.ReadFull(server, got)
	require.NoError(t, err)

	require.NoError(t, server.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
	_, err = server.Read(got)
	require.ErrorIs(t, err, nng.ErrTimedOut)
	assert.ErrorIs(t, server.ReadAhead(upTo(3)), nng.ErrState, "a Read is in flight")
	require.NoError(t, server.SetReadDeadline(time.Time{}))
	fmt.Fprint(client, "x")
	_, err = server.Read(got)
	require.NoError(t, err)

	require.NoError(t, server.OnData(func([]byte, error) {}))
	assert.ErrorIs(t, server.ReadAhead(upTo(3)), nng.ErrState)
	require.NoError(t, server.Close())
	assert.ErrorIs(t, server.ReadAhead(upTo(3)), net.ErrClosed)
}
