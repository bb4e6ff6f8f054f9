// Package conformance compares a server with libnng's HTTP server, case by case: how it
// responds, what it has understood of a request, what it does with the connection, and
// whether the RFCs allow that. It needs neither cgo nor libnng: what libnng does was recorded.
//
// A [Case] says which bytes are sent, where the rule stands, and which outcomes the rule
// allows. An [Outcome] is what came of it. A [Recording] has the outcomes of a reference, and
// [Case.Judge] compares. [TestServer] does all of it in a Go test; the command nngconform does it
// for a server in any language.
//
// The server has to serve what docs/conformance-contract.md lists.
package conformance
