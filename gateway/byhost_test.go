package gateway_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"headgate/gateway"
	"headgate/gateway/config"
	"headgate/gateway/gatewaytest"
	"headgate/gateway/stats"
)

// TestAnnouncedHosts: each host has its app, the nearest one, and nobody else's.
func TestAnnouncedHosts(t *testing.T) {
	t.Parallel()
	h := newHerald(t)
	g := gatewaytest.Start(t, h.conf(gatewaytest.Conf{}).String())
	one, below, deep := named(t, "one"), named(t, "below"), named(t, "deep")
	h.announce("One.Example:8080", one, 2)
	h.announce(".wild.example", below, 2)
	h.announce(".deep.wild.example", deep, 2)
	h.announce("exact.deep.wild.example", one, 2)
	untilReady(t, g, 4)
	for _, p := range gatewaytest.Protocols() {
		t.Run(p.String(), func(t *testing.T) {
			for host, want := range map[string]string{
				"one.example": "one for one.example as one.example", "ONE.example:8080": "one for ", "a.wild.example": "below for a.wild.example as a.wild.example",
				"a.b.wild.example": "below for a.b.wild.example", "wild.example": "below for wild.example", "x.deep.wild.example": "deep", "y.x.deep.wild.example": "deep",
				"exact.deep.wild.example": "one", "deep.wild.example": "deep",
			} {
				visitHost(t, g, p, host).wants(t, 200, want)
			}
		})
	}
	early := visitHost(t, g, gatewaytest.H2, "two.example")
	if got := early.get(); got.Code != 503 || got.Header.Get("Retry-After") == "" || !strings.Contains(got.Body, "just started") {
		t.Errorf("before all can have announced themselves: got %d %q", got.Code, got.Body)
	}
	until(t, "a no", func() bool { return early.get().Code == 404 })
	for _, p := range gatewaytest.Protocols() {
		t.Run(p.String(), func(t *testing.T) {
			for _, host := range []string{"two.example", "a.one.example", "example", "wildx.example"} {
				got := visitHost(t, g, p, host).get()
				if got.Code != 404 || !strings.Contains(got.Body, fmt.Sprintf("no app has announced the host %q", host)) || !strings.Contains(got.Body, "key="+host) {
					t.Errorf("%s: got %d %q", host, got.Code, got.Body)
				}
				if line := g.Request(got.ID); line.Number("status") != 404 || line.Text("host") != host {
					t.Errorf("%s: the access log has %v", host, line)
				}
			}
		})
	}
}

// TestAnnouncedSite: an app that has announced one host of a site is that of all,
// and routes of other kinds go on beside it.
func TestAnnouncedSite(t *testing.T) {
	t.Parallel()
	h := newHerald(t)
	dir := tree(t, map[string]string{"here.txt": "a file"})
	g := gatewaytest.Start(t, fmt.Sprintf(`listen: {http: ["127.0.0.1:0"], https: ["127.0.0.1:0"]}
subscriptions: {listen: "unix:%s"}
pools: {app: {subscriptions: true}}
sites:
- hosts: [shop.example, www.shop.example, "*.shop.test"]
  http: serve
  routes: [{path: /respond, respond: {body: said}}, {files: %q, pool: app}]
- {hosts: [other.example], http: serve, routes: [{pool: app}]}
`, h.socket, dir))
	shop, sub := named(t, "shop"), named(t, "sub")
	h.announce("www.shop.example", shop, 1)
	h.announce("eu.shop.test", sub, 1)
	untilReady(t, g, 2)
	for _, p := range gatewaytest.Protocols() {
		visitHost(t, g, p, "shop.example").wants(t, 200, "shop for shop.example as shop.example")
		visitHost(t, g, p, "www.shop.example").wants(t, 200, "shop for www.shop.example")
		visitHost(t, g, p, "eu.shop.test").wants(t, 200, "sub for eu.shop.test")
		visitHost(t, g, p, "us.shop.test").wants(t, 200, "shop for us.shop.test")
		visitHost(t, g, p, "other.example").wants(t, 503, "no app has announced")
		c := visitHost(t, g, p, "shop.example")
		for path, want := range map[string]string{"/respond": "said", "/here.txt": "a file", "/none.txt": "shop"} {
			r := c.Request("GET", path, nil)
			r.Host = c.host
			if got := c.Do(r); got.Code != 200 || !strings.HasPrefix(got.Body, want) {
				t.Errorf("%s over %s: got %d %q, want %q", path, p, got.Code, got.Body, want)
			}
		}
	}
}

// TestAnnouncedSlots: an instance has as many requests at once as it has announced
// cores; the others wait here.
func TestAnnouncedSlots(t *testing.T) {
	t.Parallel()
	h := newHerald(t)
	g := gatewaytest.Start(t, h.conf(gatewaytest.Conf{}).String())
	may := make(chan struct{})
	release := sync.OnceFunc(func() { close(may) })
	w := heldNamed(t, may)
	t.Cleanup(release)
	h.announce("a.example", w, 2)
	untilReady(t, g, 1)
	var answers []<-chan *gatewaytest.Response
	for i := range 5 {
		answers = append(answers, visitHost(t, g, gatewaytest.Protocols()[i], "a.example").later())
	}
	p := untilPool(t, g, "two in flight, three waiting", func(p stats.Pool) bool { return p.InFlight() == 2 && p.Queued == 3 })
	if m := p.Members[0]; m.Slots != 2 || m.Known != "announced" && m.Known != "config" {
		t.Errorf("the member is %+v", m)
	}
	h.announce("a.example", w, 4) // it has grown
	untilPool(t, g, "four in flight", func(p stats.Pool) bool { return p.InFlight() == 4 && p.Queued == 1 })
	release()
	for _, a := range answers {
		if got := <-a; got.Code != 200 {
			t.Errorf("got %d %q, %v", got.Code, got.Body, got.BodyErr)
		}
	}
}

// TestAnnouncedAppIsAwayForAMoment: an app that is started again keeps its requests
// waiting, wherever it comes back; those of others go on.
func TestAnnouncedAppIsAwayForAMoment(t *testing.T) {
	t.Parallel()
	h := newHerald(t)
	g := gatewaytest.Start(t, h.conf(gatewaytest.Conf{}).String())
	first, second, other := named(t, "first"), named(t, "second"), named(t, "other")
	h.announce("a.example", first, 1)
	h.announce("b.example", other, 1)
	untilReady(t, g, 2)
	visitHost(t, g, gatewaytest.H1, "a.example").wants(t, 200, "first")
	h.withdraw("a.example", first)
	untilPool(t, g, "one member", func(p stats.Pool) bool { return len(p.Members) == 1 })
	var answers []<-chan *gatewaytest.Response
	for _, p := range gatewaytest.Protocols() {
		answers = append(answers, visitHost(t, g, p, "a.example").later())
	}
	untilPool(t, g, "five waiting", func(p stats.Pool) bool { return p.Queued == 5 })
	visitHost(t, g, gatewaytest.H2, "b.example").wants(t, 200, "other")
	h.announce("a.example", second, 2)
	for _, a := range answers {
		if got := <-a; got.Code != 200 || !strings.HasPrefix(got.Body, "second") {
			t.Errorf("got %d %q, %v", got.Code, got.Body, got.BodyErr)
		}
	}
}

// TestAnnouncedMoves: an instance that moves is replaced without a failure.
func TestAnnouncedMoves(t *testing.T) {
	t.Parallel()
	h := newHerald(t)
	g := gatewaytest.Start(t, h.conf(gatewaytest.Conf{}).String())
	old := named(t, "0")
	h.announce("a.example", old, 2)
	untilReady(t, g, 1)
	for i := 1; i <= 10; i++ {
		var answers []<-chan *gatewaytest.Response
		for _, p := range gatewaytest.Protocols() {
			answers = append(answers, visitHost(t, g, p, "a.example").later())
		}
		next := named(t, fmt.Sprint(i))
		h.announce("a.example", next, 2)
		h.withdraw("a.example", old)
		for _, a := range answers {
			if got := <-a; got.Code != 200 {
				t.Errorf("move %d: got %d %q, %v", i, got.Code, got.Body, got.BodyErr)
			}
		}
		untilPool(t, g, "at its new place", func(p stats.Pool) bool {
			return len(p.Members) == 1 && p.Members[0].Address == next.Addr().String()
		})
		old = next
	}
}

// TestOneInstanceWithTwoKeys: it is one member for people, which is drained for both
// hosts, and is forgotten when it has gone from both.
func TestOneInstanceWithTwoKeys(t *testing.T) {
	t.Parallel()
	h := newHerald(t)
	g := gatewaytest.Start(t, h.conf(gatewaytest.Conf{}).String())
	may := make(chan struct{})
	release := sync.OnceFunc(func() { close(may) })
	w := heldNamed(t, may)
	t.Cleanup(release)
	address := w.Addr().String()
	h.announce("a.example", w, 1)
	h.announce("b.example", w, 1)
	untilReady(t, g, 2)
	a, b := visitHost(t, g, gatewaytest.H2, "a.example"), visitHost(t, g, gatewaytest.H3, "b.example")
	answers := []<-chan *gatewaytest.Response{a.later(), b.later()}
	p := untilPool(t, g, "two in flight", func(p stats.Pool) bool { return p.InFlight() == 2 })
	if len(p.Members) != 1 || p.Members[0].InFlight != 2 || p.Members[0].Requests != 2 || p.Members[0].Slots != 1 {
		t.Errorf("the members are %+v, want one with two requests", p.Members)
	}
	change, err := g.DrainMember("app", address, true)
	if want := (stats.PoolChange{Pool: "app", Member: address, State: stats.MemberDrained, Changed: true, InFlight: 2}); err != nil || change != want {
		t.Errorf("drain: got %+v, %v, want %+v", change, err, want)
	}
	answers = append(answers, a.later(), b.later())
	untilPool(t, g, "two waiting", func(p stats.Pool) bool { return p.Queued == 2 })
	if got := inPool(g); !slices.Equal(got, []string{"drained " + address}) {
		t.Errorf("members: %v", got)
	}
	if change, err = g.DrainMember("app", address, false); err != nil || !change.Changed || change.State != stats.MemberUp {
		t.Errorf("undrain: got %+v, %v", change, err)
	}
	release()
	for _, got := range answers {
		if got := <-got; got.Code != 200 {
			t.Errorf("got %d %q, %v", got.Code, got.Body, got.BodyErr)
		}
	}
	h.withdraw("a.example", w)
	untilReady(t, g, 1)
	if p := untilPool(t, g, "idle", func(p stats.Pool) bool { return p.InFlight() == 0 }); len(p.Members) != 1 || p.Members[0].Requests != 4 {
		t.Errorf("with one key left the members are %+v", p.Members)
	}
	h.withdraw("b.example", w)
	untilPool(t, g, "empty", func(p stats.Pool) bool { return len(p.Members) == 0 })
	h.announce("a.example", w, 1)
	untilReady(t, g, 1)
	if p := poolOf(g); p.Members[0].Requests != 0 {
		t.Errorf("a member that was gone begins with %d requests", p.Members[0].Requests)
	}
	if _, err := g.DrainMember("app", "unix:/nowhere", true); err == nil || !strings.Contains(err.Error(), "it has "+address) {
		t.Errorf("drain of nobody says %v", err)
	}
}

// TestPauseOfAllHosts: what is paused is the pool, not one of its hosts.
func TestPauseOfAllHosts(t *testing.T) {
	t.Parallel()
	h := newHerald(t)
	g := gatewaytest.Start(t, h.conf(gatewaytest.Conf{}).String())
	a, b, late := named(t, "a"), named(t, "b"), named(t, "late")
	h.announce("a.example", a, 1)
	h.announce("b.example", b, 1)
	untilReady(t, g, 2)
	change, err := g.PausePool("app", time.Minute)
	if err != nil || !change.Changed || change.Up != 2 || change.PausedUntil.IsZero() {
		t.Errorf("pause: got %+v, %v", change, err)
	}
	answers := []<-chan *gatewaytest.Response{visitHost(t, g, gatewaytest.H1, "a.example").later(), visitHost(t, g, gatewaytest.H3, "b.example").later()}
	untilPool(t, g, "two waiting", func(p stats.Pool) bool { return p.Queued == 2 && !p.PausedUntil.IsZero() })
	h.announce("late.example", late, 1)
	untilReady(t, g, 3)
	answers = append(answers, visitHost(t, g, gatewaytest.H2, "late.example").later())
	untilPool(t, g, "three waiting", func(p stats.Pool) bool { return p.Queued == 3 })
	if change, err = g.ResumePool("app"); err != nil || !change.Changed || !change.PausedUntil.IsZero() {
		t.Errorf("resume: got %+v, %v", change, err)
	}
	for _, got := range answers {
		if got := <-got; got.Code != 200 {
			t.Errorf("got %d %q, %v", got.Code, got.Body, got.BodyErr)
		}
	}
	if change, err = g.ResumePool("app"); err != nil || change.Changed {
		t.Errorf("another resume: got %+v, %v", change, err)
	}
}

// TestReloadKeepsAnnouncedMembers: who has announced itself stays, with what is known
// of it, and requests go on.
func TestReloadKeepsAnnouncedMembers(t *testing.T) {
	t.Parallel()
	h := newHerald(t)
	conf := h.conf(gatewaytest.Conf{})
	g := gatewaytest.Start(t, conf.String())
	w := named(t, "w")
	h.announce("a.example", w, 2)
	untilReady(t, g, 1)
	for i := range 10 {
		conf.Limits = fmt.Sprintf("headers: %d", 100+i)
		conf.Pool = fmt.Sprintf("queue: {limit: %d}", 100+i)
		again := h.conf(gatewaytest.Conf{Limits: conf.Limits, Pool: conf.Pool})
		answers := []<-chan *gatewaytest.Response{visitHost(t, g, gatewaytest.H1, "a.example").later(), visitHost(t, g, gatewaytest.H2, "a.example").later(), visitHost(t, g, gatewaytest.H3, "a.example").later()}
		if err := g.ReloadWith(again.String()); err != nil {
			t.Fatal(err)
		}
		for _, a := range answers {
			if got := <-a; got.Code != 200 {
				t.Errorf("reload %d: got %d %q, %v", i, got.Code, got.Body, got.BodyErr)
			}
		}
		visitHost(t, g, gatewaytest.H1, "a.example").wants(t, 200, "w for")
	}
	p := untilPool(t, g, "idle", func(p stats.Pool) bool { return p.InFlight() == 0 })
	if len(p.Members) != 1 || p.Members[0].Requests != 40 || p.Members[0].State != stats.MemberUp {
		t.Errorf("the members are %+v, want one with 40 requests", p.Members)
	}
	if _, err := g.DrainMember("app", w.Addr().String(), true); err != nil {
		t.Fatal(err)
	}
	if err := g.ReloadWith(h.conf(gatewaytest.Conf{}).String()); err != nil {
		t.Fatal(err)
	}
	if got := inPool(g); !slices.Equal(got, []string{"drained " + w.Addr().String()}) {
		t.Errorf("members after a reload: %v", got)
	}
}

// TestReloadWithOtherRules: what may not be announced any more is gone, and what may
// be stays.
func TestReloadWithOtherRules(t *testing.T) {
	t.Parallel()
	h := newHerald(t)
	g := gatewaytest.Start(t, h.conf(gatewaytest.Conf{}).String())
	a, b := named(t, "a"), named(t, "b")
	h.announce("a.example", a, 1)
	h.announce("b.test", b, 1)
	untilReady(t, g, 2)
	rules := h.allowing(gatewaytest.Conf{Pool: "queue: {timeout: 200ms}"}, ", allow: [{keys: [.example]}]")
	if err := g.ReloadWith(rules.String()); err != nil {
		t.Fatal(err)
	}
	untilPool(t, g, "one member", func(p stats.Pool) bool { return len(p.Members) == 1 })
	visitHost(t, g, gatewaytest.H2, "a.example").wants(t, 200, "a for")
	visitHost(t, g, gatewaytest.H2, "b.test").wants(t, 503, "Service Unavailable")
	refused := counted(g, "not_allowed")
	h.announce("b.test", b, 1)
	until(t, "a packet that is not allowed", func() bool { return counted(g, "not_allowed") > refused })
	if n := g.Snapshot().Subscribed.Nodes; len(n) != 1 || n[0].Key != "a.example" {
		t.Errorf("nodes: %+v", n)
	}
}

// TestReloadsWhileHostsComeAndGo: neither waits for the other for ever.
func TestReloadsWhileHostsComeAndGo(t *testing.T) {
	t.Parallel()
	h := newHerald(t)
	conf := func(i int) string {
		return h.allowing(gatewaytest.Conf{Limits: fmt.Sprintf("headers: %d", 100+i)}, fmt.Sprintf(", allow: [{keys: [.example, k%d.test]}]", i)).String()
	}
	g := gatewaytest.Start(t, conf(0))
	w := named(t, "w")
	enough, churned := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(churned)
		tick := time.NewTicker(30 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			for k := range 100 {
				h.send(byte(n%2), fmt.Sprintf("k%d.example", k), w.Addr().String(), "cores", "1")
			}
			select {
			case <-tick.C:
			case <-enough:
				return
			}
		}
	}()
	done := make(chan error, 1)
	go func() {
		for i := range 100 {
			if err := g.ReloadWith(conf(i)); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("a reload waits for a member that leaves, which waits for the reload")
	}
	close(enough)
	wait(t, churned, "the end of the churn")
	h.announce("last.example", w, 1)
	v := visitHost(t, g, gatewaytest.H1, "last.example")
	until(t, "an answer of who came last", func() bool { return v.get().Code == 200 })
}

// TestExplainOfAnAnnouncedHost says who would answer, and what it would be told.
func TestExplainOfAnAnnouncedHost(t *testing.T) {
	t.Parallel()
	h := newHerald(t)
	c, err := config.Parse("test.yaml", []byte(h.conf(gatewaytest.Conf{}).String()+"\ntls: {issuer: internal}\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	e, err := gateway.Explain(c, "GET", "https://Shop.Example/x?y=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	if e.Pool != "app" || e.Status != 0 || !slices.Equal(e.Members, []string{"who has announced shop.example"}) {
		t.Errorf("got %+v", e)
	}
	vars := map[string]string{}
	for _, v := range e.Vars {
		vars[v.Key] = v.Value
	}
	if vars["SERVER_NAME"] != "shop.example" || vars["PATH_INFO"] != "/x" || vars["QUERY_STRING"] != "y=1" {
		t.Errorf("it would be told %v", vars)
	}
}

// TestCertificatesOfAnnouncedHosts: a host has one as soon as an app has announced it,
// even if it was asked for before; others have none.
func TestCertificatesOfAnnouncedHosts(t *testing.T) {
	t.Parallel()
	h := newHerald(t)
	g, ca := onDemand(t, h.conf(gatewaytest.Conf{}), "subscriptions")
	for range 2 {
		if _, err := shake(t, g, "shop.example"); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
			t.Errorf("a name that nobody has announced: %v", err)
		}
	}
	w := named(t, "shop")
	begin := time.Now()
	h.announce("shop.example", w, 2)
	h.announce(".wild.example", w, 2)
	for _, p := range secure() {
		v := visitHost(t, g, p, "shop.example")
		until(t, "an answer over "+p.String(), func() bool { return v.get().Code == 200 })
	}
	t.Logf("announced, asked for a certificate and answered over %v within %v", secure(), time.Since(begin))
	if cert, err := shake(t, g, "a.wild.example"); err != nil || cert.VerifyHostname("a.wild.example") != nil {
		t.Errorf("below a wildcard: %v, %v", cert, err)
	}
	if _, err := shake(t, g, "other.example"); err == nil {
		t.Error("a name that nobody has announced has a certificate")
	}
	if got := ca.Orders(); !slices.Equal(got, []string{"shop.example", "a.wild.example"}) {
		t.Errorf("orders: %v", got)
	}
	h.withdraw("shop.example", w)
	untilReady(t, g, 1)
	if _, err := shake(t, g, "shop.example"); err != nil {
		t.Errorf("the certificate is there, and the app away for a moment: %v", err)
	}
}
