package uwsgi_test

import "syscall"

// becomeNobody takes from this thread what root may do with files.
func becomeNobody() error {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETFSUID, 65534, 0, 0); int(errno) != 0 {
		return errno
	}
	return nil
}
