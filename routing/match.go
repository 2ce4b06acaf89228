package routing

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// maxPattern bounds the text of one pattern.
const maxPattern = 4096

// matcher is the compiled path or mount of a route. The zero value matches every
// path.
type matcher struct {
	kind   matchKind
	prefix string // prefix, exact path or mount
	re     *regexp.Regexp
}

type matchKind uint8

const (
	matchAll matchKind = iota
	matchPrefix
	matchExact
	matchRegexp
	matchMount
)

// CheckPath reports what is wrong with the path of a route. A path is a prefix
// at a segment boundary ("/admin" matches /admin and /admin/x, "/admin/" only
// what is below), exact ("=/favicon.ico"), or a regular expression of Go's RE2
// ("~^/u/[0-9]+$"); "" matches everything.
func CheckPath(path string) error {
	_, err := compile(path, "")
	return err
}

// CheckMount reports what is wrong with the mount of a route: a path such as
// /blog, without a slash at its end.
func CheckMount(mount string) error {
	_, err := compile("", mount)
	return err
}

func compile(path, mount string) (matcher, error) {
	switch {
	case path != "" && mount != "":
		return matcher{}, errors.New("path and mount exclude each other: a mount is a prefix already")
	case len(path) > maxPattern || len(mount) > maxPattern:
		return matcher{}, fmt.Errorf("longer than %d bytes", maxPattern)
	case mount != "":
		return compileMount(mount)
	case path == "" || path == "/":
		return matcher{}, nil
	case path[0] == '~':
		re, err := regexp.Compile(path[1:])
		if err != nil {
			return matcher{}, fmt.Errorf("not a regular expression: %w", err)
		}
		return matcher{kind: matchRegexp, re: re}, nil
	case path[0] == '=':
		return matcher{kind: matchExact, prefix: path[1:]}, checkLiteral(path[1:])
	}
	return matcher{kind: matchPrefix, prefix: path}, checkLiteral(path)
}

func compileMount(mount string) (matcher, error) {
	if mount == "/" {
		return matcher{}, nil
	}
	if strings.HasSuffix(mount, "/") {
		return matcher{}, fmt.Errorf("%q ends with a slash: write %q", mount, strings.TrimRight(mount, "/"))
	}
	return matcher{kind: matchMount, prefix: mount}, checkLiteral(mount)
}

// checkLiteral refuses a path that no canonical path can begin with.
func checkLiteral(p string) error {
	if p == "" || p[0] != '/' {
		return fmt.Errorf("%q does not begin with a slash: write %q", p, "/"+p)
	}
	if clean, err := resolve(p); err != nil || clean != p {
		return fmt.Errorf("%q can never match, because slashes are merged and dots resolved before: write %q", p, clean)
	}
	return nil
}

// match reports whether path matches, and how much of it is SCRIPT_NAME.
func (m *matcher) match(path string) (scriptName int, ok bool) {
	switch m.kind {
	case matchAll:
		return 0, true
	case matchPrefix:
		return 0, hasSegments(path, m.prefix)
	case matchExact:
		return 0, path == m.prefix
	case matchRegexp:
		return 0, m.re.MatchString(path)
	case matchMount:
		return len(m.prefix), hasSegments(path, m.prefix)
	}
	return 0, false
}

// hasSegments reports whether path begins with prefix at a segment boundary.
func hasSegments(path, prefix string) bool {
	return strings.HasPrefix(path, prefix) &&
		(len(path) == len(prefix) || prefix[len(prefix)-1] == '/' || path[len(prefix)] == '/')
}
