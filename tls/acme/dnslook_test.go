package acme_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/miekg/dns"

	hg "headgate/tls/acme"
	"headgate/tls/certs"
)

// world is a resolver and the two name servers of a zone, all at one port, as name
// servers are.
type world struct {
	resolver, primary, secondary *nameServer
}

func startWorld(t *testing.T) (world, func(certs.ChallengeOptions) acmez.Solver) {
	t.Helper()
	w := world{primary: startNameServer(t, "127.0.0.1:0", "example.test.", "d.example.test.")}
	port := w.primary.port(t)
	w.secondary = startNameServer(t, "127.0.0.2:"+port, "example.test.")
	w.resolver = startNameServer(t, "127.0.0.3:"+port, ".")
	w.resolver.set(func() { w.resolver.recursive = true })
	for _, line := range []string{
		"example.test. 60 IN NS ns1.example.test.", "example.test. 60 IN NS ns2.example.test.",
		"ns1.example.test. 60 IN A 127.0.0.1", "ns2.example.test. 60 IN A 127.0.0.2",
	} {
		w.resolver.add(t, line)
	}
	return w, func(o certs.ChallengeOptions) acmez.Solver {
		o.RFC2136 = certs.RFC2136{Server: w.primary.addr, KeyName: keyName, Key: keySecret}
		o.Resolvers = []string{w.resolver.addr}
		s := dnsSolver(t, o)
		hg.FindServersAt(s, port)
		return s
	}
}

// TestEveryNameServerHasToShowTheRecord also makes sure that the resolver is not
// asked for the record: it would go on saying that there is none.
func TestEveryNameServerHasToShowTheRecord(t *testing.T) {
	w, solver := startWorld(t)
	s := solver(certs.ChallengeOptions{PropagationTimeout: 20 * time.Second})
	c := challenge("example.test", "tok")
	if err := s.Present(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	looks := make(chan struct{}, 100)
	w.secondary.set(func() {
		w.secondary.answer = func(m *dns.Msg) bool {
			if m.Question[0].Qtype == dns.TypeTXT {
				looks <- struct{}{}
			}
			return true
		}
	})
	done := make(chan error, 1)
	go func() { done <- wait(t, s, c) }()
	for range 2 {
		select {
		case <-looks:
		case err := <-done:
			t.Fatalf("Wait returned %v while one name server lacks the record", err)
		}
	}
	w.secondary.add(t, `_acme-challenge.example.test. 60 IN TXT "`+c.DNS01KeyAuthorization()+`"`)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"TXT", "CNAME", "NS", "SOA"} {
		if w.resolver.asked(kind + " _acme-challenge.example.test.+rd") {
			t.Errorf("the resolver was asked for %s of the record's name", kind)
		}
	}
}

func TestSecondaryThatIsDownIsNotWaitedFor(t *testing.T) {
	w, solver := startWorld(t)
	s := solver(certs.ChallengeOptions{})
	c := challenge("example.test", "tok")
	w.secondary.set(func() {
		w.secondary.answer = func(m *dns.Msg) bool { m.Rcode = dns.RcodeServerFailure; return true }
	})
	if err := s.Present(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := wait(t, s, c); err != nil {
		t.Error(err)
	}
}

func TestRecordInAZoneBelow(t *testing.T) {
	w, solver := startWorld(t)
	// The secondary is primary of the parent alone and hands d.example.test over.
	w.secondary.add(t, "d.example.test. 60 IN NS ns1.example.test.")
	w.resolver.set(func() {
		w.resolver.records = slices.DeleteFunc(w.resolver.records, func(rr dns.RR) bool {
			ns, ok := rr.(*dns.NS)
			return ok && ns.Ns == "ns1.example.test."
		})
	})
	s := solver(certs.ChallengeOptions{PropagationTimeout: 5 * time.Second})
	c := challenge("x.d.example.test", "tok")
	if err := s.Present(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := wait(t, s, c); err != nil {
		t.Error(err)
	}
	if !w.primary.asked("TXT _acme-challenge.x.d.example.test.") {
		t.Error("the name server of the zone below was not asked")
	}
}

func TestRecordThatIsNotSeen(t *testing.T) {
	ns := startNameServer(t, "127.0.0.1:0", "example.test.")
	ns.set(func() { ns.hide = func(q dns.Question) bool { return q.Qtype == dns.TypeTXT } })
	o := byUpdate(ns)
	o.PropagationTimeout = 300 * time.Millisecond
	s := dnsSolver(t, o)
	c := challenge("example.test", "tok")
	if err := s.Present(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	wantError(t, wait(t, s, c), "_acme-challenge.example.test.", ns.addr, "propagation_timeout", "resolvers")
	if ns.asked("TXT _acme-challenge.example.test.+rd") {
		t.Error("a name server of the zone was asked as if it were a resolver")
	}

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.(acmez.Waiter).Wait(ctx, c); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Wait with a context that ends: %v", err)
	}
	o.PropagationTimeout = -1
	off := dnsSolver(t, o)
	if err := off.Present(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := wait(t, off, c); err != nil {
		t.Errorf("Wait with the look turned off: %v", err)
	}
	if err := wait(t, off, challenge("example.test", "other")); err == nil {
		t.Error("Wait for what was not presented has no error")
	}
}

func TestPropagationDelay(t *testing.T) {
	ns := startNameServer(t, "127.0.0.1:0", "example.test.")
	o := byUpdate(ns)
	o.PropagationDelay, o.PropagationTimeout = 200*time.Millisecond, -1
	s := dnsSolver(t, o)
	c := challenge("example.test", "tok")
	if err := s.Present(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := wait(t, s, c); err != nil || time.Since(start) < o.PropagationDelay {
		t.Errorf("Wait: %v after %v, want nil after %v", err, time.Since(start), o.PropagationDelay)
	}
}

func TestAliasesThatLeadNowhere(t *testing.T) {
	ns := startNameServer(t, "127.0.0.1:0", "example.test.")
	ns.add(t, "_acme-challenge.a.example.test. 60 IN CNAME b.example.test.")
	ns.add(t, "b.example.test. 60 IN CNAME _acme-challenge.a.example.test.")
	const long = "_acme-challenge.long.example.test."
	from := long
	for _, to := range "cdefghijklm" {
		next := string(to) + ".example.test."
		ns.add(t, from+" 60 IN CNAME "+next)
		from = next
	}
	s := dnsSolver(t, byUpdate(ns))
	wantError(t, s.Present(t.Context(), challenge("a.example.test", "t")), "circle", "_acme-challenge.a.example.test.")
	wantError(t, s.Present(t.Context(), challenge("long.example.test", "t")), "more than 8 CNAME", long)
}

func TestResolversThatCannotBeReached(t *testing.T) {
	ns := startNameServer(t, "127.0.0.1:0", "example.test.")
	o := byUpdate(ns)
	o.Resolvers = []string{"127.0.0.1:1"}
	err := dnsSolver(t, o).Present(t.Context(), challenge("example.test", "t"))
	wantError(t, err, "_acme-challenge.example.test.", "127.0.0.1:1", "set resolvers")

	o.PropagationTimeout = -1 // who does not look need not be able to
	if err := dnsSolver(t, o).Present(t.Context(), challenge("example.test", "t")); err != nil {
		t.Error(err)
	}
}
