package uwsgi_test

import (
	"net/netip"
	"testing"

	"headgate/upstream/uwsgi"
)

// browserFields are what a browser sends.
var browserFields = uwsgi.FieldList{
	{"Host", "www.example.com"},
	{"User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"},
	{"Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},
	{"Accept-Language", "en-US,en;q=0.5"},
	{"Accept-Encoding", "gzip, deflate, br, zstd"},
	{"Referer", "https://www.example.com/account/orders/"},
	{"Connection", "keep-alive"},
	{"Cookie", "sessionid=0123456789abcdef0123456789abcdef; csrftoken=0123456789abcdef"},
	{"Upgrade-Insecure-Requests", "1"},
	{"Sec-Fetch-Dest", "document"},
	{"Sec-Fetch-Mode", "navigate"},
	{"Sec-Fetch-Site", "same-origin"},
	{"Sec-Fetch-User", "?1"},
	{"Priority", "u=0, i"},
	{"If-None-Match", `W/"0123456789abcdef"`},
}

func BenchmarkEncode(b *testing.B) {
	for _, tt := range []struct {
		name   string
		fields uwsgi.Fields
	}{
		{"browser", browserFields},
		{"browser/range", onlyRange{browserFields}},
		{"wrk", browserFields[:1]},
	} {
		b.Run(tt.name, func(b *testing.B) {
			req := &uwsgi.Request{
				Method: "GET", Proto: "HTTP/1.1", Scheme: "https", Host: "www.example.com", ServerName: "www.example.com", ServerPort: "443",
				URI: "/account/orders/?page=2", PathInfo: "/account/orders/", Query: "page=2",
				Remote: netip.MustParseAddrPort("192.0.2.7:51234"), Header: tt.fields,
				Extra: []uwsgi.Var{
					{Key: "HTTP_X_REQUEST_ID", Value: "0123456789abcdef0123456789abcdef"},
					{Key: "HTTP_X_REAL_IP", Value: "192.0.2.7"},
					{Key: "HTTP_X_FORWARDED_FOR", Value: "192.0.2.7"},
					{Key: "HTTP_X_FORWARDED_PROTO", Value: "https"},
				},
			}
			c := uwsgi.NewConstants(uwsgi.Options{Vars: map[string]string{"DJANGO_SETTINGS_MODULE": "shop.settings", "shop.tenant": "one"}})
			var e uwsgi.Encoder
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.Encode(req, c, uwsgi.DialectUWSGI, false); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
