// Package nethttp puts Go's own HTTP interfaces on libnng's HTTP library: an http.Handler
// served by nng's C server, a net.Listener of connections that nng has accepted, and an
// http.Transport that dials with nng's client.
//
// A server becomes one of nng by changing one line:
//
//	err := nethttp.ListenAndServe("http://127.0.0.1:8080", mux) // was http.ListenAndServe("127.0.0.1:8080", mux)
//
// # Three ways to serve
//
// [Server] and [ListenAndServe] are the counterparts of those in net/http, with a graceful
// shutdown, limits and hooks. [Handler] makes a single nng.Handler, for an nng.Server that
// has other handlers, too. [Listen] takes connections away from nng at their first request
// and gives them to whatever serves a net.Listener, such as an http.Server: it is slower, and
// gives that server's behaviour in every detail.
//
// # What a handler can rely on
//
// Everything that http.ResponseWriter, http.Request and http.ResponseController promise for
// HTTP/1.1, but for these:
//
//   - With a libnng without our patches, fields of one name come joined with ", ", and only
//     Cookie is split again.
//   - Connections of HTTP/1.0 clients end with the response, even if they ask for more.
//   - The request's context ends when the client goes if the handler has asked for its Done
//     and has run for a second by then; such a connection is closed behind the response.
//     Before that, reading the body and writing find out.
//   - http.Request.TLS says only that TLS is used: nng tells no more.
//   - The http.Server in the context (http.ServerContextKey) serves nothing.
//
// A hijacked connection is an *nng.Conn.
//
// Requests that RFC 9112 forbids, and those that can be read in two ways, are refused, and
// their connections closed: a Content-Length that is not one plain number, one beside a
// Transfer-Encoding, codings but chunked, several or odd Hosts, names that are no tokens,
// control characters in values.
package nethttp
