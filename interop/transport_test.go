package interop

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-resty/resty/v2"
	"github.com/gonng/nnghttp/nethttp"
	"github.com/gonng/nnghttp/nng"
	"github.com/hashicorp/go-retryablehttp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/dnaeon/go-vcr.v4/pkg/recorder"
)

// eachTransport runs a test over http and over https: a server of net/http's, and a
// nethttp.Transport that trusts it.
func eachTransport(t *testing.T, handler func() http.HandlerFunc, test func(t *testing.T, url string, tr *http.Transport)) {
	t.Run("http", func(t *testing.T) {
		srv := httptest.NewServer(handler())
		defer srv.Close()
		tr := nethttp.Transport(nil)
		defer tr.CloseIdleConnections()
		test(t, srv.URL, tr)
	})
	t.Run("https", func(t *testing.T) {
		if nng.LinkInfo().TLSEngine == "none" {
			t.Skip("this libnng has no TLS")
		}
		srv := httptest.NewTLSServer(handler())
		defer srv.Close()
		cfg, err := nng.NewTLSConfig(nng.TLSClient)
		require.NoError(t, err)
		defer cfg.Close()
		ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
		require.NoError(t, cfg.SetCAChain(string(ca), ""))
		require.NoError(t, cfg.SetServerName("example.com"))
		tr := nethttp.Transport(cfg)
		defer tr.CloseIdleConnections()
		test(t, srv.URL, tr)
	})
}

// fails answers 503 or drops the connection a few times before it echoes.
func fails(times int32) func() http.HandlerFunc {
	return func() http.HandlerFunc {
		var calls atomic.Int32
		return func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			switch n := calls.Add(1); {
			case n > times:
				w.Header().Set("Calls", fmt.Sprint(n))
				w.Header().Set("Content-Type", "text/plain")
				fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.Path, body)
			case n%2 == 0:
				panic(http.ErrAbortHandler)
			default:
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}
	}
}

func TestTransportRetryablehttp(t *testing.T) {
	eachTransport(t, fails(3), func(t *testing.T, url string, tr *http.Transport) {
		client := retryablehttp.NewClient()
		client.HTTPClient = &http.Client{Transport: tr, Timeout: 20 * time.Second}
		client.Logger = nil
		client.RetryWaitMin, client.RetryWaitMax = time.Millisecond, 5*time.Millisecond
		var attempts int
		client.RequestLogHook = func(retryablehttp.Logger, *http.Request, int) { attempts++ }
		res, err := client.Post(url+"/again", "text/plain", strings.NewReader("the body"))
		require.NoError(t, err)
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		assert.Equal(t, "POST /again the body", string(body))
		assert.Equal(t, "4", res.Header.Get("Calls"))
		assert.Equal(t, 4, attempts)

		// What cannot succeed: the reason is still there behind the last attempt.
		client.RetryMax, attempts = 2, 0
		_, err = client.Get("http://127.0.0.1:1")
		assert.ErrorIs(t, err, syscall.ECONNREFUSED)
		assert.Equal(t, 3, attempts)
	})
}

func TestTransportResty(t *testing.T) {
	eachTransport(t, fails(3), func(t *testing.T, url string, tr *http.Transport) {
		client := resty.New().SetLogger(quiet{}).SetTransport(tr).SetTimeout(20 * time.Second).
			SetRetryCount(5).SetRetryWaitTime(time.Millisecond).SetRetryMaxWaitTime(5 * time.Millisecond).
			AddRetryCondition(func(r *resty.Response, err error) bool { return err != nil || r.StatusCode() >= 500 })
		res, err := client.R().EnableTrace().SetBody([]byte("the body")).Put(url + "/again")
		require.NoError(t, err)
		assert.Equal(t, "PUT /again the body", res.String())
		assert.Equal(t, "4", res.Header().Get("Calls"))
		assert.Equal(t, 4, res.Request.Attempt)

		big := bytes.Repeat([]byte("0123456789"), 200_000)
		res, err = client.R().SetBody(big).Post(url + "/")
		require.NoError(t, err)
		assert.Equal(t, len("POST / ")+len(big), len(res.Body()))

		res, err = client.R().EnableTrace().Get(url + "/idle")
		require.NoError(t, err)
		assert.Equal(t, "GET /idle", res.String()) // resty trims
		assert.True(t, res.Request.TraceInfo().IsConnReused)

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = client.R().SetContext(ctx).Get(url)
		assert.ErrorIs(t, err, context.Canceled)
	})
}

// quiet is a logger for errors that are wanted.
type quiet struct{}

func (quiet) Errorf(string, ...any) {}
func (quiet) Warnf(string, ...any)  {}
func (quiet) Debugf(string, ...any) {}

// A cassette is recorded through the transport and replayed without it.
func TestTransportVCR(t *testing.T) {
	eachTransport(t, fails(0), func(t *testing.T, url string, tr *http.Transport) {
		cassette := filepath.Join(t.TempDir(), "cassette")
		talk := func(opts ...recorder.Option) (said []string) {
			rec, err := recorder.New(cassette, opts...)
			require.NoError(t, err)
			client := rec.GetDefaultClient()
			for i := range 3 {
				res, err := client.Post(fmt.Sprint(url, "/", i), "text/plain", strings.NewReader("hello"))
				require.NoError(t, err)
				body, err := io.ReadAll(res.Body)
				require.NoError(t, err)
				require.NoError(t, res.Body.Close())
				said = append(said, string(body)+" "+res.Header.Get("Calls"))
			}
			require.NoError(t, rec.Stop())
			return said
		}
		live := talk(recorder.WithMode(recorder.ModeRecordOnly), recorder.WithRealTransport(tr))
		assert.Equal(t, []string{"POST /0 hello 1", "POST /1 hello 2", "POST /2 hello 3"}, live)
		_, err := os.Stat(cassette + ".yaml")
		require.NoError(t, err)
		again := talk(recorder.WithMode(recorder.ModeReplayOnly), recorder.WithRealTransport(noTransport{}))
		assert.Equal(t, live, again)
	})
}

// noTransport is for those who must not send anything.
type noTransport struct{}

func (noTransport) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("this is to be replayed")
}
