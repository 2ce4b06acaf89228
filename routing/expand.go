package routing

import (
	"cmp"
	"errors"
	"strings"
)

// ErrPathDots refuses a path that a template has made, with its cure.
var ErrPathDots = errors.New(`it has a segment "..", which text of the client has made: let the path capture whole segments`)

// Location returns the template as a URL for a Location field. What was captured,
// $path and $host are percent-encoded for the place they stand in: in the path,
// slashes stay; in the query, so that they are one value. $query and $uri stay as
// sent. Behind an = of the query, $query is one value, too. A query of the request
// that the template says nothing of is kept: it has neither a ? nor $query or $uri.
//
// The result has printable ASCII alone. One that the template begins with a path
// begins with one slash: what was captured cannot make it another host.
func (t *Template) Location(in Input) string {
	groups := t.groups(&in)
	b := make([]byte, 0, 256)
	kept := t.query || in.Query == ""
	for i := range t.parts {
		p := &t.parts[i]
		if p.place == inFragment && !kept {
			b, kept = appendSent(append(b, '?'), in.Query), true
		}
		b = p.appendURL(b, p.value(&in, groups))
	}
	if !kept {
		b = appendSent(append(b, '?'), in.Query)
	}
	if t.trims(&in) {
		b = b[:len(b)-1]
	}
	if t.relative {
		return oneSlash(b)
	}
	return string(b)
}

// Path returns the template as a canonical path: what the request brings is in it
// as it is. Slashes are merged, as CanonicalPath does. A ".." that only text of
// the request has made is ErrPathDots: it leads nowhere.
func (t *Template) Path(in Input) (string, error) {
	groups := t.groups(&in)
	var b strings.Builder
	for i := range t.parts {
		v := t.parts[i].value(&in, groups)
		if b.Len() == 0 && v != "" && v[0] != '/' {
			b.WriteByte('/')
		}
		b.WriteString(v)
	}
	return CleanPath(cmp.Or(b.String(), "/"))
}

// CleanPath returns the canonical form of a path that is decoded already: one
// slash at its beginning and between segments, and none that is ".". It refuses
// NUL, and "..": who joins texts of a client may not climb by it.
func CleanPath(path string) (string, error) {
	if strings.IndexByte(path, 0) >= 0 {
		return "", ErrPathNUL
	}
	if path == "" || path[0] != '/' {
		return "", ErrPathStart
	}
	if isCanonical(path) {
		return path, nil
	}
	for seg := range strings.SplitSeq(path, "/") {
		if seg == ".." {
			return "", ErrPathDots
		}
	}
	b, err := resolve([]byte(path))
	return string(b), err
}

// QueryText returns the template as a query without its question mark. What was
// captured, $path, $host and $uri are one value each: percent-encoded, with & and
// = too. $query is as sent, but behind an = one value.
func (t *Template) QueryText(in Input) string {
	groups := t.groups(&in)
	b := make([]byte, 0, 256)
	for i := range t.parts {
		p := &t.parts[i]
		switch v := p.value(&in, groups); {
		case p.what == sourceText:
			b = append(b, v...)
		case p.what == sourceQuery && p.whole:
			b = appendQuery(b, v)
		default:
			b = appendEscaped(b, v, isValueByte)
		}
	}
	if t.trims(&in) && len(b) > 0 {
		b = b[:len(b)-1]
	}
	return string(b)
}

// trims reports whether the template ends with ?$query or &$query, and there is
// none.
func (t *Template) trims(in *Input) bool {
	if len(t.parts) < 2 || in.Query != "" {
		return false
	}
	last := &t.parts[len(t.parts)-1]
	return last.what == sourceQuery && last.whole
}

// groups asks what was captured, if the template has any of it.
func (t *Template) groups(in *Input) []int {
	if !t.captures {
		return nil
	}
	return in.Captures.find()
}

// value is the text that p stands for, as it is in the request.
func (p *part) value(in *Input, groups []int) string {
	switch p.what {
	case sourceGroup:
		if i := 2 * p.group; i+1 < len(groups) && groups[i] >= 0 {
			return in.Captures.path[groups[i]:groups[i+1]]
		}
		return ""
	case sourcePath:
		return in.Path
	case sourceQuery:
		return in.Query
	case sourceURI:
		return in.URI
	case sourceHost:
		return in.Host
	}
	return p.text
}

// appendURL appends the value of p for its place in a URL.
func (p *part) appendURL(b []byte, v string) []byte {
	if p.place == atPath && !strings.HasPrefix(v, "/") {
		b = append(b, '/')
	}
	switch {
	case p.what == sourceText,
		p.what == sourceURI && p.place < inQuery,
		p.what == sourceQuery && (p.whole || p.place < inQuery):
		return appendSent(b, v)
	case p.what == sourceHost && p.place <= inHost:
		return appendEscaped(b, v, isAuthorityByte)
	case p.place == inHost:
		return appendEscaped(b, v, hostByte)
	case p.place >= inQuery:
		return appendEscaped(b, v, isValueByte)
	}
	return appendEscaped(b, v, isSegmentByte)
}

// oneSlash makes b begin with one slash.
func oneSlash(b []byte) string {
	n := 0
	for n < len(b) && b[n] == '/' {
		n++
	}
	if n == 0 {
		return "/" + string(b)
	}
	return string(b[n-1:])
}
