package acme

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

const maxSafe = 100 // names of files end at 255 bytes

// safe makes s one component of a storage key. Different texts stay different: one
// that loses more than its slashes and its capitals gets a part of its hash.
func safe(s string) string {
	lost := false
	out := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '.', r == '@', r == '-', r == '_', r == '+':
			return r
		case r == '/':
			return '-'
		}
		lost = true
		return '-'
	}, strings.ToLower(s))
	if len(out) > maxSafe {
		out, lost = out[:maxSafe], true
	}
	if plain := strings.TrimLeft(out, "."); plain != out || out == "" {
		out, lost = plain, true
	}
	if lost {
		sum := sha256.Sum256([]byte(s))
		out += "-" + hex.EncodeToString(sum[:4])
	}
	return out
}
