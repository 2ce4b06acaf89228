package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"

	"headgate/gateway/files"
)

// serveFiles answers with the files of a directory, and lets somebody else answer for
// what is not among them.
type serveFiles struct {
	dir  *files.Server
	root string // its directory
	next action // nil: nobody
}

func (a *serveFiles) serve(x *exchange) {
	name := strings.TrimPrefix(strings.TrimPrefix(x.path, x.match.Prefix), "/")
	if x.answering == nil {
		x.fileServed(a.dir.Serve(x, x.r, name), a.next)
		return
	}
	base := x.answering.kept
	x.answering.kept = nil // it has them
	res := a.dir.ServeWith(x, x.r, name, base)
	if !x.started {
		x.answering.kept = base
	}
	x.fileServed(res, a.next)
}

// fileServed is called with what became of a file; next, if it is not nil, answers
// when there is none.
func (x *exchange) fileServed(res files.Result, next action) {
	switch {
	case res.Outcome == files.Answered:
	case res.Outcome == files.Cut:
		x.fileCut(res.Err)
	case next != nil && res.Outcome != files.Failed:
		next.serve(x)
	default:
		x.fileMissing(res)
	}
}

// fileMissing answers when there is no file to answer with.
func (x *exchange) fileMissing(res files.Result) {
	switch res.Outcome {
	case files.Redirect:
		to := escapePath(x.path) + "/"
		if x.req.Query != "" {
			to += "?" + x.req.Query
		}
		x.redirect(http.StatusMovedPermanently, to)
	case files.Forbidden:
		if res.Err != nil {
			x.d.g.log.Warn("a file may not be read", "request", x.id, "site", x.site.name, "path", x.path, "err", res.Err)
			x.fail(&failure{status: http.StatusForbidden, kind: "file", err: res.Err, cause: fmt.Sprintf("the file at %q may not be read", x.path), cure: "give the user that runs headgate the right to read it"})
			return
		}
		x.refuse(http.StatusForbidden, "directory", fmt.Sprintf("%q is a directory without an index", x.path), "put an index.html there, or write listing: true at the files of the route")
	case files.NotAllowed:
		x.fail(&failure{status: http.StatusMethodNotAllowed, kind: "method", allow: "GET, HEAD", cause: "files are read, and the method " + x.r.Method + " does something else"})
	case files.Failed:
		x.fail(&failure{
			status: http.StatusInternalServerError, kind: "file", err: res.Err,
			cause: "a file could not be read: " + res.Err.Error(), cure: "look at the file and at who may read it",
		})
	default:
		status := http.StatusNotFound
		if res.Status != 0 {
			status = res.Status
		}
		x.fail(&failure{status: status, kind: "no_file", cause: fmt.Sprintf("there is no file at %q", x.path)})
	}
}

// fileCut notes that the answer ends early: because of the client, or of the file.
func (x *exchange) fileCut(err error) {
	if x.edge.err != nil {
		x.clientGone(err)
		return
	}
	x.fail(&failure{status: http.StatusInternalServerError, kind: "file", err: err, cause: "a file became shorter while it was sent", cure: "replace files by renaming new ones over them"})
}

// sendfile are the directories whose files an app may name by X-Sendfile.
type sendfile struct{ roots []sendfileRoot }

type sendfileRoot struct {
	path string
	dir  *files.Server
}

func newSendfile(paths []string) (*sendfile, error) {
	if len(paths) == 0 {
		return nil, nil
	}
	s := &sendfile{}
	var errs []error
	for _, path := range paths {
		dir, err := files.New(files.Options{Root: path, Hidden: true}.WithDefaults(), nil)
		if err != nil {
			errs = append(errs, fmt.Errorf("sendfile: the directory %s cannot be used: %w", path, err))
			continue
		}
		s.roots = append(s.roots, sendfileRoot{filepath.Clean(path), dir})
	}
	return s, errors.Join(errs...)
}

// sendingFile is the action that answers with the file that the app has named. The
// filters of answers stand before it, but for the cache: the file is for this client.
type sendingFile struct{}

func (sendingFile) serve(x *exchange) { x.answering.roots.serve(x, x.answering) }

// serve answers with the file that the app has named.
func (s *sendfile) serve(x *exchange, a *again) {
	r := x.ownRequest()
	if r.Method != http.MethodHead {
		r.Method = http.MethodGet
	}
	x.dropBody()
	for _, root := range s.roots {
		if name, ok := strings.CutPrefix(a.file, root.path); ok && name != "" && name[0] == '/' {
			x.answering = nil
			res := root.dir.ServeWith(x, x.r, name[1:], a.kept)
			if res.Outcome == files.NotFound || res.Outcome == files.Redirect {
				x.fail(&failure{
					status: http.StatusNotFound, kind: "x_sendfile",
					cause: "the app answered with X-Sendfile, and there is no such file", err: fmt.Errorf("%.200q", a.file), cure: "let it name a file that is there",
				})
				return
			}
			x.fileServed(res, nil)
			return
		}
	}
	x.failPlain(&failure{
		status: http.StatusNotFound, kind: "x_sendfile", err: fmt.Errorf("%.200q", a.file),
		cause: "the app answered with X-Sendfile and a path that is below none of the directories of the route", cure: "list its directory under sendfile, or let the app name another",
	})
}
