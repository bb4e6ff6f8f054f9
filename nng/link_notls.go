//go:build nng_notls && !nng_system && !nng_custom

package nng

// Without TLS, and so without mbedTLS ("make lib-notls").

// #cgo CFLAGS: -I${SRCDIR}/../build/nng-notls/include
// #cgo LDFLAGS: ${SRCDIR}/../build/nng-notls/lib/libnng.a -lpthread
// #if !__has_include("nnghttp_build.h")
// #error "libnng is not built: run 'make lib-notls' in the folder of github.com/gonng/nnghttp first"
// #endif
import "C"

const linkMode = "notls"
