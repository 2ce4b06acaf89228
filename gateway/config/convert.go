package config

import (
	"fmt"

	"github.com/goccy/go-yaml/ast"
)

// converter makes our nodes of the library's.
type converter struct {
	anchors map[string]*node
	faults  []*syntaxError
	made    int // entries copied by merge keys
}

func (c *converter) fault(n ast.Node, msg, hint string) {
	c.faults = append(c.faults, &syntaxError{nodePlace(n), msg, hint})
}

// nodePlace is where n begins: of a map without braces at its first key.
func nodePlace(n ast.Node) place {
	switch m := n.(type) {
	case *ast.MappingNode:
		if len(m.Values) > 0 && !m.IsFlowStyle {
			return tokenPlace(m.Values[0].Key.GetToken())
		}
	case *ast.MappingValueNode:
		return tokenPlace(m.Key.GetToken())
	}
	if n == nil || n.GetToken() == nil {
		return place{1, 1}
	}
	return tokenPlace(n.GetToken())
}

// node converts n. It never returns nil.
func (c *converter) node(n ast.Node) *node {
	if n == nil || n.GetToken() == nil {
		return &node{}
	}
	at := tokenPlace(n.GetToken())
	switch n := n.(type) {
	case *ast.NullNode:
		return &node{at: at}
	case *ast.StringNode:
		return &node{kind: scalarNode, at: at, text: n.Value}
	case *ast.LiteralNode:
		return &node{kind: scalarNode, at: tokenPlace(n.Start), text: n.Value.Value}
	case *ast.MappingNode:
		return c.mapping(n, n.Values)
	case *ast.MappingValueNode:
		return c.mapping(n, []*ast.MappingValueNode{n})
	case *ast.SequenceNode:
		out := &node{kind: listNode, at: tokenPlace(n.Start)}
		for _, v := range n.Values {
			out.items = append(out.items, c.node(v))
		}
		return out
	case *ast.AnchorNode:
		out := c.node(n.Value)
		c.anchors[n.Name.GetToken().Value] = out
		return out
	case *ast.AliasNode:
		return c.alias(n)
	case *ast.TagNode:
		c.fault(n, fmt.Sprintf("the tag %s is not understood", n.Start.Value), "remove it; put text that begins with ! in quotes")
		return c.node(n.Value)
	case ast.ScalarNode:
		return &node{kind: scalarNode, at: at, text: n.GetToken().Value}
	}
	c.fault(n, "this is not expected here", "")
	return &node{at: at}
}

func (c *converter) alias(n *ast.AliasNode) *node {
	name := n.Value.GetToken().Value
	if out, ok := c.anchors[name]; ok {
		return out
	}
	c.fault(n, fmt.Sprintf("*%s names no anchor above it", name), fmt.Sprintf("for a name write it in quotes: \"*%s\"", name))
	return &node{kind: badNode, at: tokenPlace(n.GetToken())}
}

func (c *converter) mapping(n ast.Node, values []*ast.MappingValueNode) *node {
	out := &node{kind: mapNode, at: nodePlace(n)}
	seen := make(map[string]place, len(values))
	var merged []*node
	for _, v := range values {
		if v.Key.IsMergeKey() {
			merged = append(merged, c.node(v.Value))
			continue
		}
		key, ok := v.Key.(ast.ScalarNode)
		if !ok {
			c.fault(v.Key, "this cannot be a key", "a key is plain text; text that begins with * & ! ? or { goes in quotes")
			continue
		}
		p := pair{key: key.GetToken().Value, at: tokenPlace(key.GetToken()), value: c.node(v.Value)}
		if first, twice := seen[p.key]; twice {
			c.fault(key, fmt.Sprintf("key %s is already given in line %d", quoteShort(p.key), first.line), "remove one of the two")
			continue
		}
		seen[p.key] = p.at
		out.pairs = append(out.pairs, p)
	}
	for _, m := range merged {
		c.merge(out, m, seen)
	}
	return out
}

// merge adds what "<<:" brings and the map does not say itself.
func (c *converter) merge(out, from *node, seen map[string]place) {
	for _, item := range from.items {
		c.merge(out, item, seen)
	}
	for _, p := range from.pairs {
		if c.made++; c.made > maxTokens {
			return
		}
		if _, ok := seen[p.key]; !ok {
			seen[p.key] = p.at
			out.pairs = append(out.pairs, p)
		}
	}
}
