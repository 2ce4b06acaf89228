package config

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// place is a position in the file, both from 1; the zero value is nowhere.
type place struct{ line, column int }

// source is the text of a file, for excerpts.
type source struct {
	name    string
	lines   []string
	secrets map[string]bool // texts of values that no excerpt shows
	ordered []string        // the same, when masked needs them
	longest int             // of them, in bytes
	broken  bool            // not all of it could be read, so that a secret may not be among them

	user, key *regexp.Regexp // their first group is to be hidden
}

func newSource(name string, data []byte) *source {
	text := strings.ReplaceAll(string(data), "\r\n", "\n")
	return &source{
		name: name, lines: strings.Split(text, "\n"), secrets: map[string]bool{},
		user: regexp.MustCompile(`://([^\s"']+)@`),
		key:  regexp.MustCompile(`\b(?:hmac|key)["']?\s*:\s*["']?([^\s"',}\]#/.$&*{\[][^\s"',}\]]*)`),
	}
}

// minSecret is the least length that is hidden: less would hide every such letter.
const minSecret = 4

// hide keeps what a scalar says out of excerpts, or the scalars directly in n:
// deeper, aliases could make that endless. A variable is no secret.
func (s *source) hide(n *node) {
	s.hideText(n.text)
	for _, p := range n.pairs {
		s.hideText(p.value.text)
	}
	for _, item := range n.items {
		s.hideText(item.text)
	}
}

func (s *source) hideText(text string) {
	for part := range strings.FieldsSeq(text) {
		if len(part) >= minSecret && !isPlainVariable(part) {
			s.secrets[part] = true
			s.longest = max(s.longest, len(part))
		}
	}
}

func isPlainVariable(s string) bool {
	name, ok := strings.CutPrefix(s, "${")
	name, closed := strings.CutSuffix(name, "}")
	return ok && closed && isVariable(name)
}

// masked is text of the file with a * for each sign of a secret: of values that
// are known to be one, of users and passwords in URLs, and where the file could
// not be read of what looks like a key.
func (s *source) masked(text string) string {
	if len(s.ordered) != len(s.secrets) { // the longest first: one may be part of another
		s.ordered = slices.SortedFunc(maps.Keys(s.secrets), func(a, b string) int {
			return cmp.Or(len(b)-len(a), strings.Compare(a, b))
		})
	}
	for _, secret := range s.ordered {
		text = strings.ReplaceAll(text, secret, stars(secret))
	}
	text = maskGroup(text, s.user)
	if s.broken {
		text = maskGroup(text, s.key)
	}
	return text
}

func maskGroup(text string, re *regexp.Regexp) string {
	var b strings.Builder
	end := 0
	for _, m := range re.FindAllStringSubmatchIndex(text, -1) {
		b.WriteString(text[end:m[2]] + stars(text[m[2]:m[3]]))
		end = m[3]
	}
	return b.String() + text[end:]
}

// stars are as many as s has signs, so that a caret below stays where it belongs.
func stars(s string) string { return strings.Repeat("*", utf8.RuneCountInString(s)) }

// maxExcerpt is how many characters of a line an excerpt shows.
const maxExcerpt = 120

// excerpt shows the line of at with a caret below its column.
func (s *source) excerpt(at place) string {
	if at.line < 1 || at.line > len(s.lines) {
		return ""
	}
	line := []rune(s.lines[at.line-1])
	column := min(max(at.column, 1), len(line)+1)
	from := 0
	if column > maxExcerpt {
		from = column - maxExcerpt/2
	}
	to := min(len(line), from+maxExcerpt)
	if from >= to && from > 0 {
		return ""
	}
	margin := max(s.longest, 8*maxExcerpt) // what is hidden may be cut by the excerpt
	start := max(0, from-margin)
	text := []rune(s.masked(string(line[start:min(len(line), to+margin)])))
	text = text[from-start : to-start]
	pad := strings.Map(blank, string(line[from:min(column-1, to)]))
	return fmt.Sprintf("%5d | %s\n      | %s^\n", at.line, strings.TrimRight(strings.Map(printable, string(text)), " "), pad)
}

// printable keeps the escape sequences of a file away from the terminal.
func printable(r rune) rune {
	if r == '\t' || unicode.IsPrint(r) {
		return r
	}
	return unicode.ReplacementChar
}

func blank(r rune) rune {
	if r == '\t' {
		return r
	}
	return ' '
}

// line returns the text of a line, empty when there is none.
func (s *source) line(n int) string {
	if n < 1 || n > len(s.lines) {
		return ""
	}
	return s.lines[n-1]
}

// envHint is the cure of a syntax fault, which in a line with ${ inside brackets
// is nearly always a pair of quotes.
func (r *report) envHint(f *syntaxError) string {
	line := r.src.line(f.at.line)
	if f.at.column >= 2 && strings.Contains(line, "${") && strings.ContainsAny(line, "[{") && !strings.Contains(line, "\"${") {
		return "inside [ ] and { } a value such as \"${NAME}\" needs quotes"
	}
	return f.hint
}
