package limit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"headgate/gateway/expression"
)

// Setup is what limits work with. The zero value counts alone, anew and silently.
type Setup struct {
	Log      *slog.Logger                     // nil: silent
	Counters *Counters                        // nil: new ones
	Shared   func(url string) (Shared, error) // of Rate.Store; nil: such rates are an error
}

func (s Setup) withDefaults() Setup {
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	if s.Counters == nil {
		s.Counters = NewCounters()
	}
	return s
}

// Rates are the rates of one route. They may be used by several goroutines at once.
type Rates struct {
	log      *slog.Logger
	counters *Counters
	rules    []*rule // local ones first: they can be given back
}

// NewRates returns the rates for rules that are valid, of which no two have the same
// name and rate. place names those without a name.
func NewRates(rules []Rate, place string, s Setup) (*Rates, error) {
	if len(rules) > maxRules {
		return nil, fmt.Errorf("%d rates are too many for one route: keep at most %d", len(rules), maxRules)
	}
	s = s.withDefaults()
	r := &Rates{log: s.Log, counters: s.Counters}
	var shared []*rule
	var errs []error
	for i, o := range rules {
		if o.Name == "" {
			o.Name = place
			if i > 0 {
				o.Name = fmt.Sprintf("%s#%d", place, i+1)
			}
		}
		l, err := newRule(o, s)
		if err == nil && slices.ContainsFunc(slices.Concat(r.rules, shared), func(other *rule) bool { return other.id == l.id }) {
			err = errors.New("name: another rate of this route has it, and each request would count twice: name one of them otherwise")
		}
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("rate %s: %w", o.Name, err))
		case l.shared != nil:
			shared = append(shared, l)
		default:
			r.rules = append(r.rules, l)
		}
	}
	r.rules = append(r.rules, shared...)
	return r, errors.Join(errs...)
}

// Take counts a request and waits for its turn where a rule has a delay. view is
// called only for rules with a key of their own. When ctx ends while the request
// waits it is not allowed, and RetryAfter is 0.
func (r *Rates) Take(ctx context.Context, client netip.Addr, view func() expression.View) Verdict {
	var turns [maxRules]turn
	n, wait, tightest := 0, time.Duration(0), -1
	for _, l := range r.rules {
		t, ok := r.take(ctx, l, client, view)
		if !ok {
			continue
		}
		if !t.allowed {
			giveBack(turns[:n])
			return t.refused()
		}
		if tightest < 0 || t.left() < turns[tightest].left() {
			tightest = n
		}
		wait = max(wait, l.quota.wait(t.ahead))
		turns[n] = t
		n++
	}
	if n == 0 {
		return Verdict{Allowed: true}
	}
	if wait > 0 {
		return r.await(ctx, turns[:n], tightest, wait)
	}
	return turns[tightest].passed(0)
}

// take reports false if the rule does not count the request.
func (r *Rates) take(ctx context.Context, l *rule, client netip.Addr, view func() expression.View) (turn, bool) {
	w, ok := l.keyer.of(client, view)
	if !ok {
		return turn{}, false
	}
	t := turn{rule: l}
	if l.shared != nil {
		ahead, allowed, err := l.shared.Take(ctx, l.id+":"+w.String(), l.quota.emission, l.quota.limit())
		if err == nil {
			t.ahead, t.allowed, t.elsewhere = ahead, allowed, true
			return t, true
		}
	}
	now := r.counters.now()
	t.key = l.table.seeds.key(w)
	t.ahead, t.allowed, t.spilled = l.table.take(t.key, now, l.quota)
	if t.spilled {
		r.say(l, now)
	}
	return t, true
}

// say logs at most once a minute that a rate has more keys than it remembers.
func (r *Rates) say(l *rule, now time.Duration) {
	last := l.table.said.Load()
	if last != 0 && now-time.Duration(last) < time.Minute || !l.table.said.CompareAndSwap(last, int64(max(now, 1))) {
		return
	}
	r.log.Warn("a rate limit has too many keys: new ones share what few have", "rate", l.name, "keys", shards*shardKeys,
		"cure", "look who asks, and give the rate a key that has fewer values")
}

// await waits, with a bounded number of others at each rule.
func (r *Rates) await(ctx context.Context, turns []turn, tightest int, wait time.Duration) Verdict {
	l := turns[tightest].rule
	for i := range turns {
		if turns[i].rule.quota.wait(turns[i].ahead) == wait {
			l = turns[i].rule
		}
	}
	defer l.table.waiting.Add(-1)
	if l.table.waiting.Add(1) > maxWaiting {
		giveBack(turns)
		return Verdict{RetryAfter: wait, Rule: l.name, rule: l, reset: wait}
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return turns[tightest].passed(wait)
	case <-ctx.Done():
		giveBack(turns)
		return Verdict{Rule: l.name, rule: l, reset: wait}
	}
}

// maxWaiting bounds the requests that wait at one rate.
const maxWaiting = 1024
