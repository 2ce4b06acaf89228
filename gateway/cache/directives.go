package cache

import (
	"strings"
	"time"

	"headgate/gateway/wire"
)

// forever is the longest time that is told from for ever (RFC 9111, 1.2.2).
const forever = 1 << 31 * time.Second

// unsaid is a time that a directive could say and does not.
const unsaid time.Duration = -1

// directives are what the Cache-Control of an answer says (RFC 9111, 5.2.2). Without
// any, all times are unsaid.
type directives struct {
	noStore, noCache, private, public  bool
	mustRevalidate, proxyRevalidate    bool
	mustUnderstand, immutable          bool
	maxAge, sMaxAge                    time.Duration
	staleWhileRevalidate, staleIfError time.Duration
	noCacheFields, privateFields       []string // of the qualified forms
}

// parseDirectives reads the lines of a field with that name.
func parseDirectives(f wire.Fields, name string) directives {
	d := directives{maxAge: unsaid, sMaxAge: unsaid, staleWhileRevalidate: unsaid, staleIfError: unsaid}
	for i := range f {
		if !wire.Same(f[i].Name, name) {
			continue
		}
		for rest := f[i].Value; rest != ""; {
			var token, arg string
			var has bool
			token, arg, has, rest = nextDirective(rest)
			d.add(token, arg, has)
		}
	}
	return d
}

// add takes one directive. Of a time that is said twice the first counts (4.2.1).
func (d *directives) add(token, arg string, has bool) {
	switch {
	case wire.Same(token, "no-store"):
		d.noStore = true
	case wire.Same(token, "no-cache"):
		if names := fieldNames(arg); has && len(names) > 0 {
			d.noCacheFields = append(d.noCacheFields, names...)
		} else {
			d.noCache = true
		}
	case wire.Same(token, "private"):
		if names := fieldNames(arg); has && len(names) > 0 {
			d.privateFields = append(d.privateFields, names...)
		} else {
			d.private = true
		}
	case wire.Same(token, "public"):
		d.public = true
	case wire.Same(token, "must-revalidate"):
		d.mustRevalidate = true
	case wire.Same(token, "proxy-revalidate"):
		d.proxyRevalidate = true
	case wire.Same(token, "must-understand"):
		d.mustUnderstand = true
	case wire.Same(token, "immutable"):
		d.immutable = true
	case wire.Same(token, "max-age"):
		first(&d.maxAge, arg)
	case wire.Same(token, "s-maxage"):
		first(&d.sMaxAge, arg)
	case wire.Same(token, "stale-while-revalidate"):
		first(&d.staleWhileRevalidate, arg)
	case wire.Same(token, "stale-if-error"):
		first(&d.staleIfError, arg)
	}
}

// first sets a time that has not been said yet. One that is malformed is none: what
// it says about freshness is then that there is none (4.2.1).
func first(t *time.Duration, arg string) {
	if *t == unsaid {
		*t, _ = deltaSeconds(arg)
	}
}

// deltaSeconds reads a number of seconds (1.2.2).
func deltaSeconds(s string) (t time.Duration, ok bool) {
	if s == "" {
		return 0, false
	}
	n := int64(0)
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		if n < int64(forever/time.Second) {
			n = n*10 + int64(s[i]-'0')
		}
	}
	return min(time.Duration(min(n, int64(forever/time.Second)))*time.Second, forever), true
}

// nextDirective takes one directive off a list (5.2): a token with perhaps an
// argument, which is a token or quoted. It always takes something.
func nextDirective(s string) (token, arg string, has bool, rest string) {
	s = strings.TrimLeft(s, " \t,")
	n := 0
	for n < len(s) && s[n] != ',' && s[n] != '=' {
		n++
	}
	token, rest = trim(s[:n]), s[n:]
	if rest == "" || rest[0] == ',' {
		return token, "", false, rest
	}
	rest = strings.TrimLeft(rest[1:], " \t")
	if strings.HasPrefix(rest, `"`) {
		arg, rest = quoted(rest[1:])
		if i := strings.IndexByte(rest, ','); i >= 0 {
			return token, arg, true, rest[i:]
		}
		return token, arg, true, ""
	}
	arg, rest, _ = strings.Cut(rest, ",")
	return token, trim(arg), true, rest
}

// quoted returns what is before the closing quote and what is behind it.
func quoted(s string) (text, rest string) {
	if i := strings.IndexAny(s, `"\`); i >= 0 && s[i] == '"' {
		return s[:i], s[i+1:]
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:]
		case '\\':
			if i++; i == len(s) {
				return b.String(), ""
			}
		}
		b.WriteByte(s[i])
	}
	return b.String(), ""
}

// fieldNames takes a list of names apart. More than a few are not remembered, and
// the directive counts as if it named none, which says more.
func fieldNames(s string) []string {
	if len(s) > 1024 {
		return nil
	}
	var names []string
	for name := range strings.SplitSeq(s, ",") {
		if name = trim(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// named reports whether one of names is that of a field.
func named(names []string, field string) bool {
	for _, n := range names {
		if wire.Same(n, field) {
			return true
		}
	}
	return false
}

func trim(s string) string { return strings.Trim(s, " \t") }
