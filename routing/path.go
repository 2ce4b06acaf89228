package routing

import (
	"errors"
	"strings"
)

// The ways in which a path is refused.
var (
	ErrPathStart   = errors.New("it does not begin with a slash")
	ErrPathEscape  = errors.New("a % is not followed by two hexadecimal digits")
	ErrPathControl = errors.New("it has a control byte, a space or a #, which must be escaped")
	ErrPathNUL     = errors.New("it has a NUL byte")
	ErrPathAbove   = errors.New(`its ".." lead above the root`)
)

// CanonicalPath returns the one form of a path that routing and workers use:
// percent-decoded once, slashes merged, "." and ".." resolved, in that order. An
// escaped slash or dot is as good as a plain one. A trailing slash stays; bytes
// that are not UTF-8 stay. A path that is canonical already is returned as it is,
// without an allocation. raw must not contain the query.
func CanonicalPath(raw string) (string, error) {
	if raw == "" || raw[0] != '/' {
		return "", ErrPathStart
	}
	clean := true
	for i := range len(raw) {
		switch c := raw[i]; {
		case c <= ' ', c == 0x7f, c == '#':
			return "", ErrPathControl
		case c == '%':
			clean = false
		case c == '/' && i+1 < len(raw) && (raw[i+1] == '/' || raw[i+1] == '.'):
			clean = false
		}
	}
	if clean {
		return raw, nil
	}
	decoded, err := decode(raw)
	if err != nil {
		return "", err
	}
	return resolve(decoded)
}

// decode undoes percent-encoding once.
func decode(raw string) (string, error) {
	if !strings.Contains(raw, "%") {
		return raw, nil
	}
	b := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c == '%' {
			if i+2 >= len(raw) {
				return "", ErrPathEscape
			}
			hi, ok1 := hexDigit(raw[i+1])
			lo, ok2 := hexDigit(raw[i+2])
			if !ok1 || !ok2 {
				return "", ErrPathEscape
			}
			if c = hi<<4 | lo; c == 0 {
				return "", ErrPathNUL
			}
			i += 2
		}
		b = append(b, c)
	}
	return string(b), nil
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

// resolve merges slashes and removes dot segments.
func resolve(p string) (string, error) {
	b := make([]byte, 0, len(p))
	for rest := p; ; {
		seg, after, more := strings.Cut(rest[1:], "/") // rest begins with a slash
		switch seg {
		case "":
		case ".":
		case "..":
			i := strings.LastIndexByte(string(b), '/')
			if i < 0 {
				return "", ErrPathAbove
			}
			b = b[:i]
		default:
			b = append(append(b, '/'), seg...)
		}
		if !more {
			if seg == "" || seg == "." || seg == ".." {
				b = append(b, '/')
			}
			return string(b), nil
		}
		rest = "/" + after
	}
}
