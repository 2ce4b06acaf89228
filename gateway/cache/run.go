package cache

import (
	"context"
	"os"
	"path/filepath"
	"time"
)

// How often Run looks what there is to clean, and whether it can have the directory.
const (
	sweepEvery = 15 * time.Second
	claimEvery = time.Second
	unusedFor  = 10 * time.Minute // what is stale goes when it was not asked for as long
)

// Run keeps the store clean until ctx ends: it loads what the directory has from
// earlier, takes out what nobody can use any more, and is the life of fetches in
// the background. It returns after the last of them, and leaves the directory as it
// is, for the next start. It is called once.
func (s *Store) Run(ctx context.Context) error {
	life, cancel := context.WithCancel(ctx)
	defer cancel()
	s.mu.Lock()
	s.life = life
	s.mu.Unlock()
	for next := time.Now(); ctx.Err() == nil; {
		waiting := s.claim()
		s.load(ctx)
		if !time.Now().Before(next) {
			s.sweep(time.Now())
			next = time.Now().Add(sweepEvery)
		}
		pause := time.Until(next)
		if waiting {
			pause = min(pause, claimEvery)
		}
		s.pause(ctx, pause)
	}
	s.mu.Lock()
	s.life = nil
	s.mu.Unlock()
	cancel()
	s.background.Wait()
	s.release()
	return nil
}

func (s *Store) pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-s.kick:
	case <-t.C:
	}
}

// claim takes the directory if it has waited for it, and reports whether it still
// does.
func (s *Store) claim() (waiting bool) {
	s.configuring.Lock()
	defer s.configuring.Unlock()
	s.mu.Lock()
	d := s.pending
	s.mu.Unlock()
	if d == nil {
		return false
	}
	ok, err := d.take()
	if !ok && err == nil {
		return true
	}
	s.mu.Lock()
	s.pending = nil
	if err == nil {
		b := *s.bounds.Load()
		b.dir = d
		s.bounds.Store(&b)
	}
	s.mu.Unlock()
	if err != nil {
		s.diskFailed(d, err)
		d.close()
	}
	return false
}

// release gives the directory back, with what is in it.
func (s *Store) release() {
	s.configuring.Lock()
	defer s.configuring.Unlock()
	s.mu.Lock()
	b := *s.bounds.Load()
	d := b.dir
	s.leaveLocked(d)
	b.dir = nil
	s.bounds.Store(&b)
	s.unlock()
	if d != nil {
		d.close()
	}
}

// sweep takes out what is stale and nobody asks for.
func (s *Store) sweep(now time.Time) {
	s.mu.Lock()
	defer s.unlock()
	var dead []*entry
	s.index.each(func(r *resource) {
		for _, e := range *r.entries.Load() {
			if now.After(e.head.Load().Until) && (!e.head.Load().validatable() || now.Unix()-e.at.Load() > int64(unusedFor/time.Second)) {
				dead = append(dead, e)
			}
		}
	})
	for _, e := range dead {
		s.dropLocked(e)
		s.counts.expired.Add(1)
	}
}

// load takes in what an earlier process has left in the directory. A file that is
// not whole is removed.
func (s *Store) load(ctx context.Context) {
	d := s.bounds.Load().dir
	if d == nil || d.loaded {
		return
	}
	began, found, bad := time.Now(), 0, 0
	for _, name := range d.left {
		if ctx.Err() != nil {
			return
		}
		switch err := s.loadFile(ctx, d, name); err {
		case nil:
			found++
		case errStopped:
			return
		default:
			bad++
			_ = os.Remove(filepath.Join(d.path, name))
		}
	}
	if found+bad > 0 {
		s.log.Info("answers of earlier are in the cache", "dir", d.path, "found", found, "removed", bad, "took", time.Since(began).Round(time.Millisecond))
	}
	s.mu.Lock()
	d.loaded, d.left, s.purges = true, nil, nil
	s.mu.Unlock()
}

// loadFile takes in one file. Any error but errStopped is that it is of no use.
func (s *Store) loadFile(ctx context.Context, d *directory, name string) error {
	f, err := os.Open(filepath.Join(d.path, name))
	if err != nil {
		return err
	}
	defer f.Close()
	r, size, err := readRecord(f)
	if err != nil {
		return err
	}
	if err := r.verify(f, size, ctx.Done()); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	e := r.entry(&file{dir: d, name: name, size: info.Size(), sum: r.Sum}, size)
	now := time.Now()
	e.at.Store(min(info.ModTime().Unix(), now.Unix()-1))
	if now.After(e.head.Load().Until) && !e.head.Load().validatable() {
		return errCorrupt
	}
	return s.takeIn(d, e)
}

// takeIn puts a loaded entry into the store, unless there is a newer one or it was
// purged before it was here.
func (s *Store) takeIn(d *directory, e *entry) error {
	h := e.res.key.hash(s.seed)
	s.mu.Lock()
	defer s.unlock()
	switch {
	case s.bounds.Load().dir != d:
		return errStopped
	case s.purgedLocked(e):
		return errCorrupt
	}
	if r := s.index.find(h.key, &e.res.key); r != nil {
		for _, other := range *r.entries.Load() {
			if sameVariant(other.vary, e.vary) && !other.head.Load().Born.Before(e.head.Load().Born) {
				return errCorrupt
			}
		}
	}
	s.insertLocked(e, h, nil)
	s.shrinkLocked()
	s.shrinkDiskLocked()
	return nil
}
