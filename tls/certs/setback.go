package certs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// setback is what is kept of orders that authorities have refused, so that
// restarts and other gateways do not repeat them: authorities count failures, and
// lock out a name that has too many.
type setback struct {
	Authorities []string  `json:"authorities"` // ids of those that were asked
	Failures    int       `json:"failures"`    // in a row
	RetryAt     time.Time `json:"retry_at"`
	Error       string    `json:"error"`
}

// patientAfter is how many refusals in a row a restart may add to: whoever has
// mended what was wrong restarts, and wants to see it work at once.
const patientAfter = 2

func setbackKey(name, kind string) string {
	return "certificates/" + safeName(name) + "/" + kind + ".failed.json"
}

// lastSetback is what is kept of t, or nothing if other authorities are asked now.
func lastSetback(ctx context.Context, t task) (b setback) {
	data, err := t.set.storage.Load(ctx, setbackKey(t.name, t.kind))
	if err != nil || json.Unmarshal(data, &b) != nil || len(b.Authorities) != len(t.want.authorities) {
		return setback{} // it only saves orders
	}
	for _, id := range b.Authorities {
		if t.want.by(id) == nil {
			return setback{}
		}
	}
	return b
}

// heldBack reports whether an order for t has to wait for what an earlier process
// or another gateway was refused, and then keeps that as t's own failure.
func (s *Store) heldBack(ctx context.Context, t task) bool {
	ctx, cancel := context.WithTimeout(ctx, storageTimeout)
	defer cancel()
	b := lastSetback(ctx, t)
	old := t.state.Load()
	mine := old != nil && old.failures > 0 // what this process has been told itself
	if !time.Now().Before(b.RetryAt) || !mine && b.Failures < patientAfter {
		return false
	}
	if wait := time.Until(b.RetryAt); wait > maxSetback {
		return false // a clock was wrong
	}
	err := fmt.Errorf("%s (headgate certs renew %s tries at once)", b.Error, t.name)
	t.state.Store(old.with(func(n *state) {
		n.failures, n.refused, n.err, n.retryAt = b.Failures, true, err, b.RetryAt
	}))
	s.log.Warn("certificate is not ordered again yet", "host", t.name, "err", b.Error, "retry_at", b.RetryAt)
	return true
}

// noteSetback keeps a refusal for others; a failure to reach somebody is nobody
// else's business.
func (s *Store) noteSetback(ctx context.Context, t task, err error) {
	var no *Refusal
	if t.want.local() || !errors.As(err, &no) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storageTimeout)
	defer cancel()
	st := t.state.Load()
	b := setback{Failures: max(st.failures, lastSetback(ctx, t).Failures+1), RetryAt: st.retryAt, Error: oneLine(err)}
	for _, a := range t.want.authorities {
		b.Authorities = append(b.Authorities, a.id)
	}
	data, encodeErr := json.Marshal(b)
	if encodeErr == nil {
		encodeErr = t.set.storage.Store(ctx, setbackKey(t.name, t.kind), data)
	}
	if encodeErr != nil {
		s.log.Debug("refusal not kept", "host", t.name, "err", encodeErr)
	}
}

// forgetSetback is for orders that have had success.
func (s *Store) forgetSetback(ctx context.Context, t task) {
	if err := t.set.storage.Delete(ctx, setbackKey(t.name, t.kind)); err != nil {
		s.log.Debug("refusal not forgotten", "host", t.name, "err", err)
	}
}
