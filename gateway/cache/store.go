package cache

import (
	"container/list"
	"context"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"headgate/gateway/wire"
)

// Setup is what a Store works with.
type Setup struct {
	Log *slog.Logger // nil: silent
}

// Store keeps answers. One is enough for a process: it outlives the policies that
// use it. All methods may be called by several goroutines at once.
type Store struct {
	log    *slog.Logger
	seed   maphash.Seed
	index  *index
	bounds atomic.Pointer[bounds]
	counts counts
	passes passes
	ill    atomic.Bool // the disk has failed, and that is logged

	filling     atomic.Int64  // bytes of memory of what is being fetched
	diskFilling atomic.Int64  // and on disk
	kick        chan struct{} // capacity 1: there is a directory to look at

	configuring sync.Mutex // held by Configure

	mu         sync.Mutex // guards the fields below
	uris       map[uint64]*resource
	order      order
	disk       list.List // of *entry, the last used first
	diskBytes  int64
	entries    int64
	flights    map[uint64][]*flight // by the hash of their URI
	trash      []*file              // to be removed once mu is free
	pending    *directory           // that another process still has
	purges     []*target            // that came before all of the directory was loaded
	life       context.Context      // of fetches in the background; nil: there are none
	background sync.WaitGroup
	fetching   int // in the background
}

// bounds are what Configure has set.
type bounds struct {
	memory, disk, large int64
	dir                 *directory // nil: none
	path                string
}

// NewStore returns an empty store that keeps nothing until Configure is called.
func NewStore(s Setup) *Store {
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	n := &Store{
		log: s.Log, seed: maphash.MakeSeed(), index: newIndex(), kick: make(chan struct{}, 1),
		uris: make(map[uint64]*resource), flights: make(map[uint64][]*flight),
	}
	n.bounds.Store(&bounds{})
	return n
}

// Configure sets the bounds of the store. It may be called at any time, and takes
// out at once what is too much. A directory that cannot be used is an error, and
// nothing has changed. One that another process uses, as while a new binary takes
// over, is used once that has ended.
func (s *Store) Configure(o StoreOptions) error {
	if err := o.Validate(); err != nil {
		return err
	}
	o = o.WithDefaults()
	s.configuring.Lock()
	defer s.configuring.Unlock()
	old := s.bounds.Load()
	n := &bounds{memory: max(int64(o.Memory), 0), disk: int64(o.Disk), large: int64(o.Large), dir: old.dir, path: o.Dir}
	var pending *directory
	if n.path != old.path {
		var err error
		if n.dir, pending, err = s.use(o.Dir); err != nil {
			return err
		}
	}
	s.mu.Lock()
	last := s.bounds.Load().dir // Run may just have got it
	if n.path == old.path {
		n.dir, last = last, nil
	} else {
		s.leaveLocked(last)
		s.pending = pending
	}
	s.bounds.Store(n)
	s.shrinkLocked()
	s.shrinkDiskLocked()
	s.unlock()
	if last != nil {
		last.close()
	}
	wake(s.kick)
	return nil
}

// use opens a directory, or says that it has to wait for it.
func (s *Store) use(path string) (d, pending *directory, err error) {
	if path == "" {
		return nil, nil, nil
	}
	if d, err = openDirectory(path); err != nil {
		return nil, nil, err
	}
	switch ok, err := d.take(); {
	case err != nil:
		d.close()
		return nil, nil, fmt.Errorf("dir: %w: choose a directory that headgate may write to", err)
	case !ok:
		s.log.Warn("directory of the cache is used by another process: what is large is not kept until that ends", "dir", path)
		return nil, d, nil
	}
	return d, nil, nil
}

// leaveLocked forgets what is in a directory that is not used any more. It is there
// when the directory is used again.
func (s *Store) leaveLocked(d *directory) {
	if s.pending != nil {
		s.pending.close()
		s.pending = nil
	}
	if d == nil {
		return
	}
	for el := s.disk.Front(); el != nil; el = s.disk.Front() {
		s.dropLocked(el.Value.(*entry))
	}
	s.trash = nil
}

// unlock is the end of everything that may have taken out entries: it removes their
// files.
func (s *Store) unlock() {
	trash := s.trash
	s.trash = nil
	s.mu.Unlock()
	for _, f := range trash {
		f.remove()
	}
}

// find returns the entry for a request, or nil, and whether there is any of that
// key.
func (s *Store) find(h uint64, k *key, request wire.Fields) (e *entry, some bool) {
	r := s.index.find(h, k)
	if r == nil {
		return nil, false
	}
	return r.find(request), true
}

// insertLocked takes in an entry, in place of those that it is newer than.
func (s *Store) insertLocked(e *entry, h hashes, request wire.Fields) {
	r := s.index.find(h.key, &e.res.key)
	if r == nil {
		r = e.res
		r.hash = h
		list := []*entry{}
		r.entries.Store(&list)
		s.index.add(r)
		r.sibling = s.uris[h.uri]
		s.uris[h.uri] = r
	}
	r.names = e.res.names
	e.res = r
	for _, old := range *r.entries.Load() {
		if sameVariant(old.vary, e.vary) || request != nil && matches(old.vary, request) {
			s.unlinkLocked(old)
		}
	}
	before := *r.entries.Load()
	if len(before) >= maxVariants {
		s.unlinkLocked(before[len(before)-1])
		before = *r.entries.Load()
	}
	now := append(make([]*entry, 0, len(before)+1), e)
	now = append(now, before...)
	r.entries.Store(&now)
	s.entries++
	e.weight = e.weigh()
	s.order.add(e)
	if e.file != nil {
		e.onDisk = s.disk.PushFront(e)
		s.diskBytes += e.file.size
	}
	e.stored = true
}

// dropLocked takes an entry out of the store, and its resource when it was the last.
func (s *Store) dropLocked(e *entry) {
	s.unlinkLocked(e)
	if len(*e.res.entries.Load()) == 0 {
		s.forgetLocked(e.res)
	}
}

func (s *Store) unlinkLocked(e *entry) {
	if !e.stored {
		return
	}
	e.stored = false
	s.entries--
	if e.queue != nil {
		e.queue.remove(e)
	}
	if e.onDisk != nil {
		s.disk.Remove(e.onDisk)
		s.diskBytes -= e.file.size
		s.trash = append(s.trash, e.file)
	}
	before := *e.res.entries.Load()
	now := make([]*entry, 0, len(before))
	for _, other := range before {
		if other != e {
			now = append(now, other)
		}
	}
	e.res.entries.Store(&now)
}

func (s *Store) forgetLocked(r *resource) {
	s.index.remove(r)
	at := s.uris[r.hash.uri]
	if at == r {
		if r.sibling == nil {
			delete(s.uris, r.hash.uri)
		} else {
			s.uris[r.hash.uri] = r.sibling
		}
		return
	}
	for ; at != nil; at = at.sibling {
		if at.sibling == r {
			at.sibling = r.sibling
			return
		}
	}
}

// drop takes out an entry that cannot be used.
func (s *Store) drop(e *entry) {
	s.mu.Lock()
	if e.stored {
		s.dropLocked(e)
	}
	s.unlock()
}

// shrinkLocked takes entries out until memory is within its bound.
func (s *Store) shrinkLocked() {
	limit := s.bounds.Load().memory
	for s.order.trial.bytes+s.order.main.bytes+s.filling.Load() > limit {
		e := s.order.next(limit)
		if e == nil {
			return
		}
		s.dropLocked(e)
		s.counts.evicted.Add(1)
	}
}

// shrinkDiskLocked takes out those that were not used for longest.
func (s *Store) shrinkDiskLocked() {
	limit := s.bounds.Load().disk
	for s.diskBytes+s.diskFilling.Load() > limit && s.disk.Len() > 0 {
		s.dropLocked(s.disk.Back().Value.(*entry))
		s.counts.evicted.Add(1)
	}
}

// reserve takes memory for what is being fetched.
func (s *Store) reserve(n int64) bool {
	if s.filling.Add(n) > s.bounds.Load().memory/4 {
		s.filling.Add(-n)
		return false
	}
	s.mu.Lock()
	s.shrinkLocked()
	s.unlock()
	return true
}

// reserveDisk takes room on disk.
func (s *Store) reserveDisk(n int64) bool {
	if s.diskFilling.Add(n) > s.bounds.Load().disk/2 {
		s.diskFilling.Add(-n)
		return false
	}
	s.mu.Lock()
	s.shrinkDiskLocked()
	s.unlock()
	return true
}

// diskFailed says so once, until it works again.
func (s *Store) diskFailed(d *directory, err error) {
	if err == errDiskFull || s.ill.Swap(true) {
		return
	}
	s.log.Error("directory of the cache cannot be written to: large answers are not kept", "dir", d.path, "err", err, "cure", "make room there and let the user of headgate write to it, or lower cache.disk")
}

// usedOnDisk makes an entry on disk the last used one.
func (s *Store) usedOnDisk(e *entry, now time.Time) {
	if e.at.Load() == now.Unix() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.stored && e.onDisk != nil {
		s.disk.MoveToFront(e.onDisk)
	}
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
