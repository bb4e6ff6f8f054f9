package interop

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gonng/nnghttp/nethttp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"
)

// A server that is not net/http's runs on connections that nng has accepted.
func TestFastHTTPOnListener(t *testing.T) {
	l, err := nethttp.Listen("http://127.0.0.1:0", "/")
	require.NoError(t, err)
	srv := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) {
		ctx.Response.Header.Set("Got", string(ctx.Request.Header.Peek("X-Name")))
		ctx.Write(ctx.Method())
		ctx.Write(ctx.PostBody())
	}}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for range 3 {
		for _, body := range []io.Reader{strings.NewReader("hello"), io.MultiReader(strings.NewReader(strings.Repeat("x", 100_000)))} {
			req, err := http.NewRequest("POST", "http://"+l.Addr().String()+"/path", body)
			require.NoError(t, err)
			req.Header.Set("X-Name", "value")
			res, err := client.Do(req)
			require.NoError(t, err)
			got, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			res.Body.Close()
			assert.Equal(t, 200, res.StatusCode)
			assert.Equal(t, "value", res.Header.Get("Got"))
			assert.True(t, string(got) == "POSThello" || len(got) == 100_004, "%d bytes", len(got))
		}
	}
	client.CloseIdleConnections()
	require.NoError(t, srv.Shutdown())
	require.NoError(t, <-served)
}
