package config

import (
	"time"

	"headgate/gateway/cache"
	"headgate/gateway/filter/access"
	"headgate/gateway/filter/compress"
	"headgate/gateway/filter/headers"
	"headgate/gateway/filter/limit"
	"headgate/gateway/notation"
)

// Filters are what happens to requests on their way to the action of their route,
// and to answers on their way back. What a site says holds for its routes, what a
// route says for those nested in it; a key that says something else, or off, counts
// more than all of the same key further out. SetDefaults writes into each route what
// holds there, of which Active is what does something.
type Filters struct {
	Access      *access.Options      `yaml:"access"`        // the networks of clients that may come; off: all
	RateLimit   []limit.Rate         `yaml:"rate_limit"`    // how often requests of one key may come, one rate or a list; off: no limit
	InFlight    []limit.InFlight     `yaml:"in_flight"`     // how many requests of one key run at once, one limit or a list; off: no limit
	BasicAuth   *access.BasicAuth    `yaml:"basic_auth"`    // name and password are asked for; off: they are not
	ForwardAuth *ForwardAuth         `yaml:"forward_auth"`  // a pool or a URL is asked whether a request may pass; off: nobody is
	ClientCert  string               `yaml:"client_cert"`   // required: only with a certificate that the site's tls.client_auth has verified; off (default)
	CrossOrigin *access.CrossOrigin  `yaml:"cross_origin"`  // changes by pages of other origins are refused; off (default)
	BodyTypes   []string             `yaml:"body_types"`    // media types of request bodies that are taken, also as image/*; others get 415; off (default): all
	Headers     *headers.Options     `yaml:"headers"`       // fields that are set, added and removed; off: none
	Security    string               `yaml:"security"`      // fields that make browsers careful: strict, basic or off (default)
	CORS        *headers.CORS        `yaml:"cors"`          // pages of other origins that may read answers; off: none
	Timing      notation.Switch      `yaml:"server_timing"` // on: Server-Timing tells how long the queue and the app took; off (default)
	Compress    *compress.Options    `yaml:"compress"`      // answers are compressed: on, off (default), or what and how
	Cache       *cache.Options       `yaml:"cache"`         // answers are kept: on, off (default), or what and how
	Bandwidth   *limit.Bandwidth     `yaml:"bandwidth"`     // how fast one answer is sent; off (default): as fast as it can be
	Errors      map[string]ErrorPage `yaml:"errors"`        // pages by status, such as 404, or 4xx and 5xx for the rest; off: none
	Maintenance *Maintenance         `yaml:"maintenance"`   // 503 to all but a few: on, off (default), or when and for whom
}

// Split shares requests between pools, for canaries: a client that was given to one
// of them stays there, by its cookie.
type Split struct {
	Pools  []Share `yaml:"pools"`  // two or more
	Cookie string  `yaml:"cookie"` // its name (headgate_split)
}

// Share is one pool of a Split.
type Share struct {
	Pool   string `yaml:"pool,short"` // its name
	Weight int    `yaml:"weight"`     // its share in proportion to the others (1); off, below 0 in Go: only the clients that have its cookie
}

// Mirror sends a copy of requests to another pool and throws its answers away. It
// never makes the original wait: when too many are under way, there is no copy.
type Mirror struct {
	Pool    string `yaml:"pool,short"` // that gets the copies
	Percent int    `yaml:"percent"`    // of the requests, 1 to 100 (100)
}

// Rewrite changes the path and the query that the action sees. $1 and $name are what
// the regular expression of the route has captured, $path the path and $query the
// query. Without an action beside it, the routes are gone through again.
type Rewrite struct {
	Path  string `yaml:"path,short"` // begins with a slash; that of the request by default
	Query string `yaml:"query"`      // without the ?; that of the request by default; off: none
}

// ForwardAuth asks a pool or a URL whether a request may pass: with the fields of
// the request, X-Forwarded-Method, -Uri, -Host, -Proto and -For, and no body. 2xx is
// yes; any other answer goes to the client.
type ForwardAuth struct {
	On      notation.Switch `yaml:"on,short"` // on (default where forward_auth is written); off: nobody is asked
	Pool    string          `yaml:"pool"`     // that is asked
	Path    string          `yaml:"path"`     // what the pool is asked for (/)
	URL     string          `yaml:"url"`      // that is asked in place of a pool, http or https
	Headers []string        `yaml:"headers"`  // fields of its answer that the app gets, one or a list; a client cannot send them
	Timeout time.Duration   `yaml:"timeout"`  // for its answer (5s); without one the request is refused
}

// ErrorPage is what a client sees in place of an error: exactly one of Path, File,
// Template and Pool. The status stays.
type ErrorPage struct {
	Path     string `yaml:"path,short"` // of this site, also of an internal route; beside pool, what that is asked for (/)
	File     string `yaml:"file"`       // that is sent; its type by its name
	Template string `yaml:"template"`   // a file of Go's html/template with .Status, .Title, .Cause, .Cure and .Request, the id of the request
	Pool     string `yaml:"pool"`       // that makes the page
	App      bool   `yaml:"app"`        // false (default): only for what Headgate answers itself; true: also for answers of the app
}

// Maintenance answers 503 to all but a few: when On, when the file Flag exists, when
// When is true, or by headgate maintenance.
type Maintenance struct {
	On         notation.Switch `yaml:"on,short"`    // off (default) or on
	Flag       string          `yaml:"flag"`        // path of a file: while it exists, it is on
	When       string          `yaml:"when"`        // a condition in CEL: while it is true, it is on
	Allow      []string        `yaml:"allow"`       // networks (CIDR or address) of clients that are let through
	Except     string          `yaml:"except"`      // a condition in CEL for requests that are let through
	RetryAfter time.Duration   `yaml:"retry_after"` // what clients are told to wait (5m); off: nothing
	File       string          `yaml:"file"`        // the page; a plain one by default
}
