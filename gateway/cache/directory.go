package cache

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync/atomic"
)

// directory has the bodies that are on disk. Files that are being written end in
// temporary, those that are whole in complete; all others are not touched.
type directory struct {
	path string
	lock *os.File // of the process that uses it; nil: another process does
	left []string // files of an earlier process

	loaded bool // guarded by Store.mu, but for who loads it
}

const (
	temporary = ".tmp"
	complete  = ".answer"
)

var errDiskFull = errors.New("cache: no room on disk")

// file is a body on disk with its record.
type file struct {
	dir  *directory
	name string
	size int64 // with its record
	sum  uint32

	written atomic.Int64 // Unix time of the last rewrite
}

// openDirectory makes sure that a directory is there and can be written to.
func openDirectory(path string) (*directory, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("dir: %w: choose a directory that headgate may write to", err)
	}
	d := &directory{path: path}
	f, err := d.create()
	if err != nil {
		return nil, fmt.Errorf("dir: %w: choose a directory that headgate may write to", err)
	}
	d.discard(f)
	return d, nil
}

func (d *directory) close() {
	if d.lock != nil {
		d.lock.Close()
	}
}

// create opens a new file for a body that comes.
func (d *directory) create() (*os.File, error) {
	return os.OpenFile(filepath.Join(d.path, rand.Text()+temporary), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}

// discard closes a file that was not sealed and takes it away. Should that fail, the
// next start does it.
func (d *directory) discard(f *os.File) {
	f.Close()
	_ = os.Remove(f.Name())
}

// seal writes the record behind the body, and then gives the file its name. f stays
// open.
func (d *directory) seal(f *os.File, size int64, r *record) (*file, error) {
	tail, err := r.encode(size)
	if err != nil {
		return nil, err
	}
	if _, err := f.WriteAt(tail, size); err != nil {
		return nil, err
	}
	name := strings.TrimSuffix(filepath.Base(f.Name()), temporary) + complete
	if err := os.Rename(f.Name(), filepath.Join(d.path, name)); err != nil {
		return nil, err
	}
	return &file{dir: d, name: name, size: size + int64(len(tail)), sum: r.Sum}, nil
}

func (f *file) open() (*os.File, error) { return os.Open(filepath.Join(f.dir.path, f.name)) }

func (f *file) remove() { _ = os.Remove(filepath.Join(f.dir.path, f.name)) }

// rewriteEvery bounds how often a record is replaced, in seconds: what is asked about
// with each request is not worth it.
const rewriteEvery = 30

// due reports whether the record is to be replaced now, by the caller alone.
func (f *file) due(now int64) bool {
	last := f.written.Load()
	return now-last >= rewriteEvery && f.written.CompareAndSwap(last, now)
}

// rewrite replaces the record of a body that the app says is still right. A file on
// which that ends half-way is not whole any more.
func (f *file) rewrite(size int64, r *record) error {
	tail, err := r.encode(size)
	if err != nil {
		return err
	}
	w, err := os.OpenFile(filepath.Join(f.dir.path, f.name), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	_, err = w.WriteAt(tail, size)
	return errors.Join(err, w.Truncate(size+int64(len(tail))), w.Close())
}

// take claims d, if no other process has it, and finds what is in it: the files that
// are whole, the oldest first. Those that were never finished are taken away.
func (d *directory) take() (ok bool, err error) {
	if ok, err = d.claim(); !ok {
		return false, err
	}
	list, err := os.ReadDir(d.path)
	if err != nil {
		return false, err
	}
	var found []fs.FileInfo
	for _, l := range list {
		switch {
		case !l.Type().IsRegular():
		case strings.HasSuffix(l.Name(), temporary):
			_ = os.Remove(filepath.Join(d.path, l.Name()))
		case strings.HasSuffix(l.Name(), complete):
			if info, err := l.Info(); err == nil {
				found = append(found, info)
			}
		}
	}
	sort.SliceStable(found, func(i, j int) bool { return found[i].ModTime().Before(found[j].ModTime()) })
	d.left = make([]string, len(found))
	for i := range found {
		d.left[i] = found[i].Name()
	}
	return true, nil
}
