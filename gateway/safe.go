package gateway

import (
	"net/http"
	"strings"
	"sync"

	"headgate/upstream"
)

// safeList is what an app has declared safe to run twice, by answers with
// X-Headgate-Retry: safe: methods of paths of one route. It is bounded: the
// oldest are forgotten.
type safeList struct {
	mu   sync.RWMutex        // guards the fields below
	all  map[uint64]struct{} // by method and path
	ring []uint64            // in the order in which they came
	next int
}

const safeMost = 4096

const retryHeader = "X-Headgate-Retry"

func newSafe() *safeList { return &safeList{all: make(map[uint64]struct{})} }

func safeKey(method, path string) uint64 { return upstream.HashKey(method + " " + path) }

func (s *safeList) has(method, path string) bool {
	if s == nil {
		return false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.all) == 0 {
		return false
	}
	_, ok := s.all[safeKey(method, path)]
	return ok
}

// learn takes the app's word out of the header of an answer. One that does not
// say so any more takes it back.
func (s *safeList) learn(method, path string, h http.Header) {
	if s == nil {
		return
	}
	word, said := h[retryHeader]
	delete(h, retryHeader)
	safe := said && len(word) == 1 && strings.EqualFold(word[0], "safe")
	if safe == s.has(method, path) {
		return
	}
	key := safeKey(method, path)
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
