package uwsgi

import (
	"cmp"
	"slices"
	"strings"
)

// Constants are what of a pool's Options is the same in every packet, prepared
// once. They are immutable and safe for concurrent use; nil means none.
type Constants struct {
	modifier1 byte
	modifier2 byte
	vars      []Var    // sorted by key
	names     seen     // of vars
	block     []byte   // vars as they are sent; nil: they are too long for that
	places    []varPos // of vars in block
	hidden    []string // variables that are not sent even if a client's header makes them
}

// NewConstants prepares o, which has passed Validate. It keeps nothing of o.
//
// An HTTP_ variable with an empty value hides the client's header of that name
// and is not sent itself, as in nginx.
func NewConstants(o Options) *Constants {
	c := &Constants{modifier1: byte(o.Modifier1), modifier2: byte(o.Modifier2)}
	for key, value := range o.Vars {
		switch {
		case key == "", key == "UWSGI_SCHEME", frames(key): // are the encoder's
		case value == "" && strings.HasPrefix(key, "HTTP_"):
			c.hidden = append(c.hidden, key)
		default:
			c.vars = append(c.vars, Var{Key: key, Value: value})
		}
	}
	slices.SortFunc(c.vars, func(a, b Var) int { return cmp.Compare(a.Key, b.Key) })
	slices.Sort(c.hidden)
	for _, v := range c.vars {
		if len(v.Key) > MaxVarsBytes || len(v.Value) > MaxVarsBytes { // fits no packet, so neither does all
			c.block = nil
			break
		}
		name := slotOf(v.Key)
		c.names.add(&name)
		c.places = append(c.places, varPos{at: len(c.block), key: len(v.Key), size: len(v.Value)})
		c.block = AppendVar(c.block, v.Key, v.Value)
	}
	return c
}
