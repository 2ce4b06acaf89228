package certs

import (
	"context"
	"crypto"
	"errors"
	"fmt"
)

// ErrUnknown is what Renew and Revoke say of a name that no issuer serves.
var ErrUnknown = errors.New("no issuer makes a certificate for that name")

// Renew obtains a new certificate for name now, although the old one is good, and
// waits for it. Name is one of those of Snapshot. The old certificate serves until
// then, and goes on serving after an error.
func (s *Store) Renew(ctx context.Context, name string) error {
	tasks, err := s.tasksOf(name)
	if err != nil {
		return err
	}
	for _, t := range tasks {
		before := t.state.Load()
		f := s.start(ctx, t, true)
		select {
		case <-f.done:
		case <-ctx.Done():
			return fmt.Errorf("the certificate is still being ordered: %w", context.Cause(ctx))
		case <-s.life.Done():
			return errors.New("the gateway is stopping")
		}
		st := t.state.Load()
		switch {
		case st == nil:
			return errors.New("the gateway is stopping")
		case st.entry == nil || before != nil && st.entry == before.entry:
			return st.err
		}
	}
	return nil
}

// Revoke tells the authority that the certificates of name are not to be trusted
// any more, and obtains new ones with other keys. Reason is a code of RFC 5280
// section 5.3.1.
func (s *Store) Revoke(ctx context.Context, name string, reason int) error {
	tasks, err := s.tasksOf(name)
	if err != nil {
		return err
	}
	var errs []error
	for _, t := range tasks {
		st := t.state.Load()
		if st == nil || st.entry == nil {
			continue
		}
		a := t.want.by(st.authority)
		if a == nil {
			return fmt.Errorf("the certificate was made by %s, which is not an issuer of the site any more", st.authority)
		}
		r, ok := a.issuer.(Revoker)
		if !ok {
			return fmt.Errorf("issuer %s cannot take certificates back", a.name)
		}
		cert := st.entry.cert.Load()
		signer, ok := cert.PrivateKey.(crypto.Signer)
		if !ok {
			return errors.New("the key of the certificate cannot sign")
		}
		if err := r.Revoke(ctx, st.entry.leaf, signer, reason); err != nil {
			errs = append(errs, fmt.Errorf("issuer %s: %w", a.name, err))
			continue
		}
		// It is replaced even if the order that follows fails, and never by one with
		// a key that was left over.
		t.state.CompareAndSwap(st, st.with(func(n *state) { n.revoked = true }))
		if err := t.set.storage.Delete(ctx, pendingKey(t.name, t.kind)); err != nil {
			errs = append(errs, storageFailure{err})
			continue
		}
		s.log.Warn("certificate revoked, another one is ordered", "host", t.name, "issuer", a.name, "serial", st.entry.leaf.SerialNumber.Text(16))
	}
	if err := errors.Join(errs...); err != nil {
		s.touch(loopRenew) // for those that were revoked
		return err
	}
	return s.Renew(ctx, name)
}

// tasksOf finds the certificates of a name.
func (s *Store) tasksOf(name string) ([]task, error) {
	v := s.view.Load()
	if v == nil {
		return nil, ErrUnknown
	}
	name = cleanName(name)
	var out []task
	for _, t := range s.tasks(v) {
		if t.name == name {
			out = append(out, t)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%q: %w: headgate certs lists those that there are", name, ErrUnknown)
	}
	return out, nil
}
