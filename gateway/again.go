package gateway

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"headgate/gateway/wire"
	"headgate/routing"
)

// again is what is served in place of the answer that a route had: another address
// of the same site. It begins when the filters of the first have ended, which have
// not written anything then.
type again struct {
	path   string // canonical
	query  string
	status int         // of the answer in place of the target's own; 0: that
	why    *failure    // that it is the page of; nil: it is none
	kept   wire.Fields // of the first answer
	rate   string      // X-Accel-Limit-Rate of the first answer
	file   string      // in place of path: a file that the app named, below roots
	roots  *sendfile
}

// mostAgain bounds the addresses that one request is led through.
const mostAgain = 10

// goOn serves what the answer to the request leads to, and what that does.
func (x *exchange) goOn() {
	for n := 1; x.again != nil; n++ {
		a := x.again
		x.again = nil
		x.answering = a
		if n > mostAgain {
			x.answering = nil
			x.failPlain(&failure{ // a page might be of the loop
				status: http.StatusInternalServerError, kind: "loop",
				cause: "the request was led on to " + a.path + " after " + strconv.Itoa(mostAgain) + " other addresses of the site", cure: "look for rewrite, errors and X-Accel-Redirect that lead to each other",
			})
			return
		}
		x.serveAgain(a)
	}
}

// serveAgain serves another address, as GET unless the client asked for HEAD.
func (x *exchange) serveAgain(a *again) {
	x.out = x.out[:0]
	x.slowDown(a.rate)
	r := x.ownRequest()
	if a.roots != nil {
		x.route.sending.serve(x)
		return
	}
	if !a.sameRequest() {
		if r.Method != http.MethodHead {
			r.Method = http.MethodGet
		}
		r.Fields.Del("Content-Length")
		r.Fields.Del("Content-Type")
		r.ContentLength = 0
		x.dropBody()
	}
	if a.status != 0 {
		r.Fields = slices.DeleteFunc(r.Fields, func(f wire.Field) bool { return aboutContent(f.Name) })
	}
	x.path, x.req.Query = a.path, a.query
	if f := x.findRoute(true); f != nil {
		x.failPlain(f)
		return
	}
	x.s.SetWriteTimeout(x.route.writeIdle)
	x.route.action.serve(x)
}

// onPage reports whether the page of an error is being served.
func (x *exchange) onPage() bool { return x.answering != nil && x.answering.status != 0 }

// sameRequest reports that only the path is another: the request was rewritten.
func (a *again) sameRequest() bool { return a.status == 0 && a.kept == nil }

// aboutContent reports whether a field is about what the client has, or wants, of the
// content that it has asked for.
func aboutContent(name string) bool {
	return wire.OneOf(name, "Range", "If-Range", "If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since")
}

// accelKept are the fields of an answer with X-Accel-Redirect that its client gets
// (nginx's, see reference).
func accelKept(f wire.Fields) wire.Fields {
	kept := wire.Fields{}
	for _, field := range f {
		if wire.OneOf(field.Name, "Content-Type", "Set-Cookie", "Content-Disposition", "Cache-Control", "Expires", "Accept-Ranges") {
			kept = append(kept, field)
		}
	}
	return kept
}

// takeRedirect reports whether the app wants somebody else to answer: an address of
// this site (X-Accel-Redirect), or a file (X-Sendfile).
func (x *exchange) takeRedirect(roots *sendfile) (*again, *failure) {
	if to, ok := x.out.Lookup("X-Accel-Redirect"); ok {
		raw, query, _ := strings.Cut(to, "?")
		path, err := routing.CanonicalPath(raw)
		if err != nil {
			return nil, &failure{
				status: http.StatusNotFound, kind: "x_accel_redirect", err: err,
				cause: "the app answered with an X-Accel-Redirect that is no path of this site: " + err.Error(), cure: "let it name a path such as /protected/file.pdf, percent-encoded",
			}
		}
		return x.ledOn(&again{path: path, query: query}), nil
	}
	for _, name := range [...]string{"X-Sendfile", "X-Lighttpd-Send-File"} {
		if file, ok := x.out.Lookup(name); ok && roots != nil {
			return x.ledOn(&again{file: file, roots: roots}), nil
		}
	}
	return nil, nil
}

// ledOn adds to a what holds beyond the answer that leads there: some of its fields,
// and of what led to it.
func (x *exchange) ledOn(a *again) *again {
	a.kept, a.rate = accelKept(x.out), x.out.Get("X-Accel-Limit-Rate")
	if before := x.answering; before != nil {
		a.status, a.why = before.status, before.why
		for _, f := range before.kept {
			if wire.Same(f.Name, "Set-Cookie") || !a.kept.Has(f.Name) {
				a.kept = append(a.kept, f)
			}
		}
	}
	return a
}
