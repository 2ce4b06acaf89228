package subscribe

import (
	"bytes"
	"time"
)

// handle takes one datagram, of at most maxPacket+1 bytes.
func (s *Server) handle(b []byte, from sender) {
	now := time.Now()
	p, err := decode(b)
	if err != nil {
		s.refusals.note(now, refusal{malformed, err}, from, "", "")
		return
	}
	q, err := asked(&p, from)
	if err != nil {
		s.refusals.note(now, refusal{malformed, err}, from, clip(p.Key), clip(p.Address))
		return
	}
	done, why := false, refusal{}
	for c := s.conf.Load(); !done; c = s.conf.Load() {
		if done, why = s.judge(c, &p, q, now); why.err != nil {
			s.refusals.note(now, why, from, q.key, q.at.String())
			return
		}
	}
	if p.SNI {
		s.log.Debug("certificates that a subscription names are not used", "host", q.key, "from", from.String())
	}
}

// clip copies a name for the log.
func clip(b []byte) string { return string(b[:min(len(b), maxName)]) }

// asked reads what a packet wants.
func asked(p *packet, from sender) (q request, err error) {
	q = request{from: from, modifiers: [2]uint8{uint8(p.Modifier1), uint8(p.Modifier2)}}
	if q.key, err = hostKey(string(p.Key)); err != nil {
		return q, err
	}
	q.at, err = complete(string(p.Address), from)
	return q, err
}

// judge takes a packet as the settings c say, or returns why not. It is not done when
// they are others by now.
func (s *Server) judge(c *settings, p *packet, q request, now time.Time) (done bool, why refusal) {
	r := c.rules.find(q.from, q.key)
	if r == nil {
		return true, refusal{notAllowed, errNoRule}
	}
	if bytes.HasPrefix(p.Proto, []byte("h")) {
		return true, refusal{notAllowed, errSpeaksHTTP}
	}
	if err := r.admits(q, &s.machine, false); err != nil {
		return true, refusal{notAllowed, err}
	}
	signed := c.keyring != nil && !r.unsigned
	if signed {
		if why := s.verify(c.keyring, p, q, now); why.err != nil {
			return true, why
		}
	}
	if !p.Unsubscribe { // its socket may be gone when it goes
		if err := r.admits(q, &s.machine, true); err != nil {
			return true, refusal{notAllowed, err}
		}
	}
	if p.Unsubscribe {
		return s.unsubscribe(c, p, q, signed, now)
	}
	return s.subscribe(c, p, q, signed, now)
}

// verify returns why a packet's signature does not do. What costs least comes first.
func (s *Server) verify(k *keyring, p *packet, q request, now time.Time) refusal {
	switch {
	case p.Sign == nil:
		return refusal{notAllowed, errUnsigned}
	case q.at.guessed: // whoever has seen it could send it from elsewhere
		return refusal{notAllowed, errGuessed}
	case p.Unix == 0:
		return refusal{badSignature, errNoTime}
	case now.Sub(time.Unix(p.Unix, 0)).Abs() > k.window:
		return refusal{replayed, errWindow}
	}
	s.mu.Lock()
	known := p.Unix <= s.table.stamp(q.key, q.at.String())
	ok := known || s.allowance.take(q.from, now)
	s.mu.Unlock()
	switch {
	case known:
		return refusal{replayed, errReplayed}
	case !ok:
		return refusal{dropped, errTooMany}
	}
	if err := k.verify(q.key, p.Signed, p.Sign, now); err != nil {
		return refusal{badSignature, err}
	}
	return refusal{}
}

// unsubscribe takes a node out. The caller has judged the packet by c.
func (s *Server) unsubscribe(c *settings, p *packet, q request, signed bool, now time.Time) (done bool, why refusal) {
	address := q.at.String()
	s.mu.Lock()
	n := s.table.find(q.key, address)
	switch {
	case s.conf.Load() != c:
		s.mu.Unlock()
		return false, refusal{}
	case signed && p.Unix <= s.table.stamp(q.key, address):
		s.mu.Unlock()
		return true, refusal{replayed, errReplayed}
	case !signed && n != nil && !n.from.sameAs(q.from):
		s.mu.Unlock()
		return true, refusal{notAllowed, errNotYours}
	}
	if signed { // it may overtake what was sent before it
		s.table.past.remember(q.key, address, p.Unix, now.Add(2*c.keyring.window))
	}
	if n != nil {
		s.removeLocked(n, now)
	}
	s.mu.Unlock()
	s.refusals.counts[unsubscribed].Add(1)
	if n != nil {
		s.tellGone(n, "it has unsubscribed")
	}
	return true, refusal{}
}

// subscribe adds a node or notes that it is still there. The caller has judged the
// packet by c.
func (s *Server) subscribe(c *settings, p *packet, q request, signed bool, now time.Time) (done bool, why refusal) {
	address := q.at.String()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.conf.Load() != c:
		return false, refusal{}
	case signed && p.Unix <= s.table.stamp(q.key, address):
		return true, refusal{replayed, errReplayed}
	}
	n := s.table.find(q.key, address)
	if n == nil {
		if err := s.table.room(q.key, c.MaxKeys, c.MaxNodes); err != nil {
			return true, refusal{full, err}
		}
		n = &node{request: q, address: address, since: now}
		n.take(p, q.from, signed)
		s.table.add(n)
		n.last = now
		s.queueAck(p, q)
		s.beginLocked(n, now)
	} else {
		before := n.member()
		n.take(p, q.from, signed)
		s.table.refresh(n, now)
		if n.ready && n.member() != before {
			s.touchLocked(n.key)
		}
	}
	s.refusals.counts[accepted].Add(1)
	return true, refusal{}
}

// take notes what a packet says anew each time.
func (n *node) take(p *packet, from sender, signed bool) {
	n.from, n.signed = from, signed
	n.weight, n.cores, n.load, n.backup = p.Weight, p.Cores, p.Load, p.Backup > 0
	if signed {
		n.stamp = p.Unix
	}
}

// beginLocked sees to it that a node which is new is asked whether it serves.
func (s *Server) beginLocked(n *node, now time.Time) {
	if s.ask == nil {
		s.readyLocked(n)
		return
	}
	s.probes.put(n, now)
	s.stir()
}

func (s *Server) readyLocked(n *node) {
	s.table.markReady(n)
	s.touchLocked(n.key)
}

// removeLocked takes n out of everything.
func (s *Server) removeLocked(n *node, now time.Time) {
	window := DefaultWindow
	if k := s.conf.Load().keyring; k != nil {
		window = k.window
	}
	s.table.remove(n, now.Add(2*window))
	s.probes.drop(n)
	if n.ready {
		s.touchLocked(n.key)
	}
}

// expireLocked takes out what was not announced for too long, and returns how long it
// is until the next one has to be looked at.
func (s *Server) expireLocked(now time.Time) (gone []*node, wait time.Duration) {
	expire := s.conf.Load().Expire
	for n := s.table.oldest(); n != nil; n = s.table.oldest() {
		if left := expire - now.Sub(n.last); left > 0 {
			return gone, min(left, idle)
		}
		s.removeLocked(n, now)
		gone = append(gone, n)
	}
	return gone, idle
}

// judgeLocked takes out what the settings do not allow.
func (s *Server) judgeLocked(now time.Time) (gone []*node) {
	c := s.conf.Load()
	for _, n := range s.table.all() {
		r := c.rules.find(n.from, n.key)
		if r == nil || r.admits(n.request, &s.machine, false) != nil || c.keyring != nil && !r.unsigned && !n.signed {
			s.removeLocked(n, now)
			gone = append(gone, n)
		}
	}
	return gone
}
