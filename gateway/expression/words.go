package expression

import (
	"regexp"
	"strings"

	"cel.dev/cel-go/cel"
)

// explain returns the first of the library's issues in our words.
func (c *compiler) explain(issues *cel.Issues) error {
	first := issues.Errors()[0]
	e := &Error{Line: max(first.Location.Line(), 1), Column: max(first.Location.Column(), 0) + 1}
	e.Msg, e.Hint = words(first.Message)
	if strings.HasPrefix(first.Message, "expected type") {
		e.Column = c.begin(e)
	}
	if e.Hint == "" && strings.HasPrefix(first.Message, "Syntax") {
		e.Hint = operatorWords()[c.wordBefore(e)]
	}
	return e
}

// wordBefore returns the word in front of an error: not in not true.
func (c *compiler) wordBefore(e *Error) string {
	lines := strings.Split(c.source, "\n")
	if e.Line > len(lines) {
		return ""
	}
	line := []rune(lines[e.Line-1])
	before := strings.Fields(string(line[:min(e.Column-1, len(line))]))
	if len(before) == 0 {
		return ""
	}
	return strings.TrimLeft(before[len(before)-1], "(!")
}

// phrases are the forms of the library's messages; what none fits is passed on.
func phrases() []phrase {
	return []phrase{
		{regexp.MustCompile(`^found no matching overload for '(.*)' applied to '(.*)'$`), overloadWords},
		{regexp.MustCompile(`^expected type '(.*)' but found '(.*)'$`), func(m []string) (string, string) {
			return m[1] + " is wanted here, and this is " + typeText(m[2]), boolHint(m[1])
		}},
		{regexp.MustCompile(`^type '(.*)' does not support field selection$`), func(m []string) (string, string) {
			return typeText(m[1]) + " has no fields", ""
		}},
		{regexp.MustCompile(`(?s)^Syntax error: token recognition error at: '(.*)'$`), tokenWords},
		{regexp.MustCompile(`(?s)^Syntax error: (?:mismatched input|extraneous input|no viable alternative at input) '(.*?)'(?: expecting .*)?$`), inputWords},
		{regexp.MustCompile(`(?s)^Syntax error: missing '(.*?)' at '(.*)'$`), func(m []string) (string, string) {
			if m[2] == "<EOF>" {
				return "a " + m[1] + " is missing at the end", ""
			}
			return "a " + m[1] + " is missing before " + m[2], ""
		}},
		{regexp.MustCompile(`^invalid (int|uint|double) literal`), func(m []string) (string, string) {
			return "this is not a number of the type " + m[1], ""
		}},
		{regexp.MustCompile(`^argument (?:is not an identifier|must be a simple name)$`), func([]string) (string, string) {
			return "the first argument must be the name of a variable", `write request.query.all(name, name.startsWith("a"))`
		}},
		{regexp.MustCompile(`recursion limit`), func([]string) (string, string) {
			return "the expression is nested too deeply", "make two routes of it"
		}},
	}
}

type phrase struct {
	form *regexp.Regexp
	say  func(groups []string) (msg, hint string)
}

func words(message string) (msg, hint string) {
	for _, p := range phrases() {
		if m := p.form.FindStringSubmatch(message); m != nil {
			msg, hint = p.say(m)
			return plain(msg), hint
		}
	}
	return plain(message), ""
}

// plain makes one line without a capital and a full stop of a message.
func plain(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 1 && s[0] >= 'A' && s[0] <= 'Z' && s[1] >= 'a' && s[1] <= 'z' {
		s = strings.ToLower(s[:1]) + s[1:]
	}
	const most = 300
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return strings.TrimSuffix(s, ".")
}

// quoted puts a text from the source between quotes, cut when it is long.
func quoted(s string) string {
	const most = 60
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return `"` + plainSpace(s) + `"`
}

func plainSpace(s string) string { return strings.Join(strings.Fields(s), " ") }

// typeText names a type of CEL for people.
func typeText(t string) string {
	switch t {
	case "dyn":
		return "a value of any type"
	case "int", "address":
		return "an " + t
	case "google.protobuf.Timestamp":
		return "a timestamp"
	case "google.protobuf.Duration":
		return "a duration"
	}
	return "a " + t
}

func boolHint(wanted string) string {
	if wanted == "bool" {
		return `compare it, as in request.method == "GET"`
	}
	return ""
}

// overloadWords says which types an operator or a function was given.
func overloadWords(m []string) (msg, hint string) {
	name, types := m[1], m[2]
	on, args, method := strings.Cut(types, ".(")
	if !method {
		args = strings.TrimPrefix(types, "(")
	}
	args = strings.TrimSuffix(args, ")")
	each := splitTypes(args)
	both := strings.Join(each, " and ")
	switch name {
	case "_?_:_":
		return "the two results of ?: are " + strings.Join(each[1:], " and "), "give both one type"
	case "_[_]":
		return "[] does not take " + both, `a name stands in quotes, as in request.header["x-user"]`
	case "!_", "-_":
		return name[:1] + " does not take " + typeText(args), boolHint(map[string]string{"!_": "bool"}[name])
	case "@in":
		return "in does not take " + both, inHint(args)
	}
	if op := strings.Trim(name, "_"); strings.HasPrefix(name, "_") {
		return op + " does not take " + both, operandHint(op, args)
	}
	if method {
		return name + " of " + typeText(on) + " does not take (" + args + ")", ""
	}
	return name + " does not take (" + args + ")", ""
}

// splitTypes splits at the commas that are in no parentheses.
func splitTypes(args string) []string {
	var list []string
	depth, begin := 0, 0
	for i := range len(args) {
		switch args[i] {
		case '(':
			depth++
		case ')':
			depth--
		case ',':
			if depth == 0 {
				list, begin = append(list, strings.TrimSpace(args[begin:i])), i+1
			}
		}
	}
	return append(list, strings.TrimSpace(args[begin:]))
}

func inHint(args string) string {
	if args == "string, string" {
		return `write a list, as in ["a", "b"]; for a part of a text write text.contains(part)`
	}
	return "write a list of one type, or a map, after in"
}

func operandHint(op, args string) string {
	switch {
	case strings.Contains(args, "address"):
		return `write client.ip in ["10.0.0.1"], or string(client.ip)`
	case op == "+":
		return "write string(...) around what is no text"
	case args == "string, int" || args == "int, string":
		return "write the number in quotes, or int(...) around the text"
	}
	return "both sides must have one type"
}

// operatorWords are what other languages write, and what CEL does.
func operatorWords() map[string]string {
	return map[string]string{
		"and": "write && for and", "or": "write || for or", "not": "write ! for not", "AND": "write && for and",
		"OR": "write || for or", "NOT": "write ! for not", "eq": "write == for eq", "is": "write == for is",
		"True": "write true", "False": "write false", "None": `what is absent is ""`, "nil": `what is absent is ""`,
	}
}

// tokenWords says what cannot begin anything.
func tokenWords(m []string) (msg, hint string) {
	t := m[1]
	switch {
	case strings.HasPrefix(t, "="):
		return "= is not an operator", "== compares"
	case strings.HasPrefix(t, "&"):
		return "& is not an operator", "write && for and"
	case strings.HasPrefix(t, "|"):
		return "| is not an operator", "write || for or"
	case strings.ContainsAny(t, "“”„‘’"):
		return t + " is not a quote", `write "`
	case strings.ContainsAny(t, `"'`) && strings.Contains(t, `\`):
		return "a text has a backslash that means nothing", `a backslash is written \\, or r"\d" with an r before the quotes`
	case strings.ContainsAny(t, `"'`):
		return "a text has no end", "write the closing quote on the same line"
	}
	return "unexpected " + quoted(t), ""
}

// inputWords says what does not belong where it is.
func inputWords(m []string) (msg, hint string) {
	t := m[1]
	if t == "<EOF>" {
		return "the expression ends too early", ""
	}
	return "unexpected " + quoted(t), operatorWords()[t]
}
