package uwsgi

import (
	"bytes"
	"strings"
)

// upper maps the bytes that a header's name may have to those of a variable's
// name, and every other byte to 0. "_" is among these: a server that folds "-"
// and "_" into one could not tell X-Real-Ip from X_Real_Ip, and some frameworks
// fold "." likewise.
func upper(c byte) byte {
	switch {
	case 'a' <= c && c <= 'z':
		return c - 'a' + 'A'
	case 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return c
	case c == '-':
		return '_'
	}
	return 0
}

// appendKey appends the name of the variable of a header, HTTP_X_FOO for X-Foo.
// It reports false for a name that no variable is made of.
func appendKey(dst []byte, name string) ([]byte, bool) {
	dst = append(dst, "HTTP_"...)
	for i := range len(name) {
		c := upper(name[i])
		if c == 0 {
			return dst, false
		}
		dst = append(dst, c)
	}
	return dst, name != ""
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

// field takes one header field in. It never stops the walk.
func (e *Encoder) field(name, value string) bool {
	e.count++
	if len(e.vars) > MaxPairsGunicorn {
		return true // lost already, and searching so many names would be slow
	}
	at := len(e.buf)
	e.buf = append(e.buf, 0, 0)
	buf, ok := appendKey(e.buf, name)
	e.buf = buf
	key := e.buf[at+2:]
	if !ok || e.aside(key, value) {
		e.buf = e.buf[:at]
		return true
	}
	if i := e.claim(key); i >= 0 {
		e.buf = e.buf[:at]
		if e.vars[i].header { // else the caller or the pool has spoken
			sep := ", "
			if string(e.key(i)) == "HTTP_COOKIE" {
				sep = "; "
			}
			e.join(i, sep, value)
		}
		return true
	}
	e.buf[at], e.buf[at+1] = byte(len(key)), byte(len(key)>>8)
	e.finish(at, value, true)
	return true
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
		if i := e.find(e.work); i >= 0 && e.vars[i].header {
			e.remove(i)
		}
	}
}
