//go:build !nng_system && !nng_custom && !nng_notls && !nng_nohttp && !nng_reference && !nng_noloop && !asan

package nng

// The default: the library that "make lib" builds from the pinned source, linked statically.

// #cgo CFLAGS: -I${SRCDIR}/../build/nng/include
// #cgo LDFLAGS: ${SRCDIR}/../build/nng/lib/libnng.a -lmbedtls -lmbedx509 -lmbedcrypto -lpthread
import "C"

const linkMode = "vendored"
