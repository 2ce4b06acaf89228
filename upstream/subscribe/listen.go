package subscribe

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// receiveBuffer is what the kernel keeps for us while we are busy.
const receiveBuffer = 1 << 20

// ErrInUse is returned by Open when somebody else listens at a path.
var ErrInUse = errors.New("somebody listens there already")

// socket is one that announcements come by. One goroutine reads it; it may be
// closed by any.
type socket struct {
	at   string // with the port that it has got
	udp  *net.UDPConn
	unix *net.UnixConn
	file os.FileInfo // of a unix socket: what close removes
	path string

	once    sync.Once
	reading bool // the server's lock guards it
}

// open binds one; it may wait up to two seconds for another process that does the same.
func open(ctx context.Context, p place) (*socket, error) {
	if p.path != "" {
		return openUnix(ctx, p.path)
	}
	config := net.ListenConfig{Control: controlUDP}
	network := "udp4"
	if p.ap.Addr().Is6() {
		network = "udp6"
		if p.ap.Addr().IsUnspecified() {
			network = "udp"
		}
	}
	c, err := config.ListenPacket(ctx, network, p.ap.String())
	if err != nil {
		return nil, fmt.Errorf("%s: %w: choose another address, or stop who has it", p, unwrapped(err))
	}
	conn := c.(*net.UDPConn)
	ap := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	return &socket{at: place{ap: netip.AddrPortFrom(p.ap.Addr(), ap.Port())}.String(), udp: conn}, nil
}

// unwrapped is the cause of an error of package net, without the address.
func unwrapped(err error) error {
	if e := (*net.OpError)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}

// openUnix binds a datagram socket. A file of one that nobody listens at any more is
// replaced; anything else that has the name is left alone.
func openUnix(ctx context.Context, path string) (*socket, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("unix:%s: %w: choose another place", path, err)
	}
	if err := checkOwner(filepath.Dir(path)); err != nil {
		return nil, err
	}
	unlock, err := lock(ctx, path+".lock")
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := removeStale(path); err != nil {
		return nil, err
	}
	// The mode is set before the socket has a name, and again behind the umask.
	config := net.ListenConfig{Control: controlUnix}
	c, err := config.ListenPacket(ctx, "unixgram", path)
	if err != nil {
		return nil, fmt.Errorf("unix:%s: %w: choose another place", path, unwrapped(err))
	}
	s := &socket{at: "unix:" + path, unix: c.(*net.UnixConn), path: path}
	if err = os.Chmod(path, socketMode); err == nil {
		s.file, err = os.Lstat(path)
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("unix:%s: %w: choose another place", path, err)
	}
	return s, nil
}

// close closes the socket, and removes its file unless it is another one by now.
func (s *socket) close() {
	s.once.Do(func() {
		if s.udp != nil {
			_ = s.udp.Close() // nothing is left to be written
			return
		}
		if now, err := os.Lstat(s.path); err == nil && (s.file == nil || os.SameFile(s.file, now)) {
			_ = os.Remove(s.path) // the next one finds out that it is stale
		}
		_ = s.unix.Close()
	})
}

// checkOwner refuses a directory of somebody else: who owns it can put a socket
// of his own in our place.
func checkOwner(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok && s.Uid != 0 && int(s.Uid) != os.Getuid() {
		return fmt.Errorf("%s belongs to another user (id %d): choose another place", dir, s.Uid)
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
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("unix:%s: exists and is no socket: remove it, or choose another place", path)
	}
	conn, err := net.DialTimeout("unixgram", path, time.Second)
	switch {
	case err == nil:
		_ = conn.Close() // nothing was sent
		return fmt.Errorf("unix:%s: %w: choose another place, or stop it", path, ErrInUse)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("unix:%s: belongs to another user: choose another place", path)
	case !errors.Is(err, syscall.ECONNREFUSED): // a socket of another kind is alive
		return fmt.Errorf("unix:%s: %w, it seems (%w): choose another place", path, ErrInUse, unwrapped(err))
	}
	return os.Remove(path)
}

// lock takes the lock of the file at path: between asking at a socket that is
// stale and replacing it, nobody else may do so. The file stays.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: let this user write there, or choose another place", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil // which unlocks it
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("%s is locked: another headgate is starting; choose another place", path), f.Close())
		case <-tick.C:
		}
	}
}
