//go:build asan && !nng_system && !nng_custom && !nng_notls && !nng_nohttp && !nng_reference

package nng

// go test -asan sets this tag: the library with AddressSanitizer inside ("make lib-asan").

// #cgo CFLAGS: -I${SRCDIR}/../build/nng-asan/include
// #cgo LDFLAGS: ${SRCDIR}/../build/nng-asan/lib/libnng.a -lmbedtls -lmbedx509 -lmbedcrypto -lpthread
import "C"

const linkMode = "asan"
