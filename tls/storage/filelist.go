package storage

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	listBatch = 1024
	staleTemp = time.Hour // nobody writes a megabyte for that long
)

// List returns the keys right below prefix, or when recursive all keys below it
// that have a value.
func (f *File) List(ctx context.Context, prefix string, recursive bool) ([]string, error) {
	if err := errors.Join(checkPrefix(prefix), ctx.Err()); err != nil {
		return nil, err
	}
	root, err := f.open(prefix + "/") // the directory itself is checked too
	if err != nil {
		return nil, err
	}
	defer root.Close()
	l := lister{root: root, recursive: recursive}
	fi, err := root.Stat(path.Join(".", prefix))
	if err == nil && fi.IsDir() {
		err = l.list(ctx, prefix)
	}
	if err != nil {
		return nil, f.missing("list", prefix, err)
	}
	slices.Sort(l.keys)
	return l.keys, nil
}

// lister collects keys.
type lister struct {
	root      *os.Root
	recursive bool
	keys      []string
}

func (l *lister) list(ctx context.Context, dir string) error {
	d, err := l.root.Open(path.Join(".", dir))
	if err != nil {
		return err
	}
	defer d.Close()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		entries, err := d.ReadDir(listBatch)
		for _, e := range entries {
			if err := l.add(ctx, dir, e); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// add takes what can be a key; files that came from elsewhere are not listed.
func (l *lister) add(ctx context.Context, dir string, e fs.DirEntry) error {
	key := path.Join(dir, e.Name())
	if strings.HasPrefix(e.Name(), tempPrefix) {
		l.sweep(key, e)
		return nil
	}
	if checkKey(key) != nil || key == "lost+found" {
		return nil
	}
	mode := e.Type()
	if mode&fs.ModeSymlink != 0 {
		fi, err := l.root.Stat(key)
		if err != nil || fi.IsDir() {
			return nil // it leads out, nowhere, or round in circles
		}
		mode = fi.Mode()
	}
	switch {
	case mode.IsDir() && l.recursive:
		err := l.list(ctx, key)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			return nil // deleted meanwhile
		}
		return err
	case mode.IsDir(), mode.IsRegular():
		l.keys = append(l.keys, key)
	}
	return nil
}

// sweep removes what a process left that died while it wrote.
func (l *lister) sweep(temp string, e fs.DirEntry) {
	if fi, err := e.Info(); err == nil && fi.Mode().IsRegular() && time.Since(fi.ModTime()) > staleTemp {
		_ = l.root.Remove(temp)
	}
}
