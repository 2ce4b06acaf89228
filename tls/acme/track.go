package acme

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

const takeAwayTime = 30 * time.Second

// track watches what the ACME library does with the solvers of one order.
type track struct {
	method    method
	log       *slog.Logger
	presented atomic.Bool

	mu    sync.Mutex // guards the fields below
	names []string   // types that were used
	err   error      // of putting an answer in place
}

func (t *track) solvers() map[string]acmez.Solver {
	all := t.method.mixed
	if all == nil {
		all = []method{t.method}
	}
	out := make(map[string]acmez.Solver, len(all))
	for _, m := range all {
		if out[m.name] == nil { // the first of a type counts
			out[m.name] = tracked{t, m}
		}
	}
	return out
}

// used says which types proved control; "" when the authority remembered an
// earlier proof.
func (t *track) used() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.names, ", ")
}

// another reports whether err leaves room for another challenge.
func (t *track) another(err error) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil || notOffered(err) {
		return true
	}
	p, ok := problem(err)
	if !ok {
		return false
	}
	_, ofChallenge := p.Resource.(acme.Authorization)
	switch p.Type {
	case acme.ProblemTypeCAA, acme.ProblemTypeRejectedIdentifier, acme.ProblemTypeRateLimited:
		return false
	}
	return ofChallenge
}

// notOffered reports whether the authority does not know the challenge for this
// name. The library has only words for it.
func notOffered(err error) bool {
	return err != nil && strings.Contains(err.Error(), "no solvers available for remaining challenges")
}

// tracked is a solver that is watched. It always is an acmez.Waiter, which has no
// effect on a solver that is none.
type tracked struct {
	t *track
	m method
}

// Present implements acmez.Solver.
func (s tracked) Present(ctx context.Context, c acme.Challenge) error {
	s.t.presented.Store(true)
	s.t.mu.Lock()
	if !slices.Contains(s.t.names, s.m.name) {
		s.t.names = append(s.t.names, s.m.name)
	}
	s.t.mu.Unlock()
	return s.keep(c, s.m.solver.Present(ctx, c))
}

// Wait implements acmez.Waiter.
func (s tracked) Wait(ctx context.Context, c acme.Challenge) error {
	w, ok := s.m.solver.(acmez.Waiter)
	if !ok {
		return nil
	}
	return s.keep(c, w.Wait(ctx, c))
}

func (s tracked) keep(c acme.Challenge, err error) error {
	if err == nil {
		return nil
	}
	err = &presentError{name: c.Identifier.Value, challenge: s.m.name, err: err}
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	s.t.err = err
	return err
}

// CleanUp implements acmez.Solver. It has time even when the order has none left.
func (s tracked) CleanUp(ctx context.Context, c acme.Challenge) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), takeAwayTime)
	defer cancel()
	if err := s.m.solver.CleanUp(ctx, c); err != nil {
		s.t.log.Warn("the answer to a challenge cannot be taken away", "host", c.Identifier.Value, "challenge", s.m.name, "err", err)
	}
	return nil
}

// presentError is an answer that could not be put in place.
type presentError struct {
	name, challenge string
	err             error
}

// Error implements error.
func (e *presentError) Error() string {
	return fmt.Sprintf("%s: the answer for %s cannot be put in place: %v", e.name, e.challenge, e.err)
}

// Unwrap returns what went wrong.
func (e *presentError) Unwrap() error { return e.err }
