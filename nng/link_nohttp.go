//go:build nng_nohttp && !nng_system && !nng_custom

package nng

// Without HTTP ("make lib-nohttp"): every entry point answers ErrNotSupported. For tests.

// #cgo CFLAGS: -I${SRCDIR}/../build/nng-nohttp/include
// #cgo LDFLAGS: ${SRCDIR}/../build/nng-nohttp/lib/libnng.a -lmbedtls -lmbedx509 -lmbedcrypto -lpthread
// #if !__has_include("nnghttp_build.h")
// #error "libnng is not built: run 'make lib-nohttp' in the folder of github.com/gonng/nnghttp first"
// #endif
import "C"

const linkMode = "nohttp"
