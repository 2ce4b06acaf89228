// Package routing decides which route answers a request: the canonical path, the
// normal form of a host, and a table of sites and routes. It is pure: no I/O, no
// clock, nothing of ours imported.
//
//	path, err := routing.CanonicalPath("/a/%2e%2e/b//c") // "/b/c"
//	host, port, err := routing.NormalizeHost("Shop.Example.com.:8443")
//	table, err := routing.NewTable(sites)
//	m := table.Lookup(routing.Request{Host: host, Path: path})
//	if m.Found == routing.SiteRoute {
//		serve(m.Route, m.ScriptName, m.PathInfo)
//	}
//
// Paths follow RFC 3986 with the liberties of nginx (merged slashes, %2F is a
// slash), so that what a rule matches is what the worker sees. Hosts follow RFC
// 3986, 3.2.2, without the parts that no browser sends.
//
// Limits: routes match by path only; conditions on methods and header fields are
// not built.
package routing
