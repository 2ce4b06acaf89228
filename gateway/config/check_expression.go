package config

import (
	"errors"
	"strings"
	"unicode/utf8"

	"headgate/gateway/expression"
)

// checkExpression compiles an expression and reports what is wrong with it, at its
// place in the file. An empty one is none.
func checkExpression(r *report, p, about path, source string, want expression.Type) {
	if source == "" {
		return
	}
	err := r.compile(source, want)
	if err == nil {
		return
	}
	msg, hint, at := err.Error(), "", r.find(p)
	if e, ok := errors.AsType[*expression.Error](err); ok {
		msg, hint, at = e.Msg, e.Hint, r.within(at, source, e.Line, e.Column)
	}
	r.checkAt(at, p, about, msg, hint)
}

// compiled is an expression that was looked at.
type compiled struct {
	source string
	want   expression.Type
}

// compile is expression.Compile, once for the same expression: files repeat them.
func (r *report) compile(source string, want expression.Type) error {
	c := compiled{source, want}
	err, ok := r.compiled[c]
	if !ok {
		_, err = expression.Compile(source, want)
		r.compiled[c] = err
	}
	return err
}

// within is where line and column of a text are in the file, whose value begins at
// at. Where that cannot be told, because the file has it with variables or escapes,
// it is at.
func (r *report) within(at place, text string, line, column int) place {
	if r.src == nil || line < 1 {
		return at
	}
	lines := strings.Split(text, "\n")
	if line > len(lines) || lines[line-1] == "" {
		return at
	}
	row, from := at.line, at.column-1
	if first := []rune(r.src.line(row)); from < len(first) && first[from] == '|' {
		row, from = row+line, 0 // the text begins below
	} else if line > 1 {
		return at
	}
	in := []rune(r.src.line(row))
	from = min(from, len(in))
	before, _, found := strings.Cut(string(in[from:]), lines[line-1])
	if !found {
		return at
	}
	return place{row, from + utf8.RuneCountInString(before) + max(column, 1)}
}
