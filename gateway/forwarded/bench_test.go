package forwarded_test

import (
	"net/netip"
	"strings"
	"testing"

	"headgate/gateway/forwarded"
	"headgate/gateway/wire"
)

func BenchmarkResolve(b *testing.B) {
	trust := mustTrust(b, "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fd00::/8")
	client, near := forwarded.NewPeer(netip.MustParseAddrPort("192.0.2.9:1234")), forwarded.NewPeer(netip.MustParseAddrPort(proxy))
	for _, c := range []struct {
		name string
		peer forwarded.Peer
		h    wire.Fields
	}{
		{"untrusted", client, nil},
		{"x-forwarded", near, wire.Fields{{Name: "X-Forwarded-For", Value: "192.0.2.9, 10.0.0.2"}, {Name: "X-Forwarded-Proto", Value: "https"}, {Name: "X-Forwarded-Host", Value: "shop.example"}}},
		{"forwarded", near, wire.Fields{{Name: "Forwarded", Value: `for="[2001:db8::9]:47";proto=https;host=shop.example, for=10.0.0.2`}}},
		{"hostile-commas", near, wire.Fields{{Name: "Forwarded", Value: strings.Repeat(",", 60_000)}}},
		{"hostile-elements", near, wire.Fields{{Name: "Forwarded", Value: strings.Repeat("a=b,", 15_000)}}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				forwarded.Resolve(trust, c.peer, false, c.h, "shop.example")
			}
		})
	}
}
