package storage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/caddyserver/certmagic"
)

const (
	tempPrefix  = ".new-" // no key has a part that starts with a dot
	storeTrials = 5       // while others delete the directory around a value
)

// File is a [Storage] in a directory. Processes of one machine can share it. Use
// Open to make one.
type File struct {
	dir       string
	keepLocks bool // lock files stay: on NFS a name may be remembered after its file is gone
	log       *slog.Logger
	locks     *locks[*os.File]
}

func openFile(dir string, log *slog.Logger) (*File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: set storage to a directory that can be made", err)
		}
		return nil, cure(err)
	}
	f := &File{dir: dir, keepLocks: onNFS(dir), log: log, locks: newLocks[*os.File]()}
	root, err := f.open("")
	if err != nil {
		return nil, err
	}
	if f.keepLocks {
		log.Warn("storage is on nfs: locks are leases of its server; redis suits several machines better", "dir", dir)
	}
	return f, root.Close()
}

// String is the URL of the storage.
func (f *File) String() string { return "file:" + f.dir }

// open opens the root, and refuses it or the directory around key when others
// could get at key. It is opened anew each time, so that a volume that is mounted
// again is found, and one that is gone does not look like an empty one.
func (f *File) open(key string) (*os.Root, error) {
	if err := f.locks.err(); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(f.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%v: the storage is gone: mount it or make it again", err) // no ErrNotExist: that is said of keys
	}
	if err != nil {
		return nil, cure(err)
	}
	if err := f.guard(root, key); err != nil {
		_ = root.Close()
		return nil, err
	}
	return root, nil
}

func (f *File) guard(root *os.Root, key string) error {
	of, err := root.Stat(".")
	if err != nil {
		return f.fail("stat", "", err)
	}
	if err := checkRoot(f.dir, of); err != nil {
		return err
	}
	first, _, below := strings.Cut(key, "/")
	if !below || first == "" {
		return nil
	}
	fi, err := root.Stat(first)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return f.fail("stat", first, err)
	case !fi.IsDir():
		return nil
	}
	return checkDir(filepath.Join(f.dir, first), of, fi)
}

// fail names the whole path, and the cure.
func (f *File) fail(op, key string, err error) error {
	var pe *fs.PathError
	var le *os.LinkError
	if errors.As(err, &pe) {
		err = pe.Err
	} else if errors.As(err, &le) {
		err = le.Err
	}
	return cure(&fs.PathError{Op: op, Path: filepath.Join(f.dir, key), Err: err})
}

// missing is what fail makes of a key that is not there, or below a value.
func (f *File) missing(op, key string, err error) error {
	if errors.Is(err, syscall.ENOTDIR) {
		err = fs.ErrNotExist
	}
	return f.fail(op, key, err)
}

// Load returns the value of key. A value that other users can read is refused,
// unless key ends in ".crt".
func (f *File) Load(ctx context.Context, key string) ([]byte, error) {
	if err := errors.Join(checkKey(key), ctx.Err()); err != nil {
		return nil, err
	}
	root, err := f.open(key)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	file, err := root.OpenFile(key, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a named pipe must not block
	if err != nil {
		return nil, f.missing("load", key, err)
	}
	defer file.Close()
	return f.read(file, key)
}

func (f *File) read(file *os.File, key string) ([]byte, error) {
	name := filepath.Join(f.dir, key)
	fi, err := file.Stat()
	switch {
	case err != nil:
		return nil, f.fail("load", key, err)
	case fi.IsDir():
		return nil, f.fail("load", key, fs.ErrNotExist)
	case !fi.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file: remove it", name)
	}
	if !strings.HasSuffix(key, ".crt") {
		if err := checkSecret(name, fi); err != nil {
			return nil, err
		}
	}
	value := make([]byte, min(fi.Size(), maxValue)+1)
	n, err := io.ReadFull(file, value) // the size stands: values are replaced, not written to
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, f.fail("load", key, err)
	}
	if n > maxValue {
		return nil, fmt.Errorf("%s is larger than %d bytes: it is no certificate or key", name, maxValue)
	}
	if int64(n) != fi.Size() {
		return nil, fmt.Errorf("%s changed while it was read: it is replaced by renaming another file, not written to", name)
	}
	return value[:n:n], nil
}

// Store makes value the value of key: a reader, or a machine that loses power,
// sees the old one or the new one.
func (f *File) Store(ctx context.Context, key string, value []byte) error {
	if err := errors.Join(checkKey(key), checkValue(value), ctx.Err()); err != nil {
		return err
	}
	root, err := f.open(key)
	if err != nil {
		return err
	}
	defer root.Close()
	for range storeTrials {
		if err = replace(root, key, value); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, fs.ErrExist): // above the key, at the key
		return fmt.Errorf("store %s: %w", filepath.Join(f.dir, key), errConflict)
	}
	return f.fail("store", key, err)
}

func replace(root *os.Root, key string, value []byte) (err error) {
	if err := makeDirs(root, key); err != nil {
		return err
	}
	dir := path.Dir(key)
	temp := path.Join(dir, tempPrefix+rand.Text())
	file, err := root.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = file.Close()
			_ = root.Remove(temp)
		}
	}()
	if err := file.Chmod(0o600); err != nil { // whatever the umask
		return err
	}
	if _, err := file.Write(value); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	if err := root.Rename(temp, key); err != nil {
		return err
	}
	return syncDir(root, dir)
}

// makeDirs makes the directories around key last.
func makeDirs(root *os.Root, key string) error {
	if fi, err := root.Stat(path.Dir(key)); err == nil && fi.IsDir() {
		return nil
	}
	for _, dir := range ancestors(key) {
		err := root.Mkdir(dir, 0o700)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := syncDir(root, path.Dir(dir)); err != nil {
			return err
		}
	}
	return nil
}

func syncDir(root *os.Root, dir string) error {
	d, err := root.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Delete removes key and everything below it. Directories that become empty stay.
func (f *File) Delete(ctx context.Context, key string) error {
	if err := errors.Join(checkKey(key), ctx.Err()); err != nil {
		return err
	}
	root, err := f.open(key)
	if err != nil {
		return err
	}
	defer root.Close()
	err = root.RemoveAll(key)
	if err == nil {
		err = syncDir(root, path.Dir(key))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
		return f.fail("delete", key, err)
	}
	return nil
}

// Exists reports whether key has a value or is a directory.
func (f *File) Exists(ctx context.Context, key string) bool {
	_, err := f.Stat(ctx, key)
	return err == nil
}

// Stat tells size and age of a value. A directory is not terminal.
func (f *File) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	if err := errors.Join(checkKey(key), ctx.Err()); err != nil {
		return certmagic.KeyInfo{}, err
	}
	root, err := f.open(key)
	if err != nil {
		return certmagic.KeyInfo{}, err
	}
	defer root.Close()
	fi, err := root.Stat(key)
	if err != nil {
		return certmagic.KeyInfo{}, f.missing("stat", key, err)
	}
	if fi.IsDir() {
		return certmagic.KeyInfo{Key: key, Modified: fi.ModTime()}, nil
	}
	return certmagic.KeyInfo{Key: key, Modified: fi.ModTime(), Size: fi.Size(), IsTerminal: true}, nil
}

// Close gives back all locks. The directory stays as it is.
func (f *File) Close() error {
	for name, file := range f.locks.close() {
		f.release(name, file)
	}
	return nil
}
