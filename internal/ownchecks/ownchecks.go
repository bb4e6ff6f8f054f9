// Package ownchecks lets package nethttp tell package nng that a handler checks its requests by
// itself, and answers those that it refuses.
package ownchecks

// Mark marks an *nng.Handler that is on no server. Package nng sets it.
var Mark func(handler any)
