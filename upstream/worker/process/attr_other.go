//go:build unix && !linux && !freebsd

package process

import "syscall"

// dieWithParent does nothing: the kernel cannot do it. A gateway that is killed
// leaves its processes behind.
func dieWithParent(*syscall.SysProcAttr) {}
