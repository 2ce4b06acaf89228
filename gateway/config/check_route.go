package config

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"headgate/gateway/expression"
	"headgate/gateway/spelling"
	"headgate/routing"
	"headgate/upstream"
)

// siteChecker checks one site and the routes of it.
type siteChecker struct {
	c     *Config
	r     *report
	s     Site
	at    path // of the site
	used  map[string]bool
	rates rateOwners
}

// routes checks a list of routes at p, which is a site's or that of the route outer.
// pattern is the innermost regular expression around them.
func (k *siteChecker) routes(p path, list []Route, outer *Route, pattern string) {
	for j := range list {
		t, at := &list[j], p.key("routes").item(j)
		inner := pattern
		if strings.HasPrefix(t.Path, "~") {
			inner = t.Path
		}
		k.route(at, t, outer, inner)
		k.routes(at, t.Routes, t, inner)
	}
}

func (k *siteChecker) route(p path, t, outer *Route, pattern string) {
	filters := k.s.Filters
	if outer != nil {
		filters = outer.Filters
	}
	k.action(p, t)
	k.match(p, t)
	k.requests(p, t)
	k.filters(p, t.Filters, filters)
	k.unused(p, t, t.Filters.own(filters))
	k.pools(p, t, outer)
	if t.Files != nil && (outer == nil || t.Files != outer.Files) {
		leaf(k.r, p.key("files"), *t.Files)
	}
	if t.Redirect != nil {
		k.redirect(p.key("redirect"), t, pattern)
	}
	if t.Respond != nil {
		t.Respond.check(k.r, p.key("respond"))
	}
	if t.Rewrite != nil {
		k.rewrite(p.key("rewrite"), t, pattern)
	}
}

// action wants one thing to do, or a reason for none.
func (k *siteChecker) action(p path, t *Route) {
	passes := t.Pool != "" || t.Split != nil
	n := count(t.Pool != "", t.Split != nil, t.Redirect != nil, t.Respond != nil, t.Files != nil)
	switch {
	case n == 0 && t.Rewrite == nil && len(t.Routes) == 0:
		k.r.check(p, p, "says nothing to do", "give it pool, files, redirect, respond, split or rewrite")
	case n > 1 && t.Pool != "" && t.Split != nil:
		k.r.check(p, p, "has both pool and split", "list the pool in split.pools, or remove one of the two")
	case n == 2 && t.Files != nil && passes: // what is not among the files
	case n > 1:
		k.r.check(p, p, "says more than one thing to do", "keep one of pool, files, redirect, respond and split; only files goes with pool or split")
	}
}

// match checks what says which requests are of t.
func (k *siteChecker) match(p path, t *Route) {
	r := k.r
	if t.Path != "" && t.Mount != "" {
		r.check(p.key("mount"), p, "has both path and mount", "keep one of the two")
	}
	k.wrong(p.key("path"), p.key("path"), routing.CheckPath(t.Path))
	k.wrong(p.key("mount"), p.key("mount"), routing.CheckMount(t.Mount))
	if strings.ContainsAny(t.Path, "?#") && !strings.HasPrefix(t.Path, "~") {
		r.warn(p.key("path"), p.key("path"), "a path is matched without its query, and this has a ? or #", "write when: request.query[\"name\"] == \"value\" for a query")
	}
	for i, m := range t.Method {
		k.method(p.key("method").item(i), p, t.Method, i, m)
	}
	checkExpression(r, p.key("when"), p.key("when"), t.When, expression.Bool)
}

func (k *siteChecker) method(p, about path, list []string, i int, m string) {
	usual := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "REPORT", "MKCOL"}
	k.wrong(p, about, routing.CheckMethod(m))
	switch {
	case m == "CONNECT":
		k.r.check(p, about, "CONNECT is of proxies, and no route gets it", "remove it")
	case slices.Index(list, m) < i:
		k.r.check(p, about, "the method "+quoteShort(m)+" is listed twice", "remove one of the two")
	case m == strings.ToUpper(m) && !slices.Contains(usual, m):
		if meant := spelling.Nearest(m, usual); meant != "" {
			k.r.warn(p, about, quoteShort(m)+" is not a usual method", fmt.Sprintf("did you mean %q?", meant))
		}
	}
}

// wrong reports what a leaf says of the value at p, once.
func (k *siteChecker) wrong(p, about path, err error) {
	if err != nil {
		msg, hint := splitCure(err.Error())
		k.r.check(p, about, msg, hint)
		k.r.told[p.id()] = true
	}
}

// table reports what is wrong with how routes stand in each other. What is wrong
// with one alone is told before, at its own place.
func (k *siteChecker) table() {
	for _, wrong := range routing.CheckRoutes(tableOf(k.s.Routes)) {
		p, list := k.at, k.s.Routes
		var t *Route
		for _, i := range wrong.Route {
			p, t = p.key("routes").item(i), &list[i]
			list = t.Routes
		}
		for _, err := range flatten(wrong.Err) {
			if !k.alone(t, err) {
				at := p.key(t.keyOf(err))
				k.wrong(at, at, err)
			}
		}
	}
}

// tableOf are the patterns of routes.
func tableOf(routes []Route) []routing.Route[struct{}] {
	out := make([]routing.Route[struct{}], len(routes))
	for i, t := range routes {
		out[i] = routing.Route[struct{}]{Path: t.Path, Mount: t.Mount, Methods: t.Method, Routes: tableOf(t.Routes)}
	}
	return out
}

// alone reports whether err is one of the route t for itself.
func (k *siteChecker) alone(t *Route, err error) bool {
	if t.Path != "" && t.Mount != "" {
		return true
	}
	for _, own := range append(flatten(errors.Join(routing.CheckPath(t.Path), routing.CheckMount(t.Mount))), methodErrors(t)...) {
		if own.Error() == err.Error() {
			return true
		}
	}
	return false
}

func methodErrors(t *Route) (errs []error) {
	for _, m := range t.Method {
		errs = append(errs, flatten(routing.CheckMethod(m))...)
	}
	return errs
}

// keyOf is the key of t that err is about.
func (t *Route) keyOf(err error) string {
	switch {
	case strings.Contains(err.Error(), " method"):
		return "method"
	case strings.Contains(err.Error(), "routes are nested"), strings.Contains(err.Error(), "more than"):
		return "routes"
	case t.Mount != "":
		return "mount"
	}
	return "path"
}

// requests refuses what is said of requests that go to no pool.
func (k *siteChecker) requests(p path, t *Route) {
	if t.Pool != "" || t.Split != nil {
		return
	}
	if !t.acts() && t.Rewrite == nil && len(t.Routes) == 0 {
		return // which is reported
	}
	for _, key := range []struct {
		name string
		said bool
	}{
		{"retry", t.Retry == RetrySafe},
		{"priority", t.Priority != upstream.PriorityNormal},
		{"request_body", t.RequestBody == BodyStream},
		{"mirror", t.Mirror != nil},
		{"sendfile", len(t.Sendfile) > 0},
	} {
		if key.said {
			k.r.check(p.key(key.name), p, key.name+" is of requests that go to a pool, and these do not", "remove it, or give the route a pool")
		}
	}
}

// pools checks the names of pools, and how requests are shared among them. What a
// route has from the one around it is checked there.
func (k *siteChecker) pools(p path, t, outer *Route) {
	if outer == nil || t.Pool != outer.Pool || k.r.places[p.key("pool").id()] != (span{}) {
		k.pool(p.key("pool"), k.at, t.Pool)
	}
	if t.Split != nil && (outer == nil || t.Split != outer.Split) {
		k.split(p.key("split"), p, t.Split)
	}
	if m := t.Mirror; m != nil && (outer == nil || m != outer.Mirror) {
		at := p.key("mirror")
		if m.Pool == "" {
			k.r.check(at, at, "has no pool", "name the pool that gets the copies")
		} else if m.Pool == t.Pool {
			k.r.warn(at.key("pool"), at, "the copies go to the pool that has the originals", "name another pool")
		}
		k.onePool(at.key("pool"), at, m.Pool)
	}
	for i, dir := range t.Sendfile {
		if outer != nil && same(reflect.ValueOf(t.Sendfile), reflect.ValueOf(outer.Sendfile)) {
			break
		}
		if at := p.key("sendfile").item(i); !filepath.IsAbs(dir) {
			k.r.check(at, p, "sendfile: "+quoteShort(dir)+" is not absolute", "write the whole path of the directory")
		}
	}
}

// pool notes that a pool is used, and reports one that does not exist.
func (k *siteChecker) pool(p, about path, name string) {
	k.used[name] = true
	k.c.checkPoolOf(k.r, p, about, name)
}

// onePool is pool for what cannot go to the app of a host.
func (k *siteChecker) onePool(p, about path, name string) {
	k.pool(p, about, name)
	if k.c.Pools[name].Subscriptions {
		k.r.check(p, about, fmt.Sprintf("pool %q has an app for each host, and serves as the pool of a route only", name), "name a pool with members or workers")
	}
}

func (k *siteChecker) split(p, about path, s *Split) {
	seen, part := map[string]bool{}, 0
	for i, share := range s.Pools {
		at := p.key("pools").item(i)
		switch {
		case share.Pool == "":
			k.r.check(at, at, "has no pool", "write it like {pool: NAME, weight: 5}")
		case seen[share.Pool]:
			k.r.check(at.key("pool"), p, fmt.Sprintf("pool %q is listed twice", share.Pool), "remove one of the two, or give one the weight of both")
		}
		seen[share.Pool] = true
		part += max(0, share.Weight)
		k.onePool(at.key("pool"), at, share.Pool)
	}
	switch {
	case len(s.Pools) < 2:
		k.r.check(p, about, "split shares requests between two pools or more", "list them like split: {pools: [{pool: NAME, weight: 95}, {pool: OTHER, weight: 5}]}, or write pool: NAME")
	case part == 0:
		k.r.check(p.key("pools"), p, "no pool takes new clients: every weight is off", "give one of them a weight")
	}
	if !isToken(s.Cookie) {
		k.r.check(p.key("cookie"), p.key("cookie"), quoteShort(s.Cookie)+" cannot be the name of a cookie", "use letters, digits, - and _")
	}
}

// redirect checks where t leads.
func (k *siteChecker) redirect(p path, t *Route, pattern string) {
	d, to := t.Redirect, p.key("to")
	made, err := routing.ParseTemplate(d.To, pattern)
	if d.To == "" {
		k.r.check(p, p, "does not say where to", "write it like {to: /new}")
	} else if err != nil {
		k.wrong(to, to, err)
	} else {
		// Any request shows whether it is a URL.
		u, err := url.Parse(made.Location(routing.Input{Host: "host", Path: "/", URI: "/"}))
		switch {
		case err != nil || !isField(d.To) || strings.Contains(d.To, " ") || u.Scheme != "" && u.Host == "" && strings.HasPrefix(u.Scheme, "http"):
			k.r.check(to, to, quoteShort(d.To)+" is not a path or a URL", "write it like /new or https://example.com/")
		case u.Scheme == "" && !strings.HasPrefix(d.To, "/") && !strings.HasPrefix(d.To, "$"):
			k.r.check(to, to, quoteShort(d.To)+" is neither a path nor a whole URL", fmt.Sprintf("write %q or %q", "/"+d.To, "https://"+d.To))
		}
	}
	if !slices.Contains([]int{301, 302, 303, 307, 308}, d.Status) {
		k.r.check(p.key("status"), p.key("status"), fmt.Sprintf("%d is not a redirect", d.Status), "write 301, 302, 303, 307 or 308")
	}
}

func (k *siteChecker) rewrite(p path, t *Route, pattern string) {
	w := t.Rewrite
	switch {
	case w.Path == "" && w.Query == "":
		k.r.check(p, p, "does not say what becomes of the path or the query", "write it like rewrite: /new$path, or {query: \"lang=en\"}")
	case !t.acts() && (w.Path == "" || w.Path == "$path") && (w.Query == "" || w.Query == "$query"):
		k.r.check(p, p, "changes nothing, so that the routes would be gone through for ever", "write another path, or give the route an action")
	case !t.acts() && (w.Path == "" || w.Path == "$path") && !strings.Contains(t.When, "request.query"):
		k.r.check(p, p, "changes the query alone, and the same route would match again", "give the route an action, such as pool")
	}
	if w.Path != "" {
		at := p.key("path")
		switch {
		case strings.ContainsAny(w.Path, "?#"):
			k.r.check(at, at, quoteShort(w.Path)+" has more than a path", "write what follows the ? as query")
		case !strings.HasPrefix(w.Path, "/") && !strings.HasPrefix(w.Path, "$"):
			k.r.check(at, at, quoteShort(w.Path)+" does not begin with a slash", "write "+quoteShort("/"+w.Path))
		default:
			k.template(at, w.Path, pattern)
		}
	}
	if w.Query != "" && w.Query != "off" {
		at := p.key("query")
		if strings.HasPrefix(w.Query, "?") {
			k.r.check(at, at, quoteShort(w.Query)+" begins with a ?", "write it without, like page=1&$query")
			return
		}
		k.template(at, w.Query, pattern)
	}
}

// template checks the $ of a text that the path of a route is for.
func (k *siteChecker) template(p path, text, pattern string) {
	k.wrong(p, p, routing.CheckTemplate(text, pattern))
}

func (d *Respond) check(r *report, p path) {
	if d.Body != "" && d.File != "" {
		r.check(p.key("file"), p, "has both body and file", "keep one of the two")
	}
	if !isField(d.Type) {
		r.check(p.key("type"), p.key("type"), "has a line break or a control character", "write it like text/html; charset=utf-8")
	}
	if (d.Status == 204 || d.Status == 304) && (d.Body != "" || d.File != "") {
		r.warn(p.key("status"), p.key("status"), fmt.Sprintf("an answer with status %d has no body", d.Status), "remove the body, or write 200")
	}
}

// internal finds a site that clients cannot reach.
func (k *siteChecker) internal() {
	open := len(k.s.Routes) == 0
	eachRoute(k.s.Routes, func(t *Route) { open = open || !t.Internal })
	if !open {
		k.r.check(k.at.key("routes").item(0).key("internal"), k.at, "every route is internal, so that no client gets anything", "remove internal from the route that clients may ask for")
	}
}

// isField reports whether s can be the value of a header field.
func isField(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// isToken reports whether s is a token (RFC 9110, 5.6.2), as methods and names of
// fields and cookies are.
func isToken(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0:
			return false
		}
	}
	return s != ""
}

func count(conditions ...bool) (n int) {
	for _, c := range conditions {
		if c {
			n++
		}
	}
	return n
}
