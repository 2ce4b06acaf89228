package conditional_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"headgate/gateway/conditional"
	"headgate/gateway/wire"
)

const (
	before = "Sat, 04 Jul 2026 10:00:00 GMT"
	exact  = "Sun, 05 Jul 2026 10:00:00 GMT"
	after  = "Mon, 06 Jul 2026 10:00:00 GMT"

	exact850   = "Sunday, 05-Jul-26 10:00:00 GMT"
	exactANSIC = "Sun Jul  5 10:00:00 2026"
)

// modified has a part of a second, as files do.
var modified = time.Date(2026, 7, 5, 10, 0, 0, 123456789, time.UTC)

var (
	strong = conditional.Validators{ETag: `"a"`, Modified: modified}
	weak   = conditional.Validators{ETag: `W/"a"`, Modified: modified}
	dated  = conditional.Validators{Modified: modified}
	none   = conditional.Validators{}
)

// request reads lines of a header.
func request(method string, lines ...string) *wire.Request {
	r := &wire.Request{Method: method, Target: "/"}
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		r.Fields.Add(name, value)
	}
	return r
}

func TestCheck(t *testing.T) {
	for _, test := range []struct {
		method string
		v      conditional.Validators
		want   int
		lines  []string
	}{
		{"GET", strong, 0, nil},

		// 13.1.1: If-Match
		{"GET", strong, 0, []string{`If-Match: "a"`}},
		{"GET", strong, 412, []string{`If-Match: "b"`}},
		{"PUT", strong, 412, []string{`If-Match: "b"`}},
		{"PUT", strong, 0, []string{`If-Match: "b", "a"`}},
		{"PUT", strong, 0, []string{`If-Match: "b","c" ,, "a","d"`}},
		{"PUT", strong, 0, []string{`If-Match: "b"`, `if-match: "a"`}},
		{"GET", strong, 412, []string{`If-Match: W/"a"`}},
		{"GET", weak, 412, []string{`If-Match: W/"a"`}},
		{"GET", weak, 412, []string{`If-Match: "a"`}},
		{"GET", strong, 0, []string{`If-Match: *`}},
		{"GET", none, 0, []string{`If-Match: *`}},
		{"GET", dated, 412, []string{`If-Match: "a"`}},
		{"GET", strong, 412, []string{`If-Match: a`}},
		{"GET", strong, 412, []string{`If-Match: "b" "a"`}},
		{"GET", strong, 412, []string{`If-Match: "a`}},
		{"GET", strong, 412, []string{`If-Match: `}},
		{"GET", strong, 0, []string{`If-Match: "b,\","a"`}},

		// 13.1.4: If-Unmodified-Since
		{"GET", strong, 0, []string{"If-Unmodified-Since: " + exact}},
		{"GET", strong, 0, []string{"If-Unmodified-Since: " + exact850}},
		{"GET", strong, 0, []string{"If-Unmodified-Since: " + exactANSIC}},
		{"GET", strong, 0, []string{"If-Unmodified-Since: " + after}},
		{"GET", strong, 412, []string{"If-Unmodified-Since: " + before}},
		{"DELETE", strong, 412, []string{"If-Unmodified-Since: " + before}},
		{"GET", none, 0, []string{"If-Unmodified-Since: " + before}},
		{"GET", strong, 0, []string{"If-Unmodified-Since: yesterday"}},
		{"GET", strong, 0, []string{"If-Unmodified-Since: " + before, "If-Unmodified-Since: " + before}},
		{"GET", strong, 0, []string{`If-Match: "a"`, "If-Unmodified-Since: " + before}}, // 13.2.2: only without If-Match

		// 13.1.2: If-None-Match
		{"GET", strong, 304, []string{`If-None-Match: "a"`}},
		{"HEAD", strong, 304, []string{`If-None-Match: "a"`}},
		{"PUT", strong, 412, []string{`If-None-Match: "a"`}},
		{"GET", strong, 304, []string{`If-None-Match: W/"a"`}},
		{"GET", weak, 304, []string{`If-None-Match: "a"`}},
		{"GET", weak, 304, []string{`If-None-Match: W/"b", W/"a"`}},
		{"GET", strong, 0, []string{`If-None-Match: "b"`}},
		{"GET", strong, 0, []string{`If-None-Match: w/"a"`}}, // 8.8.3: case-sensitive
		{"GET", strong, 304, []string{`If-None-Match: *`}},
		{"PUT", strong, 412, []string{`If-None-Match: *`}},
		{"PUT", none, 412, []string{`If-None-Match: *`}},
		{"GET", dated, 0, []string{`If-None-Match: "a"`}},
		{"GET", strong, 0, []string{`If-None-Match: a`}},
		{"GET", strong, 0, []string{`If-None-Match: "a`, `If-None-Match: "b"`}},
		{"GET", strong, 0, []string{"If-None-Match: \"a\x00\""}},
		{"GET", strong, 304, []string{`If-None-Match: "b"`, `If-None-Match: "a"`}},
		{"GET", strong, 0, []string{`If-None-Match: "b", *`}},

		// 13.1.3: If-Modified-Since
		{"GET", strong, 304, []string{"If-Modified-Since: " + exact}},
		{"GET", strong, 304, []string{"If-Modified-Since: " + exact850}},
		{"GET", strong, 304, []string{"If-Modified-Since: " + exactANSIC}},
		{"HEAD", strong, 304, []string{"If-Modified-Since: " + after}},
		{"GET", strong, 0, []string{"If-Modified-Since: " + before}},
		{"POST", strong, 0, []string{"If-Modified-Since: " + exact}},
		{"GET", none, 0, []string{"If-Modified-Since: " + exact}},
		{"GET", strong, 0, []string{"If-Modified-Since: " + exact, "If-Modified-Since: " + exact}},
		{"GET", strong, 0, []string{"If-Modified-Since: Sun, 05 Jul 2026 10:00:00 PST"}},
		{"GET", strong, 0, []string{"If-Modified-Since: Sunday, 05-Jul-26 10:00:00 PST"}},
		{"GET", strong, 0, []string{"If-Modified-Since: Sun, 32 Jul 2026 10:00:00 GMT"}},
		{"GET", strong, 0, []string{"If-Modified-Since: 1783245600"}},
		{"GET", strong, 0, []string{"If-Modified-Since: "}},

		// 13.2.2: which beats which
		{"GET", strong, 0, []string{`If-None-Match: "b"`, "If-Modified-Since: " + exact}},
		{"GET", strong, 304, []string{`If-None-Match: "a"`, "If-Modified-Since: " + before}},
		{"GET", dated, 0, []string{`If-None-Match: "a"`, "If-Modified-Since: " + exact}},
		{"GET", strong, 412, []string{`If-None-Match: "a"`, `If-Match: "b"`}},
		{"GET", strong, 304, []string{`If-None-Match: "a"`, `If-Match: "a"`}},
		{"GET", strong, 304, []string{"If-Unmodified-Since: " + exact, "If-Modified-Since: " + exact}},
		{"GET", strong, 0, []string{`If-Range: "b"`}},

		// 13.2.1: methods that select nothing
		{"OPTIONS", strong, 0, []string{`If-Match: "b"`}},
		{"TRACE", strong, 0, []string{`If-None-Match: *`}},
		{"CONNECT", strong, 0, []string{`If-None-Match: *`}},
	} {
		if got := conditional.Check(request(test.method, test.lines...), test.v, true); got != test.want {
			t.Errorf("%s %+v with\n%s: got %d, want %d", test.method, test.v, strings.Join(test.lines, "\n"), got, test.want)
		}
	}
}

func TestCheckWithoutRepresentation(t *testing.T) {
	for line, want := range map[string]int{
		"If-Match: *": 412, `If-Match: "a"`: 412,
		"If-None-Match: *": 0, `If-None-Match: "a"`: 0,
		"If-Unmodified-Since: " + before: 0, "If-Modified-Since: " + exact: 0,
	} {
		for _, method := range []string{"GET", "PUT"} {
			if got := conditional.Check(request(method, line), none, false); got != want {
				t.Errorf("%s with %s: got %d, want %d", method, line, got, want)
			}
		}
	}
}

func TestCheckDoesNotAllocate(t *testing.T) {
	for _, lines := range [][]string{
		{`If-None-Match: "b", W/"a"`, "If-Modified-Since: " + exact},
		{"If-Modified-Since: " + exact},
		{"Accept: */*"},
	} {
		r := request("GET", lines...)
		if n := testing.AllocsPerRun(100, func() { conditional.Check(r, strong, true) }); n > 0 {
			t.Errorf("%q: %v allocations", lines, n)
		}
	}
}

func FuzzCheck(f *testing.F) {
	f.Add("GET", `"a"`, `"b", W/"a"`, "", exact, before)
	f.Add("HEAD", `W/"a"`, `*`, `"a"`, exact850, exactANSIC)
	f.Add("PUT", "", `"a`, `W/`, "x", "")
	f.Fuzz(func(t *testing.T, method, tag, match, noneMatch, modifiedSince, unmodifiedSince string) {
		r := request(method)
		for name, v := range map[string]string{
			"If-Match": match, "If-None-Match": noneMatch, "If-Modified-Since": modifiedSince, "If-Unmodified-Since": unmodifiedSince,
		} {
			if v != "" {
				r.Fields.Add(name, v)
			}
		}
		v := conditional.Validators{ETag: tag, Modified: modified}
		got := conditional.Check(r, v, true)
		switch reads := method == "GET" || method == "HEAD"; {
		case got != 0 && got != 304 && got != 412:
			t.Errorf("got %d", got)
		case got == 304 && (!reads || noneMatch == "" && modifiedSince == ""):
			t.Errorf("got 304 to %s without a reason", method)
		case got == 412 && match == "" && unmodifiedSince == "" && (reads || noneMatch == ""):
			t.Errorf("got 412 to %s without a reason", method)
		case got == 0 && len(r.Fields) == 1 && noneMatch == tag && valid(tag) && reads:
			t.Errorf("If-None-Match: %q is not the tag itself", tag)
		}
	})
}

// valid reports whether tag is one.
func valid(tag string) bool {
	q, ok := strings.CutPrefix(strings.TrimPrefix(tag, "W/"), `"`)
	q, end := strings.CutSuffix(q, `"`)
	return ok && end && strings.IndexFunc(q, func(c rune) bool { return c <= ' ' || c == '"' || c == 0x7f || c == 0xfffd }) < 0
}

func BenchmarkCheck(b *testing.B) {
	for _, lines := range [][]string{{}, {`If-None-Match: "b", W/"a"`}, {"If-Modified-Since: " + exact}} {
		r := request("GET", append(lines, "Accept: */*", "Accept-Encoding: gzip", "User-Agent: x", "Cookie: a=b")...)
		b.Run(fmt.Sprint(len(lines), r.Fields[0].Name), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				conditional.Check(r, strong, true)
			}
		})
	}
}
