package cache

import (
	"slices"
	"strings"

	"headgate/gateway/wire"
)

// varied is one field of the requests that an answer is for (4.1). It goes to disk
// as it is.
type varied struct {
	Name   string
	Value  string // normalized
	Raw    string // of the request that fetched it, if it had one line
	Absent bool   // the request had none
}

// maxVaried bounds the names of a Vary.
const maxVaried = 32

// varyOf returns what of a request's header the answer f is for. ok is false if no
// other request may have it.
func varyOf(f, request wire.Fields) (vary []varied, ok bool) {
	for line := range f.Values("Vary") {
		for name := range strings.SplitSeq(line, ",") {
			name = trim(name)
			switch {
			case name == "*", len(vary) == maxVaried:
				return nil, false
			case name != "" && !slices.ContainsFunc(vary, func(v varied) bool { return wire.Same(v.Name, name) }):
				vary = append(vary, variedBy(name, request).clone())
			}
		}
	}
	return vary, true
}

func variedBy(name string, request wire.Fields) varied {
	v := varied{Name: name}
	v.Value, v.Absent = normalized(name, request)
	v.Raw, _ = request.Only(name)
	return v
}

// clone returns v with texts of its own, so that an entry does not keep those of a
// whole request.
func (v varied) clone() varied {
	v.Name, v.Value, v.Raw = strings.Clone(v.Name), strings.Clone(v.Value), strings.Clone(v.Raw)
	return v
}

// matches reports whether an answer is for a request with this header.
func matches(vary []varied, request wire.Fields) bool {
	for i := range vary {
		if !vary[i].matches(request) {
			return false
		}
	}
	return true
}

func (v *varied) matches(request wire.Fields) bool {
	raw, once := request.Only(v.Name)
	switch {
	case once && v.Raw == raw && !v.Absent:
		return true
	case !once && v.Absent:
		return !request.Has(v.Name)
	}
	value, absent := normalized(v.Name, request)
	return absent == v.Absent && value == v.Value
}

// sameVariant reports whether two answers are for the same requests.
func sameVariant(a, b []varied) bool {
	return slices.EqualFunc(a, b, func(a, b varied) bool {
		return wire.Same(a.Name, b.Name) && a.Value == b.Value && a.Absent == b.Absent
	})
}

// normalized returns the value of a field in a form that is the same for requests
// that mean the same.
func normalized(name string, request wire.Fields) (value string, absent bool) {
	absent = true
	for v := range request.Values(name) {
		if !absent {
			value += ", "
		}
		value += trim(v)
		absent = false
	}
	switch {
	case absent:
		return "", true
	case wire.Same(name, "Accept-Encoding"):
		return tokens(value, true), false
	case wire.Same(name, "Accept-Language"), wire.Same(name, "Accept-Charset"):
		return tokens(value, false), false
	}
	return value, false
}

// tokens writes a list of tokens with their weights in one way. Sorted ones mean the
// same in any order, which is so where the order does not tell a preference.
func tokens(list string, sorted bool) string {
	var parts []string
	for part := range strings.SplitSeq(strings.ToLower(list), ",") {
		part = strings.Map(func(c rune) rune {
			if c == ' ' || c == '\t' {
				return -1
			}
			return c
		}, part)
		if at := strings.LastIndex(part, ";q=1"); at >= 0 && strings.Trim(part[at+len(";q=1"):], ".0") == "" {
			part = part[:at]
		}
		if part != "" {
			parts = append(parts, part)
		}
	}
	if sorted {
		slices.Sort(parts)
		parts = slices.Compact(parts)
	}
	return strings.Join(parts, ",")
}
