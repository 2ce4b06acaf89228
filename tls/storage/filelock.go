package storage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"strings"
	"syscall"
	"time"
)

const (
	filePoll    = 20 * time.Millisecond // and up to three times that
	lockTrials  = 100                   // while others make and remove the same lock file
	readableLen = 100                   // of a lock's name, in the name of its file
)

// Lock waits for the lock of name. The kernel gives it back when the process
// ends, however it does.
func (f *File) Lock(ctx context.Context, name string) error {
	if err := errors.Join(checkName(name), ctx.Err()); err != nil {
		return err
	}
	if err := f.locks.take(ctx, name); err != nil {
		return err
	}
	for {
		ok, err := f.acquire(name)
		if ok {
			return nil
		}
		if err == nil {
			err = f.pause(ctx, name)
		}
		if err != nil {
			f.locks.give(name)
			return err
		}
	}
}

func (f *File) pause(ctx context.Context, name string) error {
	t := time.NewTimer(filePoll + rand.N(2*filePoll))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return fmt.Errorf("lock %q: another process holds %s: %w", name, path.Join(f.dir, lockFile(name)), ctx.Err())
	case <-f.locks.done:
		return errClosed
	case <-t.C:
		return nil
	}
}

// TryLock takes the lock of name when nobody holds it.
func (f *File) TryLock(ctx context.Context, name string) (bool, error) {
	if err := errors.Join(checkName(name), ctx.Err()); err != nil {
		return false, err
	}
	if ok, err := f.locks.try(name); !ok {
		return false, err
	}
	ok, err := f.acquire(name)
	if !ok {
		f.locks.give(name)
	}
	return ok, err
}

// Unlock gives back a lock that is held; ctx is not waited for.
func (f *File) Unlock(_ context.Context, name string) error {
	file, err := f.locks.drop(name)
	if err != nil {
		return err
	}
	f.release(name, file)
	return nil
}

// acquire takes the lock when no other process holds it. The caller has the turn.
func (f *File) acquire(name string) (bool, error) {
	root, err := f.open(locksDir + "/")
	if err != nil {
		return false, err
	}
	defer root.Close()
	if err := root.Mkdir(locksDir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return false, f.fail("lock", locksDir, err)
	}
	file, err := flock(root, lockFile(name))
	if err != nil {
		return false, f.fail("lock", lockFile(name), err)
	}
	if file == nil {
		return false, nil
	}
	if !f.locks.keep(name, file) {
		f.unlink(root, name, file)
		return false, errClosed
	}
	return true, nil
}

// flock returns nil when another process holds the lock. A holder removes the
// file before it gives the lock back, so whoever has the lock makes sure that the
// name still means the file that is locked.
func flock(root *os.Root, name string) (*os.File, error) {
	for range lockTrials {
		file, err := root.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, err
		}
		if err := flockFile(file); err != nil {
			_ = file.Close()
			if errors.Is(err, syscall.EWOULDBLOCK) {
				return nil, nil
			}
			return nil, err
		}
		locked, err := file.Stat()
		if err != nil {
			_ = file.Close()
			return nil, err
		}
		if named, err := root.Stat(name); err == nil && os.SameFile(named, locked) {
			return file, nil
		}
		_ = file.Close()
	}
	return nil, nil
}

func flockFile(file *os.File) error {
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// release gives back a lock and its turn.
func (f *File) release(name string, file *os.File) {
	if root, err := os.OpenRoot(f.dir); err != nil {
		_ = file.Close()
	} else {
		f.unlink(root, name, file)
		_ = root.Close()
	}
	f.locks.give(name)
}

// unlink removes the lock file while it is locked, then gives the lock back.
func (f *File) unlink(root *os.Root, name string, file *os.File) {
	if !f.keepLocks && sameFile(root, lockFile(name), file) {
		_ = root.Remove(lockFile(name))
	}
	_ = file.Close()
}

// sameFile reports whether name still means file, which somebody may have removed
// by hand.
func sameFile(root *os.Root, name string, file *os.File) bool {
	a, err := file.Stat()
	if err != nil {
		return false
	}
	b, err := root.Stat(name)
	return err == nil && os.SameFile(a, b)
}

// lockFile is the file of a lock: readable, and another one for every name.
func lockFile(name string) string {
	sum := sha256.Sum256([]byte(name))
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-' {
			return r
		}
		return '_'
	}, strings.ToLower(name))
	return path.Join(locksDir, clean[:min(len(clean), readableLen)]+"-"+hex.EncodeToString(sum[:8])+".lock")
}
