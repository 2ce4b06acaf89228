package uwsgi

import "strings"

// DialectMatters reports whether servers of the two dialects would show the app
// different paths if they were sent the same PATH_INFO. As long as the dialect
// of a member is not known such a request may reach the app under a wrong path,
// never under a path that was decoded twice.
func DialectMatters(path string) bool {
	for i := range len(path) {
		if path[i] >= 0x80 || path[i] == '%' && isEscape(path[i:]) {
			return true
		}
	}
	return false
}

// pathIsPlain reports whether a decoded path goes into PATH_INFO as it is.
func pathIsPlain(path string, d Dialect) bool {
	if d == DialectUWSGI {
		return true
	}
	for i := range len(path) {
		if escapes(path[i:], d) {
			return false
		}
	}
	return true
}

// appendPath appends PATH_INFO for a server that percent-decodes it once more.
func appendPath(dst []byte, path string, d Dialect) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(path) {
		if c := path[i]; escapes(path[i:], d) {
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

// escapes reports whether the first byte of a path's rest is percent-encoded.
//
// uWSGI wants the decoded path, gunicorn decodes what it gets. A member that
// has not answered yet is most likely uWSGI, so it gets the decoded path, with
// one exception: a "%" that a second decoding would act on. There a guess must
// go wrong for one of the two, and it had better be a path with too many "%25"
// at uWSGI, which finds nothing, than /%61dmin read as /admin by a gunicorn
// behind a route that was chosen for another path.
func escapes(rest string, d Dialect) bool {
	if d == DialectAuto {
		return rest[0] == '%' && isEscape(rest)
	}
	return d == DialectGunicorn && !isPlain(rest[0])
}

func isEscape(s string) bool { return len(s) >= 3 && isHex(s[1]) && isHex(s[2]) }

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// isPlain reports whether a path may carry a byte as it is (RFC 3986, 3.3).
func isPlain(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("/-._~!$&'()*+,;=:@", c) >= 0
}
