package files

import "headgate/gateway/wire"

// request is what the answer to one request needs. It is used again.
type request struct {
	room   [24]wire.Field // what most headers fit in
	fields wire.Fields
	offers [4]string
	body   body
}

// reset leaves nothing behind that belongs to a request.
func (q *request) reset() {
	clear(q.fields)
	q.fields = nil
	clear(q.room[:])
	q.body = body{}
}

// head puts the fields of an answer together: those of e, of which body is the form
// that is sent, with base over them.
func (q *request) head(e, body *entry, coding string, base wire.Fields) {
	f := append(wire.Fields(q.room[:0]), wire.Field{Name: "Content-Type", Value: e.contentType})
	tag := body.etag
	if coding != "" {
		f = append(f, wire.Field{Name: "Content-Encoding", Value: coding})
		if v := e.variant(coding); v != nil && e.clashes(v) {
			tag = body.tagInRole
		}
	}
	f = append(f, wire.Field{Name: "Last-Modified", Value: body.lastModified},
		wire.Field{Name: "ETag", Value: tag}, wire.Field{Name: "Accept-Ranges", Value: "bytes"})
	if e.cacheControl != "" {
		f = append(f, wire.Field{Name: "Cache-Control", Value: e.cacheControl})
	}
	if len(e.variants) > 0 {
		f = append(f, wire.Field{Name: "Vary", Value: "Accept-Encoding"})
	}
	q.fields = over(f, base)
}

// over puts base over the fields of a file. What the answer depends on adds up.
func over(f, base wire.Fields) wire.Fields {
	for i := range base {
		if !wire.Same(base[i].Name, "Vary") {
			f.Del(base[i].Name)
		}
	}
	return append(f, base...)
}
