package coding

import "headgate/gateway/wire"

// maxOffers is how many offers Choose looks at.
const maxOffers = 64

// Choose returns the coding of offers that the client likes best by the
// Accept-Encoding fields of f. Offers are in the server's order of preference, which
// decides between those that the client likes as much. It returns "" for the answer
// as it is: if there is no such field, if none of offers is acceptable (even when the
// client refuses identity too), and if the client names identity and likes it
// better. x-gzip in a request is gzip. Of a coding that the client names twice the
// first counts; elements with a weight that is none do not. At most 64 offers are
// looked at. It does not allocate.
func Choose(f wire.Fields, offers ...string) string {
	c := choice{offers: offers[:min(len(offers), maxOffers)], star: unsaid, identity: unsaid}
	for i := range f {
		if wire.Same(f[i].Name, "Accept-Encoding") {
			c.line(f[i].Value)
		}
	}
	c.rest()
	if c.q <= 0 || c.identity > c.q {
		return ""
	}
	return offers[c.best]
}

// unsaid is the weight of what the client has not named.
const unsaid = -1

// choice is the best offer so far.
type choice struct {
	offers []string
	named  uint64 // bit i: the client has named offers[i]
	best   int
	q      int // of best, in thousandths; 0: there is none

	star, identity int
}

// line takes one field value into account.
func (c *choice) line(v string) {
	for len(v) > 0 {
		end := index(v, ',')
		if name, q, ok := element(v[:end]); ok {
			c.take(name, q)
		}
		v = v[min(end+1, len(v)):]
	}
}

// take takes one element into account.
func (c *choice) take(name string, q int) {
	switch {
	case name == "*":
		if c.star == unsaid {
			c.star = q
		}
		return
	case wire.Same(name, "identity"):
		if c.identity == unsaid {
			c.identity = q
		}
		return
	case wire.Same(name, "x-gzip"):
		name = name[2:]
	}
	for i := range c.offers {
		if c.named&(1<<i) == 0 && wire.Same(name, c.offers[i]) {
			c.named |= 1 << i
			c.prefer(i, q)
		}
	}
}

// rest gives the weight of * to the first offer that was not named: those behind
// it do not come before it.
func (c *choice) rest() {
	for i := range c.offers {
		if c.named&(1<<i) == 0 {
			c.prefer(i, c.star)
			return
		}
	}
}

func (c *choice) prefer(i, q int) {
	if q > c.q || q == c.q && q > 0 && i < c.best {
		c.best, c.q = i, q
	}
}
