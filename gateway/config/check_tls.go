package config

import (
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"headgate/tls/certs"
)

// checkTLS checks the tls section, and what sites say about theirs.
func (c *Config) checkTLS(r *report) {
	root := path{}.key("tls")
	c.checkIssuerNames(r, root.key("issuer"), root.key("issuer"), c.TLS.Issuer)
	for i, s := range c.Sites {
		p := path{}.key("sites").item(i)
		c.checkIssuerNames(r, p.keys("tls.issuer"), p, s.TLS.Issuer)
		leaf(r, p.key("tls"), s.TLS)
		c.checkClientAuth(r, p, s)
	}
	leaf(r, root, c.TLS)
	c.checkAsk(r, root.keys("on_demand.ask"))
	if len(c.Listen.HTTPS) == 0 {
		if len(c.TLS.Certificates) > 0 {
			r.warn(root.key("certificates"), path{}, "tls.certificates are never shown: nothing listens for https", "set listen.https")
		}
		return
	}
	c.checkIssuersUsed(r)
	c.checkIssuer(r)
	c.checkReached(r)
}

// checkIssuerNames reports names that are no issuer, once: the leaf's word on
// them, which knows no similar names, is muted.
func (c *Config) checkIssuerNames(r *report, p, about path, list []string) {
	words := []string{"auto", "acme", "internal", "none"}
	for _, n := range c.TLS.Issuers {
		words = append(words, n.Name)
	}
	for i, name := range list {
		if !c.TLS.Knows(name) {
			hint := didYouMean(name, words)
			if hint == "" {
				hint = "write auto, acme, internal, none, or a name of tls.issuers"
			}
			r.check(p.item(i), about, fmt.Sprintf("%s is not an issuer", quoteShort(name)), hint)
			r.fail(p.item(i))
			continue
		}
		if j := slices.Index(list, "internal"); j >= 0 && j < i {
			r.warn(p.item(i), about, fmt.Sprintf("%s is never asked: internal comes before it, and always has success", name), "move internal to the end")
		}
	}
}

func (c *Config) checkClientAuth(r *report, p path, s Site) {
	at := p.keys("tls.client_auth")
	switch {
	case s.TLS.ClientAuth.CA == "":
	case len(c.Listen.HTTPS) == 0:
		r.check(at, p, "client_auth asks nobody: nothing listens for https", "set listen.https")
	case s.TLS.ClientAuth.Mode == "require" && s.HTTP == HTTPServe && len(c.Listen.HTTP) > 0:
		r.check(at, p, "client_auth requires a certificate, and http: serve lets clients in without one", "write http: redirect, or mode: request")
	}
}

// poolToAsk is the pool of a pool:// URL, or "".
func poolToAsk(ask string) string {
	if u, err := url.Parse(ask); err == nil && u.Scheme == "pool" {
		return u.Host
	}
	return ""
}

func (c *Config) checkAsk(r *report, p path) {
	c.checkPoolOf(r, p, p, poolToAsk(c.TLS.OnDemand.Ask))
	switch ask := c.TLS.OnDemand.Ask; {
	case ask == "":
		return
	case ask == certs.AskSubscriptions && len(c.Subscriptions.Listen) == 0:
		r.check(p, path{}.keys("tls.on_demand"), "nobody can announce a name", "set subscriptions.listen: [\"udp:127.0.0.1:2626\"]")
	case c.Pools[poolToAsk(ask)].Subscriptions:
		r.check(p, path{}.keys("tls.on_demand"), fmt.Sprintf("pool %q has an app for each name, and none that can be asked", poolToAsk(ask)), "write ask: subscriptions for the names that were announced")
	}
	open, asked := false, false
	for _, s := range c.Sites {
		for _, host := range hostsOf(s) {
			if host == "" || strings.HasPrefix(host, "*.") {
				open = true
				asked = asked || slices.ContainsFunc(c.issuers(s, host), isACME)
			}
		}
	}
	switch {
	case !open:
		r.warn(p, path{}.keys("tls.on_demand"), "nothing is obtained on demand: every site lists its hosts one by one", "add a site without hosts, or with *.example.com")
	case !asked:
		r.check(p, path{}.keys("tls.on_demand"), "no ACME authority may be asked by a site without hosts or with a wildcard", "write tls.issuer: auto, or remove on_demand")
	}
}

// hostsOf are the hosts of a site; "" is every other host.
func hostsOf(s Site) []string {
	if len(s.Hosts) == 0 {
		return []string{""}
	}
	return s.Hosts
}

// issuers is who may make the certificate of a host, nobody when that is an
// error.
func (c *Config) issuers(s Site, host string) []string {
	if hostFault(host) != "" && host != "" {
		return nil
	}
	names, _ := c.TLS.IssuersFor(s.TLS, host)
	return names
}

func isACME(issuer string) bool { return issuer != "internal" }

func (c *Config) checkIssuersUsed(r *report) {
	used := map[string]bool{}
	for _, s := range c.Sites {
		for _, name := range c.TLS.IssuersOf(s.TLS) {
			used[name] = true
		}
	}
	for i, n := range c.TLS.Issuers {
		if !used["auto"] && !used[n.Name] {
			p := path{}.keys("tls.issuers").item(i)
			r.warn(p, p, fmt.Sprintf("no site uses %s", quoteShort(n.Name)), "name it in tls.issuer, or remove it")
		}
	}
}

// checkIssuer finds names that nobody will make a certificate for. Which names
// the listed certificates cover is only known when they are read.
func (c *Config) checkIssuer(r *report) {
	if len(c.TLS.Certificates) > 0 {
		return
	}
	nobody := len(c.Sites) > 0 // has a certificate
	for i, s := range c.Sites {
		p := path{}.key("sites").item(i)
		if isNone(c.TLS.IssuersOf(s.TLS)) {
			if s.HTTP == HTTPRedirect {
				r.check(p.key("http"), p, "http: redirect leads to https, where nobody makes a certificate for the site", "list tls.certificates, write an issuer, or write http: serve")
			}
			continue
		}
		nobody = false
		if slices.ContainsFunc(c.TLS.IssuersOf(s.TLS), func(n string) bool { return !c.TLS.Knows(n) }) {
			continue // reported where it is written
		}
		for j, host := range hostsOf(s) {
			_, err := c.TLS.IssuersFor(s.TLS, host)
			if err == nil || hostFault(host) != "" && host != "" {
				continue
			}
			msg, hint := splitCure(strings.TrimPrefix(err.Error(), "issuer: "))
			r.check(p.key("hosts").item(j), p, msg, strings.Replace(hint, "internal", "tls.issuer: internal", 1))
		}
	}
	if nobody {
		r.check(path{}.keys("listen.https"), path{}, "listen.https has no certificate to show: tls.issuer is none", "list tls.certificates, or write issuer: internal")
	}
}

// checkReached warns of ACME authorities that cannot come to where they prove
// control of a name, and of names that a known one does not certify.
func (c *Config) checkReached(r *report) {
	where := map[string]path{"acme": path{}.keys("tls.acme")}
	authorities := map[string]certs.ACMEOptions{"acme": c.TLS.ACME}
	for i, n := range c.TLS.Issuers {
		where[n.Name], authorities[n.Name] = path{}.keys("tls.issuers").item(i), n.ACMEOptions
	}
	asked := map[string]bool{}
	for i, s := range c.Sites {
		for j, host := range hostsOf(s) {
			names := c.issuers(s, host)
			for _, n := range names {
				asked[n] = true
			}
			if len(names) == 1 {
				p := path{}.key("sites").item(i)
				c.checkPublic(r, p.key("hosts").item(j), p, host, authorities[names[0]])
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(asked)) {
		if a, ok := authorities[name]; ok {
			p := where[name].key("challenges")
			msg, hint := c.unreached(a.Challenges)
			if msg != "" {
				r.warn(p, p, msg, hint)
			}
		}
	}
}

// checkPublic warns of a host that Let's Encrypt is asked for and refuses.
func (c *Config) checkPublic(r *report, at, about path, host string, a certs.ACMEOptions) {
	if u, err := url.Parse(a.Directory); err != nil || !strings.HasSuffix(u.Hostname(), ".letsencrypt.org") {
		return
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	_, err := netip.ParseAddr(strings.Trim(name, "[]"))
	switch {
	case err == nil && a.Profile != "shortlived":
		r.warn(at, about, fmt.Sprintf("Let's Encrypt certifies the address %s with one profile only", host), "set tls.acme.profile to shortlived")
	case err != nil && name != "" && (!strings.Contains(name, ".") || strings.HasSuffix(name, ".localhost") || strings.HasSuffix(name, ".internal")):
		r.warn(at, about, fmt.Sprintf("Let's Encrypt does not certify %s", host), "write tls.issuer: internal, or set tls.acme.directory to your own authority")
	}
}

// unreached says why none of the challenges can be answered here, or "". The
// ports are those of the authority, whatever this machine listens on.
func (c *Config) unreached(list []certs.ChallengeOptions) (msg, hint string) {
	var http, alpn bool
	for _, ch := range list {
		switch ch.Type {
		case "http-01":
			http = true
		case "tls-alpn-01":
			alpn = true
		default:
			return "", "" // by DNS, or already an error
		}
	}
	if http && hasPort(c.Listen.HTTP, "80") || alpn && hasPort(c.Listen.HTTPS, "443") {
		return "", ""
	}
	switch {
	case http && alpn:
		return "the authority comes to port 80 (http-01) or 443 (tls-alpn-01), and nothing listens on either", "listen on one of them, have it forwarded here, or write dns-01"
	case http:
		return "the authority comes to port 80 for http-01, and nothing listens there for http", "set listen.http: \":80\", have the port forwarded here, or write another challenge"
	}
	return "the authority comes to port 443 for tls-alpn-01, and nothing listens there for https", "set listen.https: \":443\", have the port forwarded here, or write another challenge"
}

func hasPort(addresses []string, port string) bool {
	return slices.ContainsFunc(addresses, func(a string) bool { return strings.HasSuffix(a, ":"+port) })
}
