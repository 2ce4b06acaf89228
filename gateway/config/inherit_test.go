package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"headgate/gateway/config"
	"headgate/gateway/filter/compress"
	"headgate/gateway/filter/limit"
	"headgate/gateway/notation"
)

// site wraps the routes and keys of a site into a whole file.
func site(text string) string {
	return `listen: {http: ":80", https: ":443"}
tls: {issuer: internal}
pools:
  web: {members: ["unix:/run/web.sock"]}
  api: {members: ["unix:/run/api.sock"]}
sites:
  - hosts: [shop.localhost]
    ` + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ") + "\n"
}

func TestFiltersAreInherited(t *testing.T) {
	s := parse(t, site(`
compress: on
security: basic
rate_limit: 100/s
access: {allow: 10.0.0.0/8}
limits: {body: 5MiB}
routes:
  - path: /a/
    pool: web
    priority: high
    compress: {level: best}
    security: off
    limits: {body: 7MiB}
    routes:
      - {path: /a/b/, rate_limit: off, access: off}
      - {path: /a/c/, routes: [{path: /a/c/d/, security: strict}]}
  - pool: api
`)).Sites[0]
	a, last := s.Routes[0], s.Routes[1]
	b, d := a.Routes[0], a.Routes[1].Routes[0]
	for _, c := range []struct {
		what      string
		got, want any
	}{
		{"the last route compresses as the site", last.Filters.Compress, s.Filters.Compress},
		{"the whole key of a route replaces that of the site", a.Filters.Compress, new(compress.Options{Level: "best"}.WithDefaults())},
		{"a route within has that of the one around it", b.Filters.Compress, a.Filters.Compress},
		{"off is a word", a.Filters.Active().Security, ""},
		{"the innermost word counts", d.Filters.Security, "strict"},
		{"off ends what the site says", b.Filters.Active().RateLimit, []limit.Rate(nil)},
		{"access is off", b.Filters.Active().Access == nil, true},
		{"the limits of a route are of those within", d.Limits.Body, 7 * config.MiB},
		{"a route without an action has that of the one around it", d.Pool, "web"},
		{"and its priority", d.Priority, a.Priority},
		{"a rate of the site has its name", d.Filters.RateLimit[0].Name, "shop.localhost"},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s: differs (-want +got):\n%s", c.what, diff)
		}
	}
	if last.Filters.Compress != s.Filters.Compress || &last.Filters.RateLimit[0] != &s.Filters.RateLimit[0] {
		t.Error("what a route has from its site is a copy")
	}
}

func TestRateNames(t *testing.T) {
	s := parse(t, site(`
routes:
  - {path: "=/login", method: POST, pool: web, rate_limit: [5/m, 100/h]}
  - {path: "=/login", pool: web, rate_limit: 50/m}
  - {path: "~^/u/[0-9]+$", pool: web, rate_limit: {rate: 5/m, name: mine}}
  - {pool: web, rate_limit: 1/s}
`)).Sites[0]
	var got []string
	for _, route := range s.Routes {
		for _, rate := range route.Filters.RateLimit {
			got = append(got, rate.Name)
		}
	}
	want := []string{"shop.localhost/login", "shop.localhost/login-2", "shop.localhost/login-3", "mine", "shop.localhost"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the names of rates differ (-want +got):\n%s", diff)
	}
}

func TestSetDefaultsAgainChangesNothing(t *testing.T) {
	for _, file := range []string{"testdata/ok/full.yaml", "testdata/ok/design.yaml"} {
		c, err := config.Load(file, environ)
		if err != nil {
			t.Fatal(err)
		}
		before, shared := c.Hash(), c.Sites[len(c.Sites)-1].Filters
		c.SetDefaults()
		if c.Hash() != before {
			t.Errorf("%s: a second SetDefaults changes it", file)
		}
		again := c.Sites[len(c.Sites)-1].Filters
		if again.Compress != shared.Compress || again.Cache != shared.Cache || again.Headers != shared.Headers {
			t.Errorf("%s: a second SetDefaults copies what routes share", file)
		}
	}
}

func TestSitesMayShareRoutes(t *testing.T) {
	routes := []config.Route{{Pool: "app"}}
	c := &config.Config{
		Listen: config.Listen{HTTP: []string{":80"}},
		Pools:  map[string]config.Pool{"app": {Members: []config.Member{{Address: "unix:/run/app.sock"}}}},
		Sites: []config.Site{
			{Hosts: []string{"a.localhost"}, Routes: routes, Filters: config.Filters{Security: "strict"}},
			{Hosts: []string{"b.localhost"}, Routes: routes},
		},
	}
	c.SetDefaults()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	if got := c.Sites[1].Routes[0].Filters.Security; got != "" {
		t.Errorf("the second site has security %q of the first", got)
	}
}

func TestActionIsInherited(t *testing.T) {
	s := parse(t, site(`
routes:
  - mount: /blog
    pool: web
    routes:
      - {path: /blog/login, rate_limit: 5/m}
      - {path: /blog/old/, rewrite: /blog/new/}
      - {path: /blog/img/, files: /srv/img}
  - path: /static/
    files: /srv/static
    routes: [{path: "~[.]map$", access: {allow: 10.0.0.0/8}}]
  - path: /x/
    routes: [{path: /x/y, pool: api}]
  - internal: true
    path: /inner/
    pool: web
    routes: [{path: /inner/a, pool: api}]
`)).Sites[0]
	blog := s.Routes[0].Routes
	if blog[0].Pool != "web" || blog[1].Pool != "" || blog[2].Pool != "" {
		t.Errorf("pools within the mount are %q, %q and %q, want web and none", blog[0].Pool, blog[1].Pool, blog[2].Pool)
	}
	if m := s.Routes[1].Routes[0]; m.Files != s.Routes[1].Files {
		t.Errorf("the route within files has %v", m.Files)
	}
	if s.Routes[2].Pool != "" {
		t.Errorf("a route has the pool %q of one within it", s.Routes[2].Pool)
	}
	if !s.Routes[3].Routes[0].Internal {
		t.Error("a route within an internal one is open to clients")
	}
}

func TestShortForms(t *testing.T) {
	for short, long := range map[string]string{
		"compress: true":                    "compress: {on: on}",
		"cache: on":                         "cache: {}",
		"cache: {ttl: 5m}":                  "cache: {ttl: [{for: 5m}]}",
		"rate_limit: 5/m":                   "rate_limit: [{rate: 5/1m}]",
		"rate_limit: {rate: 5/m}":           "rate_limit: [5/m]",
		"in_flight: 5":                      "in_flight: [{limit: 5}]",
		"body_types: image/*":               "body_types: [image/*]",
		"bandwidth: 1MiB":                   "bandwidth: {rate: 1MiB}",
		"maintenance: on":                   "maintenance: {on: true}",
		"maintenance: off":                  "maintenance: {on: off}",
		"errors: {404: /x}":                 "errors: {404: {path: /x}}",
		"cross_origin: on":                  "cross_origin: {}",
		"access: {allow: 10.0.0.0/8}":       "access: {allow: [10.0.0.0/8]}",
		"rate_limit: ${UNSET:-off}":         "rate_limit: off",
		"headers: {request: {set: {X: y}}}": "headers: {request: {set: {X: {text: y}}}}",
	} {
		a := parse(t, site(short+"\nroutes: [{pool: web, mirror: api}]"))
		b := parse(t, site(long+"\nroutes: [{pool: web, mirror: {pool: api}}]"))
		if diff := cmp.Diff(b, a); diff != "" {
			t.Errorf("%s is not %s (-want +got):\n%s", short, long, diff)
		}
	}
	f := parse(t, site("rate_limit: []\nerrors: {}\nmaintenance: on\nroutes: [{pool: web}]")).Sites[0].Filters
	if f.RateLimit != nil || f.Errors != nil {
		t.Errorf("an empty list is %v and an empty map %v, want as if they were absent", f.RateLimit, f.Errors)
	}
	if got, want := *f.Maintenance, (config.Maintenance{On: notation.On, RetryAfter: 5 * time.Minute}); got.On != want.On || got.RetryAfter != want.RetryAfter {
		t.Errorf("maintenance: on is %+v, want %+v", got, want)
	}
}

func TestWarningsOfSites(t *testing.T) {
	for text, want := range map[string]string{
		"http: serve\nbasic_auth: /etc/users\nroutes: [{pool: web}]":                                                   "passwords go over plain http",
		"http: serve\ntls: {client_auth: {ca: /a.pem, mode: request}}\nclient_cert: required\nroutes: [{pool: web}]":   "no client has a certificate",
		"maintenance: {on: on, flag: /run/x}\nroutes: [{pool: web}]":                                                   "whatever flag and when say",
		"cross_origin: on\ncors: {origins: https://a.example}\nroutes: [{pool: web}]":                                  "cross_origin refuses what it changes",
		"routes: [{path: /x, redirect: /y, compress: on}, {pool: web}]":                                                "compress does nothing for a redirect",
		"routes: [{path: /x, respond: {status: 200}, cache: on}, {pool: web}]":                                         "cache does nothing for an answer from here",
		"routes: [{pool: web, mirror: web}]":                                                                           "the copies go to the pool that has the originals",
		"routes: [{path: /x, method: GTE, pool: web}, {pool: api}]":                                                    `did you mean "GET"?`,
		"routes: [{path: /x, respond: {status: 204, body: x}}, {pool: web}]":                                           "status 204 has no body",
		"routes: [{path: /a/, pool: web}, {path: /a/b/, pool: api}]":                                                   "route 2 is never reached: route 1 takes all below /a/ (move it up)",
		"routes: [{mount: /a, pool: web}, {path: \"=/a/b\", pool: api}]":                                               "route 2 is never reached: route 1 takes all below /a (move it up)",
		"routes: [{path: /a, pool: web, method: [GET, POST]}, {path: /a, method: HEAD, pool: api}]":                    "route 2 is never reached: route 1 has the same match",
		"routes: [{path: /a, pool: web, when: now.getHours() == 3}, {path: /a, when: now.getHours() == 3, pool: api}]": "route 2 is never reached",
		"routes: [{path: /x/, routes: [{path: /x/y, pool: web}, {path: /x/y, pool: api}]}, {pool: web}]":               "route 1: route 2 is never reached",
		"routes: [{path: /x?a=b, pool: web}]":                                                                          `write when: request.query["name"] == "value"`,
		"routes: [{path: /a/, internal: true, pool: web}, {path: /a/, pool: api}]":                                     "route 2 is never reached",
		"routes: [{pool: web}, {path: /x, internal: true, pool: api}]":                                                 "route 2 is never reached: route 1 takes everything",
	} {
		c := parse(t, site(text))
		if got := c.Warnings.Error(); !strings.Contains(got, want) {
			t.Errorf("%s\nwarns %q, want %q", text, got, want)
		}
	}
}

func TestNoWarningsOfSites(t *testing.T) {
	for _, text := range []string{
		"routes: [{path: /a, pool: web, method: GET}, {path: /a, method: POST, pool: api}]",
		"routes: [{path: /a, pool: web, when: now.getHours() == 3}, {path: /a, pool: api}]",
		"routes: [{path: /a/, pool: web}, {path: /ab/, pool: api}, {path: \"~^/a/\", pool: web}]",
		"routes: [{path: /a/, routes: [{path: /a/b, pool: web}]}, {path: /a/c, pool: api}]",
		"compress: on\nroutes: [{path: /x, redirect: /y}, {pool: web, mirror: api}]",
		"cross_origin: {trusted: https://a.example}\ncors: {origins: https://a.example}\nroutes: [{pool: web, mirror: api}]",
	} {
		for _, w := range parse(t, site(text)).Warnings {
			if !strings.Contains(w.Msg, "is not used by any route") {
				t.Errorf("%s\nwarns %v", text, w)
			}
		}
	}
}
