package gateway

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"headgate/gateway/config"
	"headgate/routing"
	"headgate/tls/certs"
)

// tlsSites lists the names that need a certificate, by site; "" stands for any
// name that no site lists. Its order is that of the sites.
func tlsSites(c *config.Config) []certs.Site {
	var out []certs.Site
	for _, s := range c.Sites {
		hosts := s.Hosts
		if len(hosts) == 0 {
			hosts = []string{""}
		}
		out = append(out, certs.Site{Hosts: hosts, Options: s.TLS})
	}
	return withPublicName(c, out)
}

// withPublicName adds the name that ECH shows to the network: clients that have
// an old key, or none, are answered with its certificate. Where a site answers
// for it without listing it, it is that site's, so that one policy holds for it.
func withPublicName(c *config.Config, sites []certs.Site) []certs.Site {
	name := c.TLS.ECH.PublicName
	if name == "" {
		return sites
	}
	i := siteOf(c, name)
	switch {
	case i < 0:
		return append(sites, certs.Site{Hosts: []string{name}})
	case !slices.ContainsFunc(sites[i].Hosts, func(h string) bool { return sameHost(h, name) }):
		sites[i].Hosts = append(slices.Clone(sites[i].Hosts), name)
	}
	return sites
}

// siteOf returns which site answers for a host, -1 for none.
func siteOf(c *config.Config, host string) int {
	var sites []routing.Site[int, struct{}]
	for i, s := range c.Sites {
		sites = append(sites, routing.Site[int, struct{}]{Hosts: s.Hosts, Value: i})
	}
	table, err := routing.NewTable(sites)
	if err != nil {
		return -1
	}
	name, _, err := routing.NormalizeHost(host)
	if err != nil {
		return -1
	}
	m := table.Lookup(routing.Request{Method: "GET", Host: name, Path: "/"}, nil)
	if m.Found == routing.NoSite {
		return -1
	}
	return m.Site
}

func sameHost(a, b string) bool {
	a, _, errA := routing.NormalizeHost(a)
	b, _, errB := routing.NormalizeHost(b)
	return errA == nil && errB == nil && a == b
}

// tlsError says of what building certificates found where in the file it is: a
// site by its name, all else below tls.
func tlsError(c *config.Config, err error) error {
	var out []error
	for _, err := range flatten(err) {
		var i int
		if n, scanErr := fmt.Sscanf(err.Error(), "sites[%d].", &i); n == 1 && scanErr == nil && i >= 0 && i < len(c.Sites) {
			_, rest, _ := strings.Cut(err.Error(), "].")
			out = append(out, namedError{fmt.Sprintf("site %s: tls.%s", siteName(c.Sites[i]), strings.TrimPrefix(rest, "tls.")), err})
			continue
		}
		out = append(out, fmt.Errorf("tls: %w", err))
	}
	return errors.Join(out...)
}

// namedError is an error in other words.
type namedError struct {
	text string
	err  error
}

// Error implements error.
func (e namedError) Error() string { return e.text }

// Unwrap returns the error in its own words.
func (e namedError) Unwrap() error { return e.err }

// flatten takes joined errors apart.
func flatten(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var out []error
	for _, err := range joined.Unwrap() {
		out = append(out, flatten(err)...)
	}
	return out
}
