package h2

import (
	"strconv"
	"strings"

	"headgate/gateway/wire"
)

// head makes a request of the fields of a header block.
type head struct {
	st      *stream // whose request it becomes
	limits  *Settings
	size    int // as HPACK counts
	have    uint8
	regular bool // a field that is not a pseudo-header field was there
	bad     bool // RFC 9113, 8.1.1
	big     bool // over the limits: nothing more is kept
	cookie  int  // 1 + the index of the cookie field; 0: none
	crumbs  []string
}

// Pseudo-header fields that were there.
const (
	haveMethod = 1 << iota
	haveScheme
	havePath
	haveAuthority
)

func (d *head) begin(st *stream, limits *Settings) { d.st, d.limits = st, limits }

// add takes a field of a request.
func (d *head) add(name, value string) {
	if d.size += len(name) + len(value) + 32; d.size > d.limits.HeadBytes {
		d.big = true
	}
	switch {
	case d.bad || d.big:
	case name != "" && name[0] == ':':
		d.bad = d.regular || !validValue(value) || !d.addPseudo(name, value)
	default:
		d.regular = true
		d.bad = !all(name, inName) || name == "" || !validValue(value) || !d.addRegular(name, value)
	}
}

// addPseudo reports whether it is valid.
func (d *head) addPseudo(name, value string) bool {
	r := &d.st.req
	var bit uint8
	switch name {
	case ":method":
		bit, r.Method = haveMethod, value
	case ":scheme":
		bit, r.Scheme = haveScheme, value
	case ":path":
		bit, r.Target = havePath, value
	case ":authority":
		bit, r.Host = haveAuthority, value
	}
	if bit == 0 || d.have&bit != 0 {
		return false
	}
	d.have |= bit
	return true
}

// addRegular reports whether it is valid.
func (d *head) addRegular(name, value string) bool {
	st := d.st
	switch name {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
		return false // RFC 9113, 8.2.2
	case "te":
		if !strings.EqualFold(value, "trailers") {
			return false
		}
	case "content-length":
		n, ok := parseLength(value)
		if !ok || st.declared >= 0 {
			return false
		}
		st.declared = n
	case "expect":
		st.expect = st.expect || strings.EqualFold(value, "100-continue")
	case "cookie":
		if d.cookie > 0 {
			d.crumbs = append(d.crumbs, value)
			return true
		}
		d.cookie = 1 + len(st.req.Fields)
	}
	if len(st.req.Fields) >= d.limits.Fields {
		d.big = true
		return true
	}
	st.req.Fields = append(st.req.Fields, wire.Field{Name: name, Value: value})
	return true
}

// maxTrailer bounds what the fields behind a body may have, as HPACK counts.
const maxTrailer = 16 << 10

// addTrailer checks a field behind a body. Nobody asks for it.
func (d *head) addTrailer(name, value string) {
	d.size += len(name) + len(value) + 32
	if d.bad = d.bad || d.size > maxTrailer; d.bad {
		return
	}
	if name == "" || !all(name, inName) || !validValue(value) {
		d.bad = true
	}
}

// finish completes the request. It reports whether it is one.
func (d *head) finish(st *stream, endStream bool) bool {
	if d.bad {
		return false
	}
	r := &st.req
	if d.big {
		st.refusal = wire.Refusal{
			Status: 431, Kind: "header_bytes",
			Cause: "the header has more than " + strconv.Itoa(d.limits.HeadBytes) + " bytes, or more than " + strconv.Itoa(d.limits.Fields) + " fields",
			Cure:  "send less in cookies and other header fields",
		}
		r.Refusal = &st.refusal
	} else if !d.checkPseudo(r) {
		return false
	}
	d.joinCookies(r)
	if d.have&haveAuthority == 0 {
		r.Host = r.Fields.Get("host")
	}
	if endStream && st.declared > 0 && !d.big {
		return false
	}
	r.ContentLength = st.declared
	if endStream {
		r.ContentLength = 0
		st.declared = 0
		st.remoteEnd = true
	}
	return true
}

// checkPseudo holds the pseudo-header fields against RFC 9113, 8.3.1 and 8.5.
func (d *head) checkPseudo(r *wire.Request) bool {
	if d.have&haveMethod == 0 || r.Method == "" || !all(r.Method, inToken) {
		return false
	}
	if r.Method == "CONNECT" {
		return d.have == haveMethod|haveAuthority && r.Host != ""
	}
	return d.have&haveScheme != 0 && validScheme(r.Scheme) && d.have&havePath != 0 && validPath(r.Target)
}

func validScheme(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (i == 0 || (c < '0' || c > '9') && c != '+' && c != '-' && c != '.') {
			return false
		}
	}
	return s != ""
}

func validPath(s string) bool {
	return s != "" && (s[0] == '/' || s == "*") && strings.IndexByte(s, ' ') < 0
}

// maxKeptCrumbs is how many crumbs a connection keeps room for.
const maxKeptCrumbs = 32

// joinCookies makes one field of the parts that a client may send for its table's
// sake (RFC 9113, 8.2.3).
func (d *head) joinCookies(r *wire.Request) {
	if len(d.crumbs) == 0 {
		return
	}
	f := &r.Fields[d.cookie-1]
	n := len(f.Value)
	for _, s := range d.crumbs {
		n += 2 + len(s)
	}
	var b strings.Builder
	b.Grow(n)
	b.WriteString(f.Value)
	for _, s := range d.crumbs {
		b.WriteString("; ")
		b.WriteString(s)
	}
	f.Value = b.String()
	clear(d.crumbs)
	if d.crumbs = d.crumbs[:0]; cap(d.crumbs) > maxKeptCrumbs {
		d.crumbs = nil
	}
}

func parseLength(s string) (int64, bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}
