package certs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"sync"
	"time"
)

const (
	ringPoll    = time.Minute      // between two looks at what other gateways have made
	ringHurry   = time.Second      // until the next look when another gateway is making the first key
	ringDelay   = 5 * time.Minute  // some polls: every gateway knows a key before one uses it
	ringTimeout = 10 * time.Second // for one round with the storage
	ringBytes   = 64 << 10         // of the value
)

// ringKey is one secret key.
type ringKey struct {
	Made   time.Time `json:"made"`
	Secret []byte    `json:"secret"`

	Config []byte `json:"config,omitempty"`      // for ECH: what clients are told
	Name   string `json:"public_name,omitempty"` // for ECH: what Config is about
}

// ring is a short list of secret keys that are replaced in turn. Gateways with
// the same storage share them: a key that one of them makes is accepted by all
// before the first of them uses it. Without a storage the keys are those of this
// process. Its methods are safe for concurrent use, but for turn, which belongs
// to one goroutine.
type ring struct {
	about  string        // for the log
	key    string        // in the storage
	lock   string        // in the storage
	period time.Duration // in which a key is used
	life   time.Duration // in which a key is accepted, from its making on
	most   int           // keys that are kept
	alone  bool          // while the storage does not work, go on with own keys rather than with old ones
	valid  func(ringKey) bool
	log    *slog.Logger

	woken   chan struct{} // capacity 1
	failing bool          // the last round failed, which has been said; of turn
	value   []byte        // what load has read last, and
	read    []ringKey     // its keys; both of turn

	mu      sync.Mutex // guards the fields below
	fresh   func(taken []ringKey, now time.Time) (ringKey, error)
	fits    func(ringKey) bool // nil: no keys are wanted
	storage Storage
	shared  bool      // keys are in the storage
	keys    []ringKey // newest first: what gateways share, or what is our own
	older   []ringKey // accepted too: what was in keys once
}

// share sets the storage; nil means keys of this process. What was accepted
// before still is.
func (r *ring) share(st Storage) {
	r.mu.Lock()
	r.storage = st
	r.mu.Unlock()
	r.wake()
}

func (r *ring) wake() {
	select {
	case r.woken <- struct{}{}:
	default:
	}
}

// run calls turn as often as is needed, and then use, until ctx ends.
func (r *ring) run(ctx context.Context, use func([]ringKey)) {
	for ctx.Err() == nil {
		wait := r.turn(ctx)
		use(r.list(time.Now()))
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-r.woken:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// turn looks at the storage, makes a key if one is due, and says when to look
// again. A storage that does not work changes nothing.
func (r *ring) turn(ctx context.Context) time.Duration {
	r.mu.Lock()
	st, wanted := r.storage, r.fits != nil
	r.mu.Unlock()
	if !wanted {
		return ringPoll
	}
	now := time.Now()
	wait, err := ringPoll, error(nil)
	if st == nil {
		err = r.rotate(now)
	} else {
		wait, err = r.round(ctx, st, now)
	}
	if err != nil && r.alone && r.isOld(now) {
		err = errors.Join(err, r.rotate(now))
	}
	switch {
	case err == nil && r.failing:
		r.log.Info(r.about + " are kept and shared again")
		r.failing = false
	case err != nil && !r.failing && ctx.Err() == nil:
		r.log.Error(r.about+" cannot be shared through the storage, those that are there go on", "err", err)
		r.failing = true
	}
	return wait
}

// isOld reports whether a new key cannot wait for the storage any more: keys that
// nobody shares wait for nothing, others a little.
func (r *ring) isOld(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.shared || len(r.keys) > 0 && now.Sub(r.keys[0].Made) >= r.life
}

// rotate is one turn without a storage.
func (r *ring) rotate(now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	keys, err := r.nextLocked(r.keys, now)
	if err == nil {
		r.adoptLocked(keys, now)
		r.shared = false
	}
	return err
}

// round is one turn with a storage.
func (r *ring) round(ctx context.Context, st Storage, now time.Time) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, ringTimeout)
	defer cancel()
	keys, _, err := r.load(ctx, st)
	if err != nil {
		return ringPoll, err
	}
	if keys == nil || r.isDue(keys, now) {
		got, err := st.TryLock(ctx, r.lock)
		if err != nil {
			return ringPoll, err
		}
		if !got && keys == nil {
			return ringHurry, nil
		}
		if got {
			defer st.Unlock(context.WithoutCancel(ctx), r.lock) // a lock that is stuck ends with its lease
			if keys, err = r.replace(ctx, st, now); err != nil {
				return ringPoll, err
			}
		}
	}
	r.mu.Lock()
	r.adoptLocked(keys, now)
	r.shared = true
	r.mu.Unlock()
	return ringPoll, nil
}

// replace makes the next list, unless another gateway was faster. The lock is
// held.
func (r *ring) replace(ctx context.Context, st Storage, now time.Time) ([]ringKey, error) {
	keys, damage, err := r.load(ctx, st)
	if err != nil || keys != nil && !r.isDue(keys, now) {
		return keys, err
	}
	if damage != nil {
		r.log.Warn(r.about+" in the storage are damaged and are replaced", "key", r.key, "err", damage)
	}
	r.mu.Lock()
	if keys == nil {
		keys = r.keys // they become the shared ones, so what they have made stays good
	}
	keys, err = r.nextLocked(keys, now)
	r.mu.Unlock()
	if err != nil {
		return nil, err
	}
	value, err := json.Marshal(keys)
	if err != nil {
		return nil, err
	}
	return keys, st.Store(ctx, r.key, value)
}

// load reads the shared keys; nil means that there are none, or that they are of
// no use, which damage then says.
func (r *ring) load(ctx context.Context, st Storage) (keys []ringKey, damage, err error) {
	value, err := st.Load(ctx, r.key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	if r.read != nil && bytes.Equal(value, r.value) {
		return r.read, nil, nil
	}
	keys, damage = r.parse(value)
	r.value, r.read = value, keys
	return keys, damage, nil
}

func (r *ring) parse(value []byte) ([]ringKey, error) {
	if len(value) > ringBytes {
		return nil, fmt.Errorf("%d bytes are too many", len(value))
	}
	var keys []ringKey
	if err := json.Unmarshal(value, &keys); err != nil {
		return nil, err
	}
	if len(keys) == 0 || len(keys) > 2*r.most {
		return nil, fmt.Errorf("there are %d keys", len(keys))
	}
	for _, k := range keys {
		if k.Made.IsZero() || !r.valid(k) {
			return nil, errors.New("a key is not valid")
		}
	}
	slices.SortStableFunc(keys, newerFirst)
	return keys, nil
}

func newerFirst(a, b ringKey) int { return b.Made.Compare(a.Made) }

// isDue reports whether the newest key has been there for a period. A key from
// the future, of a gateway whose clock is wrong, does not count.
func (r *ring) isDue(keys []ringKey, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.isDueLocked(keys, now)
}

func (r *ring) isDueLocked(keys []ringKey, now time.Time) bool {
	return r.fits != nil && !slices.ContainsFunc(keys, func(k ringKey) bool {
		age := now.Sub(k.Made)
		return r.fits(k) && -r.period < age && age < r.period
	})
}

// nextLocked adds a new key if one is due, and then forgets what is too old.
func (r *ring) nextLocked(keys []ringKey, now time.Time) ([]ringKey, error) {
	if !r.isDueLocked(keys, now) {
		return keys, nil
	}
	k, err := r.fresh(keys, now)
	if err != nil {
		return nil, err
	}
	kept := slices.DeleteFunc(slices.Clone(keys), func(k ringKey) bool { return now.Sub(k.Made) >= r.life })
	out := append(kept[:min(len(kept), r.most-1)], k)
	slices.SortStableFunc(out, newerFirst)
	return out, nil
}

// adoptLocked makes keys the ones that are used, and keeps accepting the others.
func (r *ring) adoptLocked(keys []ringKey, now time.Time) {
	var older []ringKey
	for _, k := range slices.Concat(r.keys, r.older) {
		same := func(x ringKey) bool { return slices.Equal(x.Secret, k.Secret) }
		if now.Sub(k.Made) < r.life && !slices.ContainsFunc(keys, same) && !slices.ContainsFunc(older, same) {
			older = append(older, k)
		}
	}
	r.keys, r.older = keys, older[:min(len(older), r.most)]
}

// list returns the keys that are accepted, and first of all the one to use: the
// newest that every gateway knows by now, or the oldest when none is that old.
func (r *ring) list(now time.Time) []ringKey {
	r.mu.Lock()
	defer r.mu.Unlock()
	use := -1
	for i, k := range r.keys {
		if r.fits == nil || !r.fits(k) {
			continue
		}
		use = i
		if r.storage == nil || now.Sub(k.Made) >= ringDelay {
			break
		}
	}
	if use < 0 {
		return slices.Concat(r.keys, r.older)
	}
	return slices.Concat(r.keys[use:use+1], r.keys[:use], r.keys[use+1:], r.older)
}
