package gateway

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"headgate/gateway/config"
	"headgate/gateway/stats"
)

// Provider says what is served besides the configuration's file. Run calls set with
// the complete list as soon as it knows it and whenever it changes, and returns when
// ctx ends.
type Provider interface {
	Run(ctx context.Context, set func([]Provided)) error
}

// Provided is one fragment of the configuration, as a Provider has it.
type Provided struct {
	Name, File string
	Fragment   *config.Fragment // the last that was good in itself; the same pointer while it is the same; nil: there was none
	Err        error            // of what the file says now
	Since      time.Time        // of its last change
	Touched    uint64           // how often its workers were asked to be replaced
}

// providing is what a provider has said, and what became of it.
type providing struct {
	from  Provider // nil: there is none
	heard chan struct{}
	first chan struct{} // closed by the first word

	mu      sync.Mutex // guards the fields below
	said    []Provided
	known   bool
	serving map[string]*config.Fragment // by file: in the generation that serves
	faults  map[string]error            // by file: why what was said is not
	touched map[string]uint64           // by file
}

// set takes a word of the provider.
func (p *providing) set(said []Provided) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said = slices.Clone(said)
	if !p.known {
		p.known = true
		close(p.first)
	}
	select {
	case p.heard <- struct{}{}:
	default:
	}
}

// firstWord bounds the wait for a provider before a gateway starts without it.
const firstWord = 10 * time.Second

// listen runs the provider until background ends, and returns when it has said its
// first word, or ctx ends.
func (p *providing) listen(ctx, background context.Context, wg *sync.WaitGroup, failed func(error)) {
	if p.from == nil {
		return
	}
	wg.Go(func() {
		if err := p.from.Run(background, p.set); err != nil && background.Err() == nil {
			failed(err)
		}
	})
	patience := time.NewTimer(firstWord)
	defer patience.Stop()
	select {
	case <-p.first:
		<-p.heard // the start reads it
	case <-patience.C:
	case <-ctx.Done():
	}
}

// follow reloads whenever the provider has said something new, and replaces the
// workers of what was touched.
func (g *Gateway) follow(ctx context.Context) {
	var rolls sync.WaitGroup
	defer rolls.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.providing.heard:
		}
		if _, err := g.Reload(ctx); err != nil && !g.draining.Load() {
			g.log.Error("apps have changed, and the configuration as a whole is refused: the old one goes on", "err", err)
		}
		for _, pool := range g.providing.wantRoll() {
			rolls.Go(func() {
				if err := g.ReloadWorkers(ctx, pool); err != nil && ctx.Err() == nil {
					g.log.Error("workers not replaced: the old ones go on", "pool", pool, "err", err)
				}
			})
		}
	}
}

// wantRoll returns the pools of the files that were touched since it was last asked.
func (p *providing) wantRoll() (pools []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := make(map[string]uint64, len(p.said))
	for _, one := range p.said {
		now[one.File] = one.Touched
		if before, known := p.touched[one.File]; known && before != one.Touched && p.serving[one.File].Workers() != nil {
			pools = append(pools, one.Name)
		}
	}
	p.touched = now
	return pools
}

// composed is a configuration with what a provider has added to it.
type composed struct {
	conf    *config.Config
	serving map[string]*config.Fragment
	faults  map[string]error
}

// compose adds to base what was provided. Of what cannot serve, whatever the reason,
// that goes on which served before.
func (g *Gateway) compose(base *config.Config, old *generation) composed {
	c := composed{conf: base, serving: make(map[string]*config.Fragment), faults: make(map[string]error)}
	p := &g.providing
	p.mu.Lock()
	said, before := p.said, p.serving
	p.mu.Unlock()
	if len(said) == 0 {
		return c
	}
	for _, one := range said {
		f := one.Fragment
		if f != nil && f != before[one.File] {
			if err := g.try(base, f, old); err != nil {
				c.faults[one.File] = err
				f = late(before[one.File])
			}
		}
		if f != nil {
			c.serving[one.File] = f
		}
	}
	var wrong []config.FragmentError
	for range 2 {
		c.conf, wrong = base.Merge(c.fragments())
		for _, w := range wrong {
			c.faults[w.File] = errors.Join(c.faults[w.File], w)
			if f := late(before[w.File]); f != nil && f != c.serving[w.File] && !c.serving[w.File].Late {
				c.serving[w.File] = f
			} else {
				delete(c.serving, w.File)
			}
		}
		if len(wrong) == 0 {
			break
		}
	}
	if len(wrong) > 0 {
		c.conf, _ = base.Merge(c.fragments())
	}
	return c
}

// late is f as one that goes on though its file has something else now: all that is
// new comes before it.
func late(f *config.Fragment) *config.Fragment {
	if f == nil || f.Late {
		return f
	}
	out := *f
	out.Late = true
	return &out
}

func (c *composed) fragments() []config.Fragment {
	out := make([]config.Fragment, 0, len(c.serving))
	for _, file := range slices.Sorted(maps.Keys(c.serving)) {
		out = append(out, *c.serving[file])
	}
	return out
}

// try builds what a fragment adds, and throws it away.
func (g *Gateway) try(base *config.Config, f *config.Fragment, old *generation) error {
	c, wrong := base.Merge([]config.Fragment{*f})
	if len(wrong) > 0 {
		return wrong[0]
	}
	gen, err := g.newGeneration(c, old)
	if err != nil {
		return err
	}
	gen.change.Discard()
	return nil
}

// settle notes what serves, and tells of what does not.
func (g *Gateway) settle(c composed) {
	p := &g.providing
	p.mu.Lock()
	before := p.faults
	p.serving, p.faults = c.serving, c.faults
	p.mu.Unlock()
	for _, file := range slices.Sorted(maps.Keys(c.faults)) {
		err := c.faults[file]
		if was := before[file]; was != nil && was.Error() == err.Error() {
			continue
		}
		what := "app left out"
		if c.serving[file] != nil {
			what = "app goes on as it was"
		}
		g.log.Error(what, "file", file, "err", err)
	}
}

// describe tells of each file.
func (p *providing) describe() (out []stats.App) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, one := range p.said {
		a := stats.App{File: one.File, Name: one.Name, State: stats.AppOK, Since: one.Since}
		err := errors.Join(one.Err, p.faults[one.File])
		f := p.serving[one.File]
		if f != nil {
			a.Hosts = f.Site.Hosts
		}
		switch {
		case err != nil && f != nil:
			a.State, a.Error = stats.AppKept, err.Error()
		case err != nil:
			a.State, a.Error = stats.AppBroken, err.Error()
		}
		out = append(out, a)
	}
	return out
}
