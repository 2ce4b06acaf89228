package config

import (
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"headgate/gateway/expression"
	"headgate/gateway/filter/access"
	"headgate/gateway/filter/headers"
	"headgate/gateway/filter/limit"
	"headgate/gateway/notation"
)

// rateOwners are the rates by their name, with the place of the first.
type rateOwners map[string]rateOwner

type rateOwner struct {
	rate limit.Rate
	at   path
}

// filters checks those of f that it has not from outer, and what they make together.
func (k *siteChecker) filters(p path, f, outer Filters) {
	own := f.own(outer)
	k.limits(p, own)
	k.who(p, own)
	k.fields(p, own)
	k.answers(p, own)
	k.errorPages(p.key("errors"), own.Errors)
	if own.Maintenance != nil {
		k.maintenance(p.key("maintenance"), own.Maintenance)
	}
	k.together(p, f.Active(), own)
}

// maxLimits is how many limits of one kind a request is held against.
const maxLimits = 8

func (k *siteChecker) limits(p path, own Filters) {
	for name, n := range map[string]int{"rate_limit": len(own.RateLimit), "in_flight": len(own.InFlight)} {
		if n > maxLimits {
			k.r.check(p.key(name), p.key(name), fmt.Sprintf("%d are more than %d", n, maxLimits), "join some of them")
		}
	}
	for i, rate := range own.RateLimit {
		at := p.key("rate_limit").item(i)
		k.key(at.key("key"), rate.Key)
		leaf(k.r, at, rate)
		k.rate(at.key("name"), rate)
	}
	for i, n := range own.InFlight {
		at := p.key("in_flight").item(i)
		k.key(at.key("key"), n.Key)
		leaf(k.r, at, n)
	}
	if own.Bandwidth != nil {
		leaf(k.r, p.key("bandwidth"), *own.Bandwidth)
	}
}

// key checks an expression that requests are counted by.
func (k *siteChecker) key(p path, source string) {
	if strings.TrimSpace(source) != "client.ip" { // which is also the address without a text of it
		checkExpression(k.r, p, p, source, expression.String)
	}
}

// rate refuses a second rate of the same name that is not the same.
func (k *siteChecker) rate(p path, rate limit.Rate) {
	first, ok := k.rates[rate.Name]
	if !ok {
		k.rates[rate.Name] = rateOwner{rate, p}
	} else if !reflect.DeepEqual(first.rate, rate) {
		k.r.check(p, p.parent(), fmt.Sprintf("the name %s is already that of %s, which is not the same", quoteShort(rate.Name), first.at.parent()),
			"give it another name, or all that the other has to count together")
	}
}

// who checks who may come.
func (k *siteChecker) who(p path, own Filters) {
	if own.Access != nil {
		leaf(k.r, p.key("access"), *own.Access)
	}
	if own.BasicAuth != nil {
		at := p.key("basic_auth")
		leaf(k.r, at, *own.BasicAuth)
		switch {
		case slices.Contains([]string{"on", "true", "yes"}, own.BasicAuth.File):
			k.r.check(at, at, quoteShort(own.BasicAuth.File)+" would be the name of a file", "write lines of headgate hash-password into a file, and name it: basic_auth: /etc/headgate/users")
		case *own.BasicAuth == (access.BasicAuth{}):
			k.r.check(at, at, "has no file of names and passwords", "write lines of headgate hash-password into a file, and name it: basic_auth: /etc/headgate/users")
		case own.BasicAuth.Enabled() && k.plain():
			k.r.warn(at, at, "passwords go over plain http, where everybody on the way can read them", "write http: redirect at the site")
		}
	}
	if own.ForwardAuth != nil && own.ForwardAuth.On != notation.Disabled {
		k.forwardAuth(p.key("forward_auth"), own.ForwardAuth)
	}
	if own.ClientCert == "required" {
		at := p.key("client_cert")
		switch {
		case k.s.TLS.ClientAuth.CA == "":
			k.r.check(at, at, "nobody asks clients for a certificate", "set tls.client_auth: {ca: FILE, mode: request} at the site")
		case k.plain():
			k.r.warn(at, at, "over plain http, which this site serves, no client has a certificate: all get 403", "write http: redirect at the site")
		}
	}
	if own.CrossOrigin != nil {
		leaf(k.r, p.key("cross_origin"), *own.CrossOrigin)
	}
	if _, err := access.NewTypes(own.BodyTypes); err != nil {
		for _, err := range flatten(err) {
			leafErrors(k.r, p, []string{"body_types"}, fmt.Errorf("body_types%w", err))
		}
	}
}

// plain reports whether clients that are elsewhere reach the site over plain http.
// What a trusted proxy has done before cannot be known.
func (k *siteChecker) plain() bool {
	if k.s.HTTP != HTTPServe || len(k.c.Listen.TrustedProxies) > 0 {
		return false
	}
	return slices.ContainsFunc(k.c.Listen.HTTP, func(address string) bool {
		host := strings.Trim(hostOf(address), "[]")
		a, err := netip.ParseAddr(host)
		return host != "localhost" && (err != nil || !a.IsLoopback())
	})
}

func (k *siteChecker) forwardAuth(p path, a *ForwardAuth) {
	switch {
	case a.Pool == "" && a.URL == "":
		k.r.check(p, p, "does not say who is asked", "write it like {pool: NAME, path: /auth} or {url: http://127.0.0.1:4180/auth}")
	case a.Pool != "" && a.URL != "":
		k.r.check(p.key("url"), p, "has both pool and url", "keep one of the two")
	case a.URL != "" && a.Path != "":
		k.r.check(p.key("path"), p, "path is what a pool is asked for, and this asks a url", "write the path into the url")
	}
	k.onePool(p.key("pool"), p, a.Pool)
	if a.Path != "" && (!strings.HasPrefix(a.Path, "/") || !isTarget(a.Path)) {
		k.r.check(p.key("path"), p.key("path"), quoteShort(a.Path)+" is not a path", "write it like /auth")
	}
	if u, err := url.Parse(a.URL); a.URL != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Fragment != "") {
		k.r.check(p.key("url"), p.key("url"), quoteShort(withoutUser(a.URL))+" is not a URL", "write it like http://127.0.0.1:4180/auth")
	}
	for i, name := range a.Headers {
		at := p.key("headers").item(i)
		switch lower := strings.ToLower(name); {
		case !isToken(name), strings.Contains(name, "_"):
			k.r.check(at, p, quoteShort(name)+" is not the name of a field that an app gets", "use letters, digits and -")
		case slices.Contains([]string{"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "keep-alive", "proxy"}, lower), strings.HasPrefix(lower, "x-forwarded-"), lower == "forwarded":
			k.r.check(at, p, quoteShort(name)+" is of the connection, or what only the gateway says", "name the fields that tell who the user is, such as X-User")
		}
	}
}

// fields checks what is changed in headers.
func (k *siteChecker) fields(p path, own Filters) {
	if own.Headers != nil {
		at := p.key("headers")
		k.values(at.keys("request.set"), own.Headers.Request.Set)
		k.values(at.keys("request.add"), own.Headers.Request.Add)
		k.values(at.keys("response.set"), own.Headers.Response.Set)
		k.values(at.keys("response.add"), own.Headers.Response.Add)
		leaf(k.r, at, *own.Headers)
	}
	if !isZero(own.CORS) {
		leaf(k.r, p.key("cors"), *own.CORS)
		if len(own.CORS.Origins) == 0 {
			k.r.check(p.key("cors"), p.key("cors"), "has no origins", "list those that may read answers, or write off")
		}
	}
}

func (k *siteChecker) values(p path, set map[string]headers.Value) {
	for _, name := range slices.Sorted(maps.Keys(set)) {
		at := p.name(name).key("cel")
		checkExpression(k.r, at, at, set[name].CEL, expression.String)
	}
}

// answers checks what happens to answers.
func (k *siteChecker) answers(p path, own Filters) {
	if own.Compress != nil {
		leaf(k.r, p.key("compress"), *own.Compress)
	}
	if own.Cache != nil {
		at := p.key("cache")
		checkExpression(k.r, at.key("key"), at.key("key"), own.Cache.Key, expression.String)
		leaf(k.r, at, *own.Cache)
	}
}

// errorPages checks pages, whose names are statuses.
func (k *siteChecker) errorPages(p path, pages map[string]ErrorPage) {
	for _, status := range slices.Sorted(maps.Keys(pages)) {
		at, page := p.name(status), pages[status]
		if fault := statusFault(status); fault != "" {
			k.r.checkKey(at, p, quoteShort(status)+" "+fault, "write a number from 400 to 599, 4xx or 5xx")
		}
		switch n := count(page.File != "", page.Template != "", page.Pool != "", page.Path != "" && page.Pool == ""); {
		case n == 0:
			k.r.check(at, at, "has no page", "write a path of the site, or file, template or pool")
		case n > 1:
			k.r.check(at, at, "has more than one page", "keep one of path, file, template and pool; only path goes with pool")
		}
		if page.Path != "" && (!strings.HasPrefix(page.Path, "/") || !isTarget(page.Path)) {
			k.r.check(at.key("path"), at, quoteShort(page.Path)+" is not a path of the site", "write it like /404.html, or {file: "+page.Path+"} for a file")
		}
		k.onePool(at.key("pool"), at, page.Pool)
	}
}

// statusFault says why s names no errors, or "".
func statusFault(s string) string {
	n, err := strconv.Atoi(s)
	switch {
	case s == "4xx" || s == "5xx":
		return ""
	case err != nil || strconv.Itoa(n) != s:
		return "is not a status"
	case n < 400 || n > 599:
		return "is not the status of an error"
	}
	return ""
}

func (k *siteChecker) maintenance(p path, m *Maintenance) {
	networks(k.r, p.key("allow"), m.Allow)
	checkExpression(k.r, p.key("when"), p.key("when"), m.When, expression.Bool)
	checkExpression(k.r, p.key("except"), p.key("except"), m.Except, expression.Bool)
	if m.On == notation.On && (m.Flag != "" || m.When != "") {
		k.r.warn(p.key("on"), p, "it is on, whatever flag and when say", "remove on: on")
	}
}

// together looks at filters that do not go well with each other, where one of them
// is new.
func (k *siteChecker) together(p path, f, own Filters) {
	named := ""
	switch {
	case f.ForwardAuth != nil:
		named = "forward_auth"
	case f.BasicAuth != nil:
		named = "basic_auth"
	case f.ClientCert != "":
		named = "client_cert"
	}
	changed := own.Cache != nil || own.ForwardAuth != nil || own.BasicAuth != nil || own.ClientCert != ""
	if f.Cache != nil && named != "" && f.Cache.Key == "" && changed {
		at := p.key("cache")
		k.r.check(at, p, "cache would give one client what another one got, and "+named+" tells them apart",
			"give cache a key that does too, such as request.header[\"authorization\"] or client.cert.serial, or key: '\"all\"' if they all see the same, or write cache: off")
	}
	if f.CORS != nil && f.CrossOrigin != nil && (own.CORS != nil || own.CrossOrigin != nil) {
		for i, origin := range f.CORS.Origins {
			if !strings.Contains(origin, "*") && !slices.Contains(f.CrossOrigin.Trusted, origin) {
				at := p.keys("cors.origins").item(i)
				k.r.warn(at, p, fmt.Sprintf("cors lets %s read answers, and cross_origin refuses what it changes", quoteShort(origin)), "list it in cross_origin.trusted, or write cross_origin: off")
			}
		}
	}
}

// unused warns of filters of a route that have nothing to do there.
func (k *siteChecker) unused(p path, t *Route, own Filters) {
	what, own := "", own.Active()
	switch {
	case t.Redirect != nil:
		what = "a redirect"
	case t.Respond != nil:
		what = "an answer from here"
	default:
		return
	}
	for _, key := range []struct {
		name string
		said bool
	}{
		{"cache", own.Cache != nil},
		{"compress", own.Compress != nil && t.Redirect != nil},
		{"bandwidth", own.Bandwidth != nil && t.Redirect != nil},
	} {
		if key.said {
			k.r.warn(p.key(key.name), p, key.name+" does nothing for "+what, "remove it")
		}
	}
}
