//go:build nng_beside

package nng

// Only for tests (beside_test.go): C code that uses libnng in the same process.

// #include "beside_cgo.h"
// #include <nng/nng.h>
import "C"

func besideBlock(url, path string) Errno {
	return Errno(C.beside_block(cstring(url), cstring(path)))
}

func besideBlocked() int { return int(C.beside_blocked()) }

func besideRelease() { C.beside_release() }

func besideCallback() Errno { return Errno(C.beside_callback()) }

// besidePings returns how long each of n round trips took, in microseconds.
func besidePings(n int) ([]int32, Errno) {
	us := make([]C.int, n)
	rv := C.beside_pings(C.int(n), &us[0])
	all := make([]int32, n)
	for i, x := range us {
		all[i] = int32(x)
	}
	return all, Errno(rv)
}

func besideLostSignal(n int) int { return int(C.beside_lost_signal(C.int(n))) }

func besideFini() { C.nng_fini() }
