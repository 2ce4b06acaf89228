package pebbletest

import (
	"os/exec"
	"syscall"
)

// dieWithUs has the program killed when the test's process dies without a
// cleanup, as after a panic.
func dieWithUs(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
