package process

import (
	"errors"

	"golang.org/x/sys/unix"
)

// waitEnd returns when the process has ended, and leaves it a zombie: until it is
// waited for, its number, and so that of its group, belongs to nobody else.
func waitEnd(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
