package uwsgi

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"net/http"
	"strconv"
	"strings"
)

// fieldParser reads the fields of a head in one pass.
type fieldParser struct {
	h      *head
	at     int     // what of the head has been read
	fields []Field // those that are kept are appended
	first  int     // where in fields they begin
	count  int     // fields so far, with those that are not kept
	seen   uint16  // a bit for each name of which only the first field counts

	status     string
	connection []string
	upgrade    string
	hasStatus  bool
	hasLength  bool
	hasCoding  bool
}

// parse reads the lines from p.at up to the empty one. b and text are the same.
func (p *fieldParser) parse(b []byte, text string) error {
	for p.at < len(b) && b[p.at] != '\n' && (b[p.at] != '\r' || p.at+1 == len(b) || b[p.at+1] != '\n') {
		if p.count++; p.count > maxHeadFields {
			return fmt.Errorf("more than %d header fields", maxHeadFields)
		}
		if err := p.line(b, text); err != nil {
			return err
		}
	}
	return p.finish()
}

func (p *fieldParser) line(b []byte, text string) error {
	begin := p.at
	colon := begin
	for colon < len(b) && tokenBytes[b[colon]] {
		colon++
	}
	if colon == len(b) || b[colon] != ':' || colon == begin {
		return badName(text[begin:])
	}
	from := colon + 1
	for from < len(b) && isBlank(b[from]) {
		from++
	}
	end := valueEnd(b, from)
	p.at = end + 1
	if end < len(b) && b[end] == '\r' && end+1 < len(b) && b[end+1] == '\n' {
		p.at++
	} else if end < len(b) && b[end] != '\n' {
		return fmt.Errorf("byte 0x%02x in the value of header %.60s", b[end], text[begin:colon])
	}
	for end > from && isBlank(b[end-1]) {
		end--
	}
	return p.field(text[begin:colon], text[from:end])
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// badName says what is wrong with the name of the field at the beginning of s.
func badName(s string) error {
	line, _ := cutLine(s)
	name, _, ok := strings.Cut(line, ":")
	if !ok {
		return fmt.Errorf("header line without a colon: %.60q", line)
	}
	if i := notToken(name); i >= 0 {
		return fmt.Errorf("byte 0x%02x in the header name %.60q", name[i], name)
	}
	return errors.New("header line without a name")
}

// valueEnd returns the index of the first byte of b, from i on, that no value may
// have, which is the end of its line if all is well; without one it is len(b).
func valueEnd(b []byte, i int) int {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	for i+8 <= len(b) {
		word := binary.LittleEndian.Uint64(b[i:])
		del := word ^ 0x7f*ones
		// The lowest byte that is marked is one that is meant; those above may not be.
		if marked := ((word-' '*ones)&^word | (del-ones)&^del) & high; marked != 0 {
			i += bits.TrailingZeros64(marked) / 8
			if b[i] != '\t' {
				return i
			}
			i++
			continue
		}
		i += 8
	}
	for i < len(b) && (b[i] >= ' ' || b[i] == '\t') && b[i] != 0x7f {
		i++
	}
	return i
}

// fieldKind is what is done with a field.
type fieldKind uint8

const (
	keepField fieldKind = iota
	dropField
	lengthField
	codingField
	connectionField
	statusField
	upgradeField
	firstField // and above: only the first of that name is kept
)

// special are the fields that frame the response or belong to this connection
// only, and those of which the first one wins.
type special struct {
	name string // in lower case
	kind fieldKind
}

// specials are sorted by the length of the names.
var specials = [19][]special{
	2:  {{"te", dropField}},
	4:  {{"date", firstField}, {"etag", firstField + 1}},
	6:  {{"server", firstField + 2}, {"status", statusField}},
	7:  {{"expires", firstField + 3}, {"refresh", firstField + 4}, {"upgrade", upgradeField}, {"trailer", dropField}},
	8:  {{"location", firstField + 5}},
	10: {{"connection", connectionField}, {"keep-alive", dropField}},
	12: {{"content-type", firstField + 6}},
	13: {{"last-modified", firstField + 7}},
	14: {{"content-length", lengthField}},
	15: {{"x-accel-expires", firstField + 8}, {"x-accel-charset", firstField + 9}},
	16: {{"x-accel-redirect", firstField + 10}, {"proxy-connection", dropField}},
	17: {{"transfer-encoding", codingField}, {"x-accel-buffering", firstField + 11}},
	18: {{"x-accel-limit-rate", firstField + 12}},
}

func kindOf(name string) fieldKind {
	if len(name) < len(specials) {
		for i := range specials[len(name)] {
			if s := &specials[len(name)][i]; same(name, s.name) {
				return s.kind
			}
		}
	}
	return keepField
}

func (p *fieldParser) field(name, value string) error {
	switch kind := kindOf(name); kind {
	case keepField:
	case dropField:
		return nil
	case lengthField:
		return p.length(value)
	case codingField:
		return p.coding(value)
	case connectionField:
		p.connection = append(p.connection, value)
		return nil
	case statusField:
		if !p.hasStatus {
			p.status, p.hasStatus = value, true
		}
		return nil
	case upgradeField:
		if p.upgrade == "" {
			p.upgrade = value
		}
		return nil
	default:
		bit := uint16(1) << (kind - firstField)
		if p.seen&bit != 0 {
			return nil
		}
		p.seen |= bit
	}
	p.fields = append(p.fields, Field{name, value})
	return nil
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
	if len(p.connection) > 0 {
		p.dropListed()
	}
	if h.status == http.StatusSwitchingProtocols && p.upgrade != "" {
		p.fields = append(p.fields, Field{"Upgrade", p.upgrade})
	}
	h.fields = p.fields[p.first:len(p.fields):len(p.fields)]
	server, _ := h.fields.get("server")
	h.gunicorn = strings.HasPrefix(server, "gunicorn")
	return nil
}

func (p *fieldParser) cgiStatus() (err error) {
	_, moved := FieldList(p.fields[p.first:]).get("location")
	switch {
	case p.hasStatus:
		p.h.status, p.h.reason, err = parseStatus(p.status)
	case p.count == 0:
		return errors.New("neither a status nor a header")
	case moved:
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
	kept := p.fields[:p.first]
	for _, f := range p.fields[p.first:] {
		if !p.lists(f.Name) {
			kept = append(kept, f)
		}
	}
	clear(p.fields[len(kept):])
	p.fields = kept
}

// lists reports whether Connection has a name in it.
func (p *fieldParser) lists(name string) bool {
	for _, value := range p.connection {
		for token := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.Trim(token, " \t"), name) {
				return true
			}
		}
	}
	return false
}
