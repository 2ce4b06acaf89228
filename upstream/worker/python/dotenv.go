package python

import (
	"bytes"
	"strings"
)

// dotenv reads lines of the form NAME=value, as .env and .flaskenv have them: with
// export before, quotes around the value, comments. The last line of a name counts.
// What else it says is passed over.
func dotenv(text []byte) map[string]string {
	found := make(map[string]string)
	for line := range bytes.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(string(line)), "=")
		name = strings.TrimSpace(strings.TrimPrefix(name, "export "))
		if !ok || !isIdentifier(name) {
			continue
		}
		value = strings.TrimSpace(value)
		if inner, _, ok := quoted(value); ok {
			value = inner
		} else if before, _, ok := strings.Cut(" "+value, " #"); ok {
			value = strings.TrimSpace(before)
		}
		found[name] = value
	}
	return found
}

// quoted is what is between quotes at the beginning of s, and what comes after them.
// In double quotes a backslash quotes the next byte.
func quoted(s string) (inner, rest string, ok bool) {
	if s == "" || s[0] != '"' && s[0] != '\'' {
		return "", s, false
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == s[0]:
			return b.String(), s[i+1:], true
		case c == '\\' && s[0] == '"' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", s, false
}
