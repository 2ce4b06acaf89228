package subscribe

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// kind is what became of a packet.
type kind uint8

const (
	accepted kind = iota
	unsubscribed
	malformed
	notAllowed
	badSignature
	replayed
	full
	dropped
	kinds
)

var kindNames = [kinds]string{
	accepted: "accepted", unsubscribed: "unsubscribed", malformed: "malformed", notAllowed: "not allowed",
	badSignature: "bad signature", replayed: "replayed", full: "full", dropped: "dropped",
}

// refusal is why a packet is not taken. The zero value has nothing against it.
type refusal struct {
	kind kind
	err  error
}

// Logs say a kind of refusal once per source and quiet, and how many there were
// since; of so many sources, others together.
const (
	quiet       = 10 * time.Second
	quietFull   = time.Minute
	mostSources = 32
)

// refusals count packets, and tell the log of those that were not taken. Its methods
// are safe for concurrent use.
type refusals struct {
	log     *slog.Logger
	counts  [kinds]atomic.Uint64
	expired atomic.Uint64

	mu     sync.Mutex // guards the field below
	recent map[complaint]*told
}

// complaint is what the log is told of once.
type complaint struct {
	kind kind
	from sender
	many bool // of all sources beyond mostSources
}

type told struct {
	at    time.Time
	since uint64
	err   error
}

// note counts a packet that was refused, and tells the log when it is time.
func (r *refusals) note(now time.Time, why refusal, from sender, key, address string) {
	r.counts[why.kind].Add(1)
	c := complaint{kind: why.kind, from: from.source()}
	if why.kind == full {
		c.from = sender{}
	}
	r.mu.Lock()
	t := r.recent[c]
	if t == nil && len(r.recent) >= mostSources {
		c = complaint{kind: why.kind, many: true}
		t = r.recent[c]
	}
	if t != nil {
		t.since++
		t.err = why.err
		r.mu.Unlock()
		return
	}
	if r.recent == nil {
		r.recent = make(map[complaint]*told)
	}
	r.recent[c] = &told{at: now}
	r.mu.Unlock()
	r.log.Warn("subscription refused", "why", kindNames[why.kind], "from", from.String(), "host", key, "member", address, "err", why.err)
}

// sweep tells the log what there was since, and forgets what is long ago. It reports
// whether something is left.
func (r *refusals) sweep(now time.Time) bool {
	var lines [][]slog.Attr
	r.mu.Lock()
	for c, t := range r.recent {
		if now.Sub(t.at) < c.quiet() {
			continue
		}
		if t.since == 0 {
			delete(r.recent, c)
			continue
		}
		lines = append(lines, c.line(t))
		*t = told{at: now}
	}
	left := len(r.recent) > 0
	r.mu.Unlock()
	for _, l := range lines {
		r.log.LogAttrs(context.Background(), slog.LevelWarn, "more subscriptions refused", l...)
	}
	return left
}

func (c complaint) quiet() time.Duration {
	if c.kind == full {
		return quietFull
	}
	return quiet
}

func (c complaint) line(t *told) []slog.Attr {
	from := c.from.String()
	if c.many || c.kind == full {
		from = "several"
	}
	return []slog.Attr{
		slog.String("why", kindNames[c.kind]), slog.String("from", from),
		slog.Uint64("count", t.since), slog.Any("err", t.err),
	}
}

// counters copies the counts out.
func (r *refusals) counters() Counters {
	n := func(k kind) uint64 { return r.counts[k].Load() }
	return Counters{
		Accepted: n(accepted), Unsubscribed: n(unsubscribed), Malformed: n(malformed), NotAllowed: n(notAllowed),
		BadSignature: n(badSignature), Replayed: n(replayed), Full: n(full), Expired: r.expired.Load(), Dropped: n(dropped),
	}
}
