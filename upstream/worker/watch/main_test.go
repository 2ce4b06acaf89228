package watch_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"headgate/upstream/worker/watch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scene is a directory that is watched.
type scene struct {
	*testing.T
	dir string
	run func(ctx context.Context, s watch.Setup) error

	mu       sync.Mutex // guards the fields below
	calls    int
	found    map[string]bool
	troubles []string
	polling  bool
}

// both plays a scene twice: as the kernel notifies, and polling, in which time is fake.
func both(t *testing.T, setup func(s *scene, w *watch.Setup), body func(s *scene)) {
	t.Parallel()
	t.Run("notify", func(t *testing.T) {
		t.Parallel()
		play(t, false, setup, body)
	})
	t.Run("poll", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) { play(t, true, setup, body) })
	})
}

// play watches a directory while body runs. setup may change what is watched.
func play(t *testing.T, poll bool, setup func(s *scene, w *watch.Setup), body func(s *scene)) {
	s := &scene{T: t, dir: t.TempDir(), run: watch.Run, found: make(map[string]bool)}
	ready := make(chan struct{})
	w := watch.Setup{
		Dirs: []string{s.dir}, Skip: watch.SkipUsual, Match: watch.PythonFiles, Quiet: 50 * time.Millisecond, Poll: poll,
		Ready: func() { close(ready) },
		Found: s.find,
		Error: s.trouble,
	}
	if setup != nil {
		setup(s, &w)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.run(ctx, w) }()
	<-ready
	body(s)
	stop()
	if err := <-done; err != nil {
		t.Errorf("run: %v", err)
	}
}

// find is Setup.Found.
func (s *scene) find(files []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if !slices.IsSorted(files) || len(files) == 0 || len(files) > 100 {
		s.Errorf("found %d files, want 1 to 100, sorted: %q", len(files), files)
	}
	for _, file := range files {
		s.found[file] = true
	}
}

// trouble is Setup.Error.
func (s *scene) trouble(err error, polling bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.troubles = append(s.troubles, err.Error())
	s.polling = s.polling || polling
}

// expect waits until these files have been found, and no others.
func (s *scene) expect(files ...string) {
	s.Helper()
	for i, file := range files {
		files[i] = s.path(file)
	}
	slices.Sort(files)
	s.wait(func() bool { return len(s.found) >= len(files) })
	s.mu.Lock()
	defer s.mu.Unlock()
	var got []string
	for file := range s.found {
		got = append(got, file)
	}
	slices.Sort(got)
	if !slices.Equal(got, files) {
		s.Fatalf("found %q, want %q", got, files)
	}
	clear(s.found)
}

// wait waits until ok, which is called under s.mu.
func (s *scene) wait(ok func() bool) {
	s.Helper()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for end := time.After(20 * time.Second); ; {
		s.mu.Lock()
		yes := ok()
		s.mu.Unlock()
		if yes {
			return
		}
		select {
		case <-look.C:
		case <-end:
			s.mu.Lock()
			defer s.mu.Unlock()
			s.Fatalf("not in 20 s; found %v, troubles %q", s.found, s.troubles)
		}
	}
}

// path is a path in the directory.
func (s *scene) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(s.dir, name)
}

// write writes a file, and the directories that it needs. Each content has a length of
// its own: the clock of files is coarse.
func (s *scene) write(name, content string) {
	s.Helper()
	s.ok(os.MkdirAll(filepath.Dir(s.path(name)), 0o755))
	s.ok(os.WriteFile(s.path(name), []byte(content), 0o644))
}

// rename moves a file or a directory.
func (s *scene) rename(from, to string) {
	s.Helper()
	s.ok(os.Rename(s.path(from), s.path(to)))
}

// ok ends the test on an error.
func (s *scene) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}
