// Package conformance compares an HTTP server with libnng's server, and an HTTP client with its client,
// case by case: how a server responds, what each side has understood of the other, what it does with the
// connection, and whether the RFCs allow that. It needs neither cgo nor libnng: what libnng does was
// recorded.
//
// A [Case] says which bytes are sent, where the rule stands, and which outcomes the rule
// allows. An [Outcome] is what came of it. A [Recording] has the outcomes of a reference, and
// [Case.Judge] compares. [TestServer] and [TestClient] do all of it in a Go test; the command
// nngconform does it for a server or a client in any language.
//
// The server has to serve the routes that docs/conformance-contract.md lists, which [Handler] does for a
// server that takes an http.Handler. The client is a command, or a function, that goes by the same page.
// The page also explains the words of an outcome, and what each verdict means.
//
// # Testing a server
//
// [Server] has the URL of a server that runs, or a function Start that starts one. With a URL alone, the
// cases that stop their server are left out. Start returns a [Process], of which these fields must be set:
//
//   - URL: where it listens. Secure, the URL over https, may be empty; the topics on TLS are then left out.
//   - Stop: asks the server to stop, and returns at once.
//   - Kill: ends the server. It is called after Stop, too, and for a server that has ended already.
//   - Gone: closed when the server has ended. One that ends before Stop was called has crashed.
//   - Err: how it has ended, nil for nothing special.
//
// # Known differences
//
// A difference that somebody has looked at belongs in a file of [Known] differences. [Known.Update]
// takes them from the [Report] of a [Run], [Known.Save] writes the file, and [LoadKnown] reads it for TestServer
// and TestClient. They fail for a difference that the file does not list, and for one that has
// changed or is gone.
package conformance
