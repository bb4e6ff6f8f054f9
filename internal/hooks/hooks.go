// Package hooks has what package nng lets the other packages of this module do, and nobody
// else. Package nng sets the variables.
package hooks

// OwnChecks tells nng that an *nng.Handler, which is on no server, checks its requests by
// itself, and answers those that it refuses.
var OwnChecks func(handler any)

// HeapUsed is how many bytes C has allocated and not freed, or more than there are where the
// C library does not tell.
var HeapUsed func() int64
