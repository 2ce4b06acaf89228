package compress

import (
	"strings"

	"headgate/gateway/wire"
)

// head is the head of an answer that has not been passed on yet.
type head struct {
	status    int
	length    int64
	fields    wire.Fields // its own
	mediaType string
	public    bool // everybody gets the same
}

// maxFieldsKept is how much memory for fields a head keeps for the next answer.
const maxFieldsKept = 128

func (h *head) clear() {
	clear(h.fields)
	fields := h.fields[:0]
	if cap(fields) > maxFieldsKept {
		fields = nil
	}
	*h = head{fields: fields}
}

// transformable looks at the fields of the answer, and reports whether nothing in
// them forbids that the content is coded.
func (h *head) transformable(f wire.Fields) bool {
	for i := range f {
		name, v := f[i].Name, f[i].Value
		switch len(name) {
		case len("Content-Type"):
			if wire.Same(name, "Content-Type") && h.mediaType == "" {
				h.mediaType = mediaType(v)
			}
		case len("Content-Range"): // Cache-Control too
			if wire.Same(name, "Content-Range") {
				return false
			}
			if wire.Same(name, "Cache-Control") {
				if lists(v, "no-transform") {
					return false
				}
				h.public = h.public || lists(v, "public") || lists(v, "s-maxage")
			}
		case len("Content-Encoding"):
			if wire.Same(name, "Content-Encoding") && v != "" && !wire.Same(v, "identity") {
				return false
			}
		}
	}
	return true
}

// lists reports whether a field value is a list with that element, which may have a
// parameter or a value.
func lists(v, element string) bool {
	for more := true; more; {
		var e string
		e, v, more = strings.Cut(v, ",")
		if i := strings.IndexAny(e, "=;"); i >= 0 {
			e = e[:i]
		}
		if wire.Same(strings.Trim(e, " \t"), element) {
			return true
		}
	}
	return false
}

// vary says that the answer depends on what the client accepts (RFC 9110, 12.5.5).
func (h *head) vary() {
	at := -1
	for i := range h.fields {
		if !wire.Same(h.fields[i].Name, "Vary") {
			continue
		}
		if v := h.fields[i].Value; lists(v, "*") || lists(v, "Accept-Encoding") {
			return
		}
		at = i
	}
	if at < 0 {
		h.fields.Add("Vary", "Accept-Encoding")
		return
	}
	if v := &h.fields[at].Value; *v == "Cookie" { // most pages of Django
		*v = "Cookie, Accept-Encoding"
	} else if *v = strings.TrimRight(*v, " \t,"); *v == "" {
		*v = "Accept-Encoding"
	} else {
		*v += ", Accept-Encoding"
	}
}

// encode makes it the head of the coded answer: what was said of the bytes of the
// other does not hold for these.
func (h *head) encode(name string) {
	kept := h.fields[:0]
	for _, f := range h.fields {
		switch {
		case wire.Same(f.Name, "ETag"):
			switch strong, weak := isTag(f.Value), isTag(strings.TrimPrefix(f.Value, "W/")); {
			case strong:
				f.Value = "W/" + f.Value
			case !weak: // as nginx: it is no tag
				continue
			}
		case ofBytes(f.Name):
			continue
		}
		kept = append(kept, f)
	}
	clear(h.fields[len(kept):])
	h.fields = kept
	h.fields.Add("Content-Encoding", name)
}

// isTag reports whether v is in quotes.
func isTag(v string) bool { return len(v) > 1 && v[0] == '"' && v[len(v)-1] == '"' }

// ofBytes reports whether a field says something of the bytes that are sent, or of
// those of which ranges are.
func ofBytes(name string) bool {
	switch len(name) {
	case len("Digest"):
		return wire.Same(name, "Digest") // RFC 3230
	case len("Repr-Digest"): // Content-MD5 too
		return wire.Same(name, "Repr-Digest") || wire.Same(name, "Content-MD5")
	case len("Accept-Ranges"):
		return wire.Same(name, "Accept-Ranges")
	case len("Content-Length"): // Content-Digest too
		return wire.Same(name, "Content-Length") || wire.Same(name, "Content-Digest")
	case len("Content-Encoding"):
		return wire.Same(name, "Content-Encoding") // identity
	}
	return false
}
