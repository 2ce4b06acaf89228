// Package upstream keeps the pools of members that answer requests: who is
// there, who has a free slot, who comes next, how each of them fares, and whether
// a failed request may be sent again.
//
// It knows nothing of HTTP or of the uwsgi protocol. A Pool hands out leases on
// transports of any type T, which a Driver makes:
//
//	pools := upstream.NewPools[*Transport](log)
//	go pools.Run(ctx) // sources, checks, members that come back
//	change, err := pools.Build(map[string]upstream.Spec[*Transport]{"shop": spec})
//	change.Apply() // or Discard
//	p, r := pools.Get("shop"), upstream.Request[*Transport]{Client: addr}
//	lease, err := p.Acquire(ctx, &r)            // waits for a slot
//	resp, err := lease.Transport().Do(ctx, req) // failed: lease.Fail(err), and again if p.Retry(ctx, &r, attempt)
//	lease.Answered(resp.Status)                 // the head is in
//	lease.Release()                             // the member is done
//
// # Slots
//
// A WSGI worker runs one request per core, and leaves the others in its listen
// backlog, where neither fairness nor priorities nor deadlines reach them. So a
// member gets a request only when one of its slots is free. Their number is the
// configuration's, or a source's, or read from the member's statistics, or
// counted by what the kernel shows of its backlog, or learned from throughput.
// What nobody wrote down gets a few more, since a core must not be idle between two
// requests: at most 5 ms of work where the slots are known. In doubt it errs upwards.
//
// # The queue
//
// Who finds no slot waits: bounded in number and in time, high priority before
// normal before low (with one turn in nine for who is passed over), and inside a
// priority clients in turn, each in the order of its requests. A queue that is
// full takes a newcomer only in exchange: for the newest of a lower priority, or
// of the client that has the most in it.
//
// First in first out is right for every burst, however long: all are answered,
// and any other order makes it worse for somebody and better for nobody. It is
// wrong under overload that lasts, for then everybody is answered just before or
// just after his time is over. Therefore, from the moment on in which the oldest
// has used up half of queue.timeout, the newest go first, and the old ones have
// what is left over. Half of the timeout, because that is the only figure that
// says how long is too long for this pool: who is taken then has as much time left
// as he has waited. Not CoDel, which drops what has waited longer than a target:
// a packet that is dropped is sent again by TCP and slows its sender down, a
// request that is dropped is an error that a person sees, and a delay that never
// falls below 5 ms, CoDel's sign of a bad queue, is what 600 clients at 4 slots
// of 20 ms make who are all served. The comment of ages.overloaded has the numbers.
//
// # Balance
//
// Of the best class of members that is there (fit; backups; ejected or failing
// ones; those that the request has been at) one with a free slot is taken by the
// rule: least busy, with two random choices above 8 members; smooth weighted round
// robin; random; rendezvous hashing, so that a member's loss moves its own share
// only; or a signed cookie. A request rather waits for a fit member than goes to
// one that is not.
//
// # Retries
//
// The errors of transports say of themselves, by methods, what they prove. What
// came to no connection was no attempt: it waits in the queue, whatever its
// method. What provably never ran (Unsent) goes again within attempts, time and
// the pool's budget, also whatever its method. What may have run goes again once
// if it may run twice, but never after a timeout.
//
// # Health
//
// A member that cannot be connected to is away, until a connection succeeds in
// the background. One that answers badly is ejected: by failures in a row, or when
// its error rate is far above that of the others; at most half of the members at a
// time, and never a single one. It comes back by one request at a time, and with a
// share that grows. Active checks can be added; when all fail, all members are
// used. The operator can drain members and pause a pool, which outlives reloads.
//
// # Nobody there
//
// With no member at all requests wait as well: a source may be about to start some,
// and is told of each request that comes (it has a method Refresh). Waiting is no use
// when the source knows that it cannot (it has a method Trouble): then requests end
// at once, with its reason.
//
// # Families
//
// Where a source names not the members of one pool but those of many, by keys that
// nobody knows before, a Family has a pool for each key, made from a template
// (Spec.Each). Which key a request is for is the caller's to say (Family.Get). A key
// that has lost its members keeps its pool for FamilyLinger.
//
// # Slow start
//
// A member that is new, or comes back, has a share that grows, while another one
// carries the rest. Members that replace all that were there have theirs at once,
// and need not be reached first: so workers are replaced without a pause.
//
// # Limits
//
// Each process has its own pools: gateways that share members do not know of each
// other's requests. Balance looks at every member, under one lock per pool, which
// is meant for hundreds of members and not for thousands. A key of a family costs
// some 8 KiB and a goroutine while it is idle. A request that is at a member cannot be
// taken back.
package upstream
