package expression_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"headgate/gateway/expression"
)

// FuzzCompile: whatever is written, the answer is a program that evaluates without
// an accident, or one line about a place in the source.
func FuzzCompile(f *testing.F) {
	for _, s := range []string{
		`client.ip in ["10.0.0.0/8", "::1"] && request.method != "DELETE"`, `request.header["x-user"]`, `request.cookie.session + request.query["q"]`,
		`request.path.matches("^/u/[0-9]+$") || request.header.exists(k, k.startsWith("x-"))`, `request.path.split("/").map(p, p.lowerAscii()).join("-").replace("a", "b")`,
		`now.getHours() >= 8 ? tls.version : string(client.ip)`, `client.cert.present && client.cert.subject == "CN=a"`, `{"a": [1, 2u, 3.0, b"x", null]}["a"].size() == 5`,
		`request.hots == "a"`, `has(request.header.x)`, `not true`, `"\q"`, `request.method = "a"`, `type(dyn(1)) == int`, "a.b.c()[`x`]", `.request.method`, `request.path.substring(-1)`, "[1][?0]", `x{}`, "true\r\n// c",
	} {
		f.Add(s)
	}
	v := view(f)
	f.Fuzz(func(t *testing.T, source string) {
		for _, want := range []expression.Type{expression.Bool, expression.String} {
			p, err := expression.Compile(source, want)
			if err != nil {
				checkError(t, source, err)
				continue
			}
			if want == expression.Bool {
				_, err = p.Bool(v)
			} else {
				_, err = p.String(v)
			}
			if err != nil && strings.Contains(err.Error(), "internal error") {
				t.Fatalf("%q: %v", source, err)
			}
		}
	})
}

func checkError(t *testing.T, source string, err error) {
	t.Helper()
	var e *expression.Error
	if !errors.As(err, &e) {
		t.Fatalf("%q: %v is no *Error", source, err)
	}
	if strings.ContainsAny(e.Error(), "\r\n") || e.Msg == "" || !utf8.ValidString(e.Error()) || len(e.Error()) > 1000 {
		t.Fatalf("%q: %q is not one line of words", source, e)
	}
	lines := strings.Split(source, "\n")
	if e.Line < 1 || e.Line > len(lines) || e.Column < 1 || e.Column > utf8.RuneCountInString(lines[e.Line-1])+1 {
		t.Fatalf("%q: %v is not in the source", source, e)
	}
}

// FuzzQuery: a parameter is what net/url says.
func FuzzQuery(f *testing.F) {
	for _, s := range []string{"", "q=1", "a&q=%20+&q=2", "q;q=1", "%71=1", "q=%zz&q=3", "&&=&q"} {
		f.Add(s, "q")
	}
	p, in := compile(f, `request.query[request.host]`, expression.String), compile(f, `request.host in request.query`, expression.Bool)
	f.Fuzz(func(t *testing.T, query, name string) {
		want, _ := url.ParseQuery(query)
		v := expression.View{RawQuery: query, Host: name}
		if got, err := p.String(v); err == nil && got != want.Get(name) {
			t.Fatalf("%q of %q = %q, want %q", name, query, got, want.Get(name))
		}
		if got, err := in.Bool(v); err == nil && got != want.Has(name) {
			t.Fatalf("%q in %q = %v, want %v", name, query, got, want.Has(name))
		}
	})
}

// FuzzCookie: whatever net/http finds is found.
func FuzzCookie(f *testing.F) {
	for _, s := range []string{"", "a=1", `a="1"; b=2`, "b=2;a=1", "a=1; a=2", ";;=;a", "a= x y "} {
		f.Add(s, "a")
	}
	p := compile(f, `request.cookie[request.host]`, expression.String)
	f.Fuzz(func(t *testing.T, line, name string) {
		r := http.Request{Header: http.Header{"Cookie": {line}}}
		if strings.Count(line, name) > 1 {
			return // of several, net/http takes the first that is valid
		}
		c, err := r.Cookie(name)
		if err != nil {
			return
		}
		if got, err := p.String(expression.View{Header: r.Header, Host: name}); err != nil || got != c.Value {
			t.Fatalf("%q of %q = %q, %v, want %q", name, line, got, err, c.Value)
		}
	})
}
