package conditional

import (
	"strings"

	"headgate/gateway/wire"
)

// strongly is the comparison of RFC 9110, 8.8.3.2 for tags neither of which may be
// weak.
func strongly(a, b string) bool { return a == b && a[0] == '"' }

// weakly is the one to which weakness does not matter.
func weakly(a, b string) bool { return strings.TrimPrefix(a, "W/") == strings.TrimPrefix(b, "W/") }

// matches reports whether the fields of that name have the tag of v, or are * and the
// resource exists.
func matches(f wire.Fields, name string, v Validators, exists bool, same func(a, b string) bool) bool {
	if !exists {
		return false
	}
	if only, ok := f.Only(name); ok && only == "*" {
		return true
	}
	if tag, rest, ok := cutTag(v.ETag); !ok || rest != "" || tag == "" {
		return false
	}
	for i := range f {
		if wire.Same(f[i].Name, name) && lists(f[i].Value, v.ETag, same) {
			return true
		}
	}
	return false
}

// lists reports whether list has the tag.
func lists(list, tag string, same func(a, b string) bool) bool {
	for {
		list = strings.TrimLeft(list, " \t,")
		one, rest, ok := cutTag(list)
		switch {
		case !ok:
			return false
		case same(one, tag):
			return true
		}
		if list = strings.TrimLeft(rest, " \t"); list == "" || list[0] != ',' {
			return false
		}
	}
}

// cutTag returns the entity tag with which s begins.
func cutTag(s string) (tag, rest string, ok bool) {
	begin := 0
	if strings.HasPrefix(s, "W/") {
		begin = 2
	}
	if len(s) < begin+2 || s[begin] != '"' {
		return "", s, false
	}
	for i := begin + 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return s[:i+1], s[i+1:], true
		case c < '!' || c == 0x7f:
			return "", s, false
		}
	}
	return "", s, false
}
