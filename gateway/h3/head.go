package h3

import (
	"net/http"
	"strconv"
	"strings"

	"headgate/gateway/wire"
)

// pseudo are the pseudo-header fields of a request (RFC 9114, 4.3.1).
type pseudo struct {
	method, scheme, authority, path             string
	hasMethod, hasScheme, hasAuthority, hasPath bool
}

// take takes one field, and reports whether it may be there.
func (p *pseudo) take(f *wire.Field) bool {
	var to *string
	var has *bool
	switch f.Name {
	case ":method":
		to, has = &p.method, &p.hasMethod
	case ":scheme":
		to, has = &p.scheme, &p.hasScheme
	case ":authority":
		to, has = &p.authority, &p.hasAuthority
	case ":path":
		to, has = &p.path, &p.hasPath
	default: // also :protocol (RFC 9220), which was not offered
		return false
	}
	if *has {
		return false
	}
	*to, *has = f.Value, true
	return true
}

// fill makes r of a decoded head, which it takes over.
func fill(r *wire.Request, f wire.Fields) (extra headExtra, err error) {
	var p pseudo
	n := 0
	for n < len(f) && f[n].Name[0] == ':' {
		if !p.take(&f[n]) {
			return extra, malformed("the field " + f[n].Name + " must not be there, or not twice")
		}
		n++
	}
	h := header{kept: f[:0:len(f)], length: -1}
	for i := n; i < len(f); i++ {
		if err := h.take(f[i]); err != nil {
			return extra, err
		}
	}
	clear(f[len(h.kept):])
	h.joinCookies()
	if err := p.check(&h); err != nil {
		return extra, err
	}
	*r = wire.Request{
		Method: p.method, Target: p.path, Host: p.authority, Scheme: strings.ToLower(p.scheme),
		Major: 3, Fields: h.kept, ContentLength: h.length,
	}
	return h.headExtra, nil
}

// headExtra is what the engine itself needs of a header.
type headExtra struct {
	priority  string
	hasWish   bool // there is a priority
	continues bool // the client waits for 100 (Continue)
}

// header is what has been found in the fields of a request.
type header struct {
	headExtra
	kept    wire.Fields
	length  int64 // -1: not said
	host    string
	hosts   int
	cookies int
}

// take takes one field that is not of the pseudo-header.
func (h *header) take(f wire.Field) error {
	switch f.Name {
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
		return malformed("the field " + f.Name + " belongs to HTTP/1.1")
	case "te":
		if f.Value != "trailers" {
			return malformed("the value of te is not trailers")
		}
	case "content-length":
		n, err := strconv.ParseUint(f.Value, 10, 63)
		if err != nil || f.Value[0] == '+' || h.length >= 0 && h.length != int64(n) {
			return malformed("the value of content-length is not valid")
		}
		if h.length >= 0 {
			return nil // said twice
		}
		h.length = int64(n)
	case "host":
		h.host = f.Value
		h.hosts++
	case "cookie":
		h.cookies++
	case "priority":
		if h.hasWish {
			h.priority += "," + f.Value
		} else {
			h.priority, h.hasWish = f.Value, true
		}
	case "expect":
		h.continues = strings.EqualFold(f.Value, "100-continue")
	default:
		if f.Name[0] == ':' {
			return malformed("the field " + f.Name + " comes behind those of the header")
		}
	}
	h.kept = append(h.kept, f)
	return nil
}

// joinCookies makes one field of the parts of a divided Cookie (RFC 9114, 4.2.1).
func (h *header) joinCookies() {
	if h.cookies < 2 {
		return
	}
	var all []string
	for v := range h.kept.Values("cookie") {
		all = append(all, v)
	}
	h.kept.Set("cookie", strings.Join(all, "; "))
}

// check holds the pseudo-header against the rules, and finds the authority.
func (p *pseudo) check(h *header) error {
	switch {
	case p.method == "" || !all(p.method, inToken):
		return malformed("there is no valid :method")
	case h.hosts > 1:
		return malformed("there are several Host fields")
	case p.hasAuthority && h.hosts > 0 && p.authority != h.host:
		return malformed(":authority and Host do not agree")
	case p.method == http.MethodConnect:
		if p.hasScheme || p.hasPath || p.authority == "" { // RFC 9114, 4.4
			return malformed("a CONNECT without :authority, or with :scheme or :path")
		}
		return nil
	case p.scheme == "":
		return malformed("there is no :scheme")
	case !all(p.path, inTarget) || !strings.HasPrefix(p.path, "/") && (p.path != "*" || p.method != http.MethodOptions):
		return malformed("there is no valid :path")
	}
	if !p.hasAuthority {
		p.authority = h.host
	}
	if p.authority == "" || strings.Contains(p.authority, "@") { // userinfo: RFC 9114, 4.3.1
		return malformed("there is no valid :authority")
	}
	return nil
}
