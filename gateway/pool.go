package gateway

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"time"

	"headgate/gateway/config"
	"headgate/gateway/expression"
	"headgate/gateway/stats"
	"headgate/upstream"
	"headgate/upstream/dns"
	"headgate/upstream/origin"
	"headgate/upstream/uwsgi"
)

// pools are the pools of a gateway, which outlive its generations.
type pools = upstream.Pools[*backend]

// pool is one pool as a generation uses it.
type pool struct {
	*upstream.Pool[*backend]
	counters *stats.PoolCounters
	hash     *expression.Program // of the key of a request; nil: none
	cookie   string              // of sticky clients; "": none
}

// localhost is the Host of a check where no site says one: every app that is told
// of no host answers to it.
const localhost = "localhost"

// specOf is what a pool is made from, without its workers. host is the Host of its
// active check, "" when no site says one.
func specOf(name string, c config.Pool, host string, counters *stats.PoolCounters, log *slog.Logger) (upstream.Spec[*backend], error) {
	key, err := keyOf(c)
	if err != nil {
		return upstream.Spec[*backend]{}, fmt.Errorf("pool %s: %w", name, err)
	}
	fixed, names := c.Named()
	s := upstream.Spec[*backend]{Options: c.Upstream, Members: fixed}
	if s.Options.Check.Enabled() {
		s.Options.Check.Host = cmp.Or(s.Options.Check.Host, host, localhost)
	}
	s.Driver = upstream.Driver[*backend]{
		Key:   key,
		Dial:  func(m upstream.Member) (*backend, error) { return dial(m, c, counters) },
		Close: (*backend).closeIdle,
		Left:  counters.Forget,
		Reach: func(ctx context.Context, b *backend) error { return b.reach(ctx) },
		Check: func(ctx context.Context, b *backend, o upstream.CheckOptions) error { return b.check(ctx, o) },
		Stats: readStats,
		Watch: func(b *backend, age time.Duration) (busy, unread int, ok bool) { return b.watch(age) },
	}
	if len(names) > 0 {
		key, err := json.Marshal(struct {
			Names []upstream.Member
			DNS   dns.Options
		}{names, c.DNS})
		if err != nil {
			return upstream.Spec[*backend]{}, fmt.Errorf("pool %s: %w", name, err)
		}
		s.Sources = map[string]upstream.Source{
			"dns " + string(key): dns.New(dns.Setup{Pool: name, Names: names, Options: c.DNS, Log: log}),
		}
	}
	return s, nil
}

// keyOf names what the transports of a pool are made from: members get new ones
// when it changes. Files count by what is in them, so that a reload takes over a
// certificate that was renewed, and refuses one that cannot be used.
func keyOf(c config.Pool) (string, error) {
	files, err := sumOf(c.UWSGI.TLS)
	if err != nil {
		return "", err
	}
	key, err := json.Marshal(struct {
		Protocol string
		UWSGI    uwsgi.Options
		Files    string
	}{c.Protocol, c.UWSGI, files})
	return string(key), err
}

// sumOf is the hash of the files of o, which must be fit to be used: a member that
// has yet to be looked up is dialled long after this.
func sumOf(o uwsgi.TLSOptions) (string, error) {
	if !o.Enabled {
		return "", nil
	}
	anyone := uwsgi.Address{Network: "tcp", Addr: localhost + ":1"} // nobody connects to it
	if _, err := uwsgi.NewTransport(anyone, uwsgi.Options{TLS: o}); err != nil {
		return "", err
	}
	sum := sha256.New()
	for _, file := range []struct{ key, name string }{{"ca", o.CA}, {"cert", o.Cert}, {"key", o.Key}} {
		if file.name == "" {
			continue
		}
		data, err := os.ReadFile(file.name)
		if err != nil {
			return "", fmt.Errorf("tls.%s: %w", file.key, err)
		}
		fmt.Fprintf(sum, "%s %d\n%s", file.key, len(data), data)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// dial makes the transport of a member.
func dial(m upstream.Member, c config.Pool, counters *stats.PoolCounters) (*backend, error) {
	addr, err := uwsgi.ParseAddress(m.Address)
	if err != nil {
		return nil, err
	}
	b := &backend{counters: counters.Member(m.Address)}
	if c.SpeaksHTTP() {
		b.http, err = origin.NewTransport(addr.Network, addr.Addr, origin.Options{
			HTTP2: c.Protocol == config.ProtocolH2C, ConnectTimeout: c.UWSGI.ConnectTimeout, ResponseTimeout: c.UWSGI.ResponseTimeout,
		})
		return b, err
	}
	o := c.UWSGI
	o.Watch = true // slots may become auto by a reload, which keeps the transport
	if m.Name != "" && o.TLS.ServerName == "" {
		o.TLS.ServerName = m.Name
	}
	if m.Modifier1 != 0 || m.Modifier2 != 0 {
		o.Modifier1, o.Modifier2 = int(m.Modifier1), int(m.Modifier2)
	}
	if m.Dialect != "" {
		if err := o.Dialect.UnmarshalText([]byte(m.Dialect)); err != nil {
			return nil, err
		}
	}
	b.uwsgi, err = uwsgi.NewTransport(addr, o)
	return b, err
}

// newPool makes of a pool what a generation uses.
func newPool(p *upstream.Pool[*backend], c config.Pool, counters *stats.PoolCounters) (*pool, error) {
	out := &pool{Pool: p, counters: counters, cookie: c.Upstream.Balance.Sticky.Cookie}
	if c.Upstream.Balance.Hash == "" {
		return out, nil
	}
	var err error
	if out.hash, err = expression.Compile(c.Upstream.Balance.Hash, expression.String); err != nil {
		return nil, fmt.Errorf("pool %s: balance.hash: %w", p.Name(), err)
	}
	return out, nil
}
