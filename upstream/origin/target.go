package origin

import (
	"net/http"
	"net/url"
	"strings"
)

// outgoing builds the request of package net/http, without body and context.
func (t *Transport) outgoing(r *Request) (*http.Request, *Error) {
	u := target(r.URI)
	u.Scheme, u.Host = "http", memberHost
	if t.http2 && r.Scheme == "https" {
		u.Scheme = "https"
	}
	if cause := unfit(r); cause != "" {
		return nil, &Error{Stage: StageEncode, Kind: KindBadRequest, Addr: t.name, Cause: cause, NeverRan: true}
	}
	out := &http.Request{
		Method: r.Method, URL: u, Host: r.Host, Header: r.header(),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Close: r.Method == http.MethodHead && !t.http2, // many apps send a body to it, and the server lets them
	}
	if to := r.upgrade(); to != "" && !t.http2 {
		out.Header["Connection"] = []string{"Upgrade"}
		out.Header["Upgrade"] = []string{to}
	}
	if out.Header["User-Agent"] == nil {
		out.Header["User-Agent"] = []string{""} // none, instead of net/http's own
	}
	return out, nil
}

// memberHost stands where package net/http wants to know a host. It is told to
// nobody.
const memberHost = "member:80"

// target makes a URL that is written as raw is. Package url writes an opaque part
// as it stands, unless it begins with two slashes; that is given as a path, in
// which bytes that no URL may have are percent-encoded.
func target(raw string) *url.URL {
	if raw == "" {
		raw = "/"
	}
	if !strings.HasPrefix(raw, "//") {
		return &url.URL{Opaque: raw}
	}
	path, query, has := strings.Cut(raw, "?")
	path = encodeStray(path)
	decoded, err := url.PathUnescape(path)
	if err != nil { // cannot be: a stray percent sign has been encoded
		decoded = path
	}
	return &url.URL{Path: decoded, RawPath: path, RawQuery: query, ForceQuery: has && query == ""}
}

// encodeStray percent-encodes bytes that do not belong into a path, and percent
// signs that begin no code.
func encodeStray(path string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(path) {
		c := path[i]
		if c == '%' && !(i+2 < len(path) && isHex(path[i+1]) && isHex(path[i+2])) || c != '%' && !pathByte(c) {
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// pathByte is pchar of RFC 3986 or "/", and brackets, which are common.
func pathByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		strings.IndexByte("-._~!$&'()*+,;=:@/[]", c) >= 0
}

// unfit returns why r cannot be sent, or "".
func unfit(r *Request) string {
	switch {
	case !isToken(r.Method):
		return "the method is not a word: " + short(r.Method)
	case r.URI != "" && r.URI[0] != '/' && r.URI != "*":
		return "the request target is not a path: " + short(r.URI)
	case strings.ContainsFunc(r.URI, func(c rune) bool { return c <= ' ' || c == 0x7f }):
		return "a space or a control byte in the request target"
	case r.Host == "" || strings.ContainsAny(r.Host, " \t\r\n/\\?#@\x00"):
		return "the host is not valid: " + short(r.Host)
	}
	return ""
}

// isToken reports whether s is a token of RFC 9110, 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		if !plain(s[i:i+1]) && strings.IndexByte("!#$%&'*+.^_`|~", s[i]) < 0 {
			return false
		}
	}
	return s != ""
}
