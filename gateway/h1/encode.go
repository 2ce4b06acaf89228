package h1

import (
	"bytes"
	"net/http"
	"strconv"

	"headgate/gateway/wire"
)

func appendStatus(b []byte, minor, status int) []byte {
	if minor == 0 {
		b = append(b, "HTTP/1.0 "...)
	} else {
		b = append(b, "HTTP/1.1 "...)
	}
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	b = append(b, http.StatusText(status)...)
	return append(b, "\r\n"...)
}

// appendFields appends those fields of f that may be sent: names that are none,
// and what frames the message or belongs to the hop, are left out, and line ends
// and NUL in values become spaces, as net/http does it.
func appendFields(b []byte, f wire.Fields) (out []byte, dated bool) {
	begin, lines := len(b), 0
	for i := range f {
		name := f[i].Name
		switch len(name) {
		case len("Date"):
			dated = dated || wire.Same(name, "Date")
		case len("Connection"):
			if wire.Same(name, "Connection") {
				continue
			}
		case len("Content-Length"):
			if wire.Same(name, "Content-Length") {
				continue
			}
		case len("Transfer-Encoding"):
			if wire.Same(name, "Transfer-Encoding") {
				continue
			}
		}
		if !isToken(name) {
			continue
		}
		b = append(b, name...)
		b = append(b, ": "...)
		b = append(b, f[i].Value...)
		b = append(b, "\r\n"...)
		lines++
	}
	added := b[begin:]
	if bytes.Count(added, lf) == lines && bytes.Count(added, cr) == lines && bytes.IndexByte(added, 0) < 0 {
		return b, dated
	}
	return appendSafely(b[:begin], f), dated
}

var cr, lf = []byte{'\r'}, []byte{'\n'}

// appendSafely is appendFields for an answer that would be split (CWE-113).
func appendSafely(b []byte, f wire.Fields) []byte {
	safe := make(wire.Fields, len(f))
	for i := range f {
		v := []byte(f[i].Value)
		for j := range v {
			if v[j] == '\r' || v[j] == '\n' || v[j] == 0 {
				v[j] = ' '
			}
		}
		safe[i] = wire.Field{Name: f[i].Name, Value: string(bytes.TrimSpace(v))}
	}
	b, _ = appendFields(b, safe)
	return b
}
