package h1

import (
	"bytes"
	"math"
	"strings"

	"headgate/gateway/wire"
)

// framing is what the head says of the message and the connection.
type framing struct {
	length    int64 // of the body; chunked if only its end tells
	close     bool  // the client, or what it asked for, wants the connection to end
	keepAlive bool  // the client said so
	expects   bool  // 100-continue
	absolute  bool  // the target has an authority

	hosts, codings int    // fields of these names
	counted        string // Content-Length
}

const chunked = -1

func (c *conn) resetHead() {
	clear(c.fields)
	c.fields = c.fields[:0]
	c.req = wire.Request{Major: 1, Minor: 1}
	c.head = framing{}
}

// parse parses a whole head into c.req and c.head. All strings are slices of one.
func (c *conn) parse(raw []byte, most int) *refusal {
	c.resetHead()
	text := string(raw)
	f := c.parseAll(raw, text, most)
	c.req.Fields, c.req.ContentLength = c.fields, c.head.length
	return f
}

func (c *conn) parseAll(raw []byte, text string, most int) *refusal {
	n := bytes.IndexByte(raw, '\n') + 1
	if n < 2 || raw[n-2] != '\r' {
		return bareLF()
	}
	if f := c.requestLine(raw[:n-2], text[:n-2]); f != nil {
		return f
	}
	for n < len(raw)-2 {
		end := n + bytes.IndexByte(raw[n:], '\n')
		if raw[end-1] != '\r' {
			return bareLF()
		}
		if len(c.fields) == most {
			return tooManyFields(most)
		}
		if f := c.field(raw[n:end-1], text[n:end-1]); f != nil {
			return f
		}
		n = end + 1
	}
	return c.judge()
}

// field parses a line of the header (RFC 9112, 5).
func (c *conn) field(raw []byte, line string) *refusal {
	i := 0
	for i < len(raw) && token[raw[i]] {
		i++
	}
	if i == 0 || i == len(raw) || raw[i] != ':' {
		return badName(raw, i)
	}
	begin, end := i+1, len(raw)
	for begin < end && (raw[begin] == ' ' || raw[begin] == '\t') {
		begin++
	}
	for begin < end && (raw[end-1] == ' ' || raw[end-1] == '\t') {
		end--
	}
	if !cleanValue(raw[begin:end]) {
		return badValue(line[:i])
	}
	f := wire.Field{Name: line[:i], Value: line[begin:end]}
	c.fields = append(c.fields, f)
	return c.note(f)
}

// note keeps what a field says of the framing.
func (c *conn) note(f wire.Field) *refusal {
	h := &c.head
	switch len(f.Name) {
	case len("Host"):
		if wire.Same(f.Name, "Host") {
			return c.noteHost(f.Value)
		}
	case len("Expect"):
		if wire.Same(f.Name, "Expect") {
			h.expects = h.expects || hasToken(f.Value, "100-continue")
		}
	case len("Connection"):
		if wire.Same(f.Name, "Connection") {
			h.close = h.close || hasToken(f.Value, "close")
			h.keepAlive = h.keepAlive || hasToken(f.Value, "keep-alive")
		}
	case len("Content-Length"):
		if wire.Same(f.Name, "Content-Length") {
			return c.noteLength(f.Value)
		}
	case len("Transfer-Encoding"):
		if wire.Same(f.Name, "Transfer-Encoding") {
			return c.noteCoding(f.Value)
		}
	}
	return nil
}

// noteHost holds the one Host against an authority in the target, which it must
// not contradict.
func (c *conn) noteHost(v string) *refusal {
	c.head.hosts++
	switch {
	case c.head.hosts > 1:
		return badHost("there is more than one Host field")
	case !c.head.absolute:
		c.req.Host = v
	case !sameHost(v, c.req.Host, c.req.Scheme):
		return otherHost(v, c.req.Host)
	}
	return nil
}

// sameHost compares two authorities of URLs with the scheme (RFC 9110, 4.2.3).
func sameHost(a, b, scheme string) bool {
	port := ":80"
	if scheme == "https" {
		port = ":443"
	}
	return strings.EqualFold(strings.TrimSuffix(a, port), strings.TrimSuffix(b, port))
}

// noteLength takes digits, and the same again (RFC 9110, 8.6).
func (c *conn) noteLength(v string) *refusal {
	if v == "" || c.head.counted != "" && c.head.counted != v {
		return badLength(v)
	}
	c.head.counted = v
	var n int64
	for i := range len(v) {
		d := int64(v[i]) - '0'
		if d < 0 || d > 9 || n > (math.MaxInt64-d)/10 {
			return badLength(v)
		}
		n = 10*n + d
	}
	c.head.length = n
	return nil
}

func (c *conn) noteCoding(v string) *refusal {
	c.head.codings++
	switch {
	case c.head.codings > 1:
		return badCoding("there is more than one Transfer-Encoding field")
	case !strings.EqualFold(v, "chunked"):
		return unknownCoding(v)
	}
	return nil
}

// judge decides what no field alone decides (RFC 9112, 3.2 and 6.3).
func (c *conn) judge() *refusal {
	h := &c.head
	switch {
	case h.hosts == 0 && c.req.Minor > 0:
		return badHost("a request of HTTP/1.1 needs a Host field")
	case h.codings == 0:
		return nil
	case c.req.Minor == 0:
		return badCoding("HTTP/1.0 has no Transfer-Encoding")
	case h.counted != "":
		return badCoding("it has both Transfer-Encoding and Content-Length")
	}
	h.length = chunked
	return nil
}

// hasToken looks for a token in a list; its case does not matter.
func hasToken(list, want string) bool {
	for {
		one, rest, more := strings.Cut(list, ",")
		if wire.Same(strings.Trim(one, " \t"), want) {
			return true
		}
		if !more {
			return false
		}
		list = rest
	}
}
