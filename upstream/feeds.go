package upstream

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// feed is a source that runs for a pool, or for a family of them.
type feed struct {
	source Source
	stop   context.CancelFunc // nil: not started
}

// feeds are the sources that a pool, or all pools of a family, listen to. A nil
// *feeds has none.
type feeds struct {
	log  *slog.Logger
	hear func(key string, f *feed, pool string, members []Member) (idle <-chan struct{})

	mu    sync.Mutex // guards the fields below; a pool's own may be held
	all   map[string]*feed
	start func(string, *feed) // starts one; nil when run does not run
}

// begin starts all, and later those that are added, in goroutines of wg, until ctx
// ends. After halt no more are started.
func (s *feeds) begin(ctx context.Context, wg *sync.WaitGroup) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.start = func(key string, f *feed) {
		var own context.Context
		own, f.stop = context.WithCancel(ctx)
		wg.Go(func() { s.run(own, key, f) })
	}
	for key, f := range s.all {
		s.start(key, f)
	}
}

func (s *feeds) halt() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.start = nil
}

// run runs one source, again when it ends before its time.
func (s *feeds) run(ctx context.Context, key string, f *feed) {
	set := func(pool string, members []Member) <-chan struct{} {
		if ctx.Err() != nil {
			return closed()
		}
		return s.hear(key, f, pool, members)
	}
	for {
		err := f.source.Run(ctx, set)
		if ctx.Err() != nil || err == nil { // without an error it has nothing more to say
			return
		}
		s.log.Error("source of members ended: it is started again", "source", key, "err", err)
		if !sleep(ctx, sourceWait) {
			return
		}
	}
}

const sourceWait = 5 * time.Second

// change makes sources be the ones that run; one whose key was there before goes on.
// It returns the keys of those that it has ended, sorted, and whether it has begun
// others.
func (s *feeds) change(sources map[string]Source) (ended []string, began bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, f := range s.all {
		if _, stays := sources[key]; stays {
			continue
		}
		if f.stop != nil {
			f.stop()
		}
		delete(s.all, key)
		ended = append(ended, key)
	}
	for key, source := range sources {
		if s.all[key] != nil {
			continue
		}
		f := &feed{source: source}
		s.all[key] = f
		began = true
		if s.start != nil {
			s.start(key, f)
		}
	}
	slices.Sort(ended)
	return ended, began
}

// asks reports whether f is the source of that key.
func (s *feeds) asks(key string, f *feed) bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[key] == f
}

// refreshers returns the sources that can look again.
func (s *feeds) refreshers() []refresher { return sourcesOf[refresher](s) }

// troubled returns the sources that can say why there is nobody.
func (s *feeds) troubled() []troubled { return sourcesOf[troubled](s) }

// sourcesOf returns the sources that are of type S, in the order of their keys.
func sourcesOf[S any](s *feeds) (out []S) {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(s.all)) {
		if one, ok := s.all[key].source.(S); ok {
			out = append(out, one)
		}
	}
	return out
}
