package wire

import "iter"

// Field is one line of a header.
type Field struct{ Name, Value string }

// Fields is a header in the order in which it was sent. Names are as they came;
// every method compares them without regard to case (RFC 9110, 5.1). The zero
// value is an empty header.
type Fields []Field

// Get returns the first value of a name, "" if there is none.
func (f Fields) Get(name string) string {
	v, _ := f.Lookup(name)
	return v
}

// Lookup returns the first value of a name and whether there is one.
func (f Fields) Lookup(name string) (value string, ok bool) {
	for i := range f {
		if Same(f[i].Name, name) {
			return f[i].Value, true
		}
	}
	return "", false
}

// Has reports whether there is a field of that name.
func (f Fields) Has(name string) bool {
	_, ok := f.Lookup(name)
	return ok
}

// Only returns the value of a name that was sent exactly once.
func (f Fields) Only(name string) (value string, ok bool) {
	for i := range f {
		if Same(f[i].Name, name) {
			if ok {
				return "", false
			}
			value, ok = f[i].Value, true
		}
	}
	return value, ok
}

// Values yields all values of a name in their order.
func (f Fields) Values(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range f {
			if Same(f[i].Name, name) && !yield(f[i].Value) {
				return
			}
		}
	}
}

// Add appends a field.
func (f *Fields) Add(name, value string) { *f = append(*f, Field{name, value}) }

// Set makes value the only one of name.
func (f *Fields) Set(name, value string) {
	for i := range *f {
		if Same((*f)[i].Name, name) {
			(*f)[i].Value = value
			rest := (*f)[i+1:]
			rest.Del(name)
			*f = (*f)[:i+1+len(rest)]
			return
		}
	}
	f.Add(name, value)
}

// Del takes out every field of that name.
func (f *Fields) Del(name string) {
	kept := (*f)[:0]
	for _, field := range *f {
		if !Same(field.Name, name) {
			kept = append(kept, field)
		}
	}
	clear((*f)[len(kept):])
	*f = kept
}

// Same reports whether two names of fields are the same: ASCII letters compare
// without regard to case.
func Same(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if a[i] != b[i] && lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

// OneOf reports whether name is the same as one of names.
func OneOf(name string, names ...string) bool {
	for _, n := range names {
		if Same(name, n) {
			return true
		}
	}
	return false
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}
