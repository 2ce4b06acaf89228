package livetest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"headgate/tls/acme/pebbletest"
)

// asker answers for the gateway whether names may have certificates.
type asker struct {
	ask   string // what the configuration says
	pools string // and more of it
	asked func(t testing.TB) (all int, byName map[string]int)
}

// appAsker is an app on a real uWSGI, which counts.
func appAsker(t testing.TB) asker {
	t.Helper()
	a := startApp(t, "--listen", "100")
	return asker{
		ask: "pool://app/ask", pools: fmt.Sprintf("pools: {app: {members: [\"unix:%s\"]}}\n", a.socket),
		asked: func(t testing.TB) (int, map[string]int) {
			t.Helper()
			g := startGateway(t, conf{socket: a.socket})
			defer g.stop(sigterm)
			resp, err := g.client(t, h1).Get(h1.url("/asked"))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			byName := map[string]int{}
			if err := json.NewDecoder(resp.Body).Decode(&byName); err != nil {
				t.Fatal(err)
			}
			return total(byName), byName
		},
	}
}

func total(byName map[string]int) (n int) {
	for _, c := range byName {
		n += c
	}
	return n
}

// urlAsker is a web server.
func urlAsker(t testing.TB) asker {
	t.Helper()
	var mu sync.Mutex
	byName := map[string]int{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.FormValue("domain")
		mu.Lock()
		byName[name]++
		mu.Unlock()
		if !strings.HasSuffix(name, ".customer.test") || r.FormValue("key") != "k" {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(s.Close)
	return asker{ask: s.URL + "/allowed?key=k", asked: func(testing.TB) (int, map[string]int) {
		mu.Lock()
		defer mu.Unlock()
		return total(byName), byName
	}}
}

// TestOnDemand: permission first, one question and one order for a name however
// many ask, and nothing but a short no for everybody else.
func TestOnDemand(t *testing.T) {
	for name, from := range map[string]func(testing.TB) asker{"app": appAsker, "url": urlAsker} {
		t.Run(name, func(t *testing.T) {
			a := from(t)
			ca := pebbletest.Start(t, pebbletest.Options{})
			p := &public{
				ca: ca, tls: fmt.Sprintf("  on_demand: {ask: %q}\n", a.ask), more: a.pools,
				sites: "- {routes: [{respond: {body: hi}}]}\n",
			}
			g := p.start(t)
			crowd(t, g, 1000, "shop.customer.test")
			if _, byName := a.asked(t); byName["shop.customer.test"] != 1 {
				t.Errorf("%d questions about one name, want 1", byName["shop.customer.test"])
			}
			wantOneOrder(t, ca, "shop.customer.test")
			if c := g.about(t, "shop.customer.test"); !c.OnDemand || c.Challenge != "http-01" {
				t.Errorf("headgate certs says %+v", c)
			}
			g.wantServed(t, "shop.customer.test")
			pairs := 5000
			if name == "url" {
				pairs = 1000
			}
			rejected(t, g, pairs)
			if n := len(ca.Orders()); n != 1 {
				t.Errorf("%d orders for names that nobody allows", n-1)
			}
			all, byName := a.asked(t)
			t.Logf("%d questions about %d names", all, len(byName))
			for name, n := range byName {
				if n > 1 {
					t.Errorf("%d questions about %s", n, name)
				}
			}
			g.leaf(t, "shop.customer.test") // it is still there
		})
	}
}

// crowd does n handshakes at once, which all have to succeed.
func crowd(t *testing.T, g *gateway, n int, name string) {
	t.Helper()
	var wg sync.WaitGroup
	var took times
	var failed atomic.Int64
	var one atomic.Pointer[error]
	for range n {
		wg.Go(func() {
			begin := time.Now()
			if _, err := g.shake(name); err != nil {
				failed.Add(1)
				one.Store(&err)
			}
			took.add(time.Since(begin))
		})
	}
	wg.Wait()
	t.Logf("handshakes at once for an unknown name: %s", took.summary())
	if err := one.Load(); err != nil {
		t.Errorf("%d of %d handshakes failed: %v", failed.Load(), n, *err)
	}
}

// rejected does pairs of handshakes for names that nobody allows: one for a name of
// its own, one for always the same. Memory is looked at after the first thousand,
// which fill what is there to be filled, and after all.
func rejected(t *testing.T, g *gateway, pairs int) {
	t.Helper()
	var same, distinct times
	reject := func(took *times, name string) {
		begin := time.Now()
		if c, err := g.peek(name); err == nil {
			t.Fatalf("%s has got a certificate for %s", name, c.DNSNames)
		} else if !strings.Contains(err.Error(), "unrecognized name") {
			t.Fatalf("%s: %v, want the alert unrecognized name", name, err)
		}
		took.add(time.Since(begin))
	}
	run := func(from, to int) {
		for i := from; i < to; i++ {
			reject(&distinct, fmt.Sprintf("name%05d.foreign.test", i))
			reject(&same, "same.foreign.test")
		}
	}
	run(0, 500)
	before, _ := g.resident(t)
	run(500, pairs)
	after, most := g.resident(t)
	t.Logf("rejects of distinct names: %s; of one name: %s; %d MiB before, %d MiB after, at most %d MiB", distinct.summary(), same.summary(), before, after, most)
	if after > before+16 {
		t.Errorf("memory grew from %d to %d MiB", before, after)
	}
	if m := same.at(0.5); m > 20*time.Millisecond {
		t.Errorf("a reject took %v", m)
	}
	if m := distinct.at(0.5); m > 50*time.Millisecond {
		t.Errorf("a reject took %v, with its question", m)
	}
}
