package nng_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// All bytes arrive, in order and whole, however they are read.
func TestReadAhead(t *testing.T) {
	eachTransport(t, func(t *testing.T, p *pair) {
		for _, most := range []int{1, 100, 4 << 10, 100_000} {
			client, s := mustPipe(t, p)
			server := s.(*nng.Conn)
			size := min(8<<20, most*2000)
			in, out := sha256.New(), sha256.New()
			var sent sync.WaitGroup
			sent.Go(func() {
				_, err := io.CopyN(io.MultiWriter(client, in), rand.NewChaCha8([32]byte{byte(most)}), int64(size))
				assert.NoError(t, err)
			})
			buf := make([]byte, 64<<10)
			for left := size; left > 0; {
				part := buf[:1+rand.IntN(len(buf))]
				var n int
				var err error
				if rand.IntN(4) == 0 {
					n, err = server.Read(part)
				} else {
					n, err = server.ReadAhead(part, min(left, most))
				}
				require.NoError(t, err)
				out.Write(part[:n])
				left -= n
			}
			sent.Wait()
			assert.Equal(t, in.Sum(nil), out.Sum(nil), "%d at most", most)
		}
	})
}

// Not a byte is read beyond what the caller allows: C still has what is behind.
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
		got, piece := []byte{}, make([]byte, 2000)
		for len(got) < len(body) {
			n, err := server.ReadAhead(piece, len(body)-len(got))
			require.NoError(t, err)
			got = append(got, piece[:n]...)
			if len(got) == 4000 { // the first read was full, so the second one was large
				err := server.ReadReq(timeout(t, time.Second), req)
				require.ErrorIs(t, err, nng.ErrState, "bytes of the body wait")
			}
		}
		require.Equal(t, body, got)
		if i == 0 {
			require.NoError(t, server.ReadReq(timeout(t, 10*time.Second), req))
			assert.Equal(t, "/next", req.URI())
		}
	}
	rest := make([]byte, 4)
	_, err = io.ReadFull(server, rest)
	require.NoError(t, err)
	assert.Equal(t, "rest", string(rest))
}

// What is given back comes next, whoever reads it.
func TestUnread(t *testing.T) {
	eachTransport(t, func(t *testing.T, p *pair) {
		client, s := mustPipe(t, p)
		server := s.(*nng.Conn)
		buf := make([]byte, 64)
		if err := server.Unread(nil); errors.Is(err, nng.ErrNotSupported) {
			require.ErrorIs(t, server.Unread([]byte("x")), nng.ErrNotSupported)
			t.Skip("this libnng takes nothing back (P31)")
		}
		read := func(want string) {
			t.Helper()
			_, err := io.ReadFull(server, buf[:len(want)])
			require.NoError(t, err)
			assert.Equal(t, want, string(buf[:len(want)]))
		}

		fmt.Fprint(client, "bodyGET /next HTTP/1.1\r\n")
		read("bodyGET /next")
		require.NoError(t, server.Unread([]byte("GET /next")))
		fmt.Fprint(client, "Host: x\r\n\r\nrest")
		req, err := nng.NewRequest("http://x/")
		require.NoError(t, err)
		defer req.Close()
		require.NoError(t, server.ReadReq(timeout(t, 10*time.Second), req))
		assert.Equal(t, "/next", req.URI())

		// Before what C has, before what ReadAhead has kept, before what a Read brings
		// whose caller has gone.
		require.NoError(t, server.Unread([]byte("the ")))
		read("the rest")
		fmt.Fprint(client, strings.Repeat("x", 2000), "hello")
		big := make([]byte, 2000)
		_, err = io.ReadFull(server, big)
		require.NoError(t, err)
		n, err := server.ReadAhead(buf[:2], 5)
		require.NoError(t, err)
		require.NoError(t, server.Unread(buf[:n]))
		read("hello")
		require.NoError(t, server.SetReadDeadline(time.Now().Add(time.Millisecond)))
		_, err = server.Read(buf)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.NoError(t, server.SetReadDeadline(time.Time{}))
		require.NoError(t, server.Unread([]byte("first, ")))
		fmt.Fprint(client, "second")
		read("first, second")

		require.ErrorIs(t, server.Unread(make([]byte, 8<<10+1)), nng.ErrTooLong)
		require.NoError(t, server.OnData(func([]byte, error) {}))
		require.ErrorIs(t, server.Unread([]byte("x")), nng.ErrState)
		require.NoError(t, server.Close())
		require.ErrorIs(t, server.Unread([]byte("x")), net.ErrClosed)
	})
}

// What was written arrives, then the end; the other direction goes on.
func TestCloseWrite(t *testing.T) {
	eachTransport(t, func(t *testing.T, p *pair) {
		client, s := mustPipe(t, p)
		server := s.(*nng.Conn)
		if err := server.CloseWrite(); errors.Is(err, nng.ErrNotSupported) {
			fmt.Fprint(server, "goes on")
			buf := make([]byte, 7)
			_, err := io.ReadFull(client, buf)
			require.NoError(t, err)
			t.Skip("over TLS, and without our patches, there is no end of one direction")
		} else {
			require.NoError(t, err)
		}
		_, err := client.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)

		client, s = mustPipe(t, p)
		server = s.(*nng.Conn)
		body := bytes.Repeat([]byte("long "), 2<<20) // waits in the queue for the reader
		ended := make(chan error)
		go func() {
			_, err := server.Write(body)
			err = errors.Join(err, server.CloseWrite())
			if again := server.CloseWrite(); !errors.Is(again, nng.ErrConnShut) { // the client may have closed
				err = errors.Join(err, again)
			}
			ended <- err
		}()
		time.Sleep(50 * time.Millisecond)
		fmt.Fprint(client, "and back") // now, because C closes what has come to its end (CL18)
		require.NoError(t, client.(*nng.Conn).Flush(timeout(t, 10*time.Second)))
		got, err := io.ReadAll(client)
		require.NoError(t, err)
		require.NoError(t, <-ended)
		assert.True(t, bytes.Equal(body, got))
		buf := make([]byte, 8)
		_, err = io.ReadFull(server, buf)
		require.NoError(t, err)
		_, err = server.Write(buf)
		require.ErrorIs(t, errors.Join(err, server.Flush(timeout(t, 10*time.Second))), nng.ErrConnShut)

		client, s = mustPipe(t, p)
		server = s.(*nng.Conn)
		require.NoError(t, server.SetWriteDeadline(time.Now().Add(50*time.Millisecond)))
		_, err = server.Write(body)
		if err == nil {
			err = server.CloseWrite()
		}
		require.ErrorIs(t, err, os.ErrDeadlineExceeded, "nobody reads")
		require.NoError(t, client.Close())
		require.NoError(t, server.Close())
		require.ErrorIs(t, server.CloseWrite(), net.ErrClosed)
	})
}

// To wait for data takes none, and can be given up at any time.
func TestAwaitData(t *testing.T) {
	eachTransport(t, func(t *testing.T, p *pair) {
		client, s := mustPipe(t, p)
		server := s.(*nng.Conn)
		ctx := timeout(t, 30*time.Second)
		over, cancel := context.WithCancel(ctx)
		cancel()
		if err := server.AwaitData(over); errors.Is(err, nng.ErrNotSupported) {
			t.Skip("this libnng can only read (CL18)")
		} else {
			require.ErrorIs(t, err, context.Canceled)
		}
		buf := make([]byte, 4096)
		read := func(want string) {
			t.Helper()
			n, err := io.ReadFull(server, buf[:len(want)])
			require.NoError(t, err)
			require.Equal(t, want, string(buf[:n]))
		}
		time.AfterFunc(20*time.Millisecond, func() { fmt.Fprint(client, "hello") })
		require.NoError(t, server.AwaitData(ctx))
		require.NoError(t, server.AwaitData(ctx))
		read("hello")
		for i := range 4 {
			short, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
			require.ErrorIs(t, server.AwaitData(short), context.DeadlineExceeded)
			cancel()
			if i%2 == 1 { // C may be reading already
				require.NoError(t, server.Unread([]byte("given back, then ")))
			}
			fmt.Fprint(client, "late")
			if i%2 == 1 {
				read("given back, then ")
			}
			read("late")
		}
		short, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, server.AwaitData(short), context.DeadlineExceeded)
		fmt.Fprint(client, "GET /next HTTP/1.1\r\nHost: x\r\n\r\n")
		req, err := nng.NewRequest("http://x/")
		require.NoError(t, err)
		defer req.Close()
		require.NoError(t, server.ReadReq(ctx, req))
		require.Equal(t, "/next", req.URI())

		waits := make(chan error)
		go func() { waits <- server.AwaitData(ctx) }()
		time.Sleep(20 * time.Millisecond)
		require.NoError(t, client.Close())
		require.ErrorIs(t, <-waits, io.EOF)
		require.ErrorIs(t, server.AwaitData(ctx), io.EOF)

		_, s = mustPipe(t, p)
		server = s.(*nng.Conn)
		go func() { waits <- server.AwaitData(ctx) }()
		time.Sleep(20 * time.Millisecond)
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-waits, net.ErrClosed)
	})
}

func TestReadAheadRefusals(t *testing.T) {
	p := newPair(t, false, false)
	client, s := mustPipe(t, p)
	server := s.(*nng.Conn)
	for _, most := range []int{0, -1} {
		_, err := server.ReadAhead(make([]byte, 10), most)
		assert.ErrorIs(t, err, nng.ErrInvalid)
	}
	n, err := server.ReadAhead(nil, 10)
	assert.NoError(t, err)
	assert.Zero(t, n)
	// The first read is full, so the second takes what it may.
	fmt.Fprint(client, strings.Repeat("x", 2000), "hello")
	buf := make([]byte, 2000)
	_, err = server.ReadAhead(buf, 5000)
	require.NoError(t, err)
	buf = buf[:2]
	n, err = server.ReadAhead(buf, 5)
	require.NoError(t, err)
	require.Equal(t, "he", string(buf[:n]))
	assert.ErrorIs(t, server.OnData(func([]byte, error) {}), nng.ErrState)
	assert.ErrorIs(t, server.ReadAll(t.Context(), buf), nng.ErrState)
	_, err = io.ReadFull(server, buf)
	require.NoError(t, err)
	assert.Equal(t, "ll", string(buf))
	assert.ErrorIs(t, server.ReadAll(t.Context(), buf), nng.ErrState)
	_, err = server.Read(buf)
	require.NoError(t, err)
}

// A connection that has brought much and waits does not keep the buffer for that.
func TestReadAheadLetsGo(t *testing.T) {
	p := newPair(t, false, false)
	client, s := mustPipe(t, p)
	server := s.(*nng.Conn)
	const size = 3<<20 + 1
	go client.Write(make([]byte, size))
	piece, most := make([]byte, 4<<10), 0
	for n := 0; n < size; {
		m, err := server.ReadAhead(piece, 64<<10)
		require.NoError(t, err)
		n += m
		most = max(most, nng.ReadBuffer(server))
	}
	assert.Equal(t, 64<<10, most, "nothing was read ahead")
	for range 2 { // as net/http reads when it waits for a request
		require.NoError(t, server.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
		_, err := server.ReadAhead(piece, 64<<10)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		assert.LessOrEqual(t, nng.ReadBuffer(server), 16<<10)
	}
}
