package config

import "slices"

// CertRequired is the ClientCert of filters that want one.
const CertRequired = "required"

// Uses reports whether requests of the route, or of one nested in it, go to a pool.
func (t Route) Uses(pool string) bool {
	return t.Pool == pool || t.Split != nil && slices.ContainsFunc(t.Split.Pools, func(s Share) bool { return s.Pool == pool }) ||
		slices.ContainsFunc(t.Routes, func(in Route) bool { return in.Uses(pool) })
}
