package subscribe

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"headgate/upstream"
)

// Setup are the collaborators of a Server. All may be nil.
type Setup struct {
	Log *slog.Logger

	// Probe asks a member that is new whether it serves; nil: it does. It is asked
	// again until it does, or is announced no more; ctx bounds one question. At most
	// 64 are asked at once.
	Probe func(ctx context.Context, m upstream.Member) error
}

// Server takes the announcements of uWSGI instances. Make it with New; its methods
// are safe for concurrent use. It outlives configurations.
type Server struct {
	log      *slog.Logger
	ask      func(ctx context.Context, m upstream.Member) error
	machine  machine
	refusals refusals
	wake     chan struct{} // for the goroutine of Run: something has changed
	acks     chan ack
	conf     atomic.Pointer[settings] // written with mu held

	mu        sync.Mutex // guards the fields below
	table     table
	probes    probes
	allowance allowance
	sockets   map[place]*socket
	listeners map[*listener]bool
	ended     bool
}

// settings are what Use has said last. They are immutable.
type settings struct {
	Options
	rules   rules
	keyring *keyring // nil: no signatures are demanded
}

// New returns a Server that listens nowhere.
func New(setup Setup) *Server {
	s := &Server{
		log: setup.Log, ask: setup.Probe, allowance: newAllowance(),
		wake: make(chan struct{}, 1), acks: make(chan ack, acksWaiting),
		sockets: make(map[place]*socket), listeners: make(map[*listener]bool),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.refusals.log = s.log
	s.conf.Store(&settings{})
	return s
}

// Open binds what o wants and is not open yet, for Use, and looks for the users and
// the directory that o names. On an error, which names the cure, nothing has changed.
// It may wait two seconds for another process that opens the same.
func (s *Server) Open(o Options) (*Listening, error) {
	l := &Listening{options: o.WithDefaults(), fresh: make(map[place]*socket)}
	if len(o.Listen) == 0 {
		return l, nil
	}
	var errs [3]error
	var wanted []place
	wanted, errs[0] = places(o.Listen)
	l.rules, errs[1] = compile(o.Allow)
	l.keyring, errs[2] = newKeyring(o.Sign)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	for _, p := range wanted {
		if s.isOpen(p) || l.fresh[p] != nil {
			continue
		}
		k, err := open(context.Background(), p)
		if err != nil {
			l.Close()
			return nil, err
		}
		l.fresh[p] = k
	}
	return l, nil
}

func (s *Server) isOpen(p place) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sockets[p] != nil
}

// Use makes the server be as o, for which l was opened, says. It cannot fail.
// Sockets that o does not name are closed, and nodes that may not be announced any
// more are gone.
func (s *Server) Use(o Options, l *Listening) {
	if l == nil {
		l = &Listening{options: o.WithDefaults()}
	}
	wanted, _ := places(o.Listen) // Open has said what is wrong
	s.machine.refresh()
	s.mu.Lock()
	surplus := s.keepLocked(wanted, l)
	s.conf.Store(&settings{Options: l.options, rules: l.rules, keyring: l.keyring})
	gone := s.judgeLocked(time.Now())
	s.mu.Unlock()
	for _, k := range surplus {
		k.close()
	}
	for _, n := range gone {
		s.tellGone(n, "it may not be announced any more")
	}
	s.stir()
}

// keepLocked takes over what was opened, and returns what is to be closed.
func (s *Server) keepLocked(wanted []place, l *Listening) (surplus []*socket) {
	keep := make(map[place]bool, len(wanted))
	for _, p := range wanted {
		keep[p] = !s.ended
	}
	for p, k := range s.sockets {
		if !keep[p] {
			surplus = append(surplus, k)
			delete(s.sockets, p)
		}
	}
	for p, k := range l.fresh {
		if keep[p] && s.sockets[p] == nil {
			s.sockets[p] = k
		} else {
			surplus = append(surplus, k)
		}
	}
	l.fresh = nil
	return surplus
}

// stir wakes the goroutine of Run.
func (s *Server) stir() {
	select {
	case s.wake <- struct{}{}:
	default: // it is awake
	}
}

// Run takes announcements until ctx ends, and returns nil after its last goroutine,
// with its sockets closed. It may be called once.
func (s *Server) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { s.acknowledge(ctx) })
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		wait := s.turn(ctx, &wg)
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-s.wake:
		case <-timer.C:
		}
	}
	s.mu.Lock()
	s.ended = true
	left := s.keepLocked(nil, &Listening{})
	s.mu.Unlock()
	for _, k := range left {
		k.close()
	}
	wg.Wait()
	s.refusals.sweep(time.Now().Add(quietFull)) // what the log does not know yet
	return nil
}

// idle is how often the goroutine of Run looks around when nothing happens.
const idle = time.Second

// turn does what is due, and returns how long it is until something is again.
func (s *Server) turn(ctx context.Context, wg *sync.WaitGroup) (wait time.Duration) {
	now := time.Now()
	s.refusals.sweep(now)
	s.mu.Lock()
	s.table.past.forget(now)
	expired, wait := s.expireLocked(now)
	for _, k := range s.sockets {
		if !k.reading {
			k.reading = true
			wg.Go(func() { s.read(ctx, k) })
		}
	}
	for {
		n, due := s.probes.next(now)
		if n == nil {
			if due >= 0 {
				wait = min(wait, due)
			}
			break
		}
		wg.Go(func() { s.probe(ctx, n) })
	}
	s.mu.Unlock()
	for _, n := range expired {
		s.refusals.expired.Add(1)
		s.tellGone(n, "it was not announced again")
	}
	return wait
}

// read reads a socket until it is closed.
func (s *Server) read(ctx context.Context, k *socket) {
	r := &reader{socket: k}
	for {
		b, from, lost, err := r.read()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // for want of memory: it passes, and the sockets stay
			s.refusals.note(time.Now(), refusal{dropped, err}, sender{ip: netip.IPv4Unspecified()}, "", "")
			select {
			case <-ctx.Done():
				return
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		s.refusals.counts[dropped].Add(uint64(lost))
		s.handle(b, from)
	}
}

// tellGone tells the log that a member is gone.
func (s *Server) tellGone(n *node, why string) {
	level := slog.LevelDebug
	if n.ready {
		level = slog.LevelInfo
	}
	s.log.Log(context.Background(), level, "member gone", "host", n.key, "member", n.address, "why", why)
}
