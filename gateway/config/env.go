package config

import (
	"fmt"
	"strings"
)

// maxValue bounds a value after its variables were put in.
const maxValue = 1 << 20

// expand replaces ${NAME} and ${NAME:-default} in a value; as in a shell, the
// default also stands for an empty variable. $${ is a plain ${, and a $ before
// anything else is a plain $. A nil env has no variables.
func expand(s string, env func(string) (string, bool)) (out, msg, hint string) {
	if !strings.Contains(s, "${") {
		return s, "", ""
	}
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, "${")
		if !found {
			b.WriteString(s)
			return b.String(), "", ""
		}
		b.WriteString(before)
		if strings.HasSuffix(before, "$") {
			b.WriteByte('{')
			s = rest
			continue
		}
		inside, after, closed := strings.Cut(rest, "}")
		name, fallback, hasFallback := strings.Cut(inside, ":-")
		if !closed || !isVariable(name) {
			return "", "${ begins no variable", "write ${NAME} or ${NAME:-default}; $${ is a plain ${"
		}
		value, known := lookup(env, name)
		if hasFallback && value == "" {
			value, known = fallback, true
		}
		if !known {
			return "", fmt.Sprintf("the environment has no variable %s", name), fmt.Sprintf("set it, or give it a default: ${%s:-value}", name)
		}
		if b.WriteString(value); b.Len() > maxValue {
			return "", "the value is too long with its variables", ""
		}
		s = after
	}
}

func lookup(env func(string) (string, bool), name string) (string, bool) {
	if env == nil {
		return "", false
	}
	return env(name)
}

func isVariable(name string) bool {
	for i, r := range name {
		letter := r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != ""
}
