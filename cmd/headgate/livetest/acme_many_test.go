package livetest_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"headgate/tls/acme/pebbletest"
)

// measured does handshakes with a server until its end.
type measured struct {
	times
	wrong atomic.Pointer[error]
	stop  context.CancelFunc
	wg    sync.WaitGroup
}

// measure does a handshake every few milliseconds, no faster: it is not the load.
func measure(addr string, conf *tls.Config) *measured {
	ctx, stop := context.WithCancel(context.Background())
	m := &measured{stop: stop}
	m.wg.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			begin := time.Now()
			if _, err := handshake(addr, conf); err != nil {
				m.wrong.CompareAndSwap(nil, &err)
			}
			m.add(time.Since(begin))
		}
	})
	return m
}

func (m *measured) end(t testing.TB, name string) {
	t.Helper()
	m.stop()
	m.wg.Wait()
	if err := m.wrong.Load(); err != nil {
		t.Errorf("%s: %v", name, *err)
	}
	t.Logf("%s: %s", name, m.summary())
}

// TestManySites: 200 sites get their certificates at once, and nobody who asks for
// a site that has one waits for that. On a machine where the authority, its
// clients and the gateway share two cores, everything is slower in the meantime;
// an nginx with the same certificate tells how much of that is the machine's.
func TestManySites(t *testing.T) {
	const sites = 200
	ca := pebbletest.Start(t, pebbletest.Options{})
	m := newMint(t)
	cert, key := m.files(t, static, host)
	names := numbered("site%03d.many.test", sites)
	p := &public{ca: ca, tls: fmt.Sprintf("  certificates: [{cert: %q, key: %q}]\n", cert, key), sites: site(static)}
	g := p.start(t)
	g.roots.AddCert(m.root)
	n := startNginx(t, &certificate{cert: cert, key: key}, "/nobody.sock")
	conf, other := g.named(), g.named()
	conf.ServerName, other.ServerName = static, host

	quiet, theirs := measure(g.https, conf), measure(n.https, other)
	<-time.After(2 * time.Second)
	quiet.end(t, "handshakes when nothing happens")
	theirs.end(t, "of nginx")

	begin := time.Now()
	p.sites += site(names...)
	busy, theirsBusy := measure(g.https, conf), measure(n.https, other)
	p.reload(t, g)
	g.issued(t, 90*time.Second, names...)
	took := time.Since(begin)
	busy.end(t, fmt.Sprintf("handshakes while %d certificates are made", sites))
	theirsBusy.end(t, "of nginx")
	t.Logf("%d certificates in %v", sites, took.Round(10*time.Millisecond))
	wantOneOrder(t, ca, names...)
	if most := busy.max(); most > time.Second {
		t.Errorf("a handshake with a site that has a certificate took %v", most)
	}
	if more := busy.at(0.99) - max(quiet.at(0.99), theirsBusy.at(0.99)); more > 50*time.Millisecond {
		t.Errorf("99 of 100 handshakes took up to %v longer than those of nginx at the same time", more)
	}
	for _, i := range []int{0, sites / 2, sites - 1} {
		g.leaf(t, names[i])
	}
}

// TestManyStored: a gateway with 5,000 certificates in its storage is there at
// once.
func TestManyStored(t *testing.T) {
	const many = 5000
	storages(t, func(t *testing.T, url string) {
		ca := pebbletest.Start(t, pebbletest.Options{})
		m := newMint(t)
		names := numbered("customer%04d.many.test", many)
		p := &public{ca: ca, storage: url, sites: site(names...)}
		m.stock(t, p, time.Now().Add(-10*day), time.Now().Add(80*day), names...)
		g := p.gateway(t)
		g.roots.AddCert(m.root)
		p.configure(t, g)
		begin := time.Now()
		var first time.Duration
		g.process = start(t, filepath.Dir(g.file), func() bool {
			_, err := g.shake(names[many-1])
			first = time.Since(begin)
			return err == nil
		}, headgate, "run", "-c", g.file)
		if first > 3*time.Second {
			t.Errorf("the first handshake was answered after %v", first)
		}
		var each times
		for i := 0; i < many; i += 50 {
			begin := time.Now()
			g.leaf(t, names[i])
			each.add(time.Since(begin))
		}
		g.issued(t, 30*time.Second, names...)
		loaded := time.Since(begin)
		now, most := g.resident(t)
		t.Logf("first handshake %v after the start of the process, all %d known after %v at most; %d MiB, at most %d MiB; handshakes in the meantime: %s",
			first.Round(time.Millisecond), many, loaded.Round(time.Millisecond), now, most, each.summary())
		if most > 300 {
			t.Errorf("%d MiB for %d certificates", most, many)
		}
		if n := len(ca.Orders()); n != 0 {
			t.Errorf("%d orders", n)
		}
		if c := g.about(t, names[0]); c.Source != "acme" || c.Challenge != "http-01" || c.RenewAt.IsZero() {
			t.Errorf("headgate certs says %+v", c)
		}
		if leaf := g.leaf(t, names[many/2]); leaf.Issuer.CommonName != "Mint" {
			t.Errorf("the certificate is of %s, not the stored one", leaf.Issuer)
		}
	})
}
