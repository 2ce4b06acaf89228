package subscribe

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"
)

// send sends a to its socket unless that is somebody else's. What is looked at is what
// is written to: the path is walked once. It does not wait for a reader.
func (a ack) send() error {
	fd, err := unix.Open(a.path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFSOCK:
		return errors.New("is no socket")
	case int(st.Uid) != a.uid:
		return fmt.Errorf("belongs to user %d: %w", st.Uid, fs.ErrPermission)
	}
	out, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(out)
	return unix.Sendto(out, []byte(a.text), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, &unix.SockaddrUnix{Name: fmt.Sprintf("/proc/self/fd/%d", fd)})
}
