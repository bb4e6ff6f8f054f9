package main

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/gonng/nnghttp/nethttp"
	"github.com/gonng/nnghttp/nng"
)

// metrics is what the server has counted.
type metrics struct {
	messages atomic.Int64

	mu       sync.Mutex
	byStatus map[int]int64
	bytes    int64
	seconds  float64
	buckets  [len(bounds) + 1]int64 // requests that took as long, and no less than the bound before
}

// bounds are the upper bounds of the histogram of durations, in seconds.
var bounds = [...]float64{0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10}

func (m *metrics) add(o nethttp.Observation) {
	seconds := o.Duration.Seconds()
	bucket, _ := slices.BinarySearch(bounds[:], seconds)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.byStatus == nil {
		m.byStatus = make(map[int]int64)
	}
	m.byStatus[o.Status]++
	m.bytes += o.Written
	m.seconds += seconds
	m.buckets[bucket]++
}

func (m *metrics) requests() (n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, count := range m.byStatus {
		n += count
	}
	return n
}

// serveMetrics answers in Prometheus' text format, version 0.0.4.
func (s *server) serveMetrics(w http.ResponseWriter, _ *http.Request) {
	var b bytes.Buffer
	metric := func(name, kind, help string) {
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %[1]s %[3]s\n", name, help, kind)
	}
	value := func(name, kind, help string, v any) {
		metric(name, kind, help)
		fmt.Fprintf(&b, "%s %v\n", name, v)
	}
	m := &s.metrics
	m.mu.Lock()
	metric("nnghttp_requests_total", "counter", "Requests answered, by status.")
	for _, status := range slices.Sorted(maps.Keys(m.byStatus)) {
		fmt.Fprintf(&b, "nnghttp_requests_total{code=\"%d\"} %d\n", status, m.byStatus[status])
	}
	const duration = "nnghttp_request_duration_seconds"
	metric(duration, "histogram", "From the head of a request to the last byte of the response.")
	var n int64
	for i, count := range m.buckets {
		n += count
		bound := "+Inf"
		if i < len(bounds) {
			bound = fmt.Sprint(bounds[i])
		}
		fmt.Fprintf(&b, "%s_bucket{le=%q} %d\n", duration, bound, n)
	}
	fmt.Fprintf(&b, "%s_sum %g\n%[1]s_count %[3]d\n", duration, m.seconds, n)
	value("nnghttp_response_bytes_total", "counter", "Bytes of response bodies.", m.bytes)
	m.mu.Unlock()
	value("nnghttp_requests_in_flight", "gauge", "Requests that are being answered.", s.http.InFlight())
	if stats, err := s.http.Stats(); err == nil { // else the library does not count
		value("nnghttp_connections_open", "gauge", "Connections of the C server, without WebSockets.", stats.Conns)
		metric("nnghttp_refused_total", "counter", "Connections ended or refused by a limit, and requests refused by the C server.")
		for reason, n := range stats.All() {
			fmt.Fprintf(&b, "nnghttp_refused_total{reason=%q} %d\n", reason, n)
		}
	}
	open, total := s.sockets.numbers()
	value("nnghttp_websockets_open", "gauge", "WebSockets on connections taken over from the C server.", open)
	value("nnghttp_websockets_total", "counter", "WebSockets so far.", total)
	value("nnghttp_websocket_messages_total", "counter", "Messages echoed over WebSockets.", m.messages.Load())
	value("go_goroutines", "gauge", "Goroutines.", runtime.NumGoroutine())
	metric("nnghttp_build_info", "gauge", "The libraries in use.")
	fmt.Fprintf(&b, "nnghttp_build_info{libnng=%q,link=%q,go=%q} 1\n", nng.Version(), nng.LinkInfo().Mode, runtime.Version())
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write(b.Bytes())
}
