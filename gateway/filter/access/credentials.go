package access

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"

	"headgate/gateway/wire"
)

// Bounds of what a client may send, and of what a file may have.
const (
	maxUser        = 256
	maxPassword    = 1024
	maxCredentials = (maxUser + 1 + maxPassword + 2) / 3 * 4 // as Base64
)

// Credentials returns the name and the password that the header f of a request has
// (RFC 7617). ok is false if there are none, more than one Authorization, another
// scheme, or what is no UTF-8, has control characters or is beyond 256 and 1,024
// bytes. The name may be empty and the password may have colons.
func Credentials(f wire.Fields) (user, password string, ok bool) {
	value, ok := f.Only("Authorization")
	if !ok {
		return "", "", false
	}
	scheme, coded, ok := strings.Cut(value, " ")
	coded = strings.Trim(coded, " ")
	if !ok || !wire.Same(scheme, "Basic") || len(coded) > maxCredentials || strings.ContainsAny(coded, "\r\n") {
		return "", "", false
	}
	plain, err := base64.StdEncoding.DecodeString(coded)
	if err != nil {
		return "", "", false
	}
	user, password, ok = strings.Cut(string(plain), ":")
	if !ok || len(user) > maxUser || len(password) > maxPassword || !printable(user) || !printable(password) {
		return "", "", false
	}
	return user, password, true
}

// printable reports whether s is UTF-8 without control characters, which RFC 7617, 2
// demands of names and passwords.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return utf8.ValidString(s)
}
