package subscribe

import (
	"errors"
	"fmt"
	"strings"
)

// maxHost is the longest name that DNS has, without a dot at its end.
const maxHost = 253

// What is wrong with a key.
var (
	errKeyLong  = errors.New("key is longer than a host name may be")
	errKeyByte  = errors.New("key has signs that no host name has")
	errKeyLabel = errors.New("key has an empty part or one of more than 63 bytes")
	errKeyPort  = errors.New("key has a port that is no number from 1 to 65535")
	errKeyEmpty = errors.New("key names no host")
)

// hostKey returns the host name that a key stands for: in lower case, without a port
// and without a dot at its end. ".example.com" stays, it is for all names below.
func hostKey(key string) (string, error) {
	host, port, found := strings.Cut(key, ":")
	if found && !isPort(port) {
		return "", errKeyPort
	}
	host = strings.TrimSuffix(host, ".")
	name := strings.TrimPrefix(host, ".")
	switch {
	case name == "":
		return "", errKeyEmpty
	case len(host) > maxHost:
		return "", errKeyLong
	}
	label := 0
	for i := range len(name) {
		c := name[i]
		switch {
		case c == '.' && label == 0:
			return "", errKeyLabel
		case c == '.':
			label = 0
			continue
		case !isHostByte(c):
			return "", errKeyByte
		}
		if label++; label > 63 {
			return "", errKeyLabel
		}
	}
	if label == 0 {
		return "", errKeyLabel
	}
	return strings.ToLower(host), nil
}

func isHostByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// isPort reports whether s is a number from 1 to 65535, as it is written without
// sign and zeros.
func isPort(s string) bool {
	if s == "" || len(s) > 5 || s[0] == '0' {
		return false
	}
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n <= 65535
}

// mostLookups is how often a host is looked up: by itself, and four times without its
// leftmost label, as uWSGI's subscription-dotsplit does.
const mostLookups = 5

// lookups calls found with the keys that may stand for host, the nearest first, until
// it returns true, and reports whether it did.
func lookups(host string, found func(key string) bool) bool {
	for range mostLookups {
		if found(host) {
			return true
		}
		dot := strings.IndexByte(strings.TrimPrefix(host, "."), '.')
		if dot < 0 {
			return false
		}
		host = host[len(host)-len(strings.TrimPrefix(host, "."))+dot:]
	}
	return false
}

// pattern is a set of keys.
type pattern struct {
	name string // with a dot before it unless it is exact
	kind patternKind
}

type patternKind uint8

const (
	exactKey patternKind = iota // example.com
	labelKey                    // *.example.com
	belowKey                    // .example.com
)

func parsePattern(s string) (pattern, error) {
	p := pattern{name: s}
	switch {
	case strings.HasPrefix(s, "*."):
		p = pattern{name: s[1:], kind: labelKey}
	case strings.HasPrefix(s, "."):
		p.kind = belowKey
	}
	name, err := hostKey(p.name)
	if err != nil || strings.Contains(s, ":") {
		return pattern{}, fmt.Errorf("%q is no name of hosts: write example.com, *.example.com or .example.com, without a port", s)
	}
	p.name = name
	return p, nil
}

// covers reports whether a key, as hostKey returns it, is in the set. A key for all
// names below another one is only in a set that has all of them.
func (p pattern) covers(key string) bool {
	switch p.kind {
	case exactKey:
		return key == p.name
	case labelKey:
		label, ok := strings.CutSuffix(key, p.name)
		return ok && label != "" && !strings.Contains(label, ".")
	}
	return key == p.name[1:] || strings.HasSuffix(key, p.name)
}
