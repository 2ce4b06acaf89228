package upstream_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"headgate/upstream"
)

// entry is a waiter in the model of a queue.
type entry struct {
	w        *upstream.Waiter
	client   int
	lane     int // 0 is high
	since    time.Time
	returned bool
	bound    any
	seq      int
}

// model is a queue that is slow and plain: the waiters in the order of arrival,
// and when each client had its last turn.
type model struct {
	limit   int
	timeout time.Duration
	fair    bool
	in      []*entry
	clients map[[2]int]*modelClient // by lane and number; while it has waiters there
	turn    int
	passed  [3]int
	fresh   [3]bool // the last turn was that of a fresh client
}

type modelClient struct {
	turn, arrived int
	turns         int // that it has had
}

// quantum is how many turns a client has until it is seasoned.
const quantum = 16

func (c *modelClient) seasoned() bool { return c.turns >= quantum }

func (m *model) flow(e *entry) [2]int {
	if !m.fair {
		return [2]int{e.lane, 0}
	}
	return [2]int{e.lane, e.client}
}

func (m *model) count(flow [2]int) (n int) {
	for _, e := range m.in {
		if !e.returned && m.flow(e) == flow {
			n++
		}
	}
	return n
}

// yielding returns who must give way to e.
func (m *model) yielding(e *entry) *entry {
	for lane := 2; lane > e.lane; lane-- {
		for _, x := range slices.Backward(m.in) {
			if x.lane == lane && !x.returned {
				return x
			}
		}
	}
	var best *entry
	for _, x := range slices.Backward(m.in) { // the newest of equals
		if x.lane == e.lane && !x.returned && (best == nil || m.count(m.flow(x)) > m.count(m.flow(best))) {
			best = x
		}
	}
	if !m.fair || best == nil || m.count(m.flow(best)) < m.count(m.flow(e))+1+2 {
		return nil
	}
	return best
}

func (m *model) push(e *entry) (evicted *entry, ok bool) {
	if m.limit > 0 && len(m.in) >= m.limit && !e.returned {
		if evicted = m.yielding(e); evicted == nil {
			return nil, false
		}
		m.remove(evicted)
	}
	if !e.returned {
		if m.count(m.flow(e)) == 0 {
			m.turn++
			m.clients[m.flow(e)] = &modelClient{turn: m.turn}
		}
		m.clients[m.flow(e)].arrived = e.seq
	}
	m.in = append(m.in, e)
	return evicted, true
}

func (m *model) remove(e *entry) {
	m.in = slices.DeleteFunc(m.in, func(x *entry) bool { return x == e })
	if !slices.ContainsFunc(m.in, func(x *entry) bool { return x.lane == e.lane }) {
		m.passed[e.lane] = 0
	}
}

// next returns who comes next when nobody is bound.
func (m *model) next(now time.Time) *entry {
	for _, lane := range []int{1, 2} {
		if e := m.first(lane, now); e != nil && m.passed[lane] >= 8 {
			return e
		}
	}
	for lane := range 3 {
		if e := m.first(lane, now); e != nil {
			return e
		}
	}
	return nil
}

func (m *model) first(lane int, now time.Time) *entry {
	old := false
	var best *entry
	for _, e := range m.in {
		if e.lane != lane {
			continue
		}
		old = old || m.timeout > 0 && now.Sub(e.since) > m.timeout/2
		if e.returned && (best == nil || e.since.Before(best.since)) {
			best = e
		}
	}
	if best != nil {
		return best
	}
	if !old {
		return m.inTurn(lane, func(*modelClient) bool { return true })
	}
	best = m.inTurn(lane, (*modelClient).seasoned)
	if fresh := m.newest(lane); fresh != nil && (best == nil || !m.fresh[lane]) {
		best = fresh
	}
	for _, e := range m.in {
		if e.lane == lane && m.flow(e) == m.flow(best) {
			best = e
		}
	}
	return best
}

// inTurn returns the oldest of the client whose turn is first among some.
func (m *model) inTurn(lane int, some func(*modelClient) bool) (best *entry) {
	for _, e := range m.in {
		if e.lane != lane || !some(m.clients[m.flow(e)]) {
			continue
		}
		if best == nil || m.clients[m.flow(e)].turn < m.clients[m.flow(best)].turn {
			best = e
		}
	}
	return best
}

// newest returns one of the fresh client that was the last to send.
func (m *model) newest(lane int) (best *entry) {
	for _, e := range m.in {
		if e.lane != lane || m.clients[m.flow(e)].seasoned() {
			continue
		}
		if best == nil || m.clients[m.flow(e)].arrived > m.clients[m.flow(best)].arrived {
			best = e
		}
	}
	return best
}

func (m *model) take(e *entry) {
	m.passed[e.lane] = 0
	for lane := e.lane + 1; lane < 3; lane++ {
		if slices.ContainsFunc(m.in, func(x *entry) bool { return x.lane == lane }) {
			m.passed[lane]++
		}
	}
	if !e.returned {
		c := m.clients[m.flow(e)]
		m.turn++
		m.fresh[e.lane] = !c.seasoned()
		c.turn = m.turn
		c.turns++
	}
	m.remove(e)
}

// random returns a source that a failed test can be run with again.
func random(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// stage is a queue under test and what is known of those in it.
type stage struct {
	t     *testing.T
	r     *rand.Rand
	q     *upstream.Queue
	now   time.Time
	seq   int
	bound []any // what waiters are bound to, at random
}

// make returns a waiter that is new or has been in before.
func (s *stage) make() *entry {
	s.seq++
	e := &entry{
		client: s.r.IntN(1 + s.r.IntN(8)), lane: min(s.r.IntN(6), 2), since: s.now, returned: s.r.IntN(10) == 0,
		bound: s.bound[s.r.IntN(len(s.bound))], seq: s.seq,
	}
	if e.lane == 2 && s.r.IntN(2) == 0 {
		e.lane = 1
	}
	if e.returned || s.r.IntN(20) == 0 {
		e.since = s.now.Add(-time.Duration(s.r.IntN(3000)) * time.Millisecond)
	}
	e.w = upstream.NewWaiter(client(e.client), upstream.Priority(1-e.lane), e.since, e.returned, e.bound, e)
	return e
}

func (s *stage) tick() {
	if s.r.IntN(4) > 0 {
		s.now = s.now.Add(time.Duration(s.r.IntN(100)) * time.Millisecond)
	}
}

// Whatever happens, the queue does what the model does.
func TestQueueDoesWhatItsModelDoes(t *testing.T) {
	r := random(t)
	for range 300 {
		s := &stage{t: t, r: r, q: &upstream.Queue{}, now: epoch, bound: []any{nil}}
		m := &model{clients: map[[2]int]*modelClient{}, timeout: time.Duration(r.IntN(8)) * time.Second, limit: r.IntN(40), fair: r.IntN(4) > 0}
		s.q.Configure(m.limit, m.timeout, m.fair)
		growth := 2 + r.IntN(5)
		for range 300 {
			s.tick()
			switch n := r.IntN(10); {
			case n < growth:
				s.pushBoth(m)
			case n < 9:
				s.takeBoth(m)
			case len(m.in) > 0:
				e := m.in[r.IntN(len(m.in))]
				m.remove(e)
				if !s.q.Remove(e.w) {
					t.Fatalf("waiter %d was not in", e.seq)
				}
			}
			if s.q.Len() != len(m.in) || s.q.Unbound() != len(m.in) {
				t.Fatalf("Len = %d, Unbound = %d, want %d", s.q.Len(), s.q.Unbound(), len(m.in))
			}
		}
	}
}

func (s *stage) pushBoth(m *model) {
	e := s.make()
	evicted, ok := s.q.Push(e.w, s.now)
	want, wantOK := m.push(e)
	var got *entry
	if evicted != nil {
		got = evicted.Owner().(*entry)
	}
	if got != want || ok != wantOK {
		s.t.Fatalf("push: evicted %v, %t, want %v, %t", got, ok, want, wantOK)
	}
}

func (s *stage) takeBoth(m *model) {
	w, want := s.q.Next(s.now, nil), m.next(s.now)
	if w == nil || want == nil {
		if w != nil || want != nil {
			s.t.Fatalf("next = %v, want %v", w, want)
		}
		return
	}
	if got := w.Owner().(*entry); got != want {
		s.t.Fatalf("next = %+v, want %+v", *got, *want)
	}
	m.take(want)
	s.q.Take(w)
}

// With bindings as well: nobody is lost, nobody is taken twice or by somebody he
// is not for, the oldest of a client first, and only those that returned may
// exceed the limit.
func TestQueueLosesNobody(t *testing.T) {
	r := random(t)
	for range 300 {
		s := &stage{t: t, r: r, q: &upstream.Queue{}, now: epoch, bound: []any{nil, nil, nil, "m", "n"}}
		limit := r.IntN(50)
		s.q.Configure(limit, 0, r.IntN(4) > 0)
		in := map[*entry]bool{}
		for range 400 {
			s.tick()
			switch n := r.IntN(24); {
			case n < 12:
				s.pushAndCheck(in, limit)
			case n < 21:
				s.takeAndCheck(in, []any{nil, "m", "n", "none"}[r.IntN(4)])
			case n < 22:
				s.giveUp(in)
			case n < 23 && r.IntN(4) == 0:
				s.releaseAndCheck(in, []any{"m", "n", "none"}[r.IntN(3)])
			case r.IntN(20) == 0:
				limit = r.IntN(50)
				s.q.Configure(limit, 0, r.IntN(4) > 0)
			}
			s.checkCounts(in)
		}
		for _, m := range []any{"m", "n"} {
			for s.takeAndCheck(in, m) {
			}
		}
		if len(in) != 0 || s.q.Len() != 0 {
			t.Fatalf("%d waiters are lost; Len = %d", len(in), s.q.Len())
		}
		if flows, _ := s.q.Kept(); flows != 0 {
			t.Fatalf("%d flows are left of nobody", flows)
		}
	}
}

func (s *stage) pushAndCheck(in map[*entry]bool, limit int) {
	e := s.make()
	before := len(in)
	evicted, ok := s.q.Push(e.w, s.now)
	switch {
	case !ok:
		if e.returned || limit == 0 || before < limit {
			s.t.Fatalf("refused with %d of %d, returned: %t", before, limit, e.returned)
		}
		return
	case evicted != nil:
		gone := evicted.Owner().(*entry)
		if !in[gone] || gone.returned || gone.lane < e.lane || s.q.Remove(evicted) {
			s.t.Fatalf("%+v gave way to %+v", *gone, *e)
		}
		delete(in, gone)
	case limit > 0 && before >= limit && !e.returned:
		s.t.Fatalf("%d wait, over the limit of %d", before+1, limit)
	}
	in[e] = true
}

func (s *stage) takeAndCheck(in map[*entry]bool, m any) bool {
	w := s.q.Next(s.now, m)
	fits := func(e *entry) bool { return e.w.Bound() == nil || e.w.Bound() == m }
	if w == nil {
		for e := range in {
			if fits(e) {
				s.t.Fatalf("nobody comes next for %v, and %+v waits", m, *e)
			}
		}
		return false
	}
	e := w.Owner().(*entry)
	if !in[e] || !fits(e) {
		s.t.Fatalf("%v got %+v, in: %t", m, *e, in[e])
	}
	for x := range in {
		switch {
		case !fits(x) || x.lane != e.lane:
		case x.returned && (!e.returned || x.since.Before(e.since)),
			!e.returned && x.client == e.client && x.seq < e.seq:
			s.t.Fatalf("%+v was taken before %+v", *e, *x)
		}
	}
	if !s.q.Take(w) || s.q.Take(w) || s.q.Remove(w) {
		s.t.Fatal("Take, Take, Remove: want true, false, false")
	}
	delete(in, e)
	return true
}

func (s *stage) giveUp(in map[*entry]bool) {
	for e := range in {
		if !s.q.Remove(e.w) {
			s.t.Fatalf("%+v was not in", *e)
		}
		delete(in, e)
		return
	}
}

func (s *stage) releaseAndCheck(in map[*entry]bool, m any) {
	s.q.Release(m)
	for e := range in {
		if e.w.Bound() == m {
			s.t.Fatalf("%+v is still bound", *e)
		}
	}
}

func (s *stage) checkCounts(in map[*entry]bool) {
	unbound := 0
	for e := range in {
		if e.w.Bound() == nil {
			unbound++
		}
	}
	if s.q.Len() != len(in) || s.q.Unbound() != unbound {
		s.t.Fatalf("Len = %d, Unbound = %d, want %d, %d", s.q.Len(), s.q.Unbound(), len(in), unbound)
	}
}

// evenness watches the turns of clients.
type evenness struct {
	in      map[*entry]bool
	waiting []int
	turns   []int   // of each since it began to wait
	log     []int   // whose each turn was
	since   [][]int // for each two clients, the turn from which on theirs must be even
}

func newEvenness(clients int) *evenness {
	v := &evenness{
		in: map[*entry]bool{}, waiting: make([]int, clients), turns: make([]int, clients), since: make([][]int, clients),
	}
	for i := range v.since {
		v.since[i] = make([]int, clients)
	}
	return v
}

// count adds n waiters, or takes them off.
func (v *evenness) count(e *entry, n int) {
	if n > 0 {
		v.in[e] = true
	} else {
		delete(v.in, e)
	}
	v.waiting[e.client] += n
	if v.waiting[e.client] == 0 {
		v.turns[e.client] = 0
	}
	for a := range v.waiting {
		for b := range v.waiting {
			if v.waiting[a] == 0 || v.waiting[b] == 0 {
				v.since[a][b] = len(v.log)
			}
		}
	}
}

// uneven notes a turn and says with whom it is not even in some window.
func (v *evenness) uneven(c int, overloaded bool) string {
	v.log = append(v.log, c)
	fresh := v.turns[c] < quantum
	v.turns[c]++
	for other, n := range v.waiting {
		if n == 0 || other == c {
			continue
		}
		if overloaded && (fresh || v.turns[other] < quantum) {
			v.since[c][other], v.since[other][c] = len(v.log), len(v.log)
			continue
		}
		ahead := 0
		for i := len(v.log) - 1; i >= v.since[c][other]; i-- {
			switch v.log[i] {
			case c:
				ahead++
			case other:
				ahead--
			}
			if ahead > 1 {
				return fmt.Sprintf("client %d is two turns ahead of client %d: %v", c, other, v.log[i:])
			}
		}
	}
	return ""
}

// While two clients both wait, neither has more than one turn more than the
// other, in any window, whatever they send and however many give up; under
// overload from when both are seasoned.
func TestQueueTurnsAreEven(t *testing.T) {
	r := random(t)
	for range 100 {
		s := &stage{t: t, r: r, q: &upstream.Queue{}, now: epoch, bound: []any{nil}}
		s.q.Configure(0, time.Second, true) // under overload now and then
		clients := 2 + r.IntN(5)
		v := newEvenness(clients)
		for range 400 {
			s.tick()
			switch n := r.IntN(20); {
			case n < 10:
				e := &entry{client: min(r.IntN(clients*2), clients-1)} // the last one sends half of all
				e.w = upstream.NewWaiter(client(e.client), 0, s.now, false, nil, e)
				s.q.Push(e.w, s.now)
				v.count(e, 1)
			case n < 18:
				w := s.q.Next(s.now, nil)
				if w == nil {
					continue
				}
				overloaded := s.q.Overloaded(s.now)
				s.q.Take(w)
				e := w.Owner().(*entry)
				if wrong := v.uneven(e.client, overloaded); wrong != "" {
					t.Fatal(wrong)
				}
				v.count(e, -1)
			default:
				for e := range v.in {
					s.q.Remove(e.w)
					v.count(e, -1)
					break
				}
			}
		}
	}
}

// A lane that somebody waits in is passed over 9 times in a row at most: 8 times,
// and once more for the other lane that has been. It comes before a higher one
// only then.
func TestQueueStarvesNoLane(t *testing.T) {
	r := random(t)
	for range 100 {
		s := &stage{t: t, r: r, q: &upstream.Queue{}, now: epoch, bound: []any{nil}}
		s.q.Configure(0, time.Minute, true)
		var waiting, passed [3]int
		for range 500 {
			s.tick()
			if r.IntN(20) < 11 {
				e := s.make()
				s.q.Push(e.w, s.now)
				waiting[e.lane]++
				continue
			}
			w := s.q.Next(s.now, nil)
			if w == nil {
				continue
			}
			s.q.Take(w)
			lane := w.Owner().(*entry).lane
			for higher := range lane {
				if waiting[higher] > 0 && passed[lane] < 8 {
					t.Fatalf("lane %d came before lane %d after %d turns of others", lane, higher, passed[lane])
				}
			}
			waiting[lane]--
			passed[lane] = 0
			for other := range 3 {
				switch {
				case waiting[other] == 0:
					passed[other] = 0
				case other > lane:
					passed[other]++
				}
				if passed[other] > 7+other {
					t.Fatalf("lane %d was passed over %d times in a row", other, passed[other])
				}
			}
		}
	}
}
