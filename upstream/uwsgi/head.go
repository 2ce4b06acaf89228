package uwsgi

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Bounds of a response's head.
const (
	maxHeadBytes  = 64 << 10
	maxHeadFields = 512
)

// head is the head of one response, the interim ones included.
type head struct {
	status int
	reason string
	fields FieldList // without framing and hop-by-hop fields

	length    int64 // Content-Length, or -1
	chunked   bool
	keepAlive bool // Connection: keep-alive, and nothing else
	closing   bool // Connection: close, and nothing else
	gunicorn  bool // Server: gunicorn
}

// headEnd returns the index behind the empty line that ends the head at the
// beginning of b, or -1. The first from bytes are known to have none.
func headEnd(b []byte, from int) int {
	for i := max(0, from-2); i < len(b); {
		lf := bytes.IndexByte(b[i:], '\n')
		if lf < 0 {
			return -1
		}
		i += lf + 1
		switch rest := b[i:]; {
		case len(rest) >= 1 && rest[0] == '\n':
			return i + 1
		case len(rest) >= 2 && rest[0] == '\r' && rest[1] == '\n':
			return i + 2
		}
	}
	return -1
}

// parse reads a whole head, with its empty line: a status line of any version of
// HTTP or none, then fields. Lines end in CRLF or LF. Without a status line the
// CGI field Status counts, wherever it stands, and without that it is 302 if
// there is a Location and 200 otherwise.
//
// The fields are appended to to, which is returned; all strings of the result
// share one copy of b.
func (h *head) parse(b []byte, to []Field) ([]Field, error) {
	text := string(b)
	*h = head{length: -1}
	p := fieldParser{h: h, fields: to, first: len(to)}
	if strings.HasPrefix(text, "HTTP/") {
		line, rest := cutLine(text)
		if err := h.statusLine(line); err != nil {
			return to, err
		}
		p.at = len(text) - len(rest)
	}
	err := p.parse(b, text)
	return p.fields, err
}

// cutLine takes the first line off s, without its line end.
func cutLine(s string) (line, rest string) {
	i := strings.IndexByte(s, '\n')
	if i < 0 {
		return s, ""
	}
	return strings.TrimSuffix(s[:i], "\r"), s[i+1:]
}

func (h *head) statusLine(line string) error {
	version, rest, ok := strings.Cut(line[len("HTTP/"):], " ")
	if !ok || !isVersion(version) {
		return fmt.Errorf("status line %.60q", line)
	}
	status, reason, err := parseStatus(rest)
	if err != nil {
		return fmt.Errorf("status line %.60q", line)
	}
	h.status, h.reason = status, reason
	return nil
}

// trimBlanks takes blanks off both ends.
func trimBlanks(s string) string {
	for s != "" && isBlank(s[0]) {
		s = s[1:]
	}
	for s != "" && isBlank(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

// isVersion accepts digits, or digits, a point and digits.
func isVersion(s string) bool {
	major, minor, point := strings.Cut(s, ".")
	return isDigits(major) && (!point || isDigits(minor))
}

// parseStatus reads "404 Not Found"; the reason may be missing.
func parseStatus(s string) (status int, reason string, err error) {
	if len(s) < 3 || !isDigits(s[:3]) || s[0] == '0' || len(s) > 3 && s[3] != ' ' {
		return 0, "", fmt.Errorf("status %.60q", s)
	}
	status = int(s[0]-'0')*100 + int(s[1]-'0')*10 + int(s[2]-'0')
	reason = trimBlanks(s[3:])
	if c, bad := control(reason); bad {
		return 0, "", fmt.Errorf("byte 0x%02x in the reason of the status", c)
	}
	return status, reason, nil
}

// bodyless reports whether a response of this status never has a body.
func (h *head) bodyless() bool {
	return h.status < 200 || h.status == http.StatusNoContent || h.status == http.StatusNotModified
}

// interim reports whether another response follows.
func (h *head) interim() bool { return h.status < 200 && h.status != http.StatusSwitchingProtocols }

// tokenBytes are the bytes of a field name (RFC 9110, 5.6.2).
var tokenBytes = func() (t [256]bool) {
	for c := '0'; c <= 'z'; c++ {
		t[c] = c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		t[c] = true
	}
	return t
}()

// notToken returns the index of the first byte that no field name has, or -1.
func notToken(s string) int {
	for i := range len(s) {
		if !tokenBytes[s[i]] {
			return i
		}
	}
	return -1
}

// control returns the first byte of s that no field value may have.
func control(s string) (byte, bool) {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return c, true
		}
	}
	return 0, false
}

// notHTTP returns what speaks against b, the first bytes of an answer, being a
// response, or "". It sees strangers before their whole head is in, since they
// may never send one.
func notHTTP(b []byte) (cause, cure string) {
	line := b
	if lf := bytes.IndexByte(b, '\n'); lf >= 0 {
		line = b[:lf]
	} else if len(line) > 256 {
		line = line[:256]
	}
	switch {
	case bytes.HasPrefix(b, []byte("HTTP/")) || bytes.HasPrefix([]byte("HTTP/"), b):
		return "", ""
	case len(b) >= 2 && (b[0] == 0x15 || b[0] == 0x16) && b[1] == 3:
		return "the member speaks TLS", "write protocol: suwsgi"
	case bytes.HasPrefix(b, []byte("SSH-")):
		return "the member is an SSH server", "check the address"
	}
	name, _, colon := bytes.Cut(line, []byte(":"))
	whole := colon || len(line) < len(b)
	strange := slices.IndexFunc(name, func(c byte) bool { return !tokenBytes[c] }) >= 0
	if strange || whole && !colon {
		return fmt.Sprintf("the answer begins with %.40q, which is not a response", line), "is it a uwsgi server that listens at this address?"
	}
	return "", ""
}
