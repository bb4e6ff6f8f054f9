//go:build nng_reference && !nng_system && !nng_custom

package nng

// The release as it is, without our patches ("make lib-reference"). For comparison.

// #cgo CFLAGS: -I${SRCDIR}/../build/nng-reference/include
// #cgo LDFLAGS: ${SRCDIR}/../build/nng-reference/lib/libnng.a -lmbedtls -lmbedx509 -lmbedcrypto -lpthread
// #if !__has_include("nnghttp_build.h")
// #error "libnng is not built: run 'make lib-reference' in the folder of github.com/gonng/nnghttp first"
// #endif
import "C"

const linkMode = "reference"
