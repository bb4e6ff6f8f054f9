//go:build !unix

package main

import "syscall"

func onlyFree(_, _ string, _ syscall.RawConn) error { return nil }
