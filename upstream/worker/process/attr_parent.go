//go:build linux || freebsd

package process

import "syscall"

// dieWithParent lets the kernel kill the process when the thread that starts it ends.
func dieWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }
