package routing

import (
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// anchored reports whether all that re matches begins where the text begins.
func anchored(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpBeginText:
		return true
	case syntax.OpCapture:
		return anchored(re.Sub[0])
	case syntax.OpConcat:
		return len(re.Sub) > 0 && anchored(re.Sub[0])
	case syntax.OpAlternate:
		for _, sub := range re.Sub {
			if !anchored(sub) {
				return false
			}
		}
		return true
	}
	return false
}

// literal returns what all that re matches begins with, and whether that is all
// of it. It may be less than there is, never more.
func literal(re *syntax.Regexp) (text string, whole bool) {
	switch re.Op {
	case syntax.OpLiteral:
		return literalRunes(re)
	case syntax.OpBeginText, syntax.OpEndText, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpWordBoundary, syntax.OpNoWordBoundary, syntax.OpEmptyMatch:
		return "", true
	case syntax.OpCapture:
		return literal(re.Sub[0])
	case syntax.OpPlus:
		text, _ = literal(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			text, _ = literal(re.Sub[0])
		}
	case syntax.OpConcat:
		return literalConcat(re.Sub)
	case syntax.OpAlternate:
		text = literalAlternate(re.Sub)
	}
	return text, false
}

// literalRunes stops at U+FFFD, which in a regular expression also matches bytes
// that are not UTF-8.
func literalRunes(re *syntax.Regexp) (text string, whole bool) {
	if re.Flags&syntax.FoldCase != 0 {
		return "", false
	}
	text = string(re.Rune)
	if i := strings.IndexRune(text, utf8.RuneError); i >= 0 {
		return text[:i], false
	}
	return text, true
}

func literalConcat(subs []*syntax.Regexp) (text string, whole bool) {
	var b strings.Builder
	for _, sub := range subs {
		text, whole := literal(sub)
		b.WriteString(text)
		if !whole {
			return b.String(), false
		}
	}
	return b.String(), true
}

func literalAlternate(subs []*syntax.Regexp) string {
	common, _ := literal(subs[0])
	for _, sub := range subs[1:] {
		text, _ := literal(sub)
		common = common[:commonLength(common, text)]
	}
	return common
}

// commonLength is how many bytes a and b have in common at their beginning.
func commonLength(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
