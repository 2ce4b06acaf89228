package storage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

const (
	redisPoll     = 250 * time.Millisecond
	redisUnlock   = 5 * time.Second // for all attempts together
	redisAbandon  = time.Second     // for all locks together
	renewalsLease = 3               // renewals in a lease when all is well
	retriesLease  = 10              // and when the server does not answer
)

// lease is a lock that is held.
type lease struct {
	name, token string
	lost        atomic.Pointer[error] // why, once it is not held any more
	stop        context.CancelFunc    // ends the renewal
	done        chan struct{}         // closed when the renewal ended
}

// end ends the renewal and waits for it.
func (l *lease) end() {
	l.stop()
	<-l.done
}

func (r *Redis) lock(name string) string { return r.params.prefix + "lock:" + name }

// Lock waits for the lock of name. It is a lease, renewed until Unlock or Close; a
// process that dies holds it no longer than the lease. When the lease is lost all
// the same, the log says so, and Unlock and RenewLockLease return ErrLockLost.
func (r *Redis) Lock(ctx context.Context, name string) error {
	if err := errors.Join(checkName(name), ctx.Err()); err != nil {
		return err
	}
	if err := r.locks.take(ctx, name); err != nil {
		return err
	}
	for {
		ok, err := r.acquire(ctx, name)
		if ok {
			return nil
		}
		if err == nil && !r.wait(ctx, redisPoll) {
			if err = ctx.Err(); err == nil {
				err = errClosed
			}
			err = r.wrap("lock", name, fmt.Errorf("another gateway holds it: %w", err))
		}
		if err != nil {
			r.locks.give(name)
			return err
		}
	}
}

// TryLock takes the lock of name when nobody holds it.
func (r *Redis) TryLock(ctx context.Context, name string) (bool, error) {
	if err := errors.Join(checkName(name), ctx.Err()); err != nil {
		return false, err
	}
	if ok, err := r.locks.try(name); !ok {
		return false, err
	}
	ok, err := r.acquire(ctx, name)
	if !ok {
		r.locks.give(name)
	}
	return ok, err
}

// acquire takes the lock when nobody else has it, and starts to renew it. The
// caller has the turn.
func (r *Redis) acquire(ctx context.Context, name string) (bool, error) {
	l := &lease{name: name, token: rand.Text(), done: make(chan struct{})}
	start := time.Now()
	v, err := r.run(ctx, "lock", name, r.scripts.acquire, []string{r.lock(name)}, l.token, r.params.lease.Milliseconds())
	if err != nil || v != int64(1) {
		return false, err
	}
	renewal, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.stop = stop
	go r.keep(renewal, l, start.Add(r.params.lease))
	if !r.locks.keep(name, l) {
		l.end()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), redisAbandon)
		defer cancel()
		r.abandon(last, l)
		return false, errClosed
	}
	return true, nil
}

// keep renews l until ctx ends or l is lost. until is the end of the lease.
func (r *Redis) keep(ctx context.Context, l *lease, until time.Time) {
	defer close(l.done)
	next, said := r.params.lease/renewalsLease, false
	for {
		t := time.NewTimer(next)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
		start := time.Now()
		held, err := r.renew(ctx, l, until)
		switch {
		case ctx.Err() != nil, errors.Is(err, errClosed):
			return
		case held:
			until, next, said = start.Add(r.params.lease), r.params.lease/renewalsLease, false
			continue
		case err == nil:
			r.lose(l, errors.New("redis does not have it any more"))
			return
		case !time.Now().Before(until):
			r.lose(l, err)
			return
		}
		if !said {
			r.log.Warn("lock not renewed", "lock", l.name, "until", until, "err", err)
		}
		next, said = min(r.params.lease/retriesLease, time.Until(until)), true
	}
}

// renew asks the server for another lease, no longer than until and a third of one.
func (r *Redis) renew(ctx context.Context, l *lease, until time.Time) (bool, error) {
	end := time.Now().Add(r.params.lease / renewalsLease)
	if until.Before(end) {
		end = until
	}
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	v, err := r.run(ctx, "renew lock", l.name, r.scripts.renew, []string{r.lock(l.name)}, l.token, r.params.lease.Milliseconds())
	return v == int64(1), err
}

// lose tells the holder, once.
func (r *Redis) lose(l *lease, why error) {
	if l.lost.CompareAndSwap(nil, &why) {
		r.log.Error("lock lost: another gateway may do the same work now", "lock", l.name, "addr", r.params.addr(), "err", why)
	}
}

func (l *lease) err() error {
	if why := l.lost.Load(); why != nil {
		return fmt.Errorf("%w: %w", ErrLockLost, *why)
	}
	return nil
}

// RenewLockLease makes sure that a lock which is held here still is, and renews
// its lease. Leases are renewed without it, so they stay as short as the URL says,
// whatever certmagic asks for: a gateway that dies must not block the others.
func (r *Redis) RenewLockLease(ctx context.Context, name string, _ time.Duration) error {
	l, ok := r.locks.get(name)
	if !ok {
		return fmt.Errorf("renew lock %q: it is not held here", name)
	}
	if err := l.err(); err != nil {
		return r.wrap("renew lock", name, err)
	}
	held, err := r.renew(ctx, l, time.Now().Add(r.params.lease))
	if err == nil && !held {
		r.lose(l, errors.New("redis does not have it any more"))
		err = r.wrap("renew lock", name, l.err())
	}
	return err
}

// Unlock gives back a lock that is held, even when ctx has ended. After an error
// it is not held either; when the server could not be told, it ends with its lease.
func (r *Redis) Unlock(ctx context.Context, name string) error {
	l, err := r.locks.drop(name)
	if err != nil {
		return err
	}
	defer r.locks.give(name)
	l.end()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), redisUnlock)
	defer cancel()
	v, attempts, err := r.runCount(ctx, "unlock", name, r.scripts.release, []string{r.lock(name)}, l.token)
	if err != nil {
		return errors.Join(l.err(), err)
	}
	// The answer to an attempt may have been lost after it did its work.
	if v != int64(1) && (attempts == 1 || v != int64(0)) {
		r.lose(l, errors.New("redis does not have it any more"))
	}
	if err := l.err(); err != nil {
		return r.wrap("unlock", name, err)
	}
	return nil
}

// abandon gives back a lock of a storage that is closed, if ctx lets it.
func (r *Redis) abandon(ctx context.Context, l *lease) {
	_ = r.scripts.release.Run(ctx, r.client, []string{r.lock(l.name)}, l.token).Err()
}
