package config_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"headgate/gateway/config"
)

// TestWarningsOfStickyCookies: browsers drop a __Host- or __Secure- cookie that
// came by plain http, and the client would never stick.
func TestWarningsOfStickyCookies(t *testing.T) {
	const refused = `headgate.yaml:2:71: pool "app": browsers take a cookie "%s" over https only, and site 1 is served over http (choose a name without that prefix, or write http: redirect at the site)`
	for _, row := range []struct{ name, listen, cookie, site, want string }{
		{"host over http", `http: ":80"`, "__Host-a", "http: serve", fmt.Sprintf(refused, "__Host-a")},
		{"secure over http", `http: ":80", https: ":443"`, "__secure-a", "http: serve", fmt.Sprintf(refused, "__secure-a")},
		{"redirected", `http: ":80", https: ":443"`, "__Host-a", "http: redirect", ""},
		{"no plain http", `https: ":443"`, "__Host-a", "http: serve", ""},
		{"behind a proxy", `http: ":80", trusted_proxies: [10.0.0.0/8]`, "__Host-a", "http: serve", ""},
		{"a plain name", `http: ":80"`, "a", "http: serve", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := parse(t, fmt.Sprintf(`listen: {%s}
pools: {app: {members: ["127.0.0.1:3031"], balance: {sticky: {cookie: "%s"}}}}
tls: {issuer: none, certificates: [{cert: /a.pem, key: /a.key}]}
sites: [{%s, routes: [{pool: app}]}]
`, row.listen, row.cookie, row.site))
			checkWarnings(t, c, row.want)
		})
	}
}

// checkWarnings compares the warnings that are about pools.
func checkWarnings(t *testing.T, c *config.Config, want string) {
	t.Helper()
	var got config.Errors
	for _, w := range c.Warnings {
		if w.Line == 2 {
			got = append(got, w)
		}
	}
	text := ""
	if len(got) > 0 {
		text = got.Error()
	}
	if diff := cmp.Diff(want, text); diff != "" {
		t.Errorf("warnings differ (-want +got):\n%s", diff)
	}
}

// TestWarningsOfStatsOfNames: one address of statistics would be read for each
// address of a name.
func TestWarningsOfStatsOfNames(t *testing.T) {
	for stats, want := range map[string]string{
		"127.0.0.1:9191": `headgate.yaml:2:45: pool "app": member 1 is a name, and "127.0.0.1:9191" would be the statistics of each of its addresses (write a port alone, such as ":9191", or the one address of the member)`,
		":9191":          "",
	} {
		c := parse(t, fmt.Sprintf(`listen: {http: ":80"}
pools: {app: {members: ["app:3031"], stats: "%s"}}
sites: [{routes: [{pool: app}]}]
`, stats))
		checkWarnings(t, c, want)
	}
}
