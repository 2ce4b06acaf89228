package gateway

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"

	"headgate/gateway/wire"
)

// maxRequestID bounds a request id that a client sends.
const maxRequestID = 128

// requestID takes the id that came with the request, so that a request can be
// followed from one log to the next, or makes one of 128 random bits.
func requestID(f wire.Fields) string {
	if v, ok := f.Only("X-Request-Id"); ok && validRequestID(v) {
		return v
	}
	var b [16]byte
	hi, lo := rand.Uint64(), rand.Uint64()
	for i := range 8 {
		b[i], b[8+i] = byte(hi>>(8*i)), byte(lo>>(8*i))
	}
	var text [32]byte
	hex.Encode(text[:], b[:])
	return string(text[:])
}

func validRequestID(s string) bool {
	if len(s) == 0 || len(s) > maxRequestID {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '_', c == '.', c == ':', c == '=', c == '/', c == '+':
		default:
			return false
		}
	}
	return true
}

// findRequestID finds the id of a request in a line that an app has logged: what
// follows request_id, request-id or its like, or a word that has the form of an id
// that was made here. "" is none.
func findRequestID(line []byte) string {
	for _, name := range []string{"equest", "EQUEST"} {
		for rest := line; ; {
			i := bytes.Index(rest, []byte(name))
			if i < 0 {
				break
			}
			rest = rest[i+len(name):]
			if id := idAfterName(rest); id != "" {
				return id
			}
		}
	}
	for word := range bytes.FieldsFuncSeq(line, func(r rune) bool { return !isHexDigit(r) && !isWordRune(r) }) {
		if len(word) == madeIDBytes && !bytes.ContainsFunc(word, func(r rune) bool { return !isHexDigit(r) }) {
			return string(word)
		}
	}
	return ""
}

// madeIDBytes is the length of an id that was made here.
const madeIDBytes = 32

// idAfterName reads the rest of a name, what stands between it and its value, and the
// value: _id=8f3c, -Id: 8f3c, _id": "8f3c". A word after blanks alone is one of a
// sentence: the request id is missing.
func idAfterName(b []byte) string {
	b = bytes.TrimLeft(b, "_- ")
	if len(b) < 2 || b[0]|0x20 != 'i' || b[1]|0x20 != 'd' {
		return ""
	}
	value := bytes.TrimLeft(b[2:], `"' :=[(`)
	if between := b[2 : len(b)-len(value)]; len(bytes.TrimLeft(between, " ")) == 0 {
		return ""
	}
	end := bytes.IndexFunc(value, func(r rune) bool { return !isHexDigit(r) && !isWordRune(r) && r != '-' && r != '.' })
	if end >= 0 {
		value = value[:end]
	}
	id := string(bytes.TrimRight(value, ".-"))
	if !validRequestID(id) {
		return ""
	}
	return id
}

func isHexDigit(r rune) bool { return '0' <= r && r <= '9' || 'a' <= r && r <= 'f' }

func isWordRune(r rune) bool {
	return '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || r == '_'
}
