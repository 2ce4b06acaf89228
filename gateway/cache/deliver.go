package cache

import (
	"net/http"
	"strconv"

	"headgate/gateway/conditional"
	"headgate/gateway/wire"
)

// deliver answers a request with what is kept, or is coming: all of it, parts, or
// that the client has it (RFC 9111, 4.3.2; RFC 9110, 13 and 14). size is negative
// while it is not known. It reports whether a has taken the whole answer.
func deliver(a wire.Answer, r *Request, q *asked, h *head, f wire.Fields, size int64, c content) bool {
	if h.Status == http.StatusOK {
		if q.conditional && conditional.Check(r.Request, h.validators(), true) == http.StatusNotModified {
			a.WriteHead(http.StatusNotModified, notModified(f), -1)
			return true
		}
		if q.ranges && size >= 0 && !h.NoRanges {
			ranges, ok := conditional.Ranges(r.Request, h.validators(), size)
			switch {
			case !ok:
				return unsatisfiable(a, f, size)
			case len(ranges) == 1:
				return deliverRange(a, f, size, c, ranges[0])
			case len(ranges) > 1:
				return deliverRanges(a, f, size, c, ranges)
			}
		}
	}
	a.WriteHead(h.Status, f, size)
	if q.method == methodHEAD {
		return true
	}
	return c.send(a, 0, size)
}

// notModified returns what of a header a 304 has (RFC 9110, 15.4.5).
func notModified(f wire.Fields) wire.Fields {
	tagged := f.Has("ETag")
	kept := make(wire.Fields, 0, len(f))
	for _, field := range f {
		switch {
		case wire.Same(field.Name, "Content-Type"), wire.Same(field.Name, "Content-Encoding"), wire.Same(field.Name, "Content-Language"),
			wire.Same(field.Name, "Content-Range"), wire.Same(field.Name, "Accept-Ranges"), tagged && wire.Same(field.Name, "Last-Modified"):
			continue
		}
		kept = append(kept, field)
	}
	return kept
}

func unsatisfiable(a wire.Answer, f wire.Fields, size int64) bool {
	g := wire.Fields{{Name: "Content-Range", Value: "bytes */" + strconv.FormatInt(size, 10)}}
	for _, name := range [...]string{"Date", "Vary", field} {
		for v := range f.Values(name) {
			g.Add(name, v)
		}
	}
	a.WriteHead(http.StatusRequestedRangeNotSatisfiable, g, 0)
	return true
}

func deliverRange(a wire.Answer, f wire.Fields, size int64, c content, part conditional.Range) bool {
	g := append(make(wire.Fields, 0, len(f)+1), f...)
	g.Add("Content-Range", part.ContentRange(size))
	a.WriteHead(http.StatusPartialContent, g, part.Length)
	return c.send(a, part.Start, part.Length)
}

func deliverRanges(a wire.Answer, f wire.Fields, size int64, c content, parts []conditional.Range) bool {
	m := conditional.NewMultipart(parts, f.Get("Content-Type"), size)
	g := append(make(wire.Fields, 0, len(f)+1), f...)
	g.Set("Content-Type", m.Type())
	a.WriteHead(http.StatusPartialContent, g, m.Length())
	for i, part := range parts {
		if _, err := a.Write(m.Head(i)); err != nil || !c.send(a, part.Start, part.Length) {
			return false
		}
	}
	_, err := a.Write(m.Tail())
	return err == nil
}
