//go:build !unix

package socket

import "syscall"

// hasEnded does not know.
func hasEnded(syscall.RawConn) bool { return false }
