package main

import (
	"fmt"
	"runtime/debug"

	"github.com/gonng/nnghttp/nng"
)

type versionCmd struct{}

// Run prints what this program is and what it was linked with.
func (versionCmd) Run() error {
	fmt.Printf("nnghttp %s\n%s\n", version(), nng.LinkInfo())
	return nil
}

// version is the version of the module, "(devel)" when built from a work tree.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
