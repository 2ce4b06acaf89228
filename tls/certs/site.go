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
// address, or "" for whatever name a client asks for. Issuers that cannot serve
// the host are left out; when none is left, that is an error that starts with the
// key "issuer: ".
//
// For a wildcard they are those that can prove it or, with OnDemand, all that can
// serve the names below it one by one.
func (o Options) IssuersFor(site SiteOptions, host string) ([]string, error) {
	var out []string
	var first error
	for _, name := range o.IssuersOf(site) {
		names, err := o.expand(name, cleanName(host))
		if first == nil {
			first = err
		}
		for _, n := range names {
			if !slices.Contains(out, n) {
				out = append(out, n)
			}
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	return nil, first
}

// IssuersOf is the list of issuers that holds for a site, as it is written.
func (o Options) IssuersOf(site SiteOptions) []string {
	switch {
	case len(site.Issuer) > 0:
		return site.Issuer
	case len(o.Issuer) > 0:
		return o.Issuer
	}
	return []string{issuerAuto}
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
		return o.able(names, host)
	}
	if !o.Knows(issuer) {
		return nil, fmt.Errorf("issuer: %s is not an issuer: write auto, acme, internal, none, or a name of tls.issuers", quote(issuer))
	}
	return o.able([]string{issuer}, host)
}

// able leaves those of the ACME authorities that can serve host.
func (o Options) able(names []string, host string) ([]string, error) {
	switch {
	case host == "" && o.OnDemand.Ask == "":
		return nil, fmt.Errorf("issuer: nobody says which names beyond the listed ones may have a certificate: set tls.on_demand, or write internal")
	case !strings.HasPrefix(host, "*."):
		return names, nil
	}
	provers := slices.DeleteFunc(slices.Clone(names), func(n string) bool {
		a, ok := o.authority(n)
		return ok && !a.provesWildcards()
	})
	switch {
	case len(provers) > 0:
		return provers, nil
	case o.OnDemand.Ask != "":
		return names, nil
	}
	return nil, fmt.Errorf("issuer: %s needs the challenge dns-01, which no issuer at hand has: set it in tls.acme.challenges or in those of an issuer, list a certificate for it, or set tls.on_demand", host)
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
