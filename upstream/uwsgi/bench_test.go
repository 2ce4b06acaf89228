package uwsgi_test

import (
	"bytes"
	"io"
	"testing"

	"headgate/upstream/uwsgi"
)

// browserHeader is what Chromium sends with a page of a site with a login.
var browserHeader = fieldList{
	{"Connection", "keep-alive"},
	{"Cache-Control", "max-age=0"},
	{"sec-ch-ua", `"Chromium";v="146", "Not.A/Brand";v="99"`},
	{"sec-ch-ua-mobile", "?0"},
	{"sec-ch-ua-platform", `"Linux"`},
	{"Upgrade-Insecure-Requests", "1"},
	{"User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/146.0.0.0 Safari/537.36"},
	{"Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"},
	{"Sec-Fetch-Site", "same-origin"},
	{"Sec-Fetch-Mode", "navigate"},
	{"Sec-Fetch-User", "?1"},
	{"Sec-Fetch-Dest", "document"},
	{"Referer", "https://shop.example.com/cart"},
	{"Accept-Encoding", "gzip, deflate, br, zstd"},
	{"Accept-Language", "en-US,en;q=0.9"},
	{"Cookie", "csrftoken=Zk3JmXq7r0cVvWq1; sessionid=n2l9p0u8w1xk3y7e5b4c6d2f1a9z8q7s"},
	{"X-Forwarded-For", "192.0.2.7"},
	{"X-Forwarded-Proto", "https"},
	{"X-Forwarded-Host", "shop.example.com"},
}

func BenchmarkEncode(b *testing.B) {
	for _, d := range []uwsgi.Dialect{uwsgi.DialectUWSGI, uwsgi.DialectGunicorn} {
		b.Run(d.String(), func(b *testing.B) {
			req := simpleGet()
			req.Scheme, req.PathInfo, req.Header = "https", "/cart/items/42/", browserHeader
			req.Extra = []uwsgi.Var{{Key: "HTTP_X_REQUEST_ID", Value: "01JD7Y5V7N0Q2E9K3M4R8T6W1Z"}}
			con := uwsgi.NewConstants(uwsgi.Options{Vars: map[string]string{"DJANGO_SETTINGS_MODULE": "shop.settings"}})
			var e uwsgi.Encoder
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.Encode(req, con, d, false); err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes(int64(e.Size()))
		})
	}
}

// An Encoder that has seen a request of the kind allocates nothing.
func TestEncodeDoesNotAllocate(t *testing.T) {
	req := simpleGet()
	req.Header = browserHeader
	req.Body, req.ContentLength = bytes.NewReader(nil), 12345
	var e uwsgi.Encoder
	if n := testing.AllocsPerRun(100, func() {
		req.PathInfo = "/é"
		for _, d := range []uwsgi.Dialect{uwsgi.DialectUWSGI, uwsgi.DialectGunicorn} {
			if _, err := e.Encode(req, nil, d, true); err != nil {
				t.Error(err)
			}
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkParseVars(b *testing.B) {
	req := simpleGet()
	req.Header = browserHeader
	var e uwsgi.Encoder
	packet, err := e.Encode(req, nil, uwsgi.DialectUWSGI, false)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := uwsgi.ParseVars(packet[4:]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSpool(b *testing.B) {
	for name, n := range map[string]int{"form": 300, "file": 8 << 20} {
		b.Run(name, func(b *testing.B) {
			s := uwsgi.Spooler{Dir: b.TempDir()}
			body := bytes.NewReader(make([]byte, n))
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				body.Seek(0, io.SeekStart)
				spool, err := s.Read(body, -1)
				if err != nil {
					b.Fatal(err)
				}
				spool.Close()
			}
		})
	}
}
