package cache

import (
	"slices"
	"strings"
	"time"

	"headgate/gateway/wire"
)

// parseTargeted reads a field of RFC 9213 with that name: a dictionary of directives
// (RFC 8941, 3.2). ok is false if it is to be ignored: there is none, it is empty or
// malformed, or one of its directives has a value that cannot be one of it.
func parseTargeted(f wire.Fields, name string) (d directives, ok bool) {
	lines := slices.Collect(f.Values(name))
	if len(lines) == 0 {
		return d, false
	}
	return parseDictionary(strings.Trim(strings.Join(lines, ","), " "))
}

// parseDictionary reads a whole dictionary (RFC 8941, 4.2.2).
func parseDictionary(s string) (d directives, ok bool) {
	d = directives{maxAge: unsaid, sMaxAge: unsaid, staleWhileRevalidate: unsaid, staleIfError: unsaid}
	for {
		var key string
		var i item
		if key, s, ok = takeKey(s); !ok {
			return d, false
		}
		if i, s, ok = takeMember(s); !ok || !d.set(key, i) {
			return d, false
		}
		if s = strings.TrimLeft(s, " \t"); s == "" {
			return d, true
		}
		if s[0] != ',' {
			return d, false
		}
		s = strings.TrimLeft(s[1:], " \t") // a comma with nothing behind it is no key
	}
}

// set takes a directive; of several with one name the last counts. It reports whether
// the value can be one of it.
func (d *directives) set(key string, i item) bool {
	switch key {
	case "no-store":
		return i.flag(&d.noStore)
	case "no-cache":
		return i.names(&d.noCache, &d.noCacheFields)
	case "private":
		return i.names(&d.private, &d.privateFields)
	case "public":
		return i.flag(&d.public)
	case "must-revalidate":
		return i.flag(&d.mustRevalidate)
	case "proxy-revalidate":
		return i.flag(&d.proxyRevalidate)
	case "must-understand":
		return i.flag(&d.mustUnderstand)
	case "immutable":
		return i.flag(&d.immutable)
	case "max-age":
		return i.seconds(&d.maxAge)
	case "s-maxage":
		return i.seconds(&d.sMaxAge)
	case "stale-while-revalidate":
		return i.seconds(&d.staleWhileRevalidate)
	case "stale-if-error":
		return i.seconds(&d.staleIfError)
	}
	return true
}

// kind is the type of an item (RFC 8941, 3.3).
type kind uint8

const (
	kindOther kind = iota // no directive has such a value
	kindTrue
	kindFalse
	kindInteger
	kindText // a string or a token
)

// item is a value of a dictionary without its parameters, which directives have none
// of. text is that of an integer or of kindText.
type item struct {
	kind kind
	text string
}

func (i item) flag(to *bool) bool {
	*to = i.kind == kindTrue
	return i.kind == kindTrue || i.kind == kindFalse
}

func (i item) names(all *bool, some *[]string) bool {
	*all, *some = i.kind == kindTrue, nil
	if i.kind != kindText {
		return i.kind == kindTrue || i.kind == kindFalse
	}
	*some = fieldNames(i.text)
	*all = len(*some) == 0
	return true
}

// seconds takes a number; below 0 it is 0.
func (i item) seconds(to *time.Duration) bool {
	*to, _ = deltaSeconds(i.text)
	return i.kind == kindInteger
}

// takeMember takes the value of a dictionary's member: what comes behind its key.
func takeMember(s string) (i item, rest string, ok bool) {
	switch {
	case strings.HasPrefix(s, "=("):
		i, s, ok = takeList(s[2:])
	case strings.HasPrefix(s, "="):
		i, s, ok = takeItem(s[1:])
	default:
		i, ok = item{kind: kindTrue}, true
	}
	if ok {
		s, ok = skipParameters(s)
	}
	return i, s, ok
}

// takeList takes an inner list behind its parenthesis (4.2.1.2).
func takeList(s string) (i item, rest string, ok bool) {
	for {
		s = strings.TrimLeft(s, " ")
		if strings.HasPrefix(s, ")") {
			return item{}, s[1:], true
		}
		if _, s, ok = takeItem(s); !ok {
			return item{}, s, false
		}
		if s, ok = skipParameters(s); !ok || s == "" || s[0] != ' ' && s[0] != ')' {
			return item{}, s, false
		}
	}
}

// skipParameters takes the parameters of an item (4.2.3.2).
func skipParameters(s string) (rest string, ok bool) {
	for strings.HasPrefix(s, ";") {
		if _, s, ok = takeKey(strings.TrimLeft(s[1:], " ")); !ok {
			return s, false
		}
		if strings.HasPrefix(s, "=") {
			if _, s, ok = takeItem(s[1:]); !ok {
				return s, false
			}
		}
	}
	return s, true
}

// takeKey takes a key (4.2.3.3).
func takeKey(s string) (key, rest string, ok bool) {
	if s == "" || s[0] != '*' && !lower(s[0]) {
		return "", s, false
	}
	n := 1
	for n < len(s) && (lower(s[n]) || digit(s[n]) || strings.IndexByte("_-.*", s[n]) >= 0) {
		n++
	}
	return s[:n], s[n:], true
}

// takeItem takes a bare item (4.2.3.1).
func takeItem(s string) (i item, rest string, ok bool) {
	switch {
	case s == "":
		return item{}, s, false
	case s[0] == '-' || digit(s[0]):
		return takeNumber(s)
	case s[0] == '"':
		return takeString(s[1:])
	case s[0] == '*' || letter(s[0]):
		return takeToken(s)
	case s[0] == ':':
		return takeBytes(s[1:])
	case strings.HasPrefix(s, "?1"):
		return item{kind: kindTrue}, s[2:], true
	case strings.HasPrefix(s, "?0"):
		return item{kind: kindFalse}, s[2:], true
	}
	return item{}, s, false
}

// takeNumber takes an integer of up to 15 digits, or a decimal of up to 12 and 3
// (4.2.4).
func takeNumber(s string) (i item, rest string, ok bool) {
	whole := strings.TrimPrefix(s, "-")
	n := digits(whole)
	rest = whole[n:]
	if n == 0 || n > 15 {
		return item{}, rest, false
	}
	if !strings.HasPrefix(rest, ".") {
		return item{kindInteger, s[:len(s)-len(rest)]}, rest, true
	}
	part := digits(rest[1:])
	return item{}, rest[1+part:], n <= 12 && part >= 1 && part <= 3
}

// takeString takes a string behind its quote (4.2.5).
func takeString(s string) (i item, rest string, ok bool) {
	var b strings.Builder
	for n := 0; n < len(s); n++ {
		switch c := s[n]; {
		case c == '"':
			return item{kindText, b.String()}, s[n+1:], true
		case c == '\\':
			if n++; n == len(s) || s[n] != '"' && s[n] != '\\' {
				return item{}, "", false
			}
		case c < ' ' || c > '~':
			return item{}, "", false
		}
		b.WriteByte(s[n])
	}
	return item{}, "", false
}

// takeToken takes a token (4.2.6).
func takeToken(s string) (i item, rest string, ok bool) {
	n := 1
	for n < len(s) && (letter(s[n]) || digit(s[n]) || strings.IndexByte("!#$%&'*+-.^_`|~:/", s[n]) >= 0) {
		n++
	}
	return item{kindText, s[:n]}, s[n:], true
}

// takeBytes takes a byte sequence behind its colon (4.2.7); no directive has one.
func takeBytes(s string) (i item, rest string, ok bool) {
	for n := range len(s) {
		switch c := s[n]; {
		case c == ':':
			return item{}, s[n+1:], true
		case !letter(c) && !digit(c) && c != '+' && c != '/' && c != '=':
			return item{}, s, false
		}
	}
	return item{}, s, false
}

func digits(s string) (n int) {
	for n < len(s) && digit(s[n]) {
		n++
	}
	return n
}

func digit(c byte) bool  { return '0' <= c && c <= '9' }
func lower(c byte) bool  { return 'a' <= c && c <= 'z' }
func letter(c byte) bool { return lower(c | 0x20) }
