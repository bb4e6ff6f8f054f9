package interop

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	neturl "net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tmaxmax/go-sse"
)

// httputil.ReverseProxy in front of our server, on our server, and both: bodies and
// WebSockets pass, and an aborted response arrives as such.
func TestReverseProxy(t *testing.T) {
	t.Parallel()
	backend := http.NewServeMux()
	backend.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body) // the first write may skip what is left of it
		_, _ = w.Write(b)
	})
	backend.HandleFunc("/aborted", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "the beginning")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	backend.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		s, err := acceptGorilla(w, r, false)
		if err != nil {
			return
		}
		defer s.drop()
		_ = echoAll(s)
	})
	onStd := func(t *testing.T, h http.Handler) string {
		s := httptest.NewUnstartedServer(h)
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.Start()
		t.Cleanup(s.Close)
		return s.Listener.Addr().String()
	}
	onNNG := func(t *testing.T, h http.Handler) string { return mount(t, h) }
	for _, c := range []struct {
		name           string
		proxy, backend func(*testing.T, http.Handler) string
	}{{"in front", onStd, onNNG}, {"on it", onNNG, onStd}, {"both", onNNG, onNNG}} {
		t.Run(c.name, func(t *testing.T) {
			behind := &neturl.URL{Scheme: "http", Host: c.backend(t, backend)}
			p := &httputil.ReverseProxy{
				Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(behind) },
				Transport: newClient(t).Transport,
				ErrorLog:  log.New(io.Discard, "", 0),
			}
			host := c.proxy(t, p)
			client := newClient(t)
			large := strings.Repeat("0123456789", 100_000)
			for range 3 {
				req, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+host+"/echo", strings.NewReader(large))
				require.NoError(t, err)
				_, body := exchange(t, client, req)
				require.True(t, body == large, "the body has changed on its way")
			}
			res, err := client.Get("http://" + host + "/aborted")
			require.NoError(t, err)
			defer res.Body.Close()
			b, err := io.ReadAll(res.Body)
			assert.Error(t, err)
			assert.Equal(t, "the beginning", string(b))
			ctx, cancel := context.WithTimeout(t.Context(), soon)
			defer cancel()
			s, _, err := dialGorilla(ctx, "ws://"+host+"/ws", false)
			require.NoError(t, err)
			defer s.drop()
			defer context.AfterFunc(ctx, s.drop)()
			require.NoError(t, chat(s, 300))
			require.NoError(t, s.finish())
			_, err = s.receive()
			require.Equal(t, io.EOF, err)
		})
	}
}

// go-sse's server on ours and its client: events come, and those that were missed come
// behind Last-Event-ID.
func TestGoSSE(t *testing.T) {
	t.Parallel()
	replay, err := sse.NewFiniteReplayer(100, true)
	require.NoError(t, err)
	server := &sse.Server{Provider: &sse.Joe{Replayer: replay}}
	host := mount(t, server)
	t.Cleanup(func() { _ = server.Shutdown(context.Background()) })
	for i := range 5 {
		m := &sse.Message{}
		m.AppendData(fmt.Sprint("event ", i))
		require.NoError(t, server.Publish(m))
	}
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+host+"/", nil)
	require.NoError(t, err)
	req.Header.Set("Last-Event-ID", "1")
	res, err := newClient(t).Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	assert.Equal(t, "text/event-stream", res.Header.Get("Content-Type"))
	var got []string
	for e, err := range sse.Read(res.Body, nil) {
		require.NoError(t, err)
		if got = append(got, e.Data); len(got) == 3 {
			break
		}
	}
	assert.Equal(t, []string{"event 2", "event 3", "event 4"}, got)
}
