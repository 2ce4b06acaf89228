package python

import (
	"bytes"
	"strings"
)

// pyproject finds the strings of a pyproject.toml by their full names, such as
// project.name. It knows as much of TOML as that needs: tables, dotted keys, strings
// of one line. Everything else is passed over.
func pyproject(text []byte) map[string]string {
	found := make(map[string]string)
	table, until := "", "" // until: the end of a string of many lines
	for line := range bytes.Lines(text) {
		s := strings.TrimSpace(string(line))
		switch {
		case until != "":
			if strings.Contains(s, until) {
				until = ""
			}
		case strings.HasPrefix(s, "[["):
			table = arrayTable
		case strings.HasPrefix(s, "["):
			name, _, _ := strings.Cut(s[1:], "]")
			table = tomlKey(name)
		default:
			key, value, ok := strings.Cut(s, "=")
			if !ok || strings.HasPrefix(s, "#") {
				continue
			}
			value = strings.TrimSpace(value)
			if until = opens(value); until != "" {
				continue
			}
			key = strings.TrimPrefix(table+"."+tomlKey(key), ".")
			_, twice := found[key]
			if inner, _, ok := quoted(value); ok && !twice && table != arrayTable {
				found[key] = inner
			}
		}
	}
	return found
}

// arrayTable stands for all tables of arrays, of which nothing is wanted.
const arrayTable = "[["

// opens returns what ends the string of many lines that value begins, or "".
func opens(value string) string {
	for _, quotes := range []string{`"""`, `'''`} {
		if _, rest, ok := strings.Cut(value, quotes); ok && !strings.Contains(rest, quotes) {
			return quotes
		}
	}
	return ""
}

// tomlKey is a key without its spaces and quotes.
func tomlKey(s string) string {
	parts := strings.Split(s, ".")
	for i, part := range parts {
		part = strings.TrimSpace(part)
		if inner, rest, ok := quoted(part); ok && rest == "" {
			part = inner
		}
		parts[i] = part
	}
	return strings.Join(parts, ".")
}
