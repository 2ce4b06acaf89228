package gateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"headgate/gateway/config"
	"headgate/gateway/forwarded"
	"headgate/gateway/stats"
	"headgate/tls/certs"
)

// Reload reads the configuration and builds everything new from it first:
// certificates, pools, the table of routes, sockets. Then it swaps. On any error
// nothing has changed, and the old generation goes on; the error is for who
// asked. Connections and sockets that stay in the configuration survive. It
// returns the generation that serves afterwards.
func (g *Gateway) Reload(ctx context.Context) (stats.Generation, error) {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	err := g.reload(ctx)
	g.mu.Lock()
	g.lastReload = stats.Reload{At: time.Now()}
	if err != nil {
		g.lastReload.Error = err.Error()
	}
	g.mu.Unlock()
	return g.generation(), err
}

// generation names the generation that serves.
func (g *Gateway) generation() stats.Generation {
	gen := g.current.Load()
	if gen == nil {
		return stats.Generation{}
	}
	return stats.Generation{Number: gen.number, Hash: gen.hash, At: gen.at}
}

func (g *Gateway) reload(ctx context.Context) error {
	if g.draining.Load() {
		return errors.New("the gateway is stopping")
	}
	c, err := g.load()
	if err != nil {
		return err
	}
	defer g.supervisors.discard() // of what is built and comes to nothing
	old := g.current.Load()
	whole := g.compose(c, old)
	c = whole.conf
	gen, err := g.newGeneration(c, old)
	if err != nil {
		return err
	}
	if len(c.Listen.HTTPS) > 0 {
		plan := certs.Plan{Options: c.TLS, Sites: tlsSites(c), Ask: g.asks.of(gen)}
		if gen.certs, err = g.certs.Build(ctx, plan); err != nil {
			gen.change.Discard()
			return tlsError(c, err)
		}
	}
	opened, err := g.open(c)
	if err != nil {
		g.abandon(gen)
		return err
	}
	announced, err := g.subscribed.Open(c.Subscriptions)
	if err != nil {
		opened.close()
		g.abandon(gen)
		return fmt.Errorf("subscriptions: %w", err)
	}
	if err := g.cache.Configure(c.Cache); err != nil {
		announced.Close()
		opened.close()
		g.abandon(gen)
		return fmt.Errorf("cache: %w", err)
	}
	g.subscribed.Use(c.Subscriptions, announced)
	g.swap(gen, old, opened)
	g.settle(whole)
	for _, w := range c.Warnings {
		g.log.Warn("configuration", "warning", w.Error())
	}
	g.warnMissing(gen)
	return nil
}

// abandon gives back what a generation that will not serve has taken.
func (g *Gateway) abandon(gen *generation) {
	if gen.certs != nil {
		g.certs.Discard(gen.certs)
	}
	gen.change.Discard()
}

// wanted lists the doors of a configuration.
func wanted(c *config.Config) []listenOptions {
	var out []listenOptions
	for _, a := range c.Listen.HTTP {
		out = append(out, listenOptions{address: a})
	}
	for _, a := range c.Listen.HTTPS {
		out = append(out, listenOptions{address: a, secure: true, http3: c.Listen.UseHTTP3()})
	}
	return out
}

func (d *door) is(o listenOptions) bool { return d.address == o.address && d.secure == o.secure }

// sockets are what a reload has opened.
type sockets struct {
	doors []*door
	udp   []*door // doors that were there and have got HTTP/3
}

// open binds what c wants and is not open. It reports every address that cannot
// be had, and then leaves none open.
func (g *Gateway) open(c *config.Config) (sockets, error) {
	var s sockets
	var errs []error
	for _, o := range wanted(c) {
		i := slices.IndexFunc(g.doors, func(d *door) bool { return d.is(o) })
		switch {
		case i < 0:
			d, err := g.openDoor(o, settingsOf(c))
			if err != nil {
				errs = append(errs, err)
				continue
			}
			s.doors = append(s.doors, d)
		case o.http3 && !g.doors[i].h3.Accepting():
			d := g.doors[i]
			if err := d.listenUDP(o.address); err != nil {
				errs = append(errs, listenError(o, err))
				continue
			}
			s.udp = append(s.udp, d)
		}
	}
	err := errors.Join(errs...)
	if err != nil {
		s.close()
	}
	return s, err
}

// close undoes open.
func (s sockets) close() {
	for _, d := range s.doors {
		d.close()
	}
	for _, d := range s.udp {
		d.h3.StopAccepting()
	}
}

// settingsOf is for a configuration that is valid: its networks can be read.
func settingsOf(c *config.Config) settings {
	proxies, _ := forwarded.ParseTrust(c.Listen.ProxyProtocol)
	trusted, _ := forwarded.ParseTrust(c.Listen.TrustedProxies)
	return settings{
		headBytes:     int(c.Limits.HeaderBytes + c.Limits.URIBytes),
		fields:        c.Limits.Headers,
		headerTimeout: c.Limits.HeaderTimeout,
		idleTimeout:   c.Limits.IdleTimeout,

		connections: c.Limits.Connections, clientConnections: c.Limits.ClientConnections,
		proxies: proxies, trusted: trusted,
	}
}

// swap makes gen serve. It cannot fail.
func (g *Gateway) swap(gen, old *generation, opened sockets) {
	if gen.certs != nil {
		g.certs.Swap(gen.certs)
	}
	if gen.httpsPort == "0" { // any free one: now it is known which
		gen.httpsPort = portOf(gen.conf.Listen.HTTPS[0], g.doors, opened.doors)
	}
	g.supervisors.apply(gen)
	gen.change.Apply()
	g.current.Store(gen)
	want := wanted(gen.conf)
	var stay, gone []*door
	for _, d := range g.doors {
		if slices.ContainsFunc(want, d.is) {
			stay = append(stay, d)
		} else {
			gone = append(gone, d)
		}
	}
	g.doors = append(stay, opened.doors...)
	for _, d := range g.doors {
		d.configure(settingsOf(gen.conf))
	}
	for _, d := range opened.doors {
		d.start()
		g.log.Info("listening", "listener", d.address, "tls", d.secure, "http3", d.h3.Accepting())
	}
	for _, d := range opened.udp {
		d.h3.Start()
	}
	for _, d := range stay {
		if !gen.h3 {
			d.h3.StopAccepting()
		}
	}
	for _, d := range gone {
		g.retiring.Go(func() { g.retire(d, gen.grace) })
	}
	if old != nil {
		g.log.Info("configuration reloaded", "generation", gen.number, "hash", gen.hash)
	}
	g.counters.Retain(gen.siteNames(), slices.Collect(maps.Keys(gen.conf.Pools)))
}

// portOf returns the port at which the https listener of an address accepts.
func portOf(address string, lists ...[]*door) string {
	for _, d := range slices.Concat(lists...) {
		if d.is(listenOptions{address: address, secure: true}) {
			return d.port
		}
	}
	return ""
}

// siteNames are the names under which sites are counted.
func (g *generation) siteNames() []string {
	names := []string{g.nobody.name}
	for _, s := range g.conf.Sites {
		names = append(names, siteName(s))
	}
	return names
}

// retire closes a door that is no longer wanted once its requests are done.
func (g *Gateway) retire(d *door, grace time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	go g.cancelOnStop(ctx, cancel)
	d.leaving.Store(true)
	d.stopAccepting()
	sayGoodbye(ctx, []*door{d})
	d.shutdown(ctx) // what is still running then is cut
	d.close()
	g.log.Info("listener closed", "listener", d.address)
}
