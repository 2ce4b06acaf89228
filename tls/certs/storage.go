package certs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	maxFile     = 1 << 20
	lockPoll    = 20 * time.Millisecond
	lockTimeout = 10 * time.Second // another process makes an authority in far less
)

// ownDir makes dir with owner-only rights where it is missing, and refuses one
// that others can look into or change.
func ownDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return storageError(err)
	}
	fi, err := os.Stat(dir)
	if err != nil {
		return storageError(err)
	}
	if fi.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s is open to others (mode %04o): run chmod 700 %s", dir, fi.Mode().Perm(), dir)
	}
	return nil
}

// checkParent refuses a directory in which anybody could replace what is ours.
// A group that may write is accepted, since Kubernetes gives volumes to a group.
func checkParent(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return storageError(err)
	}
	fi, err := os.Stat(dir)
	if err != nil {
		return storageError(err)
	}
	if fi.Mode().Perm()&0o002 != 0 && fi.Mode()&fs.ModeSticky == 0 {
		return fmt.Errorf("%s can be changed by everybody (mode %04o): run chmod o-w %s", dir, fi.Mode().Perm(), dir)
	}
	return nil
}

// readOwn reads a secret, and refuses one that others can read or change.
func readOwn(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, storageError(err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if fi.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s is open to others (mode %04o): run chmod 600 %s, and make a new authority if somebody may have read it", file, fi.Mode().Perm(), file)
	}
	return readBounded(f)
}

// readFile reads a file of a size that a certificate, a key or a chain can have.
func readFile(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readBounded(f)
}

func readBounded(f *os.File) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s is larger than %d bytes: it is no certificate or key", f.Name(), maxFile)
	}
	return data, nil
}

// writeFile replaces file at once: a reader, or a machine that loses power, sees
// the old bytes or the new ones.
func writeFile(file string, data []byte, mode fs.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(file), ".new-*")
	if err != nil {
		return storageError(err)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), file); err != nil {
		return err
	}
	return syncDir(filepath.Dir(file))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// lockFile holds an exclusive lock on file until unlock is called. It works
// between processes and between goroutines, and a dead process holds none.
func lockFile(ctx context.Context, file string) (unlock func(), err error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, storageError(err)
	}
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			_ = f.Close()
			return nil, fmt.Errorf("lock %s: %w", file, err)
		}
		select {
		case <-ctx.Done():
			_ = f.Close()
			return nil, fmt.Errorf("lock %s: another process holds it: %w", file, ctx.Err())
		case <-time.After(lockPoll):
		}
	}
}

// storageError adds the cure to what the system says.
func storageError(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: give it to uid %d, or set storage to a directory that belongs to it", err, os.Geteuid())
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w: mount a writable volume there, or set storage to a writable directory", err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: free some space there, or set storage to another directory", err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: set storage to a directory that can be made", err)
	case errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%w: set storage to a directory", err)
	}
	return err
}
