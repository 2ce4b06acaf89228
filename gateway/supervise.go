package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"headgate/gateway/config"
	"headgate/gateway/stats"
	"headgate/upstream"
	"headgate/upstream/worker"
)

// supervisors look after the workers of those pools that have any. They outlive
// generations.
type supervisors struct {
	setup worker.Setup // what all have in common
	g     *Gateway

	mu  sync.Mutex // guards the field below
	all map[workersKey]*supervised
}

// workersKey is what workers cannot be another of: a pool that speaks otherwise gets
// others, even if nothing else of them has changed.
type workersKey struct {
	pool string
	http bool // what they speak
}

// source is the key of the workers among the sources of their pool.
func (k workersKey) source() string {
	if k.http {
		return "workers of http"
	}
	return "workers"
}

// supervised is the workers of a pool.
type supervised struct {
	*worker.Supervisor
	conf    atomic.Pointer[config.Pool]             // of the generation that serves
	serves  atomic.Pointer[upstream.Pool[*backend]] // nil: none yet, the generation that has them has yet to be applied
	host    atomic.Pointer[string]                  // of its active check
	counted *stats.PoolCounters
}

// of returns the workers of a pool, which begin when they are used.
func (s *supervisors) of(pool string, c config.Pool) (key workersKey, one *supervised) {
	key = workersKey{pool, c.SpeaksHTTP()}
	s.mu.Lock()
	defer s.mu.Unlock()
	if one := s.all[key]; one != nil {
		return key, one
	}
	one = &supervised{counted: s.g.counters.Pool(pool)}
	one.conf.Store(&c)
	setup := s.setup
	setup.Pool, setup.Ready, setup.Load, setup.Drained, setup.Fit = pool, one.ready, one.load, one.drained, one.fit
	setup.HTTP = key.http
	if ended := s.g.commandEnded; ended != nil {
		setup.Ended = func(code int) bool { return ended(pool, code) }
	}
	one.Supervisor = worker.New(setup)
	if s.all == nil {
		s.all = make(map[workersKey]*supervised)
	}
	s.all[key] = one
	return key, one
}

// apply makes the workers be as gen wants them. Those of pools that it does not have
// end with their pools.
func (s *supervisors) apply(gen *generation) {
	wanted := make(map[workersKey]bool)
	for name, c := range gen.conf.Pools {
		if c.Workers != nil {
			key, one := s.of(name, c)
			wanted[key] = true
			host := cmp.Or(c.Upstream.Check.Host, gen.hostOf(name), localhost)
			one.conf.Store(&c)
			one.host.Store(&host)
			one.serves.Store(gen.pools[name].Pool)
			one.Configure(*c.Workers)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.all, func(key workersKey, _ *supervised) bool { return !wanted[key] })
}

// discard forgets the workers of generations that were not applied.
func (s *supervisors) discard() {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.all, func(_ workersKey, one *supervised) bool { return one.serves.Load() == nil })
}

// get returns the workers of a pool, or nil.
func (s *supervisors) get(pool string) *supervised {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, http := range []bool{false, true} {
		if one := s.all[workersKey{pool, http}]; one != nil && one.serves.Load() != nil {
			return one
		}
	}
	return nil
}

// names are the pools that have workers, sorted.
func (s *supervisors) names() (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, one := range s.all {
		if one.serves.Load() != nil {
			names = append(names, key.pool)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// load tells how busy the pool is.
func (s *supervised) load() worker.Load {
	l := worker.Load{Requests: s.counted.Requests()}
	p := s.serves.Load()
	if p == nil {
		return l
	}
	now := p.Snapshot()
	l.Queued = now.Queued
	for _, m := range now.Members {
		l.InFlight += m.InFlight
	}
	return l
}

// drained reports whether the member at an address has no request left, and will get
// none. A pool that is not in the configuration any more keeps its members for those
// who wait.
func (s *supervised) drained(address string) bool {
	p := s.serves.Load()
	if p == nil {
		return true
	}
	now := p.Snapshot()
	for _, m := range now.Members {
		if m.Address == address && (m.InFlight > 0 || m.State != upstream.StateLeaving && now.Queued > 0) {
			return false
		}
	}
	return true
}

// ready asks a worker that has just been started whether it serves: uWSGI's ping,
// which others answer too, in their way; of HTTP servers any answer.
func (s *supervised) ready(ctx context.Context, address string) error {
	c := *s.conf.Load()
	b, err := dial(upstream.Member{Address: address}, c, new(stats.PoolCounters))
	if err != nil {
		return err
	}
	defer b.closeIdle()
	if b.http == nil {
		_, err := b.uwsgi.Ping(ctx)
		return err
	}
	path := c.Upstream.Check.Path
	if path == "" {
		path = "/"
	}
	_, err = b.http.Check(ctx, http.MethodGet, localhost, path)
	return err
}

// fit asks a worker that is to replace another what the active check of the pool asks.
func (s *supervised) fit(ctx context.Context, m upstream.Member) error {
	c, host := *s.conf.Load(), s.host.Load()
	o := c.Upstream.Check
	if !o.Enabled() || host == nil {
		return nil
	}
	o.Host = *host
	b, err := dial(m, c, new(stats.PoolCounters))
	if err != nil {
		return err
	}
	defer b.closeIdle()
	if o.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.Timeout)
		defer cancel()
	}
	return b.check(ctx, o)
}

// ReloadWorkers replaces the workers of a pool, or of all pools for "", by new ones,
// without losing a request. It returns when the new ones serve and the old ones have
// ended; when new ones do not start, the old ones go on, and the error says why. An
// error whose NotFound() bool is true says that there is no such pool, or that it has
// no workers.
func (g *Gateway) ReloadWorkers(ctx context.Context, pool string) error {
	names := []string{pool}
	if pool == "" {
		names = g.supervisors.names()
	}
	errs := make([]error, len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		s, err := g.workersOf(name)
		if err != nil {
			if pool == "" { // it has gone since
				continue
			}
			return err
		}
		wg.Go(func() {
			if err := s.Reload(ctx); err != nil {
				errs[i] = fmt.Errorf("pool %s: %w", name, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// SignalWorkers sends a signal to the processes that were started for a pool. Errors
// are those of ReloadWorkers.
func (g *Gateway) SignalWorkers(pool string, sig os.Signal) error {
	s, err := g.workersOf(pool)
	if err != nil {
		return err
	}
	n, ok := sig.(syscall.Signal)
	if !ok {
		return fmt.Errorf("%v is no signal of this system", sig)
	}
	return s.Signal(int(n))
}

func (g *Gateway) workersOf(pool string) (*supervised, error) {
	if s := g.supervisors.get(pool); s != nil {
		return s, nil
	}
	if _, err := g.poolNamed(pool); err != nil {
		return nil, err
	}
	known := g.supervisors.names()
	text := fmt.Sprintf("pool %q has no workers of its own: its members were started elsewhere", pool)
	if len(known) > 0 {
		text += "; workers have " + listed(known)
	}
	return nil, unknownPart{asked: pool, known: known, text: text}
}

// targetOf is what the workers run, for people.
func targetOf(o *worker.Options) string {
	return cmp.Or(o.App, strings.Join(o.Command, " "), o.Ini)
}

// describeWorkers is what the workers of a pool are doing; nil: it has none.
func (g *Gateway) describeWorkers(pool string) *stats.Workers {
	one := g.supervisors.get(pool)
	if one == nil {
		return nil
	}
	s := one.Snapshot()
	w := &stats.Workers{
		State: string(s.State), App: s.App, Server: s.Server, About: s.Version, Processes: s.Processes, Threads: s.Threads,
		Generation: s.Generation, Restarts: s.Restarts, Reloads: s.Reloads, Requests: s.Requests,
		Since: s.Since, RetryAt: s.RetryAt, Error: s.Error, Tail: s.Tail,
	}
	for _, p := range s.Workers {
		w.List = append(w.List, stats.Worker(p))
	}
	return w
}

// fromTrouble is for a request whose pool has no worker, and will not have one soon.
func fromTrouble(f *failure, t *worker.TroubleError) {
	f.kind, f.cause = "no_worker", t.Cause
	f.cure = "mend the app: new workers are tried again and again, and headgate reload --workers does it at once"
	f.lines = slices.DeleteFunc(slices.Clone(t.Tail), func(line string) bool { return strings.TrimSpace(line) == "" })
}

// runtimeDir is where the sockets of workers are when nobody says it: beside the admin
// socket. Gateways may share it.
func runtimeDir() string {
	dir := filepath.Dir(config.DefaultSocket())
	if !strings.HasPrefix(filepath.Base(dir), "headgate") { // $XDG_RUNTIME_DIR is everybody's
		dir = filepath.Join(dir, "headgate")
	}
	return filepath.Join(dir, "workers")
}
