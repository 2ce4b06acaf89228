package upstream_test

import (
	"testing"
	"time"

	"headgate/upstream"
)

// roll has a source replace all members, and requests ask for all slots at once.
func roll(t *testing.T, o upstream.Options, old, next []upstream.Member, slots int, steps ...[]upstream.Member) {
	t.Helper()
	inWorld(t, o, nil, func(t *testing.T, w *world, _ *upstream.Pool[*server]) {
		s := newSource()
		w.apply(t, with(w.spec(o), map[string]upstream.Source{"workers": s}))
		after(0)
		s.say(old...)
		after(time.Minute)
		for _, step := range steps {
			s.say(step...)
		}
		s.words <- next
		<-s.idle // at once: nothing has been reached yet, and no time has passed
		got := map[string]int{}
		for range slots {
			select {
			case r := <-ask(t.Context(), w.pool, new(request)):
				if r.err != nil {
					t.Fatal(r.err)
				}
				got[r.Member().Address]++
			default:
				t.Fatalf("after %v one waits, want %d at once: %+v", got, slots, w.pool.Snapshot().Members)
			}
		}
		for _, m := range next {
			if !m.Backup && got[m.Address] != slots/len(next) {
				t.Errorf("shares: %v", got)
			}
		}
	})
}

func slotted(slots int, addrs ...string) []upstream.Member {
	all := members(addrs...)
	for i := range all {
		all[i].Slots = slots
	}
	return all
}

// A rolling reload: the new workers have their whole share at once.
func TestMembersThatReplaceAllHaveTheirShareAtOnce(t *testing.T) {
	standard := upstream.Options{}
	t.Run("one by one", func(t *testing.T) { roll(t, standard, slotted(8, "old"), slotted(8, "new"), 8) })
	t.Run("two by two", func(t *testing.T) {
		roll(t, standard, slotted(8, "a", "b"), slotted(8, "c", "d"), 16)
	})
	t.Run("named together for a while", func(t *testing.T) {
		both := slotted(8, "a", "b", "c", "d")
		roll(t, standard, both[:2], both[2:], 16, both)
	})
	t.Run("twice", func(t *testing.T) {
		roll(t, standard, slotted(8, "a"), slotted(8, "c"), 8, slotted(8, "b"))
	})
	t.Run("after a while without", func(t *testing.T) {
		roll(t, standard, slotted(8, "a"), slotted(8, "b"), 8, nil)
	})
	t.Run("slots of the pool", func(t *testing.T) { roll(t, upstream.Options{Slots: 8}, members("old"), members("new"), 8) })
}

// Slow start is for who has others beside him: here it is as it was.
func TestAMemberBesideOthersBeginsSlowly(t *testing.T) {
	inWorld(t, upstream.Options{Slots: 10}, members("a"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		w.apply(t, w.spec(upstream.Options{Slots: 10}, members("a", "b")...))
		after(10 * time.Millisecond)
		if s := state(p, "b"); s.Share > 0.2 || s.Limit > 2 {
			t.Errorf("b has a share of %v", s.Share)
		}
	})
}

// A backup has no part in the queue while others are fit, and does not carry them.
func TestABackupDoesNotCarryAMemberInSlowStart(t *testing.T) {
	ms := func(addr string) []upstream.Member {
		return []upstream.Member{{Address: addr, Slots: 8}, {Address: "z", Slots: 8, Backup: true}}
	}
	inWorld(t, upstream.Options{}, ms("a"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		w.apply(t, w.spec(upstream.Options{}, ms("b")...))
		after(10 * time.Millisecond)
		if s := state(p, "b"); s.Limit != 8 {
			t.Errorf("b has a limit of %d beside a backup", s.Limit)
		}
	})
}

// When who carried it is ejected, a member in slow start has its whole share.
func TestSlowStartEndsWhenTheOthersAreEjected(t *testing.T) {
	inWorld(t, upstream.Options{Slots: 10}, members("a"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		w.apply(t, w.spec(upstream.Options{Slots: 10}, members("a", "b")...))
		after(10 * time.Millisecond)
		failures(t, p, "a", 5)
		wantState(t, p, "a", upstream.StateEjected)
		if s := state(p, "b"); s.Limit != 10 {
			t.Errorf("b has a limit of %d and is alone", s.Limit)
		}
	})
}

func TestRequestsThatWaitGoToTheNewMemberAtOnce(t *testing.T) {
	o := upstream.Options{Slots: 1, Balance: upstream.Balance{Sticky: upstream.Sticky{Cookie: "member"}}}
	inWorld(t, o, nil, func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		s := newSource()
		w.apply(t, with(w.spec(o), map[string]upstream.Source{"workers": s}))
		after(0)
		s.say(slotted(1, "old", "older")...)
		var waiting []<-chan result
		_, busy := hold(t, p, 2)
		for _, l := range busy {
			waiting = append(waiting, ask(t.Context(), p, &request{Sticky: l.Cookie()})) // for that one alone
		}
		waiting = append(waiting, ask(t.Context(), p, new(request)))
		begin := time.Now()
		s.words <- slotted(3, "new")
		idle := <-s.idle
		for _, c := range waiting {
			if r := now(t, c); r.err != nil || r.Member().Address != "new" || !r.at.Equal(begin) || r.Cookie() == "" {
				t.Errorf("got %v after %v", r.err, r.at.Sub(begin))
			} else {
				ok(r.lease)
			}
		}
		if isClosed(idle) {
			t.Error("the old ones have requests")
		}
		stale := &request{Sticky: "of one that is gone"}
		if got := visit(t, p, stale); got != "new" {
			t.Errorf("%s answers", got)
		}
	})
}

// What the old workers have not read when they stop goes to the new ones, as often
// as it takes and whatever its method.
func TestRequestsThatTheOldMemberHasNotReadGoToTheNewOne(t *testing.T) {
	for name, failure := range map[string]*fakeError{"reset": errReset, "refused": errRefused} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, upstream.Options{}, nil, func(t *testing.T, w *world, p *upstream.Pool[*server]) {
				s := newSource()
				w.apply(t, with(w.spec(upstream.Options{}), map[string]upstream.Source{"workers": s}))
				after(0)
				s.say(members("old")...)
				var r request
				l := acquire(t, p, &r)
				begin := time.Now()
				s.words <- members("new")
				idle := <-s.idle
				l.Fail(failure)
				if !isClosed(idle) {
					t.Error("the old one has no request, and is not idle")
				}
				if !p.Retry(t.Context(), &r, upstream.Attempt{Err: failure, Replayable: true}) {
					t.Fatal("it may not go again")
				}
				l = acquire(t, p, &r)
				if got := l.Member().Address; got != "new" || time.Since(begin) > 0 {
					t.Errorf("%s has it after %v", got, time.Since(begin))
				}
				ok(l)
			})
		})
	}
}

// Whatever says how requests to a member open is of its transport.
func TestAMemberThatIsSpokenToInAnotherWay(t *testing.T) {
	first := upstream.Member{Address: "a", Weight: 1}
	rows := map[string]upstream.Member{
		"name":      {Address: "a", Name: "host"},
		"modifier1": {Address: "a", Modifier1: 9},
		"modifier2": {Address: "a", Modifier2: 9},
		"dialect":   {Address: "a", Dialect: "gunicorn"},
	}
	for name, second := range rows {
		t.Run(name, func(t *testing.T) {
			for _, by := range []string{"file", "source"} {
				inWorld(t, upstream.Options{}, nil, func(t *testing.T, w *world, p *upstream.Pool[*server]) {
					var dialled []upstream.Member
					s := newSource()
					c := with(w.spec(upstream.Options{}), map[string]upstream.Source{"s": s})
					dial := c.Driver.Dial
					c.Driver.Dial = func(m upstream.Member) (*server, error) {
						dialled = append(dialled, m)
						return dial(m)
					}
					say := func(m upstream.Member) {
						if by == "source" {
							s.say(m)
						} else {
							c.Members = []upstream.Member{m}
							w.apply(t, c)
						}
					}
					w.apply(t, c)
					after(0)
					say(first)
					old := acquire(t, p, nil)
					heavier := first
					heavier.Weight = 2 // is of the pool, not of the transport
					say(heavier)
					say(second)
					if len(dialled) != 2 || dialled[1] != second {
						t.Fatalf("%s: transports were made for %+v", by, dialled)
					}
					l := acquire(t, p, nil)
					if l.Member() != second || l.Transport() == old.Transport() {
						t.Errorf("%s: the member is %+v, or has the old transport", by, l.Member())
					}
					ok(l)
					ok(old)
					if closed, left := w.gone(); len(closed) != 1 || len(left) != 0 {
						t.Errorf("%s: closed %v, left %v", by, closed, left)
					}
				})
			}
		})
	}
}
