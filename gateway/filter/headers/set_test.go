package headers_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"headgate/gateway/expression"
	"headgate/gateway/filter/headers"
	"headgate/gateway/wire"
)

// fields makes a header of lines such as "Name: value".
func fields(lines ...string) wire.Fields {
	f := make(wire.Fields, 0, len(lines)+16)
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		f = append(f, wire.Field{Name: name, Value: value})
	}
	return f
}

// lines is the reverse of fields.
func lines(f wire.Fields) []string {
	out := []string{}
	for _, field := range f {
		out = append(out, field.Name+": "+field.Value)
	}
	return out
}

func mustNew(t testing.TB, o headers.Options, security string) *headers.Set {
	t.Helper()
	s, err := headers.New(o, security)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func noView() expression.View { panic("there is no expression") }

func text(s string) headers.Value { return headers.Value{Text: s} }

func cel(s string) headers.Value { return headers.Value{CEL: s} }

func TestChanges(t *testing.T) {
	for _, tt := range []struct {
		name     string
		c        headers.Changes
		in, want []string
	}{
		{"nothing", headers.Changes{}, []string{"A: 1"}, []string{"A: 1"}},
		{"remove", headers.Changes{Remove: []string{"b"}}, []string{"A: 1", "B: 2", "C: 3", "B: 4"}, []string{"A: 1", "C: 3"}},
		{"remove all of it", headers.Changes{Remove: []string{"B"}}, []string{"B: 2"}, []string{}},
		{"remove what begins so", headers.Changes{Remove: []string{"X-In-*"}}, []string{"x-in-a: 1", "X-In: 2", "X-IN-: 3", "Y-X-In-A: 4"}, []string{"X-In: 2", "Y-X-In-A: 4"}},
		{
			"a star passes by what is not the operator's",
			headers.Changes{Remove: []string{"X-*", "C*", "D*", "H*"}},
			[]string{"X-Forwarded-For: 1", "X-Headgate-Retry: safe", "x-request-id: 2", "X-Foo_Bar: 3", "Connection: close", "Content-Length: 4", "Content-Type: a/b", "Date: now", "Host: h"},
			[]string{"X-Forwarded-For: 1", "X-Headgate-Retry: safe", "x-request-id: 2", "Connection: close", "Content-Length: 4", "Date: now", "Host: h"},
		},
		{
			"a star passes by what says how the body is to be read",
			headers.Changes{Remove: []string{"Content-*"}},
			[]string{"Content-Encoding: br", "content-range: bytes 0-1/9", "Content-Language: de", "Content-Length: 2"},
			[]string{"Content-Encoding: br", "content-range: bytes 0-1/9", "Content-Length: 2"},
		},
		{"set in place of all, written as the operator has it", headers.Changes{Set: map[string]headers.Value{"X-One": text("new")}}, []string{"x-one: 1", "B: 2", "X-ONE: 3", "C: 4"}, []string{"X-One: new", "B: 2", "C: 4"}},
		{"set what is not there", headers.Changes{Set: map[string]headers.Value{"X-One": text("new")}}, []string{"B: 2"}, []string{"B: 2", "X-One: new"}},
		{"add", headers.Changes{Add: map[string]headers.Value{"Link": text("b")}}, []string{"Link: a"}, []string{"Link: a", "Link: b"}},
		{
			"remove, set, add",
			headers.Changes{Remove: []string{"A"}, Set: map[string]headers.Value{"A": text("1"), "B": text("2")}, Add: map[string]headers.Value{"A": text("3")}},
			[]string{"A: old", "B: old"},
			[]string{"B: 2", "A: 1", "A: 3"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := fields(tt.in...)
			mustNew(t, headers.Options{Request: tt.c}, "").Request(&f, noView)
			if d := cmp.Diff(tt.want, lines(f)); d != "" {
				t.Error(d)
			}
		})
	}
	f := fields("X-Forwarded-For: 1", "X-Request-Id: 2", "Connection: close", "Date: now")
	mustNew(t, headers.Options{Response: headers.Changes{Remove: []string{"X-*", "C*", "D*"}}}, "").Response(true, &f, noView)
	if d := cmp.Diff([]string{"Connection: close", "Date: now"}, lines(f)); d != "" {
		t.Errorf("answer: %s", d)
	}
}

func TestExpressions(t *testing.T) {
	o := headers.Options{Request: headers.Changes{
		Remove: []string{"X-Gone"},
		Set: map[string]headers.Value{
			"X-Host":  cel("request.host"),
			"X-Seen":  cel(`request.header["x-gone"]`),
			"X-Empty": cel(`request.header["nothing"]`),
			"X-Fails": cel(`string(int(request.query["n"]))`),
			"X-Break": cel(`request.query["break"]`),
			"X-Long":  cel(`request.query["long"]`),
			"X-Space": cel(`"  a b  "`),
		},
		Add: map[string]headers.Value{"X-Host": cel(`request.method`), "X-None": cel(`""`)},
	}}
	s := mustNew(t, o, "")
	f := fields("X-Gone: was", "X-Fails: forged", "X-Empty: forged", "X-Break: forged", "X-Long: forged")
	calls := 0
	s.Request(&f, func() expression.View {
		calls++
		h := http.Header{}
		for _, field := range f {
			h.Add(field.Name, field.Value)
		}
		return expression.View{Method: "GET", Host: "shop.example", Header: h, RawQuery: "n=x&break=a%0d%0aSet-Cookie:b&long=" + strings.Repeat("x", 9000)}
	})
	want := []string{"X-Host: shop.example", "X-Seen: was", "X-Space: a b", "X-Host: GET"}
	if d := cmp.Diff(want, lines(f)); d != "" || calls != 1 {
		t.Errorf("view was asked for %d times: %s", calls, d)
	}
}

func TestPresets(t *testing.T) {
	basic := []string{"X-Content-Type-Options: nosniff", "Referrer-Policy: strict-origin-when-cross-origin", "X-Frame-Options: SAMEORIGIN"}
	strict := []string{
		"X-Content-Type-Options: nosniff", "Referrer-Policy: strict-origin-when-cross-origin", "X-Frame-Options: DENY",
		"Permissions-Policy: accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), midi=(), payment=(), usb=()",
		"Cross-Origin-Opener-Policy: same-origin",
	}
	const hsts = "Strict-Transport-Security: max-age=63072000; includeSubDomains"
	set := func(name, value string) headers.Options {
		return headers.Options{Response: headers.Changes{Set: map[string]headers.Value{name: text(value)}}}
	}
	remove := func(names ...string) headers.Options {
		return headers.Options{Response: headers.Changes{Remove: names}}
	}
	for _, tt := range []struct {
		name     string
		security string
		o        headers.Options
		secure   bool
		in, want []string
	}{
		{"off", "off", headers.Options{}, true, []string{"Server: app"}, []string{"Server: app"}},
		{"basic", "basic", headers.Options{}, true, []string{"Server: app"}, slices.Concat([]string{"Server: app"}, basic)},
		{"strict", "strict", headers.Options{}, true, []string{"Server: app", "A: 1", "x-powered-by: php"}, slices.Concat([]string{"A: 1"}, strict, []string{hsts})},
		{"strict without TLS", "strict", headers.Options{}, false, nil, strict},
		{"what the app says wins", "basic", headers.Options{}, true, []string{"x-frame-options: ALLOWALL", "referrer-policy: no-referrer"}, []string{"x-frame-options: ALLOWALL", "referrer-policy: no-referrer", basic[0]}},
		{"what is set wins", "basic", set("x-frame-options", "DENY"), true, []string{"X-Frame-Options: SAMEORIGIN"}, []string{"x-frame-options: DENY", basic[0], basic[1]}},
		{"what is removed is left out", "basic", remove("x-frame-options", "Referrer-*"), true, []string{"X-Frame-Options: SAMEORIGIN"}, basic[:1]},
		{"HSTS is left out", "strict", remove("Strict-Transport-Security"), true, nil, strict},
		{"Server is set", "strict", set("Server", "ours"), true, []string{"Server: app"}, slices.Concat([]string{"Server: ours"}, strict, []string{hsts})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := fields(tt.in...)
			mustNew(t, tt.o, tt.security).Response(tt.secure, &f, noView)
			if d := cmp.Diff(tt.want, lines(f)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestNothingToChange(t *testing.T) {
	var none *headers.Set
	for _, s := range []*headers.Set{none, mustNew(t, headers.Options{}, ""), mustNew(t, headers.Options{}, "off")} {
		if s.ChangesRequest() || s.ChangesResponse() {
			t.Error("it changes something")
		}
		f := fields("A: 1")
		s.Request(&f, noView)
		s.Response(true, &f, noView)
		if len(f) != 1 {
			t.Errorf("got %v", f)
		}
	}
	if s := mustNew(t, headers.Options{}, "basic"); s.ChangesRequest() || !s.ChangesResponse() {
		t.Error("basic is about answers")
	}
}

func TestSetAllocatesNothing(t *testing.T) {
	s := mustNew(t, headers.Options{
		Request:  headers.Changes{Remove: []string{"X-Gone", "X-Away-*"}, Set: map[string]headers.Value{"X-One": text("1")}},
		Response: headers.Changes{Remove: []string{"X-Gone", "X-Away-*"}},
	}, "strict")
	base := fields("Content-Type: text/html", "X-One: 0", "X-Frame-Options: DENY", "X-Away: 1")
	f := make(wire.Fields, 0, 32)
	if n := testing.AllocsPerRun(100, func() {
		f = append(f[:0], base...)
		s.Request(&f, noView)
		s.Response(true, &f, noView)
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func BenchmarkResponseStrict(b *testing.B) {
	s := mustNew(b, headers.Options{Response: headers.Changes{Remove: []string{"X-Internal-*"}}}, "strict")
	base := fields("Content-Type: text/html", "Server: app", "X-Frame-Options: DENY", "Vary: Cookie", "Set-Cookie: a=b", "Content-Language: en", "X-Internal-Node: 3", "ETag: \"1\"")
	f := make(wire.Fields, 0, 32)
	b.ReportAllocs()
	for b.Loop() {
		f = append(f[:0], base...)
		s.Response(true, &f, noView)
	}
}
