package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"headgate/upstream"
)

// atOnce bounds the targets of SRV records that are looked up at the same time.
const atOnce = 8

// lookServices looks up n's SRV records and then the addresses of their targets.
func (n *name) lookServices(ctx context.Context) answer {
	records, ttl, err := n.resolver.Services(ctx, n.host)
	if err != nil {
		return answer{err: err}
	}
	records, err = n.usable(records)
	if err != nil {
		return answer{err: err}
	}
	places, holds, err := n.places(ctx, hosts(records))
	members := n.tidy(n.join(records, places))
	if len(members) == 0 && err == nil {
		err = fmt.Errorf("%w: the targets of %s have no addresses", ErrNoName, n.host)
	}
	n.targets = places
	if holds != NoTTL && (ttl == NoTTL || holds < ttl) {
		ttl = holds
	}
	return answer{members: members, ttl: ttl, err: err}
}

// usable returns the records that name a server, in one order and not too many.
func (n *name) usable(records []net.SRV) ([]net.SRV, error) {
	records = slices.DeleteFunc(slices.Clone(records), func(r net.SRV) bool {
		return r.Target == "" || r.Target == "." || r.Port == 0 // RFC 2782: "decidedly not available"
	})
	if len(records) == 0 {
		return nil, fmt.Errorf("%w: the records of %s say that there is no server", ErrNoName, n.host)
	}
	slices.SortFunc(records, func(a, b net.SRV) int {
		if a.Priority != b.Priority {
			return int(a.Priority) - int(b.Priority)
		}
		return strings.Compare(a.Target, b.Target)
	})
	return records[:min(len(records), 4*maxAddresses)], nil
}

// hosts returns the targets of records, each once and not more than can be used.
func hosts(records []net.SRV) []string {
	seen := make(map[string]bool)
	var targets []string
	for _, r := range records {
		if host := strings.ToLower(r.Target); !seen[host] && len(targets) < maxAddresses {
			seen[host] = true
			targets = append(targets, host)
		}
	}
	return targets
}

// places returns the addresses of targets and how long they hold. A target that
// could not be looked up keeps the addresses that it had; the error is that of one
// such target. One without addresses has none.
func (n *name) places(ctx context.Context, targets []string) (map[string][]netip.Addr, time.Duration, error) {
	var (
		wg    sync.WaitGroup
		slots = make(chan struct{}, atOnce)

		mu     sync.Mutex // guards the fields below
		found  = make(map[string][]netip.Addr)
		least  = NoTTL
		failed error
	)
	for _, host := range targets {
		slots <- struct{}{} // the resolver returns soon after ctx ends
		wg.Go(func() {
			defer func() { <-slots }()
			addrs, ttl, err := n.addresses(ctx, host)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				found[host] = addrs
				if ttl = n.opts.hold(ttl); least == NoTTL || ttl < least {
					least = ttl
				}
			case !errors.Is(err, ErrNoName):
				failed = fmt.Errorf("target %s: %w", host, err)
				if kept := n.targets[host]; len(kept) > 0 {
					found[host] = kept
				}
			}
		})
	}
	wg.Wait()
	return found, least, failed
}

// join makes the members of records whose targets have places.
func (n *name) join(records []net.SRV, places map[string][]netip.Addr) []upstream.Member {
	divisors := make(map[uint16]int) // by priority: what all weights can be divided by
	for _, r := range records {
		divisors[r.Priority] = gcd(divisors[r.Priority], int(r.Weight))
	}
	var members []upstream.Member
	for _, r := range records {
		for _, a := range places[strings.ToLower(r.Target)] {
			m := n.at(a, r.Port)
			m.Name = strings.TrimSuffix(strings.ToLower(r.Target), ".")
			// Weights count in proportion only, and some servers make each 100/n: in
			// the lowest terms they go together with other members of the pool.
			m.Weight = max(m.Weight, 1) * max(int(r.Weight)/max(divisors[r.Priority], 1), 1)
			m.Backup = m.Backup || r.Priority > records[0].Priority
			members = append(members, m)
		}
	}
	return members
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
