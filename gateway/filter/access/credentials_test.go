package access_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"unicode/utf8"

	"headgate/gateway/filter/access"
	"headgate/gateway/wire"
)

func authorization(values ...string) (f wire.Fields) {
	for _, v := range values {
		f.Add("authorization", v)
	}
	return f
}

func basic(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }

func TestCredentials(t *testing.T) {
	for plain, want := range map[string][2]string{
		"Aladdin:open sesame": {"Aladdin", "open sesame"}, "test:123£": {"test", "123£"}, "a:b:c:": {"a", "b:c:"}, ":": {"", ""}, "a:": {"a", ""}, ":b": {"", "b"},
		strings.Repeat("u", 256) + ":" + strings.Repeat("p", 1024): {strings.Repeat("u", 256), strings.Repeat("p", 1024)},
	} {
		user, password, ok := access.Credentials(authorization(basic(plain)))
		if !ok || user != want[0] || password != want[1] {
			t.Errorf("%q: got %q, %q, %v", plain, user, password, ok)
		}
	}
	if user, password, ok := access.Credentials(authorization("bAsIc  YTpi")); !ok || user != "a" || password != "b" {
		t.Errorf("another case and two spaces: got %q, %q, %v", user, password, ok)
	}
	for _, f := range []wire.Fields{
		nil, authorization(""), authorization("Basic"), authorization("Basic "), authorization("Bearer YTpi"), authorization("BasicYTpi"), authorization("Basic YTpi="),
		authorization("Basic !!!!"), authorization("Basic YWI="), authorization(basic("a:b"), basic("a:b")), authorization(basic("a\x00:b")), authorization(basic("a:b\n")),
		authorization(basic("a:\x7f")), authorization(basic("a:\xff")), authorization(basic(strings.Repeat("u", 257) + ":p")), authorization(basic("u:" + strings.Repeat("p", 1025))),
		authorization(basic(strings.Repeat("u", 100_000) + ":p")), authorization("Basic YT\npi"), authorization("Basic YTpi YTpi"),
	} {
		if user, password, ok := access.Credentials(f); ok || user != "" || password != "" {
			t.Errorf("%.60v: got %q, %q, %v, want none", f, user, password, ok)
		}
	}
}

func FuzzCredentials(f *testing.F) {
	for _, s := range []string{basic("a:b"), "basic  YTpi", "Basic", "Bearer x", "Basic YTpi\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		user, password, ok := access.Credentials(authorization(value))
		if !ok {
			return
		}
		if strings.Contains(user, ":") || !utf8.ValidString(user+password) || strings.ContainsAny(user+password, "\r\n\x00") {
			t.Errorf("%q: got %q and %q", value, user, password)
		}
		if again, pass, ok := access.Credentials(authorization(basic(user + ":" + password))); again != user || pass != password || !ok {
			t.Errorf("%q is written again, and read %q, %q, %v", value, again, pass, ok)
		}
	})
}
