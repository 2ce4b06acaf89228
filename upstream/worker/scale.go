package worker

import (
	"syscall"
	"time"
)

// How the number of processes follows the load.
const (
	sampleEvery  = 250 * time.Millisecond
	samplesUp    = 8   // 2 s
	samplesDown  = 120 // 30 s
	busyMost     = 0.85
	busyLeast    = 0.50
	busyFewer    = 0.75 // what fewer processes must be able to do without being busy
	growPatience = 5 * time.Second
)

// meter decides how many processes there should be. The zero value knows nothing.
type meter struct {
	samples [samplesDown]sample // a ring
	n       int                 // of all samples since the number was changed
}

type sample struct {
	busy   int // requests at the members, and those that wait
	queued bool
}

// want takes in what the pool is doing now and returns how many processes there
// should be, which have been told to be now.
func (m *meter) want(l Load, now, threads, least, most int) int {
	m.samples[m.n%samplesDown] = sample{busy: l.InFlight + l.Queued, queued: l.Queued > 0}
	m.n++
	switch slots := float64(now * threads); {
	case now < least:
		m.n = 0
		return least
	case now > most:
		m.n = 0
		return most
	case now < most && m.n >= samplesUp && (m.mean(samplesUp) > busyMost*slots || m.queued(samplesUp)):
		m.n = 0
		return min(now+max(1, now/4), most)
	case now > least && m.n >= samplesDown && m.mean(samplesDown) < busyLeast*slots && m.mean(samplesDown) < busyFewer*(slots-float64(threads)):
		m.n = 0
		return now - 1
	}
	return now
}

// mean is the mean of the last n samples.
func (m *meter) mean(n int) float64 {
	sum := 0
	for i := m.n - n; i < m.n; i++ {
		sum += m.samples[i%samplesDown].busy
	}
	return float64(sum) / float64(n)
}

// queued reports whether somebody waited in each of the last n samples.
func (m *meter) queued(n int) bool {
	for i := m.n - n; i < m.n; i++ {
		if !m.samples[i%samplesDown].queued {
			return false
		}
	}
	return true
}

// growth is how many processes a generation has.
type growth struct {
	can   bool // their number may change
	said  int  // as the pool knows
	sent  int  // as the leader was told
	want  int  // as it will be told
	base  int  // what the leader has in children besides those; below 0: not counted yet
	asked time.Time
	meter meter
}

// newGrowth is that of a generation whose leader has just been started.
func newGrowth(g *generation) growth {
	return growth{can: g.plan.Scales && g.options.Max > 0, said: g.count, sent: g.count, want: g.count, base: -1}
}

// scale lets the number of processes follow the load. One step is taken at a time:
// signals that come together are one.
func (r *runner) scale() {
	g := r.current
	w, o := &g.growth, &g.options
	if w.base < 0 {
		w.base = max(0, r.children()-w.sent)
	}
	w.want = w.meter.want(r.setup.Load(), w.want, o.Threads, o.Min, o.Max)
	switch {
	case w.sent < w.want:
		if r.resize(g, "+", syscall.SIGTTIN) {
			w.sent++
		}
	case w.sent > w.want && w.said > w.want: // the pool first
		w.said--
		r.say(g.member())
	case w.sent > w.want:
		if r.resize(g, "-", syscall.SIGTTOU) {
			w.sent--
		}
	}
	if w.said < w.sent && w.want >= w.sent && (r.children()-w.base >= w.sent || time.Since(w.asked) >= growPatience) {
		w.said = w.sent
		r.say(g.member())
		r.log.Info("workers are more", "processes", w.said)
	}
}

// resize tells a leader to have one process more or less.
func (r *runner) resize(g *generation, word string, sig syscall.Signal) bool {
	g.growth.asked = time.Now()
	var err error
	if g.plan.Fifo != "" {
		err = r.world.order(g.plan.Fifo, word)
	} else {
		err = g.process().Signal(sig)
	}
	if err != nil {
		r.log.Warn("number of processes could not be changed", "err", err)
	}
	return err == nil
}

// children is how many processes the leader of current has started itself.
func (r *runner) children() int {
	n, leader := 0, r.current.process()
	for _, p := range r.world.family(leader) {
		if p.Parent == leader.PID() {
			n++
		}
	}
	return n
}
