package certs

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"time"
)

const (
	journalKey    = "certificates/journal.json"
	journalLock   = "certificates-journal"
	journalLength = 256             // changes that are remembered
	journalPoll   = 2 * time.Second // so gateways pick up what others have made within seconds
)

// journal is the list of what has changed in the storage. Gateways read this one
// value in place of all the others, whose number may be thousands.
type journal struct {
	Seq     uint64   `json:"seq"`     // of the last change
	Changes []change `json:"changes"` // the last ones, oldest first
}

type change struct {
	Seq  uint64 `json:"seq"`
	Name string `json:"name"`
	Kind string `json:"kind"`
}

func readJournal(ctx context.Context, st Storage) (journal, error) {
	var j journal
	data, err := st.Load(ctx, journalKey)
	if errors.Is(err, fs.ErrNotExist) {
		return j, nil
	}
	if err != nil {
		return j, err
	}
	if json.Unmarshal(data, &j) != nil {
		return journal{}, nil // it only saves time; the next change replaces it
	}
	return j, nil
}

// announce tells other gateways of t's new certificate.
func (s *Store) announce(ctx context.Context, t task) error {
	st := t.set.storage
	if err := st.Lock(ctx, journalLock); err != nil {
		return err
	}
	defer st.Unlock(context.WithoutCancel(ctx), journalLock) // a lock that is stuck ends with its lease
	j, err := readJournal(ctx, st)
	if err != nil {
		return err
	}
	j.Seq++
	j.Changes = append(j.Changes, change{j.Seq, t.name, t.kind})
	j.Changes = j.Changes[max(0, len(j.Changes)-journalLength):]
	data, err := json.Marshal(j)
	if err != nil {
		return err
	}
	return st.Store(ctx, journalKey, data)
}

// follow takes over what other gateways have made, until ctx ends.
func (s *Store) follow(ctx context.Context) {
	tick := time.NewTicker(journalPoll)
	defer tick.Stop()
	var storage Storage // that seen is about
	var seen uint64
	healthy := true
	for first := true; ; first = false {
		if !first {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
		v := s.view.Load()
		if v == nil || !v.set.remote {
			continue
		}
		j, err := readJournal(ctx, v.set.storage)
		if err != nil {
			if healthy && ctx.Err() == nil {
				s.log.Error("storage cannot be read: certificates that are loaded go on serving", "err", err)
			}
			healthy = false
			continue
		}
		if !healthy {
			s.log.Info("storage can be read again")
			healthy = true
			s.touch(loopRenew)
		}
		if v.set.storage != storage {
			// What is there at the start is looked at anyway, but perhaps it was
			// before the last of these changes.
			storage, seen = v.set.storage, j.Seq
			if len(j.Changes) > 0 {
				seen = j.Changes[0].Seq - 1
			}
		}
		if j.Seq != seen {
			s.takeOver(ctx, v, j, seen)
			seen = j.Seq
		}
	}
}

// takeOver reads again what has changed since seen.
func (s *Store) takeOver(ctx context.Context, v *view, j journal, seen uint64) {
	changed := map[change]bool{}
	for _, c := range j.Changes {
		if c.Seq > seen || j.Seq < seen {
			changed[change{Name: c.Name, Kind: c.Kind}] = true
		}
	}
	missed := j.Seq < seen || len(j.Changes) > 0 && j.Changes[0].Seq > seen+1
	for _, t := range s.tasks(v) {
		if t.want.local() || !missed && !changed[change{Name: t.name, Kind: t.kind}] {
			continue
		}
		before := t.state.Load()
		if before == nil {
			continue // it has not been looked at yet
		}
		if err := s.adopt(ctx, t); err != nil {
			s.log.Debug("certificate of another gateway not read", "host", t.name, "err", err)
			continue
		}
		if st := t.state.Load(); st != before && st.entry != nil {
			s.log.Info("certificate taken over from another gateway", "host", t.name, "not_after", st.entry.leaf.NotAfter)
		}
	}
}
