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
	all map[string]*supervised
}

// supervised is the workers of a pool.
type supervised struct {
	*worker.Supervisor
	conf atomic.Pointer[config.Pool] // of the generation that serves
}

// of returns the workers of a pool, which begin when they are used.
func (s *supervisors) of(pool string, c config.Pool) *supervised {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one := s.all[pool]; one != nil {
		return one
	}
	one := new(supervised)
	one.conf.Store(&c)
	setup := s.setup
	setup.Pool, setup.Ready = pool, one.ready
	setup.HTTP = func() bool { return one.conf.Load().SpeaksHTTP() }
	counters := s.g.counters.Pool(pool)
	setup.Load = func() worker.Load { return s.g.loadOf(pool, counters) }
	if ended := s.g.commandEnded; ended != nil {
		setup.Ended = func(code int) bool { return ended(pool, code) }
	}
	one.Supervisor = worker.New(setup)
	if s.all == nil {
		s.all = make(map[string]*supervised)
	}
	s.all[pool] = one
	return one
}

// apply makes the workers be as c wants them. Those of pools that c does not have end
// with their pools.
func (s *supervisors) apply(c *config.Config) {
	for name, p := range c.Pools {
		if p.Workers != nil {
			one := s.of(name, p)
			one.conf.Store(&p)
			one.Configure(*p.Workers)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.all, func(name string, _ *supervised) bool { return c.Pools[name].Workers == nil })
}

// get returns the workers of a pool, or nil.
func (s *supervisors) get(pool string) *supervised {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[pool]
}

// names are the pools that have workers, sorted.
func (s *supervisors) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.all))
}

// loadOf tells how busy a pool is.
func (g *Gateway) loadOf(name string, counters *stats.PoolCounters) worker.Load {
	l := worker.Load{Requests: counters.Requests()}
	p := g.pools.Get(name)
	if p == nil {
		return l
	}
	s := p.Snapshot()
	l.Queued = s.Queued
	for _, m := range s.Members {
		l.InFlight += m.InFlight
	}
	return l
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
	return filepath.Join(filepath.Dir(config.DefaultSocket()), "workers")
}
