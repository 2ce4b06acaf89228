package routing

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Template is a text with names in it that stand for something of the request:
//
//	$1 to $9                what a group of the regular expression of the route has captured
//	$name                   likewise, a named group: (?P<name>...)
//	$path, $query, $uri     the canonical path; the query, and path and query, as they were sent
//	$host                   the host
//	$$                      a plain dollar
//
// A name may stand in braces: ${name}. What comes from the request is written such
// that it stays what it is: text within its part of a URL. Location, Path and
// QueryText say how.
//
// It is immutable and safe for concurrent use. The zero value is the empty text.
type Template struct {
	parts    []part
	captures bool // it has some
	query    bool // it says what becomes of the query: it has one, $query or $uri
	relative bool // it begins with a path
}

// Input is what a template may name. Path is canonical, Query has no question
// mark. Where the template stands in a path, Captures may come from another request
// than the rest.
type Input struct {
	Captures               Captures
	Host, Path, Query, URI string
}

// part is a text or a name of a template.
type part struct {
	what  source
	text  string // of sourceText
	group int    // of sourceGroup
	place place
	whole bool // nothing, ? or & is before it
}

// source is where the text of a part comes from.
type source uint8

const (
	sourceText source = iota
	sourceGroup
	sourcePath
	sourceQuery
	sourceURI
	sourceHost
)

// place is where in a URL a part stands.
type place uint8

const (
	inPath place = iota
	inHost
	atPath // it is a path that follows the host: with a slash before it
	inQuery
	inFragment
)

// names are what a template may name without a regular expression.
var names = [...]struct {
	name string
	what source
}{{"path", sourcePath}, {"query", sourceQuery}, {"uri", sourceURI}, {"host", sourceHost}}

// CheckTemplate reports what is wrong with a template, as ParseTemplate does.
func CheckTemplate(text, pathPattern string) error {
	_, err := ParseTemplate(text, pathPattern)
	return err
}

// CheckPathTemplate reports what is wrong with a template for Template.Path: what
// CheckTemplate does, and what a path does not have.
func CheckPathTemplate(text, pathPattern string) error {
	t, err := ParseTemplate(text, pathPattern)
	if err != nil {
		return err
	}
	if text == "" || text[0] != '/' && text[0] != '$' || strings.HasPrefix(text, "$$") {
		return fmt.Errorf("%q does not begin with a slash: write %q", text, "/"+text)
	}
	var path strings.Builder
	for _, p := range t.parts {
		switch {
		case p.what == sourceQuery || p.what == sourceURI:
			return errors.New("a path has no query: put $query into the query, and write $path for the path")
		case p.what == sourceText && p.place == inQuery:
			return errors.New("a ? is a plain byte in a path: put what follows it into the query")
		case p.what == sourceText:
			path.WriteString(p.text)
		default:
			path.WriteByte('x')
		}
	}
	for seg := range strings.SplitSeq(path.String(), "/") {
		if seg == "." || seg == ".." {
			return fmt.Errorf("%q has a segment %q, which leads elsewhere: leave it out", text, seg)
		}
	}
	if decoded, ok := decodeLiteral(path.String()); ok && !strings.Contains(text, "$") {
		return fmt.Errorf("%q is taken as a decoded path: write %q", text, decoded)
	}
	return nil
}

// ParseTemplate makes a template of a text. pathPattern is the path of the route,
// or that of the innermost route around it that is a regular expression ("~..."):
// what it captures is what the template may name. Any other path captures nothing.
//
// In a URL with a host, what was captured may be the beginning of the host only
// when .example.com, in plain text, follows: a client must not choose where others
// are sent. Behind a host it is a path, and gets the slash before it when there is
// none. The error says what is wrong and, after a colon, the cure.
func ParseTemplate(text, pathPattern string) (*Template, error) {
	var re *regexp.Regexp
	if strings.HasPrefix(pathPattern, "~") {
		m, err := patterns{}.compileRegexp(pathPattern[1:])
		if err != nil {
			return nil, err
		}
		re = m.re
	}
	if len(text) > maxPattern {
		return nil, fmt.Errorf("it is longer than %d bytes: write a shorter one", maxPattern)
	}
	p := templateParser{re: re}
	if err := p.split(text); err != nil {
		return nil, err
	}
	t := &Template{parts: p.parts}
	if err := t.locate(); err != nil {
		return nil, err
	}
	return t, nil
}

// templateParser splits a text into parts.
type templateParser struct {
	re    *regexp.Regexp // nil: there is none
	parts []part
}

func (p *templateParser) split(text string) error {
	var plain strings.Builder
	for {
		before, rest, found := strings.Cut(text, "$")
		plain.WriteString(before)
		if !found {
			p.plain(&plain)
			return nil
		}
		name, after, err := cutName(rest)
		if err != nil {
			return err
		}
		if text = after; name == "$" {
			plain.WriteByte('$')
			continue
		}
		p.plain(&plain)
		made, err := p.named(name)
		if err != nil {
			return err
		}
		p.parts = append(p.parts, made)
	}
}

func (p *templateParser) plain(text *strings.Builder) {
	if text.Len() > 0 {
		p.parts = append(p.parts, part{text: text.String()})
	}
	text.Reset()
}

// cutName cuts what follows a dollar behind its name: another dollar, one digit, or
// a word.
func cutName(s string) (name, after string, err error) {
	if strings.HasPrefix(s, "$") {
		return "$", s[1:], nil
	}
	inside, braced := strings.CutPrefix(s, "{")
	n := 0
	for n < len(inside) && isWord(inside[n]) && (n == 0 || braced || !isDigit(inside[0])) {
		n++
	}
	if name, after = inside[:n], inside[n:]; name == "" {
		return "", "", errors.New("a $ begins no name: write $$ for a plain $")
	}
	if braced {
		var closed bool
		if after, closed = strings.CutPrefix(after, "}"); !closed {
			return "", "", fmt.Errorf("the brace of ${%s is not closed: write ${%s}", name, name)
		}
	}
	return name, after, nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || isDigit(c) || c == '_'
}

// named returns the part that a name stands for.
func (p *templateParser) named(name string) (part, error) {
	if isDigit(name[0]) {
		return p.numbered(name)
	}
	group := -1
	if p.re != nil {
		group = p.re.SubexpIndex(name)
	}
	for _, n := range names {
		switch {
		case n.name != name:
		case group >= 0:
			return part{}, fmt.Errorf("$%s is that of the request, and the regular expression of the path has a group of this name: name the group otherwise", name)
		default:
			return part{what: n.what}, nil
		}
	}
	if group < 0 {
		return part{}, p.unknown(name)
	}
	return part{what: sourceGroup, group: group}, nil
}

func (p *templateParser) numbered(name string) (part, error) {
	groups := 0
	if p.re != nil {
		groups = p.re.NumSubexp()
	}
	n := int(name[0] - '0')
	switch {
	case len(name) > 1:
		return part{}, fmt.Errorf("${%s} is no group: write $1 to $9, or name the group", name)
	case n == 0:
		return part{}, errors.New("$0 is no group: write $path for the whole path")
	case p.re == nil:
		return part{}, fmt.Errorf("$%s needs a path that captures something: write the path of the route like ~^/old/(.*)$", name)
	case groups == 0:
		return part{}, fmt.Errorf("$%s needs a group, and the regular expression of the path has none: put parentheses around what is meant", name)
	case n > groups:
		return part{}, fmt.Errorf("$%s is not a group of the path, whose last is $%d: write $%d", name, min(groups, 9), min(groups, 9))
	}
	return part{what: sourceGroup, group: n}, nil
}

func (p *templateParser) unknown(name string) error {
	var known []string
	for _, n := range names {
		known = append(known, n.name)
	}
	if p.re != nil {
		for _, group := range p.re.SubexpNames() {
			if group != "" {
				known = append(known, group)
			}
		}
	}
	if near := nearest(name, known); near != "" {
		if rest, ok := strings.CutPrefix(name, near); ok {
			return fmt.Errorf("$%s is not known: write ${%s}%s if you mean $%s", name, near, rest, near)
		}
		return fmt.Errorf("$%s is not known: write $%s", name, near)
	}
	slices.Sort(known)
	return fmt.Errorf("$%s is not known: write one of $%s, or $$ for a plain $", name, strings.Join(known, ", $"))
}
