package origin

import (
	"context"
	"slices"
	"sync"
)

// sharedMax bounds the connections of HTTP/2 to one member. Mostly there is one:
// another is opened when the streams that the member allows are all in use.
const sharedMax = 16

// sharedLinks are the connections of HTTP/2. They close by themselves when they
// have been idle for idleTime.
type sharedLinks struct {
	mu      sync.Mutex // guards the fields below, and those of each link
	links   []*sharedLink
	dialing *dialing // nil: nobody dials
}

// sharedLink is one of them.
type sharedLink struct {
	link
	users   int
	retired bool // it gets no new request
}

// useLocked returns the link as one request has it.
func (l *sharedLink) useLocked(reused bool) *link {
	l.users++
	return &link{conn: l.conn, cc: l.cc, reused: reused, shared: l}
}

// release ends a use.
func (s *sharedLinks) release(l *sharedLink) {
	s.mu.Lock()
	l.users--
	over := l.retired && l.users == 0
	s.mu.Unlock()
	if over {
		l.close()
	}
}

// dialing is one attempt to connect, for whom it may concern.
type dialing struct {
	done chan struct{} // closed when link and err are set
	err  *Error
}

// take returns a connection with a stream that is reserved for the caller.
func (s *sharedLinks) take(ctx context.Context, t *Transport) (*link, *Error) {
	for {
		l, d, mine := s.reserve()
		switch {
		case l != nil:
			return l, nil
		case d == nil:
			return nil, t.exhausted()
		case mine:
			return s.dial(ctx, t, d)
		}
		select {
		case <-d.done:
		case <-ctx.Done():
			return nil, canceled(&Error{Stage: StageDial, Addr: t.name, NeverRan: true}, ctx)
		}
		if e := d.err; e != nil && e.Kind != KindCanceled { // else it was the dialer who went away
			again := *e
			return nil, &again
		}
	}
}

// reserve returns a connection with a free stream, or the attempt to have
// another: mine is for the caller to make. There is neither when there are
// enough.
func (s *sharedLinks) reserve() (l *link, d *dialing, mine bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.links = slices.DeleteFunc(s.links, func(l *sharedLink) bool { return l.dead() })
	for _, l := range s.links {
		if l.cc.Reserve() == nil {
			return l.useLocked(true), nil, false
		}
	}
	if s.dialing == nil && len(s.links) < sharedMax {
		s.dialing = &dialing{done: make(chan struct{})}
		return nil, s.dialing, true
	}
	return nil, s.dialing, false
}

// dial makes the attempt d.
func (s *sharedLinks) dial(ctx context.Context, t *Transport, d *dialing) (*link, *Error) {
	l, e := t.open(ctx)
	if e == nil && l.cc.Reserve() != nil {
		l.close()
		e = t.exhausted() // it allows no stream, or is closed already
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d.err, s.dialing = e, nil
	close(d.done)
	if e != nil {
		return nil, e
	}
	shared := &sharedLink{link: *l}
	s.links = append(s.links, shared)
	return shared.useLocked(false), nil
}

// clear lets no connection have a new request, and closes those that carry none.
func (s *sharedLinks) clear() {
	s.mu.Lock()
	all := s.links
	s.links = nil
	var over []*link
	for _, l := range all {
		if l.retired = true; l.users == 0 {
			over = append(over, &l.link)
		}
	}
	s.mu.Unlock()
	closeAll(over)
}

func (t *Transport) exhausted() *Error {
	return &Error{
		Stage: StageDial, Kind: KindUnavailable, Addr: t.name, NeverRan: true, full: true,
		Cause: "the member has no free stream of HTTP/2", Cure: "let it allow more concurrent streams, or set slots",
	}
}
