package redis

import (
	"errors"
	"log/slog"
	"sync"

	"headgate/gateway/filter/limit"
)

// Servers has one Server for each URL, for all rates of all generations of a
// configuration. Its methods may be called by several goroutines at once.
type Servers struct {
	Log *slog.Logger // nil: silent

	mu   sync.Mutex // guards the field below
	open map[string]*Server
}

// Open returns the server of a URL, as limit.Setup.Shared does. It asks it nothing.
func (s *Servers) Open(url string) (limit.Shared, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.open[url]; c != nil {
		return c, nil
	}
	c, err := New(url, s.Log)
	if err != nil {
		return nil, err
	}
	if s.open == nil {
		s.open = make(map[string]*Server)
	}
	s.open[url] = c
	return c, nil
}

// Retain closes the servers that are not listed: those that no rate needs any more.
func (s *Servers) Retain(urls []string) error {
	keep := make(map[string]bool, len(urls))
	for _, u := range urls {
		keep[u] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for u, c := range s.open {
		if !keep[u] {
			errs = append(errs, c.Close())
			delete(s.open, u)
		}
	}
	return errors.Join(errs...)
}

// Close closes all of them.
func (s *Servers) Close() error { return s.Retain(nil) }
