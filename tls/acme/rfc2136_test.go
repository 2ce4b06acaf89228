package acme_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	hg "headgate/tls/acme"
	"headgate/tls/acme/pebbletest"
	"headgate/tls/certs"
)

func byUpdate(s *nameServer) certs.ChallengeOptions {
	return certs.ChallengeOptions{
		Type: "dns-01", Resolvers: []string{s.addr},
		RFC2136: certs.RFC2136{Server: s.addr, KeyName: "headgate-test", Key: keySecret},
	}
}

func TestOrdersByDynamicUpdates(t *testing.T) {
	ns := startNameServer(t, "127.0.0.1:0", "example.test.", "delegated.test.", "sub.zone.test.")
	ns.add(t, "_acme-challenge.shop.example.test. 60 IN CNAME a.example.test.")
	ns.add(t, "a.example.test. 60 IN CNAME shop.delegated.test.")
	ca := pebbletest.Start(t, pebbletest.Options{DNS: ns.addr})
	c := newClient(t, ca)
	s := dnsSolver(t, byUpdate(ns))
	for _, names := range [][]string{
		{"example.test"},
		{"*.example.test"},
		{"*.example.test", "example.test"},
		{"a.example.test", "b.example.test", "*.c.example.test"},
		{"shop.example.test", "*.shop.example.test"}, // delegated
		{"deep.sub.zone.test"},
	} {
		t.Run(strings.Join(names, " "), func(t *testing.T) {
			if err := c.order(t, "dns-01", s, names...); err != nil {
				t.Fatal(err)
			}
			if hg.Proofs(s) != 0 {
				t.Errorf("%d records are remembered after the order", hg.Proofs(s))
			}
		})
	}
	for _, name := range []string{"_acme-challenge.example.test.", "shop.delegated.test.", "_acme-challenge.deep.sub.zone.test."} {
		if left := ns.texts(name); len(left) > 0 {
			t.Errorf("%s still has %q", name, left)
		}
	}
}

func TestRecordsOfOthersStay(t *testing.T) {
	ns := startNameServer(t, "127.0.0.1:0", "example.test.")
	const name = "_acme-challenge.example.test."
	ns.add(t, name+` 60 IN TXT "of another gateway"`)
	s := dnsSolver(t, byUpdate(ns))
	one, two := challenge("example.test", "one"), challenge("example.test", "two")
	for _, c := range []func() error{
		func() error { return s.Present(t.Context(), one) },
		func() error { return s.Present(t.Context(), two) },
		func() error { return wait(t, s, one) },
		func() error { return s.CleanUp(t.Context(), one) },
	} {
		if err := c(); err != nil {
			t.Fatal(err)
		}
	}
	got := ns.texts(name)
	if want := []string{"of another gateway", two.DNS01KeyAuthorization()}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("records %q, want %q", got, want)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.CleanUp(over, two); err != nil || len(ns.texts(name)) != 1 {
		t.Errorf("clean-up after the context: %v, %q left", err, ns.texts(name))
	}
	if err := s.CleanUp(t.Context(), two); err != nil {
		t.Errorf("second clean-up: %v", err)
	}
}

// TestUpdateErrorsNameTheCure has a server answer as RFC 8945 section 5.3 and RFC
// 2136 section 2.2 say.
func TestUpdateErrorsNameTheCure(t *testing.T) {
	tsig := func(code uint16, other string) func(*dns.Msg) bool {
		return func(m *dns.Msg) bool {
			if ts := m.IsTsig(); ts != nil && m.Opcode == dns.OpcodeUpdate {
				m.Rcode = dns.RcodeNotAuth
				ts.Error, ts.OtherData, ts.OtherLen = code, other, uint16(len(other)/2)
			}
			return true
		}
	}
	rcode := func(code int) func(*dns.Msg) bool {
		return func(m *dns.Msg) bool {
			if m.Opcode == dns.OpcodeUpdate {
				m.Rcode = code
			}
			return true
		}
	}
	noon := fmt.Sprintf("%012x", time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC).Unix())
	for name, tt := range map[string]struct {
		answer func(*dns.Msg) bool
		change func(*certs.ChallengeOptions)
		want   []string
	}{
		"unknown key":      {tsig(dns.RcodeBadKey, ""), nil, []string{"BADKEY", "headgate-test.", "hmac-sha256 ", "rfc2136.key_name"}},
		"wrong secret":     {tsig(dns.RcodeBadSig, ""), nil, []string{"BADSIG", "rfc2136.key to"}},
		"wrong clock":      {tsig(dns.RcodeBadTime, noon), nil, []string{"BADTIME", "2030-01-01T12:00:00Z there", "NTP"}},
		"not primary":      {rcode(dns.RcodeNotAuth), nil, []string{"NOTAUTH", "primary", "rfc2136.server"}},
		"refused":          {rcode(dns.RcodeRefused), nil, []string{"REFUSED", "allow the key headgate-test.", "update-policy"}},
		"no updates":       {rcode(dns.RcodeNotImplemented), nil, []string{"NOTIMP", "acme_dns"}},
		"server's fault":   {rcode(dns.RcodeServerFailure), nil, []string{"SERVFAIL", "journal"}},
		"our secret":       {nil, func(o *certs.ChallengeOptions) { o.RFC2136.Key = "b3RoZXI=" }, []string{"not signed with the key", "rfc2136.key"}},
		"no key":           {nil, func(o *certs.ChallengeOptions) { o.RFC2136.KeyName = "" }, []string{"REFUSED", "the address of this machine"}},
		"zone of others":   {nil, func(o *certs.ChallengeOptions) { o.RFC2136.Zone = "other.test" }, []string{"not in the zone other.test.", "leave zone out"}},
		"zone not there":   {nil, func(o *certs.ChallengeOptions) { o.RFC2136.Zone = "test" }, []string{"NOTAUTH", "rfc2136.zone"}},
		"nobody there":     {nil, func(o *certs.ChallengeOptions) { o.RFC2136.Server = "127.0.0.1:1" }, []string{"127.0.0.1:1", "refused"}},
		"unsigned answers": {func(m *dns.Msg) bool { m.Extra = nil; return true }, nil, []string{"not signed", "give the server the key"}},
	} {
		t.Run(name, func(t *testing.T) {
			ns := startNameServer(t, "127.0.0.1:0", "example.test.")
			ns.set(func() { ns.answer = tt.answer })
			o := byUpdate(ns)
			o.RFC2136.Zone = "example.test" // the errors of the update are asked for
			if tt.change != nil {
				tt.change(&o)
			}
			s := dnsSolver(t, o)
			c := challenge("example.test", "tok")
			err := s.Present(t.Context(), c)
			wantError(t, err, append(tt.want, "dns-01")...)
			if err := s.CleanUp(t.Context(), c); err != nil {
				t.Errorf("clean-up of what was not set: %v", err)
			}
		})
	}
}

func TestZoneOfNobody(t *testing.T) {
	ns := startNameServer(t, "127.0.0.1:0", "example.test.")
	o := byUpdate(ns)
	o.PropagationTimeout = -1
	err := dnsSolver(t, o).Present(t.Context(), challenge("example.org", "tok"))
	wantError(t, err, "does not say that it has one", "REFUSED", "rfc2136.server")
}

func TestRefusedKeyIsNotTaken(t *testing.T) {
	o := certs.ChallengeOptions{RFC2136: certs.RFC2136{Server: "127.0.0.1:53", KeyName: "k", Key: "%%%"}}
	if _, err := hg.NewDNSSolver(o, nil); err == nil || !strings.Contains(err.Error(), "rfc2136.key") {
		t.Errorf("a key that is no base64: %v", err)
	}
	o.RFC2136.Key = "c2VjcmV0" + "cw" // as some tools write it: no padding
	if _, err := hg.NewDNSSolver(o, nil); err != nil {
		t.Errorf("base64 without padding: %v", err)
	}
	if _, err := hg.NewDNSSolver(certs.ChallengeOptions{Type: "dns-01"}, nil); err == nil {
		t.Error("dns-01 without a way to set records is taken")
	}
}

func TestUpdatesGoOverTCPWhenUDPIsCut(t *testing.T) {
	ns := startNameServer(t, "127.0.0.1:0", "example.test.")
	seen := map[uint16]bool{}
	ns.set(func() {
		ns.answer = func(m *dns.Msg) bool {
			if !seen[m.Id] { // the second answer goes over TCP
				m.Truncated, m.Answer, m.Ns = true, nil, nil
			}
			seen[m.Id] = true
			return true
		}
	})
	s := dnsSolver(t, byUpdate(ns))
	c := challenge("example.test", "tok")
	if err := s.Present(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := wait(t, s, c); err != nil {
		t.Fatal(err)
	}
}

func TestPresentEndsWithItsContext(t *testing.T) {
	ns := startNameServer(t, "127.0.0.1:0", "example.test.")
	ctx, cancel := context.WithCancel(t.Context())
	ns.set(func() { ns.answer = func(*dns.Msg) bool { cancel(); return false } })
	start := time.Now()
	err := dnsSolver(t, byUpdate(ns)).Present(ctx, challenge("example.test", "tok"))
	if !errors.Is(err, context.Canceled) || time.Since(start) > time.Second {
		t.Errorf("after %v: %v, want context canceled at once", time.Since(start), err)
	}
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q lacks %q", err, p)
		}
	}
}

func FuzzTextRecord(f *testing.F) {
	f.Add("gfj9Xq-Rg85nM_LJxnhcKeLNnjFWz9Bz0P2gHsPCL1Q")
	f.Add(`"\065\"\\` + "\t\x00\xff")
	f.Add(strings.Repeat(`\`, 300))
	f.Fuzz(func(t *testing.T, value string) {
		if len(value) > 60000 { // of one record
			return
		}
		got, err := hg.TextThroughDNS(value)
		if err != nil || len(got) != 1 || got[0] != value {
			t.Errorf("%q came back as %q, %v", value, got, err)
		}
	})
}
