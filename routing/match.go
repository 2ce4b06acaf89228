package routing

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
)

// maxPattern bounds the text of one pattern.
const maxPattern = 4096

// matcher is the compiled path or mount of a route. The zero value matches every
// path.
type matcher struct {
	kind   matchKind
	prefix string // prefix, exact path or mount; of a regular expression what all that it matches begins with
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
	_, err := patterns{}.compile(path, "")
	return err
}

// CheckMount reports what is wrong with the mount of a route: a path such as
// /blog, without a slash at its end; "" and "/" are no mount, and match
// everything.
func CheckMount(mount string) error {
	_, err := patterns{}.compile("", mount)
	return err
}

// patterns holds what was compiled already, by the text of its regular
// expression: many sites often have the same ones.
type patterns map[string]matcher

func (p patterns) compile(path, mount string) (matcher, error) {
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
		return p.compileRegexp(path[1:])
	case path[0] == '=':
		return matcher{kind: matchExact, prefix: path[1:]}, checkLiteral("=", path[1:])
	}
	return matcher{kind: matchPrefix, prefix: path}, checkLiteral("", path)
}

func (p patterns) compileRegexp(expr string) (matcher, error) {
	if m, ok := p[expr]; ok {
		return m, nil
	}
	if expr == "" {
		return matcher{}, errors.New("there is no regular expression behind the ~: write one such as ~^/u/[0-9]+$")
	}
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return matcher{}, fmt.Errorf("%q is no regular expression of RE2: %w", expr, err)
	}
	// A path may hold a line feed (%0A). If . did not match it, ~^/admin/.*$ would
	// let /admin/x%0A pass on to the next route.
	re, err := regexp.Compile(lineFeeds + expr)
	if err != nil {
		return matcher{}, fmt.Errorf("%q is no regular expression of RE2: %w", expr, err)
	}
	m := matcher{kind: matchRegexp, re: re}
	if anchored(tree) {
		m.prefix, _ = literal(tree)
	}
	if p != nil {
		p[expr] = m
	}
	return m, nil
}

// lineFeeds lets the . of a regular expression match them.
const lineFeeds = "(?s)"

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
		return strings.HasPrefix(path, m.prefix) && m.re.MatchString(path)
	}
	return false
}

// String is how the configuration writes m.
func (m *matcher) String() string {
	switch m.kind {
	case matchExact:
		return "=" + m.prefix
	case matchRegexp:
		return "~" + strings.TrimPrefix(m.re.String(), lineFeeds)
	case matchPrefix, matchMount:
		return m.prefix
	}
	return "/"
}

// hasSegments reports whether path begins with prefix at a segment boundary.
func hasSegments(path, prefix string) bool {
	return strings.HasPrefix(path, prefix) &&
		(len(path) == len(prefix) || prefix[len(prefix)-1] == '/' || path[len(prefix)] == '/')
}
