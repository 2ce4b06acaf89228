package uwsgi

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
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
	header http.Header // without framing and hop-by-hop fields

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
// All strings of the result share one copy of b.
func (h *head) parse(b []byte) error {
	text := string(b)
	*h = head{length: -1}
	if strings.HasPrefix(text, "HTTP/") {
		line, rest := cutLine(text)
		if err := h.statusLine(line); err != nil {
			return err
		}
		text = rest
	}
	return h.fields(text)
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
	reason = strings.Trim(s[3:], " \t")
	if c, bad := control(reason); bad {
		return 0, "", fmt.Errorf("byte 0x%02x in the reason of the status", c)
	}
	return status, reason, nil
}

// fields reads the lines up to the empty one.
func (h *head) fields(text string) error {
	count := strings.Count(text, "\n")
	if count > maxHeadFields+1 {
		return fmt.Errorf("more than %d header fields", maxHeadFields)
	}
	h.header = make(http.Header, count)
	p := fieldParser{h: h, values: make([]string, count+1)}
	for {
		line, rest := cutLine(text)
		if line == "" {
			break
		}
		if err := p.line(line); err != nil {
			return err
		}
		text = rest
	}
	return p.finish()
}

// fieldParser is what has been seen of a head's fields.
type fieldParser struct {
	h      *head
	values []string // backing of the header's first values
	n      int      // fields so far

	status     string
	connection []string
	hasStatus  bool
	hasLength  bool
	hasCoding  bool
	upgrade    string
}

func (p *fieldParser) line(line string) error {
	name, value, ok := strings.Cut(line, ":")
	if !ok {
		return fmt.Errorf("header line without a colon: %.60q", line)
	}
	if i := notToken(name); i >= 0 {
		return fmt.Errorf("byte 0x%02x in the header name %.60q", name[i], name)
	}
	if name == "" {
		return errors.New("header line without a name")
	}
	value = strings.Trim(value, " \t")
	if c, bad := control(value); bad {
		return fmt.Errorf("byte 0x%02x in the value of header %.60s", c, name)
	}
	p.n++
	return p.field(textproto.CanonicalMIMEHeaderKey(name), value)
}

// field sorts out what frames the response or belongs to this connection only.
func (p *fieldParser) field(name, value string) error {
	switch name {
	case "Content-Length":
		return p.length(value)
	case "Transfer-Encoding":
		return p.coding(value)
	case "Connection":
		p.connection = append(p.connection, value)
	case "Status":
		if !p.hasStatus {
			p.status, p.hasStatus = value, true
		}
	case "Upgrade":
		if p.upgrade == "" {
			p.upgrade = value
		}
	case "Keep-Alive", "Te", "Trailer", "Proxy-Connection":
	case "Content-Type", "Date", "Server", "Etag", "Location", "Last-Modified", "Expires", "Refresh",
		"X-Accel-Redirect", "X-Accel-Expires", "X-Accel-Buffering", "X-Accel-Limit-Rate", "X-Accel-Charset":
		if _, have := p.h.header[name]; !have { // the first one wins
			p.add(name, value)
		}
	default:
		p.add(name, value)
	}
	return nil
}

func (p *fieldParser) add(name, value string) {
	if have, ok := p.h.header[name]; ok {
		p.h.header[name] = append(have, value)
		return
	}
	i := p.n - 1
	p.values[i] = value
	p.h.header[name] = p.values[i : i+1 : i+1]
}

func (p *fieldParser) length(value string) error {
	if p.hasLength {
		return errors.New("more than one Content-Length")
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || !isDigits(value) {
		return fmt.Errorf("Content-Length %.40q is not a number of bytes", value)
	}
	p.h.length, p.hasLength = n, true
	return nil
}

func (p *fieldParser) coding(value string) error {
	if p.hasCoding {
		return errors.New("more than one Transfer-Encoding")
	}
	if !strings.EqualFold(value, "chunked") {
		return fmt.Errorf("Transfer-Encoding %.40q, and only chunked is understood", value)
	}
	p.h.chunked, p.hasCoding = true, true
	return nil
}

// finish judges the fields together.
func (p *fieldParser) finish() error {
	h := p.h
	if p.hasLength && p.hasCoding {
		return errors.New("both Content-Length and Transfer-Encoding")
	}
	if h.status == 0 {
		if err := p.cgiStatus(); err != nil {
			return err
		}
	}
	p.dropListed()
	if h.status == http.StatusSwitchingProtocols && p.upgrade != "" {
		h.header["Upgrade"] = []string{p.upgrade}
	}
	h.gunicorn = strings.HasPrefix(h.header.Get("Server"), "gunicorn")
	return nil
}

func (p *fieldParser) cgiStatus() (err error) {
	switch {
	case p.hasStatus:
		p.h.status, p.h.reason, err = parseStatus(p.status)
	case p.n == 0:
		return errors.New("neither a status nor a header")
	case p.h.header["Location"] != nil:
		p.h.status = http.StatusFound
	default:
		p.h.status = http.StatusOK
	}
	return err
}

// dropListed removes the fields that Connection lists (RFC 9110, 7.6.1).
func (p *fieldParser) dropListed() {
	h := p.h
	if len(p.connection) == 1 {
		h.keepAlive = strings.EqualFold(p.connection[0], "keep-alive")
		h.closing = strings.EqualFold(p.connection[0], "close")
		if h.keepAlive || h.closing {
			return
		}
	}
	for _, value := range p.connection {
		for name := range strings.SplitSeq(value, ",") {
			delete(h.header, textproto.CanonicalMIMEHeaderKey(strings.Trim(name, " \t")))
		}
	}
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
