package h3

// Classes of bytes.
const (
	inToken  = 1 << iota // RFC 9110, 5.6.2
	inName               // a token without upper-case letters (RFC 9114, 4.2)
	inValue              // RFC 9110, 5.5
	inTarget             // no spaces, no controls
)

// classes is written only here.
var classes = func() (t [256]uint8) {
	for i := range t {
		c := byte(i)
		if 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' {
			t[i] |= inToken
		}
		if c == '\t' || c >= ' ' && c != 0x7f {
			t[i] |= inValue
		}
		if c > ' ' && c != 0x7f {
			t[i] |= inTarget
		}
	}
	for _, c := range []byte("!#$%&'*+-.^_`|~") {
		t[c] |= inToken
	}
	for i := range t {
		if t[i]&inToken != 0 && (i < 'A' || i > 'Z') {
			t[i] |= inName
		}
	}
	return t
}()

// all reports whether s has only bytes of a class.
func all[S string | []byte](s S, class uint8) bool {
	every := class
	for i := range len(s) {
		every &= classes[s[i]]
	}
	return every == class
}

// validValue reports whether b may be the value of a field: no controls, and no
// white space around it (RFC 9114, 4.2 and RFC 9110, 5.5).
func validValue(b []byte) bool {
	if len(b) == 0 {
		return true
	}
	return !blank(b[0]) && !blank(b[len(b)-1]) && all(b, inValue)
}

func blank(c byte) bool { return c == ' ' || c == '\t' }

// appendLower appends name in lower case.
func appendLower(dst []byte, name string) []byte {
	for i := range len(name) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}
