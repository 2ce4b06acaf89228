package routing

import (
	"errors"
	"strings"
)

// The ways in which a path is refused. Each says what is wrong, and then the cure.
var (
	ErrPathStart   = errors.New("it does not begin with a slash: write /path")
	ErrPathEscape  = errors.New("a % is not followed by two hexadecimal digits: send %25 for a plain %")
	ErrPathControl = errors.New("it has a control byte, a space or a #: percent-encode it")
	ErrPathNUL     = errors.New("it has a NUL byte, which no worker takes: leave %00 out")
	ErrPathAbove   = errors.New(`its ".." lead above the root: leave them out`)
)

// CanonicalPath returns the one form of a path that routing and workers use:
// percent-decoded once, slashes merged, "." and ".." resolved, in that order. An
// escaped slash or dot is as good as a plain one. A trailing slash stays; bytes
// that are not UTF-8 stay. A path that is canonical already is returned as it is,
// without an allocation; the work and memory for any other grow with its length
// alone. raw must not contain the query.
//
// The result begins with a slash and has no empty segment but the last, and no
// segment "." or "..". It is decoded: to canonicalize it again, encode it first,
// or a literal % is taken for an escape.
func CanonicalPath(raw string) (string, error) {
	if raw == "" || raw[0] != '/' {
		return "", ErrPathStart
	}
	escaped, unclean := false, false
	for i := range len(raw) {
		switch c := raw[i]; {
		case c == 0:
			return "", ErrPathNUL
		case c <= ' ', c == 0x7f, c == '#':
			return "", ErrPathControl
		case c == '%':
			escaped = true
		case c == '/' && !unclean:
			unclean = startsUnclean(raw[i+1:])
		}
	}
	if !escaped && !unclean {
		return raw, nil
	}
	return rewrite(raw)
}

// startsUnclean reports whether what follows a slash begins with another one or
// with a dot segment. A name such as .well-known is neither.
func startsUnclean(s string) bool {
	n := 0
	for n < len(s) && n < 2 && s[n] == '.' {
		n++
	}
	if n == len(s) {
		return n > 0
	}
	return s[n] == '/'
}

// rewrite decodes and resolves into one new buffer. Both steps only shorten.
func rewrite(raw string) (string, error) {
	var short [256]byte // keeps what most paths need off the heap
	b := short[:0]
	if len(raw) > len(short) {
		b = make([]byte, 0, len(raw))
	}
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c == '%' {
			var err error
			if c, err = unescape(raw[i:]); err != nil {
				return "", err
			}
			i += 2
		}
		b = append(b, c)
	}
	b, err := resolve(b)
	return string(b), err
}

// unescape returns the byte that the escape at the beginning of s stands for.
func unescape(s string) (byte, error) {
	if len(s) < 3 {
		return 0, ErrPathEscape
	}
	hi, ok1 := hexDigit(s[1])
	lo, ok2 := hexDigit(s[2])
	switch c := hi<<4 | lo; {
	case !ok1 || !ok2:
		return 0, ErrPathEscape
	case c == 0:
		return 0, ErrPathNUL
	default:
		return c, nil
	}
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// resolve merges slashes and removes dot segments in place. p begins with a
// slash. What is written never gets ahead of what is read: a segment is written
// with the one slash that was read before it.
func resolve(p []byte) ([]byte, error) {
	w := 0 // p[:w] is done and does not end with a slash
	for r := 0; r < len(p); {
		begin := r + 1 // p[r] is a slash
		for r = begin; r < len(p) && p[r] != '/'; r++ {
		}
		seg := p[begin:r]
		switch string(seg) {
		case "", ".":
		case "..":
			if w == 0 {
				return nil, ErrPathAbove
			}
			for w--; p[w] != '/'; w-- {
			}
		default:
			p[w] = '/'
			w += 1 + copy(p[w+1:], seg)
			continue
		}
		if r == len(p) { // the last segment is a directory
			p[w] = '/'
			w++
		}
	}
	return p[:w], nil
}

// isCanonical reports whether p, which is decoded already, is what
// CanonicalPath would return for some path.
func isCanonical(p string) bool {
	if p == "" || p[0] != '/' || strings.Contains(p, "//") || strings.IndexByte(p, 0) >= 0 {
		return false
	}
	for seg := range strings.SplitSeq(p, "/") {
		if seg == "." || seg == ".." {
			return false
		}
	}
	return true
}
