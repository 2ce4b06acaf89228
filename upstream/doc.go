// Package upstream keeps the pools of members that answer requests: who is
// there, who has a free slot, who comes next, and whether a failed request may
// be sent again.
//
// It knows nothing of HTTP or of the uwsgi protocol. A Pool hands out leases on
// transports of any type T:
//
//	pool, err := upstream.NewPool("shop", opts, members, dial)
//	lease, err := pool.Acquire(ctx, nil) // waits in the queue for a free slot
//	resp, err := lease.Transport().Do(ctx, req)
//	lease.Release()
//
// # Slots and the queue
//
// A WSGI worker runs one request per core. With a number for slots a member is
// handed at most so many requests at once, and the rest wait here, first in
// first out, bounded in length and in time; the worker's own listen backlog
// stays empty. With slots: auto nothing is held back yet: the kernel's backlog
// is the queue, and a full one makes the transport wait for its connect timeout.
//
// # Limits
//
// Members come from the configuration only. There are no health checks and no
// ejection: a member that refuses is passed over by the request that saw it.
package upstream
