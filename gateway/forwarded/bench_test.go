package forwarded_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"headgate/gateway/forwarded"
)

func BenchmarkResolve(b *testing.B) {
	trust := mustTrust(b, "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fd00::/8")
	client, near := netip.MustParseAddrPort("192.0.2.9:1234"), netip.MustParseAddrPort(proxy)
	for _, c := range []struct {
		name string
		peer netip.AddrPort
		h    http.Header
	}{
		{"untrusted", client, http.Header{}},
		{"x-forwarded", near, http.Header{"X-Forwarded-For": {"192.0.2.9, 10.0.0.2"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"shop.example"}}},
		{"forwarded", near, http.Header{"Forwarded": {`for="[2001:db8::9]:47";proto=https;host=shop.example, for=10.0.0.2`}}},
		{"hostile-commas", near, http.Header{"Forwarded": {strings.Repeat(",", 60_000)}}},
		{"hostile-elements", near, http.Header{"Forwarded": {strings.Repeat("a=b,", 15_000)}}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				forwarded.Resolve(trust, c.peer, false, c.h, "shop.example")
			}
		})
	}
}
