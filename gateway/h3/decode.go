package h3

import (
	"errors"

	"golang.org/x/net/http2/hpack"

	"headgate/gateway/wire"
)

// decoder takes header blocks apart (RFC 9204, 4.5). It has no dynamic table.
// All text of a block becomes one string.
type decoder struct {
	text   []byte
	spans  []span
	fields wire.Fields
}

// span is one field: which bytes of the text are its name and its value.
type span struct {
	known            int  // its name is that of the static table, if it is not negative
	name, value, end int  // the name begins at name, the value at value and ends before end
	same             bool // the value is that of the static table too
}

// fieldOverhead is what each field counts beside its bytes (RFC 9114, 4.2.2).
const fieldOverhead = 32

var (
	errBlock     = errors.New("the header block cannot be decoded")
	errHeadBytes = errors.New("too many bytes")
	errFields    = errors.New("too many fields")
)

// malformed is why a request breaks the rules of RFC 9114, 4.3.
type malformed string

func (m malformed) Error() string { return string(m) }

// decode returns the fields of b, in their order and with those of names that
// begin with a colon. They are valid until the next decode; their strings are for
// ever. The error is errBlock, errHeadBytes, errFields, or malformed.
func (d *decoder) decode(b []byte, maxBytes, maxFields int) (wire.Fields, error) {
	d.text, d.spans = d.text[:0], d.spans[:0]
	b, err := prefix(b)
	if err != nil {
		return nil, err
	}
	size, count := 0, 0
	for len(b) > 0 {
		var s span
		if s, b, err = d.field(b); err != nil {
			return nil, err
		}
		n := s.end - s.name
		if s.known >= 0 {
			n += len(staticTable[s.known].Name)
		}
		if s.same {
			n += len(staticTable[s.known].Value)
		}
		if size += n + fieldOverhead; size > maxBytes {
			return nil, errHeadBytes
		}
		if count++; count > maxFields {
			return nil, errFields
		}
		d.spans = append(d.spans, s)
	}
	return d.cut(), nil
}

// cut makes the text a string and the spans fields.
func (d *decoder) cut() wire.Fields {
	text := string(d.text)
	f := d.fields[:0]
	for _, s := range d.spans {
		switch {
		case s.same:
			f = append(f, staticTable[s.known])
		case s.known >= 0:
			f = append(f, wire.Field{Name: staticTable[s.known].Name, Value: text[s.value:s.end]})
		default:
			f = append(f, wire.Field{Name: text[s.name:s.value], Value: text[s.value:s.end]})
		}
	}
	d.fields = f
	return f
}

// prefix takes off what a block begins with: that it needs nothing of the dynamic table.
func prefix(b []byte) ([]byte, error) {
	for _, bits := range [2]uint8{8, 7} {
		n, rest, ok := readInt(b, bits)
		if !ok || n != 0 {
			return nil, errBlock
		}
		b = rest
	}
	return b, nil
}

// field decodes the field that b begins with.
func (d *decoder) field(b []byte) (s span, rest []byte, err error) {
	s = span{known: -1, name: len(d.text), value: len(d.text), end: len(d.text)}
	c := b[0]
	switch {
	case c&0xc0 == 0xc0: // an entry of the static table
		s.known, b, err = knownEntry(b, 6)
		s.same = true
		return s, b, err
	case c&0xd0 == 0x50: // the name of an entry
		if s.known, b, err = knownEntry(b, 4); err != nil {
			return s, nil, err
		}
	case c&0xe0 == 0x20: // a name
		if b, err = d.string(b, 3); err != nil {
			return s, nil, err
		}
		if s.value = len(d.text); !validName(d.text[s.name:]) {
			return s, nil, malformed("a field's name is not valid")
		}
	default:
		return s, nil, errBlock
	}
	if b, err = d.string(b, 7); err != nil {
		return s, nil, err
	}
	s.end = len(d.text)
	if !validValue(d.text[s.value:]) {
		return s, nil, malformed("a field's value is not valid")
	}
	return s, b, nil
}

// knownEntry reads a reference into the static table.
func knownEntry(b []byte, bits uint8) (int, []byte, error) {
	n, rest, ok := readInt(b, bits)
	if !ok || n >= uint64(len(staticTable)) {
		return 0, nil, errBlock
	}
	return int(n), rest, nil
}

// validName reports whether b is a name as HTTP/3 has them, or one of a pseudo-header field.
func validName(b []byte) bool {
	if len(b) > 0 && b[0] == ':' {
		b = b[1:]
	}
	return len(b) > 0 && all(b, inName)
}

// string appends a string literal to the text. Its length has a prefix of some
// bits, and the bit above says that it is coded (RFC 9204, 4.1.2).
func (d *decoder) string(b []byte, bits uint8) ([]byte, error) {
	if len(b) == 0 {
		return nil, errBlock
	}
	coded := b[0]&(1<<bits) != 0
	n, b, ok := readInt(b, bits)
	if !ok || n > uint64(len(b)) {
		return nil, errBlock
	}
	if !coded {
		d.text = append(d.text, b[:n]...)
		return b[n:], nil
	}
	if _, err := hpack.HuffmanDecode(d, b[:n]); err != nil {
		return nil, errBlock
	}
	return b[n:], nil
}

// Write takes text from hpack.
func (d *decoder) Write(p []byte) (int, error) {
	d.text = append(d.text, p...)
	return len(p), nil
}

// readInt reads an integer that begins in the low bits of the first byte (RFC 7541, 5.1).
func readInt(b []byte, bits uint8) (n uint64, rest []byte, ok bool) {
	if len(b) == 0 {
		return 0, nil, false
	}
	most := uint64(1)<<bits - 1
	if n = uint64(b[0]) & most; n < most {
		return n, b[1:], true
	}
	for i, shift := 1, uint(0); i < len(b) && shift < 56; i, shift = i+1, shift+7 {
		n += uint64(b[i]&0x7f) << shift
		if b[i]&0x80 == 0 {
			return n, b[i+1:], true
		}
	}
	return 0, nil, false
}

// forget drops what was decoded, and memory that was needed once.
func (d *decoder) forget() {
	clear(d.fields)
	d.fields, d.text, d.spans = d.fields[:0], d.text[:0], d.spans[:0]
	if cap(d.text) > maxKept || cap(d.fields) > maxKept/32 {
		*d = decoder{}
	}
}
