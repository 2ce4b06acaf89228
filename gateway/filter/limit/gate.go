package limit

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"headgate/gateway/expression"
)

// maxGates bounds the rules of a Gate, so that a Pass has room for all.
const maxGates = 4

// Gate bounds the requests of one route that run at once. It may be used by several
// goroutines at once.
type Gate struct{ rules []gateRule }

type gateRule struct {
	limit int
	keyer keyer
	crowd *crowd
}

// NewInFlight returns the gate for rules that are valid. place tells routes apart:
// requests that run across a reload count on.
func NewInFlight(rules []InFlight, place string, s Setup) (*Gate, error) {
	if len(rules) > maxGates {
		return nil, fmt.Errorf("%d limits of requests in flight are too many for one route: keep at most %d", len(rules), maxGates)
	}
	s = s.withDefaults()
	g := &Gate{}
	same := make(map[string]int) // rules by what they count
	var errs []error
	for _, o := range rules {
		k, err := newKeyer(o.Key)
		if err = errors.Join(o.Validate(), err); err != nil {
			errs = append(errs, err)
			continue
		}
		id := place + ":" + strings.TrimSpace(o.WithDefaults().Key)
		if same[id]++; same[id] > 1 {
			id = fmt.Sprintf("%s#%d", id, same[id])
		}
		g.rules = append(g.rules, gateRule{o.Limit, k, s.Counters.crowd(id)})
	}
	return g, errors.Join(errs...)
}

// Enter lets a request in unless as many of its key run already. A pass that is ok
// must be left, once. view is called only for rules with a key of their own.
func (g *Gate) Enter(client netip.Addr, view func() expression.View) (p Pass, ok bool) {
	for i := range g.rules {
		r := &g.rules[i]
		w, counts := r.keyer.of(client, view)
		if !counts {
			continue
		}
		k := r.crowd.seeds.key(w)
		if !r.crowd.enter(k, r.limit) {
			p.Leave()
			return Pass{Limit: r.limit}, false
		}
		p.held[p.n] = place{r.crowd, k}
		p.n++
	}
	return p, true
}

// Pass is a request that was let in. The zero value has nothing to leave.
type Pass struct {
	Limit int // of the rule that has not let it in

	held [maxGates]place
	n    int
}

type place struct {
	crowd *crowd
	key   key
}

// Leave ends what Enter began. It is called once.
func (p *Pass) Leave() {
	for _, h := range p.held[:p.n] {
		h.crowd.leave(h.key)
	}
	p.n = 0
}
