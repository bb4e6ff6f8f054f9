package nng_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gonng/nnghttp/nng"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Responses stay in Go until they are sent (see nng/draft.go). Nobody may notice: the tests
// here send the same response as a draft and made C's before anything else, and compare.

// A recipe is a way to make a response.
type recipe struct {
	name   string
	make   func(*nng.Response) error
	status int    // what it must come to
	body   string // with GET
	draft  bool   // it can be made without C
}

// steps makes a function of changes to a response, the first error of which counts.
func steps(all ...func(*nng.Response) error) func(*nng.Response) error {
	return func(res *nng.Response) error {
		for _, step := range all {
			if err := step(res); err != nil {
				return err
			}
		}
		return nil
	}
}

func setStatus(status int) func(*nng.Response) error {
	return func(res *nng.Response) error { return res.SetStatus(status) }
}

func setHeader(name, value string) func(*nng.Response) error {
	return func(res *nng.Response) error { return res.SetHeader(name, value) }
}

func addHeader(name, value string) func(*nng.Response) error {
	return func(res *nng.Response) error { return res.AddHeader(name, value) }
}

func setData(body string) func(*nng.Response) error {
	return func(res *nng.Response) error { return res.SetData([]byte(body)) }
}

func copyData(body string) func(*nng.Response) error {
	return func(res *nng.Response) error {
		b := []byte(body)
		err := res.CopyData(b)
		clear(b) // it is ours again
		return err
	}
}

func recipes() []recipe {
	large := strings.Repeat("0123456789abcdef", 1<<16) // 1 MiB
	all := []recipe{
		{"bare", steps(), 200, "", true},
		{"body", steps(setData("body")), 200, "body", true},
		{"body copied", steps(copyData("body")), 200, "body", true},
		{"emptied, nil", func(res *nng.Response) error { return res.SetData(nil) }, 200, "", true},
		{"emptied, nil copied", func(res *nng.Response) error { return res.CopyData(nil) }, 200, "", true},
		{"emptied", steps(setData("")), 200, "", true},
		{"large body", steps(setData(large)), 200, large, true},
		{"large body copied", steps(copyData(large)), 200, large, true},
		{"body twice", steps(setData("first, longer"), setData("second")), 200, "second", true},
		{"body copied twice", steps(copyData("first"), copyData("second, longer")), 200, "second, longer", true},
		{"body, then copied", steps(setData("first"), copyData("second")), 200, "second", true},
		{"body copied, then not", steps(copyData("first"), setData("second")), 200, "second", true},
		{"emptied behind a body", steps(setData("first"), setData("")), 200, "", true},
		{"emptied behind a copied body", steps(copyData("first"), copyData("")), 200, "", true},
		{"bytes of all kinds", steps(copyData("\x00\r\n\r\nHTTP/1.1 \xff")), 200, "\x00\r\n\r\nHTTP/1.1 \xff", true},
		{"headers", steps(setHeader("Content-Type", "text/plain"), addHeader("X-One", "1"), setHeader("x-two", "a: b, c"),
			setHeader("X-Empty", ""), setHeader("X-Tab", " a\tb "), setHeader("X-Bytes", "\x80\xff é"), setData("body")), 200, "body", true},
		{"headers, one a part of another's name", steps(setHeader("X-Long", "1"), setHeader("X-Lon", "2"), setHeader("X-Longer", "3"),
			setHeader("X", "4"), setHeader("1", "X-Long: 5")), 200, "", true},
		{"headers behind the body", steps(setData("body"), setHeader("X-One", "1"), setStatus(404)), 404, "body", true},
		{"header set twice", steps(setHeader("X-One", "1"), setHeader("X-Two", "2"), setHeader("x-one", "3"), setData("body")), 200, "body", false},
		{"header added twice", steps(addHeader("X-One", "1"), addHeader("X-Two", "2"), addHeader("X-ONE", "3"), copyData("body")), 200, "body", false},
		{"header set, then added", steps(setData("body"), setHeader("X-One", ""), addHeader("X-One", "2"), setHeader("X-Two", "2")), 200, "body", false},
		{"header added, then set", steps(addHeader("Vary", "a"), addHeader("Vary", "b"), setHeader("Vary", "c")), 200, "", false},
		{"header removed", steps(setHeader("X-One", "1"), setHeader("X-Two", "2"), (func(res *nng.Response) error { return res.DelHeader("x-one") })), 200, "", false},
		{"length", steps(setHeader("Content-Length", "0")), 200, "", false},
		{"length of what HEAD does not get", steps(setHeader("content-length", "7"), setData("7 bytes")), 200, "7 bytes", false},
		{"length behind the body", steps(setData("body"), setHeader("Content-Length", "4")), 200, "body", false},
		{"connection close", steps(setHeader("Connection", "close"), setData("body")), 200, "body", false},
		{"connection close, among others", steps(setData("body"), setHeader("connection", "X-One, Close")), 200, "body", false},
		{"connection keep-alive", steps(setHeader("X-One", "1"), setHeader("Connection", "keep-alive"), setData("body")), 200, "body", false},
		{"transfer encoding", steps(setHeader("X-One", "1"), setHeader("Transfer-Encoding", "chunked")), 200, "", false},
		{"reason", steps(func(res *nng.Response) error { return res.SetReason("Fine") }, setData("body")), 200, "body", false},
		{"usual reason", steps(setStatus(502), func(res *nng.Response) error { return res.SetReason("") }, setData("body")), 502, "body", false},
		{"reason, then status", steps(func(res *nng.Response) error { return res.SetReason("Fine") }, setStatus(404)), 404, "", false},
		{"version", steps(func(res *nng.Response) error { return res.SetVersion("HTTP/1.0") }, setData("body")), 200, "body", false},
		{"reset", steps(setStatus(404), setHeader("X-One", "1"), copyData("body"), (*nng.Response).Reset, setHeader("X-Two", "2")), 200, "", false},
		{"status twice", steps(setStatus(404), setStatus(201), setData("body")), 201, "body", true},
		{"status, then no body", steps(setData("body"), setStatus(204)), 204, "", true},
		{"no body for a moment", steps(setStatus(204), setData("body"), setStatus(200)), 200, "body", true},
		{"64 KiB in one header", steps(setHeader("X-Long", strings.Repeat("x", 64<<10)), setHeader("X-One", "1"), setData("body")), 200, "body", true},
		{"more than 64 KiB of headers", func(res *nng.Response) error {
			for i := range 10 {
				if err := res.SetHeader("X-Long-"+strconv.Itoa(i), strings.Repeat(strconv.Itoa(i), 8000)); err != nil {
					return err
				}
			}
			return res.CopyData([]byte("body"))
		}, 200, "body", true},
		{"1000 headers", func(res *nng.Response) error {
			for i := range 1000 {
				if err := res.AddHeader("X-"+strconv.Itoa(i), strconv.Itoa(i)); err != nil {
					return err
				}
			}
			return res.SetData([]byte("body"))
		}, 200, "body", true},
	}
	for _, status := range []int{200, 201, 204, 304, 199, 299, 302, 404, 413, 500, 502, 505, 511, 599, 999} {
		body := "a body"
		if status < 200 || status == 204 || status == 304 {
			body = ""
		}
		all = append(all, recipe{fmt.Sprint("status ", status), steps(setStatus(status), setHeader("X-One", "1"), setData("a body")), status, body, true})
		all = append(all, recipe{fmt.Sprint("status ", status, " without a body"), steps(setStatus(status), setHeader("X-One", "1")), status, "", true})
	}
	return all
}

// Recipes become responses of the same kind either way, and those that can stay drafts do.
func TestDraftStaysInGo(t *testing.T) {
	objects := func() int64 { return nng.LiveObjects()["requests and responses"] }
	for _, r := range recipes() {
		res := newResponse(t)
		before := objects()
		require.NoError(t, r.make(res), r.name)
		assert.Equal(t, r.draft, objects() == before, "%s: is it still a draft?", r.name)
		res.Status()
		assert.Equal(t, before+1, objects(), "%s: a question makes it C's", r.name)
		require.NoError(t, res.Close())
		assert.Equal(t, before, objects(), "%s: and Close ends it", r.name)
	}
}

// Asked for anything a draft answers what C's would.
func TestDraftAnswersAsC(t *testing.T) {
	for _, r := range recipes() {
		if strings.HasPrefix(r.name, "emptied") { // of which a draft does not remember that it makes a Content-Length
			continue
		}
		draft, made := newResponse(t), newResponse(t)
		assert.Equal(t, 200, made.Status())
		require.NoError(t, r.make(draft), r.name)
		require.NoError(t, r.make(made), r.name)
		fields := func(res *nng.Response) (all []string) {
			list, err := res.Headers()
			require.NoError(t, err)
			for _, f := range list {
				all = append(all, f.Name+": "+f.Value)
			}
			slices.Sort(all)
			return all
		}
		// Each question first to a draft of its own: it is what makes it C's.
		for _, ask := range []func(*nng.Response) any{
			func(res *nng.Response) any { return fields(res) },
			func(res *nng.Response) any { return string(res.Data()) },
			func(res *nng.Response) any { return res.Status() },
			func(res *nng.Response) any { return res.Reason() },
			func(res *nng.Response) any { return res.Version() },
			func(res *nng.Response) any { return res.Header("x-one") + "|" + res.Header("X-Two") },
			func(res *nng.Response) any { return res.Header("Content-Length") },
			func(res *nng.Response) any { return fmt.Sprint(res.DelHeader("X-One")) },
		} {
			fresh := newResponse(t)
			require.NoError(t, r.make(fresh), r.name)
			want := ask(made)
			assert.Equal(t, want, ask(fresh), r.name)
			assert.Equal(t, want, ask(draft), "%s, C's already", r.name)
			require.NoError(t, fresh.Close())
		}
		require.NoError(t, draft.Close())
		require.NoError(t, made.Close())
	}
}

// A sent response is what came of one over a connection, up to its end.
type sentResponse struct {
	line   string
	fields []string // sorted
	rest   string   // all bytes behind the head, up to the reply of the second request
	stays  bool     // the second request was answered
}

// sendTwice sends a request and a second one behind it, and splits what comes back.
func sendTwice(t *testing.T, addr, request string) (sent sentResponse, stream []byte) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = io.WriteString(conn, request+"GET /second HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	require.NoError(t, err)
	stream, err = io.ReadAll(conn)
	require.NoError(t, err)
	head, rest, ok := strings.Cut(string(stream), "\r\n\r\n")
	require.True(t, ok, "%.200q", stream)
	lines := strings.Split(head, "\r\n")
	sent.line, sent.fields = lines[0], slices.Sorted(slices.Values(lines[1:]))
	second := strings.LastIndex(rest, "HTTP/1.1 200 OK")
	if second >= 0 && strings.HasSuffix(rest, "the second") {
		sent.stays, rest = true, rest[:second]
	}
	sent.rest = rest
	return sent, stream
}

func TestDraftIsSentAsC(t *testing.T) {
	all := recipes()
	recipeOf := func(req *nng.Request) recipe {
		_, query, _ := strings.Cut(req.URI(), "?")
		i, _ := strconv.Atoi(query)
		return all[i]
	}
	srv := newServer(t,
		newHandler(t, "/draft", func(_ context.Context, _ *nng.Conn, req *nng.Request) (*nng.Response, error) {
			res, err := nng.NewResponse()
			if err != nil {
				return nil, err
			}
			return res, recipeOf(req).make(res)
		}),
		newHandler(t, "/made", func(_ context.Context, _ *nng.Conn, req *nng.Request) (*nng.Response, error) {
			res, err := nng.NewResponse()
			if err != nil {
				return nil, err
			}
			if res.Status() != 200 { // which makes the response C's
				return nil, nng.ErrInternal
			}
			return res, recipeOf(req).make(res)
		}),
		newHandler(t, "/second", text("the second")))
	addr := address(t, srv)
	for i, r := range all {
		for _, method := range []string{"GET", "HEAD"} {
			for _, rest := range []string{" HTTP/1.1\r\nHost: x\r\n\r\n", " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
				" HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n", " HTTP/1.0\r\n\r\n", " HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"} {
				what := fmt.Sprintf("%s, %s%q", r.name, method, rest)
				draft, stream := sendTwice(t, addr, method+" /draft?"+strconv.Itoa(i)+rest)
				made, _ := sendTwice(t, addr, method+" /made?"+strconv.Itoa(i)+rest)
				assert.Equal(t, made.line, draft.line, what)
				assert.Equal(t, made.fields, draft.fields, what)
				assert.True(t, made.rest == draft.rest, "%s: bodies %.40q and %.40q", what, made.rest, draft.rest)
				assert.Equal(t, made.stays, draft.stays, what)

				// And they are what was meant. An encoding that is not there is not for Go's
				// client.
				if r.name == "transfer encoding" {
					continue
				}
				res, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(stream)), &http.Request{Method: method})
				require.NoError(t, err, what)
				body, err := io.ReadAll(res.Body)
				require.NoError(t, err, what)
				assert.Equal(t, r.status, res.StatusCode, what)
				want := r.body
				if method == "HEAD" {
					want = ""
				}
				assert.True(t, want == string(body), "%s: body %.40q", what, body)
				assert.Equal(t, want, draft.rest, "%s: nothing behind the body", what)
				if res.StatusCode >= 200 && res.StatusCode != 204 && res.StatusCode != 304 {
					assert.Equal(t, strconv.Itoa(len(r.body)), res.Header.Get("Content-Length"), what)
					if r.name != "version" { // which is all that HTTP/1.0 changes
						assert.Equal(t, !res.Close, draft.stays, what)
					}
				}
			}
		}
	}
}

// Every reason phrase that C knows, and those that it does not.
func TestDraftReasons(t *testing.T) {
	srv := newServer(t, newHandler(t, "/", func(_ context.Context, _ *nng.Conn, req *nng.Request) (*nng.Response, error) {
		res, err := nng.NewResponse()
		if err != nil {
			return nil, err
		}
		status, _ := strconv.Atoi(strings.TrimPrefix(req.URI(), "/?"))
		return res, res.SetStatus(status)
	}))
	conn, r := dialKeepAlive(t, srv)
	for status := 200; status <= 999; status++ {
		if status == 204 || status == 304 {
			continue
		}
		res := newResponse(t)
		require.NoError(t, res.SetStatus(status))
		want := res.Reason()
		require.NoError(t, res.Close())
		_, err := fmt.Fprintf(conn, "GET /?%d HTTP/1.1\r\nHost: x\r\n\r\n", status)
		require.NoError(t, err)
		got, err := http.ReadResponse(r, nil)
		require.NoError(t, err)
		assert.Equal(t, fmt.Sprint(status, " ", want), got.Status)
	}
}

// dialKeepAlive opens a connection for several requests.
func dialKeepAlive(t *testing.T, srv *nng.Server) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", address(t, srv))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	return conn, bufio.NewReader(conn)
}

func TestDraftClosed(t *testing.T) {
	for name, make := range map[string]func(*nng.Response) error{
		"bare": steps(), "with all": steps(setStatus(404), setHeader("X-One", "1"), copyData("body")), "with pinned body": setData("body"),
	} {
		res, err := nng.NewResponse()
		require.NoError(t, err)
		require.NoError(t, make(res), name)
		require.NoError(t, res.Close())
		require.NoError(t, res.Close(), name)
		for op, err := range map[string]error{
			"SetStatus":  res.SetStatus(200),
			"SetHeader":  res.SetHeader("X-Two", "2"),
			"AddHeader":  res.AddHeader("X-Two", "2"),
			"DelHeader":  res.DelHeader("X-One"),
			"SetData":    res.SetData([]byte("x")),
			"CopyData":   res.CopyData([]byte("x")),
			"SetReason":  res.SetReason("x"),
			"SetVersion": res.SetVersion("HTTP/1.1"),
			"Reset":      res.Reset(),
			"Headers":    errOf(res.Headers()),
		} {
			assert.ErrorIs(t, err, nng.ErrClosed, "%s, %s", name, op)
			assert.ErrorIs(t, err, net.ErrClosed, "%s, %s", name, op)
		}
		assert.Zero(t, res.Status(), name)
		assert.Empty(t, res.Reason(), name)
		assert.Empty(t, res.Version(), name)
		assert.Empty(t, res.Header("X-One"), name)
		assert.Nil(t, res.Data(), name)
	}
}

// A draft that a handler has returned is the server's.
func TestDraftReturnedIsClosed(t *testing.T) {
	returned := make(chan *nng.Response, 1)
	srv := newServer(t, newHandler(t, "/", func(ctx context.Context, c *nng.Conn, r *nng.Request) (*nng.Response, error) {
		res, err := text("body")(ctx, c, r)
		returned <- res
		return res, err
	}))
	assert.Equal(t, "body", get(t, httpURL(t, srv)+"/"))
	res := <-returned
	assert.ErrorIs(t, res.SetStatus(404), nng.ErrClosed)
	assert.ErrorIs(t, res.SetHeader("X-One", "1"), nng.ErrClosed)
	assert.ErrorIs(t, res.SetData(nil), nng.ErrClosed)
	assert.ErrorIs(t, res.Reset(), nng.ErrClosed)
	assert.Zero(t, res.Status())
	assert.NoError(t, res.Close())

	// Returned twice it is an error the second time, not the first one's bytes.
	captureLog(t)
	var once sync.Once
	var shared *nng.Response
	srv = newServer(t, newHandler(t, "/", func(ctx context.Context, c *nng.Conn, r *nng.Request) (_ *nng.Response, err error) {
		once.Do(func() { shared, err = text("shared")(ctx, c, r) })
		return shared, err
	}))
	assert.Equal(t, "shared", get(t, httpURL(t, srv)+"/"))
	assert.Equal(t, 500, ask(t, "GET", httpURL(t, srv)+"/", "").StatusCode)
}

// An error beside a draft wins, and nothing of the draft is sent.
func TestDraftBesideAnError(t *testing.T) {
	log := captureLog(t)
	beside := func(err error) nng.HandlerFunc {
		return func(ctx context.Context, c *nng.Conn, r *nng.Request) (*nng.Response, error) {
			res, _ := text("unseen")(ctx, c, r)
			return res, err
		}
	}
	srv := newServer(t, newHandler(t, "/error", beside(io.ErrNoProgress)), newHandler(t, "/abort", beside(nng.ErrAbortHandler)))
	reply := exchange(t, address(t, srv), "GET /error HTTP/1.1\r\nHost: x\r\n\r\n")
	assert.Equal(t, []string{"500"}, statuses(reply))
	assert.NotContains(t, reply, "unseen")
	assert.Contains(t, log.String(), io.ErrNoProgress.Error())
	assert.Empty(t, exchange(t, address(t, srv), "GET /abort HTTP/1.1\r\nHost: x\r\n\r\n"))
}

// CopyData copies at once; SetData's slice is looked at when the response is sent.
func TestDraftBodyMemory(t *testing.T) {
	change := func(set func(*nng.Response, []byte) error) nng.HandlerFunc {
		return func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
			res, err := nng.NewResponse()
			if err != nil {
				return nil, err
			}
			b := []byte("before")
			err = set(res, b)
			copy(b, "after!")
			return res, err
		}
	}
	srv := newServer(t, newHandler(t, "/copy", change((*nng.Response).CopyData)), newHandler(t, "/set", change((*nng.Response).SetData)))
	for range 20 { // the buffers are used again
		assert.Equal(t, "before", get(t, httpURL(t, srv)+"/copy"))
		assert.Equal(t, "after!", get(t, httpURL(t, srv)+"/set"))
	}

	copied, set := newResponse(t), newResponse(t)
	b := []byte("before")
	require.NoError(t, copied.CopyData(b))
	require.NoError(t, set.SetData(b))
	copy(b, "after!")
	assert.Equal(t, "before", string(copied.Data()))
	assert.Equal(t, "after!", string(set.Data()))
	copy(b, "again!")
	assert.Equal(t, "again!", string(set.Data()), "C has it without a copy")
	runtime.GC()
	assert.Equal(t, "again!", string(set.Data()))

	changed := newResponse(t)
	require.NoError(t, changed.CopyData([]byte("first")))
	require.NoError(t, changed.SetData(b))
	require.Equal(t, 200, changed.Status())
	copy(b, "at last")
	assert.Equal(t, "at las", string(changed.Data()), "the last one counts")
	for range 10 { // the copy is C's own, not a buffer that the next draft gets
		require.NoError(t, newResponse(t).CopyData([]byte("others")))
		assert.Equal(t, "before", string(copied.Data()))
	}
}

// Buffers of drafts that are gone must not be seen in others.
func TestDraftsDoNotMix(t *testing.T) {
	srv := newServer(t, newHandler(t, "/", func(_ context.Context, _ *nng.Conn, req *nng.Request) (*nng.Response, error) {
		_, n, _ := strings.Cut(req.URI(), "?")
		size, _ := strconv.Atoi(n)
		res, err := nng.NewResponse()
		if err != nil {
			return nil, err
		}
		dropped, err := nng.NewResponse()
		if err != nil {
			return nil, err
		}
		defer dropped.Close()
		return res, steps(func(*nng.Response) error { return copyData("dropped")(dropped) },
			setHeader("X-N", n), copyData("to be replaced"), copyData(strings.Repeat(n, size)))(res)
	}))
	var clients sync.WaitGroup
	for k := range 8 {
		clients.Go(func() {
			conn, err := net.Dial("tcp", address(t, srv))
			if !assert.NoError(t, err) {
				return
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			r := bufio.NewReader(conn)
			for i := range 100 {
				n := strconv.Itoa(k*100 + i*i)
				fmt.Fprintf(conn, "GET /?%s HTTP/1.1\r\nHost: x\r\n\r\n", n)
				res, err := http.ReadResponse(r, nil)
				if !assert.NoError(t, err) {
					return
				}
				body, err := io.ReadAll(res.Body)
				assert.NoError(t, err)
				size, _ := strconv.Atoi(n)
				assert.Equal(t, n, res.Header.Get("X-N"))
				assert.True(t, strings.Repeat(n, size) == string(body), n)
			}
		})
	}
	clients.Wait()
}

// All methods may be called at once, also while the server takes the response.
func TestDraftConcurrently(t *testing.T) {
	for range 20 {
		res := newResponse(t)
		var all sync.WaitGroup
		for i, use := range []func() error{
			func() error { return res.SetStatus(404) },
			func() error { return res.SetHeader("X-One", "1") },
			func() error { return res.SetHeader("X-Two", "2") },
			func() error { return res.AddHeader("X-Three", "3") },
			func() error { return res.SetData([]byte("body")) },
			func() error { return res.CopyData([]byte("copy")) },
			func() error { res.Status(); return nil },
			func() error { return errOf(res.Headers()) },
		} {
			all.Go(func() { assert.NoError(t, use(), i) })
		}
		all.Wait()
		assert.Equal(t, 404, res.Status())
		assert.Equal(t, "123", res.Header("X-One")+res.Header("X-Two")+res.Header("X-Three"))
		assert.Contains(t, []string{"body", "copy"}, string(res.Data()))
	}

	var users sync.WaitGroup
	users.Add(1) // ours: what a handler adds is then never the first
	srv := newServer(t, newHandler(t, "/", func(ctx context.Context, c *nng.Conn, r *nng.Request) (*nng.Response, error) {
		res, err := text("body")(ctx, c, r)
		if err != nil {
			return nil, err
		}
		for i := range 4 {
			users.Go(func() {
				for n := 0; ; n++ {
					if err := res.SetHeader(fmt.Sprintf("X-%d-%d", i, n%100), "x"); err != nil {
						assert.ErrorIs(t, err, nng.ErrClosed)
						return
					}
				}
			})
		}
		return res, nil
	}))
	for range 20 {
		assert.Equal(t, "body", get(t, httpURL(t, srv)+"/"))
	}
	users.Done()
	users.Wait()
}

// What a draft is used for other than being returned makes it C's.
func TestDraftElsewhere(t *testing.T) {
	for name, body := range map[string]func(*nng.Response) error{"SetData": setData("the body"), "CopyData": copyData("the body")} {
		t.Run(name, func(t *testing.T) {
			make := steps(setStatus(404), setHeader("X-One", "1"), body)
			t.Run("WriteRes", func(t *testing.T) {
				srv := newServer(t, newHandler(t, "/", func(ctx context.Context, conn *nng.Conn, _ *nng.Request) (*nng.Response, error) {
					res, err := nng.NewResponse()
					if err != nil {
						return nil, err
					}
					defer res.Close()
					if err := make(res); err != nil {
						return nil, err
					}
					return nil, conn.WriteRes(ctx, res)
				}))
				for range 2 {
					got := ask(t, "GET", httpURL(t, srv)+"/", "")
					assert.Equal(t, 404, got.StatusCode)
					assert.Equal(t, "1", got.Header.Get("X-One"))
					assert.Equal(t, "the body", got.body)
				}
			})
			t.Run("ResError", func(t *testing.T) {
				srv := newServer(t)
				require.NoError(t, srv.SetErrorPage(404, "<p>nothing here</p>"))
				res := newResponse(t)
				require.NoError(t, make(res))
				require.NoError(t, srv.ResError(res))
				assert.Equal(t, "<p>nothing here</p>", string(res.Data()))
				assert.Equal(t, 404, res.Status())
				assert.Equal(t, "1", res.Header("X-One"))
			})
			t.Run("Transact", func(t *testing.T) {
				srv := newServer(t, newHandler(t, "/", text("from the server")))
				res := newResponse(t)
				require.NoError(t, make(res))
				require.NoError(t, newClient(t, httpURL(t, srv)).Transact(timeout(t, 10*time.Second), newRequest(t, httpURL(t, srv)), res))
				assert.Equal(t, 200, res.Status())
				assert.Equal(t, "from the server", string(res.Data()))
				assert.Empty(t, res.Header("X-One"))
			})
			for what, ask := range map[string]func(*nng.Response) any{
				"Headers": func(res *nng.Response) any {
					list, err := res.Headers()
					require.NoError(t, err)
					return list
				},
				"Data":   func(res *nng.Response) any { return string(res.Data()) },
				"Header": func(res *nng.Response) any { return res.Header("X-One") },
			} {
				t.Run(what, func(t *testing.T) {
					res := newResponse(t)
					require.NoError(t, make(res))
					want := map[string]any{
						"Headers": []nng.HeaderField{{Name: "X-One", Value: "1"}, {Name: "Content-Length", Value: "8"}},
						"Data":    "the body", "Header": "1",
					}[what]
					assert.Equal(t, want, ask(res))
					assert.Equal(t, want, ask(res), "a second time")
					require.NoError(t, res.SetHeader("X-One", "changed"), "it can still be changed")
					require.NoError(t, res.CopyData([]byte("another")))
					assert.Equal(t, "changed", res.Header("X-One"))
					assert.Equal(t, "another", string(res.Data()))
				})
			}
		})
	}
}

const wholeReply = "HTTP/1.1 299 Of My Own\r\nX-One: 1\r\nX-One: 2\r\nContent-Length: 5\r\n\r\nwhole"

func TestWholeResponse(t *testing.T) {
	log := captureLog(t)
	whole := func(reply string, err error) nng.HandlerFunc {
		return func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
			p := []byte(reply)
			res := nng.WholeResponse(p)
			clear(p) // it was copied
			return res, err
		}
	}
	large := strings.Repeat("0123456789abcdef", 1<<16)
	srv := newServer(t,
		newHandler(t, "/", whole(wholeReply, nil)),
		newHandler(t, "/abort", whole(wholeReply, nng.ErrAbortHandler)),
		newHandler(t, "/wrapped", whole(wholeReply, fmt.Errorf("enough: %w", nng.ErrAbortHandler))),
		newHandler(t, "/error", whole(wholeReply, io.ErrNoProgress)),
		newHandler(t, "/empty", whole("", nil)),
		newHandler(t, "/large", whole(large, nng.ErrAbortHandler)),
		newHandler(t, "/closed", func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
			res := nng.WholeResponse([]byte(wholeReply))
			return res, res.Close()
		}),
		newHandler(t, "/behind", func(_ context.Context, conn *nng.Conn, _ *nng.Request) (*nng.Response, error) {
			_, err := io.WriteString(conn, "HTTP/1.1 103 Early Hints\r\n\r\n")
			return nng.WholeResponse([]byte(wholeReply)), err
		}),
		newHandler(t, "/second", text("second")))
	send := func(paths ...string) string {
		request := ""
		for _, path := range paths {
			request += "GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n"
		}
		return exchange(t, address(t, srv), request+"GET /second HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	}
	second := "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecond"
	assert.Equal(t, wholeReply+second, send("/"), "as it is, and the connection lives on")
	assert.Equal(t, wholeReply+wholeReply+second, send("/", "/"))
	assert.Equal(t, wholeReply, send("/abort"), "then it ends")
	assert.Equal(t, wholeReply, send("/wrapped"))
	assert.True(t, large == send("/large"), "all of it is sent before that")
	assert.Equal(t, "HTTP/1.1 103 Early Hints\r\n\r\n"+wholeReply+second, send("/behind"), "behind what was written")
	assert.Empty(t, send("/empty"), "no bytes are no response, and the connection ends")

	// nng frames nothing: not for HEAD, nor for a client that wants the end.
	assert.Equal(t, wholeReply+second, exchange(t, address(t, srv),
		"HEAD / HTTP/1.1\r\nHost: x\r\n\r\nGET /second HTTP/1.1\r\n"+hostClose))
	for _, request := range []string{"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"} {
		got := exchange(t, address(t, srv), request)
		assert.Equal(t, wholeReply, got, request)
	}
	assert.Empty(t, log.String())

	// With another error, or closed, it is none.
	for _, path := range []string{"/error", "/closed"} {
		got := send(path)
		assert.Equal(t, []string{"500"}, statuses(got), "%s: %q", path, got)
		assert.NotContains(t, got, "whole", path)
	}
	assert.Contains(t, log.String(), io.ErrNoProgress.Error())
}

// Nothing can be asked of a WholeResponse, nor changed.
func TestWholeResponseIsClosedToAll(t *testing.T) {
	res := nng.WholeResponse([]byte(wholeReply))
	defer res.Close()
	for op, err := range map[string]error{
		"SetStatus":  res.SetStatus(200),
		"SetHeader":  res.SetHeader("X-Two", "2"),
		"AddHeader":  res.AddHeader("X-Two", "2"),
		"DelHeader":  res.DelHeader("X-One"),
		"SetData":    res.SetData([]byte("x")),
		"CopyData":   res.CopyData([]byte("x")),
		"SetReason":  res.SetReason("x"),
		"SetVersion": res.SetVersion("HTTP/1.1"),
		"Reset":      res.Reset(),
		"Headers":    errOf(res.Headers()),
	} {
		assert.ErrorIs(t, err, nng.ErrState, op)
	}
	assert.Zero(t, res.Status())
	assert.Empty(t, res.Reason())
	assert.Empty(t, res.Version())
	assert.Empty(t, res.Header("X-One"))
	assert.Nil(t, res.Data())
	assert.ErrorIs(t, newServer(t).ResError(res), nng.ErrState)

	conn, peer := wire(t)
	ctx := timeout(t, 10*time.Second)
	assert.ErrorIs(t, conn.WriteRes(ctx, res), nng.ErrState)
	assert.ErrorIs(t, conn.ReadRes(ctx, res), nng.ErrState)
	assert.ErrorIs(t, conn.Transact(ctx, newRequest(t, "http://host/"), res), nng.ErrState)
	_, err := io.WriteString(conn, "unharmed")
	require.NoError(t, err)
	got := make([]byte, 8)
	_, err = io.ReadFull(peer, got)
	require.NoError(t, err)
	assert.Equal(t, "unharmed", string(got))

	require.NoError(t, res.Close())
	assert.ErrorIs(t, res.SetStatus(200), nng.ErrClosed)
	assert.ErrorIs(t, res.SetHeader("X-Two", "2"), nng.ErrClosed)
	assert.ErrorIs(t, res.Reset(), nng.ErrClosed)
}

// For a connection that the handler has taken or closed nothing is sent.
func TestWholeResponseForALostConnection(t *testing.T) {
	captureLog(t)
	taken := make(chan *nng.Conn, 1)
	srv := newServer(t,
		newHandler(t, "/hijack", func(ctx context.Context, conn *nng.Conn, req *nng.Request) (*nng.Response, error) {
			_, err := hijacker(taken)(ctx, conn, req)
			return nng.WholeResponse([]byte(wholeReply)), err
		}),
		newHandler(t, "/close", func(_ context.Context, conn *nng.Conn, _ *nng.Request) (*nng.Response, error) {
			return nng.WholeResponse([]byte(wholeReply)), conn.Close()
		}))
	assert.Empty(t, exchange(t, address(t, srv), "GET /close HTTP/1.1\r\nHost: x\r\n\r\n"))
	conn, r := dialKeepAlive(t, srv)
	_, err := io.WriteString(conn, "GET /hijack HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	mine := <-taken
	_, err = io.WriteString(mine, "mine")
	require.NoError(t, err)
	require.NoError(t, mine.Close())
	got, err := io.ReadAll(r)
	require.NoError(t, err)
	assert.Equal(t, "mine", string(got))
}

// instrumented tells whether the test was built with something that counts as calls into C
// or allocates by itself.
func instrumented() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if (s.Key == "-race" || s.Key == "-asan" || s.Key == "-msan") && s.Value == "true" {
				return s.Key
			}
		}
	}
	if testing.CoverMode() != "" {
		return "-cover"
	}
	return ""
}

// A short answer costs few calls into C and few allocations, on the client's side none.
func TestDraftCost(t *testing.T) {
	if with := instrumented(); with != "" {
		t.Skipf("%s counts differently", with)
	}
	body := []byte("hello, world")
	srv := newServer(t, newHandler(t, "/cost", func(context.Context, *nng.Conn, *nng.Request) (*nng.Response, error) {
		res, err := nng.NewResponse()
		if err != nil {
			return nil, err
		}
		if err := res.SetHeader("Content-Type", "text/plain"); err != nil {
			return nil, err
		}
		return res, res.SetData(body)
	}))
	conn, _ := dialKeepAlive(t, srv)
	request := []byte("GET /cost HTTP/1.1\r\nHost: x\r\n\r\n")
	want := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\nhello, world")
	buf := make([]byte, 1024)
	run := func(n int) {
		for range n {
			if _, err := conn.Write(request); err != nil {
				t.Fatal(err)
			}
			got := 0
			for got < len(want) {
				n, err := conn.Read(buf[got:])
				if err != nil {
					t.Fatal(err)
				}
				got += n
			}
			if !bytes.Equal(want, buf[:got]) {
				t.Fatalf("%q", buf[:got])
			}
		}
	}
	run(2000)
	// Of many short rounds the best: what else goes on in the process is counted too, and on
	// a busy machine the pump looks once more now and then.
	const n = 400
	calls, allocs := 1e9, 1e9
	for range 50 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		c := runtime.NumCgoCall()
		run(n)
		calls = min(calls, float64(runtime.NumCgoCall()-c)/n)
		runtime.ReadMemStats(&after)
		allocs = min(allocs, float64(after.Mallocs-before.Mallocs)/n)
		if calls <= 2 && allocs <= 3 {
			break
		}
	}
	t.Logf("per request: %.2f calls into C, %.2f allocations", calls, allocs)
	if nng.HasLoop() { // else the pump asks once more
		assert.LessOrEqual(t, calls, 2.0)
	}
	assert.LessOrEqual(t, allocs, 3.0)
}

// Head tells where a request comes from, with the rest of it.
func TestRequestHeadRemoteAddr(t *testing.T) {
	heads := make(chan nng.RequestHead, 1)
	tell := func(ctx context.Context, c *nng.Conn, req *nng.Request) (*nng.Response, error) {
		head, err := req.Head()
		if err != nil {
			return nil, err
		}
		known := c.RemoteAddr().String()
		if known == "unknown" {
			known = ""
		}
		assert.Equal(t, known, head.RemoteAddr)
		heads <- head
		return text("x")(ctx, c, req)
	}
	from := func(srv *nng.Server) {
		conn, r := dialKeepAlive(t, srv)
		defer conn.Close()
		for range 2 {
			_, err := io.WriteString(conn, "GET /head?x HTTP/1.1\r\nHost: x\r\nX-One: 1\r\n\r\n")
			require.NoError(t, err)
			_, err = http.ReadResponse(r, nil)
			require.NoError(t, err)
			_, err = r.ReadByte() // the body
			require.NoError(t, err)
			head := <-heads
			require.Equal(t, "GET /head?x HTTP/1.1", head.Method+" "+head.URI+" "+head.Version)
			require.Contains(t, head.Headers, nng.HeaderField{Name: "X-One", Value: "1"})
			if head.RemoteAddr != "" { // shared libraries do not tell it
				require.Equal(t, conn.LocalAddr().String(), head.RemoteAddr)
			}
		}
	}
	srv := newServer(t, newHandler(t, "/head", tell))
	for range 300 { // more than are kept as text
		from(srv)
	}
	if six, err := net.Listen("tcp", "[::1]:0"); err == nil {
		six.Close()
		from(newServerURL(t, "http://[::1]:0", nil, newHandler(t, "/head", tell)))
	}

	own, err := newRequest(t, "http://host/").Head()
	require.NoError(t, err)
	assert.Empty(t, own.RemoteAddr, "a request of one's own comes from nowhere")
}

// A body that is a part of something with pointers may go to C all the same.
func TestDraftBodyInsideAStruct(t *testing.T) {
	type page struct {
		buf  [5]byte
		next *page
	}
	p := &page{next: &page{}}
	copy(p.buf[:], "hello")
	srv := newServer(t, newHandler(t, "/", func(_ context.Context, _ *nng.Conn, req *nng.Request) (*nng.Response, error) {
		res, err := nng.NewResponse()
		if err != nil {
			return nil, err
		}
		if err := res.SetData(p.buf[:]); err != nil {
			return nil, err
		}
		if req.URI() == "/c" {
			return res, res.SetHeader("Connection", "close") // which makes it C's
		}
		return res, res.SetStatus(204)
	}, (*nng.Handler).SetTree))
	assert.Contains(t, exchange(t, address(t, srv), "GET /c HTTP/1.1\r\nHost: x\r\n\r\n"), "\r\n\r\nhello")
	assert.Contains(t, exchange(t, address(t, srv), "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), "HTTP/1.1 204 ")
}
