package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	neturl "net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// A real Prometheus scrapes promhttp on our server.
func TestPrometheus(t *testing.T) {
	program := need(t, "prometheus", "prometheus")
	t.Parallel()
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector())
	seen := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "nnghttp_test_requests_total", Help: "Requests."}, []string{"code", "method"})
	registry.MustRegister(seen)
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.InstrumentHandlerCounter(seen, promhttp.HandlerFor(registry, promhttp.HandlerOpts{})))
	host := mount(t, mux)

	query := scrape(t, program, host)
	require.Eventually(t, func() bool {
		return query(`nnghttp_test_requests_total{code="200",method="get"} > bool 3`) == "1"
	}, soon, 100*time.Millisecond, "the counter does not go up")
	assert.Equal(t, "1", query(`min_over_time(up{job="nnghttp"}[1m])`), "a scrape has failed")
	assert.Equal(t, "1", query(`go_goroutines > bool 1`))
}

// scrape has a real Prometheus scrape /metrics of a server, four times a second, and waits
// until it says that the server is up. query asks it for a value; it answers "none" unless
// there is exactly one.
func scrape(t *testing.T, program, host string) (query func(expression string) string) {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `
global: {scrape_interval: 250ms, scrape_timeout: 250ms}
scrape_configs:
  - job_name: nnghttp
    static_configs: [{targets: [%q]}]
`, host), 0o600))
	l, err := net.Listen("tcp", "127.0.0.1:0") // a port that is free now
	require.NoError(t, err)
	own := l.Addr().String()
	require.NoError(t, l.Close())
	start(t, program, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+own, "--log.level=warn")

	c := newClient(t)
	query = func(expression string) string {
		res, err := c.Get("http://" + own + "/api/v1/query?query=" + neturl.QueryEscape(expression))
		if err != nil {
			return err.Error()
		}
		defer res.Body.Close()
		var answer struct {
			Data struct {
				Result []struct{ Value [2]any }
			}
		}
		if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
			return err.Error()
		}
		if len(answer.Data.Result) != 1 {
			return "none"
		}
		return fmt.Sprint(answer.Data.Result[0].Value[1])
	}
	require.Eventually(t, func() bool { return query(`up{job="nnghttp"}`) == "1" }, 30*time.Second, 100*time.Millisecond,
		"up is not 1")
	return query
}

// The same Prometheus scrapes the command: what it has counted is there, and the histogram is
// one to the query language.
func TestPrometheusDemo(t *testing.T) {
	program := need(t, "prometheus", "prometheus")
	t.Parallel()
	url := serve(t, "--listen", "http://127.0.0.1:0")
	c := newClient(t)
	for range 5 {
		res, _ := fetch(t, c, url+"/no-such-page")
		require.Equal(t, 404, res.StatusCode)
	}
	for i := range 20 {
		req, err := http.NewRequestWithContext(t.Context(), "POST", url+"/echo", strings.NewReader(strings.Repeat("x", 1000*i)))
		require.NoError(t, err)
		res, body := exchange(t, c, req)
		require.Equal(t, 200, res.StatusCode)
		require.Len(t, body, 1000*i)
	}
	query := scrape(t, program, strings.TrimPrefix(url, "http://"))

	// Each scrape is a request that the next one counts.
	require.Eventually(t, func() bool { return query(`nnghttp_requests_total{code="200"} > bool 23`) == "1" }, soon, 100*time.Millisecond,
		"the counter does not go up")
	assert.Equal(t, "1", query(`min_over_time(up{job="nnghttp"}[1m])`), "a scrape has failed")
	for expression, want := range map[string]string{
		`nnghttp_requests_total{code="404"}`:                                                 "5",
		`nnghttp_response_bytes_total >= bool 190000`:                                        "1",
		`nnghttp_requests_in_flight`:                                                         "1", // the scrape itself
		`nnghttp_websockets_open`:                                                            "0",
		`count(nnghttp_build_info{libnng!="", link!="", go!=""})`:                            "1",
		`go_goroutines > bool 1`:                                                             "1",
		`sum(nnghttp_requests_total) == bool scalar(nnghttp_request_duration_seconds_count)`: "1",

		// The histogram: a bucket per bound and one for all, that only grow, and hold all requests.
		`count(nnghttp_request_duration_seconds_bucket)`:                                                                                                     "8",
		`nnghttp_request_duration_seconds_bucket{le="+Inf"} == bool scalar(nnghttp_request_duration_seconds_count)`:                                          "1",
		`nnghttp_request_duration_seconds_bucket{le=~"10|10.0"} <= bool scalar(nnghttp_request_duration_seconds_bucket{le="+Inf"})`:                          "1",
		`nnghttp_request_duration_seconds_bucket{le="0.005"} <= bool scalar(nnghttp_request_duration_seconds_bucket{le="0.025"})`:                            "1",
		`histogram_quantile(0.5, nnghttp_request_duration_seconds_bucket) > bool 0`:                                                                          "1",
		`histogram_quantile(0.5, nnghttp_request_duration_seconds_bucket) <= bool scalar(histogram_quantile(0.99, nnghttp_request_duration_seconds_bucket))`: "1",
		`histogram_quantile(0.99, nnghttp_request_duration_seconds_bucket) <= bool 10`:                                                                       "1",
		`nnghttp_request_duration_seconds_sum / nnghttp_request_duration_seconds_count <= bool 10`:                                                           "1",
		`nnghttp_request_duration_seconds_sum > bool 0`:                                                                                                      "1",
		`sum(rate(nnghttp_request_duration_seconds_bucket{le="+Inf"}[1m])) > bool 0`:                                                                         "1",
	} {
		assert.Equal(t, want, query(expression), expression)
	}
}

// promhttp answers in the format and the coding that are asked for.
func TestPromHTTPFormats(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "answer"}, func() float64 { return 42 }))
	out := compare(t, promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true}), get("/"), get("/", "Accept-Encoding", "gzip"),
		get("/", "Accept", "application/openmetrics-text; version=1.0.0"))
	assert.Contains(t, out[0].body, "answer 42")
	assert.Equal(t, out[0].body, gunzip(t, out[1].body))
	assert.Contains(t, out[2].body, "# EOF")
}

// otelhttp wraps the ResponseWriter and keeps what it can do beyond that. It counts, and
// its spans follow the client's.
func TestOtelHTTP(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	has := make(chan string, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		_, flusher := w.(http.Flusher)
		_, hijacker := w.(http.Hijacker)
		_, readerFrom := w.(io.ReaderFrom)
		has <- fmt.Sprint(flusher, hijacker, readerFrom)
		b, _ := io.ReadAll(r.Body)
		_, _ = io.Copy(w, bytes.NewReader(bytes.Repeat(b, 10_000)))
		_ = http.NewResponseController(w).Flush()
		fmt.Fprint(w, trace.SpanContextFromContext(r.Context()).IsValid())
	})
	accept := acceptGorilla
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		s, err := accept(w, r, false)
		if err != nil {
			return
		}
		defer s.drop()
		_ = echoAll(s)
	})
	host := mount(t, otelhttp.NewHandler(mux, "test", otelhttp.WithTracerProvider(provider)))
	req, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+host+"/", strings.NewReader("0123456789"))
	require.NoError(t, err)
	c := newClient(t)
	c.Transport = otelhttp.NewTransport(c.Transport, otelhttp.WithTracerProvider(provider))
	res, body := exchange(t, c, req)
	assert.Equal(t, 200, res.StatusCode)
	assert.Equal(t, strings.Repeat("0123456789", 10_000)+"true", body)
	assert.Equal(t, "true true true", <-has)

	s, _, err := dialGorilla(t.Context(), "ws://"+host+"/ws", false)
	require.NoError(t, err)
	require.NoError(t, chat(s, 50))
	require.NoError(t, s.finish())
	s.drop()

	require.Eventually(t, func() bool { return len(spans.Ended()) == 3 }, soon, 10*time.Millisecond)
	for _, s := range spans.Ended() {
		if s.SpanKind() != trace.SpanKindServer {
			continue
		}
		sizes := make(map[string]int64)
		for _, a := range s.Attributes() {
			sizes[string(a.Key)] = a.Value.AsInt64()
		}
		if sizes["http.request.body.size"] > 0 {
			assert.EqualValues(t, 10, sizes["http.request.body.size"])
			assert.EqualValues(t, 100_004, sizes["http.response.body.size"])
			return
		}
	}
	for _, s := range spans.Ended() {
		t.Log(s.Name(), s.SpanKind(), s.Attributes())
	}
	t.Error("no span of the request that was not hijacked")
}
