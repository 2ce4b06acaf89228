package routing_test

import (
	"strings"
	"testing"

	"headgate/routing"
)

// guarded is a site whose /admin has a route of its own.
func guarded(t testing.TB, pattern string) *routing.Table[string, string] {
	t.Helper()
	return newTable(t, site{Routes: []route{{Path: pattern, Value: "guard"}, {Value: "open"}}})
}

// No way of writing /admin/x in a target gets around the route of /admin.
func TestGuardedPathCannotBeWrittenAround(t *testing.T) {
	patterns := []string{"/admin", "/admin/", "~^/admin/", "~^/admin/.*$", "~^/admin(/.*)?$"}
	targets := []string{
		"/admin/x", "//admin/x", "/./admin/x", "/%61dmin/x", "/%61%64%6D%69%6e%2fx", "/admin%2Fx", "/admin%2F%2fx", "/x/../admin/x", "/x/%2e%2e/admin/x",
		"/x%2f..%2fadmin%2fx", "/x/.%2E//admin/./x", "/admin/y/../x", "/x;/../admin/x", "/admin/x%0a", "/admin/%0Ax", "/admin/x%0d%0a", "/admin/%0a%0a",
		"/admin/x%ff", "/admin/%c0%ae%c0%ae/x", "/admin/x%23", "/admin/x%3f", "/admin/x%20", "/admin/..%3b/x", "/admin/x/..", "/admin/%252e%252e/x", `/admin/..\x`,
	}
	for _, pattern := range patterns {
		table := guarded(t, pattern)
		for _, target := range targets {
			path, err := routing.CanonicalPath(target)
			if err != nil {
				t.Fatalf("%q: %v", target, err)
			}
			if m := table.Lookup(routing.Request{Path: path}, nil); m.Route != "guard" {
				t.Errorf("path %q: %q is %q and takes the route %q", pattern, target, path, m.Route)
			}
		}
	}
}

func FuzzGuardedPath(f *testing.F) {
	f.Add("/admin/x")
	f.Add("//x/..%2fadmin%2fx%0a")
	f.Add("/%61dmin/%0a")
	f.Fuzz(func(t *testing.T, target string) {
		path, err := routing.CanonicalPath(target)
		if err != nil {
			return
		}
		want := "open"
		if strings.HasPrefix(path, "/admin/") {
			want = "guard"
		}
		for _, pattern := range []string{"/admin/", "~^/admin/.*$"} {
			if m := guarded(t, pattern).Lookup(routing.Request{Path: path}, nil); m.Route != want {
				t.Fatalf("path %q: %q is %q and takes the route %q, want %q", pattern, target, path, m.Route, want)
			}
		}
	})
}

// A star that would match nothing leaves unguarded what it was to guard.
func TestStarAtTheEndIsRefused(t *testing.T) {
	for pattern, want := range map[string]string{
		"/admin/*":  `"/admin/*" has a *, which is a plain byte here: write "/admin/" for all that is below`,
		"=/admin/*": `"=/admin/*" has a *, which is a plain byte here: write "/admin/" for all that is below`,
		"/*":        `"/*" has a *, which is a plain byte here: write "/" for all that is below`,
	} {
		if err := routing.CheckPath(pattern); err == nil || err.Error() != want {
			t.Errorf("CheckPath(%q) = %v, want %s", pattern, err, want)
		}
	}
	if err := routing.CheckMount("/admin/*"); err == nil || !strings.HasSuffix(err.Error(), `write "/admin"`) {
		t.Errorf("CheckMount(/admin/*) = %v, want the cure /admin", err)
	}
	for _, pattern := range []string{"/a*", "/*a", "~^/admin/*"} {
		if err := routing.CheckPath(pattern); err != nil {
			t.Errorf("CheckPath(%q) = %v, want nil", pattern, err)
		}
	}
}

// TestCanonicalPathLikeNginx has more answers of nginx 1.22.1 to `return 200
// "$uri"`, "" for its 400; beside TestCanonicalPath, which says where ours differ.
func TestCanonicalPathLikeNginx(t *testing.T) {
	for raw, want := range map[string]string{
		"/a..": "/a..", "/a./b": "/a./b", "/...": "/...", "/..a": "/..a", "/.well-known/x": "/.well-known/x", "/a/...": "/a/...", "/%2e%2e%2e": "/...",
		"/a//..": "/", "/a/.//../b": "/b", "/a/b/../.": "/a/", "/a/b/..//": "/a/", "/a/..;/b": "/a/..;/b", "/a/;/../b": "/a/b", "/a/%5c../b": `/a/\../b`,
		"/a%2F%2Fb": "/a/b", "/a/%2f../b": "/b", "/a%2f%2e%2e": "/", "/a/..%2f": "/", "/a%0d%0ab": "/a\r\nb", "/%c0%ae%c0%ae/a": "/\xc0\xae\xc0\xae/a",
		"/a&b": "/a&b", `/"`: `/"`, "/a/../..": "", "//..": "", "/%2e%2e%2fa": "", "/%u002e": "", "/%%61": "", "/a%2": "", "/a/.%00": "", "/a/..%00/b": "",
	} {
		got, err := routing.CanonicalPath(raw)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("CanonicalPath(%q) = %q, %v, want %q", raw, got, err, want)
		}
	}
}

func TestCanonicalPathIsReturnedAsItIs(t *testing.T) {
	for _, raw := range []string{"/.well-known/acme-challenge/x", "/..a/.b/...", "/a/", "/", "/caf\xc3\xa9"} {
		if n := testing.AllocsPerRun(100, func() {
			if got, err := routing.CanonicalPath(raw); got != raw || err != nil {
				t.Fatalf("CanonicalPath(%q) = %q, %v", raw, got, err)
			}
		}); n != 0 {
			t.Errorf("CanonicalPath(%q) allocates %v times, want none", raw, n)
		}
	}
}
