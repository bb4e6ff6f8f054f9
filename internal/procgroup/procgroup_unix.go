//go:build unix

package procgroup

import (
	"os/exec"
	"syscall"
)

// Set makes a command that is not started yet the first of a group of processes.
func Set(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// Interrupt interrupts all processes of the command's group.
func Interrupt(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }

// Kill ends all processes of the command's group.
func Kill(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
