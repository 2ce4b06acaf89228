package files

import (
	"cmp"
	"encoding/json"
	"errors"
	"html"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"headgate/gateway/wire"
)

// maxListed is how many names of a directory are listed.
const maxListed = 10_000

// listed is one name of a listing, in the form of nginx's autoindex.
type listed struct {
	Name     string `json:"name"`
	Type     string `json:"type"` // file or directory
	Modified string `json:"mtime"`
	Size     *int64 `json:"size,omitempty"` // of a file

	modified time.Time
}

// appendRow appends the row of l in a page.
func (l *listed) appendRow(b []byte) []byte {
	slash, length := "/", ""
	if l.Size != nil {
		slash, length = "", sizeText(*l.Size)
	}
	b = append(b, "\n<tr><td><a href=\"./"...) // with ./ a colon in the name makes no scheme
	b = append(append(b, url.PathEscape(l.Name)...), slash...)
	b = append(b, "\">"...)
	b = append(append(b, html.EscapeString(l.Name)...), slash...)
	b = append(b, "</a></td><td>"...)
	b = l.modified.UTC().AppendFormat(b, "2006-01-02 15:04")
	b = append(append(b, "</td><td>"...), length...)
	return append(b, "</td></tr>"...)
}

// sizeText returns how long a file is, with a unit.
func sizeText(size int64) string {
	if size < 1024 {
		return strconv.FormatInt(size, 10) + " B"
	}
	n, unit := float64(size), ""
	for _, unit = range [...]string{"KiB", "MiB", "GiB", "TiB"} {
		if n /= 1024; n < 1024 {
			break
		}
	}
	return strconv.FormatFloat(n, 'f', 1, 64) + " " + unit
}

// list answers with the names in a directory.
func (s *Server) list(a wire.Answer, r *wire.Request, dir *entry, base wire.Fields) Result {
	names, more, err := s.names(dir.name)
	switch {
	case err != nil && isAbsent(err):
		return Result{Outcome: NotFound, Status: s.try.code}
	case err != nil:
		return s.faultOf(dir.name, err)
	case more:
		s.warner.warn(aboutListings, "directory is not listed whole", "directory", dir.name, "listed", maxListed, "cure", "spread its files over directories")
	}
	contentType, page := "text/html; charset=utf-8", []byte(nil)
	if prefersJSON(r.Fields.Get("Accept")) {
		contentType = "application/json"
		page, err = json.Marshal(names)
	} else {
		page = appendPage(nil, dir.name, names, more)
	}
	if err != nil {
		return Result{Outcome: Failed, Err: err}
	}
	f := wire.Fields{{Name: "Content-Type", Value: contentType}, {Name: "Vary", Value: "Accept"}}
	a.WriteHead(http.StatusOK, over(f, base), int64(len(page)))
	if r.Method == http.MethodHead {
		return Result{Outcome: Answered, Status: http.StatusOK}
	}
	_, err = a.Write(page)
	return ended(http.StatusOK, err)
}

// names returns what may be served of a directory, directories first, and whether
// there is more of it.
func (s *Server) names(dir string) (names []listed, more bool, err error) {
	f, err := s.open(dir)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	names = []listed{}
	for seen := 0; ; {
		if more = len(names) > maxListed || seen > 10*maxListed; more {
			break
		}
		some, err := f.ReadDir(256)
		seen += len(some)
		for _, one := range some {
			if l, ok := s.listed(dir, one); ok {
				names = append(names, l)
			}
		}
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, false, err
		}
	}
	names = names[:min(len(names), maxListed)]
	slices.SortFunc(names, func(a, b listed) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name)) // "directory" is before "file"
	})
	return names, more, nil
}

func (s *Server) listed(dir string, one fs.DirEntry) (listed, bool) {
	if !s.servable(one.Name()) {
		return listed{}, false
	}
	info, err := one.Info()
	if err == nil && info.Mode()&fs.ModeSymlink != 0 {
		info, err = s.stat(path.Join(dir, one.Name()))
	}
	if err != nil || !info.IsDir() && !info.Mode().IsRegular() {
		return listed{}, false // it has gone, or cannot be served
	}
	l := listed{Name: one.Name(), Type: "directory", modified: info.ModTime(), Modified: info.ModTime().UTC().Format(http.TimeFormat)}
	if !info.IsDir() {
		size := info.Size()
		l.Type, l.Size = "file", &size
	}
	return l, true
}

// prefersJSON reports whether Accept likes JSON better than HTML (RFC 9110, 12.5.1).
func prefersJSON(accept string) bool {
	var html, js float64
	var htmlRank, jsRank int
	for part := range strings.SplitSeq(accept, ",") {
		name, params, _ := strings.Cut(part, ";")
		name, q := strings.ToLower(strings.TrimSpace(name)), weight(params)
		if rank := matchRank(name, "text", "html"); rank > htmlRank {
			html, htmlRank = q, rank
		}
		if rank := matchRank(name, "application", "json"); rank > jsRank {
			js, jsRank = q, rank
		}
	}
	return js > html
}

// matchRank is 3 if a media range names the type, less if it stands for more, 0 if it
// does not match.
func matchRank(name, kind, sub string) int {
	switch before, after, _ := strings.Cut(name, "/"); {
	case before == kind && after == sub:
		return 3
	case before == kind && after == "*":
		return 2
	case name == "*/*":
		return 1
	}
	return 0
}

func weight(params string) float64 {
	for p := range strings.SplitSeq(params, ";") {
		if k, v, ok := strings.Cut(strings.TrimSpace(p), "="); ok && strings.EqualFold(k, "q") {
			if q, err := strconv.ParseFloat(v, 64); err == nil && q >= 0 && q <= 1 {
				return q
			}
		}
	}
	return 1
}

// appendPage appends the page of a directory.
func appendPage(b []byte, dir string, names []listed, more bool) []byte {
	title := html.EscapeString("/" + dir)
	b = append(append(append(b, pageBegin...), title...), pageStyle...)
	b = append(append(b, title...), "</h1>\n<table>"...)
	if dir != "" {
		b = append(b, "\n<tr><td><a href=\"../\">../</a></td></tr>"...)
	}
	for i := range names {
		b = names[i].appendRow(b)
	}
	b = append(b, "\n</table>"...)
	if more {
		b = append(b, "\n<p>There is more than is listed here.</p>"...)
	}
	return append(b, "\n</body></html>\n"...)
}

const (
	pageBegin = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>`
	pageStyle = `</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:60em;margin:5vh auto;padding:0 1em;color:#222;background:#fff}
h1{font-size:1.4em}td{padding:0 2em 0 0}td+td{color:#666;white-space:nowrap}td+td+td{text-align:right}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}a{color:#8bf}}</style>
</head><body><h1>`
)
