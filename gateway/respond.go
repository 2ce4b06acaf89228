package gateway

import (
	"cmp"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"

	"headgate/gateway/wire"
)

// failing is the action of requests that no route serves.
type failing struct{}

func (failing) serve(x *exchange) { x.fail(x.refused) }

// failure is why a request is answered by the gateway itself.
type failure struct {
	status     int
	cause      string      // what happened; operators and the log see it
	cure       string      // what can be done about it, or ""
	kind       string      // a short fixed word for the log and for spans
	retryAfter int         // seconds; 0: no Retry-After
	close      bool        // the connection must not be used again (HTTP/1.1)
	err        error       // what lies below, or nil
	allow      string      // of a 405: the methods that are served
	fields     wire.Fields // more of the header of the answer
	lines      []string    // what the workers have written, for operators
}

// fail answers with the page that the route has for f, or a plain one, and logs it.
// Once the head of the response is out it can only be cut.
func (x *exchange) fail(f *failure) {
	if page := x.route.pages.of(f.status); page != nil && !x.started && !x.onPage() {
		x.note(f)
		page.serve(x, f)
		return
	}
	x.failPlain(f)
}

// note says in the logs why a request is answered by the gateway.
func (x *exchange) note(f *failure) {
	if x.detached { // who has asked for it says what becomes of that
		return
	}
	x.failure = f.kind
	x.entry.Err = f.cause
	x.logFailure(f)
}

// failPlain is fail with our own page.
func (x *exchange) failPlain(f *failure) {
	if x.onPage() && x.answering.why != nil {
		f = x.answering.why // and not that its page cannot be shown
	}
	x.note(f)
	if x.started || f.status == statusClientGone && x.fetcher.busy { // the cache has something else to give
		x.cut = true
		return
	}
	x.out = f.header(x.out[:0])
	if f.close {
		x.s.CloseAfter()
	}
	x.out.Set("X-Request-Id", x.id)
	x.out.Set("Cache-Control", "no-store")
	contentType, page := x.page(f)
	x.out.Set("Content-Type", contentType)
	x.writeHead(f.status, int64(len(page)))
	if x.r.Method != http.MethodHead {
		x.Write(page) // a client that has gone shows in the next line of the log
	}
}

// header appends the fields of an answer that belong to its status.
func (f *failure) header(h wire.Fields) wire.Fields {
	h = append(h, f.fields...)
	if f.retryAfter > 0 {
		h.Add("Retry-After", strconv.Itoa(f.retryAfter))
	}
	if f.status == http.StatusMethodNotAllowed {
		h.Add("Allow", cmp.Or(f.allow, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"))
	}
	return h
}

// retryIn sets Retry-After.
func (f *failure) retryIn(d time.Duration) *failure {
	f.retryAfter = max(1, int((d+time.Second-1)/time.Second))
	return f
}

// logFailure tells the operator of what is theirs to mend: everything from 500 on,
// as long as there is not too much of it.
func (x *exchange) logFailure(f *failure) {
	if f.status < 500 && f.kind != "too_large" || x.r.Refusal != nil || f.kind == "maintenance" { // clients may send what they like
		return
	}
	skipped, ok := x.d.g.failures.allow(time.Now())
	if !ok {
		return
	}
	args := []any{"request", x.id, "site", x.site.name, "host", x.host, "path", x.path, "status", f.status, "cause", f.cause}
	if f.cure != "" {
		args = append(args, "cure", f.cure)
	}
	if f.err != nil {
		args = append(args, "err", f.err)
	}
	if skipped > 0 {
		args = append(args, "not_logged", skipped) // of failures before this one; the access log has them
	}
	x.d.g.log.Warn("request failed", args...)
}

// page renders f as the client prefers it.
func (x *exchange) page(f *failure) (contentType string, page []byte) {
	p := x.pageData(f)
	accept := x.r.Fields.Get("Accept")
	switch {
	case strings.Contains(accept, "text/html"):
		var b strings.Builder
		if err := pageTemplate.Execute(&b, p); err == nil {
			return "text/html; charset=utf-8", []byte(b.String())
		}
	case strings.Contains(accept, "json"):
		if b, err := json.Marshal(p); err == nil {
			return "application/json", append(b, '\n')
		}
	}
	return "text/plain; charset=utf-8", p.text()
}

// pageData is what a page may say of f to this client.
func (x *exchange) pageData(f *failure) pageData {
	p := pageData{Status: f.status, Title: http.StatusText(f.status), Request: x.id}
	if x.operator() {
		p.Cause, p.Cure, p.Lines = f.cause, f.cure, f.lines
	} else if f.status < 500 {
		p.Cause = f.cause // it is about what the client sent
	}
	return p
}

// operator reports whether causes and cures may be shown to the client. Behind a
// proxy only a client that it names counts: a proxy's own address, or one whose
// word is not taken, may stand for anybody.
func (x *exchange) operator() bool {
	h := x.r.Fields
	switch {
	case x.fwd.Broken:
		return false
	case x.fwd.Trusted && x.gen.trust.Contains(x.client.Addr()):
		return false
	case !x.fwd.Trusted && (h.Has("X-Forwarded-For") || h.Has("Forwarded") || h.Has("Via")):
		return false
	}
	return x.gen.operators.Contains(x.client.Addr())
}

type pageData struct {
	Status  int      `json:"status"`
	Title   string   `json:"title"`
	Cause   string   `json:"cause,omitempty"`
	Cure    string   `json:"cure,omitempty"`
	Lines   []string `json:"lines,omitempty"`
	Request string   `json:"request_id"`
}

func (p pageData) text() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s\n", p.Status, p.Title)
	if p.Cause != "" {
		fmt.Fprintf(&b, "\n%s\n", p.Cause)
	}
	if p.Cure != "" {
		fmt.Fprintf(&b, "hint: %s\n", p.Cure)
	}
	if len(p.Lines) > 0 {
		fmt.Fprintf(&b, "\n%s\n", strings.Join(p.Lines, "\n"))
	}
	fmt.Fprintf(&b, "\nrequest %s\n", p.Request)
	return []byte(b.String())
}

var pageTemplate = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{.Status}} {{.Title}}</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:40em;margin:15vh auto;padding:0 1em;color:#222;background:#fff}
h1{font-size:1.4em}code{color:#666}pre{font-size:.8em;overflow:auto;padding:1em;background:#8882}@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}}</style>
</head><body><h1>{{.Status}} {{.Title}}</h1>
{{with .Cause}}<p>{{.}}</p>
{{end}}{{with .Cure}}<p><b>Hint:</b> {{.}}</p>
{{end}}{{with .Lines}}<pre>{{range .}}{{.}}
{{end}}</pre>
{{end}}<p><code>request {{.Request}}</code></p></body></html>
`))
