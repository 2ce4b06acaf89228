package upstream_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"headgate/upstream"
)

// epoch is when the tests of the queue begin; the queue has no clock of its own.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func client(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
}

// script drives a queue with waiters that have names, a second between any two
// pushes, each of the client that its name begins with.
type script struct {
	t   *testing.T
	q   upstream.Queue
	now time.Time
	in  map[string]*upstream.Waiter
}

func newScript(t *testing.T, limit int, timeout time.Duration, fair bool) *script {
	t.Helper()
	s := &script{t: t, now: epoch, in: map[string]*upstream.Waiter{}}
	s.q.Configure(limit, timeout, fair)
	return s
}

// push pushes waiters such as "a1" (client a), "a2!" (high priority), "b1?" (low),
// "a3<" (returned), "a4@m" or "a5<@m" (bound to m), and returns what became of the last one.
func (s *script) push(names ...string) string {
	s.t.Helper()
	result := ""
	for _, name := range names {
		s.now = s.now.Add(time.Second)
		head, member, isBound := strings.Cut(name, "@")
		var bound any
		if isBound {
			bound = member
		}
		p := upstream.PriorityNormal
		switch {
		case strings.Contains(head, "!"):
			p = upstream.PriorityHigh
		case strings.Contains(head, "?"):
			p = upstream.PriorityLow
		}
		w := upstream.NewWaiter(client(int(name[0])), p, s.now, strings.Contains(head, "<"), bound, name)
		evicted, ok := s.q.Push(w, s.now)
		switch {
		case !ok:
			result = "refused"
		case evicted != nil:
			result = evicted.Owner().(string)
		default:
			result = ""
		}
		if ok {
			s.in[name] = w
		}
	}
	return result
}

// take takes up to n waiters for m, "" for any, and returns their names.
func (s *script) take(n int, m string) string {
	s.t.Helper()
	var member any
	if m != "" {
		member = m
	}
	var names []string
	for range n {
		w := s.q.Next(s.now, member)
		if w == nil {
			break
		}
		if again := s.q.Next(s.now, member); again != w {
			s.t.Fatalf("Next = %v, then %v: it changed without a change", w.Owner(), again.Owner())
		}
		if !s.q.Take(w) || s.q.Take(w) {
			s.t.Fatalf("Take(%v): want true, then false", w.Owner())
		}
		names = append(names, w.Owner().(string))
	}
	return strings.Join(names, " ")
}

func (s *script) want(what, got, want string) {
	s.t.Helper()
	if got != want {
		s.t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func TestQueueOrder(t *testing.T) {
	const timeout = time.Hour
	for _, test := range []struct {
		name string
		fair bool
		push string
		m    string
		want string
	}{
		{"arrival", false, "a1 a2 b1 a3 c1", "", "a1 a2 b1 a3 c1"},
		{"one each is arrival", true, "a1 b1 c1 d1", "", "a1 b1 c1 d1"},
		{"clients in turn", true, "a1 a2 a3 a4 b1 b2 c1", "", "a1 b1 c1 a2 b2 a3 a4"},
		{"priorities", true, "a1? a2 a3! b1? b2 b3!", "", "a3! b3! a2 b2 a1? b1?"},
		{"turns of each lane", true, "a1! a2! b1! a1 a2 b1", "", "a1! b1! a2! a1 b1 a2"},
		{"returned first, oldest first", true, "a1 b1 a2< c1 b2<", "", "a2< b2< a1 b1 c1"},
		{"returned stay in their lane", true, "a1< b1! c1?<", "", "b1! a1< c1?<"},
		{"bound are passed over", true, "a1@m b1 c1@n", "", "b1"},
		{"bound with the others in order", true, "a1@m b1 c1@n d1@m e1", "m", "a1@m b1 d1@m e1"},
		{"first of a client among both", true, "a1 a2@m a3 a4@m b1", "m", "a1 b1 a2@m a3 a4@m"},
		{"a turn here is one there", true, "a1 b1 a2@m c1", "m", "a1 b1 c1 a2@m"},
		{"returned and bound", true, "a1 b1<@m c1< d1<@n", "m", "b1<@m c1< a1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScript(t, 0, timeout, test.fair)
			s.push(strings.Fields(test.push)...)
			s.want("order", s.take(100, test.m), test.want)
		})
	}
}

func TestQueueFull(t *testing.T) {
	for _, test := range []struct {
		name  string
		fair  bool
		limit int
		push  string
		last  string
		want  string
	}{
		{"room", true, 3, "a1 a2", "a3", ""},
		{"no limit", true, 0, "a1 a2 a3 a4", "a5", ""},
		{"own flow is the fattest", true, 3, "a1 a2 a3", "a4", "refused"},
		{"arrival only", false, 3, "a1 a2 a3", "b1", "refused"},
		{"newest of the fattest", true, 3, "a1 a2 a3", "b1", "a3"},
		{"fattest of several", true, 6, "a1 b1 b2 b3 a2 c1", "d1", "b3"},
		{"two more than the newcomer would have", true, 3, "a1 a2 b1", "c1", "refused"},
		{"no swap of equals", true, 4, "a1 a2 a3 b1", "b2", "refused"},
		{"lower priority", true, 3, "a1? b1? a2", "a3", "b1?"},
		{"lowest priority first", true, 3, "a1 a2? b1", "b2!", "a2?"},
		{"lower priority without fairness", false, 2, "a1 a2?", "a3", "a2?"},
		{"not a higher one", true, 2, "a1 a2", "b1?", "refused"},
		{"fattest of the own lane only", true, 4, "a1! a2! a3! b1", "c1", "refused"},
		{"returned is taken", true, 2, "a1 a2", "a3<", ""},
		{"returned does not give way", true, 2, "a1?< a2?<", "b1!", "refused"},
		{"returned is not counted", true, 4, "a1< a2< a3 a4", "b1", "refused"},
		{"next lane when all of the lowest have returned", true, 2, "a1?< b1", "c1!", "b1"},
		{"bound gives way", true, 4, "a1 a2@m b1 a3@n", "c1", "a3@n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScript(t, test.limit, time.Hour, test.fair)
			names := strings.Fields(test.push)
			s.push(names...)
			s.want("push "+test.last, s.push(test.last), test.want)
			n := len(names) + 1
			if test.want != "" {
				n--
			}
			if got := s.q.Len(); got != n {
				t.Errorf("Len = %d, want %d", got, n)
			}
			if w := s.in[test.want]; w != nil && s.q.Remove(w) {
				t.Errorf("%s gave way and was still in", test.want)
			}
		})
	}
}

// Flows give way until nobody has two more than a newcomer would have.
func TestQueueFullTakesNoMoreThanAFairShare(t *testing.T) {
	s := newScript(t, 6, time.Hour, true)
	s.push("a1", "a2", "a3", "a4", "a5", "a6")
	for _, row := range [][2]string{
		{"b1", "a6"}, {"b2", "a5"}, {"b3", "refused"}, {"c1", "a4"}, {"d1", "a3"}, {"e1", "refused"}, {"e2", "refused"},
	} {
		s.want("push of "+row[0], s.push(row[0]), row[1])
	}
	s.want("order", s.take(10, ""), "a1 b1 c1 d1 a2 b2")
}

func TestQueueFavoursTheNewestUnderOverload(t *testing.T) {
	for _, test := range []struct {
		name string
		fair bool
		want string
	}{
		{"arrival", false, "b2 a3 b1 a2 a1"},
		{"clients", true, "b2 b1 a3 a2 a1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScript(t, 0, 20*time.Second, test.fair)
			s.push("a1", "a2", "b1", "a3", "b2") // a second between any two
			s.now = epoch.Add(11 * time.Second)
			if s.q.Overloaded(s.now) {
				t.Error("overloaded when the oldest has waited exactly half of its time")
			}
			s.now = s.now.Add(1)
			if !s.q.Overloaded(s.now) {
				t.Error("not overloaded when the oldest has waited more than half of its time")
			}
			s.want("order", s.take(10, ""), test.want)
		})
	}
}

// Those that have had fewer turns than the quantum come every second time, the
// newest first; the others have their turns among themselves. Whose waiters are in
// season have had that many before there was overload: the next turn is that of a
// seasoned client.
func TestQueueOverloadAlternates(t *testing.T) {
	for _, test := range []struct{ name, season, push, m, want string }{
		{"only fresh", "", "a1 b1 c1 d1", "", "d1 c1 b1 a1"},
		{"fresh with many", "", "a1 a2 b1 b2 c1", "", "c1 b2 b1 a2 a1"},
		{"who asks again is new again", "", "a1 b1 c1 a2", "", "a2 a1 c1 b1"},
		{"fresh for its quantum of turns", "", "b1 a1 a2 a3 a4 a5 a6 a7 a8 a9 a10 a11 a12 a13 a14 a15 a16 a17 a18", "", "a18 a17 a16 a15 a14 a13 a12 a11 a10 a9 a8 a7 a6 a5 a4 a3 a2 b1 a1"},
		{"only seasoned", "a1 b1", "a2 a3 b2 b3", "", "a3 b3 a2 b2"},
		{"both", "a1 b1", "a2 a3 b2 c1 d1 e1", "", "a3 e1 b2 d1 a2 c1"},
		{"many seasoned, one fresh", "a1 b1 c1", "d1 a2 b2 c2 a3", "", "a3 d1 b2 c2 a2"},
		{"returned before all", "a1", "a2 b1 c1<", "", "c1< a2 b1"},
		{"each lane for itself", "a1", "a2 b1 a1! b1!", "", "b1! a1! a2 b1"},
		{"newest of both bindings", "", "a1@m b1 c1@m d1@n", "m", "c1@m b1 a1@m"},
		{"fresh of one, seasoned of the other binding", "a1", "a2 b1@m c1@m", "m", "a2 c1@m b1@m"},
		{"seasoned in all bindings", "a1", "b1 a2@m c1@m", "m", "a2@m c1@m b1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScript(t, 0, 20*time.Minute, true)
			season := strings.Fields(test.season)
			for range quantum {
				s.push(season...)
			}
			for _, name := range season {
				s.push(name[:1] + "0") // who has nobody waiting would be fresh again
			}
			s.take(quantum*len(season), "")
			s.push(strings.Fields(test.push)...)
			for _, name := range season {
				s.q.Remove(s.in[name[:1]+"0"])
			}
			s.now = s.now.Add(11 * time.Minute)
			s.want("order", s.take(100, test.m), test.want)
		})
	}
}

// A client has no turn to lose when its last waiter has gone.
func TestQueueIsFreshAgain(t *testing.T) {
	s := newScript(t, 0, 20*time.Second, true)
	s.push("a1", "a2", "b1")
	for range quantum {
		s.push("b2")
	}
	s.now = epoch.Add(12 * time.Second)
	s.want("first turns", s.take(quantum, ""), strings.Repeat(" b2", quantum)[1:])
	s.q.Remove(s.in["b1"])
	s.push("b3", "c1")
	s.want("order", s.take(10, ""), "c1 b3 a2 a1")
}

// Who has had a turn is not newer for it.
func TestQueueTurnIsNoArrival(t *testing.T) {
	s := newScript(t, 0, 20*time.Second, true)
	s.push("a1", "b1", "a2", "b2", "c1")
	s.want("while there is time", s.take(2, ""), "a1 b1")
	s.now = epoch.Add(30 * time.Second)
	s.want("order", s.take(10, ""), "c1 b2 a2")
}

func TestQueueReleaseKeepsFreshness(t *testing.T) {
	s := newScript(t, 0, time.Minute, true)
	for range quantum {
		s.push("a1@m")
	}
	s.push("a2", "a3@m")
	s.want("while there is time", s.take(quantum, "m"), strings.Repeat(" a1@m", quantum)[1:])
	s.push("b1", "b2@m", "c1@m", "d1")
	s.q.Release("m")
	s.now = epoch.Add(2 * time.Minute)
	s.want("order", s.take(10, ""), "a3@m d1 a2 c1@m b2@m b1")
}

// A client whose waiters come together is as new as the newest of them.
func TestQueueReleaseKeepsTheLastArrival(t *testing.T) {
	for _, test := range []struct{ push, want string }{
		{"a1 b1 a2@m", "a2@m a1 b1"},
		{"a1@m b1 a2", "a2 a1@m b1"},
		{"a1 b1@m c1 a2@m", "a2@m a1 c1 b1@m"},
	} {
		t.Run(test.push, func(t *testing.T) {
			s := newScript(t, 0, 20*time.Second, true)
			s.push(strings.Fields(test.push)...)
			s.q.Release("m")
			s.now = epoch.Add(30 * time.Second)
			s.want("order", s.take(10, ""), test.want)
		})
	}
}

func TestQueueIsFirstInFirstOutAgain(t *testing.T) {
	s := newScript(t, 0, 20*time.Second, true)
	s.push("a1", "a2", "a3", "a4", "a5")
	s.now = epoch.Add(12 * time.Second)
	s.want("under overload", s.take(1, ""), "a5")
	s.q.Remove(s.in["a1"]) // its time is over
	if s.q.Overloaded(s.now) {
		t.Error("overloaded though the oldest has waited for 10 s of 20 s")
	}
	s.want("after it", s.take(10, ""), "a2 a3 a4")
}

func TestQueueOverloadIsOfALane(t *testing.T) {
	s := newScript(t, 0, 20*time.Second, true)
	s.push("a1?", "a2?")
	s.now = epoch.Add(15 * time.Second)
	s.push("a1", "a2")
	s.want("order", s.take(10, ""), "a1 a2 a2? a1?")
}

func TestQueueOverloadSparesThoseThatReturned(t *testing.T) {
	s := newScript(t, 0, 20*time.Second, true)
	s.push("a1<", "b1<", "a2", "a3")
	s.now = epoch.Add(15 * time.Second)
	s.want("order", s.take(10, ""), "a1< b1< a3 a2")
}

// The age counts, not when one was pushed, however far that is from those about it.
func TestQueueOverloadKnowsTheOldest(t *testing.T) {
	var q upstream.Queue
	q.Configure(0, 20*time.Second, true)
	now := epoch.Add(time.Hour)
	for i := range 100 {
		q.Push(upstream.NewWaiter(client(i), 0, now, false, nil, nil), now)
	}
	var old []*upstream.Waiter
	for i := range 60 { // 1 s to 30 s, in no order
		age := time.Duration(1+i*7%30) * time.Second
		old = append(old, upstream.NewWaiter(client(i), 0, now.Add(-age), i%2 == 0, nil, age))
		q.Push(old[i], now)
	}
	for len(old) > 0 {
		oldest := time.Duration(0)
		for _, w := range old {
			oldest = max(oldest, w.Owner().(time.Duration))
		}
		if got, want := q.Overloaded(now), oldest > 10*time.Second; got != want {
			t.Fatalf("overloaded = %t with one of %s, want %t", got, oldest, want)
		}
		i := len(old) * 5 / 7
		q.Remove(old[i])
		old = append(old[:i], old[i+1:]...)
	}
}

func TestQueueLowerLanesHaveTheirTurns(t *testing.T) {
	s := newScript(t, 0, time.Hour, true)
	s.push("n1", "n2", "l1?", "l2?")
	for range 30 {
		s.push("h!")
	}
	got := strings.NewReplacer(" ", "", "h!", "h", "n1", "n", "n2", "n", "l1?", "l", "l2?", "l").Replace(s.take(100, ""))
	s.want("lanes", got, "hhhhhhhhnlhhhhhhhhnlhhhhhhhhhhhhhh")
}

// Being passed over is counted only while somebody there could have been taken.
func TestQueueLaneIsNotPassedOverWhileItsWaitersAreBoundElsewhere(t *testing.T) {
	s := newScript(t, 0, time.Hour, true)
	s.push("a1?@n")
	for range 12 {
		s.push("h!")
	}
	s.take(10, "m")
	s.want("first of n", s.take(1, "n"), "h!")
}

func TestQueueLaneIsPassedOverForTheMemberItWaitsFor(t *testing.T) {
	s := newScript(t, 0, time.Hour, true)
	s.push("l?@m")
	for range 10 {
		s.push("h!@m")
	}
	s.want("order", s.take(10, "m"), strings.Repeat("h!@m ", 8)+"l?@m h!@m")
}

// It is passed over by those as well that any member would do for, if they are
// given the one that it waits for.
func TestQueueLaneIsPassedOverForTheMemberThatTakesOthers(t *testing.T) {
	s := newScript(t, 0, time.Hour, true)
	s.push("l?@m")
	for range 20 {
		s.push("h!")
	}
	for i, m := range []any{"n", nil, "m", "m", "m", "m", "n", "m", "m", "m", "m"} {
		if w := s.q.Next(s.now, m); w.Owner() != "h!" || !s.q.TakeFor(w, m) || s.q.TakeFor(w, m) {
			t.Fatalf("turn %d: got %v, want h!, once", i, w.Owner())
		}
	}
	s.want("next of n", s.take(1, "n"), "h!")
	s.want("next of m, after 8 turns", s.take(1, "m"), "l?@m")
}

// Who gives up has no turn: a client with many that time out loses none.
func TestQueueGivingUpIsNoTurn(t *testing.T) {
	s := newScript(t, 0, time.Hour, true)
	s.push("a1", "a2", "a3", "b1")
	s.q.Remove(s.in["a1"])
	s.want("order", s.take(10, ""), "a2 b1 a3")

	s.push("a4", "a5", "b2", "c1")
	if w := s.q.Next(s.now, nil); w != s.in["a4"] { // nobody has a slot for it
		t.Errorf("Next = %v, want a4", w.Owner())
	}
	s.q.Remove(s.in["a4"])
	s.want("order", s.take(10, ""), "a5 b2 c1")
}

// Nor are lower lanes passed over.
func TestQueueGivingUpPassesNobodyOver(t *testing.T) {
	s := newScript(t, 0, time.Hour, true)
	s.push("l?")
	for range 20 {
		s.push("h!")
		s.q.Remove(s.q.Next(s.now, nil))
	}
	s.push("a!", "b!", "c!")
	s.want("order", s.take(10, ""), "a! b! c! l?")
}

// A turn is whose waiter was given a member, whoever was to come next.
func TestQueueTurnIsOfWhoWasTaken(t *testing.T) {
	s := newScript(t, 0, time.Hour, true)
	s.push("a1", "a2", "b1", "b2", "c1")
	s.q.Next(s.now, nil)
	s.push("d1")
	s.q.Take(s.in["b2"])
	s.want("order", s.take(10, ""), "a1 c1 d1 b1 a2")
}

func TestQueueClients(t *testing.T) {
	for _, test := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"2001:db8:0:1::1", "2001:db8:0:1:ffff::2", true},
		{"2001:db8:0:1::1", "2001:db8:0:2::1", false},
		{"fe80::1%eth0", "fe80::2%eth1", true},
		{"", "", true},
		{"", "0.0.0.0", false},
		{"", "::", false},
		{"0.0.0.0", "::", false},
	} {
		t.Run(test.a+" and "+test.b, func(t *testing.T) {
			parse := func(s string) (a netip.Addr) {
				if s != "" {
					a = netip.MustParseAddr(s)
				}
				return a
			}
			var q upstream.Queue
			q.Configure(0, time.Hour, true)
			for _, a := range []netip.Addr{parse(test.a), parse(test.b)} {
				q.Push(upstream.NewWaiter(a, 0, epoch, false, nil, nil), epoch)
			}
			if flows, _ := q.Kept(); (flows == 1) != test.same {
				t.Errorf("%d flows, want one: %t", flows, test.same)
			}
		})
	}
}

// Those of the same age come in the order of arrival, bound or not.
func TestQueueReturnedOfTheSameAge(t *testing.T) {
	for _, bound := range [][]any{{nil, "m"}, {"m", nil}} {
		var q upstream.Queue
		first := upstream.NewWaiter(client(1), 0, epoch, true, bound[0], nil)
		q.Push(first, epoch)
		q.Push(upstream.NewWaiter(client(2), 0, epoch, true, bound[1], nil), epoch)
		if q.Next(epoch, "m") != first {
			t.Errorf("the later one comes first, with bindings %v", bound)
		}
	}
}

func TestQueueRelease(t *testing.T) {
	s := newScript(t, 0, time.Hour, true)
	s.push("a1", "b1@m", "a2@m", "c1@n", "a3", "d1<@m", "e1<", "a4@m")
	if got := s.q.Unbound(); got != 3 {
		t.Errorf("Unbound = %d, want 3", got)
	}
	s.q.Release("m")
	s.q.Release("m")
	if got := s.q.Unbound(); got != 7 {
		t.Errorf("Unbound = %d after the release, want 7", got)
	}
	if s.in["b1@m"].Bound() != nil {
		t.Error("a released waiter is still bound")
	}
	s.want("order", s.take(100, ""), "d1<@m e1< a1 b1@m a2@m a3 a4@m")
	s.want("those of others", s.take(100, "n"), "c1@n")
}

func TestQueueReleaseKeepsAFlowsEarlierTurn(t *testing.T) {
	s := newScript(t, 0, time.Hour, true)
	s.push("a1@m", "b1", "c1", "a2")
	s.q.Release("m")
	s.want("order", s.take(100, ""), "a1@m b1 c1 a2")
}

func TestQueueConfigureKeepsWaiters(t *testing.T) {
	s := newScript(t, 0, time.Hour, true)
	s.push("a1", "a2", "a3", "b1@m", "b2<")
	s.q.Configure(2, time.Hour, false)
	s.want("push over the new limit", s.push("c1"), "refused")
	s.want("arrival", s.take(2, "m"), "b2< a1")
	s.q.Configure(0, time.Hour, true)
	s.want("clients", s.take(10, "m"), "a2 b1@m a3")

	s.push("a1", "a2")
	s.q.Configure(0, 2*time.Second, true)
	s.now = s.now.Add(time.Second)
	s.want("with a shorter timeout", s.take(10, ""), "a2 a1")
}

func TestQueueZeroValue(t *testing.T) {
	var q upstream.Queue
	if q.Len() != 0 || q.Next(epoch, nil) != nil || q.Next(epoch, "m") != nil || q.Overloaded(epoch) {
		t.Error("the zero value is not empty")
	}
	q.Release("m")
	w := upstream.NewWaiter(client(1), 0, time.Time{}, false, nil, nil)
	if q.Remove(w) {
		t.Error("Remove of one that is not in = true")
	}
	if _, ok := q.Push(w, epoch); !ok || q.Next(epoch.Add(1000*time.Hour), nil) != w {
		t.Error("a pushed waiter does not come next")
	}
	defer func() {
		if recover() == nil {
			t.Error("a second push of the same waiter did not panic")
		}
	}()
	q.Push(w, epoch)
}

// What a burst needed is given back, but for a bounded rest.
func TestQueueKeepsLittle(t *testing.T) {
	var q upstream.Queue
	q.Configure(0, time.Hour, true)
	var ws []*upstream.Waiter
	for i := range 20000 {
		w := upstream.NewWaiter(client(i), 0, epoch, false, i%100, nil)
		ws = append(ws, w)
		q.Push(w, epoch)
	}
	for _, w := range ws {
		q.Remove(w)
	}
	if flows, spare := q.Kept(); flows != 0 || spare == 0 || spare > 3000 {
		t.Errorf("%d flows and %d spare structures are kept, want 0 and at most 3000", flows, spare)
	}
}

func TestPriorityText(t *testing.T) {
	for p, word := range map[upstream.Priority]string{
		upstream.PriorityHigh: "high", upstream.PriorityNormal: "normal", upstream.PriorityLow: "low",
	} {
		var back upstream.Priority
		text, err := p.MarshalText()
		if err != nil || string(text) != word || back.UnmarshalText(text) != nil || back != p || p.String() != word {
			t.Errorf("%d is written %q (%v) and read back as %d", p, text, err, back)
		}
	}
	p := upstream.PriorityHigh
	if err := p.UnmarshalText([]byte("urgent")); err == nil || p != upstream.PriorityHigh ||
		err.Error() != `"urgent" is not a priority: write high, normal or low` {
		t.Errorf("UnmarshalText(urgent) = %v, priority now %v", err, p)
	}
}
