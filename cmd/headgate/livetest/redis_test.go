package livetest_test

import (
	"sync"
	"syscall"
	"testing"
	"time"

	"headgate/tls/acme/pebbletest"
)

// startRedis runs Debian's Redis and returns the URL of a storage in it.
func startRedis(t testing.TB, more string) string {
	t.Helper()
	port := freePort(t)
	startRedisAt(t, port)
	return "redis://127.0.0.1:" + port + "/0" + more
}

// startRedisAt runs an empty one.
func startRedisAt(t testing.TB, port string) *process {
	t.Helper()
	dir := shortDir(t)
	return start(t, dir, accepts("tcp", "127.0.0.1:"+port), need(t, "redis-server"), "--port", port, "--bind", "127.0.0.1", "--dir", dir,
		"--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction")
}

// storages runs a test over both kinds of storage.
func storages(t *testing.T, do func(t *testing.T, url string)) {
	t.Run("file", func(t *testing.T) { do(t, "") })
	t.Run("redis", func(t *testing.T) { do(t, startRedis(t, "?lease=2s")) })
}

// gate holds the requests of one kind back that an authority gets.
type gate struct {
	kind string
	seen chan struct{} // closed when the first has come

	mu     sync.Mutex // guards the fields below
	came   bool
	opened chan struct{} // closed by open
}

// shut holds back requests of a kind from now on.
func shut(ca *pebbletest.CA, kind string) *gate {
	g := &gate{kind: kind, seen: make(chan struct{}), opened: make(chan struct{})}
	ca.Fault(func(r pebbletest.Request) *pebbletest.Answer {
		if r.Kind != kind {
			return nil
		}
		g.mu.Lock()
		if !g.came {
			g.came = true
			close(g.seen)
		}
		g.mu.Unlock()
		select {
		case <-g.opened:
		case <-time.After(30 * time.Second):
		}
		return nil
	})
	return g
}

func (g *gate) wait(t testing.TB) {
	t.Helper()
	select {
	case <-g.seen:
	case <-time.After(20 * time.Second):
		t.Fatalf("nobody asks the authority for %s", g.kind)
	}
}

func (g *gate) open() { close(g.opened) }

// pair makes two gateways on one storage: the authority comes to the second only,
// and the first is to place the orders.
func pair(t *testing.T, url string, names []string) (ca *pebbletest.CA, asks, answers *public) {
	t.Helper()
	ca = pebbletest.Start(t, pebbletest.Options{})
	answers = &public{ca: ca, storage: url, sites: site(names...)}
	answers.fill(t)
	other := *answers
	other.http, other.https = "127.0.0.1:"+freePort(t), "127.0.0.1:"+freePort(t)
	return ca, &other, answers
}

// TestTwoGateways: one order for each name in all, by one account; the gateway
// that answers the authority is not the one that has placed the order, and both
// serve what has come of it.
func TestTwoGateways(t *testing.T) {
	for _, challenge := range []string{"http-01", "tls-alpn-01"} {
		t.Run(challenge, func(t *testing.T) {
			storages(t, func(t *testing.T, url string) {
				names := numbered("site%d.two.test", 8)
				ca, first, second := pair(t, url, names)
				first.acme = "challenges: [" + challenge + "]"
				second.acme = first.acme
				hold := shut(ca, "newOrder")
				a := first.start(t)
				hold.wait(t) // the first has the locks
				b := second.start(t)
				hold.open()
				begin := time.Now()
				a.issued(t, 20*time.Second, names...)
				b.issued(t, 10*time.Second, names...)
				t.Logf("both have %d certificates %v after the first order", len(names), time.Since(begin).Round(time.Millisecond))
				wantOneOrder(t, ca, names...)
				for _, n := range names {
					if one, two := serial(a.leaf(t, n)), serial(b.leaf(t, n)); one != two {
						t.Errorf("%s: the gateways serve %s and %s", n, one, two)
					}
				}
				if got := len(a.lines(`"msg":"certificate obtained"`)); got != len(names) {
					t.Errorf("the first gateway has obtained %d certificates, want %d", got, len(names))
				}
				wantTakenOver(t, a, b, names[0])
			})
		})
	}
}

// wantTakenOver has one gateway renew a certificate, which the other is to serve
// soon.
func wantTakenOver(t *testing.T, a, b *gateway, name string) {
	t.Helper()
	if _, stderr, code := run(t, headgate, "certs", "renew", name, "--socket", a.admin); code != 0 {
		t.Fatal(stderr)
	}
	want, begin := serial(a.leaf(t, name)), time.Now()
	if !eventually(10*time.Second, func() bool { return serial(b.leaf(t, name)) == want }) {
		t.Error("the second gateway still serves the old certificate")
	}
	t.Logf("a renewed certificate is taken over %v later", time.Since(begin).Round(time.Millisecond))
}

// TestLockHolderKilled: the gateway that orders is killed in the middle of it, and
// the other one takes over: at once with a file, after the lease with Redis.
func TestLockHolderKilled(t *testing.T) {
	for _, kind := range []string{"newOrder", "finalize"} {
		t.Run(kind, func(t *testing.T) {
			storages(t, func(t *testing.T, url string) {
				names := numbered("site%d.two.test", 4)
				ca, first, second := pair(t, url, names)
				hold := shut(ca, "newOrder")
				a := first.start(t)
				hold.wait(t)
				b := second.start(t)
				if kind != "newOrder" {
					next := shut(ca, kind)
					hold.open()
					next.wait(t)
					hold = next
				}
				a.kill(t)
				begin := time.Now()
				ca.Fault(nil)
				hold.open()
				b.issued(t, 20*time.Second, names...)
				took := time.Since(begin)
				t.Logf("all certificates %v after the kill", took.Round(time.Millisecond))
				if took > 10*time.Second {
					t.Errorf("that is longer than the lease and an order take")
				}
				if a := accounts(ca); len(a) != 1 {
					t.Errorf("orders of the accounts %v, want one", a)
				}
				b.wantServed(t, names...)
				if n := b.lines(`"level":"ERROR"`); len(n) > 0 {
					t.Errorf("the second gateway complains: %s", n)
				}
			})
		})
	}
}

// TestRedisGone: a gateway without its storage serves what it has, says so, and
// orders nothing until the storage is back.
func TestRedisGone(t *testing.T) {
	port := freePort(t)
	redis := startRedisAt(t, port)
	ca := pebbletest.Start(t, pebbletest.Options{})
	p := &public{ca: ca, storage: "redis://127.0.0.1:" + port + "/0", sites: site("one.redis.test")}
	g := p.start(t)
	g.issued(t, 20*time.Second, "one.redis.test")
	redis.stop(syscall.SIGKILL)
	g.wantSaid(t, 10*time.Second, `"level":"ERROR"`, "storage cannot be read: certificates that are loaded go on serving")
	p.sites += site("two.redis.test")
	p.reload(t, g)
	g.leaf(t, "one.redis.test")
	g.wantSaid(t, 30*time.Second, `"msg":"no certificate"`, "two.redis.test", "storage: ", port)
	if n := len(ca.Orders()); n != 1 {
		t.Errorf("%d orders without a storage", n-1)
	}
	startRedisAt(t, port)
	g.wantSaid(t, 10*time.Second, "storage can be read again")
	g.issued(t, 60*time.Second, "one.redis.test", "two.redis.test")
	g.wantServed(t, "one.redis.test", "two.redis.test")
	if n := len(g.lines(`"level":"ERROR"`, "storage cannot be read")); n != 1 {
		t.Errorf("it was said %d times", n)
	}
}
