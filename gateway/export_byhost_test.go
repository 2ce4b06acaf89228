package gateway

import "headgate/upstream"

// MembersByHost returns how many members a pool of subscriptions has, one that serves
// two hosts counted twice.
func (g *Gateway) MembersByHost(pool string) (n int) {
	for _, p := range g.current.Load().families[pool].All() {
		for _, m := range p.Snapshot().Members {
			if m.State != upstream.StateLeaving {
				n++
			}
		}
	}
	return n
}
