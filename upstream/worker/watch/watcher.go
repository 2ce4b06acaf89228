package watch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// watcher keeps a tree up to date, with the kernel's help or without.
type watcher struct {
	Setup
	tree   *tree
	kernel *fsnotify.Watcher // nil: all is polled
}

// open asks the kernel for its help.
func (w *watcher) open() {
	for _, root := range w.tree.roots {
		if kind := remote(root); kind != "" {
			w.tree.complain(fmt.Errorf("%s is on %s, where the kernel does not tell of changes", root, kind), true)
			return
		}
	}
	k, err := fsnotify.NewBufferedWatcher(1024)
	if err != nil {
		w.tree.complain(err, true)
		return
	}
	w.kernel = k
	w.tree.watch, w.tree.unwatch = w.add, w.remove
}

// add watches a directory. When there are too many, or the kernel can watch no more,
// all is polled from then on.
func (w *watcher) add(dir string) {
	if w.kernel == nil {
		return
	}
	err := w.kernel.Add(dir)
	switch {
	case err == nil && len(w.tree.dirs) > w.tree.limits.dirs:
		err = fmt.Errorf("more than %d directories: leave some out", w.tree.limits.dirs)
	case err == nil, errors.Is(err, os.ErrNotExist): // it is gone: its parent knows
		return
	case errors.Is(err, os.ErrPermission):
		return // it cannot be read either, and that was said
	case errors.Is(err, syscall.ENOSPC):
		err = fmt.Errorf("%s: the kernel can watch no more directories: raise fs.inotify.max_user_watches", dir)
	default:
		err = fmt.Errorf("watch %s: %w", dir, err)
	}
	w.shut()
	w.tree.complain(err, true)
}

// remove watches a directory no more.
func (w *watcher) remove(dir string) {
	if w.kernel != nil {
		_ = w.kernel.Remove(dir) // the kernel was faster: just as well
	}
}

// shut gives up the kernel's help. It returns after the last goroutine of it.
func (w *watcher) shut() {
	if w.kernel == nil {
		return
	}
	_ = w.kernel.Close()
	for range w.kernel.Events { //nolint:revive // it is closed by the last goroutine
	}
	w.kernel = nil
}

// look looks at everything.
func (w *watcher) look(ctx context.Context) {
	w.tree.markAll()
	w.tree.look(ctx)
}

// listen looks where the kernel says, until ctx ends or the kernel is no help any more.
func (w *watcher) listen(ctx context.Context) {
	roots := time.NewTicker(interval)
	defer roots.Stop()
	quiet := time.NewTimer(time.Hour)
	quiet.Stop()
	defer quiet.Stop()
	var end time.Time // the latest moment to look; zero: nothing has happened
	for w.kernel != nil {
		hint := false
		select {
		case <-ctx.Done():
			return
		case e, ok := <-w.kernel.Events:
			if !ok {
				w.shut()
				w.tree.complain(errors.New("the kernel notifies no more"), true)
				return
			}
			hint = w.hint(e)
		case err := <-w.kernel.Errors:
			hint = w.trouble(err)
		case <-roots.C:
			hint = w.tree.checkRoots()
		case <-quiet.C:
			end = time.Time{}
			w.tree.look(ctx)
			w.tell()
		}
		if hint {
			now := time.Now()
			if end.IsZero() {
				end = now.Add(longest)
			}
			quiet.Reset(min(w.Quiet, end.Sub(now)))
		}
	}
}

// trouble is what the kernel cannot do. When events are lost it is time to look at all.
func (w *watcher) trouble(err error) bool {
	switch {
	case err == nil:
		return false
	case errors.Is(err, fsnotify.ErrEventOverflow):
		w.tree.markAll()
		return true
	}
	w.tree.complain(err, false)
	return false
}

// hint notes where to look after an event, and tells whether it is worth it: what
// happens to files that do not count costs nothing.
func (w *watcher) hint(e fsnotify.Event) bool {
	if w.tree.knows(e.Name) { // one of our directories: it may be another one by now
		w.tree.mark(e.Name, true)
		w.tree.mark(filepath.Dir(e.Name), false)
		return true
	}
	if dir := filepath.Dir(e.Name); w.counts(e) && w.tree.knows(dir) {
		w.tree.mark(dir, false)
		return true
	}
	return false
}

// counts tells whether an event is of a file that counts, or may be of a new directory,
// or of a link that others lead through.
func (w *watcher) counts(e fsnotify.Event) bool {
	if w.Match == nil || w.Match(e.Name) {
		return true
	}
	if !e.Has(fsnotify.Create) {
		return false
	}
	i, err := os.Lstat(e.Name)
	return err == nil && (i.IsDir() && !w.tree.skips(e.Name) || i.Mode()&os.ModeSymlink != 0)
}

// poll looks at everything again and again, until ctx ends.
func (w *watcher) poll(ctx context.Context) {
	next := time.NewTimer(interval)
	defer next.Stop()
	var end time.Time // the latest moment to tell; zero: nothing has changed
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
		begun, before := time.Now(), len(w.tree.changed)
		news := w.tree.news
		w.look(ctx)
		wait := interval
		switch now := time.Now(); {
		case len(w.tree.changed) == 0 && before == 0:
		case w.tree.news == news || (!end.IsZero() && !now.Before(end)): // it is quiet, or has been long
			w.tell()
			end = time.Time{}
		default:
			if end.IsZero() {
				end = now.Add(longest)
			}
			wait = min(w.Quiet, end.Sub(now))
		}
		next.Reset(max(wait, 10*time.Since(begun)))
	}
}
