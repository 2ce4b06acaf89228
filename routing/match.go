package routing

import (
	"cmp"
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
// ("~^/u/[0-9]+$", not anchored by itself; its . matches a line feed too); "" and
// "/" match everything. Prefixes and exact paths are compared with the canonical,
// decoded path and refused when they cannot match one, or end with a * that would
// be taken for itself. The text is bounded at 4096 bytes. The error says what is
// wrong and, after a colon, the cure.
func CheckPath(path string) error {
	_, err := compile(path, "")
	return err
}

// CheckMount reports what is wrong with the mount of a route: a path such as
// /blog, without a slash at its end; "" and "/" are no mount, and match
// everything.
func CheckMount(mount string) error {
	_, err := compile("", mount)
	return err
}

func compile(path, mount string) (matcher, error) {
	switch {
	case path != "" && mount != "":
		return matcher{}, errors.New("path and mount exclude each other, for a mount is a prefix already: remove one of the two")
	case len(path) > maxPattern || len(mount) > maxPattern:
		return matcher{}, fmt.Errorf("it is longer than %d bytes: write a shorter one", maxPattern)
	case mount != "":
		return compileMount(mount)
	case path == "" || path == "/":
		return matcher{}, nil
	case path[0] == '~':
		return compileRegexp(path[1:])
	case path[0] == '=':
		return matcher{kind: matchExact, prefix: path[1:]}, checkLiteral("=", path[1:])
	}
	return matcher{kind: matchPrefix, prefix: path}, checkLiteral("", path)
}

func compileRegexp(expr string) (matcher, error) {
	if expr == "" {
		return matcher{}, errors.New("there is no regular expression behind the ~: write one such as ~^/u/[0-9]+$")
	}
	if _, err := regexp.Compile(expr); err != nil {
		return matcher{}, fmt.Errorf("%q is no regular expression of RE2: %w", expr, err)
	}
	// A path may hold a line feed (%0A). If . did not match it, ~^/admin/.*$ would
	// let /admin/x%0A pass on to the next route.
	re, err := regexp.Compile("(?s)" + expr)
	return matcher{kind: matchRegexp, re: re}, err
}

func compileMount(mount string) (matcher, error) {
	if mount == "/" {
		return matcher{}, nil
	}
	if short := strings.TrimRight(mount, "/"); short != mount {
		return matcher{}, fmt.Errorf("%q ends with a slash: write %q", mount, cmp.Or(short, "/"))
	}
	if short, ok := strings.CutSuffix(mount, "/*"); ok {
		return matcher{}, fmt.Errorf("%q has a *, and a mount is a prefix already: write %q", mount, cmp.Or(short, "/"))
	}
	return matcher{kind: matchMount, prefix: mount}, checkLiteral("", mount)
}

// checkLiteral refuses a path that no canonical path can equal or begin with.
// sign is what stands before it in the configuration.
func checkLiteral(sign, p string) error {
	if p == "" || p[0] != '/' {
		return fmt.Errorf("%q does not begin with a slash: write %q", sign+p, sign+"/"+p)
	}
	if !isCanonical(p) {
		const why = "can never match, because slashes are merged and dots resolved before"
		clean, err := resolve([]byte(p))
		if err != nil || strings.IndexByte(p, 0) >= 0 {
			return fmt.Errorf("%q %s: remove it", sign+p, why)
		}
		return fmt.Errorf("%q %s: write %q", sign+p, why, sign+string(clean))
	}
	if dir, ok := strings.CutSuffix(p, "/*"); ok { // it would match nothing, silently, and nothing be guarded
		return fmt.Errorf("%q has a *, which is a plain byte here: write %q for all that is below", sign+p, dir+"/")
	}
	if decoded, ok := decodeLiteral(p); ok {
		return fmt.Errorf("%q is compared with the decoded path: write %q", sign+p, sign+decoded)
	}
	return nil
}

// decodeLiteral reports whether all percent signs of p begin escapes, as in a
// path that was copied from a browser, and what was meant. A lone % is a plain
// one, and a regular expression can say the rest.
func decodeLiteral(p string) (string, bool) {
	if strings.IndexByte(p, '%') < 0 {
		return "", false
	}
	b := make([]byte, 0, len(p))
	for i := 0; i < len(p); i++ {
		c := p[i]
		if c == '%' {
			var err error
			if c, err = unescape(p[i:]); err != nil {
				return "", false
			}
			i += 2
		}
		b = append(b, c)
	}
	b, err := resolve(b)
	return string(b), err == nil
}

// match reports whether path matches.
func (m *matcher) match(path string) bool {
	switch m.kind {
	case matchAll:
		return true
	case matchPrefix, matchMount:
		return hasSegments(path, m.prefix)
	case matchExact:
		return path == m.prefix
	case matchRegexp:
		return m.re.MatchString(path)
	}
	return false
}

// scriptName is how many bytes of a path that matches are SCRIPT_NAME.
func (m *matcher) scriptName() int {
	if m.kind == matchMount {
		return len(m.prefix)
	}
	return 0
}

// hasSegments reports whether path begins with prefix at a segment boundary.
func hasSegments(path, prefix string) bool {
	return strings.HasPrefix(path, prefix) &&
		(len(path) == len(prefix) || prefix[len(prefix)-1] == '/' || path[len(prefix)] == '/')
}
