package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"headgate/gateway/config"
	"headgate/gateway/wire"
	"headgate/routing"
)

// pages are what clients see in place of errors, on one route. A nil pages has none.
type pages struct {
	exact   map[int]*errorPage
	classes [6]*errorPage // 4xx and 5xx
}

// errorPage is one of them: exactly one of its fields path, file and pool is set.
type errorPage struct {
	app   bool // also in place of the app's own
	path  string
	query string
	file  *pageFile
	pool  *passTo // which is asked for path
}

func (p *pages) of(status int) *errorPage {
	if p == nil {
		return nil
	}
	if page := p.exact[status]; page != nil {
		return page
	}
	if class := status / 100; class < len(p.classes) {
		return p.classes[class]
	}
	return nil
}

// ofApp is of, for what the app has answered.
func (p *pages) ofApp(status int) *errorPage {
	if page := p.of(status); page != nil && page.app {
		return page
	}
	return nil
}

// newPages makes what c says; pool finds a pool's action.
func newPages(c map[string]config.ErrorPage, pool func(name string) *passTo) (*pages, error) {
	if len(c) == 0 {
		return nil, nil
	}
	p := &pages{exact: make(map[int]*errorPage)}
	var errs []error
	for key, said := range c {
		page, err := newErrorPage(said, pool)
		if err != nil {
			errs = append(errs, fmt.Errorf("errors.%s: %w", key, err))
			continue
		}
		if class, ok := strings.CutSuffix(key, "xx"); ok {
			n, _ := strconv.Atoi(class)
			p.classes[min(max(n, 0), len(p.classes)-1)] = page
			continue
		}
		status, _ := strconv.Atoi(key) // Validate has seen to it
		p.exact[status] = page
	}
	return p, errors.Join(errs...)
}

func newErrorPage(c config.ErrorPage, pool func(name string) *passTo) (*errorPage, error) {
	p := &errorPage{app: c.App}
	var err error
	switch {
	case c.File != "":
		p.file, err = newPageFile(c.File)
		return p, err
	case c.Template != "":
		p.file, err = newPageTemplate(c.Template)
		return p, err
	case c.Pool != "":
		p.pool = pool(c.Pool)
	}
	raw, query, _ := strings.Cut(c.Path, "?")
	if raw == "" {
		raw = "/"
	}
	p.path, err = routing.CanonicalPath(raw)
	p.query = query
	return p, err
}

// serve answers with the page in place of the error f.
func (p *errorPage) serve(x *exchange, f *failure) {
	switch {
	case p.file != nil:
		p.file.serve(x, f)
	case p.pool != nil:
		p.ask(x, f)
	default:
		if f.close {
			x.s.CloseAfter()
		}
		x.again = &again{path: p.path, query: p.query, status: f.status, why: f, kept: append(f.header(wire.Fields{}), wire.Field{Name: "Cache-Control", Value: "no-store"})}
	}
}

// mostPage bounds the error page of a pool.
const mostPage = 1 << 20

// ask answers with what a pool says to the path of the page.
func (p *errorPage) ask(x *exchange, f *failure) {
	got := &captured{most: mostPage}
	y := x.detach(x.context(), got)
	y.path, y.req.PathInfo, y.req.ScriptName, y.req.Query, y.req.URI = p.path, p.path, "", p.query, escapePath(p.path)
	y.r.Method = http.MethodGet
	y.r.Fields = slices.DeleteFunc(y.r.Fields, func(f wire.Field) bool { return ofThisHop(f.Name) && !wire.Same(f.Name, "Host") })
	if p.query != "" {
		y.req.URI += "?" + p.query
	}
	y.route = y.gen.unrouted // whose errors have no pages
	y.aside(p.pool)
	if y.cut || got.status != http.StatusOK && got.status != f.status || got.over {
		x.failPlain(f)
		return
	}
	x.out = f.header(x.out[:0])
	for _, field := range got.fields {
		if wire.Same(field.Name, "Content-Type") || wire.Same(field.Name, "Content-Language") {
			x.out = append(x.out, field)
		}
	}
	x.endPage(f, got.body)
}

// endPage writes what pages have in common, and their body.
func (x *exchange) endPage(f *failure, body []byte) {
	if f.close {
		x.s.CloseAfter()
	}
	x.out.Set("X-Request-Id", x.id)
	x.out.Set("Cache-Control", "no-store")
	x.writeHead(f.status, int64(len(body)))
	if x.r.Method != http.MethodHead {
		x.Write(body) // a client that has gone needs no answer
	}
}

// pageFile is a page that was read when the configuration was.
type pageFile struct {
	contentType string
	body        []byte
	template    *template.Template // in place of body
}

func newPageFile(path string) (*pageFile, error) {
	body, err := readPage(path)
	if err != nil {
		return nil, err
	}
	return &pageFile{contentType: typeOfPage(path), body: body}, nil
}

func newPageTemplate(path string) (*pageFile, error) {
	text, err := readPage(path)
	if err != nil {
		return nil, err
	}
	t, err := template.New(filepath.Base(path)).Parse(string(text))
	if err == nil { // a name that there is not shows only now
		err = t.Execute(&bytes.Buffer{}, pageData{Status: http.StatusNotFound})
	}
	if err != nil {
		return nil, fmt.Errorf("%w: use .Status, .Title, .Cause, .Cure and .Request", err)
	}
	return &pageFile{contentType: typeOfPage(path), template: t}, nil
}

func readPage(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%w: name a file that is there", err)
	}
	if !info.Mode().IsRegular() || info.Size() > mostPage {
		return nil, fmt.Errorf("%s is not a file of at most %d bytes: name one", path, mostPage)
	}
	return os.ReadFile(path)
}

func typeOfPage(path string) string {
	if t := mime.TypeByExtension(filepath.Ext(path)); t != "" {
		return t
	}
	return "text/html; charset=utf-8"
}

func (p *pageFile) serve(x *exchange, f *failure) {
	body := p.body
	if p.template != nil {
		var b bytes.Buffer
		if err := p.template.Execute(&b, x.pageData(f)); err != nil {
			x.failPlain(f)
			return
		}
		body = b.Bytes()
	}
	x.out = f.header(x.out[:0])
	x.out.Add("Content-Type", p.contentType)
	x.endPage(f, body)
}
