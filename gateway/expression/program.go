package expression

import (
	"errors"
	"fmt"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

// A Program is a compiled expression. It is immutable and safe for concurrent use.
// There is no useful zero value: Compile makes one.
type Program struct {
	source      string
	want        Type
	plan        cel.Program
	activations sync.Pool // of *activation
}

// Compile checks source and prepares it for evaluation to the type want. It does
// not block. An error is an *Error, of one line.
func Compile(source string, want Type) (*Program, error) {
	plan, err := newCompiler(source, want).compile()
	if err != nil {
		return nil, err
	}
	p := &Program{source: source, want: want, plan: plan}
	p.activations.New = func() any { return newActivation() }
	return p, nil
}

// Source returns what the program was compiled from.
func (p *Program) Source() string { return p.source }

// Bool evaluates a program of the type Bool; it panics for another. It does not
// block. On an error the result is false and means nothing: the request decided
// neither way, and one that a condition guards must be refused, because a client
// can bring the error about.
func (p *Program) Bool(v View) (bool, error) {
	if p.want != Bool {
		panic("expression: Bool of a program of type " + p.want.String())
	}
	out, err := p.evaluate(v)
	if err != nil {
		return false, err
	}
	b, ok := out.(types.Bool)
	if !ok {
		return false, fmt.Errorf("the expression gave %s, not true or false", out.Type().TypeName())
	}
	return bool(b), nil
}

// String evaluates a program of the type String; it panics for another. It does
// not block. The text may hold any byte that the request had, encoded or not,
// also ends of lines: who makes a header of it checks it.
func (p *Program) String(v View) (string, error) {
	if p.want != String {
		panic("expression: String of a program of type " + p.want.String())
	}
	out, err := p.evaluate(v)
	if err != nil {
		return "", err
	}
	s, ok := out.(types.String)
	if !ok {
		return "", fmt.Errorf("the expression gave %s, not a string", out.Type().TypeName())
	}
	return string(s), nil
}

func (p *Program) evaluate(v View) (ref.Val, error) {
	a := p.activations.Get().(*activation)
	defer func() {
		a.view, a.excess = View{}, nil
		p.activations.Put(a)
	}()
	a.view = v
	out, _, err := p.plan.Eval(a)
	if a.excess != nil { // also where || has hidden it
		return nil, a.excess
	}
	return out, failure(err)
}

// failure is apart so that an evaluation without one does not allocate for it.
func failure(err error) error {
	if err == nil {
		return nil
	}
	var cancelled interpreter.EvalCancelledError
	if errors.As(err, &cancelled) {
		return fmt.Errorf("the request takes more than %d units: %w", maxCost, ErrLimit)
	}
	return fmt.Errorf("evaluation: %s", plain(err.Error()))
}
