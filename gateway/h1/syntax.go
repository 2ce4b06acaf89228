package h1

import "encoding/binary"

// token has the bytes of names (RFC 9110, 5.6.2).
var token = [256]bool{
	'!': true, '#': true, '$': true, '%': true, '&': true, '\'': true, '*': true, '+': true, '-': true, '.': true, '^': true, '_': true, '`': true, '|': true, '~': true,
	'0': true, '1': true, '2': true, '3': true, '4': true, '5': true, '6': true, '7': true, '8': true, '9': true,
	'A': true, 'B': true, 'C': true, 'D': true, 'E': true, 'F': true, 'G': true, 'H': true, 'I': true, 'J': true, 'K': true, 'L': true, 'M': true,
	'N': true, 'O': true, 'P': true, 'Q': true, 'R': true, 'S': true, 'T': true, 'U': true, 'V': true, 'W': true, 'X': true, 'Y': true, 'Z': true,
	'a': true, 'b': true, 'c': true, 'd': true, 'e': true, 'f': true, 'g': true, 'h': true, 'i': true, 'j': true, 'k': true, 'l': true, 'm': true,
	'n': true, 'o': true, 'p': true, 'q': true, 'r': true, 's': true, 't': true, 'u': true, 'v': true, 'w': true, 'x': true, 'y': true, 'z': true,
}

func isToken(s string) bool {
	for i := range len(s) {
		if !token[s[i]] {
			return false
		}
	}
	return s != ""
}

// Eight bytes at once.
const (
	ones  = 0x0101010101010101
	highs = 0x80 * ones
	dels  = 0x7f * ones
)

// anyLess reports whether one of the bytes of x is less than n, which is at most
// 128, or DEL.
func anyLess(x, n uint64) bool {
	less := (x - n*ones) &^ x
	x ^= dels
	del := (x - ones) &^ x
	return (less|del)&highs != 0
}

// cleanTarget reports whether b has no spaces and no control bytes.
func cleanTarget(b []byte) bool {
	for len(b) >= 8 {
		if anyLess(binary.LittleEndian.Uint64(b), ' '+1) {
			return false
		}
		b = b[8:]
	}
	for _, v := range b {
		if v <= ' ' || v == 0x7f {
			return false
		}
	}
	return true
}

// cleanValue reports whether b may be the value of a field (RFC 9110, 5.5).
func cleanValue(b []byte) bool {
	for len(b) >= 8 {
		if anyLess(binary.LittleEndian.Uint64(b), ' ') && !cleanBytes(b[:8]) {
			return false
		}
		b = b[8:]
	}
	return cleanBytes(b)
}

func cleanBytes(b []byte) bool {
	for _, v := range b {
		if v < ' ' && v != '\t' || v == 0x7f {
			return false
		}
	}
	return true
}
