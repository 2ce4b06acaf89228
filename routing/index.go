package routing

import (
	"slices"
	"strings"
)

// few is the number of routes up to which to try one after the other costs no
// more than to look into an index.
const few = 8

// index finds those of many rules that a path may match, in their order. Rules
// hang on nodes by what all paths that they match begin with; the nodes that a path
// begins with are a chain, from the longest to the empty one. All is kept close
// together: a table of many sites is rarely in the cache of the processor.
type index struct {
	nodes   []node // sorted by text; the first has none
	numbers []int32
}

// node is a text that rules want a path to begin with. Their numbers are in order,
// by what must follow the text.
type node struct {
	text    string
	shorter int32 // the longest node that text begins with; -1: none
	any     int32 // numbers[any:segment]: anything
	segment int32 // numbers[segment:whole]: the end of a segment
	whole   int32 // numbers[whole:end]: nothing, for exact paths
	end     int32
}

// newIndex makes an index of rules, whose texts it moves together.
func newIndex(rules []rule) *index {
	by := map[string]*[3][]int32{"": {}}
	for i := range rules {
		if rules[i].none {
			continue
		}
		text, follows := rules[i].narrowest()
		if by[text] == nil {
			by[text] = new([3][]int32)
		}
		by[text][follows] = append(by[text][follows], int32(i))
	}
	texts := make([]string, 0, len(by))
	for text := range by {
		texts = append(texts, text)
	}
	slices.Sort(texts)
	together := strings.Join(texts, "")
	x := &index{nodes: make([]node, len(texts)), numbers: make([]int32, 0, len(rules))}
	for i, text := range texts {
		text, together = together[:len(text)], together[len(text):]
		x.nodes[i] = x.node(text, by[text])
		for _, n := range x.numbers[x.nodes[i].any:] {
			if at := &rules[n].at; at.prefix == text {
				at.prefix = text // the same, elsewhere
			}
		}
	}
	x.link()
	return x
}

func (x *index) node(text string, by *[3][]int32) node {
	n := node{text: text, any: int32(len(x.numbers))}
	x.numbers = append(x.numbers, by[followsAny]...)
	n.segment = int32(len(x.numbers))
	x.numbers = append(x.numbers, by[followsSegment]...)
	n.whole = int32(len(x.numbers))
	x.numbers = append(x.numbers, by[followsNothing]...)
	n.end = int32(len(x.numbers))
	return n
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

// What must follow a text in the path.
const (
	followsAny = iota
	followsSegment
	followsNothing
)

// narrowest returns the text by which the fewest paths come to r, and what must
// follow it.
func (r *rule) narrowest() (text string, follows int) {
	for i := range len(r.also) + 1 {
		m := &r.at
		if i < len(r.also) {
			m = &r.also[i]
		}
		switch {
		case m.kind == matchExact:
			return m.prefix, followsNothing
		case m.kind == matchRegexp && len(m.prefix) > len(text):
			text, follows = m.prefix, followsAny
		case (m.kind == matchPrefix || m.kind == matchMount) && len(m.prefix) >= len(text):
			text, follows = m.prefix, followsSegment
		}
	}
	return text, follows
}

// longest returns the longest node that path begins with. Of all that do not come
// behind the path, the last is on the way to it: all between the two begin with it.
func (x *index) longest(path string) int32 {
	low, high := 0, len(x.nodes) // nodes[low] is not behind the path, nodes[high] is
	for high-low > 1 {
		if middle := (low + high) / 2; x.nodes[middle].text > path {
			high = middle
		} else {
			low = middle
		}
	}
	at := int32(low)
	for common := commonLength(path, x.nodes[at].text); len(x.nodes[at].text) > common; {
		at = x.nodes[at].shorter
	}
	return at
}

// after returns the next rule behind the one with the number last, on the chain
// that begins with the node longest; -1: there is none.
func (x *index) after(longest int32, path string, last int32) int32 {
	best := int32(-1)
	for i := longest; i >= 0; {
		n := &x.nodes[i]
		best = next(x.numbers[n.any:n.segment], last, best)
		if n.segment < n.whole && hasSegments(path, n.text) {
			best = next(x.numbers[n.segment:n.whole], last, best)
		}
		if len(path) == len(n.text) {
			best = next(x.numbers[n.whole:n.end], last, best)
		}
		i = n.shorter
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
