package certs

import (
	"fmt"
	"slices"
	"strings"
)

// Site is a set of hosts with one wish for its certificates. Hosts are exact
// names, wildcards such as *.example.com, IP addresses, and "" for every name
// that no other site lists.
type Site struct {
	Hosts   []string
	Options SiteOptions
}

// IssuersFor says who may make the certificate of a host of a site, in order,
// when no file covers it: "internal", "acme", or names of Issuers; none means
// that nobody does. Host is a name, a wildcard such as *.example.com, an IP
// address, or "" for whatever name a client asks for. A host that no issuer at
// hand can serve is an error that starts with the key "issuer: ".
func (o Options) IssuersFor(site SiteOptions, host string) ([]string, error) {
	list := site.Issuer
	if len(list) == 0 {
		list = o.Issuer
	}
	if len(list) == 0 {
		list = []string{issuerAuto}
	}
	var out []string
	for _, name := range list {
		names, err := o.expand(name, cleanName(host))
		if err != nil {
			return nil, err
		}
		for _, n := range names {
			if !slices.Contains(out, n) {
				out = append(out, n)
			}
		}
	}
	return out, nil
}

// expand says what one word of a list of issuers means for a clean name.
func (o Options) expand(issuer, host string) ([]string, error) {
	switch issuer {
	case string(KindNone):
		return nil, nil
	case string(KindInternal):
		return []string{issuer}, nil
	case issuerAuto:
		if isLocal(host) || host == "" && o.OnDemand.Ask == "" {
			return []string{string(KindInternal)}, nil
		}
		if host != "" && !strings.Contains(strings.TrimPrefix(host, "*."), ".") {
			return nil, fmt.Errorf("issuer: no public authority certifies %s: list a certificate for it, or write internal", host)
		}
		names := []string{string(KindACME)}
		for _, n := range o.Issuers {
			names = append(names, n.Name)
		}
		return names, o.checkWildcard(names, host)
	}
	return []string{issuer}, o.checkWildcard([]string{issuer}, host)
}

// checkWildcard refuses a wildcard that no authority of names can prove.
func (o Options) checkWildcard(names []string, host string) error {
	if !strings.HasPrefix(host, "*.") || o.OnDemand.Ask != "" {
		return nil
	}
	for _, n := range names {
		if a, ok := o.authority(n); !ok || a.provesWildcards() {
			return nil
		}
	}
	return fmt.Errorf("issuer: %s needs the challenge dns-01, which no issuer has: set tls.acme.challenges, list a certificate for it, or set tls.on_demand", host)
}

// authority returns the settings of an ACME issuer.
func (o Options) authority(name string) (NamedACME, bool) {
	if name == string(KindACME) {
		return NamedACME{Name: name, Email: o.Email, ACMEOptions: o.ACME}, true
	}
	for _, n := range o.Issuers {
		if n.Name == name {
			if n.Email == "" {
				n.Email = o.Email
			}
			return n, true
		}
	}
	return NamedACME{}, false
}

// provesWildcards reports whether some challenge of the authority proves control
// of a whole domain.
func (a ACMEOptions) provesWildcards() bool {
	return slices.ContainsFunc(a.Challenges, func(c ChallengeOptions) bool { return strings.HasPrefix(c.Type, "dns-") })
}
