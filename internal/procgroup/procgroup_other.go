//go:build !unix

package procgroup

import (
	"os"
	"os/exec"
)

// Set does nothing: there are no groups of processes here.
func Set(*exec.Cmd) {}

// Interrupt interrupts the command, where that can be done.
func Interrupt(cmd *exec.Cmd) { _ = cmd.Process.Signal(os.Interrupt) }

// Kill ends the command.
func Kill(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
