package apps

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"headgate/gateway/config"
)

// stamp tells contents of a file, and whose it is, from those before. Two that are
// equal can still be of different contents if the file was written twice within the
// resolution of its clock.
type stamp struct {
	dev, ino     uint64
	size         int64
	mtime, ctime time.Duration // since 1970
	mode         fs.FileMode
	uid, gid     uint32
	link         bool // a link led there
	linkUID      uint32
	err          string // the file cannot be looked at
}

func stampOf(file string) stamp {
	var l, s unix.Stat_t
	if err := unix.Lstat(file, &l); err != nil {
		return stamp{err: err.Error()}
	}
	if l.Mode&unix.S_IFMT != unix.S_IFLNK {
		return newStamp(&l)
	}
	if err := unix.Stat(file, &s); err != nil {
		return stamp{err: err.Error(), link: true}
	}
	out := newStamp(&s)
	out.link, out.linkUID = true, l.Uid
	return out
}

func newStamp(s *unix.Stat_t) stamp {
	mode := fs.FileMode(s.Mode & 0o777)
	if s.Mode&unix.S_IFMT != unix.S_IFREG {
		mode |= fs.ModeIrregular
	}
	return stamp{
		dev: uint64(s.Dev), ino: uint64(s.Ino), size: s.Size, mode: mode, uid: s.Uid, gid: s.Gid,
		mtime: time.Duration(s.Mtim.Nano()), ctime: time.Duration(s.Ctim.Nano()),
	}
}

// readFile reads a file that list has named, and says what it was when it was read.
func readFile(file string) ([]byte, stamp, error) {
	before := stampOf(file)
	if before.err != "" && before.link {
		return nil, before, wrong(file, "is a link that leads to no file", "remove it, or write the file")
	}
	f, err := os.OpenFile(file, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, before, unreadable(file, err)
	}
	defer f.Close()
	var s unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &s); err != nil {
		return nil, before, unreadable(file, err)
	}
	opened := newStamp(&s)
	opened.link, opened.linkUID = before.link, before.linkUID
	switch {
	case opened.mode&fs.ModeIrregular != 0:
		return nil, opened, wrong(file, "is not a regular file", "remove it")
	case opened.size > maxFile:
		return nil, opened, wrong(file, fmt.Sprintf("is longer than %d bytes", maxFile), "is it the file of an app?")
	case opened.dev != before.dev || opened.ino != before.ino:
		return nil, before, errMoved // it is looked at again
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, opened, unreadable(file, err)
	}
	return data, opened, nil
}

// errMoved is of a file that was replaced while it was looked at.
var errMoved = errors.New("the file has just been replaced")

func wrong(file, msg, hint string) error {
	return config.Errors{{File: file, Msg: msg, Hint: hint}}
}

func unreadable(file string, err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	}
	if errors.Is(err, fs.ErrPermission) {
		return wrong(file, "this user may not read it", "chmod or chown it")
	}
	return wrong(file, err.Error(), "")
}
