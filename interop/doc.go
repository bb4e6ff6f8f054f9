// Package interop tests nnghttp with what this project did not write. Programs: curl, wget,
// ab, slowhttptest, HTTP and WebSocket clients in Python, JavaScript and Java, nginx,
// HAProxy, Prometheus, Chromium, nngcat and nng's own demos. Go libraries: go-httpbin,
// gorilla, coder and gobwas WebSockets, mangos, chi, gin, echo, connect, go-sse,
// otelhttp, fasthttp, resty and others. It is a module of its own, so that what it needs
// does not become a need of the others.
//
// A test whose program is missing is skipped and says which package to install; with
// CI set in the environment it fails instead.
package interop
