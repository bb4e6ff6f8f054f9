// Package conformance compares a server with libnng's HTTP server, and a client with its client, case
// by case: how a server responds, what each has understood of the other, what it does with the
// connection, and whether the RFCs allow that. It needs neither cgo nor libnng: what libnng does was recorded.
//
// A [Case] says which bytes are sent, where the rule stands, and which outcomes the rule
// allows. An [Outcome] is what came of it. A [Recording] has the outcomes of a reference, and
// [Case.Judge] compares. [TestServer] and [TestClient] do all of it in a Go test; the command
// nngconform does it for a server or a client in any language.
//
// The server has to serve what docs/conformance-contract.md lists, and the client to be a command, or a
// function, that goes by the same page.
package conformance
