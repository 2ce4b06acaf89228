package livetest_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"headgate/tls/acme/pebbletest"
)

// TestSubscribeCertificates: a host that is announced has a certificate of the
// authority with its first visitor, also one who came too early; no other host has.
func TestSubscribeCertificates(t *testing.T) {
	t.Parallel()
	need(t, "uwsgi")
	ca := pebbletest.Start(t, pebbletest.Options{})
	udp := "127.0.0.1:" + freePort(t)
	p := &public{
		ca: ca, tls: "  on_demand: {ask: subscriptions}\n",
		more:  fmt.Sprintf("subscriptions: {listen: \"udp:%s\"}\npools: {apps: {subscriptions: true}}\n", udp),
		sites: "- {routes: [{pool: apps}]}\n",
	}
	g := p.start(t)
	f := &fleet{gateway: g, dir: filepath.Dir(g.file), udp: udp}
	early := func(host string) {
		t.Helper()
		if c, err := g.peek(host); err == nil {
			t.Errorf("%s has a certificate for %v", host, c.DNSNames)
		} else if !strings.Contains(err.Error(), "unrecognized name") {
			t.Errorf("%s: %v, want the alert unrecognized name", host, err)
		}
	}
	hosts := []string{"shop.customer.test", "blog.customer.test"}
	for _, h := range hosts {
		early(h)
	}
	r := startRelay(t, udp, "127.0.0.1")
	options := append(announces(r.addr, hosts[0], ""), "--subscribe-freq", "1")
	options = append(append(options, announces(r.addr, hosts[1], "")...), announces(r.addr, ".wild.test", "")...)
	f.instance(t, "tenant", 0, options...)
	for _, h := range append(hosts, "a.wild.test") {
		key := h
		if h == "a.wild.test" {
			key = ".wild.test"
		}
		r.first(t, key, 0)
		asked := time.Now()
		t.Logf("%s: %.2f s to the first answer, with its certificate made by Pebble", h, f.answered(t, h).Sub(asked).Seconds())
		for _, proto := range []protocol{h1s, h2, h3} {
			if status, body := f.page(t, proto, h); status != http.StatusOK || body != "tenant" {
				t.Errorf("%s over %s: %d %s", h, proto, status, body)
			}
		}
		if c := g.about(t, h); !c.OnDemand || c.Error != "" {
			t.Errorf("headgate certs says %+v", c)
		}
	}
	for _, h := range []string{"other.customer.test", "wild.other.test", "xshop.customer.test"} {
		early(h)
	}
	var names []string
	for _, o := range ca.Orders() {
		names = append(names, o.Names...)
	}
	if want := append(slices.Clone(hosts), "a.wild.test"); !slices.Equal(names, want) {
		t.Errorf("orders for %v, want %v", names, want)
	}

	// The gateway is started again: its certificates are there before the apps are, and
	// nothing is ordered.
	g.stop(sigterm)
	r.deaf.Store(true)
	p.run(t, g)
	g.leaf(t, hosts[1])
	if status, body := f.page(t, h2, hosts[1]); status != http.StatusServiceUnavailable {
		t.Errorf("before it has announced itself again, %s answers %d %s", hosts[1], status, body)
	}
	early("other.customer.test")
	r.deaf.Store(false)
	began := time.Now()
	f.answered(t, hosts[0])
	t.Logf("%.2f s after the gateway can be heard again", time.Since(began).Seconds())
	if n := len(ca.Orders()); n != len(names) {
		t.Errorf("%d orders after a restart", n-len(names))
	}
}
