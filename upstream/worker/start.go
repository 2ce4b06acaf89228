package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"headgate/upstream/worker/process"
	"headgate/upstream/worker/python"
)

// Descriptors of the processes that are started.
const (
	socketFD = 3
	scriptFD = 4
)

// outcome is how a start has ended.
type outcome struct {
	g    *generation
	err  error
	exit *process.Exit // nil: the leader has not ended by itself
}

// start starts the workers of g and returns when they serve, when they do not, or
// when ctx ends. Then none of them is left.
func (s *Supervisor) start(ctx context.Context, g *generation) outcome {
	done, err := s.setup.Shared.begin(ctx)
	if err != nil {
		return outcome{g: g, err: err}
	}
	defer done()
	begun := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, g.options.Start, errSlow)
	defer cancel()
	if err := s.prepare(ctx, g); err != nil {
		return outcome{g: g, err: slow(ctx, g, err)}
	}
	p, err := s.launch(g)
	if err != nil {
		return outcome{g: g, err: err}
	}
	g.fit = false
	g.setProcess(p)
	s.setup.Shared.add(p)
	s.log.Debug("workers start", "generation", g.number, "pid", p.PID(), "server", g.plan.Server.String(), "path", g.plan.Path, "args", g.plan.Args)
	if err := s.await(ctx, g, p); err != nil {
		return s.failed(ctx, g, p, err)
	}
	g.serving.Store(true)
	s.log.Info("workers are ready", "generation", g.number, "pid", p.PID(), "server", g.plan.Server.String(), "took", time.Since(begun).Round(time.Millisecond).String())
	return outcome{g: g}
}

// failed ends a leader that does not serve, and says why it does not.
func (s *Supervisor) failed(ctx context.Context, g *generation, p leader, err error) outcome {
	s.kill(p)
	switch {
	case errors.Is(err, errEnded):
		exit := p.Exit()
		return outcome{g: g, err: &TroubleError{Cause: exit.Cause, Tail: telling(p.Tail())}, exit: &exit}
	case ctx.Err() != nil && !errors.Is(context.Cause(ctx), errSlow):
		return outcome{g: g, err: context.Cause(ctx)}
	}
	return outcome{g: g, err: &TroubleError{Cause: slow(ctx, g, err).Error(), Tail: telling(p.Tail())}}
}

// errSlow ends a start that takes too long.
var errSlow = errors.New("start_timeout is over")

// slow puts into words that a start took too long.
func slow(ctx context.Context, g *generation, err error) error {
	if errors.Is(context.Cause(ctx), errSlow) {
		if errors.Is(err, errSlow) || errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("did not serve within %s (start_timeout)", g.options.Start)
		}
		return fmt.Errorf("did not serve within %s (start_timeout): %w", g.options.Start, err)
	}
	return err
}

// prepare makes what a start needs: place, user and plan.
func (s *Supervisor) prepare(ctx context.Context, g *generation) (err error) {
	if g.user, err = s.findUser(g.options.User); err != nil {
		return err
	}
	if g.place == nil {
		if g.place, err = newPlace(s.setup.Dir, s.setup.Pool, g.number); err != nil {
			g.place = nil
			return err
		}
	}
	if err := g.place.give(g.user); err != nil {
		return err
	}
	if g.plan != nil && !g.tried {
		return nil
	}
	g.plan, err = s.world.plan(ctx, s.request(g))
	if err != nil {
		g.plan = nil
		return err
	}
	for _, sentence := range g.plan.Chose {
		s.log.Debug("workers are chosen", "generation", g.number, "why", sentence)
	}
	return nil
}

// request is what the planner is told.
func (s *Supervisor) request(g *generation) python.Request {
	o := &g.options
	r := python.Request{
		App: o.App, Command: o.Command, Ini: o.Ini,
		Dir: o.Chdir, Server: o.Server, Venv: o.Venv, Env: o.Env, Flags: o.Flags,
		Processes: g.count, Threads: o.Threads, Min: g.count, Most: g.count,
		MaxRequests: o.MaxRequests, MaxRSS: int64(o.MaxRSS),
		Socket: g.place.socket, FD: socketFD, Script: scriptFD, Stop: o.Stop,
	}
	r.HTTP = s.setup.HTTP
	if o.Max > 0 {
		r.Min, r.Most = o.Min, o.Max
	}
	if u := g.user; u != nil {
		r.User = &python.User{UID: u.UID, GID: u.GID, Groups: u.Groups, Name: u.Name, Home: u.Home}
	}
	if g.user == nil || g.place.reachable() {
		r.Fifo, r.Stats = g.place.dir+"/"+fifoName, g.place.dir+"/"+statsName
	}
	return r
}

// findUser finds whom the workers run as; nil: as we do.
func (s *Supervisor) findUser(name string) (*process.User, error) {
	if name == "" {
		if s.world.uid == 0 {
			s.asRoot.Do(func() {
				s.log.Warn("workers run as root", "cure", "say user: in the options of the workers")
			})
		}
		return nil, nil
	}
	u, err := s.world.user(name)
	switch {
	case err != nil:
		return nil, fmt.Errorf("user %s: %w", name, err)
	case s.world.uid == 0:
		return u, nil
	case int(u.UID) != s.world.uid:
		return nil, fmt.Errorf("user %s: the gateway does not run as root and cannot start workers as somebody else: remove user, or run it as root", name)
	}
	return nil, nil
}

// launch starts the leader of g.
func (s *Supervisor) launch(g *generation) (leader, error) {
	spec := process.Spec{
		Path: g.plan.Path, Args: g.plan.Args, Dir: g.plan.Dir, Env: g.plan.Env,
		User: g.user, FDs: []*os.File{g.place.file},
	}
	if g.plan.Script != nil {
		script, err := g.place.script(g.plan.Script)
		if err != nil {
			return nil, err
		}
		defer script.Close()
		spec.FDs = append(spec.FDs, script)
	}
	attrs := make(chan int, 1) // the pid, which the first lines may be ahead of
	w := s.writer(g, attrs)
	spec.Line = w.line
	p, err := s.world.start(spec)
	if err != nil {
		close(attrs)
		return nil, err
	}
	attrs <- p.PID()
	return p, nil
}

// Waits between two questions whether workers serve.
const (
	readyWait     = 20 * time.Millisecond
	readyWaitMost = 250 * time.Millisecond
)

// errEnded: the leader has ended before it served.
var errEnded = errors.New("ended")

// await returns nil once the workers serve.
func (s *Supervisor) await(ctx context.Context, g *generation, p leader) error {
	asking, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	work.Go(func() { // a question is not asked any longer than there is somebody to answer
		select {
		case <-p.Ended():
			cancel()
		case <-asking.Done():
		}
	})
	var last error // that is not of asking
	for wait := readyWait; ; wait = min(wait*5/4, readyWaitMost) {
		err := s.asked(asking, g)
		switch {
		case err == nil:
		case asking.Err() == nil:
			last = err
		case last != nil:
			err = last
		}
		if ended(p) {
			return errEnded
		}
		if err == nil {
			return nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
			continue
		case <-asking.Done():
			timer.Stop()
		}
		if ended(p) {
			return errEnded
		}
		return err
	}
}

// asked asks the workers of g whether they serve.
func (s *Supervisor) asked(ctx context.Context, g *generation) error {
	if err := s.setup.Ready(ctx, g.place.address()); err != nil || !g.replaces || s.setup.Fit == nil {
		return err
	}
	err := s.setup.Fit(ctx, g.member())
	g.fit = err == nil
	return err
}

// ended reports whether a leader has.
func ended(p leader) bool {
	select {
	case <-p.Ended():
		return true
	default:
		return false
	}
}

// kill ends all processes of a leader's group.
func (s *Supervisor) kill(p leader) {
	p.Kill()
	<-p.Done()
	s.setup.Shared.remove(p)
}

// exitCode is what a shell would say of an exit.
func exitCode(e process.Exit) int {
	if sig, ok := e.Signal.(syscall.Signal); ok {
		return 128 + int(sig)
	}
	return e.Code
}
