package livetest_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestSubscribeAppears: an instance that announces itself is behind HTTPS within a
// second of its first packet, or of when it can answer if that is later.
func TestSubscribeAppears(t *testing.T) {
	t.Parallel()
	f := startFleet(t, fleetConf{})
	r := startRelay(t, f.udp, "127.0.0.1")
	var fromPacket, fromSpawn times
	for i := range 5 {
		host := fmt.Sprintf("new%d.fleet.test", i)
		spawn := time.Now()
		a := f.instance(t, fmt.Sprint("new", i), 0, announces(r.addr, host, "")...)
		first := f.answered(t, host)
		packet := r.first(t, host, 0)
		fromPacket.add(first.Sub(packet.at))
		fromSpawn.add(first.Sub(spawn))
		if status, body := f.page(t, h3, host); status != http.StatusOK || body != fmt.Sprint("new", i) {
			t.Errorf("%s over h3: %d %s", host, status, body)
		}
		if accepts("unix", a.socket)(); a.over() {
			t.Fatal("uWSGI has ended")
		}
	}
	t.Logf("from the first packet to the first answer: %s; from the start of the process: %s", fromPacket.summary(), fromSpawn.summary())
	if m := fromPacket.at(0.5); m > time.Second {
		t.Errorf("an instance appeared %v after its first packet", m)
	}
}

// TestSubscribeHosts: keys as host names, several of one instance, and for all names
// below; who is not announced is not found.
func TestSubscribeHosts(t *testing.T) {
	t.Parallel()
	f := startFleet(t, fleetConf{})
	two := append(announces(f.udp, "one.fleet.test", ""), announces(f.unix, "Two.Fleet.Test:8443", "")...)
	f.instance(t, "two", 0, two...)
	f.instance(t, "below", 0, announces(f.udp, ".below.fleet.test", "")...)
	f.instance(t, "exact", 0, announces(f.udp, "exact.below.fleet.test", "addr=127.0.0.1:"+freePort(t))...) // nobody listens there
	f.wantReady(t, 3)
	for _, host := range []string{"one.fleet.test", "two.fleet.test", "a.below.fleet.test"} {
		f.answered(t, host)
	}
	nobody := fmt.Sprint(http.StatusServiceUnavailable) // the gateway has just started
	if os.Getenv("HEADGATE_TEST_LONG") != "" {
		nobody = fmt.Sprint(http.StatusNotFound)
		if !eventually(20*time.Second, func() bool { status, _ := f.page(t, h1, "three.fleet.test"); return status == http.StatusNotFound }) {
			t.Error("a host that nobody has announced is not 404")
		}
	}
	for _, p := range protocols {
		for host, want := range map[string]string{
			"one.fleet.test": "200 two", "two.fleet.test": "200 two", "a.below.fleet.test": "200 below", "x.deep.below.fleet.test": "200 below",
			"exact.below.fleet.test": "200 below", "three.fleet.test": nobody, "fleet.test": nobody,
		} {
			status, body := f.page(t, p, host)
			if got := fmt.Sprint(status, " ", body); !strings.HasPrefix(got, want) || want == nobody && !strings.Contains(body, "no app has announced the host") {
				t.Errorf("%s over %s: %s, want %s", host, p, got, want)
			}
		}
	}

	s := f.status(t)
	refused := ""
	for _, n := range s.Subscriptions.Nodes {
		if !n.Ready {
			refused += n.Key + ": " + n.Error
		}
	}
	if !strings.HasPrefix(refused, "exact.below.fleet.test: ") || !strings.Contains(refused, "refused") || strings.Count(refused, ": ") < 1 {
		t.Errorf("headgate status does not say why one gets nothing: %q", refused)
	}
	if n := len(s.Pools[0].Members); n != 2 {
		t.Errorf("%d members, want that an instance with two keys is one: %+v", n, s.Pools[0].Members)
	}
	table, _, _ := run(t, headgate, "status", "--socket", f.admin)
	for _, w := range []string{"SUBSCRIPTION", "one.fleet.test", "two.fleet.test", ".below.fleet.test", "exact.below.fleet.test at 127.0.0.1:"} {
		if !strings.Contains(table, w) {
			t.Errorf("headgate status has no %q:\n%s", w, table)
		}
	}
	m := f.scrape(t)
	two2 := "unix:" + filepath.Join(f.dir, "two.sock")
	for _, line := range []string{
		`headgate_subscription_nodes{state="ready"} 3`, `headgate_subscription_nodes{state="waiting"} 1`, `headgate_subscription_packets_total{result="malformed"} 0`,
		fmt.Sprintf(`headgate_upstream_member_requests_total{member=%q,pool="apps"} %d`, two2, 2*len(protocols)+2), fmt.Sprintf(`headgate_upstream_member_up{member=%q,pool="apps"} 1`, two2),
	} {
		if !strings.Contains(m, line+"\n") {
			t.Errorf("metrics have no line %s", line)
		}
	}
}

// TestSubscribeRestart: requests wait for an instance that is started again, whether it
// has said that it goes or not.
func TestSubscribeRestart(t *testing.T) {
	t.Parallel()
	f := startFleet(t, fleetConf{subscriptions: "expire: 2s"})
	for _, row := range []struct {
		name string
		end  func(a *app)
	}{
		{"quit", func(a *app) { a.tell(t, "q") }},
		{"interrupted", func(a *app) { a.signal(t, syscall.SIGINT) }},
		{"killed", func(a *app) { a.killAll(t) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			host := row.name + ".fleet.test"
			// It has room for all who ask: of those for whom it has none the newest go first,
			// after a wait as long as this, and the others may wait in vain.
			options := append(announces(f.udp, host, ""), "--subscribe-freq", "1", "--processes", "4")
			a := f.instance(t, row.name, 0, options...)
			f.answered(t, host)
			th := f.startThrong(t, host, 1, 0.01, h1, h2, h3)
			spend(500 * time.Millisecond)
			row.end(a)
			<-a.ended
			away := th.now()
			spend(lasting(3*time.Second, 15*time.Second)) // it has expired
			back := time.Now()
			f.instance(t, row.name, 0, options...)
			f.answered(t, host)
			t.Logf("away for %.1f s, answered %.2f s after it was started again", (th.now() - away).Seconds(), time.Since(back).Seconds())
			spend(500 * time.Millisecond)
			all := th.end()
			all.wantAll(t)
			if len(all.where(func(o outcome) bool { return o.took() > 2*time.Second })) == 0 {
				t.Error("nobody had to wait: the instance was not away")
			}
		})
	}
}

// TestSubscribeOtherRules: a reload drops what may not be announced any more, and
// nobody else notices.
func TestSubscribeOtherRules(t *testing.T) {
	t.Parallel()
	c := fleetConf{pools: "  apps: {subscriptions: true, queue: {timeout: 300ms}}\n"}
	f := startFleet(t, c)
	f.instance(t, "stays", 0, announces(f.udp, "stays.fleet.test", "")...)
	f.instance(t, "goes", 0, append(announces(f.udp, "goes.fleet.test", ""), "--subscribe-freq", "1")...)
	f.wantReady(t, 2)
	f.answered(t, "stays.fleet.test")
	f.answered(t, "goes.fleet.test")
	th := f.startThrong(t, "stays.fleet.test", 2, 0.005, h1, h2, h3)
	for i := range 6 {
		c.subscriptions = ""
		if i%2 == 0 {
			c.subscriptions = `allow: [{from: [127.0.0.1], keys: [stays.fleet.test, "*.other.test"]}]`
		}
		f.reload(t, c)
		want := 2 - (i+1)%2
		if !eventually(10*time.Second, func() bool { return len(f.status(t).ready()) == want }) {
			t.Fatalf("reload %d: %v, want %d", i, f.status(t).ready(), want)
		}
		status, body := f.page(t, h2, "goes.fleet.test")
		if want == 1 && status == http.StatusOK {
			t.Errorf("reload %d: who may not be announced answers: %d %s", i, status, body)
		}
		if want == 2 {
			f.answered(t, "goes.fleet.test")
		}
		if i == 4 && !eventually(5*time.Second, func() bool { return f.status(t).Subscriptions.Counters["not_allowed"] > 0 }) {
			t.Error("packets that are not allowed were not counted")
		}
	}
	all := th.end()
	all.wantAll(t)
	t.Logf("%d requests over 6 reloads", len(all))
}
