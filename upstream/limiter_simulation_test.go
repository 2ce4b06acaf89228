package upstream_test

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"headgate/upstream"
)

// turnaround is how long the gateway needs from one answer to the next request.
const turnaround = 200 * time.Microsecond

// A service draws how long one request keeps a core: until the first byte of
// its answer, and then until the last.
type service func(*rand.Rand) (head, body time.Duration)

func constant(d time.Duration) service {
	return func(*rand.Rand) (time.Duration, time.Duration) { return d, 0 }
}

// streamed answers send the first byte early.
func streamed(head, body time.Duration) service {
	return func(*rand.Rand) (time.Duration, time.Duration) { return head, body }
}

// mixed is slow one time in ten.
func mixed(fast, slow time.Duration) service {
	return func(r *rand.Rand) (time.Duration, time.Duration) {
		if r.IntN(10) == 0 {
			return slow, 0
		}
		return fast, 0
	}
}

func lognormal(median time.Duration, sigma float64) service {
	return func(r *rand.Rand) (time.Duration, time.Duration) {
		return time.Duration(float64(median) * math.Exp(sigma*r.NormFloat64())), 0
	}
}

// A simRequest is one in flight.
type simRequest struct {
	sent     time.Duration
	inFlight int
}

// A simEvent is something that will happen.
type simEvent struct {
	at time.Duration
	do func()
}

type simEvents []simEvent

func (e simEvents) Len() int           { return len(e) }
func (e simEvents) Less(i, j int) bool { return e[i].at < e[j].at }
func (e simEvents) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *simEvents) Push(x any)        { *e = append(*e, x.(simEvent)) }
func (e *simEvents) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// A simulation is a worker: cores that serve a first-in first-out
// backlog, in virtual time, and the gateway's side of it, which sends as many
// requests as the limiter allows.
type simulation struct {
	upstream.Limiter
	rand    *rand.Rand
	service service
	cores   int
	listen  int  // size of the backlog; 0: no end
	flood   bool // the queue is always full

	now     time.Duration
	events  simEvents
	queue   int // requests in the gateway
	backlog []*simRequest
	running []*simRequest
	open    int // in flight

	overflows int
	usage     usage
}

// usage is what was seen since it was cleared.
type usage struct {
	busy, cores time.Duration // core time used and there
	most, least int           // limit
	area        time.Duration // of the limit over time
}

// epochStart is the time of the simulation's begin.
var epochStart = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

func (m *simulation) clock() time.Time { return epochStart.Add(m.now) }

func (m *simulation) after(d time.Duration, do func()) {
	heap.Push(&m.events, simEvent{m.now + d, do})
}

// run lets time pass.
func (m *simulation) run(d time.Duration) {
	end := m.now + d
	m.send()
	for len(m.events) > 0 && m.events[0].at <= end {
		e := heap.Pop(&m.events).(simEvent)
		m.pass(e.at)
		e.do()
	}
	m.pass(end)
}

// pass accounts for the time until then.
func (m *simulation) pass(then time.Duration) {
	d, limit := then-m.now, m.Limit()
	m.usage.busy += d * time.Duration(min(len(m.running), m.cores))
	m.usage.cores += d * time.Duration(m.cores)
	if m.usage.least == 0 || limit < m.usage.least {
		m.usage.least = limit
	}
	m.usage.most = max(m.usage.most, limit)
	m.usage.area += d * time.Duration(limit)
	m.now = then
}

// arrive lets requests come at random, one per gap on average, until stopped.
func (m *simulation) arrive(gap time.Duration) (stop func()) {
	stopped := false
	var next func()
	next = func() {
		if !stopped {
			m.queue++
			m.send()
			m.after(time.Duration(m.rand.ExpFloat64()*float64(gap)), next)
		}
	}
	m.after(gap, next)
	return func() { stopped = true }
}

// watch looks at the kernel again and again.
func (m *simulation) watch(every time.Duration) {
	m.after(every, func() {
		if m.open > 0 {
			m.Sample(m.clock(), m.old(m.running), m.old(m.backlog))
			m.send()
		}
		m.watch(every)
	})
}

// old counts the requests that are at least 5 ms old.
func (m *simulation) old(rs []*simRequest) (n int) {
	for _, r := range rs {
		if m.now-r.sent >= 5*time.Millisecond {
			n++
		}
	}
	return n
}

// send sends what the limit allows.
func (m *simulation) send() {
	for (m.flood || m.queue > 0) && m.open < m.Limit() {
		if m.listen > 0 && len(m.backlog) >= m.listen {
			m.overflows++
			m.Full(m.clock(), m.open)
			return
		}
		m.queue = max(0, m.queue-1)
		m.open++
		m.backlog = append(m.backlog, &simRequest{m.now, m.open})
		m.start()
	}
}

// start lets idle cores take requests from the backlog.
func (m *simulation) start() {
	for len(m.running) < m.cores && len(m.backlog) > 0 {
		r := m.backlog[0]
		m.backlog = m.backlog[1:]
		m.running = append(m.running, r)
		head, body := m.service(m.rand)
		m.after(head, func() {
			m.Answered(m.clock(), m.now-r.sent, r.inFlight, m.flood || m.queue > 0)
		})
		m.after(head+body, func() { m.finish(r) })
	}
}

// finish frees the core of r.
func (m *simulation) finish(r *simRequest) {
	m.running = slices.DeleteFunc(m.running, func(o *simRequest) bool { return o == r })
	m.start()
	m.after(turnaround, func() {
		m.open--
		m.send()
	})
}
