package config

import (
	"headgate/gateway/files"
	"headgate/tls/certs"
	"headgate/upstream"
)

// Site is a set of host names with its routes.
type Site struct {
	// Names and *.names (one label) of the site; none: every host that no other
	// site has.
	Hosts []string `yaml:"hosts"`

	// What a plain http request gets: redirect (308 to https; the default with
	// an https listener and an issuer) or serve.
	HTTP string `yaml:"http"`

	TLS    certs.SiteOptions `yaml:"tls"`    // where it differs from the tls of all, and the certificates of clients
	Limits RouteLimits       `yaml:"limits"` // where they differ from the limits of the listeners

	Filters Filters `yaml:",inline"` // of all its routes

	Routes []Route `yaml:"routes"` // the first that matches answers
}

// What a site does with plain http.
const (
	HTTPRedirect = "redirect"
	HTTPServe    = "serve"
)

// Route is a match, filters, and what to do with what matches: exactly one of pool,
// files, redirect, respond and split, or files and a pool or split for what is not
// among them. One that has only rewrite, or routes of its own, needs none. One within
// another that has none does what that one does, if it has a pool, a split or files.
type Route struct {
	// A prefix that ends at a segment boundary (/static/), an exact path
	// ("=/favicon.ico") or a regular expression ("~^/u/[0-9]+$"); absent: all.
	Path string `yaml:"path"`

	// A prefix that becomes SCRIPT_NAME; PATH_INFO is what follows.
	Mount string `yaml:"mount"`

	Method   []string `yaml:"method"`   // one or a list; GET stands for HEAD too; any by default
	When     string   `yaml:"when"`     // a condition in CEL; true by default
	Internal bool     `yaml:"internal"` // true: not for clients, only for X-Accel-Redirect and errors; also of the routes within

	// Routes within this one, which are tried first: their paths are whole, and
	// below this one's. What none of them matches is this route's own, or, when it
	// has nothing to do for itself, goes on to those behind it.
	Routes []Route `yaml:"routes"`

	Pool     string         `yaml:"pool"`     // name of the pool that answers
	Files    *files.Options `yaml:"files"`    // files of a directory; the matched prefix is not part of their names
	Redirect *Redirect      `yaml:"redirect"` // an answer that sends the client elsewhere
	Respond  *Respond       `yaml:"respond"`  // an answer from here
	Split    *Split         `yaml:"split"`    // two pools or more that share the requests by weight
	Mirror   *Mirror        `yaml:"mirror"`   // another pool that gets copies of what the pool gets
	Rewrite  *Rewrite       `yaml:"rewrite"`  // another path or query for the action

	// Directories that the app may name by X-Sendfile (or X-Lighttpd-Send-File):
	// absolute paths; none by default.
	Sendfile []string `yaml:"sendfile"`

	Filters Filters `yaml:",inline"` // where they differ from those of the site, or of the route around this one

	// spool (default: the worker is called when the body is complete) or stream
	// (at once, if its length is known).
	RequestBody string `yaml:"request_body"`

	// Who comes first when requests must wait for a slot: high, normal (default) or
	// low.
	Priority upstream.Priority `yaml:"priority"`

	// When a request may run twice: idempotent (default: its method says so) or
	// safe (always). An app says the latter of single addresses by the header
	// X-Headgate-Retry: safe.
	Retry string `yaml:"retry"`

	Limits RouteLimits `yaml:"limits"` // where they differ from the limits of the site
}

// When a request of a route may run twice.
const (
	RetryIdempotent = "idempotent"
	RetrySafe       = "safe"
)

// What a route does with a request body.
const (
	BodySpool  = "spool"
	BodyStream = "stream"
)

// Redirect sends the client elsewhere.
type Redirect struct {
	// A path or a URL. $1 and $name are what the regular expression of the route has
	// captured, $host, $path, $query and $uri (path and query, as sent) of the request;
	// $$ is a dollar. The query is kept unless To has one of its own or $uri.
	To     string `yaml:"to,short"`
	Status int    `yaml:"status"` // 301, 302, 303, 307 or 308 (default)
}

// Respond is an answer that needs no worker.
type Respond struct {
	Status int    `yaml:"status"` // 200 by default
	Body   string `yaml:"body"`
	File   string `yaml:"file"` // whose content is the body, in place of body
	Type   string `yaml:"type"` // Content-Type; "text/plain; charset=utf-8" by default, of a file by its name
}
