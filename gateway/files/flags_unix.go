//go:build unix

package files

import (
	"os"
	"syscall"
)

// readFlags open without waiting for the other end of a FIFO, and without taking a
// terminal for that of the process.
const readFlags = os.O_RDONLY | syscall.O_NONBLOCK | syscall.O_NOCTTY
