package config

import (
	"encoding"
	"reflect"
	"strings"
	"time"
)

// field is a key of a struct. Fields of inlined structs are as if they were its
// own. With the tag "name,short" the struct may be written as the value of this
// key alone.
type field struct {
	name  string
	index []int
	typ   reflect.Type
	short bool
}

// fieldsOf lists the keys of a struct type in the order of its source.
func fieldsOf(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, option, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case !f.IsExported() || name == "-":
		case option == "inline":
			for _, in := range fieldsOf(f.Type) {
				in.index = append([]int{i}, in.index...)
				out = append(out, in)
			}
		case name != "":
			out = append(out, field{name: name, index: f.Index, typ: f.Type, short: option == "short"})
		}
	}
	return out
}

// isScalar reports whether values of t are written as plain text.
func isScalar(t reflect.Type) bool {
	if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return true
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Map, reflect.Slice, reflect.Pointer, reflect.Interface:
		return false
	}
	return true
}

// keysOf calls visit for every key below t: its path, which is a pattern, and its
// type.
func keysOf(t reflect.Type, p path, visit func(p path, t reflect.Type)) {
	switch {
	case t.Kind() == reflect.Pointer:
		keysOf(t.Elem(), p, visit)
	case isScalar(t), t == reflect.TypeFor[time.Duration]():
	case t.Kind() == reflect.Struct:
		for _, f := range fieldsOf(t) {
			if strings.HasSuffix(p.pattern, "routes[]") && f.name == "routes" {
				continue // as those outside
			}
			visit(p.key(f.name), f.typ)
			keysOf(f.typ, p.key(f.name), visit)
		}
	case t.Kind() == reflect.Map:
		keysOf(t.Elem(), p.name("*"), visit)
	case t.Kind() == reflect.Slice:
		keysOf(t.Elem(), p.item(0), visit)
	}
}
