package certs

import (
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// attributes are the short names of the parts of a name, as OpenSSL writes them.
var attributes = map[string]string{
	"2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L",
	"2.5.4.8": "ST", "2.5.4.9": "street", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "title",
	"2.5.4.13": "description", "2.5.4.15": "businessCategory", "2.5.4.16": "postalAddress", "2.5.4.17": "postalCode",
	"2.5.4.18": "postOfficeBox", "2.5.4.20": "telephoneNumber", "2.5.4.41": "name", "2.5.4.42": "GN",
	"2.5.4.43": "initials", "2.5.4.44": "generationQualifier", "2.5.4.45": "x500UniqueIdentifier",
	"2.5.4.46": "dnQualifier", "2.5.4.65": "pseudonym", "2.5.4.97": "organizationIdentifier",
	"1.2.840.113549.1.9.1": "emailAddress", "1.2.840.113549.1.9.2": "unstructuredName", "1.2.840.113549.1.9.8": "unstructuredAddress",
	"0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.3": "mail", "0.9.2342.19200300.100.1.25": "DC",
	"1.3.6.1.4.1.311.60.2.1.1": "jurisdictionL", "1.3.6.1.4.1.311.60.2.1.2": "jurisdictionST", "1.3.6.1.4.1.311.60.2.1.3": "jurisdictionC",
}

const oidCommonName = "2.5.4.3"

// nameAttribute is one part of a name.
type nameAttribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

type relativeName []nameAttribute

// parseName reads a name in DER form; nil if it is not one.
func parseName(der []byte) []relativeName {
	var raw []asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &raw); err != nil || len(rest) > 0 {
		return nil
	}
	out := make([]relativeName, 0, len(raw))
	for _, set := range raw {
		var r relativeName
		if _, err := asn1.UnmarshalWithParams(set.FullBytes, &r, "set"); err != nil {
			return nil
		}
		out = append(out, r)
	}
	return out
}

// distinguishedName writes a name in the form of RFC 2253, byte for byte as
// OpenSSL's XN_FLAG_RFC2253 does, and so nginx: the last part first, whatever is
// not ASCII as \XX.
func distinguishedName(name []relativeName) string {
	var b strings.Builder
	for i, r := range slices.Backward(name) {
		if i < len(name)-1 {
			b.WriteByte(',')
		}
		for j, a := range slices.Backward(r) {
			if j < len(r)-1 {
				b.WriteByte('+')
			}
			writeAttribute(&b, a)
		}
	}
	return b.String()
}

func writeAttribute(b *strings.Builder, a nameAttribute) {
	oid := a.Type.String()
	short, known := attributes[oid]
	if known {
		oid = short
	}
	b.WriteString(oid)
	b.WriteByte('=')
	text, ok := textOf(a.Value)
	if !known || !ok {
		b.WriteString("#" + strings.ToUpper(hex.EncodeToString(a.Value.FullBytes)))
		return
	}
	writeEscaped(b, text)
}

func writeEscaped(b *strings.Builder, text string) {
	const digits = "0123456789ABCDEF"
	for i := range len(text) {
		c := text[i]
		switch {
		case c < ' ' || c >= 0x7f:
			b.Write([]byte{'\\', digits[c>>4], digits[c&15]})
		case strings.IndexByte(`,+"\<>;`, c) >= 0, i == 0 && (c == '#' || c == ' '), i == len(text)-1 && c == ' ':
			b.Write([]byte{'\\', c})
		default:
			b.WriteByte(c)
		}
	}
}

// textOf returns a value as UTF-8, and false if it is not a text that crypto/x509
// lets pass.
func textOf(v asn1.RawValue) (string, bool) {
	if v.Class != asn1.ClassUniversal || v.IsCompound {
		return "", false
	}
	switch v.Tag {
	case asn1.TagUTF8String:
		return string(v.Bytes), utf8.Valid(v.Bytes)
	case asn1.TagPrintableString, asn1.TagIA5String, asn1.TagT61String, asn1.TagNumericString, 26: // VisibleString
		r := make([]rune, len(v.Bytes))
		for i, c := range v.Bytes {
			r[i] = rune(c) // Latin-1
		}
		return string(r), true
	case asn1.TagBMPString:
		if len(v.Bytes)%2 != 0 {
			return "", false
		}
		u := make([]uint16, len(v.Bytes)/2)
		for i := range u {
			u[i] = binary.BigEndian.Uint16(v.Bytes[2*i:])
		}
		return string(utf16.Decode(u)), true
	}
	return "", false
}

// commonName is the first CN of a name as it was meant, without escapes.
func commonName(name []relativeName) string {
	for _, r := range name {
		for _, a := range r {
			if a.Type.String() != oidCommonName {
				continue
			}
			if text, ok := textOf(a.Value); ok {
				return text
			}
		}
	}
	return ""
}
