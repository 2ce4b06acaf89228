package routing

import (
	"errors"
	"fmt"
	"strings"
)

// locate finds out where in a URL each part stands, and cuts texts where the place
// changes.
func (t *Template) locate() error {
	l := locator{parts: t.parts}
	t.relative = true
	if len(l.parts) > 0 && l.parts[0].what == sourceText {
		var err error
		if t.relative, err = l.begin(l.parts[0].text); err != nil {
			return err
		}
	}
	for i := range l.parts {
		p := &l.parts[i]
		if p.what == sourceText {
			l.text(p.text)
		} else if err := l.name(i); err != nil {
			return err
		}
		t.captures = t.captures || p.what == sourceGroup
		t.query = t.query || p.what == sourceQuery || p.what == sourceURI
	}
	if l.hostless {
		return errors.New("the URL has no host: write one behind the //")
	}
	for _, p := range l.out {
		t.query = t.query || p.place == inQuery
	}
	t.parts = l.out
	return nil
}

// locator walks along the parts of a template.
type locator struct {
	parts, out []part
	at         place
	skip       int  // bytes at the beginning that are no host yet: https://
	named      bool // there is something in the host
	hostless   bool // the host has ended without any; browsers would take what follows for it
}

// begin looks for a scheme at the beginning of text, and reports whether there is
// neither one nor a host.
func (l *locator) begin(text string) (relative bool, err error) {
	name, rest, found := strings.Cut(text, ":")
	if !found || name == "" || !isLetter(name[0]) || strings.ContainsFunc(name, func(r rune) bool { return !isScheme(r) }) {
		name, rest = "", text
	}
	switch lower := strings.ToLower(name); {
	case strings.HasPrefix(rest, "//"):
		l.at, l.skip = inHost, len(text)-len(rest)+2
		return false, nil
	case lower == "http" || lower == "https": // browsers take https:x and https:/x for https://x
		return false, fmt.Errorf("the URL has no // behind %s: write %s://", name, lower)
	}
	return name == "", nil
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func isScheme(r rune) bool { return r < 0x80 && (isWord(byte(r)) || r == '+' || r == '-' || r == '.') }

// text cuts a text at the bytes that end a part of the URL.
func (l *locator) text(s string) {
	from, i := 0, l.skip
	if l.skip = 0; i > 0 {
		l.put(s[:i])
		from = i
	}
	for ; i < len(s); i++ {
		to := l.at
		switch c := s[i]; {
		case c == '#':
			to = inFragment
		case c == '?' && l.at < inQuery:
			to = inQuery
		case c == '/' && l.at == inHost:
			to = inPath
		}
		l.named = l.named || l.at == inHost && to == inHost
		if to != l.at {
			l.hostless = l.hostless || l.at == inHost && !l.named
			l.put(s[from:i])
			from, l.at = i, to
		}
	}
	l.put(s[from:])
}

func (l *locator) put(s string) {
	if s != "" {
		l.out = append(l.out, part{text: s, place: l.at})
	}
}

// name puts a part that the request fills.
func (l *locator) name(i int) error {
	p := l.parts[i]
	p.place = l.at
	p.whole = len(l.out) == 0 || strings.HasSuffix(l.out[len(l.out)-1].text, "?") || strings.HasSuffix(l.out[len(l.out)-1].text, "&")
	if l.at == inHost {
		if err := l.nameInHost(i, &p); err != nil {
			return err
		}
	} else if p.what == sourceURI && l.at == inPath {
		l.at = inQuery // it may have brought one
	}
	l.out = append(l.out, p)
	return nil
}

func (l *locator) nameInHost(i int, p *part) error {
	if p.what == sourceHost || p.what == sourceGroup && l.domainFollows(i) {
		l.named = true
		return nil
	}
	switch {
	case p.what == sourceQuery:
		return errors.New("$query stands in the host of the URL: put a ? before it")
	case !l.named:
		return errors.New("the client would choose the host of the URL: write the host, or a domain such as .example.com behind what was captured")
	case p.what == sourceGroup && l.hostFollows(i):
		return errors.New("what was captured stands in the host of the URL: write a domain such as .example.com behind it, or put it behind a /")
	}
	p.place, l.at = atPath, inPath
	if p.what == sourceURI {
		l.at = inQuery
	}
	return nil
}

// domainFollows reports whether the host ends, behind the part i, in a domain that
// what was captured cannot make another one: that of the request, or plain text with
// a domain of its own behind its first dot.
func (l *locator) domainFollows(i int) bool {
	dot := false
	for _, p := range l.parts[i+1:] {
		switch p.what {
		case sourceGroup:
			dot = false
		case sourceHost:
			return dot
		case sourceText:
			if dot = p.text == "."; !dot {
				return ownDomain(hostOf(p.text))
			}
		default:
			return false
		}
	}
	return false
}

// ownDomain reports whether host has, behind its first dot, a domain below which not
// everybody can have a name: two labels, or one that is never registered (RFC 6761).
func ownDomain(host string) bool {
	if strings.Contains(host, "@") {
		return false
	}
	host, _, _ = strings.Cut(host, ":")
	_, domain, _ := strings.Cut(strings.TrimSuffix(host, "."), ".")
	switch strings.ToLower(domain) {
	case "localhost", "test", "example", "internal", "local":
		return true
	}
	label, rest, _ := strings.Cut(domain, ".")
	return label != "" && rest != "" && rest[0] != '.'
}

// hostFollows reports whether plain text of the host follows the part i.
func (l *locator) hostFollows(i int) bool {
	return i+1 < len(l.parts) && l.parts[i+1].what == sourceText && hostOf(l.parts[i+1].text) != ""
}

// hostOf is what a text that stands in the host of a URL has of it.
func hostOf(s string) string {
	if i := strings.IndexAny(s, "/?#"); i >= 0 {
		return s[:i]
	}
	return s
}
