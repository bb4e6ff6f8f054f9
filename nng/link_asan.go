//go:build asan && !nng_system && !nng_custom && !nng_notls && !nng_nohttp && !nng_reference

package nng

// go test -asan sets this tag: the library with AddressSanitizer and UBSan inside ("make lib-asan").

// #cgo CFLAGS: -I${SRCDIR}/../build/nng-asan/include -fsanitize=undefined
// #cgo LDFLAGS: ${SRCDIR}/../build/nng-asan/lib/libnng.a -lmbedtls -lmbedx509 -lmbedcrypto -lpthread -lubsan
import "C"

const linkMode = "asan"
