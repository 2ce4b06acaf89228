package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// maxSocketPath is the longest path of a Unix socket: sun_path of Linux, without
// its NUL. Others have a few bytes less.
const maxSocketPath = 107

// ErrRunning is returned by ListenSocket when another gateway answers at the path.
var ErrRunning = errors.New("another headgate is running")

// ListenSocket listens on a Unix socket at path that only its owner may use. It
// makes the directory (mode 0700) if there is none. A socket that nobody listens
// on any more is replaced; where somebody does, the error is ErrRunning; anything
// else that has the name is left alone. Closing the listener removes the socket.
// It may wait up to two seconds for another process that does the same.
func ListenSocket(path string) (net.Listener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("admin socket: the path %s has %d bytes, and a socket's has at most %d: choose a shorter one (admin.socket)", path, len(path), maxSocketPath)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("admin socket: %w; choose another place (admin.socket)", err)
	}
	if err := checkOwner(filepath.Dir(path)); err != nil {
		return nil, err
	}
	unlock, err := lock(path + ".lock")
	if err != nil {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	defer unlock()
	if err := removeStale(path); err != nil {
		return nil, err
	}
	// The mode is set before the socket has a name: a umask would be one for all
	// threads. Systems that do not keep it have the Chmod below, before which
	// only those that umask lets in could connect.
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = syscall.Fchmod(int(fd), 0o600) })
	}}
	ln, err := config.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("admin socket: %w", err), ln.Close())
	}
	return ln, nil
}

// DefaultSocket returns the path that `admin.socket` has when it is not set:
// /run/headgate/admin.sock for root, headgate.sock in $XDG_RUNTIME_DIR for others,
// and a directory of the user's own in the one for temporary files without it.
// The server and its client agree on it when they run as the same user.
func DefaultSocket(uid int, lookup func(string) (string, bool)) string {
	if uid == 0 {
		return "/run/headgate/admin.sock"
	}
	if dir, _ := lookup("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "headgate.sock")
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("headgate-%d", uid), "admin.sock")
}

// checkOwner refuses a directory of somebody else: who owns it can put a socket
// of his own in our place.
func checkOwner(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("admin socket: %w", err)
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok && s.Uid != 0 && int(s.Uid) != os.Getuid() {
		return fmt.Errorf("admin socket: %s belongs to another user (id %d): choose another place (admin.socket)", dir, s.Uid)
	}
	return nil
}

// removeStale removes the socket at path when nobody listens on it.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("admin socket: %w", err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("admin socket: %s exists and is no socket: move it away, or choose another place (admin.socket)", path)
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	switch {
	case err == nil:
		_ = conn.Close() // it has answered: that is all we wanted
		return fmt.Errorf("%w: it answers at %s; stop it, or give this one another admin.socket", ErrRunning, path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("admin socket: %s belongs to another user: choose another place (admin.socket)", path)
	case !errors.Is(err, syscall.ECONNREFUSED): // it may be too busy to answer
		return fmt.Errorf("%w, it seems: asking at %s: %w", ErrRunning, path, err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("admin socket: remove a stale one: %w", err)
	}
	return nil
}

// lock takes the lock of the file at path: between asking at a socket that is
// stale and replacing it, nobody else may do so. The file stays.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w: let this user write into the directory, or choose another place (admin.socket)", err)
	}
	if err != nil {
		return nil, err
	}
	limit := time.NewTimer(2 * time.Second)
	defer limit.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil // which unlocks it
		}
		select {
		case <-limit.C:
			return nil, errors.Join(fmt.Errorf("%s is locked: another headgate is starting", path), f.Close())
		case <-tick.C:
		}
	}
}
