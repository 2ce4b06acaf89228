package routing_test

import (
	"strings"
	"testing"

	"headgate/routing"
)

// one looks a path up in a table with a single route.
func one(t *testing.T, path, mount, request string) routing.Match[string, string] {
	t.Helper()
	table, err := routing.NewTable([]routing.Site[string, string]{{Routes: []routing.Route[string]{{Path: path, Mount: mount}}}})
	if err != nil {
		t.Fatal(err)
	}
	return table.Lookup(routing.Request{Path: request}, nil)
}

func TestPathPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern string
		yes, no string // space-separated
	}{
		{"", "/ /a /a/b/", ""},
		{"/", "/ /a /a/b/", ""},
		{"/admin", "/admin /admin/ /admin/x /admin/x/y", "/ /adminx /admin.html /Admin /x/admin"},
		{"/admin/", "/admin/ /admin/x", "/admin /adminx /"},
		{"/a/b", "/a/b /a/b/c", "/a /a/ /a/bc"},
		{"/100%", "/100% /100%/x", "/100"},
		{"=/favicon.ico", "/favicon.ico", "/favicon.ico/ /favicon.icon /x/favicon.ico"},
		{"=/", "/", "/a"},
		{"~^/u/[0-9]+$", "/u/7 /u/123", "/u/ /u/x /u/7/ /x/u/7"},
		{"~[.]php$", "/a.php /x/y.php", "/a.php/ /aphp"},
		{"~(?i)^/shop", "/SHOP/x /shopping", "/x/shop"},
	} {
		for _, p := range strings.Fields(c.yes) {
			if m := one(t, c.pattern, "", p); m.Found != routing.SiteRoute || m.ScriptName != "" || m.PathInfo != p {
				t.Errorf("path %q, request %q: got %+v, want a match and the whole path", c.pattern, p, m)
			}
		}
		for _, p := range strings.Fields(c.no) {
			if m := one(t, c.pattern, "", p); m.Found != routing.NoRoute || m.PathInfo != "" {
				t.Errorf("path %q, request %q: got %+v, want no route", c.pattern, p, m)
			}
		}
	}
}

func TestMountSplitsPath(t *testing.T) {
	for _, c := range []struct{ mount, request, script, info string }{
		{"/blog", "/blog", "/blog", ""},
		{"/blog", "/blog/", "/blog", "/"},
		{"/blog", "/blog/x/y/", "/blog", "/x/y/"},
		{"/a/b", "/a/b/c", "/a/b", "/c"},
		{"/", "/x", "", "/x"},
		{"", "/x", "", "/x"},
	} {
		m := one(t, "", c.mount, c.request)
		if m.Found != routing.SiteRoute || m.ScriptName != c.script || m.PathInfo != c.info {
			t.Errorf("mount %q, request %q: got %+v, want %q and %q", c.mount, c.request, m, c.script, c.info)
		}
	}
	for _, request := range []string{"/", "/blogs", "/blog.html", "/x/blog", "/Blog"} {
		if m := one(t, "", "/blog", request); m.Found != routing.NoRoute {
			t.Errorf("mount /blog, request %q: got %+v, want no route", request, m)
		}
	}
}

func TestCheckPathAndMount(t *testing.T) {
	const never = "can never match, because slashes are merged and dots resolved before"
	for _, c := range []struct{ path, mount, want string }{
		{path: ""},
		{path: "/"},
		{path: "/a"},
		{path: "/a/"},
		{path: "=/"},
		{path: "=/a b"},
		{path: "~x"},
		{path: "/.well-known/acme"},
		{path: "/50%"},
		{path: "/50%/%zz"},
		{path: "/café"},
		{mount: "/"},
		{mount: "/a/b"},
		{path: "a", want: `"a" does not begin with a slash: write "/a"`},
		{path: "=a", want: `"=a" does not begin with a slash: write "=/a"`},
		{path: "=", want: `"=" does not begin with a slash: write "=/"`},
		{path: "/a//b", want: `"/a//b" ` + never + `: write "/a/b"`},
		{path: "=/a/../b", want: `"=/a/../b" ` + never + `: write "=/b"`},
		{path: "/a/./", want: `"/a/./" ` + never + `: write "/a/"`},
		{path: "/../a", want: `"/../a" ` + never + `: remove it`},
		{path: "/a\x00", want: `"/a\x00" ` + never + `: remove it`},
		{path: "/a%20b", want: `"/a%20b" is compared with the decoded path: write "/a b"`},
		{path: "=/caf%C3%A9", want: `"=/caf%C3%A9" is compared with the decoded path: write "=/café"`},
		{path: "~", want: "there is no regular expression behind the ~: write one such as ~^/u/[0-9]+$"},
		{path: "~(", want: "\"(\" is no regular expression of RE2: error parsing regexp: missing closing ): `(`"},
		{path: "/" + strings.Repeat("a", 4096), want: "it is longer than 4096 bytes: write a shorter one"},
		{mount: "/a/", want: `"/a/" ends with a slash: write "/a"`},
		{mount: "//", want: `"//" ends with a slash: write "/"`},
		{mount: "a", want: `"a" does not begin with a slash: write "/a"`},
		{mount: "~a", want: `"~a" does not begin with a slash: write "/~a"`},
		{mount: "/a/../b", want: `"/a/../b" ` + never + `: write "/b"`},
		{mount: "/a%20b", want: `"/a%20b" is compared with the decoded path: write "/a b"`},
	} {
		check, text := routing.CheckPath, c.path
		if c.mount != "" {
			check, text = routing.CheckMount, c.mount
		}
		got := ""
		if err := check(text); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%.40q: got %q, want %q", text, got, c.want)
		}
	}
}

// FuzzPatterns holds what a pattern that is accepted must keep to: it is one that
// can match, and a match gives the path back whole.
func FuzzPatterns(f *testing.F) {
	for _, s := range []string{"", "/", "/a", "/a/", "=/a", "~^/a$", "/a%20b", "/../x", "~("} {
		f.Add(s, "/a/b")
	}
	f.Fuzz(func(t *testing.T, pattern, raw string) {
		request, err := routing.CanonicalPath(raw)
		if err != nil {
			return
		}
		if routing.CheckPath(pattern) == nil {
			if literal := strings.TrimPrefix(pattern, "="); literal != "" && literal[0] == '/' {
				if m := one(t, pattern, "", literal); m.Found != routing.SiteRoute {
					t.Fatalf("%q does not match itself", pattern)
				}
				if p, err := routing.CanonicalPath(encode(literal)); p != literal || err != nil {
					t.Fatalf("%q is accepted and no request can have it: %q, %v", pattern, p, err)
				}
			}
		}
		if routing.CheckMount(pattern) != nil {
			return
		}
		m := one(t, "", pattern, request)
		if m.Found != routing.SiteRoute {
			return
		}
		if m.ScriptName+m.PathInfo != request || m.PathInfo != "" && m.PathInfo[0] != '/' || strings.HasSuffix(m.ScriptName, "/") {
			t.Fatalf("mount %q, request %q: %+v", pattern, request, m)
		}
	})
}
