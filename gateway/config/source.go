package config

import (
	"fmt"
	"strings"
	"unicode"
)

// place is a position in the file, both from 1; the zero value is nowhere.
type place struct{ line, column int }

// source is the text of a file, for excerpts.
type source struct {
	name  string
	lines []string
}

func newSource(name string, data []byte) *source {
	text := strings.ReplaceAll(string(data), "\r\n", "\n")
	return &source{name: name, lines: strings.Split(text, "\n")}
}

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
	text := strings.Map(printable, string(line[from:to]))
	pad := strings.Map(blank, string(line[from:min(column-1, to)]))
	return fmt.Sprintf("%5d | %s\n      | %s^\n", at.line, strings.TrimRight(text, " "), pad)
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
