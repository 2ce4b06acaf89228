package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// checkRoot refuses a directory in which anybody could replace what is ours. A
// group that may write is accepted, since Kubernetes gives volumes to a group:
// the directories below keep it out.
func checkRoot(dir string, fi fs.FileInfo) error {
	if fi.Mode().Perm()&0o002 != 0 && fi.Mode()&fs.ModeSticky == 0 {
		return fmt.Errorf("%s can be changed by everybody (mode %04o): run chmod o-w %s", dir, fi.Mode().Perm(), dir)
	}
	return nil
}

// checkDir refuses a directory that others can look into or change, and in one
// that is shared by all (as /tmp is) one that somebody else put there.
func checkDir(dir string, root, fi fs.FileInfo) error {
	if fi.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s is open to others (mode %04o): run chmod 700 %s", dir, fi.Mode().Perm(), dir)
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if ok && root.Mode().Perm()&0o002 != 0 && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to uid %d in a directory where everybody can make one: remove it, or set storage to a directory that belongs to uid %d", dir, st.Uid, os.Geteuid())
	}
	return nil
}

// checkSecret refuses a secret that others can read or change.
func checkSecret(file string, fi fs.FileInfo) error {
	if fi.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s is open to others (mode %04o): run chmod 600 %s, and have it made anew if somebody may have read it", file, fi.Mode().Perm(), file)
	}
	return nil
}

// cure adds what to do to what the system says.
func cure(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: give it to uid %d, or set storage to a directory that belongs to it", err, os.Geteuid())
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w: mount a writable volume there, or set storage to a writable directory", err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: free some space there, or set storage to another directory", err)
	case errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%w: set storage to a directory", err)
	case errors.Is(err, syscall.ENOLCK), errors.Is(err, syscall.ENOTSUP), errors.Is(err, syscall.ENOSYS):
		return fmt.Errorf("%w: set storage to a file system that has locks", err)
	}
	return err
}
