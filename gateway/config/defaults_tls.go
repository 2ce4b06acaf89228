package config

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"headgate/tls/certs"
)

func setTLSDefaults(o *certs.Options) {
	if len(o.Issuer) == 0 {
		o.Issuer = []string{"auto"}
	}
	setDefault(&o.Storage, certs.DefaultStorage())
	setDefault(&o.MinVersion, "1.2")
	setACMEDefaults(&o.ACME)
	o.Issuers = slices.Clone(o.Issuers)
	for i := range o.Issuers {
		setACMEDefaults(&o.Issuers[i].ACMEOptions)
	}
	if o.OnDemand.Ask != "" {
		setDefault(&o.OnDemand.Rate, 100)
	}
}

func setACMEDefaults(a *certs.ACMEOptions) {
	setDefault(&a.Directory, certs.DefaultDirectory)
	if len(a.Challenges) == 0 {
		a.Challenges = []certs.ChallengeOptions{{Type: "http-01"}, {Type: "tls-alpn-01"}}
	}
	if len(a.Keys) == 0 {
		a.Keys = []string{"p256"}
	}
	a.Challenges = slices.Clone(a.Challenges)
	for i := range a.Challenges {
		c := &a.Challenges[i]
		c.Resolvers = slices.Clone(c.Resolvers)
		for j, r := range c.Resolvers {
			c.Resolvers[j] = withPort53(r)
		}
		if c.Type == "dns-01" {
			setDNSDefaults(c)
		}
	}
}

func setDNSDefaults(c *certs.ChallengeOptions) {
	setDefault(&c.PropagationTimeout, 2*time.Minute)
	setDefault(&c.TTL, time.Minute)
	if c.RFC2136.Server != "" {
		setDefault(&c.RFC2136.Algorithm, "hmac-sha256")
	}
}

// withPort53 adds the port of name servers to a host or an address without one.
func withPort53(s string) string {
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return netip.AddrPortFrom(a, 53).String()
	}
	if strings.Contains(s, ":") || hostFault(s) != "" {
		return s
	}
	return s + ":53"
}

// isNone reports whether a list of issuers makes no certificate.
func isNone(issuers []string) bool { return slices.Equal(issuers, []string{"none"}) }
