package upstream

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
)

// Balance is the rule by which a member is chosen. The zero value is least-busy.
// Hash and Sticky are rules of their own: at most one of the three is said.
type Balance struct {
	Rule   Rule   `yaml:"rule,short"` // least-busy (default), round-robin, random or ip-hash
	Hash   string `yaml:"hash"`       // equal values of this expression (CEL, a string) have the same member
	Sticky Sticky `yaml:"sticky"`     // a client stays with its member, by a cookie
}

// Sticky keeps clients with their members.
type Sticky struct {
	Cookie string `yaml:"cookie"` // name of the cookie

	// Secret signs the cookies. Without one they hold until the gateway is
	// started again, and for this gateway alone.
	Secret Secret `yaml:"secret"`
}

// Validate reports what is wrong.
func (b Balance) Validate() error {
	switch said := count(b.Rule != LeastBusy, b.Hash != "", b.Sticky != (Sticky{})); {
	case said > 1:
		return errors.New("says more than one rule: keep one of rule, hash and sticky")
	case b.Sticky != (Sticky{}) && !isToken(b.Sticky.Cookie):
		return fmt.Errorf("sticky.cookie: %q cannot be the name of a cookie: write it like cookie: member", b.Sticky.Cookie)
	case b.Sticky.Secret != "" && len(b.Sticky.Secret) < 16:
		return errors.New("sticky.secret: it is shorter than 16 bytes: take a longer one, such as the output of openssl rand -hex 16")
	}
	return nil
}

// hashes reports whether the rule is one of a key.
func (b Balance) hashes() bool { return b.Rule == IPHash || b.Hash != "" }

func count(conditions ...bool) (n int) {
	for _, c := range conditions {
		if c {
			n++
		}
	}
	return n
}

// isToken reports whether s is a token of RFC 9110, 5.6.2.
func isToken(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
		case c == '-' || c == '_' || c == '.' || c == '!' || c == '~':
		default:
			return false
		}
	}
	return s != ""
}

// Rule is a rule of a Balance that needs nothing more to be said.
type Rule uint8

// The rules.
const (
	LeastBusy  Rule = iota // fewest requests in flight for its slots and weight, the others in turn
	RoundRobin             // each in turn, by weight
	Random                 // any, by weight
	IPHash                 // a client's address has the same member as long as that is fit
)

var ruleNames = [...]string{LeastBusy: "least-busy", RoundRobin: "round-robin", Random: "random", IPHash: "ip-hash"}

// String returns the rule's name in the configuration.
func (r Rule) String() string {
	if int(r) < len(ruleNames) {
		return ruleNames[r]
	}
	return "unknown"
}

// MarshalText implements encoding.TextMarshaler.
func (r Rule) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText accepts the names of the rules.
func (r *Rule) UnmarshalText(text []byte) error {
	for i, name := range ruleNames {
		if string(text) == name {
			*r = Rule(i)
			return nil
		}
	}
	return fmt.Errorf("%q is not a balance: write least-busy, round-robin, random, ip-hash, {hash: EXPRESSION} or {sticky: {cookie: NAME}}", text)
}

// seat is what the rules know of a member. The pool's lock guards it.
type seat struct {
	inFlight int
	capacity float64 // weight x slots x share in slow start: what a fair share of the requests in flight is in proportion to
	weight   float64 // weight x share in slow start
	turn     float64 // round robin: how long it has waited for its turn
	id       uint64  // hash of its address
}

// busier reports whether a, with one more request, is busier than b with one more.
func busier(a, b *seat) bool {
	return float64(a.inFlight+1)*b.capacity > float64(b.inFlight+1)*a.capacity
}

// choose returns which of the candidates gets a request, by its index; at least
// one is needed. start is where ties begin, key that of the rules of a hash.
func (b Balance) choose(candidates []*seat, start int, key uint64) int {
	switch {
	case len(candidates) == 1:
		return 0
	case b.hashes():
		return rendezvous(candidates, key)
	case b.Rule == RoundRobin:
		return inTurn(candidates)
	case b.Rule == Random:
		return byWeight(candidates)
	}
	return leastBusy(candidates, start)
}

func leastBusy(candidates []*seat, start int) int {
	n := len(candidates)
	best := start % n
	for i := 1; i < n; i++ {
		if j := (start + i) % n; busier(candidates[best], candidates[j]) {
			best = j
		}
	}
	if candidates[best].inFlight == 0 {
		return idleInTurn(candidates)
	}
	return best
}

// idleInTurn is inTurn among the idle ones, one at least: with little to do it is
// not always the same one, and each has its share by weight.
func idleInTurn(candidates []*seat) int {
	best, sum := -1, 0.0
	for i, s := range candidates {
		if s.inFlight > 0 {
			continue
		}
		s.turn += s.capacity
		sum += s.capacity
		if best < 0 || s.turn > candidates[best].turn {
			best = i
		}
	}
	candidates[best].turn -= sum
	return best
}

// inTurn is the smooth weighted round robin that nginx made known: who has
// waited most by weight goes, and pays the sum.
func inTurn(candidates []*seat) int {
	best, sum := 0, 0.0
	for i, s := range candidates {
		s.turn += s.weight
		sum += s.weight
		if s.turn > candidates[best].turn {
			best = i
		}
	}
	candidates[best].turn -= sum
	return best
}

func byWeight(candidates []*seat) int {
	sum := 0.0
	for _, s := range candidates {
		sum += s.weight
	}
	at := rand.Float64() * sum
	for i, s := range candidates {
		if at -= s.weight; at < 0 {
			return i
		}
	}
	return len(candidates) - 1
}

// rendezvous is highest random weight hashing (Thaler, Ravishankar 1998) with
// weights: whoever scores highest for the key has it, so that the loss of a
// member moves its own keys only, and a member that has no free slot gives the
// request to the next of its key.
func rendezvous(candidates []*seat, key uint64) int {
	if alike(candidates) { // the logarithm changes nothing of who is first
		best, most := 0, uint64(0)
		for i, s := range candidates {
			if score := mix(key, s.id) >> 11; score > most {
				best, most = i, score
			}
		}
		return best
	}
	best, most := 0, math.Inf(-1)
	for i, s := range candidates {
		u := (float64(mix(key, s.id)>>11) + 0.5) / (1 << 53) // in (0, 1)
		if score := -s.weight / math.Log(u); score > most {
			best, most = i, score
		}
	}
	return best
}

// alike reports whether all have the same weight.
func alike(candidates []*seat) bool {
	for _, s := range candidates[1:] {
		if s.weight != candidates[0].weight {
			return false
		}
	}
	return true
}

// mix hashes two words into one that is spread evenly.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^0x9e3779b97f4a7c15, b^0xbf58476d1ce4e5b9)
	x := hi ^ lo
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// HashKey returns the key of a text for Request.Key (FNV-1a).
func HashKey[S ~string | ~[]byte](text S) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 1099511628211
	}
	return h
}
