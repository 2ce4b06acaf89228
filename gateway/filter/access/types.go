package access

import (
	"errors"
	"fmt"
	"strings"

	"headgate/gateway/wire"
)

// Types are the media types of bodies that are taken. They are immutable and may be
// used by several goroutines at once. Nil, and an empty list, takes all.
type Types struct{ list []string }

// NewTypes returns those of list: image/png, image/* or */*. Each error begins with
// the place in the list, such as [0].
func NewTypes(list []string) (*Types, error) {
	var errs []error
	out := &Types{}
	for i, s := range list {
		kind, sub, _ := strings.Cut(s, "/")
		if s == "*/*" || isToken(kind) && kind != "*" && isToken(sub) && (sub == "*" || !strings.Contains(sub, "*")) && !strings.Contains(kind, "*") {
			out.list = append(out.list, s)
			continue
		}
		errs = append(errs, fmt.Errorf("[%d]: %q is not a media type: write it like image/png or image/*, without parameters", i, s))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return out, nil
}

// Allows reports whether a body of the type contentType, the value of Content-Type,
// is taken. Its parameters do not count. "" is application/octet-stream (RFC 9110,
// 8.3).
func (t *Types) Allows(contentType string) bool {
	if t == nil || len(t.list) == 0 {
		return true
	}
	name, _, _ := strings.Cut(contentType, ";")
	if name = strings.Trim(name, " \t"); name == "" {
		name = "application/octet-stream"
	}
	kind, sub, ok := strings.Cut(name, "/")
	if !ok || !isToken(kind) || !isToken(sub) {
		return false
	}
	for _, s := range t.list {
		if s == "*/*" || wire.Same(s, name) {
			return true
		}
		if begin, ok := strings.CutSuffix(s, "/*"); ok && wire.Same(begin, kind) {
			return true
		}
	}
	return false
}

// isToken reports whether s is a token (RFC 9110, 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == 0 || strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0:
			return false
		}
	}
	return s != ""
}
