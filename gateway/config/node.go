package config

// kind is what a node of the file is.
type kind uint8

const (
	nullNode kind = iota
	scalarNode
	mapNode
	listNode
	badNode // already complained about
)

// A node is a value of the file with its place. Nodes of an anchor are shared by
// its aliases and never change.
type node struct {
	kind  kind
	at    place
	text  string // of a scalar, as it was written but for quotes and escapes
	pairs []pair // of a map, in the order of the file
	items []*node
}

// pair is an entry of a map.
type pair struct {
	key   string
	at    place
	value *node
}

// get returns the value of the first key of that name, nil when there is none or
// n is not a map. n may be nil.
func (n *node) get(key string) *node {
	if n == nil {
		return nil
	}
	for _, p := range n.pairs {
		if p.key == key {
			return p.value
		}
	}
	return nil
}

// first is the node itself or, of a list, its first item. n may be nil.
func (n *node) first() *node {
	if n != nil && n.kind == listNode && len(n.items) > 0 {
		return n.items[0]
	}
	return n
}

// what names the kind of n in messages.
func (n *node) what() string {
	switch n.kind {
	case nullNode:
		return "nothing"
	case mapNode:
		return "a map"
	case listNode:
		return "a list"
	default:
		return quoteShort(n.text)
	}
}
