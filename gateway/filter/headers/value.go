package headers

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"headgate/gateway/expression"
)

// maxValue bounds the value of a field that is set or added.
const maxValue = 8 << 10

// compile returns the program of v, nil for a text. Errors begin with at, the key
// of v.
func (v Value) compile(at string) (*expression.Program, error) {
	switch {
	case v.Text != "" && v.CEL != "":
		return nil, fmt.Errorf("%s: has a text and an expression: keep one of the two", at)
	case v.CEL != "":
		p, err := expression.Compile(v.CEL, expression.String)
		if err != nil {
			return nil, explained(at+".cel", err)
		}
		return p, nil
	case v.Text == "":
		return nil, fmt.Errorf("%s: has no value: write one, or list the name under remove", at)
	case len(v.Text) > maxValue:
		return nil, fmt.Errorf("%s: is longer than %d bytes: write a shorter one", at, maxValue)
	case strings.Trim(v.Text, " \t") != v.Text:
		return nil, fmt.Errorf("%s: begins or ends with white space, which no field can have: remove it", at)
	case !sendable(v.Text):
		return nil, fmt.Errorf("%s: has a control character such as the end of a line, which no field can have: remove it", at)
	}
	return nil, nil
}

// explained puts a key in front of an error of package expression, and its cure
// behind it.
func explained(at string, err error) error {
	var e *expression.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("%s: %w", at, err)
	}
	fact := *e
	fact.Hint = ""
	cure := cmp.Or(e.Hint, "write an expression that gives a string")
	if meant, ok := strings.CutPrefix(cure, "did you mean "); ok {
		cure = "write " + strings.Trim(meant, `"?`)
	}
	return fmt.Errorf("%s: %w: %s", at, &fact, cure)
}

// sendable reports whether s can be the value of a field (RFC 9110, 5.5).
func sendable(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// evaluated is what p gives for v, "" if that cannot be the value of a field.
func evaluated(p *expression.Program, v expression.View) string {
	s, err := p.String(v)
	if err != nil {
		return ""
	}
	s = strings.Trim(s, " \t")
	if len(s) > maxValue || !sendable(s) {
		return ""
	}
	return s
}
