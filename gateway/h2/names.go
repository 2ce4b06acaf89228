package h2

// Classes of bytes.
const (
	inToken = 1 << iota // RFC 9110, 5.6.2
	inName              // a token without upper-case letters (RFC 9113, 8.2.1)
	inValue             // RFC 9110, 5.5
)

// classes is written only here.
var classes = func() (t [256]uint8) {
	for i := range t {
		c := byte(i)
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if letter || '0' <= c && c <= '9' {
			t[i] |= inToken
		}
		if c == '\t' || c >= ' ' && c != 0x7f {
			t[i] |= inValue
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
func all(s string, class uint8) bool {
	for i := range len(s) {
		if classes[s[i]]&class == 0 {
			return false
		}
	}
	return true
}

// validValue reports whether s may be the value of a field: no controls, and no
// white space around it (RFC 9113, 8.2.1).
func validValue(s string) bool {
	if s == "" {
		return true
	}
	return !blank(s[0]) && !blank(s[len(s)-1]) && all(s, inValue)
}

func blank(c byte) bool { return c == ' ' || c == '\t' }

// What to do with a field of an answer.
type fieldKind uint8

const (
	fieldShared fieldKind = iota // comes again with the same value
	fieldUnique                  // seldom has the same value twice
	fieldSecret                  // must not be in a table that an attacker could measure (RFC 7541, 7.1)
	fieldOfHop                   // is the engine's business, or has no meaning on HTTP/2
	fieldDate
)

// known returns the index in HPACK's static table of a name in lower case, 0 if
// it has none, and its kind.
func known(name []byte) (index byte, kind fieldKind) {
	switch string(name) {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade", "te", "content-length":
		return 0, fieldOfHop
	case "x-request-id", "traceparent", "server-timing", "content-md5", "repr-digest", "content-digest":
		return 0, fieldUnique
	case "accept-charset":
		return 15, fieldShared
	case "accept-encoding":
		return 16, fieldShared
	case "accept-language":
		return 17, fieldShared
	case "accept-ranges":
		return 18, fieldShared
	case "accept":
		return 19, fieldShared
	case "access-control-allow-origin":
		return 20, fieldShared
	case "age":
		return 21, fieldUnique
	case "allow":
		return 22, fieldShared
	case "authorization":
		return 23, fieldSecret
	case "cache-control":
		return 24, fieldShared
	case "content-disposition":
		return 25, fieldUnique
	case "content-encoding":
		return 26, fieldShared
	case "content-language":
		return 27, fieldShared
	case "content-location":
		return 29, fieldUnique
	case "content-range":
		return 30, fieldUnique
	case "content-type":
		return 31, fieldShared
	case "date":
		return 33, fieldDate
	case "etag":
		return 34, fieldUnique
	case "expires":
		return 36, fieldUnique
	case "last-modified":
		return 44, fieldUnique
	case "link":
		return 45, fieldShared
	case "location":
		return 46, fieldUnique
	case "proxy-authenticate":
		return 48, fieldShared
	case "refresh":
		return 52, fieldShared
	case "retry-after":
		return 53, fieldShared
	case "server":
		return 54, fieldShared
	case "set-cookie":
		return 55, fieldSecret
	case "strict-transport-security":
		return 56, fieldShared
	case "vary":
		return 59, fieldShared
	case "via":
		return 60, fieldShared
	case "www-authenticate":
		return 61, fieldShared
	}
	return 0, fieldShared
}

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
