package interop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/gonng/nnghttp/nethttp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

type (
	str    = wrapperspb.StringValue
	number = wrapperspb.Int64Value
	empty  = emptypb.Empty
)

// The procedures, as generated code would name them.
const (
	procUpper = "/test.v1.Test/Upper"
	procFail  = "/test.v1.Test/Fail"
	procCount = "/test.v1.Test/Count"
	procSum   = "/test.v1.Test/Sum"
	procWait  = "/test.v1.Test/Wait"
	procTalk  = "/test.v1.Test/Talk"
)

// compressFrom is how many bytes a message must have for the server to compress it.
const compressFrom = 1000

// A testService is what the procedures do.
type testService struct {
	step chan int64    // what the running stream sends next
	gone chan struct{} // told when a stream's context has ended
}

func (s *testService) handler() http.Handler {
	small := connect.WithCompressMinBytes(compressFrom)
	mux := http.NewServeMux()
	mux.Handle(procUpper, connect.NewUnaryHandler(procUpper,
		func(_ context.Context, r *connect.Request[str]) (*connect.Response[str], error) {
			res := connect.NewResponse(wrapperspb.String(strings.ToUpper(r.Msg.GetValue())))
			res.Header().Set("Asked", r.HTTPMethod()+" "+r.Header().Get("Who"))
			res.Trailer().Set("At-Last", "trailer")
			return res, nil
		}, small, connect.WithIdempotency(connect.IdempotencyNoSideEffects)))
	mux.Handle(procFail, connect.NewUnaryHandler(procFail,
		func(context.Context, *connect.Request[empty]) (*connect.Response[empty], error) {
			return nil, failure()
		}, small))
	// Count sends as many messages as it is asked for, one at each step; a step below 0 is
	// a failure.
	mux.Handle(procCount, connect.NewServerStreamHandler(procCount,
		func(ctx context.Context, r *connect.Request[number], stream *connect.ServerStream[str]) error {
			stream.ResponseHeader().Set("Asked", r.Header().Get("Who"))
			stream.ResponseTrailer().Set("At-Last", "trailer")
			for i := int64(0); i != r.Msg.GetValue(); i++ {
				select {
				case n := <-s.step:
					if n < 0 {
						return failure()
					}
					if err := stream.Send(wrapperspb.String(countText(i, n))); err != nil {
						return err
					}
				case <-ctx.Done():
					s.gone <- struct{}{}
					return ctx.Err()
				}
			}
			return nil
		}, small))
	mux.Handle(procSum, connect.NewClientStreamHandler(procSum,
		func(_ context.Context, stream *connect.ClientStream[number]) (*connect.Response[number], error) {
			var sum int64
			for stream.Receive() {
				sum += stream.Msg().GetValue()
			}
			return connect.NewResponse(wrapperspb.Int64(sum)), stream.Err()
		}, small))
	mux.Handle(procWait, connect.NewUnaryHandler(procWait,
		func(ctx context.Context, _ *connect.Request[empty]) (*connect.Response[empty], error) {
			if _, has := ctx.Deadline(); !has {
				return nil, errors.New("no deadline has come with the request")
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}, small))
	mux.Handle(procTalk, connect.NewBidiStreamHandler(procTalk,
		func(context.Context, *connect.BidiStream[str, str]) error { return nil }, small))
	return mux
}

// countText is message i of a stream, n times over.
func countText(i, n int64) string { return strings.Repeat(fmt.Sprint("step ", i, " "), int(n)) }

func failure() error {
	err := connect.NewError(connect.CodeFailedPrecondition, errors.New("grüße: not like this"))
	for _, str := range []string{"the first detail", "détail n° 2"} {
		detail, e := connect.NewErrorDetail(wrapperspb.String(str))
		if e != nil {
			return e
		}
		err.AddDetail(detail)
	}
	err.Meta().Set("Reason", "a test")
	err.Meta().Set("Token-Bin", connect.EncodeBinaryHeader([]byte{0, 1, 0xff}))
	return err
}

// isFailure fails the test unless all of the error has arrived.
func isFailure(t *testing.T, err error) {
	t.Helper()
	var e *connect.Error
	require.ErrorAs(t, err, &e)
	assert.True(t, connect.IsWireError(err), "it is not the server's")
	assert.Equal(t, connect.CodeFailedPrecondition, e.Code())
	assert.Equal(t, "grüße: not like this", e.Message())
	var details []string
	for _, d := range e.Details() {
		v, err := d.Value()
		require.NoError(t, err)
		details = append(details, v.(*str).GetValue())
	}
	assert.Equal(t, []string{"the first detail", "détail n° 2"}, details)
	assert.Equal(t, "a test", e.Meta().Get("Reason"))
	token, err := connect.DecodeBinaryHeader(e.Meta().Get("Token-Bin"))
	require.NoError(t, err)
	assert.Equal(t, []byte{0, 1, 0xff}, token)
}

// A wire notes the last exchange: its fields, and how long its bodies were.
type wire struct {
	transport http.RoundTripper

	mu             sync.Mutex
	req            *http.Request
	res            *http.Response
	sent, received int
}

func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.req, w.res, w.sent, w.received = req, nil, 0, 0
	w.mu.Unlock()
	if req.Body != nil && req.Body != http.NoBody {
		req = req.Clone(req.Context())
		req.Body = &counted{req.Body, w, &w.sent}
	}
	res, err := w.transport.RoundTrip(req)
	if err == nil {
		res.Body = &counted{res.Body, w, &w.received}
		w.mu.Lock()
		w.res = res
		w.mu.Unlock()
	}
	return res, err
}

// response is the head of the last one, if there was one.
func (w *wire) response() *http.Response {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.res
}

// sizes tells how long the bodies have been so far.
func (w *wire) sizes() (sent, received int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sent, w.received
}

type counted struct {
	io.ReadCloser
	w *wire
	n *int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	*c.n += n
	return n, err
}

// Connect's RPCs between our server, our transport and net/http's: each of the protocols
// that do without HTTP/2, in both codecs.
func TestConnect(t *testing.T) {
	t.Parallel()
	ours := func(t *testing.T, h http.Handler) string { return mount(t, h) }
	std := func(t *testing.T, h http.Handler) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return s.Listener.Addr().String()
	}
	nngTransport := func(t *testing.T) http.RoundTripper {
		tr := nethttp.Transport(nil)
		t.Cleanup(tr.CloseIdleConnections)
		return tr
	}
	stdTransport := func(t *testing.T) http.RoundTripper { return newClient(t).Transport }
	for _, ends := range []struct {
		name      string
		serve     func(*testing.T, http.Handler) string
		transport func(*testing.T) http.RoundTripper
	}{
		{"server", ours, stdTransport},
		{"transport", std, nngTransport},
		{"both", ours, nngTransport},
	} {
		for _, protocol := range []struct {
			name    string
			options []connect.ClientOption
		}{
			{"protobuf", nil},
			{"JSON", []connect.ClientOption{connect.WithProtoJSON()}},
			{"gRPC-Web", []connect.ClientOption{connect.WithGRPCWeb()}},
			{"gRPC-Web JSON", []connect.ClientOption{connect.WithGRPCWeb(), connect.WithProtoJSON()}},
		} {
			t.Run(ends.name+"/"+protocol.name, func(t *testing.T) {
				t.Parallel()
				s := &testService{step: make(chan int64), gone: make(chan struct{}, 10)}
				c := &connectTest{
					service: s,
					url:     "http://" + ends.serve(t, s.handler()),
					wire:    &wire{transport: ends.transport(t)},
					options: protocol.options,
					grpc:    strings.HasPrefix(protocol.name, "gRPC"),
					json:    strings.HasSuffix(protocol.name, "JSON"),
				}
				t.Run("unary", c.unary)
				t.Run("GET", c.get)
				t.Run("compression", c.compression)
				t.Run("error", c.fails)
				t.Run("unknown", c.unknown)
				t.Run("client stream", c.clientStream)
				t.Run("server stream", c.serverStream)
				t.Run("deadline", c.deadline)
				t.Run("canceled stream", c.canceled)
			})
		}
	}
}

type connectTest struct {
	service    *testService
	url        string
	wire       *wire
	options    []connect.ClientOption
	grpc, json bool
}

// of makes the client of a procedure.
func of[Req, Res any](c *connectTest, procedure string, options ...connect.ClientOption) *connect.Client[Req, Res] {
	return connect.NewClient[Req, Res](&http.Client{Transport: c.wire, Timeout: soon}, c.url+procedure, append(options, c.options...)...)
}

func (c *connectTest) unary(t *testing.T) {
	client := of[str, str](c, procUpper)
	for range 5 {
		req := connect.NewRequest(wrapperspb.String("grün, 日本語"))
		req.Header().Set("Who", "me")
		res, err := client.CallUnary(t.Context(), req)
		require.NoError(t, err)
		assert.Equal(t, "GRÜN, 日本語", res.Msg.GetValue())
		assert.Equal(t, "POST me", res.Header().Get("Asked"))
		assert.Equal(t, "trailer", res.Trailer().Get("At-Last"))
		assert.Equal(t, "HTTP/1.1", c.wire.response().Proto)
	}
	kind := map[bool]string{false: "proto", true: "json"}[c.json]
	if c.grpc {
		kind = "grpc-web+" + kind
	}
	assert.Equal(t, "application/"+kind, c.wire.req.Header.Get("Content-Type"))
	assert.Equal(t, "application/"+kind, c.wire.response().Header.Get("Content-Type"))
	_, err := client.CallUnary(t.Context(), connect.NewRequest(&str{}))
	require.NoError(t, err, "an empty message")
}

func (c *connectTest) compression(t *testing.T) {
	coding := map[bool]string{false: "Content-Encoding", true: "Grpc-Encoding"}[c.grpc]
	for size, want := range map[int]string{compressFrom / 10: "", 1000 * compressFrom: "gzip"} {
		msg := strings.Repeat("a", size)
		for name, gzip := range map[string]bool{"plain": false, "gzip": true} {
			options := []connect.ClientOption{connect.WithCompressMinBytes(compressFrom)}
			if gzip {
				options = append(options, connect.WithSendGzip())
			}
			res, err := of[str, str](c, procUpper, options...).CallUnary(t.Context(), connect.NewRequest(wrapperspb.String(msg)))
			require.NoError(t, err)
			require.True(t, res.Msg.GetValue() == strings.ToUpper(msg), "%s: another message of %d bytes", name, len(res.Msg.GetValue()))
			if !c.grpc { // there, each message says it
				assert.Equal(t, want, c.wire.response().Header.Get(coding), name)
				if gzip {
					assert.Equal(t, want, c.wire.req.Header.Get(coding), name)
				}
			}
			sent, received := c.wire.sizes()
			assert.Equal(t, gzip && want != "", sent < size, "%s: %d bytes sent of %d", name, sent, size)
			assert.Equal(t, want != "", received < size, "%s: %d bytes received of %d", name, received, size)
		}
	}
}

func (c *connectTest) fails(t *testing.T) {
	for range 3 {
		_, err := of[empty, empty](c, procFail).CallUnary(t.Context(), connect.NewRequest(&empty{}))
		isFailure(t, err)
	}
	assert.Equal(t, map[bool]int{false: 400, true: 200}[c.grpc], c.wire.response().StatusCode)
}

func (c *connectTest) clientStream(t *testing.T) {
	stream := of[number, number](c, procSum).CallClientStream(t.Context())
	for i := range int64(100) {
		require.NoError(t, stream.Send(wrapperspb.Int64(i)))
	}
	res, err := stream.CloseAndReceive()
	require.NoError(t, err)
	assert.EqualValues(t, 4950, res.Msg.GetValue())
}

// serverStream takes the messages one by one, while the handler waits for the next step.
func (c *connectTest) serverStream(t *testing.T) {
	begin := func(n int64) *connect.ServerStreamForClient[str] {
		t.Helper()
		req := connect.NewRequest(wrapperspb.Int64(n))
		req.Header().Set("Who", "me")
		// Up to the head of the response: that comes with the first message.
		go c.service.take(t, 1)
		stream, err := of[number, str](c, procCount).CallServerStream(t.Context(), req)
		require.NoError(t, err)
		return stream
	}
	steps := []int64{1, 2, 0, 10_000, 3} // one is empty, and one is compressed
	stream := begin(int64(len(steps)))
	received := 0
	for i, n := range steps {
		if i > 0 {
			c.service.take(t, n)
		}
		require.True(t, stream.Receive(), "message %d: %v", i, stream.Err())
		require.True(t, stream.Msg().GetValue() == countText(int64(i), n), "message %d is another one", i)
		_, now := c.wire.sizes()
		assert.Greater(t, now, received)
		if n == 10_000 {
			assert.Less(t, now-received, 10_000, "not compressed")
		}
		received = now
	}
	assert.False(t, stream.Receive())
	require.NoError(t, stream.Err())
	assert.Equal(t, "me", stream.ResponseHeader().Get("Asked"))
	assert.Equal(t, "trailer", stream.ResponseTrailer().Get("At-Last"))
	require.NoError(t, stream.Close())

	// And one that fails behind some messages.
	stream = begin(-1)
	for i := range int64(2) {
		if i > 0 {
			c.service.take(t, 1)
		}
		require.True(t, stream.Receive(), "message %d: %v", i, stream.Err())
	}
	c.service.take(t, -1)
	assert.False(t, stream.Receive())
	isFailure(t, stream.Err())
	require.NoError(t, stream.Close())
}

// take lets the running stream take a step.
func (s *testService) take(t *testing.T, n int64) {
	select {
	case s.step <- n:
	case <-time.After(soon):
		t.Error("the stream takes no step")
	}
}

func (c *connectTest) canceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go c.service.take(t, 1)
	stream, err := of[number, str](c, procCount).CallServerStream(ctx, connect.NewRequest(wrapperspb.Int64(-1)))
	require.NoError(t, err)
	require.True(t, stream.Receive(), "%v", stream.Err())
	cancel()
	assert.False(t, stream.Receive())
	assert.Equal(t, connect.CodeCanceled, connect.CodeOf(stream.Err()))
	_ = stream.Close()
	happens(t, c.service.gone, "the handler's context has ended")
}

func (c *connectTest) deadline(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := of[empty, empty](c, procWait).CallUnary(ctx, connect.NewRequest(&empty{}))
	assert.Equal(t, connect.CodeDeadlineExceeded, connect.CodeOf(err), "%v", err)
}

// get asks with the message in the query.
func (c *connectTest) get(t *testing.T) {
	req := connect.NewRequest(wrapperspb.String("a + b & ü%"))
	req.Header().Set("Who", "me")
	res, err := of[str, str](c, procUpper, connect.WithHTTPGet(), connect.WithIdempotency(connect.IdempotencyNoSideEffects)).
		CallUnary(t.Context(), req)
	require.NoError(t, err)
	assert.Equal(t, "A + B & Ü%", res.Msg.GetValue())
	method := map[bool]string{false: "GET", true: "POST"}[c.grpc] // gRPC has none
	assert.Equal(t, method+" me", res.Header().Get("Asked"))
}

// unknown asks for what is not there, or not over HTTP/1.1.
func (c *connectTest) unknown(t *testing.T) {
	_, err := of[str, str](c, "/test.v1.Test/NoSuch").CallUnary(t.Context(), connect.NewRequest(&str{}))
	assert.Equal(t, connect.CodeUnimplemented, connect.CodeOf(err), "%v", err)
	stream := of[str, str](c, procTalk).CallBidiStream(t.Context())
	_ = stream.Send(wrapperspb.String("hello")) // an answer may come before
	require.NoError(t, stream.CloseRequest())
	_, err = stream.Receive()
	require.Error(t, err)
	assert.Equal(t, http.StatusHTTPVersionNotSupported, c.wire.response().StatusCode)
	_ = stream.CloseResponse()
}
