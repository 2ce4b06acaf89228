package files

import (
	"net/http"
	"strconv"
	"strings"

	"headgate/gateway/conditional"
	"headgate/gateway/wire"
)

// write decides by the preconditions and the ranges of r what of form is sent, and
// sends it.
func (s *Server) write(q *request, a wire.Answer, r *wire.Request, form *entry) Result {
	v := conditional.Validators{ETag: q.fields.Get("ETag"), Modified: form.modified}
	switch status := conditional.Check(r, v, true); status {
	case 0:
	case http.StatusNotModified:
		return notModified(q, a)
	default:
		return refuse(q, a, r, status, "")
	}
	size := form.info.Size()
	if !wire.Same(q.fields.Get("Accept-Ranges"), "none") {
		switch ranges, ok := conditional.Ranges(r, v, size); {
		case !ok:
			return refuse(q, a, r, http.StatusRequestedRangeNotSatisfiable, conditional.Unsatisfied(size))
		case len(ranges) == 1:
			q.fields.Del("Accept-Ranges") // as nginx: the client knows
			q.fields = append(q.fields, wire.Field{Name: "Content-Range", Value: ranges[0].ContentRange(size)})
			return s.send(q, a, r, http.StatusPartialContent, ranges[0])
		case len(ranges) > 1:
			return s.sendParts(q, a, ranges, size)
		}
	}
	return s.send(q, a, r, http.StatusOK, conditional.Range{Length: size})
}

// send sends one part, or all.
func (s *Server) send(q *request, a wire.Answer, r *wire.Request, status int, part conditional.Range) Result {
	if r.Method == http.MethodHead {
		a.WriteHead(status, q.fields, part.Length)
		return Result{Outcome: Answered, Status: status}
	}
	if err := q.body.begin(a, &s.buffers, part.Start, part.Length); err != nil {
		return Result{Outcome: Failed, Err: err}
	}
	a.WriteHead(status, q.fields, part.Length)
	if part.Length == 0 {
		return Result{Outcome: Answered, Status: status}
	}
	return ended(status, q.body.send(a, part.Start, part.Length))
}

// sendParts sends several (RFC 9110, 14.6).
func (s *Server) sendParts(q *request, a wire.Answer, ranges []conditional.Range, size int64) Result {
	const status = http.StatusPartialContent
	m := conditional.NewMultipart(ranges, q.fields.Get("Content-Type"), size)
	q.fields.Set("Content-Type", m.Type())
	q.fields.Del("Accept-Ranges")
	if err := q.body.begin(a, &s.buffers, ranges[0].Start, ranges[0].Length); err != nil {
		return Result{Outcome: Failed, Err: err}
	}
	a.WriteHead(status, q.fields, m.Length())
	for i, part := range ranges {
		if _, err := a.Write(m.Head(i)); err != nil {
			return ended(status, err)
		}
		if err := q.body.send(a, part.Start, part.Length); err != nil {
			return ended(status, err)
		}
	}
	_, err := a.Write(m.Tail())
	return ended(status, err)
}

func ended(status int, err error) Result {
	if err != nil {
		return Result{Outcome: Cut, Status: status, Err: err}
	}
	return Result{Outcome: Answered, Status: status}
}

// notModified sends 304 with the fields that it has to have, and those of the app
// (RFC 9110, 15.4.5).
func notModified(q *request, a wire.Answer) Result {
	for _, name := range [...]string{"Content-Type", "Content-Encoding", "Content-Disposition", "Accept-Ranges"} {
		q.fields.Del(name)
	}
	a.WriteHead(http.StatusNotModified, q.fields, -1)
	return Result{Outcome: Answered, Status: http.StatusNotModified}
}

// refuse sends 412 or 416.
func refuse(q *request, a wire.Answer, r *wire.Request, status int, contentRange string) Result {
	kept := q.fields[:0]
	for _, f := range q.fields {
		if strings.EqualFold(f.Name, "Vary") || strings.EqualFold(f.Name, "Set-Cookie") {
			kept = append(kept, f)
		}
	}
	clear(q.fields[len(kept):])
	q.fields = append(kept, wire.Field{Name: "Content-Type", Value: "text/plain; charset=utf-8"})
	if contentRange != "" {
		q.fields = append(q.fields, wire.Field{Name: "Content-Range", Value: contentRange})
	}
	text := strconv.Itoa(status) + " " + http.StatusText(status) + "\n"
	a.WriteHead(status, q.fields, int64(len(text)))
	if r.Method == http.MethodHead {
		return Result{Outcome: Answered, Status: status}
	}
	_, err := a.Write([]byte(text))
	return ended(status, err)
}
