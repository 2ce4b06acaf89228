package dns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"headgate/upstream"
)

// Bounds of the look-ups of one name.
const (
	lookupTimeout = 15 * time.Second
	lookupGap     = time.Second      // from the start of one to that of the next
	retryWait     = time.Second      // after the first that failed, then doubling
	retryWaitMost = 30 * time.Second // when nobody answers
	retryWaitNone = 5 * time.Second  // when the answer is that there is no such name
	forgetAfter   = time.Minute      // of answers that there is no such name
	maxAddresses  = 256
)

var errSilent = fmt.Errorf("no DNS server answered within %s", lookupTimeout)

// name looks up one name again and again.
type name struct {
	target
	member   upstream.Member
	resolver Resolver
	opts     Options
	log      *slog.Logger
	wake     chan struct{} // Refresh was called
	state                  // of run
}

// state is what a name knows and how it got there. Only the goroutine of run uses it.
type state struct {
	members  []upstream.Member
	known    bool                    // members may be none, but really none
	said     bool                    // something has been said at all
	failures int                     // in a row
	gone     time.Time               // when it was first said that there is no such name; zero: there is
	cut      bool                    // there are more addresses than are used
	targets  map[string][]netip.Addr // of SRV records, as last heard
}

// answer is what one look-up came to. With members and an error the members are
// what is known although something failed.
type answer struct {
	members []upstream.Member
	ttl     time.Duration
	err     error
}

// run looks n up until ctx ends, and says what it knows when it has been heard of
// first and whenever that changes.
func (n *name) run(ctx context.Context, say func(members []upstream.Member, known bool)) {
	n.state = state{}
	for {
		select {
		case <-n.wake: // answered by the look-up that begins now
		default:
		}
		begun := time.Now()
		a := n.look(ctx)
		if ctx.Err() != nil {
			return
		}
		delay, news := n.take(a)
		if news {
			say(n.members, n.known)
		}
		if !n.wait(ctx, begun, delay) {
			return
		}
	}
}

// wait waits for delay, or until Refresh asks, and reports whether ctx has not ended.
func (n *name) wait(ctx context.Context, begun time.Time, delay time.Duration) bool {
	due := time.NewTimer(delay)
	defer due.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-due.C:
		return true
	case <-n.wake:
	}
	due.Reset(time.Until(begun.Add(lookupGap)))
	select {
	case <-ctx.Done():
		return false
	case <-due.C:
		return true
	}
}

func (n *name) look(ctx context.Context) answer {
	ctx, cancel := context.WithTimeoutCause(ctx, lookupTimeout, errSilent)
	defer cancel()
	if n.srv {
		return n.lookServices(ctx)
	}
	addrs, ttl, err := n.addresses(ctx, n.host)
	if err != nil {
		return answer{err: err}
	}
	members := make([]upstream.Member, len(addrs))
	for i, a := range addrs {
		members[i] = n.at(a, n.port)
	}
	return answer{members: n.tidy(members), ttl: ttl}
}

// addresses returns the addresses of host that a server can have.
func (n *name) addresses(ctx context.Context, host string) ([]netip.Addr, time.Duration, error) {
	all, ttl, err := n.resolver.Addresses(ctx, host)
	if err != nil {
		return nil, 0, err
	}
	addrs := slices.DeleteFunc(slices.Clone(all), func(a netip.Addr) bool {
		return !a.IsValid() || a.IsUnspecified() || a.IsMulticast()
	})
	if len(addrs) == 0 {
		return nil, 0, fmt.Errorf("%w: %s has no address that a server can have, only %v", ErrNoName, host, all[:min(len(all), 4)])
	}
	return addrs, ttl, nil
}

// at returns the configured member with an address.
func (n *name) at(a netip.Addr, port uint16) upstream.Member {
	m := n.member
	m.Name = strings.TrimSuffix(n.host, ".")
	m.Address = netip.AddrPortFrom(a.Unmap(), port).String()
	return m
}

// tidy brings members into one order, whatever that of the answer, each once and
// not too many of them. Backups come last.
func (n *name) tidy(members []upstream.Member) []upstream.Member {
	slices.SortFunc(members, func(a, b upstream.Member) int {
		switch {
		case a.Backup != b.Backup && b.Backup:
			return -1
		case a.Backup != b.Backup:
			return 1
		}
		return cmp.Or(strings.Compare(a.Address, b.Address), cmp.Compare(b.Weight, a.Weight))
	})
	members = once(members)
	cut := len(members) > maxAddresses
	if cut && !n.cut {
		n.log.Warn("name has more addresses than are used", "addresses", len(members), "used", maxAddresses)
	}
	if n.cut = cut; cut {
		members = members[:maxAddresses]
	}
	return members
}

// take takes an answer over. It returns when to ask again, and whether there is
// something to say.
func (n *name) take(a answer) (delay time.Duration, news bool) {
	before := n.state
	n.said = true
	if a.err == nil || len(a.members) > 0 {
		n.members, n.known, n.gone = a.members, true, time.Time{}
		delay = n.opts.hold(a.ttl)
	} else {
		n.doubt(a.err)
	}
	n.report(a.err)
	if a.err != nil {
		wait := n.retry(a.err)
		if len(a.members) > 0 {
			wait = min(wait, delay)
		}
		delay = wait
	}
	news = !before.said || before.known != n.known || !slices.Equal(before.members, n.members)
	return delay, news
}

// doubt forgets the members when there has been no such name for long enough.
func (n *name) doubt(err error) {
	if !errors.Is(err, ErrNoName) {
		return
	}
	if n.gone.IsZero() {
		n.gone = time.Now()
	}
	if time.Since(n.gone) < forgetAfter {
		return
	}
	if len(n.members) > 0 {
		n.log.Warn("name has gone and its addresses are let go", "addresses", len(n.members), "after", forgetAfter)
	}
	n.members, n.known, n.targets = nil, true, nil
}

// report logs the first of several failures, and the end of them.
func (n *name) report(err error) {
	switch {
	case err == nil && n.failures > 0:
		n.log.Info("name is answered for again", "addresses", len(n.members))
	case err != nil && n.failures == 0:
		n.log.Warn("name cannot be looked up", "err", err, "kept", len(n.members), "cure", cure(err))
	}
	if err == nil {
		n.failures = 0
	} else {
		n.failures++
	}
}

func cure(err error) string {
	if errors.Is(err, ErrNoName) {
		return "start what the name belongs to, or correct the name; containers see each other's names only on a network that they share"
	}
	return "see whether the DNS servers in /etc/resolv.conf answer"
}

// retry returns the wait after n.failures failures in a row.
func (n *name) retry(err error) time.Duration {
	most := retryWaitMost
	if errors.Is(err, ErrNoName) {
		most = retryWaitNone
	}
	return min(retryWait<<min(n.failures-1, 10), most)
}
