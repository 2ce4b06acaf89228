package gateway

import (
	"net/netip"
	"slices"
	"strings"

	"headgate/gateway/stats"
	"headgate/tls/certs"
)

// ech is what the world has to know to encrypt the names of hosts, or nil when
// Encrypted Client Hello is off. There is no record while its keys are not there.
func (g *Gateway) ech() *stats.ECH {
	gen := g.current.Load()
	if gen == nil || gen.certs == nil || gen.conf.TLS.ECH.PublicName == "" {
		return nil
	}
	e := &stats.ECH{PublicName: gen.conf.TLS.ECH.PublicName}
	list, ok := g.certs.ECHRecord()
	if !ok {
		return e
	}
	alpn := []string{"h2"}
	if gen.h3 {
		alpn = []string{"h3", "h2"}
	}
	for _, host := range gen.publicHosts() {
		if gen.httpsPort != "" { // RFC 9460 section 2.3
			host = "_" + gen.httpsPort + "._https." + host
		}
		e.Records = append(e.Records, certs.HTTPSRecord(host, alpn, list))
	}
	return e
}

// publicHosts are the names of sites that DNS may know, but for the public name,
// which is no secret.
func (g *generation) publicHosts() []string {
	var out []string
	for _, s := range g.conf.Sites {
		for _, h := range s.Hosts {
			_, err := netip.ParseAddr(strings.Trim(h, "[]"))
			if err != nil && !sameHost(h, g.conf.TLS.ECH.PublicName) && !slices.Contains(out, h) {
				out = append(out, h)
			}
		}
	}
	return out
}
