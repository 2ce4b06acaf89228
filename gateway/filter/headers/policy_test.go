package headers_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"headgate/gateway/filter/headers"
	"headgate/gateway/wire"
)

func mustCORS(t testing.TB, c headers.CORS) *headers.Policy {
	t.Helper()
	p, err := headers.NewCORS(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const app = "https://app.example.com"

// answered is what p makes of an answer to a request from origin.
func answered(p *headers.Policy, origin string, in ...string) []string {
	f := fields(in...)
	r := &wire.Request{Method: "GET"}
	if origin != "" {
		r.Fields = fields("Origin: " + origin)
	}
	p.Response(r, &f)
	return lines(f)
}

func TestAnswersOfCORS(t *testing.T) {
	some := mustCORS(t, headers.CORS{Origins: []string{app, "https://*.example.org", "null"}, Expose: []string{"ETag", "X-Total"}})
	secret := mustCORS(t, headers.CORS{Origins: []string{app}, Credentials: true})
	all := mustCORS(t, headers.CORS{Origins: []string{"*"}, Expose: []string{"*"}})
	const expose = "Access-Control-Expose-Headers: ETag, X-Total"
	for _, tt := range []struct {
		name     string
		p        *headers.Policy
		origin   string
		in, want []string
	}{
		{"allowed", some, app, nil, []string{"Vary: Origin", "Access-Control-Allow-Origin: " + app, expose}},
		{"one label", some, "https://a.example.org", nil, []string{"Vary: Origin", "Access-Control-Allow-Origin: https://a.example.org", expose}},
		{"null", some, "null", nil, []string{"Vary: Origin", "Access-Control-Allow-Origin: null", expose}},
		{"not allowed", some, "https://evil.example", nil, []string{"Vary: Origin"}},
		{"no origin", some, "", nil, []string{"Vary: Origin"}},
		{"credentials", secret, app, nil, []string{"Vary: Origin", "Access-Control-Allow-Origin: " + app, "Access-Control-Allow-Credentials: true"}},
		{"any", all, app, nil, []string{"Access-Control-Allow-Origin: *", "Access-Control-Expose-Headers: *"}},
		{"any, no origin", all, "", nil, []string{"Access-Control-Allow-Origin: *", "Access-Control-Expose-Headers: *"}},
		{
			"what the app says is replaced", some, "https://evil.example",
			[]string{"A: 1", "access-control-allow-origin: *", "Access-Control-Allow-Credentials: true", "B: 2"},
			[]string{"A: 1", "B: 2", "Vary: Origin"},
		},
		{"vary is merged", some, "", []string{"Vary: Cookie", "Vary: Accept"}, []string{"Vary: Cookie, Origin", "Vary: Accept"}},
		{"vary is there", some, "", []string{"Vary: Cookie", "vary: Accept , oRigin"}, []string{"Vary: Cookie", "vary: Accept , oRigin"}},
		{"vary is all", some, "", []string{"Vary: *"}, []string{"Vary: *"}},
		{"vary is empty", some, "", []string{"Vary: "}, []string{"Vary: Origin"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, answered(tt.p, tt.origin, tt.in...)); d != "" {
				t.Error(d)
			}
		})
	}
	r := &wire.Request{Method: "GET", Fields: fields("Origin: "+app, "Origin: "+app)}
	var f wire.Fields
	some.Response(r, &f)
	if d := cmp.Diff([]string{"Vary: Origin"}, lines(f)); d != "" {
		t.Errorf("two origins: %s", d)
	}
}

func TestPreflights(t *testing.T) {
	const (
		varied = "Vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
		usual  = "Access-Control-Allow-Methods: GET, HEAD, POST, PUT, PATCH, DELETE"
		from   = "Access-Control-Allow-Origin: " + app
		asks   = "Access-Control-Request-Headers: "
		kept   = "Access-Control-Max-Age: 600"
	)
	one := []string{app}
	for _, tt := range []struct {
		name string
		c    headers.CORS
		in   []string
		want []string
	}{
		{"method", headers.CORS{Origins: one}, nil, []string{varied, from, usual, kept}},
		{"echo", headers.CORS{Origins: one}, []string{asks + "content-type,x-a"}, []string{varied, from, usual, "Access-Control-Allow-Headers: content-type,x-a", kept}},
		{"no echo of what is no list", headers.CORS{Origins: one}, []string{asks + "a,b c"}, []string{varied, from, usual, kept}},
		{"no echo of an empty name", headers.CORS{Origins: one}, []string{asks + "a,,b"}, []string{varied, from, usual, kept}},
		{"no echo of two lists", headers.CORS{Origins: one}, []string{asks + "a", asks + "b"}, []string{varied, from, usual, kept}},
		{"no echo of too many", headers.CORS{Origins: one}, []string{asks + strings.Repeat("a,", 64) + "a"}, []string{varied, from, usual, kept}},
		{"no echo of too much", headers.CORS{Origins: one}, []string{asks + strings.Repeat("a", 5000)}, []string{varied, from, usual, kept}},
		{
			"lists",
			headers.CORS{Origins: one, Methods: []string{"PURGE", "GET"}, Headers: []string{"X-A", "X-B"}, Credentials: true, MaxAge: time.Hour},
			[]string{asks + "x-c"},
			[]string{varied, from, "Access-Control-Allow-Credentials: true", "Access-Control-Allow-Methods: GET, HEAD, POST, PURGE", "Access-Control-Allow-Headers: X-A, X-B", "Access-Control-Max-Age: 3600"},
		},
		{"empty lists", headers.CORS{Origins: one, Methods: []string{}, Headers: []string{}, MaxAge: -1}, []string{asks + "x-c"}, []string{varied, from, "Access-Control-Allow-Methods: GET, HEAD, POST", "Access-Control-Max-Age: 0"}},
		{"any", headers.CORS{Origins: []string{"*"}}, nil, []string{varied, "Access-Control-Allow-Origin: *", usual, kept}},
		{"not allowed", headers.CORS{Origins: []string{"https://other.example"}}, []string{asks + "a"}, []string{varied}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := append(tt.in, "Origin: "+app, "Access-Control-Request-Method: PUT")
			f, ok := mustCORS(t, tt.c).Preflight(&wire.Request{Method: "OPTIONS", Fields: fields(in...)})
			if d := cmp.Diff(tt.want, lines(f)); d != "" || !ok {
				t.Errorf("preflight %v: %s", ok, d)
			}
		})
	}
}

func TestWhatIsNoPreflight(t *testing.T) {
	p := mustCORS(t, headers.CORS{Origins: []string{app}})
	full := fields("Origin: "+app, "Access-Control-Request-Method: PUT")
	for _, r := range []*wire.Request{{Method: "GET", Fields: full}, {Method: "OPTIONS", Fields: full[:1]}, {Method: "OPTIONS", Fields: full[1:]}, {Method: "OPTIONS"}} {
		if f, ok := p.Preflight(r); ok || f != nil {
			t.Errorf("%+v is taken for a preflight", r)
		}
	}
	for _, off := range []*headers.Policy{nil, mustCORS(t, headers.CORS{})} {
		if _, ok := off.Preflight(&wire.Request{Method: "OPTIONS", Fields: full}); ok {
			t.Error("off answers a preflight")
		}
		if d := cmp.Diff([]string{"Access-Control-Allow-Origin: *"}, answered(off, app, "Access-Control-Allow-Origin: *")); d != "" {
			t.Errorf("off changes what the app says: %s", d)
		}
	}
}

func TestOrigins(t *testing.T) {
	p := mustCORS(t, headers.CORS{Origins: []string{app, "https://*.example.org", "http://*.local.test:8080", "https://[::1]:3000"}})
	for origin, want := range map[string]bool{
		app: true, "https://a.example.org": true, "https://a.b.example.org": true, "http://x.local.test:8080": true, "https://[::1]:3000": true,

		"http://app.example.com": false, "https://app.example.com:8443": false, "https://app.example.com.evil.net": false, "https://evilapp.example.com": false,
		"https://App.example.com": false, "https://app.example.com/": false, "https://example.org": false, "https://.example.org": false,
		"https://evilexample.org": false, "https://evil.net/.example.org": false, "https://evil.net#.example.org": false, "https://evil.net?.example.org": false,
		"https://evil.net:1.example.org": false, "https://evil.net@a.example.org": false, "https://a..example.org": false, "https://A.example.org": false,
		"http://x.local.test": false, "http://x.local.test:8081": false, "null": false, "*": false, "https://*.example.org": false,
		"https://a.example.org:443": false, "https://" + strings.Repeat("a.", 300) + "example.org": false, app + " " + app: false, "https://a\x00.example.org": false,
	} {
		got := len(answered(p, origin)) > 1
		if got != want {
			t.Errorf("%q may: %v, want %v", origin, got, want)
		}
	}
}

// FuzzOrigins: what is allowed is an origin whose host is really below that of the
// pattern, and exactly what a browser would have written.
func FuzzOrigins(f *testing.F) {
	for _, s := range []string{"https://a.example.org", "https://a.b.example.org", "https://evil.net/.example.org", "https://.example.org", "https://evil.net:.example.org"} {
		f.Add(s)
	}
	p := mustCORS(f, headers.CORS{Origins: []string{"https://*.example.org"}, Credentials: true})
	f.Fuzz(func(t *testing.T, origin string) {
		got := answered(p, origin)
		if len(got) == 1 {
			return
		}
		u, err := url.Parse(origin)
		if err != nil || !strings.HasSuffix(u.Hostname(), ".example.org") || u.Scheme+"://"+u.Host != origin || got[1] != "Access-Control-Allow-Origin: "+origin {
			t.Errorf("%q is allowed: %v, %v", origin, u, err)
		}
	})
}

// FuzzPatterns: what Validate takes NewCORS takes, and an origin without a * is
// allowed as it is written.
func FuzzPatterns(f *testing.F) {
	for _, s := range []string{"https://a.example.org", "https://*.example.org:8443", "https://[::1]:1", "https://a.com:443", "null", "*"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, origin string) {
		c := headers.CORS{Origins: []string{origin}}
		if c.Validate() != nil {
			return
		}
		p := mustCORS(t, c)
		below, star := strings.CutPrefix(origin, "*")
		try := strings.Replace(origin, "://*.", "://a.b.", 1)
		if got := answered(p, try); len(got) != 2 && !(star && below == "") {
			t.Errorf("%q does not allow %q: %q", origin, try, got)
		}
	})
}

func BenchmarkCORS(b *testing.B) {
	p := mustCORS(b, headers.CORS{Origins: []string{app, "https://*.example.org"}, Credentials: true})
	r := &wire.Request{Method: "GET", Fields: fields("Origin: https://a.example.org", "Accept: */*")}
	base := fields("Content-Type: text/html", "Vary: Origin", "ETag: \"1\"")
	f := make(wire.Fields, 0, 16)
	b.ReportAllocs()
	for b.Loop() {
		f = append(f[:0], base...)
		p.Response(r, &f)
	}
}
