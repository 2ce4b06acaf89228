package h1

import (
	"bytes"
	"strings"
)

// parseLine parses the request line, which is raw[:n], into c.req (RFC 9112, 3).
// It copies what it needs: for a head that is not all there.
func (c *conn) parseLine(raw []byte, n int) *refusal {
	if n < 0 {
		n = 0
	}
	c.resetHead()
	return c.requestLine(raw[:n], string(raw[:n]))
}

// requestLine parses raw, whose text is line.
func (c *conn) requestLine(raw []byte, line string) *refusal {
	r := &c.req
	i := 0
	for i < len(raw) && token[raw[i]] {
		i++
	}
	if i == 0 || i == len(raw) || raw[i] != ' ' {
		return notHTTP(raw, c.secure)
	}
	rest := raw[i+1:]
	j := bytes.IndexByte(rest, ' ')
	if j <= 0 {
		return badLine("it does not consist of a method, a target and a version")
	}
	j += i + 1
	if f := c.version(line[j+1:]); f != nil {
		return f
	}
	r.Method = line[:i]
	if !cleanTarget(raw[i+1 : j]) {
		return badTarget("it has control bytes")
	}
	return c.target(line[i+1 : j])
}

// version parses the version of HTTP (RFC 9112, 2.3).
func (c *conn) version(v string) *refusal {
	switch {
	case v == "HTTP/1.1":
		return nil
	case v == "HTTP/1.0":
		c.req.Minor = 0
		return nil
	case len(v) != len("HTTP/1.1") || v[:5] != "HTTP/" || !digit(v[5]) || v[6] != '.' || !digit(v[7]):
		return badLine("it does not end in a version of HTTP")
	case v[5] != '1':
		return badVersion(v)
	}
	return nil
}

func digit(b byte) bool { return '0' <= b && b <= '9' }

// target takes the request target apart (RFC 9112, 3.2).
func (c *conn) target(t string) *refusal {
	r := &c.req
	r.Target = t
	switch {
	case r.Method == "CONNECT": // what comes behind it may be for somebody else
		c.head.close = true
		return nil
	case t[0] == '/':
		return nil
	case t == "*":
		if r.Method != "OPTIONS" {
			return badTarget("* is for OPTIONS only")
		}
		return nil
	}
	scheme, rest, ok := strings.Cut(t, "://")
	switch {
	case !ok:
		return badTarget("it is neither a path nor an address")
	case strings.EqualFold(scheme, "http"):
		r.Scheme = "http"
	case strings.EqualFold(scheme, "https"):
		r.Scheme = "https"
	default:
		return badTarget("its scheme is neither http nor https")
	}
	i := strings.IndexAny(rest, "/?#")
	if i < 0 {
		i = len(rest)
	}
	if i == 0 { // RFC 9110, 4.2.1
		return badTarget("it names no host")
	}
	r.Host, r.Target = rest[:i], rest[i:]
	c.head.absolute = true
	if r.Target == "" || r.Target[0] != '/' {
		r.Target = "/" + r.Target
	}
	return nil
}
