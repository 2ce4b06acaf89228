package gateway

import (
	"hash/maphash"
	"strings"
	"sync"

	"headgate/gateway/wire"
)

// safeList is what an app has declared safe to run twice, by answers with
// X-Headgate-Retry: safe: methods of addresses of one route. It is bounded: the
// oldest are forgotten.
type safeList struct {
	seed maphash.Seed // nobody can make up an address that is taken for another

	mu   sync.RWMutex        // guards the fields below
	all  map[uint64]struct{} // see key
	ring []uint64            // in the order in which they came
	next int
}

const safeMost = 4096

const retryHeader = "X-Headgate-Retry"

func newSafe() *safeList {
	return &safeList{seed: maphash.MakeSeed(), all: make(map[uint64]struct{})}
}

// key stands for what was asked for. What is the same path with another query may
// be another matter altogether.
func (s *safeList) key(method, path, query string) uint64 {
	var h maphash.Hash
	h.SetSeed(s.seed)
	for _, part := range [...]string{method, path, query} {
		h.WriteString(part)
		h.WriteByte(0) // in none of them but a path, which begins with a slash
	}
	return h.Sum64()
}

// has reports whether the app has said so of a method, a canonical path and a query
// as it was sent.
func (s *safeList) has(method, path, query string) bool {
	if s == nil {
		return false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.all) == 0 {
		return false
	}
	_, ok := s.all[s.key(method, path, query)]
	return ok
}

// learn takes the app's word out of the header of an answer. One that does not
// say so any more takes it back.
func (s *safeList) learn(method, path, query string, h *wire.Fields) {
	if s == nil {
		return
	}
	word, said := h.Only(retryHeader)
	h.Del(retryHeader)
	safe := said && strings.EqualFold(word, "safe")
	if safe == s.has(method, path, query) {
		return
	}
	key := s.key(method, path, query)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !safe {
		delete(s.all, key)
		return
	}
	s.all[key] = struct{}{}
	if len(s.ring) < safeMost {
		s.ring = append(s.ring, key)
		return
	}
	if old := s.ring[s.next]; old != key {
		delete(s.all, old)
	}
	s.ring[s.next] = key
	s.next = (s.next + 1) % safeMost
}
