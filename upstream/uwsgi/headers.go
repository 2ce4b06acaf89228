package uwsgi

import (
	"bytes"
	"slices"
	"strings"
)

// upper maps the bytes that a header's name may have to those of a variable's
// name, and every other byte to 0. "_" is among these: a server that folds "-"
// and "_" into one could not tell X-Real-Ip from X_Real_Ip, and some frameworks
// fold "." likewise.
func upper(c byte) byte { return upperBytes[c] }

var upperBytes = func() (t [256]byte) {
	for c := range t {
		switch c := byte(c); {
		case 'a' <= c && c <= 'z':
			t[c] = c - 'a' + 'A'
		case 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
			t[c] = c
		case c == '-':
			t[c] = '_'
		}
	}
	return t
}()

// writeKey writes the name of the variable of a header, HTTP_X_FOO for X-Foo, to
// dst, which is as long. It reports false for a name that no variable is made of.
func writeKey(dst []byte, name string) bool {
	copy(dst, "HTTP_")
	dst = dst[len("HTTP_"):]
	for i := range dst {
		c := upperBytes[name[i]]
		if c == 0 {
			return false
		}
		dst[i] = c
	}
	return name != ""
}

// stays reports whether a header with this variable name is never sent on as a
// variable. It belongs to the hop before the gateway, or frames the request, or
// says what the gateway says itself (HTTP_HOST), or is an attack:
// HTTP_PROXY directs the requests that CGI-like apps make ("httpoxy"), and
// uWSGI takes HTTP_X_FORWARDED_SSL for HTTPS.
func stays(key string) bool {
	switch key {
	case "HTTP_HOST", "HTTP_PROXY", "HTTP_PROXY_AUTHORIZATION", "HTTP_X_FORWARDED_SSL":
		return true
	}
	return frames(key)
}

// frames reports whether a variable says where the body ends or what becomes of
// the connection. Only the encoder decides these.
func frames(key string) bool {
	switch key {
	case "CONTENT_LENGTH", "HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE", "HTTP_TRANSFER_ENCODING",
		"HTTP_CONNECTION", "HTTP_KEEP_ALIVE", "HTTP_PROXY_CONNECTION", "HTTP_TE", "HTTP_TRAILER",
		"HTTP_UPGRADE", "HTTP_EXPECT", "HTTP_HTTP2_SETTINGS":
		return true
	}
	return false
}

// vouched reports whether the gateway itself may have written a header. A client
// must not be able to take it away by naming it in Connection.
func vouched(key string) bool {
	switch key {
	case "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_X_REQUEST_ID", "HTTP_TRACEPARENT", "HTTP_TRACESTATE":
		return true
	}
	return strings.HasPrefix(key, "HTTP_X_FORWARDED_")
}

// fields takes the header in.
func (e *Encoder) fields(header Fields) {
	switch h := header.(type) {
	case nil:
	case FieldList:
		for i := range h {
			e.field(h[i].Name, h[i].Value)
		}
	case Listed:
		for i := range h.Len() {
			if name, value := h.At(i); name != "" {
				e.field(name, value)
			}
		}
	default:
		header.Range(e.visit)
	}
}

// field takes one header field in. It never stops the walk.
func (e *Encoder) field(name, value string) bool {
	e.count++
	if len(e.vars) > MaxPairsGunicorn {
		return true // lost already, and searching so many names would be slow
	}
	at, key := len(e.buf), len("HTTP_")+len(name)
	n := 4 + key + len(value)
	b := slices.Grow(e.buf, n)[:at+n]
	if !writeKey(b[at+2:at+2+key], name) {
		return true
	}
	word, bit := slot(b[at+2 : at+2+key])
	if (staying[word]&bit != 0 || len(e.con.hidden) > 0) && e.aside(b[at+2:at+2+key], value) {
		return true
	}
	if e.seen[word]&bit != 0 {
		if i := find(e, b[at+2:at+2+key]); i >= 0 {
			e.again(i, value)
			return true
		}
	}
	e.seen[word] |= bit
	b[at], b[at+1] = byte(key), byte(key>>8)
	if e.over || e.need+n > MaxVarsBytes {
		e.buf = b[:at+2+key]
		e.finish(at, value, true)
		return true
	}
	e.need += n
	e.vars = append(e.vars, varPos{at: at, key: key, size: len(value), header: true})
	e.buf = b
	b = b[at+2+key:]
	b[0], b[1] = byte(len(value)), byte(len(value)>>8)
	copy(b[2:], value)
	return true
}

// again takes in a field whose variable there is already.
func (e *Encoder) again(i int, value string) {
	if !e.vars[i].header {
		return // the caller or the pool has spoken
	}
	sep := ", "
	if string(e.key(i)) == "HTTP_COOKIE" {
		sep = "; "
	}
	e.join(i, sep, value)
}

// aside reports whether a header does not become a variable of its own, and
// keeps what is needed of it.
func (e *Encoder) aside(key []byte, value string) bool {
	switch {
	case !stays(string(key)):
		return len(e.con.hidden) > 0 && e.hides(string(key))
	case string(key) == "HTTP_CONTENT_TYPE":
		if !e.typed {
			e.typ, e.typed = value, true
		}
	case string(key) == "HTTP_CONNECTION":
		e.connection = append(e.connection, value...)
		e.connection = append(e.connection, ',')
	}
	return true
}

// dropListed removes the headers that Connection lists (RFC 9110, 7.6.1).
func (e *Encoder) dropListed() {
	if e.over {
		return
	}
	for rest := e.connection; len(rest) > 0; {
		var token []byte
		token, rest, _ = bytes.Cut(rest, []byte{','})
		token = bytes.Trim(token, " \t")
		e.work = append(e.work[:0], "HTTP_"...)
		for _, c := range token {
			e.work = append(e.work, upper(c))
		}
		if word, bit := slot(e.work); e.seen[word]&bit == 0 || vouched(string(e.work)) {
			continue
		}
		if i := find(e, e.work); i >= 0 && e.vars[i].header {
			e.remove(i)
		}
	}
}
