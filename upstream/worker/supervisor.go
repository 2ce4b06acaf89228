package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"syscall"

	"headgate/upstream"
)

// Supervisor looks after the workers of one pool. It is an upstream.Source. Make it
// with New; its methods are safe for concurrent use, but Run is called once at a time.
type Supervisor struct {
	setup  Setup
	log    *slog.Logger
	world  world
	flood  flood
	asRoot sync.Once     // the log has it
	wake   chan struct{} // somebody waits for a member
	nudge  chan struct{} // wishes has something

	mu      sync.Mutex // guards the fields below
	options *Options   // nil: not said yet
	wishes  wishes
	running bool
	view    view
	trouble *TroubleError // nil: none
}

var _ upstream.Source = (*Supervisor)(nil)

// New returns a Supervisor that has nothing to start yet.
func New(s Setup) *Supervisor {
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	if s.Shared == nil {
		s.Shared = NewShared()
	}
	if s.Load == nil {
		s.Load = func() Load { return Load{} }
	}
	return &Supervisor{
		setup: s, log: s.Log.With("pool", s.Pool), world: machine(s.Shared),
		wake: make(chan struct{}, 1), nudge: make(chan struct{}, 1),
		view: view{state: StateStarting},
	}
}

// Configure says what Run is to run from now on; o must be valid. When that differs
// from what runs, the workers are replaced, as by Reload; if new ones do not start,
// the old ones go on. It does not block.
func (s *Supervisor) Configure(o Options) {
	o = o.WithDefaults()
	s.mu.Lock()
	s.options = &o
	s.mu.Unlock()
	poke(s.nudge)
}

// Run starts the workers and looks after them until ctx ends. Then it waits until the
// pool has no request left (Setup.Load) or Options.Stop is over, stops the workers,
// and returns nil after the last one. It also returns when Setup.Ended says so. With
// Options.Idle, and without Watch, the first workers are started when Refresh is called.
// Implements upstream.Source.
func (s *Supervisor) Run(ctx context.Context, set upstream.SetFunc) error {
	s.mu.Lock()
	again := s.running
	s.running = true
	numbers := s.view.counts
	s.mu.Unlock()
	if again {
		return errors.New("worker: Run runs already")
	}
	r := &runner{
		Supervisor: s, set: set, numbers: numbers,
		started: make(chan outcome), retired: make(chan *generation), buried: make(chan *generation),
	}
	r.run(ctx)
	return nil
}

// Refresh tells that somebody waits for a member: workers that are idle are started.
// It does not block. Implements what package upstream asks of its sources.
func (s *Supervisor) Refresh() { poke(s.wake) }

// Trouble returns why there are no workers when waiting is no use: they have failed to
// start three times in a row (twice, if they never served; with Options.Watch once), or
// end again and again. It is a *TroubleError, for operators. nil: there are workers, or
// there will be. It does not block.
func (s *Supervisor) Trouble() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trouble == nil {
		return nil
	}
	return s.trouble
}

// Reload replaces the workers by new ones, and returns when the new ones serve and
// the old ones have ended, with the reason why not (a *TroubleError, if they did not
// start), or when ctx ends; then it goes on. Several calls at once may have one reload
// together, which begins after all of them. Workers that are idle need none.
func (s *Supervisor) Reload(ctx context.Context) error {
	answer := make(chan error, 1)
	s.mu.Lock()
	if !s.running {
		s.mu.Unlock()
		return errStopped
	}
	s.wishes.restart = true
	s.wishes.callers = append(s.wishes.callers, answer)
	s.mu.Unlock()
	poke(s.nudge)
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

var errStopped = errors.New("the workers are stopped")

// filesChanged is Reload for files, without an answer.
func (s *Supervisor) filesChanged(files []string) {
	s.mu.Lock()
	s.wishes.restart, s.wishes.files = true, true
	s.mu.Unlock()
	s.log.Info("files have changed", "files", files[:min(len(files), 5)])
	poke(s.nudge)
}

// Signal sends a signal to the leaders of the workers that run, for commands of the
// user's own.
func (s *Supervisor) Signal(sig int) error {
	s.mu.Lock()
	generations := s.view.generations
	s.mu.Unlock()
	var errs []error
	for _, g := range generations {
		if !g.alive() {
			continue
		}
		if err := g.process().Signal(syscall.Signal(sig)); err != nil {
			errs = append(errs, fmt.Errorf("signal %d to %d: %w", sig, g.process().PID(), err))
		}
	}
	return errors.Join(errs...)
}

// wishes are what the goroutine of Run is to do, besides what the options say.
type wishes struct {
	restart bool
	files   bool // because they have changed
	callers []chan<- error
}

// join adds what else is wished for.
func (w *wishes) join(other wishes) {
	w.restart = w.restart || other.restart
	w.files = w.files || other.files
	w.callers = append(w.callers, other.callers...)
}

// take returns the options (nil: not said yet) and what is wished for, and forgets
// the latter.
func (s *Supervisor) take() (*Options, wishes) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.wishes
	s.wishes = wishes{}
	return s.options, w
}

func (s *Supervisor) setTrouble(t *TroubleError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trouble = t
}

// equal reports whether workers with one of them are as good as with the other.
func equal(a, b *Options) bool { return reflect.DeepEqual(a, b) }

// poke makes sure that there is something in a channel for one.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
