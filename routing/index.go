package routing

import "strings"

// few is the number of routes up to which to try one after the other costs no
// more than to look into an index.
const few = 8

// index finds the first of many matchers that match a path: literal ones by
// look-ups in maps, one for each segment of the path up to the deepest prefix
// there is, and the others in their order.
type index struct {
	exact    map[string]int // the first matcher of each text
	prefixes map[string]int // likewise; mounts too
	depth    int            // slashes in the prefix that has the most
	others   []int          // those that have to be tried: regular expressions, and what matches everything
}

func newIndex(all []matcher) *index {
	x := &index{exact: make(map[string]int), prefixes: make(map[string]int)}
	for i := range all {
		m := &all[i]
		switch m.kind {
		case matchExact:
			first(x.exact, m.prefix, i)
		case matchPrefix, matchMount:
			first(x.prefixes, m.prefix, i)
			x.depth = max(x.depth, strings.Count(m.prefix, "/"))
		default:
			x.others = append(x.others, i)
		}
	}
	return x
}

func first(of map[string]int, text string, i int) {
	if _, taken := of[text]; !taken {
		of[text] = i
	}
}

// find returns the first of all that matches path, or -1. It does not allocate.
func (x *index) find(all []matcher, path string) int {
	best := len(all)
	if i, ok := x.exact[path]; ok {
		best = i
	}
	best = min(best, x.findPrefix(path, best))
	for _, i := range x.others {
		if i > best {
			break
		}
		if all[i].match(path) {
			best = i
			break
		}
	}
	if best == len(all) {
		return -1
	}
	return best
}

// findPrefix returns the least number of a prefix of path at a segment boundary,
// or best. A prefix ends before a slash, behind one, or with the path.
func (x *index) findPrefix(path string, best int) int {
	at := 1 // behind the first slash, which a prefix has too
	for range x.depth {
		i := strings.IndexByte(path[at:], '/')
		end := len(path)
		if i >= 0 {
			end = at + i
		}
		if n, ok := x.prefixes[path[:end]]; ok {
			best = min(best, n)
		}
		if i < 0 {
			return best
		}
		at = end + 1
		if n, ok := x.prefixes[path[:at]]; ok {
			best = min(best, n)
		}
	}
	return best
}
