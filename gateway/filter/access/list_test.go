package access_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"headgate/gateway/filter/access"
)

func mustList(t testing.TB, o access.Options) *access.List {
	t.Helper()
	l, err := access.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestList(t *testing.T) {
	l := mustList(t, access.Options{
		Allow: []string{"10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::1", "::ffff:198.51.100.0/120"},
		Deny:  []string{"10.1.0.0/16", "10.2.3.4", "2001:db8:bad::/48"},
	})
	for ip, want := range map[string]bool{
		"10.0.0.0": true, "10.255.255.255": true, "9.255.255.255": false, "11.0.0.0": false, "10.1.0.0": false, "10.1.255.255": false, "10.2.0.0": true,
		"10.2.3.4": false, "10.2.3.5": true, "192.0.2.7": true, "192.0.2.8": false, "192.0.2.6": false, "::ffff:10.0.0.7": true, "::ffff:10.1.0.7": false,
		"2001:db8::": true, "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff": true, "2001:db9::": false, "2001:db8:bad::1": false, "2001:db8:bae::1": true,
		"::1": true, "::2": false, "::": false, "0.0.0.0": false, "255.255.255.255": false, "fe80::1%eth0": false, "198.51.100.9": true, "198.51.101.9": false,
	} {
		if got := l.Allows(netip.MustParseAddr(ip)); got != want {
			t.Errorf("%s may come: %v, want %v", ip, got, want)
		}
	}
	if l.Allows(netip.Addr{}) {
		t.Error("with allow, a client without an address may come")
	}
}

func TestListOfOneSide(t *testing.T) {
	deny := mustList(t, access.Options{Deny: []string{"0.0.0.0/0"}})
	for ip, want := range map[string]bool{"0.0.0.0": false, "255.255.255.255": false, "::ffff:1.2.3.4": false, "::1": true, "2001:db8::1": true} {
		if got := deny.Allows(netip.MustParseAddr(ip)); got != want {
			t.Errorf("deny: %s may come: %v, want %v", ip, got, want)
		}
	}
	if !deny.Allows(netip.Addr{}) {
		t.Error("with deny alone, a client without an address may not come")
	}
	six := mustList(t, access.Options{Allow: []string{"::/0"}})
	if six.Allows(netip.MustParseAddr("10.0.0.1")) || six.Allows(netip.MustParseAddr("::ffff:10.0.0.1")) || !six.Allows(netip.MustParseAddr("ffff::")) {
		t.Error("::/0 is all of IPv6 and nothing of IPv4")
	}
	var none *access.List
	for _, l := range []*access.List{none, mustList(t, access.Options{}), mustList(t, access.Options{Allow: []string{}})} {
		if !l.Allows(netip.MustParseAddr("192.0.2.1")) || !l.Allows(netip.Addr{}) {
			t.Error("no list refuses somebody")
		}
	}
}

// TestListIsWhatThePrefixesSay compares with a look at each network.
func TestListIsWhatThePrefixesSay(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var list []string
		var prefixes []netip.Prefix
		for range r.IntN(12) {
			p := netip.PrefixFrom(randomAddr(r), 0)
			p, _ = p.Addr().Prefix(r.IntN(p.Addr().BitLen() + 1))
			list, prefixes = append(list, p.String()), append(prefixes, p)
		}
		l := mustList(t, access.Options{Deny: list})
		for range 200 {
			ip := randomAddr(r)
			if len(prefixes) > 0 && r.IntN(2) == 0 { // about the edges
				ip = prefixes[r.IntN(len(prefixes))].Addr()
				if r.IntN(2) == 0 && ip.Prev().IsValid() {
					ip = ip.Prev()
				}
			}
			want := true
			for _, p := range prefixes {
				want = want && !p.Contains(ip)
			}
			if got := l.Allows(ip); got != want {
				t.Fatalf("%v: %s may come: %v, want %v", list, ip, got, want)
			}
		}
	}
}

// randomAddr returns one of few enough that networks meet.
func randomAddr(r *rand.Rand) netip.Addr {
	if r.IntN(2) == 0 {
		return netip.AddrFrom4([4]byte{byte(r.IntN(2)) * 255, byte(r.IntN(4)), byte(r.IntN(4)) << 6, byte(r.IntN(256))})
	}
	var b [16]byte
	b[0], b[1], b[7], b[8], b[15] = 0x20, byte(r.IntN(3)), byte(r.IntN(4)), byte(r.IntN(4))<<6, byte(r.IntN(256))
	return netip.AddrFrom16(b)
}

func manyNetworks(n int) []string {
	var list []string
	for i := range n {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(i)*200_003)
		p, _ := netip.AddrFrom4(b).Prefix(24)
		list = append(list, p.String(), fmt.Sprintf("2001:db8:%x::/48", i))
	}
	return list
}

func TestListAllocatesNothing(t *testing.T) {
	l := mustList(t, access.Options{Allow: manyNetworks(1000), Deny: []string{"10.0.0.0/8"}})
	four, six := netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("2001:db8:3e7::1")
	if n := testing.AllocsPerRun(100, func() { l.Allows(four); l.Allows(six) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
	if !l.Allows(six) {
		t.Error("the last network is not there")
	}
}

func BenchmarkList10000(b *testing.B) {
	l := mustList(b, access.Options{Deny: manyNetworks(10_000)})
	r := rand.New(rand.NewPCG(1, 2))
	var four, six [1024]netip.Addr
	for i := range four {
		var v4 [4]byte
		binary.BigEndian.PutUint32(v4[:], r.Uint32N(10_000*200_003))
		four[i] = netip.AddrFrom4(v4)
		six[i] = netip.MustParseAddr(fmt.Sprintf("2001:db8:%x::1", r.IntN(10_000)))
	}
	for _, list := range []struct {
		name string
		all  *[1024]netip.Addr
	}{{"IPv4", &four}, {"IPv6", &six}} {
		b.Run(list.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				l.Allows(list.all[i%1024])
			}
		})
	}
}
