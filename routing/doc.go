// Package routing decides which route answers a request: the canonical path, the
// normal form of a host, a table of sites and routes, and templates for the paths
// and URLs that a route leads to. It is pure: no I/O, no clock, nothing of ours
// imported.
//
//	path, err := routing.CanonicalPath("/a/%2e%2e/b//c") // "/b/c"
//	host, port, err := routing.NormalizeHost("Shop.Example.com.:8443")
//	table, err := routing.NewTable(sites)
//	m := table.Lookup(routing.Request{Method: "GET", Host: host, Path: path}, holds)
//	if m.Found == routing.SiteRoute {
//		serve(m.Route, m.ScriptName, m.PathInfo)
//	}
//
// Paths follow RFC 3986 with the liberties of nginx (merged slashes, %2F is a
// slash), so that what a rule matches is what the worker sees. Hosts follow RFC
// 3986, 3.2.2, without the parts that no browser sends.
//
// Routes are tried in their order, those nested in one before it, and the first
// that matches answers. A table does not try them all: it finds those whose exact
// path, prefix, or plain beginning of a regular expression ("~^/old/...") the path
// has. A regular expression that does not begin with ^ and plain text is tried for
// every path that comes so far.
//
// A Template makes a Location, a path or a query out of what a request brings. What
// it brings stays text: it cannot lead to another host, climb out of a folder, add a
// value to a query, or end a line.
//
// Limits: conditions on anything but host, path and method are the caller's, who is
// asked whether they hold. Routes are nested at most 8 deep, and a site has at most
// 100,000 of them; a pattern and a template have at most 4096 bytes.
package routing
