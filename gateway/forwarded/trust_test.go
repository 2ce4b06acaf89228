package forwarded_test

import (
	"net/netip"
	"testing"

	"headgate/gateway/forwarded"
)

func TestTrustContains(t *testing.T) {
	trust := mustTrust(t, "10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "fe80::/10", "::ffff:172.16.0.0/108", "::ffff:203.0.113.9")
	for addr, want := range map[string]bool{
		"10.0.0.0": true, "10.255.255.255": true, "11.0.0.0": false, "9.255.255.255": false,
		"192.0.2.7": true, "192.0.2.8": false, "::ffff:10.1.2.3": true, "::ffff:11.1.2.3": false,
		"2001:db8::1": true, "2001:db9::1": false, "fe80::1%eth0": true, "::1": false,
		"172.16.1.2": true, "172.31.1.2": true, "172.32.0.1": false, "203.0.113.9": true, "203.0.113.10": false,
	} {
		if got := trust.Contains(netip.MustParseAddr(addr)); got != want {
			t.Errorf("Contains(%s) = %v, want %v", addr, got, want)
		}
	}
	if trust.Contains(netip.Addr{}) {
		t.Error("the zero address, which a Unix socket has, is trusted")
	}
	if (forwarded.Trust{}).Contains(netip.MustParseAddr("127.0.0.1")) {
		t.Error("the zero Trust trusts somebody")
	}
}

// Everybody in IPv6 is nobody in IPv4, and the other way round.
func TestTrustFamiliesAreApart(t *testing.T) {
	four, six := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	if trust := mustTrust(t, "::/0"); !trust.Contains(six) || trust.Contains(four) {
		t.Error("::/0 is not exactly IPv6")
	}
	if trust := mustTrust(t, "0.0.0.0/0"); !trust.Contains(four) || trust.Contains(six) {
		t.Error("0.0.0.0/0 is not exactly IPv4")
	}
}

func TestParseTrustReportsEveryMistake(t *testing.T) {
	trust, err := forwarded.ParseTrust([]string{"10.0.0.0/8", "10.0.0.0/33", "proxy", "", "fe80::1%eth0", "10.0.0.1:80"})
	const cure = " is not a network: write it like 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7"
	want := `"10.0.0.0/33"` + cure + "\n" + `"proxy"` + cure + "\n" + `""` + cure + "\n" + `"fe80::1%eth0"` + cure + "\n" + `"10.0.0.1:80"` + cure
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	if trust.Contains(netip.MustParseAddr("10.0.0.1")) {
		t.Error("a list with mistakes is trusted in part")
	}
}

func mustTrust(t testing.TB, list ...string) forwarded.Trust {
	t.Helper()
	trust, err := forwarded.ParseTrust(list)
	if err != nil {
		t.Fatal(err)
	}
	return trust
}
