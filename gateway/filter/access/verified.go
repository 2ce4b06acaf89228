package access

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	gohash "hash"
	"sync"
	"time"
)

// Bounds of what is remembered.
const (
	verifiedMost = 1024
	verifiedTime = 10 * time.Minute
)

type digest [sha256.Size]byte

// verified are pairs of name and password that were right not long ago, as keyed
// digests. When there are too many the oldest is forgotten.
type verified struct {
	digesters sync.Pool // of *digester

	mu   sync.Mutex // guards the fields below
	at   map[digest]time.Time
	ring []digest // in the order in which they came
	next int
}

// digester makes digests with the key.
type digester struct {
	mac  gohash.Hash
	text []byte
}

func newVerified() *verified {
	var key [sha256.Size]byte
	rand.Read(key[:]) // never fails
	v := &verified{at: make(map[digest]time.Time)}
	v.digesters.New = func() any { return &digester{mac: hmac.New(sha256.New, key[:])} }
	return v
}

// digest stands for a pair. Nobody can get the pair back or make one that has it,
// because the key never leaves this process.
func (v *verified) digest(user, password string) (sum digest) {
	d := v.digesters.Get().(*digester)
	defer v.digesters.Put(d)
	d.text = append(d.text[:0], byte(len(user)>>8), byte(len(user))) // a name has at most 64 KiB
	d.text = append(append(d.text, user...), password...)
	d.mac.Reset()
	d.mac.Write(d.text)
	clear(d.text)
	d.mac.Sum(sum[:0])
	return sum
}

// has reports whether the pair with this digest was right not long before now.
func (v *verified) has(d digest, now time.Time) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	at, ok := v.at[d]
	return ok && now.Sub(at) < verifiedTime
}

// add remembers that the pair with this digest is right.
func (v *verified) add(d digest, now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, known := v.at[d]
	v.at[d] = now
	switch {
	case known:
	case len(v.ring) < verifiedMost:
		v.ring = append(v.ring, d)
	default:
		delete(v.at, v.ring[v.next])
		v.ring[v.next] = d
		v.next = (v.next + 1) % verifiedMost
	}
}
