package forwarded_test

import (
	"net/netip"
	"strings"
	"testing"
)

// FuzzXForwardedFor: whatever a client sends, what the trusted proxy adds at the
// end decides.
func FuzzXForwardedFor(f *testing.F) {
	for _, s := range []string{"", "1.2.3.4", "10.0.0.5, 1.2.3.4:80", "[2001:db8::1]:80", ",,", "unknown", "::ffff:10.0.0.1", "fe80::1%x", "[", "]:"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, own string) {
		r := resolve(t, proxy, "X-Forwarded-For: "+own+", 192.0.2.9")
		if text(r) != "192.0.2.9:0 http://h.example [192.0.2.9, 10.0.0.1]" {
			t.Fatalf("%q: got %s", own, text(r))
		}
		checkResult(t, own, text(r), r.For, r.Client)
		alone := resolve(t, proxy, "X-Forwarded-For: "+own, "X-Forwarded-Proto: "+own, "X-Forwarded-Host: "+own)
		checkResult(t, own, alone.Scheme, alone.For, alone.Client)
	})
}

// FuzzForwarded: nothing panics, the next gateway reads what this one writes, and
// a line of the client's own does not come through the proxy's.
func FuzzForwarded(f *testing.F) {
	for _, s := range []string{"", "for=1.2.3.4", `for="[2001:db8::1]:80";proto=https;host="a\"b"`, `for=6.6.6.6;x="`, "for=_x, for=unknown", "for=10.0.0.5, for=10.0.0.6;proto=http", ";;,,", "for==", `"`, `\`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, own string) {
		stranger := resolve(t, "192.0.2.9:1234", "Forwarded: "+own, "X-Forwarded-For: "+own, "X-Forwarded-Proto: "+own, "X-Forwarded-Host: "+own)
		if text(stranger) != "192.0.2.9:1234 http://h.example [192.0.2.9]" || stranger.Trusted {
			t.Fatalf("%q: a peer that is not trusted is believed: %s", own, text(stranger))
		}
		r := resolve(t, proxy, "Forwarded: "+own)
		checkResult(t, own, r.Scheme, r.For, r.Client)
		next := resolve(t, proxy, "Forwarded: "+r.Forwarded())
		if next.Client.Addr() != r.Client.Addr() || next.Scheme != r.Scheme || next.Host != r.Host {
			t.Fatalf("%q: %s, and the next gateway %s", own, text(r), text(next))
		}
		r = resolve(t, proxy, "Forwarded: "+own, "Forwarded: for=192.0.2.9;proto=http;host=h.example")
		if text(r) != "192.0.2.9:0 http://h.example [192.0.2.9, 10.0.0.1]" {
			t.Fatalf("%q: got %s", own, text(r))
		}
		for _, added := range []string{`, for=192.0.2.9;proto=http`, `,for="192.0.2.9";host="h.example"`} {
			r = resolve(t, proxy, "Forwarded: "+own+added)
			if text(r) != "192.0.2.9:0 http://h.example [192.0.2.9, 10.0.0.1]" {
				t.Fatalf("%q and %s: got %s", own, added, text(r))
			}
		}
	})
}

func checkResult(t *testing.T, in, scheme, chain string, client netip.AddrPort) {
	t.Helper()
	if !client.IsValid() || client.Addr().Is4In6() {
		t.Fatalf("%q: the client is %v", in, client)
	}
	if strings.Contains(scheme, "\n") || !strings.HasSuffix(chain, "10.0.0.1") {
		t.Fatalf("%q: scheme %q, chain %q", in, scheme, chain)
	}
	for a := range strings.SplitSeq(chain, ", ") {
		if _, err := netip.ParseAddr(a); err != nil {
			t.Fatalf("%q: chain %q: %v", in, chain, err)
		}
	}
}
