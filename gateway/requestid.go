package gateway

import (
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
