package main

// A contender is one side of a figure.
type contender struct {
	name   string
	server []string // a program and its arguments
	client []string // if the client is what is measured
	https  bool     // the server is given a certificate
}

var (
	cHandler  = contender{name: "C handler", server: []string{"handler"}}
	cEcho     = contender{name: "C echo", server: []string{"echo"}}
	cBulk     = contender{name: "C writes", server: []string{"bulk"}}
	cTransact = contender{name: "C transact", server: []string{"handler"}, client: []string{"transact"}}
	cTLS      = contender{name: "C handler, https", server: []string{"handler"}, https: true}

	handler    = goServer("nng.Handler", "handler")
	nethttp    = goServer("nethttp.Server", "nethttp")
	nethttpTLS = contender{name: "nethttp.Server, https", server: []string{"server", "nethttp"}, https: true}
	listener   = goServer("nethttp.Listen + http.Server", "listener")
	std        = goServer("net/http", "std")
	fast       = goServer("fasthttp", "fasthttp")
	echo       = goServer("nng.Conn echo", "echo")
	onData     = goServer("nng.Conn.OnData echo", "ondata")
	bulk       = goServer("nng.Conn writes", "bulk")

	transact     = contender{name: "nng.Client.Transact", server: []string{"handler"}, client: []string{"client", "transact"}}
	transport    = contender{name: "nethttp.Transport", server: []string{"server", "std"}, client: []string{"client", "transport"}}
	stdTransport = contender{name: "http.Transport", server: []string{"server", "std"}, client: []string{"client", "std"}}
)

func goServer(name, kind string) contender {
	return contender{name: name, server: []string{"server", kind}}
}

// A figure is a ratio of what two contenders do under the same load.
type figure struct {
	name         string
	ours, theirs contender
	load         load
	conns        int
	goal         float64 // 0: for comparison only
	cpu          bool    // it is about CPU time per request, the lower the better
	size         float64 // bytes that one request moves, if bytes are what matters
}

const mib = 1 << 20

// Every handler is as quick as those that once ran on nng's threads (SetInline); the goals for
// these stay.
var figures = []figure{
	{name: "handler-inline-64", ours: handler, theirs: cHandler, load: wrk("/"), conns: 64, goal: 1.00},
	{name: "handler-inline-16", ours: handler, theirs: cHandler, load: wrk("/"), conns: 16, goal: 0.95},
	{name: "handler-inline-1", ours: handler, theirs: cHandler, load: wrk("/"), conns: 1, goal: 0.85},
	{name: "handler-64", ours: handler, theirs: cHandler, load: wrk("/"), conns: 64, goal: 0.92},
	{name: "handler-16", ours: handler, theirs: cHandler, load: wrk("/"), conns: 16, goal: 0.85},
	{name: "handler-1", ours: handler, theirs: cHandler, load: wrk("/"), conns: 1, goal: 0.70},
	{name: "nethttp-64", ours: nethttp, theirs: std, load: wrk("/"), conns: 64, goal: 1.00},
	{name: "nethttp-16", ours: nethttp, theirs: std, load: wrk("/"), conns: 16, goal: 0.85},
	{name: "nethttp-1", ours: nethttp, theirs: std, load: wrk("/"), conns: 1, goal: 0.85},
	{name: "nethttp-cpu", ours: nethttp, theirs: cHandler, load: wrk("/"), conns: 64, goal: 1.30, cpu: true},
	{name: "nethttp-1mib", ours: nethttp, theirs: std, load: wrk("/1mib"), conns: 16, goal: 1.00, size: mib},
	{name: "upload-16mib", ours: nethttp, theirs: std, load: uploads, conns: 4, goal: 0.90, size: uploadSize},
	{name: "hijack-echo-64", ours: echo, theirs: cEcho, load: echoes, conns: 64, goal: 0.95},
	{name: "hijack-echo-16", ours: echo, theirs: cEcho, load: echoes, conns: 16, goal: 0.85},
	{name: "hijack-echo-1", ours: echo, theirs: cEcho, load: echoes, conns: 1, goal: 0.90},
	{name: "hijack-bulk", ours: bulk, theirs: cBulk, load: reads, conns: 1, goal: 1.00, size: 1},
	{name: "client-transact", ours: transact, theirs: cTransact, load: clients("/"), conns: 16, goal: 0.95},
	{name: "transport-keepalive", ours: transport, theirs: stdTransport, load: clients("/"), conns: 16, goal: 0.70},
	{name: "tls-64", ours: nethttpTLS, theirs: cTLS, load: wrk("/"), conns: 64, goal: 0.95},
	{name: "listener-64", ours: listener, theirs: std, load: wrk("/"), conns: 64, goal: 0.60},

	{name: "ondata-echo-64", ours: onData, theirs: cEcho, load: echoes, conns: 64},
	{name: "ondata-echo-16", ours: onData, theirs: cEcho, load: echoes, conns: 16},
	{name: "ondata-echo-1", ours: onData, theirs: cEcho, load: echoes, conns: 1},
	{name: "transport-1mib", ours: transport, theirs: stdTransport, load: clients("/1mib"), conns: 4, size: mib},
	{name: "listener-upload", ours: listener, theirs: std, load: uploads, conns: 4, size: uploadSize},
	{name: "listener-16", ours: listener, theirs: std, load: wrk("/"), conns: 16},
	{name: "listener-1", ours: listener, theirs: std, load: wrk("/"), conns: 1},
	{name: "fasthttp-64", ours: fast, theirs: std, load: wrk("/"), conns: 64},
	{name: "fasthttp-16", ours: fast, theirs: std, load: wrk("/"), conns: 16},
	{name: "fasthttp-1", ours: fast, theirs: std, load: wrk("/"), conns: 1},
}
