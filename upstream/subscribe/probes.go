package subscribe

import (
	"container/list"
	"context"
	"time"
)

const (
	probesAtOnce = 64
	probeTimeout = 2 * time.Second
	probeWait    = 50 * time.Millisecond // doubled after each probe that failed
	probeLevels  = 7                     // 0 at once, then 50 ms ... 1.6 s
	probeMost    = 2 * time.Second       // the last level's
)

// waitOf returns how long a node of a level waits for its probe.
func waitOf(level int) time.Duration {
	switch level {
	case 0:
		return 0
	case probeLevels:
		return probeMost
	}
	return probeWait << (level - 1)
}

// probes are the nodes that wait for a probe. Each level is in the order in which
// they are due, because all of one level wait for the same time. New ones are
// first: no number of nodes that fail keeps them waiting. The server's lock guards it.
type probes struct {
	levels  [probeLevels + 1]list.List // of *node
	running int
}

// put lets n wait for its next probe.
func (p *probes) put(n *node, now time.Time) {
	n.due = now.Add(waitOf(n.level))
	n.queued = p.levels[n.level].PushBack(n)
}

// drop takes n out, wherever it is.
func (p *probes) drop(n *node) {
	if n.queued != nil {
		p.levels[n.level].Remove(n.queued)
		n.queued = nil
	}
	if n.cancel != nil {
		n.cancel()
	}
}

// next takes out a node that is due; nil: there is none, or there are enough at
// work. Then wait is until there is one, below 0: until something happens.
func (p *probes) next(now time.Time) (n *node, wait time.Duration) {
	wait = -1
	if p.running >= probesAtOnce {
		return nil, wait
	}
	for i := range p.levels {
		e := p.levels[i].Front()
		if e == nil {
			continue
		}
		n := e.Value.(*node)
		left := n.due.Sub(now)
		if left <= 0 {
			p.levels[i].Remove(e)
			n.queued = nil
			p.running++
			return n, 0
		}
		if wait < 0 || left < wait {
			wait = left
		}
	}
	return nil, wait
}

// probe asks n whether it serves until ctx ends, and sees to what follows.
func (s *Server) probe(ctx context.Context, n *node) {
	s.mu.Lock()
	if n.gone {
		s.probes.running--
		s.mu.Unlock()
		s.stir()
		return
	}
	ctx, n.cancel = context.WithTimeout(ctx, probeTimeout)
	cancel, m := n.cancel, n.member()
	s.mu.Unlock()
	err := s.ask(ctx, m)
	ended := ctx.Err()
	cancel()
	s.probed(n, err, ended)
}

// probed takes in what a probe has said.
func (s *Server) probed(n *node, err, ended error) {
	defer s.stir()
	s.mu.Lock()
	s.probes.running--
	n.cancel = nil
	if n.gone {
		s.mu.Unlock()
		return
	}
	if n.err = err; err != nil {
		n.level = min(n.level+1, probeLevels)
		s.probes.put(n, time.Now())
		first := n.level == 1
		s.mu.Unlock()
		if first && ended == nil {
			s.log.Debug("member does not answer yet", "host", n.key, "member", n.address, "err", err)
		}
		return
	}
	s.readyLocked(n)
	s.mu.Unlock()
	s.log.Info("member announced", "host", n.key, "member", n.address)
}
