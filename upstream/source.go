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
}

// A Source says who serves. It calls set with the complete list of a pool when
// it first knows it and whenever it changes, and returns when ctx ends. On its
// own failure it keeps its last word; an empty list means "really nobody".
type Source interface {
	Run(ctx context.Context, set SetFunc) error
}

// SetFunc replaces this source's word on pool. The channel closes when the
// members it dropped carry no more requests. A pool that there is not, or that
// does not listen to the source, has none: the channel is closed.
type SetFunc func(pool string, members []Member) (idle <-chan struct{})

// refresher is a Source that can look again at once, when a member that it named
// could not be reached. Refresh must not block.
type refresher interface{ Refresh() }
