//go:build nng_system

package nng

// The distribution's library and headers (Debian: libnng-dev).

// #cgo LDFLAGS: -lnng
import "C"

const linkMode = "system"
