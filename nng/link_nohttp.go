//go:build nng_nohttp && !nng_system && !nng_custom

package nng

// Without HTTP ("make lib-nohttp"): every entry point answers ErrNotSupported. For tests.

// #cgo CFLAGS: -I${SRCDIR}/../build/nng-nohttp/include
// #cgo LDFLAGS: ${SRCDIR}/../build/nng-nohttp/lib/libnng.a -lmbedtls -lmbedx509 -lmbedcrypto -lpthread
import "C"

const linkMode = "nohttp"
