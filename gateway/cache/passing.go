package cache

import (
	"net/http"
	"os"
	"time"

	"headgate/gateway/wire"
)

// passing is an answer that is not kept: it goes to the client as it comes, but for
// what is for this cache alone.
type passing struct {
	v      *visit
	why    reason
	e      *entry // that a HEAD would have been answered from, were it fresh
	headed bool
}

// WriteHead implements wire.Answer.
func (a *passing) WriteHead(status int, f wire.Fields, length int64) {
	if a.headed {
		return
	}
	a.headed = true
	v := a.v
	switch {
	case v.q.method == methodUnsafe && status >= 200 && status <= 399:
		v.invalidate(f)
	case v.q.method == methodHEAD && a.e != nil && status == http.StatusOK:
		v.compare(a.e, f, length)
	}
	v.a.WriteHead(status, outward(f, forwarded{why: a.why}), length)
}

// outward returns a copy of f as the client gets it.
func outward(f wire.Fields, status forwarded) wire.Fields {
	g := make(wire.Fields, 0, len(f)+1)
	for i := range f {
		if !ours(f[i].Name) {
			g = append(g, f[i])
		}
	}
	return append(g, wire.Field{Name: field, Value: status.String()})
}

// Write implements wire.Answer.
func (a *passing) Write(p []byte) (int, error) {
	if !a.headed {
		a.WriteHead(http.StatusOK, nil, -1)
	}
	return a.v.a.Write(p)
}

// Flush implements wire.Answer.
func (a *passing) Flush() error { return a.v.a.Flush() }

// SendFile implements wire.FileSender.
func (a *passing) SendFile(f *os.File, offset, n int64) (int64, error) {
	if !a.headed {
		a.WriteHead(http.StatusOK, nil, -1)
	}
	return forwardFile(a.v.a, f, offset, n)
}

// forwardFile sends a part of a file, as well as a can.
func forwardFile(a wire.Answer, f *os.File, offset, n int64) (int64, error) {
	if s, ok := a.(wire.FileSender); ok {
		return s.SendFile(f, offset, n)
	}
	return copyFile(a, f, offset, n)
}

// compare holds the answer to a HEAD against what is kept of the GET (RFC 9111,
// 4.3.5): it makes that fresh again, or shows that it is not what it was.
func (v *visit) compare(e *entry, f wire.Fields, length int64) {
	now := time.Now()
	j := judge(http.StatusOK, f, exchangeTimes{now, now})
	h := e.head.Load()
	same := (length < 0 || length == e.size) && (j.ETag == "" || j.ETag == h.ETag) && (j.Modified.IsZero() || j.Modified.Equal(h.Modified))
	switch {
	case !same:
		v.s.drop(e)
	case j.ETag != "" || !j.Modified.IsZero(): // nothing to compare proves nothing
		n := h.updated(&j, f, now)
		m := judge(h.Status, h.withAccel(n.fields, f), exchangeTimes{now, now})
		m.Authorized = h.Authorized
		if v.p.admit(&v.q, &m, now) == admitted {
			n.Until = v.p.until(&n.facts, &v.q)
			v.s.renew(e, n)
		}
	}
}
