//go:build !cgo

package nng

// Package nng calls libnng in C. This makes the compiler say so: it was run with CGO_ENABLED=0, or found
// no C compiler, or builds for another system.
var _ = package_nng_needs_cgo_and_a_C_compiler__set_CGO_ENABLED_to_1
