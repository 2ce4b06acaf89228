package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// An Error is one thing that is wrong at one place of a configuration.
type Error struct {
	File    string // as it was given; empty for a Config that was built in Go
	Line    int    // from 1; 0 when there is no place
	Column  int    // from 1, in characters
	Path    string // the key, such as pools.shop.queue.limit; empty for the whole file
	Msg     string // what is wrong, with what it is about
	Hint    string // the cure, when one is known
	Excerpt string // the line with a caret below it; empty when there is no place

	err error // what the operating system said, or nil
}

// Unwrap returns what the operating system said when the file could not be read.
func (e *Error) Unwrap() error { return e.err }

// Error returns one line: place, fact and cure.
func (e *Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File)
		if e.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", e.Line, e.Column)
		}
		b.WriteString(": ")
	}
	b.WriteString(e.Msg)
	if e.Hint != "" {
		b.WriteString(" (" + e.Hint + ")")
	}
	return b.String()
}

// Detail returns the line of Error and the excerpt, each line ended.
func (e *Error) Detail() string { return e.Error() + "\n" + e.Excerpt }

// Errors are all that is wrong, in the order of the file.
type Errors []*Error

// Error returns one line for each error.
func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Detail returns every error with its excerpt, for a terminal.
func (es Errors) Detail() string {
	var b strings.Builder
	for _, e := range es {
		b.WriteString(e.Detail())
	}
	return b.String()
}

// Unwrap returns each error, for errors.Is and errors.As.
func (es Errors) Unwrap() []error {
	out := make([]error, len(es))
	for i, e := range es {
		out[i] = e
	}
	return out
}

// maxErrors bounds what one file can make us print.
const maxErrors = 100

// sorted orders the errors by place, drops the doubles and cuts after maxErrors.
func (es Errors) sorted() Errors {
	slices.SortStableFunc(es, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	es = slices.CompactFunc(es, func(a, b *Error) bool {
		return a.Line == b.Line && a.Column == b.Column && a.Msg == b.Msg
	})
	if more := len(es) - maxErrors; more > 0 {
		last := *es[maxErrors]
		last.Msg, last.Hint, last.Path = fmt.Sprintf("and %d more errors from here on", more), "", ""
		es = append(es[:maxErrors:maxErrors], &last)
	}
	return es
}
