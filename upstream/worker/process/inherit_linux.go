package process

import (
	"math"

	"golang.org/x/sys/unix"
)

// KeepFiles keeps what we have inherited ourselves (descriptors above 2, of a shell or
// of systemd) from the processes that are started from now on. Kernels before 5.11
// cannot do that.
func KeepFiles() {
	_ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) // what we open has the flag anyway
}

// dropCapabilities takes from what this thread starts the capabilities that a service
// has been given beside its user (AmbientCapabilities of systemd).
func dropCapabilities() {
	_ = unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) // kernels before 4.3 have none
}
