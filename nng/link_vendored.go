//go:build !nng_system && !nng_custom && !nng_notls && !nng_nohttp && !nng_reference && !nng_noloop && !asan

package nng

// The default: the library that "make lib" builds from the pinned source, linked statically.

// #cgo CFLAGS: -I${SRCDIR}/../build/nng/include
// #cgo LDFLAGS: ${SRCDIR}/../build/nng/lib/libnng.a -lmbedtls -lmbedx509 -lmbedcrypto -lpthread
// #if !__has_include("nnghttp_build.h")
// #error "libnng is not built: run 'make lib' in the folder of github.com/gonng/nnghttp first"
// #endif
import "C"

const linkMode = "vendored"
