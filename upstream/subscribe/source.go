package subscribe

import (
	"context"
	"maps"
	"slices"
	"time"

	"headgate/upstream"
)

// together is how long a source lets changes of a key come together.
const together = 20 * time.Millisecond

// source names the members of a server's keys.
type source struct{ server *Server }

// Source returns a source that names the members of every key: it calls set with the
// key in place of a pool's name, in lower case and without a port; ".example.com" is
// for all names below. A key that has lost its last member is said with none. Any
// number of them may run.
func (s *Server) Source() upstream.Source { return source{s} }

// Run says what is known, and what changes until ctx ends: then it returns the error
// of ctx, and what it has said holds.
func (s source) Run(ctx context.Context, set upstream.SetFunc) error {
	l := s.server.listen()
	defer s.server.unlisten(l)
	said := make(map[string][]upstream.Member)
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-pause.C:
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-l.wake:
		}
		news := s.server.news(l, said)
		for _, key := range slices.Sorted(maps.Keys(news)) {
			if err := ctx.Err(); err != nil {
				return err
			}
			members := news[key]
			if slices.Equal(said[key], members) {
				continue
			}
			set(key, members)
			if said[key] = members; members == nil {
				delete(said, key)
			}
		}
		pause.Reset(together)
	}
}

// listener is what a source that runs has not said yet. The server's lock guards
// its fields but wake.
type listener struct {
	wake  chan struct{}
	dirty map[string]bool
	all   bool // every key
}

// listen adds a listener to which all is new.
func (s *Server) listen() *listener {
	l := &listener{wake: make(chan struct{}, 1), all: true}
	l.wake <- struct{}{}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listeners[l] = true
	return l
}

func (s *Server) unlisten(l *listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

// touchLocked notes that the members of a key have changed.
func (s *Server) touchLocked(key string) {
	for l := range s.listeners {
		switch {
		case l.all:
		case len(l.dirty) >= mostNodes:
			l.all, l.dirty = true, nil
		case l.dirty == nil:
			l.dirty = map[string]bool{key: true}
		default:
			l.dirty[key] = true
		}
		select {
		case l.wake <- struct{}{}:
		default: // it is awake
		}
	}
}

// news returns the members of the keys that may have changed for l.
func (s *Server) news(l *listener, said map[string][]upstream.Member) map[string][]upstream.Member {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[string][]upstream.Member)
	keys := maps.Keys(l.dirty)
	if l.all {
		for key := range said {
			out[key] = nil
		}
		for key := range s.table.keys {
			out[key] = s.table.members(key)
		}
		keys = func(func(string) bool) {}
	}
	for key := range keys {
		out[key] = s.table.members(key)
	}
	l.all, l.dirty = false, nil
	return out
}
