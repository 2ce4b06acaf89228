package config

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// What one file may ask of the parser, whose time grows with the square of the
// keys of a map and whose stack grows with the nesting.
const (
	maxFile    = 8 << 20
	maxTokens  = 100_000
	maxDepth   = 50
	maxColumn  = 500
	maxPerLine = 20 // nested "- - -" or properties on one line
)

// syntaxError is a fault of the YAML itself, or a part of YAML that we refuse.
type syntaxError struct {
	at        place
	msg, hint string
}

// Error implements error.
func (e *syntaxError) Error() string { return e.msg }

// parseYAML reads one document. Its node is nil when the file says nothing. With
// faults after which the rest can still be read the node is there all the same.
func parseYAML(data []byte) (root *node, faults []*syntaxError) {
	if at, ok := invalidUTF8(data); ok {
		return nil, []*syntaxError{{at, "this is not UTF-8 text", "save the file as UTF-8"}}
	}
	if signs(data) > 2*maxTokens {
		return nil, []*syntaxError{tooMuch(place{1, 1})}
	}
	tokens := lexer.Tokenize(string(bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))))
	if err := checkTokens(tokens); err != nil {
		return nil, []*syntaxError{err}
	}
	file, err := parseTokens(tokens)
	if err != nil {
		return nil, []*syntaxError{err}
	}
	c := converter{anchors: map[string]*node{}}
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if root != nil {
			c.fault(doc.Body, "a second document begins here", "one file is one document: remove the line with ---")
			break
		}
		root = c.node(doc.Body)
	}
	return root, c.faults
}

// invalidUTF8 finds the first byte that is not UTF-8, or is NUL.
func invalidUTF8(data []byte) (place, bool) {
	at := place{1, 1}
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 || r == 0 {
			return at, true
		}
		if at.column++; r == '\n' {
			at = place{at.line + 1, 1}
		}
		i += size
	}
	return at, false
}

func tooMuch(at place) *syntaxError {
	return &syntaxError{at, fmt.Sprintf("more than %d values and signs", maxTokens), "is it a configuration?"}
}

// signs counts the bytes outside of comment lines that can part tokens, so that
// the lexer is not given what would fill the memory with them.
func signs(data []byte) (n int) {
	for line := range bytes.Lines(data) {
		if !bytes.HasPrefix(bytes.TrimSpace(line), []byte("#")) {
			for _, b := range line {
				if strings.IndexByte("[]{},:-?&*!|>'\"%@`#\n", b) >= 0 {
					n++
				}
			}
		}
	}
	return n
}

// checkTokens bounds what the recursive parser is given.
func checkTokens(tokens token.Tokens) *syntaxError {
	if len(tokens) > maxTokens {
		return tooMuch(tokenPlace(tokens[maxTokens]))
	}
	depth, line, onLine := 0, 0, 0
	for _, t := range tokens {
		if t.Position.Line != line {
			line, onLine = t.Position.Line, 0
			if t.Position.Column > maxColumn && t.Type != token.CommentType {
				return &syntaxError{tokenPlace(t), fmt.Sprintf("a line begins after column %d", maxColumn), "indent with two spaces for each level"}
			}
		}
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.SequenceEntryType, token.MappingKeyType, token.AnchorType, token.TagType:
			onLine++
		}
		if depth > maxDepth || onLine > maxPerLine {
			return &syntaxError{tokenPlace(t), "nested too deep", "nothing in this file needs that many levels"}
		}
	}
	return nil
}

func tokenPlace(t *token.Token) place {
	return place{t.Position.Line, max(t.Position.Column, 1)}
}

// parseTokens turns what the library says, and a panic in it, into an error: a
// running gateway reads files too.
func parseTokens(tokens token.Tokens) (file *ast.File, fault *syntaxError) {
	defer func() {
		if v := recover(); v != nil {
			fault = &syntaxError{place{1, 1}, "this is not understood as YAML", fmt.Sprint("the parser said: ", v)}
		}
	}()
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err == nil {
		return file, nil
	}
	fault = &syntaxError{at: place{1, 1}, msg: err.Error()}
	if e, ok := errors.AsType[yaml.Error](err); ok {
		fault.msg = e.GetMessage()
		if t := e.GetToken(); t != nil {
			fault.at = tokenPlace(t)
		}
	}
	if e, ok := errors.AsType[*yaml.SyntaxError](err); ok && strings.HasPrefix(e.Message, "mapping value is not allowed") {
		fault.at = colonPlace(e.Token)
	}
	fault.msg, fault.hint = reword(fault.msg)
	return nil, fault
}

// colonPlace is the colon that the parser did not expect, near the token that it
// complains about.
func colonPlace(t *token.Token) place {
	if t.Type != token.MappingValueType && t.Next != nil && t.Next.Type == token.MappingValueType {
		t = t.Next
	}
	return tokenPlace(t)
}

// reword says the commonest faults in words of people who do not write parsers.
func reword(msg string) (fact, hint string) {
	switch {
	case strings.Contains(msg, "found character '\t'"):
		return "a tab begins this line", "YAML is indented with spaces"
	case strings.HasPrefix(msg, "mapping value is not allowed"):
		return "a \":\" is not expected here", "check the indentation, and put a value that contains \": \" in quotes"
	case strings.HasPrefix(msg, "value is not allowed in this context"), strings.HasPrefix(msg, "non-map value is specified"):
		return "this does not go on from the lines above it", "check its indentation"
	case strings.HasPrefix(msg, "found an invalid key"):
		return "this cannot be a key", "a key is plain text: name: value"
	case strings.Contains(msg, "is a reserved character"):
		return msg, "put the value in quotes"
	case strings.HasPrefix(msg, "unexpected directive value"):
		return "a value cannot begin with %", "put it in quotes"
	case strings.HasPrefix(msg, "could not find end character of"):
		return "this quote is never closed", "every \" and ' needs its partner"
	case strings.Contains(msg, "must be specified"):
		return msg, "inside [ ] and { } a value such as \"${NAME}\" needs quotes"
	}
	return msg, ""
}
