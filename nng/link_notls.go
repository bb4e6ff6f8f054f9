//go:build nng_notls && !nng_system && !nng_custom

package nng

// Without TLS, and so without mbedTLS ("make lib-notls").

// #cgo CFLAGS: -I${SRCDIR}/../build/nng-notls/include
// #cgo LDFLAGS: ${SRCDIR}/../build/nng-notls/lib/libnng.a -lpthread
import "C"

const linkMode = "notls"
