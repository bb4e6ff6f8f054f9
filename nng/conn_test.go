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
	"sync"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// eachTransport runs a test over plain TCP and over TLS, with nng on both ends.
func eachTransport(t *testing.T, f func(t *testing.T, p *pair)) {
	t.Run("TCP", func(t *testing.T) { f(t, newPair(t, false, true)) })
	t.Run("TLS", func(t *testing.T) {
		if nng.LinkInfo().TLSEngine == "none" {
			t.Skip("this libnng has no TLS")
		}
		f(t, newPair(t, true, true))
	})
}

func mustPipe(t testing.TB, p *pair) (client, server net.Conn) {
	t.Helper()
	client, server, stop, err := p.pipe()
	require.NoError(t, err)
	t.Cleanup(stop)
	return client, server
}

// Bytes that came with the head are in nng's buffer when the connection is taken.
// They come out first, and nothing is lost behind them.
func TestConnBytesBehindTheHeadComeFirst(t *testing.T) {
	p := newPair(t, false, false)
	raw, err := p.dial()
	require.NoError(t, err)
	defer raw.Close()
	early := bytes.Repeat([]byte("0123456789abcdef"), 200) // with the head less than nng's 8 KiB
	_, err = raw.Write(append([]byte("GET /take HTTP/1.1\r\nHost: x\r\n\r\n"), early...))
	require.NoError(t, err)
	server := <-p.from
	defer server.Close()
	_, err = raw.Write([]byte("late"))
	require.NoError(t, err)
	got := make([]byte, len(early)+4)
	_, err = io.ReadFull(server, got)
	require.NoError(t, err)
	assert.Equal(t, string(early)+"late", string(got))
}

func TestConnMovesLargeDataBothWays(t *testing.T) {
	const size = 64 << 20
	eachTransport(t, func(t *testing.T, p *pair) {
		client, server := mustPipe(t, p)
		send := func(c net.Conn, seed uint64) [32]byte {
			r := rand.NewChaCha8([32]byte{byte(seed)})
			h := sha256.New()
			n, err := io.CopyBuffer(struct{ io.Writer }{c}, io.TeeReader(io.LimitReader(r, size), h), make([]byte, 100_000))
			assert.NoError(t, err)
			assert.EqualValues(t, size, n)
			return [32]byte(h.Sum(nil))
		}
		receive := func(c net.Conn) [32]byte {
			h := sha256.New()
			n, err := io.Copy(h, io.LimitReader(struct{ io.Reader }{c}, size))
			assert.NoError(t, err)
			assert.EqualValues(t, size, n)
			return [32]byte(h.Sum(nil))
		}
		var wg sync.WaitGroup
		var up, upSum, down, downSum [32]byte
		wg.Go(func() { up = send(client, 1) })
		wg.Go(func() { upSum = receive(server) })
		wg.Go(func() { down = send(server, 2) })
		wg.Go(func() { downSum = receive(client) })
		wg.Wait()
		assert.Equal(t, up, upSum)
		assert.Equal(t, down, downSum)
	})
}

// Close right after Write loses nothing, though the peer reads slowly and later.
func TestConnCloseSendsWhatIsQueued(t *testing.T) {
	for _, size := range []int{1, 1000, 100_000, 8 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			eachTransport(t, func(t *testing.T, p *pair) {
				for _, fromServer := range []bool{true, false} {
					client, server := mustPipe(t, p)
					from, to := client, server
					if fromServer {
						from, to = server, client
					}
					data := make([]byte, size)
					_, _ = rand.NewChaCha8([32]byte{7}).Read(data)
					written := make(chan error, 1)
					go func() {
						_, err := from.Write(data)
						written <- errors.Join(err, from.Close())
					}()
					time.Sleep(20 * time.Millisecond) // the peer is late
					got, err := io.ReadAll(to)
					require.NoError(t, err)
					require.NoError(t, <-written)
					require.True(t, bytes.Equal(data, got), "%d of %d bytes arrived", len(got), len(data))
				}
			})
		})
	}
}

// However quick the peer was, little is kept for it when it has stopped reading, but for what the
// system has taken. Nothing is lost on the way.
func TestConnKeepsLittleForASlowPeer(t *testing.T) {
	eachTransport(t, func(t *testing.T, p *pair) {
		client, server := mustPipe(t, p)
		conn := server.(*nng.Conn)
		block := make([]byte, 1<<20)
		_, _ = rand.NewChaCha8([32]byte{7}).Read(block)
		written := 0
		write := func(deadline time.Time) error {
			require.NoError(t, conn.SetWriteDeadline(deadline))
			from := written % len(block)
			n, err := conn.Write(block[from:min(len(block), from+1+rand.IntN(len(block)))])
			written += n
			return err
		}
		for range 3 {
			// The peer reads at the same time.
			size := int64(16 << 20)
			taken := make(chan []byte, 1)
			start := written
			go func() {
				b := make([]byte, size)
				n, err := io.ReadFull(client, b)
				assert.NoError(t, err)
				taken <- b[:n]
			}()
			for written < start+int(size) {
				require.NoError(t, write(time.Time{}))
			}
			got := <-taken
			// It stops.
			for write(time.Now().Add(200*time.Millisecond)) == nil {
			}
			held, room := nng.Unsent(conn)
			t.Logf("%d KiB are not sent, in %d KiB", held>>10, room>>10)
			assert.LessOrEqual(t, held, 32<<10)
			assert.LessOrEqual(t, room, 64<<10)
			rest := make([]byte, written-start-len(got))
			_, err := io.ReadFull(client, rest)
			require.NoError(t, err)
			for i, b := range append(got, rest...) {
				if b != block[(start+i)%len(block)] {
					t.Fatalf("byte %d is wrong", start+i)
				}
			}
		}
		require.NoError(t, client.Close())
	})
}

func TestConnThousandHijacksInParallel(t *testing.T) {
	const n = 1000
	echo := newHandler(t, "/echo", func(_ context.Context, conn *nng.Conn, _ *nng.Request) (*nng.Response, error) {
		if err := conn.Hijack(); err != nil {
			return nil, err
		}
		go func() {
			defer conn.Close()
			_, _ = io.Copy(conn, conn)
		}()
		return nil, nil
	})
	srv := newServer(t, echo)
	addr := address(t, srv)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			c, err := net.Dial("tcp", addr)
			if !assert.NoError(t, err) {
				return
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(30 * time.Second))
			msg := fmt.Sprintf("connection %04d", i)
			_, err = fmt.Fprintf(c, "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n%s", msg)
			assert.NoError(t, err)
			got := make([]byte, len(msg))
			_, err = io.ReadFull(c, got)
			assert.NoError(t, err)
			assert.Equal(t, msg, string(got))
		})
	}
	wg.Wait()
}

// A deadline ends a Read, not the connection: what arrives later is read later.
func TestConnReadAfterDeadline(t *testing.T) {
	eachTransport(t, func(t *testing.T, p *pair) {
		client, server := mustPipe(t, p)
		require.NoError(t, server.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
		buf := make([]byte, 3)
		n, err := server.Read(buf)
		assert.Zero(t, n)
		assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
		assert.ErrorIs(t, err, nng.ErrTimedOut)
		var ne net.Error
		require.ErrorAs(t, err, &ne)
		assert.True(t, ne.Timeout())

		_, err = client.Write([]byte("abcdefgh"))
		require.NoError(t, err)
		require.NoError(t, server.SetReadDeadline(time.Time{}))
		got := make([]byte, 8)
		_, err = io.ReadFull(server, got)
		require.NoError(t, err)
		assert.Equal(t, "abcdefgh", string(got))
	})
}

// A writer whose peer does not read gets a timeout, and goes on when it reads again;
// the bytes that were accepted arrive once and in order.
func TestConnWriteAfterDeadline(t *testing.T) {
	eachTransport(t, func(t *testing.T, p *pair) {
		client, server := mustPipe(t, p)
		block := make([]byte, 64<<10)
		var sent int
		require.NoError(t, client.SetWriteDeadline(time.Now().Add(100*time.Millisecond)))
		var err error
		for err == nil && sent < 1<<30 {
			for i := range block {
				block[i] = byte((sent + i) % 251)
			}
			var n int
			n, err = client.Write(block)
			sent += n
		}
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.NoError(t, client.SetWriteDeadline(time.Time{}))
		done := make(chan error, 1)
		go func() {
			_, err := client.Write([]byte{byte(sent % 251)})
			done <- errors.Join(err, client.Close())
		}()
		got, err := io.ReadAll(server)
		require.NoError(t, err)
		require.NoError(t, <-done)
		require.Len(t, got, sent+1)
		for i, b := range got {
			if b != byte(i%251) {
				t.Fatalf("byte %d is %d, want %d", i, b, i%251)
			}
		}
	})
}

func TestConnErrorsAfterClose(t *testing.T) {
	client, server := mustPipe(t, newPair(t, false, true))
	blocked := make(chan error, 1)
	go func() {
		_, err := client.Read(make([]byte, 1))
		blocked <- err
	}()
	time.Sleep(10 * time.Millisecond)
	require.NoError(t, client.Close())
	assert.ErrorIs(t, <-blocked, net.ErrClosed)
	for _, err := range []error{
		errOf(client.Read(make([]byte, 1))),
		errOf(client.Read(nil)),
		errOf(client.Write([]byte("x"))),
		client.SetDeadline(time.Now()),
		client.Close(),
	} {
		assert.ErrorIs(t, err, net.ErrClosed)
		assert.ErrorIs(t, err, nng.ErrClosed)
	}
	n, err := server.Read(make([]byte, 1))
	assert.Zero(t, n)
	assert.Equal(t, io.EOF, err, "the end of the stream is io.EOF itself")
}

func errOf[T any](_ T, err error) error { return err }

// A peer that is gone makes Write fail, not with ErrClosed: nobody closed our side.
func TestConnWriteToLostPeer(t *testing.T) {
	client, server := mustPipe(t, newPair(t, false, false))
	require.NoError(t, client.(*net.TCPConn).SetLinger(0))
	require.NoError(t, client.Close())
	var err error
	for deadline := time.Now().Add(5 * time.Second); err == nil && time.Now().Before(deadline); {
		_, err = server.Write([]byte("anybody there?"))
		time.Sleep(time.Millisecond)
	}
	require.Error(t, err)
	assert.NotErrorIs(t, err, net.ErrClosed)
}

func TestConnAddresses(t *testing.T) {
	client, server := mustPipe(t, newPair(t, false, true))
	assert.Equal(t, client.LocalAddr().String(), server.RemoteAddr().String())
	assert.Equal(t, server.LocalAddr().String(), client.RemoteAddr().String())
	assert.Equal(t, "tcp", server.RemoteAddr().Network())
	remote := server.RemoteAddr().String()
	require.NoError(t, server.Close())
	assert.Equal(t, remote, server.RemoteAddr().String(), "an address once asked for stays known")
}

// The operations that take a context are C's own.
func TestConnOperations(t *testing.T) {
	eachTransport(t, func(t *testing.T, p *pair) {
		c, s := mustPipe(t, p)
		client, server := c.(*nng.Conn), s.(*nng.Conn)
		ctx := timeout(t, 10*time.Second)

		require.NoError(t, client.WriteAll(ctx, []byte("0123456789")))
		got := make([]byte, 10)
		require.NoError(t, server.ReadAll(ctx, got))
		assert.Equal(t, "0123456789", string(got))

		big := bytes.Repeat([]byte("x"), 1<<20)
		go func() { _ = server.WriteAll(ctx, big) }()
		got = make([]byte, len(big))
		require.NoError(t, client.ReadAll(ctx, got))
		assert.True(t, bytes.Equal(big, got))

		n, err := client.WriteSome(ctx, []byte("some"))
		require.NoError(t, err)
		require.Positive(t, n)
		got = make([]byte, n)
		require.NoError(t, server.ReadAll(ctx, got))
		assert.Equal(t, "some"[:n], string(got))

		req, err := nng.NewRequest("http://localhost/again?q=1")
		require.NoError(t, err)
		defer req.Close()
		require.NoError(t, req.SetMethod("PUT"))
		require.NoError(t, req.CopyData([]byte("body")))
		require.NoError(t, client.WriteReq(ctx, req))
		in, err := nng.NewRequest("")
		require.NoError(t, err)
		defer in.Close()
		require.NoError(t, server.ReadReq(ctx, in))
		assert.Equal(t, "PUT", in.Method())
		assert.Equal(t, "/again?q=1", in.URI())
		assert.Equal(t, "4", in.Header("content-length"))
		got = make([]byte, 4)
		_, err = io.ReadFull(server, got)
		require.NoError(t, err)
		assert.Equal(t, "body", string(got))

		res, err := nng.NewResponse()
		require.NoError(t, err)
		defer res.Close()
		require.NoError(t, res.SetStatus(207))
		require.NoError(t, server.WriteRes(ctx, res))
		back, err := nng.NewResponse()
		require.NoError(t, err)
		defer back.Close()
		require.NoError(t, client.ReadRes(ctx, back))
		assert.Equal(t, 207, back.Status())
		assert.Equal(t, "Multi-Status", back.Reason())

		require.NoError(t, client.Flush(ctx))
		require.NoError(t, client.Close())
		assert.Equal(t, io.EOF, server.ReadAll(ctx, got), "the end of the stream")
	})
}

// Cancelling an operation closes the connection, as in C, and says so afterwards.
func TestConnCancelClosesTheConnection(t *testing.T) {
	eachTransport(t, func(t *testing.T, p *pair) {
		c, _ := mustPipe(t, p)
		client := c.(*nng.Conn)
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(10*time.Millisecond, cancel)
		err := client.ReadAll(ctx, make([]byte, 10))
		assert.ErrorIs(t, err, context.Canceled)
		assert.ErrorIs(t, err, nng.ErrCanceled)
		_, err = client.Read(make([]byte, 1))
		assert.ErrorIs(t, err, nng.ErrConnShut)
		_, err = client.Write([]byte("x"))
		if err == nil { // queued; C's answer comes behind it
			err = client.Flush(timeout(t, 5*time.Second))
		}
		assert.Error(t, err)
		assert.NoError(t, client.Close())
	})
}

// A deadline that has passed keeps nobody from closing in order: what was queued
// before it still goes out.
func TestConnCloseAfterDeadlineSendsWhatIsQueued(t *testing.T) {
	eachTransport(t, func(t *testing.T, p *pair) {
		client, server := mustPipe(t, p)
		block := make([]byte, 64<<10)
		var sent int
		require.NoError(t, server.SetWriteDeadline(time.Now().Add(50*time.Millisecond)))
		for {
			n, err := server.Write(block)
			sent += n
			if err != nil {
				require.ErrorIs(t, err, os.ErrDeadlineExceeded)
				break
			}
		}
		closed := make(chan error, 1)
		go func() { closed <- server.Close() }()
		got, err := io.Copy(io.Discard, client)
		require.NoError(t, err)
		require.NoError(t, <-closed)
		assert.EqualValues(t, sent, got)
	})
}

// Over TLS the first write fails with the handshake. The read that waits for the
// answer tells why.
func TestConnReadTellsWhyTheHandshakeFailed(t *testing.T) {
	if nng.LinkInfo().TLSEngine == "none" {
		t.Skip("this libnng has no TLS")
	}
	srv := newServerURL(t, "https://127.0.0.1:0", serverTLS(t), newHandler(t, "/", text("x")))
	client, err := nng.NewClient("https://" + address(t, srv))
	require.NoError(t, err)
	defer client.Close()
	cfg, err := nng.NewTLSConfig(nng.TLSClient)
	require.NoError(t, err)
	defer cfg.Close()
	require.NoError(t, cfg.SetCAChain(testCert().cert, ""))
	require.NoError(t, cfg.SetServerName("other.example"))
	require.NoError(t, client.SetTLS(cfg))
	for range 20 {
		conn, err := client.Connect(timeout(t, 10*time.Second))
		require.NoError(t, err)
		_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err, "it is only queued")
		_, err = conn.Read(make([]byte, 10))
		if !errors.Is(err, nng.ErrCrypto) && !errors.Is(err, nng.ErrPeerAuth) {
			t.Errorf("the read says: %v", err)
		}
		require.NoError(t, conn.Close())
	}
}
