package watch

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Bounds.
const (
	mostFound = 100 // files that Found is told
	longest   = 5 * time.Second
	interval  = time.Second // of polling, and of looking whether Dirs are there
)

// limits bound what is watched.
type limits struct {
	dirs  int // that the kernel is asked to watch; more are polled
	files int // and directories that are remembered
}

// Setup is what is watched.
type Setup struct {
	Dirs  []string               // with all below them; one that is not there is waited for
	Skip  func(dir string) bool  // a directory below them that does not count; nil: none
	Match func(file string) bool // a file that counts; nil: all
	Quiet time.Duration          // how long nothing must happen before Found is called, though not after 5 s; 0: 200 ms
	Poll  bool                   // look every second even where the kernel notifies

	// Ready is called once, when everything has been looked at: what changes from then
	// on is found. nil: nobody is told.
	Ready func()

	// Found is called with the files that have changed, come or gone, sorted, at most
	// 100, not twice at once. They begin as Dirs do. While it runs nothing is looked
	// at, and nothing is lost.
	Found func(files []string)

	// Error is called with what cannot be watched, and whether all is polled from then
	// on, which is said once; nil: nobody is told.
	Error func(err error, polling bool)
}

// Run watches until ctx ends, and returns nil after its last goroutine. Where the
// kernel does not notify (network file systems), or has no watches left, or for more
// than 8192 directories, it looks every second, or less often where a look takes more
// than a tenth of one. Of more than 100,000 files and directories it watches so many.
func Run(ctx context.Context, s Setup) error {
	return run(ctx, s, limits{dirs: 8192, files: 100_000})
}

// run is Run within limits.
func run(ctx context.Context, s Setup, l limits) error {
	if s.Found == nil {
		return errors.New("nothing to call when files change: set Found")
	}
	if s.Quiet <= 0 {
		s.Quiet = 200 * time.Millisecond
	}
	t := newTree(s, l)
	w := &watcher{Setup: s, tree: t}
	if !s.Poll {
		w.open()
	}
	defer w.shut()
	w.look(ctx)
	clear(t.changed) // it was there before us
	if s.Ready != nil && ctx.Err() == nil {
		s.Ready()
	}
	if w.kernel != nil {
		w.listen(ctx)
	}
	if ctx.Err() == nil {
		w.poll(ctx)
	}
	return nil
}

// tell calls Found with what has changed, if anything has.
func (w *watcher) tell() {
	if len(w.tree.changed) == 0 {
		return
	}
	files := make([]string, 0, len(w.tree.changed))
	for file := range w.tree.changed {
		files = append(files, file)
	}
	clear(w.tree.changed)
	slices.Sort(files)
	w.Found(files[:min(len(files), mostFound)])
}
