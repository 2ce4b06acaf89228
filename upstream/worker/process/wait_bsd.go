//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package process

import (
	"errors"

	"golang.org/x/sys/unix"
)

// waitEnd returns when the process has ended, and leaves it a zombie: until it is
// waited for, its number, and so that of its group, belongs to nobody else. Without a
// kqueue it returns at once; the end is then seen by os.Process.Wait.
func waitEnd(pid int) {
	queue, err := unix.Kqueue()
	if err != nil {
		return
	}
	defer unix.Close(queue)
	var change unix.Kevent_t
	unix.SetKevent(&change, pid, unix.EVFILT_PROC, unix.EV_ADD|unix.EV_ONESHOT)
	change.Fflags = unix.NOTE_EXIT
	for {
		_, err := unix.Kevent(queue, []unix.Kevent_t{change}, make([]unix.Kevent_t, 1), nil)
		if !errors.Is(err, unix.EINTR) {
			return // or ESRCH: it has ended before
		}
	}
}
