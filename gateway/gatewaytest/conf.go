package gatewaytest

import (
	"fmt"
	"strings"
)

// Conf is the configuration of one site in front of one pool, the common case.
// Its strings are the inside of a YAML flow mapping, such as
// "body: 1KiB, headers: 10"; empty ones are left out.
type Conf struct {
	Members []string // of the pool "app"
	Pool    string   // more keys of the pool
	Listen  string   // more keys of listen
	Limits  string
	Site    string // more keys of the site
	Routes  string // the inside of a sequence; "": everything goes to the pool
	More    string // whole lines of YAML
}

// String returns the configuration as YAML.
func (c Conf) String() string {
	var b strings.Builder
	http, https := `http: ["127.0.0.1:0"], `, `https: ["127.0.0.1:0"], `
	if strings.Contains(c.Listen, "http:") {
		http = ""
	}
	if strings.Contains(c.Listen, "https:") {
		https = ""
	}
	fmt.Fprintf(&b, "listen: {%s%s%s}\n", http, https, c.Listen)
	if c.Limits != "" {
		fmt.Fprintf(&b, "limits: {%s}\n", c.Limits)
	}
	if len(c.Members) > 0 {
		var members []string
		for _, m := range c.Members {
			members = append(members, fmt.Sprintf("%q", m))
		}
		fmt.Fprintf(&b, "pools: {app: {members: [%s], %s}}\n", strings.Join(members, ", "), c.Pool)
	}
	routes, site := c.Routes, c.Site
	if routes == "" {
		routes = "{pool: app}"
	}
	if !strings.Contains(site, "http:") {
		site = "http: serve, " + site
	}
	fmt.Fprintf(&b, "sites:\n- {%s, routes: [%s]}\n%s\n", strings.TrimSuffix(site, ", "), routes, c.More)
	return b.String()
}
