//go:build nng_custom

package nng

// No flags of our own: CGO_CFLAGS and CGO_LDFLAGS name the library.

import "C"

const linkMode = "custom"
