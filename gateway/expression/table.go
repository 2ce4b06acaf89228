package expression

import (
	"errors"
	"fmt"
	"reflect"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// A table is a map of CEL in which every name has a text: that of an absent one
// is "". It looks a name up in the request each time, and builds nothing.
type table struct {
	of     *activation
	name   string
	fields fields
}

var _ traits.Mapper = (*table)(nil)

// Find returns the text of key. It is always found.
func (t *table) Find(key ref.Val) (ref.Val, bool) {
	name, ok := key.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(key), false
	}
	value, _ := t.fields.find(string(name))
	return t.of.text(t.name, value), true
}

// Get returns the text of key.
func (t *table) Get(key ref.Val) ref.Val {
	v, _ := t.Find(key)
	return v
}

// Contains reports whether the request has key.
func (t *table) Contains(key ref.Val) ref.Val {
	name, ok := key.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(key)
	}
	_, found := t.fields.find(string(name))
	return types.Bool(found)
}

// list returns the names that the request has, none when there are too many.
func (t *table) list() []string {
	names := t.fields.names()
	if len(names) > maxNames {
		t.of.exceeds(fmt.Errorf("%s has more than %d names: %w", t.name, maxNames, ErrLimit))
		return nil
	}
	return names
}

// Iterator goes over the names.
func (t *table) Iterator() traits.Iterator {
	names := t.list()
	return types.NewStringList(types.DefaultTypeAdapter, names).(traits.Iterable).Iterator()
}

// Size returns how many names there are.
func (t *table) Size() ref.Val { return types.Int(len(t.list())) }

// copy returns a map that has only what the request has.
func (t *table) copy() map[string]string {
	m := make(map[string]string)
	for _, name := range t.list() {
		value, _ := t.fields.find(name)
		m[name] = string(t.of.text(t.name, value))
	}
	return m
}

// Equal compares all names and texts.
func (t *table) Equal(other ref.Val) ref.Val {
	if o, ok := other.(*table); ok {
		other = types.NewStringStringMap(types.DefaultTypeAdapter, o.copy())
	}
	return types.NewStringStringMap(types.DefaultTypeAdapter, t.copy()).Equal(other)
}

// Type returns the type of maps.
func (t *table) Type() ref.Type { return types.MapType }

// Value returns a map that has only what the request has.
func (t *table) Value() any { return t.copy() }

// ConvertToType converts to nothing but a map and the type.
func (t *table) ConvertToType(to ref.Type) ref.Val {
	switch to {
	case types.MapType:
		return t
	case types.TypeType:
		return types.MapType
	}
	return types.NewErr("%s is no %s", t.name, to.TypeName())
}

// ConvertToNative is not needed by any function that expressions have.
func (t *table) ConvertToNative(reflect.Type) (any, error) {
	return nil, errors.New(t.name + " has no other form")
}
