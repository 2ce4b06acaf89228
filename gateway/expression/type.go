package expression

import "cel.dev/cel-go/cel"

// A Type is what an expression evaluates to.
type Type int

const (
	// Bool is the type of conditions.
	Bool Type = iota
	// String is the type of keys and of values of headers.
	String
)

// String returns "bool" or "string".
func (t Type) String() string {
	if t == Bool {
		return "bool"
	}
	return "string"
}

func (t Type) cel() *cel.Type {
	if t == Bool {
		return cel.BoolType
	}
	return cel.StringType
}
