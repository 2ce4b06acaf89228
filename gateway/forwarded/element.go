package forwarded

import "strings"

// element is one hop of RFC 7239's field. What it does not say is "".
type element struct {
	node, proto, host string
	empty             bool // it says nothing at all, as between two commas
}

// cutLast cuts the last item off a line of Forwarded, at the last comma that is
// in no quoted string. It reads backwards, because only the end is known to be
// well-formed: a trusted proxy wrote it. Read from the front, a quotation mark
// that a client left open would swallow what the proxy wrote behind it. From the
// end, the first mark closes a string, and the next one that is not escaped opens
// it. The work is bounded by what is cut off.
func cutLast(line string) (rest, item string, more bool) {
	quoted := false
	for i := len(line) - 1; i >= 0; i-- {
		switch {
		case line[i] == '"':
			quoted = !quoted || isEscaped(line[:i])
		case line[i] == ',' && !quoted:
			return line[:i], line[i+1:], true
		}
	}
	return "", line, false
}

// isEscaped reports whether what follows s, in a quoted string, is the second
// half of a quoted pair.
func isEscaped(s string) bool {
	return (len(s)-len(strings.TrimRight(s, `\`)))%2 == 1
}

// parseElement reads one hop by the grammar of RFC 7239, 4, with white space
// allowed around the separators. It reports false when anything at all is wrong.
func parseElement(s string) (element, bool) {
	e := element{empty: true}
	for rest := trimLeft(s); rest != ""; rest = trimLeft(rest) {
		if rest[0] != ';' {
			var ok bool
			if rest, ok = e.parsePair(rest); !ok {
				return element{}, false
			}
			e.empty = false
			if rest = trimLeft(rest); rest == "" {
				break
			}
			if rest[0] != ';' {
				return element{}, false
			}
		}
		rest = rest[1:]
	}
	return e, true
}

// parsePair reads "name=value" at the beginning of s and returns what is behind
// it. A name that is there twice is wrong.
func (e *element) parsePair(s string) (rest string, ok bool) {
	name := s[:tokenLen(s)]
	rest, ok = strings.CutPrefix(s[len(name):], "=")
	if name == "" || !ok {
		return "", false
	}
	value, rest, ok := cutValue(rest)
	if !ok {
		return "", false
	}
	var field *string
	switch {
	case strings.EqualFold(name, "for"):
		field = &e.node
	case strings.EqualFold(name, "proto"):
		field = &e.proto
	case strings.EqualFold(name, "host"):
		field = &e.host
	default:
		return rest, true
	}
	if *field != "" {
		return "", false
	}
	*field = value
	return rest, true
}

// cutValue reads a token or a quoted string. Colons and brackets, which RFC 7239
// wants quoted, are taken in a token too, for many leave the quotes away.
func cutValue(s string) (value, rest string, ok bool) {
	if s == "" || s[0] != '"' {
		n := 0
		for n < len(s) && (isToken(s[n]) || strings.IndexByte(":[]", s[n]) >= 0) {
			n++
		}
		return s[:n], s[n:], n > 0
	}
	plain := true
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			plain = false
			i++
		case '"':
			if value = s[1:i]; !plain {
				value = unquote(value)
			}
			return value, s[i+1:], true
		}
	}
	return "", "", false
}

// unquote removes the backslashes of quoted pairs.
func unquote(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b = append(b, s[i])
	}
	return string(b)
}

func trimLeft(s string) string { return strings.TrimLeft(s, " \t") }

func tokenLen(s string) int {
	n := 0
	for n < len(s) && isToken(s[n]) {
		n++
	}
	return n
}

// isToken reports whether c is a tchar of RFC 9110, 5.6.2.
func isToken(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}
