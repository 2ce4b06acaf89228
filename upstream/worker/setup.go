package worker

import (
	"context"
	"log/slog"

	"headgate/upstream"
)

// Setup are the collaborators of a Supervisor. Pool, Dir and Ready are required.
type Setup struct {
	Pool string
	Dir  string // where sockets are made, of its owner alone; it is made when it is not there
	Log  *slog.Logger

	// Ready asks the worker at an address whether it serves, and returns nil when it
	// does. It is asked again and again, until ctx ends at most.
	Ready func(ctx context.Context, address string) error

	// Fit asks workers that are to replace others, and serve, whether they answer as the
	// pool's checks want it, as Ready does: others are not replaced by workers that
	// would get no request. nil: they do.
	Fit func(ctx context.Context, m upstream.Member) error

	HTTP bool // what the pool speaks to its members; false: uwsgi

	// Load tells what the pool is doing; nil: nothing, ever. It must not block.
	Load func() Load

	// Drained reports whether the pool has no request left for the member at an address,
	// when Run is to end: what Load tells is for all members of the pool. nil: Load has
	// neither a request in flight nor one that waits. It must not block.
	Drained func(address string) bool

	// RequestID finds the id of a request in a line that a worker has written; nil or
	// "": there is none.
	RequestID func(line []byte) string

	// Ended is called when a command of the user's own (Options.Command) has ended by
	// itself; after a signal code is 128 and its number, as shells have it. nil, or
	// false: it is started again. True: Run returns. See headgate up.
	Ended func(code int) (leave bool)

	// AtOnce, when it is closed, lets no worker end in its own time any more: those that
	// are stopped, now or later, are killed. nil: never.
	AtOnce <-chan struct{}

	// Shared is what all supervisors of a gateway have together; nil: this one has its
	// own.
	Shared *Shared
}

// Load is what a pool is doing.
type Load struct {
	InFlight int // requests at its members
	Queued   int // requests that wait for a slot
	Requests uint64
}
