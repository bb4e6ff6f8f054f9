package nng

import (
	"slices"
	"strconv"
	"strings"
	"sync"
)

// #include "http_cgo.h"
import "C"

// Link says which libnng this program was linked with.
type Link struct {
	// Mode is how it was linked, as the build tag says: "vendored", "system",
	// "custom", "notls", "nohttp", "noloop", "reference" or "asan".
	Mode string
	// Version is the library's own word (nng_version), such as "1.5.2".
	Version string
	// Patches names the patches of third_party/nng/patches that are in it. It is
	// empty for an untouched release.
	Patches []string
	// HTTP says whether the library contains HTTP.
	HTTP bool
	// TLSEngine names the TLS engine, "none" without TLS.
	TLSEngine string
}

// LinkInfo says which libnng this program was linked with.
func LinkInfo() Link {
	return Link{
		Mode:      linkMode,
		Version:   Version(),
		Patches:   patchNames(C.GoString(C.nngo_patch_names())),
		HTTP:      haveHTTP(),
		TLSEngine: TLSEngineName(),
	}
}

func patchNames(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

// String describes the library in one line.
func (l Link) String() string {
	s := "libnng " + l.Version + " (" + l.Mode
	if n := len(l.Patches); n > 0 {
		s += ", " + strconv.Itoa(n) + " patches"
	}
	if !l.HTTP {
		s += ", without HTTP"
	}
	if l.TLSEngine == "none" || l.TLSEngine == "" {
		return s + ", without TLS)"
	}
	return s + ", TLS by " + l.TLSEngine + ")"
}

var linkedPatches = sync.OnceValue(func() []string { return LinkInfo().Patches })

// mends reports whether the library has the patch with these words in its name, such
// as "w11" or "w3-listener".
func mends(words string) bool {
	return slices.ContainsFunc(linkedPatches(), func(name string) bool {
		return strings.Contains(name+"-", "-"+words+"-")
	})
}

// Version returns the version of libnng (nng_version).
func Version() string { return C.GoString(C.nng_version()) }

// haveHTTP asks the library whether it contains HTTP.
var haveHTTP = sync.OnceValue(func() bool {
	var req *C.nng_http_req
	if C.nng_http_req_alloc(&req, nil) != 0 {
		return false
	}
	C.nng_http_req_free(req)
	return true
})

// libraryVersion returns the first two numbers of Version.
func libraryVersion() (major, minor int) {
	parts := strings.SplitN(Version(), ".", 3)
	if len(parts) >= 2 {
		major, _ = strconv.Atoi(parts[0])
		minor, _ = strconv.Atoi(parts[1])
	}
	return major, minor
}
