package upstream

import "context"

// Member is one server of a pool, as a source names it. Members are compared.
type Member struct {
	Address string // as the transport's package reads it: unix:/run/app.sock, 10.0.0.7:3031
	Weight  int    // its share in proportion to the others; 0: 1
	Slots   int    // requests in flight at once, when the source knows it; 0: as the pool says
	Backup  bool   // used only while no other member is fit
	Stats   string // where its statistics are read; "": nowhere
	Name    string // the host that Address was looked up for, which its certificate has; "": none

	// How requests to it open (uwsgi only). 0, 0 and "": as the pool says.
	Modifier1, Modifier2 uint8
	Dialect              string // "uwsgi" or "gunicorn"

	Checked bool // the source has seen it pass the pool's check: a new one is used at once
}

// alike reports whether a transport to a serves for b, at the same address, as well.
func (a *Member) alike(b *Member) bool {
	return a.Name == b.Name && a.Modifier1 == b.Modifier1 && a.Modifier2 == b.Modifier2 && a.Dialect == b.Dialect
}

// A Source says who serves. It calls set with the complete list of a pool when
// it first knows it and whenever it changes, and returns when ctx ends. On its
// own failure it keeps its last word; an empty list means "really nobody". One that
// returns an error before its time is run again after a while; one that returns nil
// has nothing more to say.
type Source interface {
	Run(ctx context.Context, set SetFunc) error
}

// SetFunc replaces this source's word on pool. The channel closes when the
// members it dropped carry no more requests. A pool that there is not, or that
// does not listen to the source, has none: the channel is closed. To the source of
// a family pool is a key, and each key has a word of its own, which holds until it
// is replaced.
type SetFunc func(pool string, members []Member) (idle <-chan struct{})

// refresher is a Source that can look again at once. Refresh is called when a
// member that it named could not be reached, and while there is no member: for
// each request that comes, and when its own set leaves none to those that wait
// already. So a source that stops for want of requests is told of each that it may
// have missed. Refresh must not block; calls that come together may be one.
type refresher interface{ Refresh() }

// troubled is a Source that can say why there is nobody, when waiting is no use;
// nil: there is somebody, or will be. It is asked for each request that comes while
// there is no member, and when it calls set while requests wait: one that gets into
// trouble later says its empty list again. What it returns may have a method
// RetryAfter() time.Duration. Trouble must not block, and is called by any goroutine.
type troubled interface{ Trouble() error }
