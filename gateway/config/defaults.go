package config

import (
	"cmp"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"headgate/upstream/dns"
)

// SetDefaults fills in whatever is not said, so that a Config says all it
// means. Limits and filters of a site and a route become those that hold there. It
// may be called again, and then changes nothing.
func (c *Config) SetDefaults() {
	if len(c.Listen.HTTPS) > 0 && c.Listen.HTTP3 == nil {
		c.Listen.HTTP3 = new(true)
	}
	setTLSDefaults(&c.TLS)
	setDefault(&c.Admin.Socket, DefaultSocket())
	if len(c.Admin.Operators) == 0 {
		c.Admin.Operators = []string{"127.0.0.0/8", "::1/128"}
	}
	setDefault(&c.Log.Access, "stdout")
	setDefault(&c.Log.Format, "auto")
	setDefault(&c.Log.Level, "info")
	setDefault(&c.Grace, 30*time.Second)
	c.Limits.setDefaults()
	c.Subscriptions = c.Subscriptions.WithDefaults()
	for name, p := range c.Pools {
		p.setDefaults()
		c.Pools[name] = p
	}
	c.Cache = c.Cache.WithDefaults()
	names := namesOf(c.Sites)
	for i := range c.Sites {
		c.Sites[i].setDefaults(c, names)
	}
}

// DefaultSocket is where the admin socket is when the file does not say:
// /run/headgate/admin.sock for root, else headgate.sock in $XDG_RUNTIME_DIR, or
// without that variable in a directory of the user's own below the temporary one.
func DefaultSocket() string {
	if os.Geteuid() == 0 {
		return "/run/headgate/admin.sock"
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "headgate.sock")
	}
	return filepath.Join(os.TempDir(), "headgate-"+strconv.Itoa(os.Geteuid()), "admin.sock")
}

func setDefault[T comparable](v *T, def T) { *v = cmp.Or(*v, def) }

func (l *Limits) setDefaults() {
	setDefault(&l.HeaderBytes, 64*KiB)
	setDefault(&l.Headers, 100)
	setDefault(&l.URIBytes, 16*KiB)
	setDefault(&l.HeaderTimeout, 10*time.Second)
	setDefault(&l.IdleTimeout, 90*time.Second)
	setDefault(&l.BodyMemory, 256*KiB)
	setDefault(&l.ResponseMemory, MiB)
	setDefault(&l.ResponseFile, GiB)
	l.Route.inherit(RouteLimits{Body: 100 * MiB, BodyIdleTimeout: 30 * time.Second, WriteIdleTimeout: 30 * time.Second})
}

func (l *RouteLimits) inherit(from RouteLimits) {
	setDefault(&l.Body, from.Body)
	setDefault(&l.BodyIdleTimeout, from.BodyIdleTimeout)
	setDefault(&l.WriteIdleTimeout, from.WriteIdleTimeout)
}

func (p *Pool) setDefaults() {
	setDefault(&p.Protocol, ProtocolUWSGI)
	p.UWSGI.TLS.Enabled = p.Protocol == ProtocolSUWSGI
	setDefault(&p.UWSGI.ConnectTimeout, 5*time.Second)
	setDefault(&p.UWSGI.ResponseTimeout, 60*time.Second)
	p.Upstream = p.Upstream.WithDefaults()
	setDefault(&p.DNS.MaxTTL, dns.DefaultMaxTTL)
	complete(&p.Workers)
}
