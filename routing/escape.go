package routing

import "strings"

// appendEscaped appends s and percent-encodes the bytes that are not plain.
func appendEscaped(b []byte, s string, plain func(byte) bool) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		if c := s[i]; plain(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return b
}

// appendSent appends what is encoded already, and encodes what no URL has.
func appendSent(b []byte, s string) []byte { return appendEscaped(b, s, isURLByte) }

// appendQuery appends a query as it was sent, and encodes what no query can have.
func appendQuery(b []byte, s string) []byte {
	return appendEscaped(b, s, func(c byte) bool { return c > ' ' && c != 0x7f && c != '#' })
}

// isURLByte: RFC 3986, 2. A backslash is none, which browsers take for a slash.
func isURLByte(c byte) bool {
	return hostByte(c) || strings.IndexByte("%:/?#[]@!$&'()*+,;=", c) >= 0
}

// isSegmentByte: RFC 3986, 3.3, and the slash.
func isSegmentByte(c byte) bool { return hostByte(c) || strings.IndexByte("/:@!$&'()*+,;=", c) >= 0 }

// isValueByte: what stays within one value of a query, a form and a fragment.
func isValueByte(c byte) bool { return hostByte(c) || strings.IndexByte("/:@!'()*,", c) >= 0 }

func isAuthorityByte(c byte) bool { return hostByte(c) || c == ':' || c == '[' || c == ']' }
