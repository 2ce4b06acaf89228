package routing

import (
	"slices"
	"sort"
	"strings"
)

// few is the number of routes up to which to try one after the other costs no
// more than to look into an index.
const few = 8

// index finds those of many rules that a path may match, in their order. Exact
// paths are looked up in a map. All other rules hang on nodes by what paths that
// they match begin with: the nodes that a path begins with are a chain, from the
// longest to the empty one.
type index struct {
	exact map[string][]int32
	nodes []node // sorted by text; the first has none
}

// node is a text that rules want a path to begin with.
type node struct {
	text     string
	shorter  int32   // the longest node that text begins with; -1: none
	segments []int32 // rules that want the text to end at a segment boundary
	any      []int32 // the others
}

func newIndex(rules []rule) *index {
	x := &index{exact: make(map[string][]int32)}
	nodes := map[string]*node{"": {}}
	for i := range rules {
		if rules[i].none {
			continue
		}
		text, kind := rules[i].narrowest()
		if kind == matchExact {
			x.exact[text] = append(x.exact[text], int32(i))
			continue
		}
		n := nodes[text]
		if n == nil {
			n = &node{text: text}
			nodes[text] = n
		}
		if kind == matchPrefix {
			n.segments = append(n.segments, int32(i))
		} else {
			n.any = append(n.any, int32(i))
		}
	}
	for _, n := range nodes {
		x.nodes = append(x.nodes, *n)
	}
	slices.SortFunc(x.nodes, func(a, b node) int { return strings.Compare(a.text, b.text) })
	x.link()
	return x
}

// link finds the next shorter one of each node: it is the last before it that its
// text begins with, and on the way of the one before it.
func (x *index) link() {
	x.nodes[0].shorter = -1
	for i := 1; i < len(x.nodes); i++ {
		at := int32(i - 1)
		for !strings.HasPrefix(x.nodes[i].text, x.nodes[at].text) {
			at = x.nodes[at].shorter
		}
		x.nodes[i].shorter = at
	}
}

// narrowest returns the text by which the fewest paths come to r, and what it is:
// an exact path, a prefix at a segment boundary, or any beginning (matchAll).
func (r *rule) narrowest() (text string, kind matchKind) {
	for i := range len(r.also) + 1 {
		m := &r.at
		if i < len(r.also) {
			m = &r.also[i]
		}
		switch {
		case m.kind == matchExact:
			return m.prefix, matchExact
		case m.kind == matchRegexp && len(m.prefix) > len(text):
			text, kind = m.prefix, matchAll
		case (m.kind == matchPrefix || m.kind == matchMount) && len(m.prefix) >= len(text):
			text, kind = m.prefix, matchPrefix
		}
	}
	return text, kind
}

// chain is where to find the rules that a path may match.
type chain struct {
	exact   []int32
	longest int32 // node
}

func (x *index) chain(path string) chain {
	// Of all nodes that are not behind the path, the last has the longest that the
	// path begins with on its way: all between the two begin with that one, too.
	at := int32(sort.Search(len(x.nodes), func(i int) bool { return x.nodes[i].text > path })) - 1
	for common := commonLength(path, x.nodes[at].text); len(x.nodes[at].text) > common; {
		at = x.nodes[at].shorter
	}
	return chain{exact: x.exact[path], longest: at}
}

// after returns the next rule of a chain behind the one with the number last; -1:
// there is none.
func (x *index) after(c chain, path string, last int32) int32 {
	best := next(c.exact, last, -1)
	for i := c.longest; i >= 0; i = x.nodes[i].shorter {
		n := &x.nodes[i]
		best = next(n.any, last, best)
		if len(n.segments) > 0 && hasSegments(path, n.text) {
			best = next(n.segments, last, best)
		}
	}
	return best
}

// next returns the first of numbers behind last, or best if that is before it; best
// is -1 for none.
func next(numbers []int32, last, best int32) int32 {
	if len(numbers) == 0 || numbers[len(numbers)-1] <= last {
		return best
	}
	i := 0
	if numbers[0] <= last {
		i, _ = slices.BinarySearch(numbers, last+1)
	}
	if n := numbers[i]; best < 0 || n < best {
		return n
	}
	return best
}
