//go:build asan && !nng_system && !nng_custom && !nng_notls && !nng_nohttp && !nng_reference

package nng

// go test -asan sets this tag: the library with AddressSanitizer and UBSan inside ("make lib-asan").

// #cgo CFLAGS: -I${SRCDIR}/../build/nng-asan/include -fsanitize=undefined
// #cgo LDFLAGS: ${SRCDIR}/../build/nng-asan/lib/libnng.a -lmbedtls -lmbedx509 -lmbedcrypto -lpthread -lubsan
// #if !__has_include("nnghttp_build.h")
// #error "libnng is not built: run 'make lib-asan' in the folder of github.com/gonng/nnghttp first"
// #endif
import "C"

const linkMode = "asan"
