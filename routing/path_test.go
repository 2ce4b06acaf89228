package routing_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"headgate/routing"
)

// TestCanonicalPath has what nginx 1.22.1 answers with `return 200 "$uri"` to the
// same path in a request line; err is its 400. Where ours differs on purpose, the
// row says what nginx does.
func TestCanonicalPath(t *testing.T) {
	for _, c := range []struct {
		raw, want string
		err       error
		nginx     string // when it differs
	}{
		// slashes
		{raw: "/", want: "/"},
		{raw: "/a", want: "/a"},
		{raw: "/a/", want: "/a/"},
		{raw: "/a/b.html", want: "/a/b.html"},
		{raw: "//", want: "/"},
		{raw: "///a//b///", want: "/a/b/"},
		// dot segments
		{raw: "/.", want: "/"},
		{raw: "/./", want: "/"},
		{raw: "/./a", want: "/a"},
		{raw: "/a/.", want: "/a/"},
		{raw: "/a/..", want: "/"},
		{raw: "/a/./", want: "/a/"},
		{raw: "/a/../", want: "/"},
		{raw: "/a/../b", want: "/b"},
		{raw: "/a/b/../../c", want: "/c"},
		{raw: "/a/b/c/../../", want: "/a/"},
		{raw: "/a/b/c/../..", want: "/a/"},
		{raw: "/a//../b", want: "/b"},
		{raw: "/a//.//b", want: "/a/b"},
		{raw: "/a/./../b/./", want: "/b/"},
		{raw: "/a;/../b", want: "/b"},
		{raw: "/..", err: routing.ErrPathAbove},
		{raw: "/../", err: routing.ErrPathAbove},
		{raw: "//../a", err: routing.ErrPathAbove},
		{raw: "/././//../a", err: routing.ErrPathAbove},
		{raw: "/a/../../b", err: routing.ErrPathAbove},
		{raw: "/a/b/../../../c", err: routing.ErrPathAbove},
		// dots that are none
		{raw: "/a/...", want: "/a/..."},
		{raw: "/a/.../b", want: "/a/.../b"},
		{raw: "/.a", want: "/.a"},
		{raw: "/..a", want: "/..a"},
		{raw: "/a/.b/..c/d.", want: "/a/.b/..c/d."},
		{raw: "/a/b..", want: "/a/b.."},
		{raw: "/a/%2e%2e%2e", want: "/a/..."},
		{raw: "/a%2e", want: "/a."},
		// escaped dots and slashes
		{raw: "/%2e", want: "/"},
		{raw: "/%2e%2e", err: routing.ErrPathAbove},
		{raw: "/a/%2e%2e/b", want: "/b"},
		{raw: "/a/.%2e/b", want: "/b"},
		{raw: "/a/%2E./b", want: "/b"},
		{raw: "/a/%2e/b", want: "/a/b"},
		{raw: "/a%2fb", want: "/a/b"},
		{raw: "/a%2F", want: "/a/"},
		{raw: "/a%2f/b", want: "/a/b"},
		{raw: "/a/%2f/b", want: "/a/b"},
		{raw: "/%2f", want: "/"},
		{raw: "/%2f%2f", want: "/"},
		{raw: "/a%2f..%2fb", want: "/b"},
		{raw: "/a%2f%2e%2e%2fb", want: "/b"},
		{raw: "/a%2f..", want: "/"},
		{raw: "/a/..%2fb", want: "/b"},
		{raw: "/..%2fb", err: routing.ErrPathAbove},
		{raw: "/a/..%2f..%2fb", err: routing.ErrPathAbove},
		// decoded once
		{raw: "/%25", want: "/%"},
		{raw: "/%2525", want: "/%25"},
		{raw: "/a/%252e%252e/b", want: "/a/%2e%2e/b"},
		// bytes
		{raw: "/a%20b", want: "/a b"},
		{raw: "/a%3Fb", want: "/a?b"},
		{raw: "/a%23b", want: "/a#b"},
		{raw: "/caf%C3%A9", want: "/café"},
		{raw: "/caf\xc3\xa9", want: "/café"},
		{raw: "/%ff%fe", want: "/\xff\xfe"},
		{raw: "/\xff\xfe", want: "/\xff\xfe"},
		{raw: "/%01", want: "/\x01"},
		{raw: "/%0a", want: "/\n"},
		{raw: "/%7f", want: "/\x7f"},
		{raw: "/a+b", want: "/a+b"},
		{raw: "/a;b=1/c", want: "/a;b=1/c"},
		{raw: "/a:b@c/~u", want: "/a:b@c/~u"},
		{raw: `/a\..\b`, want: `/a\..\b`},
		{raw: "/%5c..%5cb", want: `/\..\b`},
		{raw: "/[a]{b}|^`\\\"<>", want: "/[a]{b}|^`\\\"<>"},
		// refused
		{raw: "/a%", err: routing.ErrPathEscape},
		{raw: "/a%4", err: routing.ErrPathEscape},
		{raw: "/a%zz", err: routing.ErrPathEscape},
		{raw: "/a%4g", err: routing.ErrPathEscape},
		{raw: "/%u0041", err: routing.ErrPathEscape},
		{raw: "/%00", err: routing.ErrPathNUL},
		{raw: "/a%00b", err: routing.ErrPathNUL},
		{raw: "/a\x00b", err: routing.ErrPathNUL},
		{raw: "/a\x01b", err: routing.ErrPathControl},
		{raw: "/a\x7fb", err: routing.ErrPathControl},
		{raw: "/a\tb", err: routing.ErrPathControl},
		{raw: "/a b", err: routing.ErrPathControl},
		{raw: "", err: routing.ErrPathStart},
		{raw: "a", err: routing.ErrPathStart},
		{raw: "*", err: routing.ErrPathStart},
		// a fragment never goes over the wire: who sends one wants two readers to disagree
		{raw: "/a#b", err: routing.ErrPathControl, nginx: "/a"},
		{raw: "/a#../b", err: routing.ErrPathControl, nginx: "/a"},
	} {
		got, err := routing.CanonicalPath(c.raw)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("CanonicalPath(%q) = %q, %v, want %q, %v", c.raw, got, err, c.want, c.err)
		}
	}
}

func TestCanonicalPathLong(t *testing.T) {
	raw := "/%61" + strings.Repeat("/./b", 5000) + strings.Repeat("/..", 4999) + "/"
	if got, err := routing.CanonicalPath(raw); got != "/a/b/" || err != nil {
		t.Errorf("got %.40q, %v, want /a/b/", got, err)
	}
}

func TestCanonicalPathAllocations(t *testing.T) {
	long := "/%61" + strings.Repeat("/b", 8000)
	for _, c := range []struct {
		raw  string
		want float64
	}{{"/shop/cart/items", 0}, {"/a.b/c", 0}, {"/caf%C3%A9", 1}, {"/a//b/../c", 1}, {long, 2}} {
		got := testing.AllocsPerRun(100, func() {
			if _, err := routing.CanonicalPath(c.raw); err != nil {
				t.Fatal(err)
			}
		})
		if got > c.want {
			t.Errorf("CanonicalPath(%.20q) allocates %v times, want %v", c.raw, got, c.want)
		}
	}
}

// encode escapes what a canonical path may have and a target may not.
func encode(p string) string {
	var b strings.Builder
	for i := range len(p) {
		if c := p[i]; c <= ' ' || c >= 0x7f || c == '%' || c == '#' || c == '?' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func FuzzCanonicalPath(f *testing.F) {
	for _, s := range []string{"/", "/a/b", "//a/./b/../c/", "/%2e%2e/x", "/a%2f..%2fb", "/%25%32%65", "/\xff", "/a/..", "/%00", "", "/a/.%2e/.../b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := routing.CanonicalPath(raw)
		if err != nil {
			if got != "" {
				t.Fatalf("CanonicalPath(%q) = %q with %v", raw, got, err)
			}
			return
		}
		if got == "" || got[0] != '/' || strings.Contains(got, "//") || strings.Contains(got, "\x00") {
			t.Fatalf("CanonicalPath(%q) = %q", raw, got)
		}
		for seg := range strings.SplitSeq(got, "/") {
			if seg == "." || seg == ".." {
				t.Fatalf("CanonicalPath(%q) = %q has a dot segment", raw, got)
			}
		}
		again, err := routing.CanonicalPath(encode(got))
		if again != got || err != nil {
			t.Fatalf("CanonicalPath(%q) = %q; encoded and again %q, %v", raw, got, again, err)
		}
		if want := reference(raw); got != want {
			t.Fatalf("CanonicalPath(%q) = %q, want %q", raw, got, want)
		}
	})
}

// reference is CanonicalPath the slow way, for paths that are valid.
func reference(raw string) string {
	var decoded strings.Builder
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c == '%' {
			fmt.Sscanf(raw[i+1:i+3], "%02x", &c)
			i += 2
		}
		decoded.WriteByte(c)
	}
	var segs []string
	last := ""
	for seg := range strings.SplitSeq(decoded.String(), "/") {
		switch last = seg; seg {
		case "", ".":
		case "..":
			segs = segs[:len(segs)-1]
		default:
			segs = append(segs, seg)
		}
	}
	p := "/" + strings.Join(segs, "/")
	if len(segs) > 0 && (last == "" || last == "." || last == "..") {
		p += "/"
	}
	return p
}

func BenchmarkCanonicalPath(b *testing.B) {
	for name, raw := range map[string]string{
		"clean":   "/shop/articles/2026/11/a-rather-long-name-of-an-article",
		"escaped": "/caf%C3%A9/a%20b//c/../d",
		"hostile": "/%41" + strings.Repeat("/a", 8000),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := routing.CanonicalPath(raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
