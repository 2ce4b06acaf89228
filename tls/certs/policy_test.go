package certs_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"testing"

	"headgate/tls/certs"
)

func TestMinVersionBySite(t *testing.T) {
	modern := certs.SiteOptions{MinVersion: "1.3"}
	s := siteStore(t, nil, certs.Options{},
		certs.Site{Hosts: []string{"modern.test", "*.wild.test", "192.0.2.1"}, Options: modern},
		certs.Site{Hosts: []string{"old.wild.test", "old.test"}})
	strict := siteStore(t, nil, certs.Options{MinVersion: "1.3"},
		certs.Site{Hosts: []string{"modern.test"}},
		certs.Site{Hosts: []string{"old.test"}, Options: certs.SiteOptions{MinVersion: "1.2"}})
	for _, tt := range []struct {
		store *certs.Store
		sni   string
		old   bool
	}{
		{s, "old.test", true},
		{s, "unknown.test", true},
		{s, "modern.test", false},
		{s, "a.wild.test", false},
		{s, "a.b.wild.test", true}, // a wildcard is one label
		{s, "old.wild.test", true}, // exact before wildcard
		{s, "OLD.wild.test", true}, // any case
		{s, "a.WILD.test", false},  // any case
		{s, "", false},             // the address that it connected to
		{strict, "unknown.test", false},
		{strict, "modern.test", false},
		{strict, "old.test", true},
	} {
		if m := meet(t, tt.store.TLSConfig(), visitor(tt.sni, tls.VersionTLS12)); (m.err == nil) != tt.old {
			t.Errorf("TLS 1.2 for %q: %v, want success %v", tt.sni, m.err, tt.old)
		}
		c := visitor(tt.sni, tls.VersionTLS13)
		c.NextProtos = []string{"h2"}
		if m := meet(t, tt.store.TLSConfig().Clone(), c); m.err != nil || m.client.NegotiatedProtocol != "h2" {
			t.Errorf("TLS 1.3 for %q: %q, %v", tt.sni, m.client.NegotiatedProtocol, m.err)
		}
	}
}

func TestSamePolicyAndAdmits(t *testing.T) {
	ca, other := newClientCA(t, "Staff"), newClientCA(t, "Other")
	roots := file(t, "ca.pem", certPEM(ca.certs[0]))
	sites := func(open certs.ClientAuth) []certs.Site {
		return []certs.Site{
			authSite("open.test", open),
			{Hosts: []string{"also.test"}},
			{Hosts: []string{"modern.test"}, Options: certs.SiteOptions{MinVersion: "1.3"}},
			authSite("staff.test", certs.ClientAuth{CA: roots}),
			authSite("*.staff.test", certs.ClientAuth{CA: roots, Certificate: true}),
			authSite("maybe.test", certs.ClientAuth{CA: roots, Mode: "request"}),
			authSite("192.0.2.1", certs.ClientAuth{CA: roots}),
			authSite("other.test", certs.ClientAuth{CA: file(t, "ca.pem", certPEM(other.certs[0]))}),
		}
	}
	s := siteStore(t, nil, certs.Options{}, sites(certs.ClientAuth{})...)
	ann := ca.client(t, 0)
	for _, tt := range []struct {
		sni, host    string
		same, admits bool
	}{
		{"open.test", "open.test", true, true},
		{"open.test", "also.test", true, true},
		{"open.test", "ALSO.test.", true, true},
		{"open.test", "modern.test", true, false}, // the connection is TLS 1.2
		{"modern.test", "open.test", true, true},
		{"open.test", "staff.test", false, false},
		{"open.test", "maybe.test", false, false},
		{"unknown.test", "staff.test", false, false},
		{"", "staff.test", false, false},
		{"", "192.0.2.1", false, true},
		{"staff.test", "open.test", false, false},
		{"staff.test", "staff.test", true, true},
		{"staff.test", "STAFF.test", true, true},
		{"staff.test", "a.staff.test", true, true}, // what the app is told does not matter
		{"staff.test", "maybe.test", false, false},
		{"staff.test", "other.test", false, false},
		{"maybe.test", "staff.test", false, false},
	} {
		if got := s.SamePolicy(tt.sni, tt.host); got != tt.same {
			t.Errorf("SamePolicy(%q, %q) = %v, want %v", tt.sni, tt.host, got, tt.same)
		}
		version := uint16(tls.VersionTLS12)
		if tt.sni == "modern.test" {
			version = tls.VersionTLS13
		}
		m := meet(t, s.TLSConfig(), visitor(tt.sni, version, ann))
		if m.err != nil {
			t.Fatal(m.err)
		}
		if got := s.Admits(&m.server, tt.host); got != tt.admits {
			t.Errorf("Admits(%q, %q) = %v, want %v", tt.sni, tt.host, got, tt.admits)
		}
	}

	// Connections that are older than a reload.
	open := meet(t, s.TLSConfig(), visitor("open.test", 0)).server
	staff := meet(t, s.TLSConfig(), visitor("staff.test", 0, ann)).server
	s.Swap(siteSet(t, s, certs.Options{}, sites(certs.ClientAuth{CA: roots})...))
	if s.Admits(&open, "open.test") || !s.Admits(&staff, "staff.test") {
		t.Error("a connection from before client_auth was turned on is admitted, or one that has shown a certificate is not")
	}
	s.Swap(siteSet(t, s, certs.Options{}, authSite("staff.test", certs.ClientAuth{CA: file(t, "ca.pem", certPEM(other.certs[0]))})))
	if s.Admits(&staff, "staff.test") {
		t.Error("a client of an authority that is gone is admitted")
	}
	for host, want := range map[string][2]bool{"staff.test": {true, false}, "open.test": {false, false}, "a.staff.test": {false, false}} {
		if wants, cert := s.WantsClientVars(host); wants != want[0] || cert != want[1] {
			t.Errorf("WantsClientVars(%q) = %v, %v, want %v", host, wants, cert, want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { s.SamePolicy("staff.test", "staff.test"); s.Admits(&open, "also.test") }); n != 0 {
		t.Errorf("SamePolicy and Admits allocate %v times", n)
	}
}

// TestReloadKeepsPolicies: tickets are good after a reload that changes nothing,
// and in another process with the same files.
func TestReloadKeepsPolicies(t *testing.T) {
	ca := newClientCA(t, "Staff")
	site := authSite("a.test", certs.ClientAuth{CA: file(t, "ca.pem", certPEM(ca.certs[0]))})
	s := siteStore(t, nil, certs.Options{}, site)
	c := visitor("a.test", 0, ca.client(t, 0))
	c.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for i, resumed := range []bool{false, true, true} {
		if m := meet(t, s.TLSConfig(), c); m.err != nil || m.client.DidResume != resumed {
			t.Errorf("handshake %d: %v, resumed %v, want %v", i+1, m.err, m.client.DidResume, resumed)
		}
		s.Swap(siteSet(t, s, certs.Options{}, certs.Site{Hosts: []string{"b.test"}}, site))
	}
	site.Options.ClientAuth.Depth = 2
	s.Swap(siteSet(t, s, certs.Options{}, site))
	if m := meet(t, s.TLSConfig(), c); m.err != nil || m.client.DidResume {
		t.Errorf("after a change of depth: %v, resumed %v", m.err, m.client.DidResume)
	}
}

// hellos are 10,000 sites of three policies, and a client for one of each.
func hellos(t testing.TB) (*tls.Config, []*tls.ClientHelloInfo) {
	roots := file(t, "ca.pem", certPEM(newClientCA(t, "Staff").certs[0]))
	var sites []certs.Site
	for i := range 10000 {
		site := certs.Site{Hosts: []string{fmt.Sprintf("s%d.example.com", i), fmt.Sprintf("*.s%d.example.com", i)}}
		switch i % 3 {
		case 1:
			site.Options.MinVersion = "1.3"
		case 2:
			site.Options.ClientAuth.CA = roots
		}
		sites = append(sites, site)
	}
	s := siteStore(t, nil, certs.Options{}, sites...)
	a, b := net.Pipe()
	t.Cleanup(func() { a.Close(); b.Close() })
	var out []*tls.ClientHelloInfo
	for _, name := range []string{"s9000.example.com", "s9001.example.com", "s9002.example.com", "www.s9002.example.com", "unknown.test"} {
		out = append(out, &tls.ClientHelloInfo{ServerName: name, Conn: a, SupportedProtos: []string{"h2", "http/1.1"}})
	}
	return s.TLSConfig(), out
}

func TestGetConfigForClientDoesNotAllocate(t *testing.T) {
	c, list := hellos(t)
	for _, hello := range list {
		if n := testing.AllocsPerRun(100, func() { _, _ = c.GetConfigForClient(hello) }); n != 0 {
			t.Errorf("%s: %v allocations", hello.ServerName, n)
		}
	}
}

func BenchmarkGetConfigForClient(b *testing.B) {
	c, list := hellos(b)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := c.GetConfigForClient(list[i%len(list)]); err != nil {
			b.Fatal(err)
		}
	}
}
