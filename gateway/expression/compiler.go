package expression

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"
	"cel.dev/cel-go/parser"
)

const (
	maxSource  = 8 << 10 // bytes
	maxNesting = 50      // of the parser; the depth of what a person writes is below 10
)

// A compiler makes one program. It is used once.
type compiler struct {
	source string
	want   Type

	env       *cel.Env
	info      *ast.SourceInfo // places of the parsed source
	variables map[string]*cel.Type
	networks  map[int64][]netip.Prefix // of each client.ip in [...], by its id
	patterns  map[string]uint64        // instructions of each regular expression
	grown     int64                    // the id of a text that may grow too long, or 0
}

func newCompiler(source string, want Type) *compiler {
	return &compiler{
		source: source, want: want, variables: variables(),
		networks: make(map[int64][]netip.Prefix), patterns: make(map[string]uint64),
	}
}

func (c *compiler) compile() (cel.Program, error) {
	if err := c.checkSource(); err != nil {
		return nil, err
	}
	if err := c.makeEnv(); err != nil {
		return nil, fmt.Errorf("the language cannot be set up: %w", err)
	}
	parsed, issues := c.env.Parse(c.source)
	if issues.Err() != nil {
		return nil, c.explain(issues)
	}
	tree := parsed.NativeRep()
	c.info = tree.SourceInfo()
	if err := c.resolve(tree.Expr(), nil); err != nil {
		return nil, err
	}
	checked, issues := c.env.Check(parsed)
	if issues.Err() != nil {
		return nil, c.explain(issues)
	}
	if err := c.checkType(checked); err != nil {
		return nil, err
	}
	return c.plan(checked)
}

func (c *compiler) checkSource() error {
	switch {
	case strings.TrimSpace(c.source) == "":
		return &Error{Line: 1, Column: 1, Msg: "the expression is empty", Hint: "write one, such as " + c.example()}
	case len(c.source) > maxSource:
		return &Error{Line: 1, Column: 1, Msg: fmt.Sprintf("the expression has %d bytes, and at most %d are read", len(c.source), maxSource)}
	case !utf8.ValidString(c.source):
		return &Error{Line: 1, Column: 1, Msg: "the expression is not UTF-8"}
	}
	return nil
}

// example is an expression of the type that is wanted.
func (c *compiler) example() string {
	if c.want == Bool {
		return `request.method == "GET"`
	}
	return `request.header["x-user"]`
}

func (c *compiler) makeEnv() (err error) {
	options := []cel.EnvOption{
		cel.ClearMacros(),
		cel.Macros(parser.AllMacro, parser.ExistsMacro, parser.ExistsOneMacro, parser.ExistsOneMacroNew,
			parser.MapMacro, parser.MapFilterMacro, parser.FilterMacro),
		cel.ParserRecursionLimit(maxNesting),
		cel.ParserExpressionSizeLimit(maxSource),
		cel.ParserErrorRecoveryLimit(1),
		cel.DefaultUTCTimeZone(true),
		ext.Strings(ext.StringsVersion(5)),
		cel.CostEstimatorOptions(c.estimators()...),
		cel.Function(inNetworks, cel.Overload("in_networks", []*cel.Type{addressType, cel.ListType(cel.StringType)}, cel.BoolType,
			cel.BinaryBinding(func(_, _ ref.Val) ref.Val { panic("expression: networks are not in place") }))),
		cel.Function("string", cel.Overload("address_to_string", []*cel.Type{addressType}, cel.StringType,
			cel.UnaryBinding(func(v ref.Val) ref.Val { return v.ConvertToType(cel.StringType) }))),
	}
	for name, t := range c.variables {
		options = append(options, cel.Variable(name, t))
	}
	c.env, err = cel.NewEnv(options...)
	return err
}

func (c *compiler) checkType(checked *cel.Ast) error {
	got := checked.OutputType()
	if got.IsExactType(c.want.cel()) {
		return nil
	}
	e := c.errorAt(checked.NativeRep().Expr().ID(), "the expression gives "+typeText(got.String())+", and "+c.want.String()+" is wanted", "")
	e.Line, e.Column = 1, 1
	switch {
	case c.want == Bool:
		e.Hint = `compare it, as in request.method == "GET"`
	case slices.Contains([]string{"int", "uint", "double", "bool", "address", "timestamp", "google.protobuf.Timestamp"}, got.String()):
		e.Hint = "write string(" + strings.TrimSpace(c.source) + ")"
	case got.String() == "map(string, string)":
		e.Hint = `take one of it, as in request.header["x-user"]`
	}
	if len(e.Hint) > 200 || strings.ContainsAny(e.Hint, "\r\n") || strings.Contains(e.Hint, "//") {
		e.Hint = "write string(...) around it"
	}
	return e
}

// plan makes the program. Cost is counted only where it is not proved to stay
// below the limit: counting makes a small expression ten times as slow.
func (c *compiler) plan(checked *cel.Ast) (cel.Program, error) {
	estimate, err := c.env.EstimateCost(checked, sizes{})
	if err != nil {
		return nil, c.errorAt(0, plain(err.Error()), "")
	}
	if c.grown != 0 {
		return nil, c.errorAt(c.grown, fmt.Sprintf("this may grow to a text of more than %d MiB", maxGrown>>20), "join fewer texts, or replace with a shorter one")
	}
	options := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize), cel.CustomDecoratorV2(c.place)}
	if estimate.Max > maxCost {
		options = append(options, cel.CostLimit(maxCost), cel.CostTrackerOptions(c.trackers()...))
	}
	plan, err := c.env.Program(checked, options...)
	if err != nil {
		return nil, c.errorAt(0, plain(err.Error()), "")
	}
	return plan, nil
}

// errorAt returns an error at the place of the node id, or at the beginning.
func (c *compiler) errorAt(id int64, msg, hint string) *Error {
	e := &Error{Line: 1, Column: 1, Msg: msg, Hint: hint}
	if at := c.info.GetStartLocation(id); at != common.NoLocation {
		e.Line, e.Column = max(at.Line(), 1), max(at.Column(), 0)+1
		e.Column = c.begin(e)
	}
	return e
}

// begin returns the column where the name with dots begins that e points into: the
// library points at a dot.
func (c *compiler) begin(e *Error) int {
	lines := strings.Split(c.source, "\n")
	if e.Line > len(lines) {
		return e.Column
	}
	line := []rune(lines[e.Line-1])
	if e.Column > len(line) || line[e.Column-1] != '.' {
		return e.Column
	}
	at := e.Column - 1
	for at > 0 && (line[at-1] == '.' || line[at-1] == '_' || unicode.IsLetter(line[at-1]) || unicode.IsDigit(line[at-1])) {
		at--
	}
	return at + 1
}
