package expression

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"headgate/gateway/spelling"
)

// resolve checks what the library would say in words of its own, or not at all:
// names, networks and patterns. It turns client.ip in [...] into a call of
// inNetworks. scope has the variables of the loops around e.
func (c *compiler) resolve(e ast.Expr, scope []string) error {
	switch e.Kind() {
	case ast.IdentKind, ast.SelectKind:
		return c.resolveName(e, scope)
	case ast.CallKind:
		return c.resolveCall(e, scope)
	case ast.ListKind:
		return c.resolveAll(e.AsList().Elements(), scope)
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			m := entry.AsMapEntry()
			if err := c.resolveAll([]ast.Expr{m.Key(), m.Value()}, scope); err != nil {
				return err
			}
		}
	case ast.StructKind:
		return c.errorAt(e.ID(), "messages are not part of expressions", "write a map, as in {\"a\": \"b\"}")
	case ast.ComprehensionKind:
		l := e.AsComprehension()
		if err := c.resolveAll([]ast.Expr{l.IterRange(), l.AccuInit()}, scope); err != nil {
			return err
		}
		inner := append(slices.Clone(scope), l.AccuVar(), l.IterVar())
		return c.resolveAll([]ast.Expr{l.LoopCondition(), l.LoopStep(), l.Result()}, inner)
	}
	return nil
}

func (c *compiler) resolveAll(list []ast.Expr, scope []string) error {
	for _, e := range list {
		if err := c.resolve(e, scope); err != nil {
			return err
		}
	}
	return nil
}

// dotted returns the names of a.b.c, and nil for anything else and for what
// begins with a variable of a loop.
func dotted(e ast.Expr, scope []string) []string {
	var path []string
	for ; e.Kind() == ast.SelectKind; e = e.AsSelect().Operand() {
		path = append(path, e.AsSelect().FieldName())
	}
	if e.Kind() != ast.IdentKind || slices.Contains(scope, e.AsIdent()) {
		return nil
	}
	path = append(path, strings.TrimPrefix(e.AsIdent(), "."))
	slices.Reverse(path)
	return path
}

// first returns the id of the leftmost part of a name or a chain of calls: the
// library places those at their last dot.
func first(e ast.Expr) int64 {
	for {
		switch {
		case e.Kind() == ast.SelectKind:
			e = e.AsSelect().Operand()
		case e.Kind() == ast.CallKind && e.AsCall().IsMemberFunction():
			e = e.AsCall().Target()
		case e.Kind() == ast.CallKind && e.AsCall().FunctionName() == operators.Index:
			e = e.AsCall().Args()[0]
		default:
			return e.ID()
		}
	}
}

func (c *compiler) resolveName(e ast.Expr, scope []string) error {
	path := dotted(e, scope)
	if path == nil {
		for e.Kind() == ast.SelectKind {
			e = e.AsSelect().Operand()
		}
		if e.Kind() == ast.IdentKind {
			return nil // a variable of a loop
		}
		return c.resolve(e, scope)
	}
	for n := range path {
		if _, ok := c.variables[strings.Join(path[:n+1], ".")]; ok {
			return nil
		}
	}
	if _, ok := c.env.CELTypeProvider().FindIdent(strings.Join(path, ".")); ok {
		return nil // the name of a type
	}
	return c.unknownName(first(e), path)
}

// unknownName says what path may have been meant to be.
func (c *compiler) unknownName(id int64, path []string) error {
	name := strings.Join(path, ".")
	if members := c.below(name); members != nil {
		return c.errorAt(id, name+" is not a value", "write one of "+strings.Join(members, ", "))
	}
	if part, meant := c.meant(path); meant != "" {
		return c.errorAt(id, part+" is not known", `did you mean "`+meant+`"?`)
	}
	for n := len(path) - 1; n > 0; n-- {
		group := strings.Join(path[:n], ".")
		if members := c.below(group); members != nil {
			return c.errorAt(id, strings.Join(path[:n+1], ".")+" is not known", group+" has "+strings.Join(members, ", "))
		}
	}
	hint := "the variables are request, client, tls and now"
	if word, ok := operatorWords()[path[0]]; ok {
		hint = word
	} else if len(path) == 1 {
		hint = "a text stands in quotes: \"" + path[0] + "\""
	}
	return c.errorAt(id, path[0]+" is not known", hint)
}

// below returns the variables of a group, such as client.cert, and nil for what is none.
func (c *compiler) below(group string) []string {
	var list []string
	for name := range c.variables {
		if strings.HasPrefix(name, group+".") {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

// meant finds a variable of nearly the name that path begins with, or one that
// ends in the same word.
func (c *compiler) meant(path []string) (part, variable string) {
	all := slices.Sorted(maps.Keys(c.variables))
	for n := range path {
		part = strings.Join(path[:n+1], ".")
		if found := spelling.Similar(part, all); found != "" && c.below(part) == nil {
			return part, found
		}
	}
	for n := len(path); n > 0; n-- {
		for _, v := range all {
			if short := v[strings.LastIndexByte(v, '.')+1:]; spelling.Similar(path[n-1], []string{short}) != "" || short == path[n-1] {
				return strings.Join(path[:n], "."), v
			}
		}
	}
	return "", ""
}

func (c *compiler) resolveCall(e ast.Expr, scope []string) error {
	call := e.AsCall()
	switch {
	case call.FunctionName() == operators.In && c.isVariable(call.Args()[0], "client.ip", scope):
		return c.resolveNetworks(e, call.Args())
	case call.FunctionName() == operators.Index && c.isVariable(call.Args()[0], "request.header", scope):
		canonical(call.Args()[1])
	}
	if err := c.resolveFunction(e, scope); err != nil {
		return err
	}
	if call.IsMemberFunction() && !c.qualified(call, scope) {
		if err := c.resolve(call.Target(), scope); err != nil {
			return err
		}
	}
	if err := c.resolveAll(call.Args(), scope); err != nil {
		return err
	}
	if call.FunctionName() == "matches" {
		return c.resolvePattern(call.Args())
	}
	return nil
}

func (c *compiler) isVariable(e ast.Expr, name string, scope []string) bool {
	return strings.Join(dotted(e, scope), ".") == name
}

// canonical writes the constant name of a header as net/http does, so that it
// need not be done for each request.
func canonical(name ast.Expr) {
	if name.Kind() != ast.LiteralKind {
		return
	}
	if s, ok := name.AsLiteral().(types.String); ok {
		name.SetKindCase(ast.NewExprFactory().NewLiteral(name.ID(), types.String(http.CanonicalHeaderKey(string(s)))))
	}
}

func (c *compiler) resolveNetworks(e ast.Expr, args []ast.Expr) error {
	const hint = `write client.ip in ["10.0.0.0/8", "::1"]`
	if args[1].Kind() != ast.ListKind {
		return c.errorAt(first(args[1]), "the networks of client.ip in must be a list", hint)
	}
	for _, item := range args[1].AsList().Elements() {
		if item.Kind() != ast.LiteralKind {
			return c.errorAt(first(item), "a network must be written out", hint)
		}
		s, ok := item.AsLiteral().(types.String)
		if !ok {
			return c.errorAt(first(item), "a network is a text in quotes", hint)
		}
		network, ok := parseNetwork(string(s))
		if !ok {
			return c.errorAt(first(item), quoted(string(s))+" is not a network", "write it like 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7")
		}
		c.networks[e.ID()] = append(c.networks[e.ID()], network)
	}
	e.SetKindCase(ast.NewExprFactory().NewCall(e.ID(), inNetworks, args...))
	return nil
}
