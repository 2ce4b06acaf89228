package expression

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"

	"headgate/gateway/spelling"
)

// maxInstructions bounds a regular expression as it is executed.
const maxInstructions = 1000

// loops are the functions that the parser turns into loops.
func loops() []string { return []string{"all", "exists", "exists_one", "existsOne", "filter", "map"} }

// functions returns every name that can be called.
func (c *compiler) functions() []string {
	list := loops()
	for name := range c.env.Functions() {
		if name[0] != '_' && name[0] != '@' && !strings.ContainsAny(name, "!-?") && name != "format" {
			list = append(list, name)
		}
	}
	return list
}

// qualified reports whether a call such as strings.quote(x) has no target, but a
// name with dots.
func (c *compiler) qualified(call ast.CallExpr, scope []string) bool {
	path := dotted(call.Target(), scope)
	return path != nil && c.env.HasFunction(strings.Join(path, ".")+"."+call.FunctionName())
}

// resolveFunction checks that there is a function of this name.
func (c *compiler) resolveFunction(e ast.Expr, scope []string) error {
	call := e.AsCall()
	name := call.FunctionName()
	if call.IsMemberFunction() && c.qualified(call, scope) {
		return nil
	}
	name = strings.TrimPrefix(name, ".")
	switch {
	case name == "has":
		return c.errorName(e, "has is not needed: what a request does not have is \"\"", `to tell absent from empty write "name" in request.header`)
	case name == "format":
		return c.errorName(e, "format is not part of expressions", `join texts with +, as in "a-" + request.host`)
	case slices.Contains(loops(), name):
		return c.errorName(e, name+" takes the name of a variable and an expression", fmt.Sprintf("write request.query.%s(name, name.startsWith(\"a\"))", name))
	case c.env.HasFunction(name):
		return nil
	}
	hint := ""
	if meant := spelling.Nearest(name, c.functions()); meant != "" {
		hint = `did you mean "` + meant + `"?`
	}
	return c.errorName(e, "the function "+name+" is not known", hint)
}

// errorName returns an error at the name of a call: the library places it at the
// parenthesis.
func (c *compiler) errorName(call ast.Expr, msg, hint string) *Error {
	e := c.errorAt(call.ID(), msg, hint)
	name := []rune(call.AsCall().FunctionName())
	line := []rune(strings.Split(c.source, "\n")[e.Line-1])
	if at := e.Column - 1 - len(name); at >= 0 && e.Column <= len(line) && slices.Equal(line[at:at+len(name)], name) {
		e.Column = at + 1
	}
	return e
}

// resolvePattern compiles the pattern of matches, the last argument of either form.
func (c *compiler) resolvePattern(args []ast.Expr) error {
	if len(args) == 0 {
		return nil // the library says what it takes
	}
	arg := args[len(args)-1]
	if arg.Kind() != ast.LiteralKind {
		return c.errorAt(first(arg), "the pattern of matches must be written out", `as in request.path.matches("^/u/[0-9]+$")`)
	}
	s, ok := arg.AsLiteral().(types.String)
	if !ok {
		return c.errorAt(first(arg), "the pattern of matches is a text in quotes", `as in request.path.matches("^/u/[0-9]+$")`)
	}
	if _, err := regexp.Compile(string(s)); err != nil {
		return c.errorAt(first(arg), quoted(string(s))+" is not a regular expression: "+plain(strings.TrimPrefix(err.Error(), "error parsing regexp: ")),
			`the syntax is RE2; a backslash is written \\, or r"\d" with an r before the quotes`)
	}
	tree, err := syntax.Parse(string(s), syntax.Perl)
	if err != nil {
		return c.errorAt(first(arg), plain(err.Error()), "")
	}
	prog, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return c.errorAt(first(arg), plain(err.Error()), "")
	}
	if len(prog.Inst) > maxInstructions {
		return c.errorAt(first(arg), fmt.Sprintf("the pattern has %d instructions, and at most %d are run", len(prog.Inst), maxInstructions), "repeat less, as in {1,100}")
	}
	c.patterns[string(s)] = uint64(len(prog.Inst))
	return nil
}
