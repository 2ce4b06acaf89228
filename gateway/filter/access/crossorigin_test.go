package access_test

import (
	"net/http"
	"testing"

	"headgate/gateway/filter/access"
	"headgate/gateway/notation"
	"headgate/gateway/wire"
)

const trusted = "https://admin.example.com"

func mustGuard(t testing.TB, c access.CrossOrigin) *access.Guard {
	t.Helper()
	g, err := access.NewCrossOrigin(c)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestCrossOriginIsThatOfNetHTTP goes through all that the rules tell apart.
func TestCrossOriginIsThatOfNetHTTP(t *testing.T) {
	g := mustGuard(t, access.CrossOrigin{Trusted: []string{trusted}})
	theirs := http.NewCrossOriginProtection()
	if err := theirs.AddTrustedOrigin(trusted); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH", "QUERY", "get"} {
		for _, site := range []string{"", "same-origin", "none", "same-site", "cross-site", "nonsense"} {
			for _, origin := range []string{"", trusted, "https://shop.example", "http://shop.example", "https://shop.example:8443", "https://evil.example", "null", "%zz"} {
				for _, host := range []string{"shop.example", "shop.example:8443", "SHOP.example", ""} {
					r := &wire.Request{Method: method}
					h := http.Header{}
					if site != "" {
						r.Fields.Add("sec-fetch-site", site)
						h.Set("Sec-Fetch-Site", site)
					}
					if origin != "" {
						r.Fields.Add("origin", origin)
						h.Set("Origin", origin)
					}
					got, want := g.Check(r, host), theirs.Check(&http.Request{Method: method, Host: host, Header: h})
					if (got == nil) != (want == nil) {
						t.Errorf("%s from %q (%q) to %q: got %v, want %v", method, origin, site, host, got, want)
					}
					if got != nil {
						refused++
					}
				}
			}
		}
	}
	if refused == 0 {
		t.Error("nothing was refused")
	}
}

func TestCrossOriginOff(t *testing.T) {
	r := &wire.Request{Method: "POST", Fields: wire.Fields{{Name: "Sec-Fetch-Site", Value: "cross-site"}}}
	var none *access.Guard
	for _, g := range []*access.Guard{none, mustGuard(t, access.CrossOrigin{On: notation.Disabled})} {
		if err := g.Check(r, "shop.example"); err != nil {
			t.Errorf("off refuses: %v", err)
		}
	}
	if err := mustGuard(t, access.CrossOrigin{}).Check(r, "shop.example"); err == nil {
		t.Error("on by default refuses nothing")
	}
}

func TestSafeMethodsCostNothing(t *testing.T) {
	g := mustGuard(t, access.CrossOrigin{})
	r := &wire.Request{Method: "GET", Fields: wire.Fields{{Name: "Sec-Fetch-Site", Value: "cross-site"}}}
	if n := testing.AllocsPerRun(100, func() {
		for _, method := range [...]string{"GET", "HEAD", "OPTIONS"} {
			r.Method = method
			if err := g.Check(r, "shop.example"); err != nil {
				t.Error(err)
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func BenchmarkCrossOriginPost(b *testing.B) {
	g := mustGuard(b, access.CrossOrigin{})
	r := &wire.Request{Method: "POST", Fields: wire.Fields{{Name: "sec-fetch-site", Value: "same-origin"}, {Name: "origin", Value: "https://shop.example"}}}
	b.ReportAllocs()
	for b.Loop() {
		if err := g.Check(r, "shop.example"); err != nil {
			b.Fatal(err)
		}
	}
}
