package upstream_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"headgate/upstream"
)

const ms = time.Millisecond

// A spell is a time in which the queue is always full, and the member as it is
// then. What counts is what is seen from 10 s after its begin.
type spell struct {
	long    time.Duration
	cores   int
	service service
	bound   int // of limit - cores, in the second half; 0: none
}

func newSimulation(s spell) *simulation {
	return &simulation{rand: rand.New(rand.NewPCG(1, 2)), service: s.service, cores: s.cores}
}

// play runs one spell, and checks that no core is idle for long and that little
// lies in the backlog.
func (m *simulation) play(t *testing.T, s spell) {
	t.Helper()
	m.cores, m.service, m.flood = s.cores, s.service, true
	m.start()
	m.run(10 * time.Second)
	m.usage = usage{}
	m.run(s.long/2 - 10*time.Second)
	u := m.usage
	m.usage = usage{}
	m.run(s.long / 2)
	v := m.usage
	used := float64(u.busy+v.busy) / float64(u.cores+v.cores)
	t.Logf("%3d cores: %5.1f%% used, limit %5.1f on average, %3d at most (%s)",
		s.cores, 100*used, float64(v.area)/float64(s.long/2), v.most, m.Source())
	if used < 0.95 {
		t.Errorf("%d cores: %.1f%% used, want 95%%", s.cores, 100*used)
	}
	if s.bound > 0 && v.most-s.cores > s.bound {
		t.Errorf("%d cores: a limit of %d, want at most %d more than cores", s.cores, v.most, s.bound)
	}
}

// lull lets the queue run empty, with a request now and then.
func (m *simulation) lull(long, gap time.Duration) {
	m.flood = false
	stop := m.arrive(gap)
	m.run(long)
	stop()
}

func TestLimiterKeepsCoresBusyWithoutKernel(t *testing.T) {
	for _, test := range []struct {
		name    string
		service service
		cores   []int
		long    time.Duration
		bounded bool
	}{
		{"20ms", constant(20 * ms), []int{1, 2, 4, 8}, 40 * time.Second, true},
		{"100ms", constant(100 * ms), []int{32, 100}, 60 * time.Second, true},
		{"2ms", constant(2 * ms), []int{4}, 30 * time.Second, true},
		{"0.5ms", constant(ms / 2), []int{1}, 24 * time.Second, false}, // the turnaround needs more than the cores
		{"300ms", constant(300 * ms), []int{4, 8}, 300 * time.Second, true},
		{"lognormal", lognormal(20*ms, 0.8), []int{2, 4, 8}, 160 * time.Second, true},
		{"mixed", mixed(2*ms, 300*ms), []int{2, 4, 8}, 160 * time.Second, false},
		{"streamed", streamed(2*ms, 48*ms), []int{4, 8}, 60 * time.Second, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, cores := range test.cores {
				s := spell{test.long, cores, test.service, 0}
				m := newSimulation(s)
				m.play(t, s)
				m.lull(30*time.Second, time.Second)
				if test.bounded {
					s.bound = max(16, 3*cores)
				}
				m.play(t, s)
				if got := m.Source(); got != "learned" {
					t.Errorf("%d cores: the limit is %s, want learned", cores, got)
				}
			}
		})
	}
}

func TestLimiterKeepsCoresBusyWithKernel(t *testing.T) {
	for _, test := range []struct {
		name    string
		service service
		mean    time.Duration
		cores   []int
	}{
		{"20ms", constant(20 * ms), 20 * ms, []int{1, 2, 4, 8}},
		{"100ms", constant(100 * ms), 100 * ms, []int{32, 100}},
		{"2ms", constant(2 * ms), 2 * ms, []int{4}},
		{"300ms", constant(300 * ms), 300 * ms, []int{4, 32}},
		{"lognormal", lognormal(20*ms, 0.8), 27 * ms, []int{2, 4, 8}},
		{"mixed", mixed(2*ms, 300*ms), 31 * ms, []int{2, 4, 8}},
		{"streamed", streamed(2*ms, 48*ms), 2 * ms, []int{4, 8}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, cores := range test.cores {
				s := spell{40 * time.Second, cores, test.service, 0}
				m := newSimulation(s)
				m.watch(100 * ms)
				m.play(t, s)
				m.lull(30*time.Second, time.Second)
				s.bound = max(8, cores, int(time.Duration(cores)*5*ms/test.mean)+1)
				m.play(t, s)
				if got := m.Source(); got != "kernel" {
					t.Errorf("%d cores: the limit is from %s, want kernel", cores, got)
				}
			}
		})
	}
}

// The member's cores and its service time change under load.
func TestLimiterFollowsChange(t *testing.T) {
	for name, every := range map[string]time.Duration{"learned": 0, "kernel": 100 * ms} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fast, slow := constant(20*ms), constant(60*ms)
			loose := func(cores int) int {
				if every > 0 {
					return max(8, cores)
				}
				return max(16, 3*cores)
			}
			m := newSimulation(spell{cores: 4, service: fast})
			if every > 0 {
				m.watch(every)
			}
			for i, s := range []spell{
				{60 * time.Second, 4, fast, loose(4)},
				{60 * time.Second, 4, slow, loose(4)},
				{60 * time.Second, 4, fast, loose(4)},
				{60 * time.Second, 8, fast, loose(8)},
				{100 * time.Second, 2, fast, loose(2)},
				{60 * time.Second, 16, fast, loose(16)},
				{200 * time.Second, 1, fast, loose(1)},
				{60 * time.Second, 64, fast, loose(64)},
			} {
				m.play(t, s)
				if i%2 > 0 {
					m.lull(20*time.Second, 100*ms)
				}
			}
		})
	}
}

// Once it is found, the number of cores is confirmed without taking any away.
func TestLimiterProbesWithoutLoss(t *testing.T) {
	s := spell{60 * time.Second, 4, constant(20 * ms), 16}
	m := newSimulation(s)
	m.play(t, s)
	m.play(t, s)
	if got := m.usage.least; got < 4 || got == m.usage.most {
		t.Errorf("limit from %d to %d in half a minute, want a probe and not below 4", got, m.usage.most)
	}
}

// Uneven requests look like idle cores now and then.
func TestLimiterIsNotFooledByChance(t *testing.T) {
	for seed := range uint64(8) {
		s := spell{200 * time.Second, 4, lognormal(20*ms, 0.8), 16}
		m := newSimulation(s)
		m.rand = rand.New(rand.NewPCG(seed, 9))
		m.play(t, s)
	}
}

// A backlog that is shorter than the first limit is full again and again, but
// not often, and costs no throughput.
func TestLimiterStaysBelowShortBacklog(t *testing.T) {
	s := spell{60 * time.Second, 4, constant(20 * ms), 0}
	m := newSimulation(s)
	m.listen = 5
	m.play(t, s)
	if m.overflows > 30 {
		t.Errorf("the backlog was full %d times in a minute", m.overflows)
	}
}

func TestLimiterRemembersWhereItWasFull(t *testing.T) {
	var l upstream.Limiter
	now := epochStart
	for i := range 20 { // one burst
		l.Full(now, 40-i)
	}
	if got := l.Limit(); got != 21 {
		t.Fatalf("limit after a full backlog at 21: %d", got)
	}
	for _, want := range []time.Duration{1, 2, 4, 8} { // seconds until it is tried again
		begin := now
		for l.Limit() == 21 {
			now = now.Add(100 * ms)
			l.Answered(now, ms, 1, false)
		}
		if got := now.Sub(begin); got != want*time.Second {
			t.Errorf("rose after %v, want %v s", got, int(want))
		}
		l.Full(now, 21)
	}
	l.Full(now, 0)
	if got := l.Limit(); got != 1 {
		t.Errorf("limit with a full backlog and nothing in flight: %d, want 1", got)
	}
	for range 600 {
		now = now.Add(time.Second)
		l.Answered(now, ms, 1, false)
	}
	if got := l.Limit(); got != 64 {
		t.Errorf("limit ten minutes later: %d, want 64", got)
	}
}

func TestLimiterSendsFewMoreThanKnownCores(t *testing.T) {
	for _, test := range []struct {
		cores int
		mean  time.Duration
		want  int
	}{
		{4, 0, 8}, // nothing answered yet
		{1, 20 * ms, 2},
		{4, 20 * ms, 5},
		{4, 2 * ms, 14},
		{4, 100 * time.Microsecond, 36},
		{8, 1 * time.Microsecond, 40},
		{64, 20 * ms, 80},
		{4, 300 * ms, 4},
		{64, 10 * time.Second, 64},
		{5000, 20 * ms, 4096},
	} {
		var l upstream.Limiter
		l.Known(test.cores, "stats")
		if test.mean > 0 {
			for range 10 {
				l.Answered(epochStart, test.mean, min(test.cores, 4096), true)
			}
			for range 10 { // as long again in the backlog
				l.Answered(epochStart, 2*test.mean, 2*min(test.cores, 4096), true)
			}
		}
		if got := l.Limit(); got != test.want {
			t.Errorf("%d cores, %v each: limit %d, want %d", test.cores, test.mean, got, test.want)
		}
		if got := l.Source(); got != "stats" {
			t.Errorf("source %q, want stats", got)
		}
	}
}

func TestLimiterForgetsWhatWasSaid(t *testing.T) {
	var l upstream.Limiter
	l.Known(4, "announced")
	l.Known(0, "")
	if l.Limit() != 64 || l.Source() != "default" {
		t.Errorf("limit %d (%s), want 64 (default)", l.Limit(), l.Source())
	}
}

// A member of which a part is restarting keeps its cores for a while.
func TestLimiterKeepsRecentMostOfKernel(t *testing.T) {
	var l upstream.Limiter
	now := epochStart
	look := func(n, busy, unread int) {
		for range n {
			now = now.Add(100 * ms)
			l.Sample(now, busy, unread)
		}
		l.Answered(now, 20*ms, 8, true)
	}
	look(5, 8, 0) // no backlog, no proof
	if got := l.Source(); got != "default" {
		t.Fatalf("source %s without a backlog, want default", got)
	}
	look(100, 8, 3)
	before := l.Limit()
	look(40, 2, 3)
	look(40, 0, 9) // nobody is there
	if got := l.Limit(); got != before {
		t.Errorf("limit %d during a restart, want %d", got, before)
	}
	look(600, 2, 3)
	if got := l.Limit(); got > 4 {
		t.Errorf("limit %d a minute after only 2 cores came back, want at most 4", got)
	}
	look(1, 6, 1)
	if got := l.Limit(); got < 6 {
		t.Errorf("limit %d with 6 busy, want more at once", got)
	}
}

// Many requests are reset by one restart: that counts once.
func TestLimiterForgetsGently(t *testing.T) {
	s := spell{60 * time.Second, 4, constant(20 * ms), 16}
	m := newSimulation(s)
	m.play(t, s)
	m.flood = false
	m.run(time.Second)
	before := m.Limit()
	for range 50 {
		m.Refused(m.clock())
	}
	if got := m.Limit(); got != min(64, 2*before) {
		t.Errorf("limit %d after a restart, want %d", got, min(64, 2*before))
	}
	m.play(t, s)
}

// Whatever it is told, the limit is between 1 and 4096.
func TestLimiterIsBounded(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for range 200 {
		var l upstream.Limiter
		now := epochStart
		for range 2000 {
			now = now.Add(time.Duration(r.Int64N(int64(20*ms))) - ms)
			n := r.IntN(6000) - 5
			switch r.IntN(100) {
			case 0:
				l.Known(max(0, n-5000)*10, "stats")
			case 1:
				l.Full(now, n)
			case 2:
				l.Refused(now)
			case 3, 4, 5, 6:
				l.Sample(now, n, r.IntN(3))
			default:
				l.Answered(now, time.Duration(r.Int64N(int64(time.Second)))-ms, max(1, n), r.IntN(500) > 0)
			}
			if got := l.Limit(); got < 1 || got > 4096 {
				t.Fatalf("limit %d", got)
			}
		}
	}
}

func BenchmarkLimiterAnswered(b *testing.B) {
	for _, cores := range []int{0, 4} {
		b.Run(map[int]string{0: "learning", 4: "known"}[cores], func(b *testing.B) {
			var l upstream.Limiter
			l.Known(cores, "stats")
			now := epochStart
			b.ReportAllocs()
			for b.Loop() {
				now = now.Add(ms)
				l.Answered(now, 20*ms, 64, true)
				l.Limit()
			}
		})
	}
}
