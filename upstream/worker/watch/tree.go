package watch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// tree is what is known of directories and the files in them.
type tree struct {
	Setup
	limits limits
	roots  []string
	dirs   map[string]*dir
	names  map[id][]string // of directories; the first is the one that is watched
	count  int             // of dirs and their files

	dirty   map[string]bool     // directories to look at; true: they may be others than they were
	changed map[string]struct{} // files
	news    int                 // how often a file has changed
	said    map[string]bool     // trouble that was told

	watch, unwatch func(dir string)
}

// dir is a directory.
type dir struct {
	id    id
	files map[string]stamp
	dirs  map[string]struct{} // by name; those that are skipped are not there
}

// stamp is what a file is known by.
type stamp struct {
	id       id
	modified time.Time
	size     int64
}

// newTree returns a tree of which nothing is known yet.
func newTree(s Setup, l limits) *tree {
	nothing := func(string) {}
	t := &tree{
		Setup: s, limits: l, dirs: make(map[string]*dir), names: make(map[id][]string), dirty: make(map[string]bool),
		changed: make(map[string]struct{}), said: make(map[string]bool), watch: nothing, unwatch: nothing,
	}
	var roots []string
	for _, root := range s.Dirs {
		roots = append(roots, filepath.Clean(root))
	}
	slices.Sort(roots)
	for _, root := range slices.Compact(roots) {
		if !slices.ContainsFunc(t.roots, func(r string) bool { return t.reaches(r, root) }) {
			t.roots = append(t.roots, root)
		}
	}
	return t
}

// reaches tells whether a directory is found from one above it.
func (t *tree) reaches(from, to string) bool {
	rest, ok := strings.CutPrefix(to, strings.TrimSuffix(from, "/")+"/")
	if from == "." && filepath.IsLocal(to) {
		rest, ok = to, true
	}
	if !ok {
		return false
	}
	for at, name := from, ""; rest != ""; {
		name, rest, _ = strings.Cut(rest, "/")
		at = filepath.Join(at, name)
		if i, err := os.Lstat(at); err != nil || !i.IsDir() || t.skips(at) {
			return false
		}
	}
	return true
}

// skips tells whether a directory does not count.
func (t *tree) skips(dir string) bool { return t.Skip != nil && t.Skip(dir) }

// knows tells whether a directory is one of ours.
func (t *tree) knows(dir string) bool { return t.dirs[dir] != nil }

// complain tells of trouble, once of each place.
func (t *tree) complain(err error, polling bool) {
	if key := err.Error(); t.Error != nil && !t.said[key] && len(t.said) < mostFound {
		t.said[key] = true
		t.Error(err, polling)
	}
}

// mark notes that a directory is to be looked at, by all the names that it has.
func (t *tree) mark(path string, other bool) {
	d := t.dirs[path]
	if d == nil {
		return
	}
	for _, name := range t.names[d.id] {
		t.dirty[name] = t.dirty[name] || other
	}
}

// markAll notes that all is to be looked at.
func (t *tree) markAll() {
	t.checkRoots()
	for name := range t.dirs {
		t.dirty[name] = true
	}
}

// checkRoots looks whether the roots are what they were, notes those that are not, and
// tells whether there are any.
func (t *tree) checkRoots() bool {
	found := false
	for _, root := range t.roots {
		d := t.dirs[root]
		i, err := os.Stat(root)
		switch {
		case err == nil && i.IsDir() && d != nil && identify(root, i) == d.id:
			continue
		case err != nil && d == nil:
			t.unreadable(err)
			continue
		case err == nil && !i.IsDir():
			t.complain(fmt.Errorf("%s is no directory: name one", root), false)
			if d == nil {
				continue
			}
		}
		t.dirty[root] = true
		found = true
	}
	return found
}

// look looks at the directories that are noted, and at what is new below them.
func (t *tree) look(ctx context.Context) {
	for len(t.dirty) > 0 && ctx.Err() == nil {
		var paths []string
		for path := range t.dirty {
			paths = append(paths, path)
		}
		slices.Sort(paths) // parents first
		for _, path := range paths {
			other, ok := t.dirty[path]
			if !ok || ctx.Err() != nil {
				continue
			}
			delete(t.dirty, path)
			t.lookAt(ctx, path, other)
		}
	}
}

// lookAt looks at a directory that was noted. other: it may be another one than it was.
func (t *tree) lookAt(ctx context.Context, path string, other bool) {
	d := t.dirs[path]
	if other || d == nil {
		i, err := os.Stat(path)
		same := err == nil && i.IsDir() && d != nil && identify(path, i) == d.id
		if d != nil && !same {
			t.drop(path, true)
			d = nil
		}
		if d == nil {
			if err == nil && i.IsDir() && slices.Contains(t.roots, path) { // another one's parent finds it
				t.add(ctx, path, identify(path, i))
			}
			return
		}
		if t.names[d.id][0] == path {
			t.watch(path) // the kernel may have lost it, with one that had the same inode
		}
	}
	t.read(ctx, path, d)
}

// add takes a directory in, and all below it.
func (t *tree) add(ctx context.Context, path string, is id) {
	if t.full(path) || ctx.Err() != nil {
		return
	}
	for _, old := range slices.Clone(t.names[is]) { // it was moved here, or its inode is used again
		if i, err := os.Stat(old); err != nil || identify(old, i) != is {
			t.drop(old, true)
		}
	}
	d := &dir{id: is, files: make(map[string]stamp), dirs: make(map[string]struct{})}
	t.dirs[path] = d
	t.names[is] = append(t.names[is], path)
	t.count++
	if len(t.names[is]) == 1 {
		t.watch(path) // before we look: nothing is missed
	}
	t.read(ctx, path, d)
}

// drop forgets a directory and all below it. Its files have changed if they are gone,
// and have not if they are skipped from now on.
func (t *tree) drop(path string, gone bool) {
	d := t.dirs[path]
	if d == nil {
		return
	}
	delete(t.dirs, path)
	delete(t.dirty, path)
	t.count -= 1 + len(d.files)
	for name := range d.dirs {
		t.drop(filepath.Join(path, name), gone)
	}
	for name := range d.files {
		if gone {
			t.change(filepath.Join(path, name))
		}
	}
	names := t.names[d.id]
	watched := names[0] == path
	names = slices.DeleteFunc(names, func(n string) bool { return n == path })
	if len(names) == 0 {
		delete(t.names, d.id)
	} else {
		t.names[d.id] = names
	}
	if watched {
		t.unwatch(path)
		if len(names) > 0 {
			t.watch(names[0])
			t.mark(names[0], false) // what was said in between
		}
	}
}

// change notes that a file has changed.
func (t *tree) change(file string) {
	t.changed[file] = struct{}{}
	t.news++
}

// full tells whether there is room for no more files and directories.
func (t *tree) full(path string) bool {
	if t.count < t.limits.files {
		return false
	}
	t.complain(fmt.Errorf("more than %d files and directories, of which the others are not watched: leave some out", t.limits.files), false)
	return true
}

// read compares a directory with what is known of it.
func (t *tree) read(ctx context.Context, path string, d *dir) {
	f, err := os.Open(path)
	if err != nil {
		t.unreadable(err)
		return
	}
	defer f.Close()
	seen := make(map[string]struct{})
	for err == nil && ctx.Err() == nil && t.dirs[path] == d {
		var entries []fs.DirEntry
		entries, err = f.ReadDir(256)
		for _, e := range entries {
			if t.entry(ctx, path, d, e) {
				seen[e.Name()] = struct{}{}
			}
		}
	}
	if t.dirs[path] != d || ctx.Err() != nil {
		return
	}
	if !errors.Is(err, io.EOF) {
		t.unreadable(err) // what was not seen may be there
		return
	}
	for name := range d.files {
		if _, ok := seen[name]; !ok {
			delete(d.files, name)
			t.count--
			t.change(filepath.Join(path, name))
		}
	}
	for name := range d.dirs {
		if _, ok := seen[name]; !ok {
			delete(d.dirs, name)
			t.drop(filepath.Join(path, name), true)
		}
	}
}

// unreadable tells of a directory that cannot be read, but for one that is gone.
func (t *tree) unreadable(err error) {
	if !errors.Is(err, os.ErrNotExist) {
		t.complain(err, false)
	}
}

// entry compares a file or directory with what is known of it, and tells whether it is
// there and counts.
func (t *tree) entry(ctx context.Context, path string, d *dir, e fs.DirEntry) bool {
	full := filepath.Join(path, e.Name())
	if e.IsDir() {
		return t.subdirectory(ctx, full, d, e)
	}
	if e.Type()&^os.ModeSymlink != 0 || (t.Match != nil && !t.Match(full)) {
		return false
	}
	i, err := os.Stat(full) // what a link leads to
	if err != nil || !i.Mode().IsRegular() {
		return false
	}
	now := stamp{identify(full, i), i.ModTime(), i.Size()}
	was, known := d.files[e.Name()]
	switch {
	case !known && t.full(full):
		return false
	case !known:
		t.count++
		t.change(full)
	case was.id != now.id || was.size != now.size || !was.modified.Equal(now.modified):
		t.change(full)
	}
	d.files[e.Name()] = now
	return true
}

// subdirectory compares a directory in another one with what is known of it, and tells
// whether it is there and counts.
func (t *tree) subdirectory(ctx context.Context, path string, d *dir, e fs.DirEntry) bool {
	if t.skips(path) {
		delete(d.dirs, e.Name())
		t.drop(path, false)
		return false
	}
	i, err := e.Info()
	if err != nil || !i.IsDir() {
		return false
	}
	is := identify(path, i)
	if known := t.dirs[path]; known != nil && known.id != is {
		t.drop(path, true)
	}
	if t.dirs[path] == nil {
		t.add(ctx, path, is)
	}
	if t.dirs[path] == nil {
		return false // there is no room
	}
	d.dirs[e.Name()] = struct{}{}
	return true
}
