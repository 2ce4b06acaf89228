package headers

import (
	"maps"
	"slices"
	"strings"

	"headgate/gateway/expression"
	"headgate/gateway/wire"
)

// changes are Changes that were checked and compiled.
type changes struct {
	names    []string // that are removed
	begins   []string // of names that are removed, but for kept ones
	set, add []change
	kept     func(name string) bool // the names that begins do not take
	dynamic  bool                   // there is an expression
	folds    bool                   // an app may take an underscore for a hyphen
}

// change is one field that is set or added.
type change struct {
	name    string
	text    string
	program *expression.Program // nil: text
}

func newChanges(c Changes, kept func(string) bool) (changes, error) {
	out := changes{kept: kept}
	for _, name := range c.Remove {
		if begin, ok := strings.CutSuffix(name, "*"); ok {
			out.begins = append(out.begins, begin)
		} else {
			out.names = append(out.names, name)
		}
	}
	var err error
	if out.set, err = newList(c.Set, &out.dynamic); err != nil {
		return changes{}, err
	}
	out.add, err = newList(c.Add, &out.dynamic)
	return out, err
}

// newList returns values in the order of their names, and sets dynamic if one of
// them is an expression.
func newList(values map[string]Value, dynamic *bool) ([]change, error) {
	var out []change
	for _, name := range slices.Sorted(maps.Keys(values)) {
		v := values[name]
		p, err := v.compile(name)
		if err != nil {
			return nil, err
		}
		*dynamic = *dynamic || p != nil
		out = append(out, change{name, v.Text, p})
	}
	return out, nil
}

// none reports whether nothing is ever changed.
func (c *changes) none() bool { return len(c.names)+len(c.begins)+len(c.set)+len(c.add) == 0 }

// decides reports whether the operator has said what becomes of name, whatever it
// was: removed or set.
func (c *changes) decides(name string) bool {
	same := func(other change) bool { return wire.Same(other.name, name) }
	return c.removes(name) || slices.ContainsFunc(c.set, same)
}

func (c *changes) apply(f *wire.Fields, v func() expression.View) {
	var view expression.View
	if c.dynamic { // before anything changes: it may look at f
		view = v()
	}
	if len(c.names)+len(c.begins) > 0 || c.folds {
		drop(f, c.drops)
	}
	for i := range c.set {
		replace(f, c.set[i].name, c.set[i].value(view))
	}
	for i := range c.add {
		if value := c.add[i].value(view); value != "" {
			f.Add(c.add[i].name, value)
		}
	}
}

func (c *change) value(v expression.View) string {
	if c.program == nil {
		return c.text
	}
	return evaluated(c.program, v)
}

// drop takes the fields out of f that are gone, and writes nothing if there are none.
func drop(f *wire.Fields, gone func(name string) bool) {
	all := *f
	first := 0
	for first < len(all) && !gone(all[first].Name) {
		first++
	}
	if first == len(all) {
		return
	}
	kept := all[:first]
	for _, field := range all[first+1:] {
		if !gone(field.Name) {
			kept = append(kept, field)
		}
	}
	clear(all[len(kept):])
	*f = kept
}

func (c *changes) removes(name string) bool {
	for _, other := range c.names {
		if wire.Same(name, other) {
			return true
		}
	}
	for _, begin := range c.begins {
		if beginsWith(name, begin) {
			return !c.kept(name)
		}
	}
	return false
}

// drops reports whether a field is removed, or is one that an app takes for another
// that is removed or set: to WSGI X_User is X-User.
func (c *changes) drops(name string) bool {
	if c.removes(name) {
		return true
	}
	return c.folds && strings.Contains(name, "_") && c.decides(strings.ReplaceAll(name, "_", "-"))
}

// replace makes value the only one of name, which is written as it is here. ""
// takes all of them out.
func replace(f *wire.Fields, name, value string) {
	if value == "" {
		if f.Has(name) {
			f.Del(name)
		}
		return
	}
	for i := range *f {
		if !wire.Same((*f)[i].Name, name) {
			continue
		}
		(*f)[i] = wire.Field{Name: name, Value: value}
		rest := (*f)[i+1:]
		if rest.Has(name) {
			rest.Del(name)
			*f = (*f)[:i+1+len(rest)]
		}
		return
	}
	f.Add(name, value)
}
