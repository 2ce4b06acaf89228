package config

import (
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
	Routes []Route           `yaml:"routes"` // the first that matches answers
}

// What a site does with plain http.
const (
	HTTPRedirect = "redirect"
	HTTPServe    = "serve"
)

// Route is a match and what to do with what matches: exactly one of pool,
// redirect and respond.
type Route struct {
	// A prefix that ends at a segment boundary (/static/), an exact path
	// ("=/favicon.ico") or a regular expression ("~^/u/[0-9]+$"); absent: all.
	Path string `yaml:"path"`

	// A prefix that becomes SCRIPT_NAME; PATH_INFO is what follows.
	Mount string `yaml:"mount"`

	Pool     string    `yaml:"pool"`     // name of the pool that answers
	Redirect *Redirect `yaml:"redirect"` // an answer that sends the client elsewhere
	Respond  *Respond  `yaml:"respond"`  // an answer from here

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
	To     string `yaml:"to"`     // a path or a URL
	Status int    `yaml:"status"` // 301, 302, 303, 307 or 308 (default)
}

// Respond is an answer that needs no worker.
type Respond struct {
	Status int    `yaml:"status"` // 200 by default
	Body   string `yaml:"body"`
	Type   string `yaml:"type"` // Content-Type; "text/plain; charset=utf-8" by default
}
