package dns

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"headgate/upstream"
)

// Source looks up the names of one pool. It implements upstream.Source. Make one
// with New.
type Source struct {
	pool  string
	names []*name
}

// Setup is what a Source works with.
type Setup struct {
	Pool     string            // the pool that the addresses are members of
	Names    []upstream.Member // Address is the name; all else is the same for each of its addresses
	Options  Options           // must be valid
	Resolver Resolver          // nil: System{}
	Log      *slog.Logger      // nil: silent
}

// patience is how long the first word waits for names that have not been heard of,
// once another one has.
const patience = time.Second

// New makes a Source and starts nothing. Names that Check refuses are left out and
// logged.
func New(s Setup) *Source {
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	if s.Resolver == nil {
		s.Resolver = System{}
	}
	source := &Source{pool: s.Pool}
	for _, m := range s.Names {
		t, err := parse(m.Address)
		if err != nil {
			s.Log.Error("name is not used", "pool", s.Pool, "err", err)
			continue
		}
		source.names = append(source.names, &name{
			target: t, member: m, resolver: s.Resolver, opts: s.Options.withDefaults(),
			log:  s.Log.With("pool", s.Pool, "host", t.host),
			wake: make(chan struct{}, 1),
		})
	}
	return source
}

// Run looks all names up, each again and again, until ctx ends. It calls set with
// the addresses of all names together, sorted and each once, when every name has
// been answered for or a second after the first, and whenever they change. While
// it knows of none, it says nothing. An address that several names have is as the
// first of them in Setup.Names says.
//
// Run returns after its last goroutine, with the error of ctx. It must not run
// twice at once; run again, it begins anew.
func (s *Source) Run(ctx context.Context, set upstream.SetFunc) error {
	heard := make(chan word)
	var names sync.WaitGroup
	defer names.Wait()
	for i, n := range s.names {
		names.Go(func() {
			n.run(ctx, func(members []upstream.Member, known bool) {
				select {
				case heard <- word{index: i, members: members, known: known}:
				case <-ctx.Done():
				}
			})
		})
	}
	all := chorus{words: make([]word, len(s.names)), missing: len(s.names)}
	var enough <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case w := <-heard:
			all.take(w)
			if w.known && enough == nil {
				enough = time.After(patience)
			}
		case <-enough:
			all.missing = 0
		}
		if members, ok := all.news(); ok {
			set(s.pool, members)
		}
	}
}

// Refresh looks all names up now, each as soon as a second has passed since it was
// last asked for. It never blocks and may be called by any number of goroutines.
func (s *Source) Refresh() {
	for _, n := range s.names {
		select {
		case n.wake <- struct{}{}:
		default: // it has been told
		}
	}
}

// word is what one name says.
type word struct {
	index   int
	members []upstream.Member
	known   bool // false: nothing is known yet
	heard   bool
}

// chorus is what all names say together.
type chorus struct {
	words   []word
	missing int // names to wait for before the first word
	spoken  bool
	said    []upstream.Member
}

func (c *chorus) take(w word) {
	if w.heard = true; !c.words[w.index].heard {
		c.missing--
	}
	c.words[w.index] = w
}

// news returns what is to be said if that is something new. The members are the caller's.
func (c *chorus) news() ([]upstream.Member, bool) {
	known := slices.ContainsFunc(c.words, func(w word) bool { return w.known })
	if !known || c.missing > 0 && !c.spoken {
		return nil, false
	}
	var members []upstream.Member
	for _, w := range c.words {
		members = append(members, w.members...)
	}
	members = once(members)
	slices.SortFunc(members, func(a, b upstream.Member) int { return strings.Compare(a.Address, b.Address) })
	if c.spoken && slices.Equal(members, c.said) {
		return nil, false
	}
	c.spoken, c.said = true, slices.Clone(members)
	return members, true
}

// once takes out members whose address is that of one before them.
func once(members []upstream.Member) []upstream.Member {
	seen := make(map[string]bool, len(members))
	return slices.DeleteFunc(members, func(m upstream.Member) bool {
		again := seen[m.Address]
		seen[m.Address] = true
		return again
	})
}
