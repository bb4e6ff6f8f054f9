//go:build nng_noloop && !nng_system && !nng_custom && !asan

package nng

// Without the loop ("make lib-noloop"): nng's own threads do all work, as in the release.

// #cgo CFLAGS: -I${SRCDIR}/../build/nng-noloop/include
// #cgo LDFLAGS: ${SRCDIR}/../build/nng-noloop/lib/libnng.a -lmbedtls -lmbedx509 -lmbedcrypto -lpthread
import "C"

const linkMode = "noloop"
