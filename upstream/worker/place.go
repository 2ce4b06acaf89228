package worker

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"headgate/upstream/worker/process"
)

// place is where a generation of workers lives: its socket, and a directory of its
// workers' own for what uWSGI makes. The directory is locked for as long as the
// gateway has it open, so that others know whose gateway has died.
type place struct {
	socket string // path
	dir    string
	file   *os.File // the socket, bound and listening
	lock   *os.File // dir, with a lock on it
}

// The names in a place's directory.
const (
	fifoName   = "fifo"
	statsName  = "stats"
	scriptName = "script"
)

// maxSocketPath is what every system takes as the path of a socket (Linux: 107).
const maxSocketPath = 103

// backlog is how many connections may wait, if the kernel allows so many.
const backlog = 4096

// newPlace makes the place of a pool's generation. Its number is that of the
// generation, or the next one that is free; that of a gateway that has died is.
func newPlace(dir, pool string, generation int) (*place, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := ownDir(dir); err != nil {
		return nil, err
	}
	name, err := placeName(dir, pool)
	if err != nil {
		return nil, err
	}
	for n := generation; ; n++ {
		p := &place{dir: filepath.Join(dir, name+"."+strconv.Itoa(n))}
		p.socket = p.dir + ".sock"
		switch err := p.take(); {
		case err == nil:
			return p, p.bind()
		case !errors.Is(err, errTaken):
			return nil, err
		case n-generation > 10000:
			return nil, fmt.Errorf("%s: no name is left for a socket: remove what other gateways have left there", dir)
		}
	}
}

// ownDir makes the directory of all places, and sees to it that it is ours alone.
func ownDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	is, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	owner, ok := is.Sys().(*syscall.Stat_t)
	switch {
	case !is.IsDir():
		return fmt.Errorf("%s is not a directory: remove it", dir)
	case ok && int(owner.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to the user %d, who could put sockets of his own there: remove it, or name another directory", dir, owner.Uid)
	}
	if err := notOthers(filepath.Dir(dir)); err != nil {
		return err
	}
	if is.Mode().Perm()&0o066 != 0 {
		return os.Chmod(dir, is.Mode().Perm()&^0o066)
	}
	return nil
}

// notOthers returns why somebody else could rename what is in a directory.
func notOthers(dir string) error {
	is, err := os.Stat(dir)
	if err != nil {
		return err
	}
	owner, ok := is.Sys().(*syscall.Stat_t)
	switch {
	case ok && owner.Uid != 0 && int(owner.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to the user %d, who could put sockets of his own there: remove it, or name another directory", dir, owner.Uid)
	case is.Mode().Perm()&0o002 != 0 && is.Mode()&fs.ModeSticky == 0:
		return fmt.Errorf("%s may be written by everybody, who could put sockets of his own there: set its mode to 755, or name another directory", dir)
	}
	return nil
}

// errTaken: another generation lives there.
var errTaken = errors.New("taken")

// take makes and locks p's directory. One that nobody has locked any more is
// cleared first.
func (p *place) take() error {
	if err := os.Mkdir(p.dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	lock, err := os.OpenFile(p.dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return errTaken // it is none, or was removed just now
	}
	if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil || !same(lock, p.dir) {
		lock.Close()
		return errTaken
	}
	p.lock = lock
	return p.clear()
}

// same reports whether a path still leads to what was opened by it.
func same(f *os.File, path string) bool {
	opened, err := f.Stat()
	if err != nil {
		return false
	}
	now, err := os.Lstat(path)
	return err == nil && os.SameFile(opened, now)
}

// clear removes what is left of a generation, but for its directory.
func (p *place) clear() error {
	left, err := os.ReadDir(p.dir)
	if err != nil {
		return err
	}
	for _, e := range left {
		if err := os.RemoveAll(filepath.Join(p.dir, e.Name())); err != nil {
			return err
		}
	}
	if err := os.Remove(p.socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// bind makes the socket and listens. After an error nothing of p is left.
func (p *place) bind() error {
	syscall.ForkLock.RLock() // no process that is started just now gets it
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err == nil {
		p.file = os.NewFile(uintptr(fd), p.socket)
		if err = unix.Bind(fd, &unix.SockaddrUnix{Name: p.socket}); err == nil {
			err = os.Chmod(p.socket, 0o600)
		}
		if err == nil {
			err = unix.Listen(fd, backlog)
		}
	}
	if err != nil {
		p.close()
		return fmt.Errorf("socket %s: %w", p.socket, err)
	}
	return nil
}

// give makes the directory be the user's; nil: it stays ours.
func (p *place) give(u *process.User) error {
	uid, gid := os.Geteuid(), os.Getegid()
	if u != nil {
		uid, gid = int(u.UID), int(u.GID)
		parent := filepath.Dir(p.dir)
		is, err := os.Stat(parent)
		if err != nil {
			return err
		}
		if err := os.Chmod(parent, is.Mode().Perm()|0o011); err != nil { // through, and no more
			return err
		}
	}
	is, err := p.lock.Stat()
	if err != nil {
		return err
	}
	if has, ok := is.Sys().(*syscall.Stat_t); ok && int(has.Uid) == uid && int(has.Gid) == gid {
		return nil // where a service may not change owners it need not
	}
	return p.lock.Chown(uid, gid)
}

// reachable reports whether other users come as far as p's directory.
func (p *place) reachable() bool {
	for dir := filepath.Dir(p.dir); ; dir = filepath.Dir(dir) {
		is, err := os.Stat(dir)
		if err != nil || is.Mode().Perm()&0o001 == 0 {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}

// script makes a file that can only be read, by everybody who is given it, and has
// no name any more. It is not made in p's directory, where its user could have put a
// link in its way.
func (p *place) script(text []byte) (*os.File, error) {
	made, err := os.CreateTemp(filepath.Dir(p.dir), "."+scriptName+"-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(made.Name())
	defer made.Close()
	if _, err := made.Write(text); err != nil {
		return nil, err
	}
	if err := made.Chmod(0o444); err != nil {
		return nil, err
	}
	return os.Open(made.Name())
}

// close removes all of p. It may be called of a nil place.
func (p *place) close() {
	if p == nil {
		return
	}
	_ = os.Remove(p.socket)
	_ = os.RemoveAll(p.dir)
	if p.file != nil {
		p.file.Close()
	}
	if p.lock != nil {
		p.lock.Close() // last: until now it is nobody else's
	}
}

// address is how the pool reaches the workers.
func (p *place) address() string { return "unix:" + p.socket }

// placeName is a pool's name as a file may have it: never that of another pool,
// and short enough for a socket below dir.
func placeName(dir, pool string) (string, error) {
	most := maxSocketPath - len(dir) - len("/") - len(".123456/"+statsName)
	name := escape(pool)
	if len(name) <= min(most, 64) {
		return name, nil
	}
	h := fnv.New64a()
	h.Write([]byte(pool))
	sum := fmt.Sprintf("~%012x", h.Sum64()&(1<<48-1))
	if most = min(most, 64); most < len(sum) {
		return "", fmt.Errorf("%s is too long a path for a socket, of which %d bytes are all: name a shorter directory", dir, maxSocketPath)
	}
	return name[:most-len(sum)] + sum, nil
}

// escape writes what a file's name should not have as ~ and two digits.
func escape(name string) string {
	var b strings.Builder
	for i, c := range []byte(name) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.' && i > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "~%02x", c)
		}
	}
	return b.String()
}

// sweep removes the places that gateways have left which have died.
func sweep(dir string) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return
	}
	found, _ := os.ReadDir(dir)
	for _, e := range found {
		number := strings.TrimPrefix(filepath.Ext(e.Name()), ".")
		if _, err := strconv.ParseUint(number, 10, 31); err != nil || !e.IsDir() {
			continue
		}
		p := &place{dir: filepath.Join(dir, e.Name())}
		if p.socket = p.dir + ".sock"; p.isOurs() && p.take() == nil {
			p.close()
		}
	}
}

// isOurs reports whether p looks like what newPlace makes: nothing else is removed.
func (p *place) isOurs() bool {
	if is, err := os.Lstat(p.socket); err == nil {
		return is.Mode().Type() == fs.ModeSocket
	}
	left, err := os.ReadDir(p.dir)
	return err == nil && !slices.ContainsFunc(left, func(e fs.DirEntry) bool {
		return e.Name() != fifoName && e.Name() != statsName && e.Name() != scriptName
	})
}
