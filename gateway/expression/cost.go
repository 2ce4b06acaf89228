package expression

import (
	"cel.dev/cel-go/checker"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

const (
	maxCost  = 100_000 // units of CEL's cost; what reads 64 KiB once or twice is below it
	maxGrown = 4 << 20 // bytes of a text that an expression makes
)

// sizes bounds what a request can bring. Items of lists count like values of the
// request; a list of longer texts is as long as the source is, at most.
type sizes struct{}

// EstimateSize bounds texts, maps and lists.
func (sizes) EstimateSize(node checker.AstNode) *checker.SizeEstimate {
	if node.Type() == nil {
		return nil
	}
	switch node.Type().Kind() {
	case types.MapKind:
		return &checker.SizeEstimate{Max: maxNames}
	case types.StringKind, types.BytesKind, types.ListKind, types.DynKind:
		return &checker.SizeEstimate{Max: maxText}
	}
	return nil
}

// EstimateCallCost leaves every function to the library and to estimators.
func (sizes) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}

func size(n checker.AstNode) checker.SizeEstimate {
	if s := n.ComputedSize(); s != nil {
		return *s
	}
	return checker.SizeEstimate{Max: maxText}
}

// estimators are the functions whose cost or result the library misjudges.
func (c *compiler) estimators() []checker.CostOption {
	return []checker.CostOption{
		checker.OverloadCostEstimate(overloads.Matches, c.estimateMatches),
		checker.OverloadCostEstimate(overloads.MatchesString, c.estimateMatches),
		checker.OverloadCostEstimate(overloads.AddString, c.estimateAdd),
		checker.OverloadCostEstimate(overloads.AddBytes, c.estimateAdd),
		checker.OverloadCostEstimate("string_replace_string_string", c.estimateReplace),
		checker.OverloadCostEstimate("string_replace_string_string_int", c.estimateReplace),
		checker.OverloadCostEstimate("list_join", c.estimateJoin),
		checker.OverloadCostEstimate("list_join_string", c.estimateJoin),
	}
}

// regexCost is the library's, with the instructions of the pattern in the place
// of its length: a{1000} is short and slow.
func regexCost(text, instructions uint64) uint64 { return (text + 10) * (instructions + 4) / 40 }

func (c *compiler) estimateMatches(_ checker.CostEstimator, target *checker.AstNode, args []checker.AstNode) *checker.CallEstimate {
	text := args[0]
	if target != nil {
		text = *target
	}
	var instructions uint64 = maxInstructions
	if pattern, ok := args[len(args)-1].Expr().AsLiteral().(types.String); ok {
		instructions = c.patterns[string(pattern)]
	}
	return &checker.CallEstimate{CostEstimate: checker.CostEstimate{Max: regexCost(min(size(text).Max, maxGrown), instructions)}}
}

func (c *compiler) estimateAdd(_ checker.CostEstimator, _ *checker.AstNode, args []checker.AstNode) *checker.CallEstimate {
	return c.growth(args[0].Expr(), size(args[0]).Add(size(args[1])).Max)
}

// estimateReplace knows that a text of n bytes has at most n/m times one of m.
func (c *compiler) estimateReplace(_ checker.CostEstimator, target *checker.AstNode, args []checker.AstNode) *checker.CallEstimate {
	text, by := min(size(*target).Max, maxGrown), min(size(args[1]).Max, maxGrown)
	was := max(size(args[0]).Min, 1)
	return c.growth((*target).Expr(), text+by*(text/was+1))
}

func (c *compiler) estimateJoin(_ checker.CostEstimator, target *checker.AstNode, args []checker.AstNode) *checker.CallEstimate {
	items, between := min(size(*target).Max, maxGrown), uint64(0)
	if len(args) > 0 {
		between = min(size(args[0]).Max, maxGrown)
	}
	total := uint64(maxText) // of what was one text
	if (*target).Expr().Kind() == ast.ListKind {
		total = items * maxText
	}
	return c.growth((*target).Expr(), total+items*between)
}

// growth returns the estimate of a text of up to n bytes and notes one that is too long.
func (c *compiler) growth(at ast.Expr, n uint64) *checker.CallEstimate {
	if n > maxGrown && c.grown == 0 {
		c.grown = first(at)
	}
	return &checker.CallEstimate{
		CostEstimate: checker.CostEstimate{Max: n/5 + 1},
		ResultSize:   &checker.SizeEstimate{Max: n},
	}
}

// trackers count at run time what regular expressions cost.
func (c *compiler) trackers() []interpreter.CostTrackerOption {
	matches := func(args []ref.Val, _ ref.Val) *uint64 {
		text, _ := args[0].(types.String)
		pattern, _ := args[1].(types.String)
		n := regexCost(uint64(len(text)), c.patterns[string(pattern)])
		return &n
	}
	return []interpreter.CostTrackerOption{
		interpreter.OverloadCostTracker(overloads.Matches, matches),
		interpreter.OverloadCostTracker(overloads.MatchesString, matches),
	}
}
