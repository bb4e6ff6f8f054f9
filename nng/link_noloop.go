//go:build nng_noloop && !nng_system && !nng_custom && !asan

package nng

// Without the loop ("make lib-noloop"): nng's own threads do all work, as in the release.

// #cgo CFLAGS: -I${SRCDIR}/../build/nng-noloop/include
// #cgo LDFLAGS: ${SRCDIR}/../build/nng-noloop/lib/libnng.a -lmbedtls -lmbedx509 -lmbedcrypto -lpthread
// #if !__has_include("nnghttp_build.h")
// #error "libnng is not built: run 'make lib-noloop' in the folder of github.com/gonng/nnghttp first"
// #endif
import "C"

const linkMode = "noloop"
