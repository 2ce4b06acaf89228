package config

import (
	"fmt"
	"strconv"
	"strings"
)

// path is the way to a value. Its pattern has * for any name of a map and [] for
// any item of a list, and is what the tables of rules.go are written in.
type path struct {
	elems   []string
	pattern string
}

func (p path) add(elem, pattern string) path {
	elems := append(p.elems[:len(p.elems):len(p.elems)], elem)
	return path{elems: elems, pattern: p.pattern + pattern}
}

// key is the field name of a struct below p. Routes within a route have the pattern
// of that route: what is true of one is true of all.
func (p path) key(name string) path {
	if outer, ok := strings.CutSuffix(p.pattern, ".routes[]"); ok && name == "routes" {
		p.pattern = outer
	}
	if len(p.elems) == 0 {
		return p.add(name, name)
	}
	return p.add(name, "."+name)
}

// keys follows a dotted name of fields.
func (p path) keys(dotted string) path {
	for name := range strings.SplitSeq(dotted, ".") {
		p = p.key(name)
	}
	return p
}

// name is the entry of a map below p.
func (p path) name(name string) path { return p.add(name, ".*") }

// item is the entry of a list below p.
func (p path) item(i int) path { return p.add("["+strconv.Itoa(i)+"]", "[]") }

// parent is p without its last element. Its pattern is not kept.
func (p path) parent() path { return path{elems: p.elems[:len(p.elems)-1]} }

// id tells paths apart, whatever their names contain.
func (p path) id() string { return strings.Join(p.elems, "\x00") }

// String is the path as people write it: sites[0].routes[2].redirect.to.
func (p path) String() string {
	var b strings.Builder
	for i, e := range p.elems {
		if i > 0 && !strings.HasPrefix(e, "[") {
			b.WriteByte('.')
		}
		b.WriteString(e)
	}
	return b.String()
}

// title says what p is about in the words of the file; site names a site.
func (p path) title(site func(i int) string) string {
	switch {
	case len(p.elems) >= 2 && p.elems[0] == "pools":
		return join(fmt.Sprintf("pool %q", p.elems[1]), p.elems[2:])
	case len(p.elems) >= 2 && p.elems[0] == "sites":
		head, rest := siteTitle(p.elems[1], site), p.elems[2:]
		for sep := ": route "; len(rest) >= 2 && rest[0] == "routes"; sep = "." {
			head, rest = fmt.Sprintf("%s%s%d", head, sep, index(rest[1])+1), rest[2:]
		}
		return join(head, rest)
	}
	return p.String()
}

func siteTitle(elem string, site func(i int) string) string {
	i := index(elem)
	if name := site(i); name != "" {
		return fmt.Sprintf("site %q", name)
	}
	return fmt.Sprintf("site %d", i+1)
}

func join(head string, rest []string) string {
	if len(rest) == 0 {
		return head
	}
	return head + ": " + path{elems: rest}.String()
}

// index is the number in "[3]".
func index(elem string) int {
	n, _ := strconv.Atoi(strings.Trim(elem, "[]"))
	return n
}
