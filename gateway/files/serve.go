package files

import (
	"errors"
	"net/http"
	"os"
	"strings"
	"time"

	"headgate/gateway/coding"
	"headgate/gateway/wire"
)

// Serve answers r with the file that name stands for: the decoded, canonical path
// behind the prefix that was matched, without a slash at its beginning, such as "",
// "a/b.css" or "dir/". No other name leads anywhere, but none does harm.
//
// Nothing of a and r is kept. The fields that WriteHead gets may be changed by who
// gets them, and are not to be kept beyond Serve. If a is a wire.FileSender, what is
// not in memory is sent by it. Serve does not flush.
func (s *Server) Serve(a wire.Answer, r *wire.Request, name string) Result {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return Result{Outcome: NotAllowed}
	}
	return s.serve(a, r, name, nil)
}

// ServeWith is Serve for a name that an app has given (X-Accel-Redirect, X-Sendfile):
// the fields of base are those of its answer that are kept, and count more than the
// file's own of the same name, but for Vary, which adds up. Every method but HEAD is GET.
func (s *Server) ServeWith(a wire.Answer, r *wire.Request, name string, base wire.Fields) Result {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		get := *r
		get.Method = http.MethodGet
		r = &get
	}
	return s.serve(a, r, name, base)
}

func (s *Server) serve(a wire.Answer, r *wire.Request, name string, base wire.Fields) Result {
	now := s.moment()
	e, res := s.resolve(name, now)
	switch {
	case e == nil:
		return res
	case e.kind == directory:
		return s.list(a, r, e, base)
	}
	q := s.requests.Get().(*request)
	res = s.answer(q, a, r, e, base, now)
	q.body.end(&s.buffers)
	q.reset()
	s.requests.Put(q)
	return res
}

// resolve returns the file that answers for name, a directory that is to be listed, or
// what the result is without one.
func (s *Server) resolve(name string, now time.Duration) (*entry, Result) {
	last := Result{Outcome: NotFound}
	for i := range s.try.names {
		one := s.try.expand(i, name)
		e, res := s.candidate(one, now, strings.TrimSuffix(one, "/") == strings.TrimSuffix(name, "/") && !strings.HasSuffix(name, "/"))
		if e != nil || res.Outcome == Failed || res.Outcome == Redirect {
			return e, res
		}
		if last.Outcome == NotFound {
			last = res
		}
	}
	if s.try.code != 0 {
		last = Result{Outcome: NotFound, Status: s.try.code}
	}
	return nil, last
}

// candidate looks for one name. redirects is true where the client has asked for it
// without a slash at its end.
func (s *Server) candidate(name string, now time.Duration, redirects bool) (*entry, Result) {
	path, slash := strings.CutSuffix(name, "/")
	if slash && path == "" {
		return nil, Result{Outcome: NotFound}
	}
	e, err := s.find(path, now)
	switch {
	case err != nil:
		return nil, s.faultOf(path, err)
	case e.kind == directory:
		return s.index(e, now, redirects && path != "")
	case e.kind == regular && !slash:
		return e, Result{}
	}
	return nil, Result{Outcome: NotFound}
}

// index returns what answers for a directory.
func (s *Server) index(dir *entry, now time.Duration, redirects bool) (*entry, Result) {
	for _, name := range dir.indexes {
		e, err := s.find(name, now)
		switch {
		case err != nil:
			return nil, s.faultOf(name, err)
		case e.kind != regular:
		case redirects:
			return nil, Result{Outcome: Redirect}
		default:
			return e, Result{}
		}
	}
	switch {
	case !s.o.Listing:
		return nil, Result{Outcome: Forbidden}
	case redirects:
		return nil, Result{Outcome: Redirect}
	}
	return dir, Result{}
}

// choose returns the form of e that the client likes best, and its coding.
func (s *Server) choose(q *request, r *wire.Request, e *entry, now time.Duration) (*entry, string) {
	offers := q.offers[:0]
	for i := range e.variants {
		offers = append(offers, e.variants[i].coding)
	}
	v := e.variant(coding.Choose(r.Fields, offers...))
	if v == nil {
		return e, ""
	}
	form, err := s.find(v.name, now)
	if err != nil || form.kind != regular || form.modified.Before(e.modified) {
		return e, "" // it has gone since
	}
	return form, v.coding
}

// answer answers with e.
func (s *Server) answer(q *request, a wire.Answer, r *wire.Request, e *entry, base wire.Fields, now time.Duration) Result {
	form, coding := e, ""
	if len(e.variants) > 0 {
		form, coding = s.choose(q, r, e, now)
	}
	if form.content == nil {
		opened, err := s.openBody(q, form)
		if err != nil && coding != "" { // the original may do
			form, coding = e, ""
			if form.content == nil {
				opened, err = s.openBody(q, form)
			} else {
				opened, err = form, nil
			}
		}
		switch {
		case err != nil && isAbsent(err):
			return Result{Outcome: NotFound, Status: s.try.code}
		case err != nil:
			return s.faultOf(form.name, err)
		}
		form = opened
	}
	q.body.content = form.content
	q.head(e, form, coding, base)
	res := s.write(q, a, r, form)
	if res.Outcome == Failed {
		return s.faultOf(form.name, res.Err)
	}
	return res
}

// openBody opens the file of e. It returns the entry of what it has opened, which is
// another if the file was replaced.
func (s *Server) openBody(q *request, e *entry) (*entry, error) {
	f, err := s.open(e.name)
	if err != nil {
		s.forget(e)
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &os.PathError{Op: "open", Path: e.name, Err: errors.New("not a regular file")}
	}
	if err != nil {
		f.Close()
		s.forget(e)
		return nil, err
	}
	q.body.f = f
	if !same(info, e.info) {
		s.forget(e)
		e = s.describe(e.name, info)
	}
	return e, nil
}
