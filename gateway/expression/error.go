package expression

import (
	"errors"
	"fmt"
)

// ErrLimit is what evaluation returns, wrapped, for a request that is too big for
// the expression: a value or a map beyond its bound, or too many units of cost.
var ErrLimit = errors.New("expression: too much to evaluate")

// An Error is the first thing that is wrong with a source.
type Error struct {
	Line   int    // from 1, in the source
	Column int    // from 1, in characters
	Msg    string // what is wrong
	Hint   string // the cure, when one is known
}

// Error returns one line: place, fact and cure.
func (e *Error) Error() string {
	place := fmt.Sprintf("column %d", e.Column)
	if e.Line > 1 {
		place = fmt.Sprintf("line %d, %s", e.Line, place)
	}
	if e.Hint == "" {
		return place + ": " + e.Msg
	}
	return place + ": " + e.Msg + " (" + e.Hint + ")"
}
