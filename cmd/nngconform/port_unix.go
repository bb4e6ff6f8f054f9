//go:build unix

package main

import "syscall"

// onlyFree makes a socket that is bound fail for a port that old connections have, which some
// servers would do, too.
func onlyFree(_, _ string, c syscall.RawConn) error {
	var err error
	if e := c.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 0)
	}); e != nil {
		return e
	}
	return err
}
