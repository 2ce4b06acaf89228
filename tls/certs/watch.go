package certs

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	watchPoll   = time.Minute            // for file systems without events, and for what events miss
	watchSettle = 500 * time.Millisecond // two files are seldom replaced in one moment
	maxLinks    = 40                     // symbolic links on the way to one file
)

// watch reloads certificate files that change, until ctx ends.
func (s *Store) watch(ctx context.Context, events bool) {
	w := &watcher{log: s.log}
	defer w.close()
	poll := time.NewTicker(watchPoll)
	defer poll.Stop()
	settle := time.NewTimer(0)
	settle.Stop()
	for waiting := false; ; {
		if v := s.view.Load(); v != nil && events {
			w.follow(v.index.entries)
		}
		look := false
		select {
		case <-ctx.Done():
			return
		case <-s.changed[loopWatch]:
			look = true // the set may have been loaded before the last change
		case <-poll.C:
			look = true
		case <-settle.C:
			look, waiting = true, false
		case ev, ok := <-w.events():
			// The timer is not pushed back by more events: a busy directory
			// must not keep a new certificate out.
			if ok && !waiting && w.paths[ev.Name] && ev.Op != fsnotify.Chmod {
				settle.Reset(watchSettle)
				waiting = true
			}
		case err := <-w.errors():
			s.log.Debug("watching certificate files", "err", err)
			look = true // an overflow: events were lost
		}
		if look && !s.reloadFiles() && !waiting {
			settle.Reset(watchSettle)
			waiting = true
		}
	}
}

// reloadFiles compares every file with what was loaded, and serves what is new.
// It returns false when something looks half written and is worth a second look
// soon.
func (s *Store) reloadFiles() (settled bool) {
	v := s.view.Load()
	if v == nil {
		return true
	}
	settled = true
	entries := slices.Clone(v.index.entries)
	fresh := 0
	for i, e := range entries {
		next, ok := s.reloadEntry(e)
		settled = settled && ok
		if next != nil {
			entries[i] = next
			fresh++
		}
	}
	if fresh > 0 {
		s.replace(v, entries)
	}
	return settled
}

// reloadEntry returns the entry for newer files, or nil to keep e. Files that
// cannot be used have to look the same twice before that is an error: somebody
// may be in the middle of replacing them.
func (s *Store) reloadEntry(e *entry) (next *entry, settled bool) {
	c, err := readPair(e.pair)
	if err == nil && c.sum == e.sum {
		e.setBad(c.sum, nil)
		return nil, true
	}
	seen, reported := e.seenBad(c.sum)
	if reported {
		return nil, true
	}
	if err == nil {
		next, err = newEntry(e.pair, c, s.log)
	}
	if err == nil {
		s.log.Info("certificate reloaded", "file", e.pair.Cert, "names", next.names, "not_after", next.leaf.NotAfter)
		return next, true
	}
	if !seen {
		e.setBad(c.sum, nil)
		return nil, false
	}
	e.setBad(c.sum, err)
	s.log.Error("new certificate files cannot be used, the old certificate goes on serving",
		"file", e.pair.Cert, "names", e.names, "not_after", e.leaf.NotAfter, "err", err)
	return nil, true
}

// seenBad reports whether files with this sum were found wanting before, and
// whether that has been said.
func (e *entry) seenBad(sum [32]byte) (seen, reported bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.bad == sum, e.bad == sum && e.badErr != nil
}

func (e *entry) setBad(sum [32]byte, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.bad, e.badErr = sum, err
}

// replace serves entries in place of those of v, unless a Swap came first: its
// Set was built from the files as they are now, or Run looks at it again soon.
func (s *Store) replace(v *view, entries []*entry) {
	s.mu.Lock()
	swapped := s.view.Load() != v
	if !swapped {
		next := *v
		next.index = newIndex(entries)
		s.view.Store(&next)
	}
	s.mu.Unlock()
	if !swapped {
		s.wake()
	}
}

// watcher follows the directories in which a change can give a certificate file
// another meaning. It belongs to one goroutine.
type watcher struct {
	log   *slog.Logger
	fs    *fsnotify.Watcher // nil until there is a file, and where it cannot be had
	gone  bool              // it cannot be had: poll only
	paths map[string]bool   // what counts of what happens in those directories
}

// follow watches what matters for entries and nothing else.
func (w *watcher) follow(entries []*entry) {
	if w.gone || (w.fs == nil && len(entries) == 0) {
		return
	}
	if w.fs == nil {
		var err error
		if w.fs, err = fsnotify.NewWatcher(); err != nil {
			w.gone = true
			w.log.Warn("certificate files are looked at once a minute only", "err", err)
			return
		}
	}
	w.paths = map[string]bool{}
	dirs := map[string]bool{}
	for _, e := range entries {
		for _, p := range append(steps(e.pair.Cert), steps(e.pair.Key)...) {
			w.paths[p] = true
			dirs[filepath.Dir(p)] = true
		}
	}
	for _, d := range w.fs.WatchList() {
		if !dirs[d] {
			_ = w.fs.Remove(d)
		}
		delete(dirs, d)
	}
	for d := range dirs {
		if err := w.fs.Add(d); err != nil && !errors.Is(err, fs.ErrNotExist) {
			w.log.Debug("directory is looked at once a minute only", "file", d, "err", err)
		}
	}
}

func (w *watcher) events() <-chan fsnotify.Event {
	if w.fs == nil {
		return nil
	}
	return w.fs.Events
}

func (w *watcher) errors() <-chan error {
	if w.fs == nil {
		return nil
	}
	return w.fs.Errors
}

func (w *watcher) close() {
	if w.fs != nil {
		_ = w.fs.Close()
	}
}

// steps lists every directory entry that decides what path names: each symbolic
// link on the way and the file itself, by real directories. Kubernetes swaps the
// link ..data beside the file, certbot the file's own link, others a directory.
func steps(path string) []string {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil
	}
	var out []string
	cur, rest := "/", splitPath(path)
	for links := 0; len(rest) > 0; {
		p := filepath.Join(cur, rest[0])
		rest = rest[1:]
		target, err := os.Readlink(p)
		if err != nil { // no link
			cur = p
			continue
		}
		out = append(out, p)
		if links++; links > maxLinks {
			return out
		}
		if filepath.IsAbs(target) {
			cur = "/"
		}
		rest = append(splitPath(target), rest...)
	}
	return append(out, cur)
}

func splitPath(p string) []string {
	return strings.FieldsFunc(p, func(r rune) bool { return r == '/' })
}
