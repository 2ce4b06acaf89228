package config

import (
	"time"

	"headgate/gateway/accesslog"
	"headgate/gateway/cache"
	"headgate/gateway/tracing"
	"headgate/tls/certs"
	"headgate/upstream/subscribe"
)

// Config is everything that one file says. Load and Parse return it with its
// defaults filled in and checked; one that is built in Go needs SetDefaults and
// then Validate. It is plain data: who shares it must not change it.
type Config struct {
	Listen  Listen             `yaml:"listen"`  // where clients connect
	TLS     certs.Options      `yaml:"tls"`     // the certificates of the https listeners
	Admin   Admin              `yaml:"admin"`   // who may look inside
	Metrics string             `yaml:"metrics"` // address that serves Prometheus at /metrics; none when absent
	Tracing tracing.Options    `yaml:"tracing"` // OTLP over HTTP
	Log     accesslog.Options  `yaml:"log"`     // the access log and the log of the process
	Grace   time.Duration      `yaml:"grace"`   // how long a stop waits for requests in flight (30s); off: not at all
	Limits  Limits             `yaml:"limits"`  // what one client may cost
	Cache   cache.StoreOptions `yaml:"cache"`   // what all routes that cache share
	Pools   map[string]Pool    `yaml:"pools"`   // the workers, by a name that routes use

	Subscriptions subscribe.Options `yaml:"subscriptions"` // uWSGI instances that announce themselves

	// A directory, or a pattern such as /etc/headgate/apps/*.{yaml,ini}: one file per
	// app, in YAML or uWSGI's ini, added, changed and removed while the gateway runs.
	Apps string `yaml:"apps"`

	Sites []Site `yaml:"sites"` // host names and their routes

	// Warnings are what works but is hardly meant, such as a pool that no route
	// uses. Load, Parse and Validate set them.
	Warnings Errors `yaml:"-"`
}

// Listen says where clients connect. An address is a port with or without a
// host before it: ":443", "127.0.0.1:8080", "[::1]:80"; port 0 is any free one.
type Listen struct {
	HTTP  []string `yaml:"http"`  // one address or a list; HTTP/1.1, and HTTP/2 by prior knowledge
	HTTPS []string `yaml:"https"` // one address or a list; TLS: HTTP/1.1 and HTTP/2 on TCP, HTTP/3 on the same UDP port
	HTTP3 *bool    `yaml:"http3"` // true (default when https is set); false: no UDP socket, no Alt-Svc

	// Networks (CIDR or address) whose X-Forwarded-* and Forwarded headers are
	// believed; none by default.
	TrustedProxies []string `yaml:"trusted_proxies"`

	// Networks (CIDR or address) whose connections begin with the PROXY protocol,
	// version 1 or 2, which says who the client is; none by default. Connections of
	// others must not begin with it.
	ProxyProtocol []string `yaml:"proxy_protocol"`
}

// Admin says who may look inside the gateway.
type Admin struct {
	// Unix socket of the admin API, for its owner only. The default is
	// /run/headgate/admin.sock; not root: $XDG_RUNTIME_DIR/headgate.sock.
	Socket string `yaml:"socket"`

	// Networks (CIDR or address) whose clients see the cause and the cure on an
	// error page; loopback by default.
	Operators []string `yaml:"operators"`
}

// Limits bound what one client may cost. A key that is absent, which in Go is 0,
// has its default; below 0 it is off.
type Limits struct {
	HeaderBytes Size `yaml:"header_bytes"` // head of a request (64KiB); over it: 431
	Headers     int  `yaml:"headers"`      // header lines of a request (100); over it: 431
	URIBytes    Size `yaml:"uri_bytes"`    // request target (16KiB); over it: 414

	// What a site or a route may also say.
	Route RouteLimits `yaml:",inline"`

	Connections       int `yaml:"connections"`        // TCP connections at once, of all clients; no limit by default
	ClientConnections int `yaml:"client_connections"` // TCP connections at once of one address; no limit by default

	HeaderTimeout time.Duration `yaml:"header_timeout"` // to the end of the head of a request (10s); off: no limit
	IdleTimeout   time.Duration `yaml:"idle_timeout"`   // of a connection without a request (90s); off: no limit

	BodyMemory     Size `yaml:"body_memory"`     // of a request body that is kept in memory; the rest is in a file (256KiB)
	ResponseMemory Size `yaml:"response_memory"` // of a response that waits for a slow client in memory (1MiB)
	ResponseFile   Size `yaml:"response_file"`   // of a response that waits in a file (1GiB); off: none of it, the worker waits
}

// RouteLimits are the limits that a site or a route may lower or raise. 0 is the
// value of the site and then that of the listeners.
type RouteLimits struct {
	Body             Size          `yaml:"body"`               // request body (100MiB); over it: 413; off: no limit
	BodyIdleTimeout  time.Duration `yaml:"body_idle_timeout"`  // between two reads of a request body (30s); off: no limit
	WriteIdleTimeout time.Duration `yaml:"write_idle_timeout"` // between two writes that make progress (30s); off: no limit
}

// UseHTTP3 reports whether the https listeners also serve HTTP/3.
func (l Listen) UseHTTP3() bool { return len(l.HTTPS) > 0 && (l.HTTP3 == nil || *l.HTTP3) }
