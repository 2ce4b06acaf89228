package uwsgi

// Field is one line of a header, as it was sent.
type Field struct{ Name, Value string }

// FieldList is a header in the order in which it was sent. It serves as the
// [Fields] of a request, and as [Listed] is the cheapest of them.
type FieldList []Field

// Range implements Fields.
func (l FieldList) Range(f func(name, value string) bool) {
	for i := range l {
		if !f(l[i].Name, l[i].Value) {
			return
		}
	}
}

// Len implements Listed.
func (l FieldList) Len() int { return len(l) }

// At implements Listed.
func (l FieldList) At(i int) (name, value string) { return l[i].Name, l[i].Value }

// get returns the first value of a name that is given in lower case, and whether
// there is one.
func (l FieldList) get(lower string) (value string, ok bool) {
	for i := range l {
		if same(l[i].Name, lower) {
			return l[i].Value, true
		}
	}
	return "", false
}

// same reports whether name, which is a token, is lower in any case; lower is made
// of small letters and "-".
func same(name, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i := range len(name) {
		if name[i]|0x20 != lower[i] {
			return false
		}
	}
	return true
}
