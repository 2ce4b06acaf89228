package cache_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"headgate/gateway/cache"
	"headgate/gateway/notation"
	"headgate/gateway/wire"
)

// step is one request of a case, and what is to become of it.
type step struct {
	after  time.Duration // since the step before
	method string        // GET
	url    string        // /
	lines  []string      // of its header
	want   string        // hit, stale, revalidated, miss, bypass, unsatisfied
	status int           // 0: any
	has    []string      // lines, or the beginnings of lines, of the answer; with ! before it: none
	sent   []string      // the same of what the app got
}

// rule is one thing that an RFC demands or allows.
type rule struct {
	section string // of RFC 9111, or with the number of another
	what    string
	options cache.Options
	app     func(n int, r wire.Request) answer
	steps   []step
}

func ok(lines ...string) answer { return answer{lines: lines, body: "body"} }

func status(n int, lines ...string) answer { return answer{status: n, lines: lines, body: "body"} }

func get(want string, lines ...string) step { return step{want: want, lines: lines} }

func later(d time.Duration, want string, lines ...string) step {
	return step{after: d, want: want, lines: lines}
}

func do(method, url, want string, lines ...string) step {
	return step{method: method, url: url, want: want, lines: lines}
}

// twice is a first request and the same again a little later.
func twice(first, second string, lines ...string) []step {
	return []step{get(first, lines...), later(time.Second, second, lines...)}
}

const (
	s = time.Second
	m = time.Minute
	h = time.Hour
)

// start is when the clock of synctest begins.
var start = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func at(d time.Duration) string { return date(start.Add(d)) }

// validated is an app that has one version for ever, and says so.
func validated(control string, validators ...string) func(int, wire.Request) answer {
	return func(_ int, r wire.Request) answer {
		lines := append([]string{"Cache-Control: " + control}, validators...)
		if r.Fields.Has("If-None-Match") || r.Fields.Has("If-Modified-Since") {
			return answer{status: 304, lines: lines}
		}
		return answer{lines: append(lines, "Content-Type: text/plain"), body: "body"}
	}
}

func ttl(d time.Duration, status ...int) []cache.TTL { return []cache.TTL{{For: d, Status: status}} }

func TestRules(t *testing.T) {
	count := map[string]int{}
	for _, r := range rules() {
		count[r.section]++
		t.Run(r.section+" "+r.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { r.run(t) })
		})
	}
	t.Logf("cases by section: %v", count)
}

func (r rule) run(t *testing.T) {
	f := newFront(t, r.options, r.app)
	stop := f.run()
	for i, st := range r.steps {
		time.Sleep(st.after)
		if st.method == "" {
			st.method = "GET"
		}
		if st.url == "" {
			st.url = "/"
		}
		before := f.app.count()
		got := f.do(request(st.method, st.url, st.lines...))
		synctest.Wait()
		if got.trace[0] != st.want {
			t.Fatalf("step %d: got %v, want %s", i, got, st.want)
		}
		asked := f.app.count() - before
		if fromStore := st.want == "hit" || st.want == "unsatisfied"; fromStore && asked > 0 || (st.want == "miss" || st.want == "bypass" || st.want == "revalidated") && asked != 1 {
			t.Fatalf("step %d: %s, but the app was asked %d times", i, st.want, asked)
		}
		if st.status != 0 && got.status != st.status {
			t.Errorf("step %d: got %v, want status %d", i, got, st.status)
		}
		if !got.whole {
			t.Errorf("step %d: %v is not whole", i, got)
		}
		for _, line := range st.has {
			check(t, i, "the answer", got.header, line)
		}
		for _, line := range st.sent {
			check(t, i, "the request to the app", f.app.last().Fields, line)
		}
	}
	stop()
}

func check(t *testing.T, i int, what string, f wire.Fields, line string) {
	t.Helper()
	want := true
	if rest, not := strings.CutPrefix(line, "!"); not {
		line, want = rest, false
	}
	found := false
	for _, field := range f {
		found = found || strings.HasPrefix(field.Name+": "+field.Value+"\n", line)
	}
	if found != want {
		t.Errorf("step %d: %s has %v; is %q in it? want %v", i, what, f, line, want)
	}
}

func rules() []rule {
	none := cache.Options{}
	max60 := ok("Cache-Control: max-age=60")
	tag := `ETag: "v1"`
	var all []rule
	add := func(section, what string, o cache.Options, app func(int, wire.Request) answer, steps ...step) {
		all = append(all, rule{section, what, o, app, steps})
	}
	expiry := func(section, what string, fresh bool, lines ...string) {
		second := "miss"
		if fresh {
			second = "hit"
		}
		add(section, what, none, always(ok(lines...)), twice("miss", second)...)
	}

	// 2: what identifies an answer
	add("2", "the query is part of the key", none, always(max60), do("GET", "/?a", "miss"), do("GET", "/?b", "miss"), do("GET", "/?a", "hit"))
	add("2", "parameters that do not count", cache.Options{Query: []string{"page"}}, always(max60),
		do("GET", "/?page=1&utm=x", "miss"), do("GET", "/?utm=y&page=1", "hit"), do("GET", "/?page=2", "miss"), do("GET", "/", "miss"), do("GET", "/?utm=z", "hit"))
	add("2", "a parameter in disguise counts", cache.Options{Query: []string{"page"}}, always(max60),
		do("GET", "/", "miss"), do("GET", "/?p%61ge=1", "miss"), do("GET", "/?x=1;page=1", "miss"), do("GET", "/?%zz=1", "miss"))
	add("2", "no parameter counts", cache.Options{Query: []string{}}, always(max60), do("GET", "/?a", "miss"), do("GET", "/?b", "hit"))

	// 3: storing
	expiry("3", "max-age", true, "Cache-Control: max-age=60")
	expiry("3", "s-maxage", true, "Cache-Control: s-maxage=60")
	expiry("3", "Expires", true, "Expires: "+at(m))
	expiry("3", "nothing said is not stored", false)
	expiry("3", "a tag alone says nothing about freshness", false, tag)
	expiry("3", "public alone says nothing about freshness", false, "Cache-Control: public")
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "FOO"} {
		add("3", method+" is not stored", none, always(max60), do(method, "/", "bypass"), do(method, "/", "bypass"), get("miss"))
	}
	for _, n := range []int{200, 203, 204, 299, 300, 301, 302, 303, 307, 308, 400, 403, 404, 405, 410, 414, 418, 451, 500, 501, 503, 599} {
		add("3", fmt.Sprintf("%d with max-age is stored", n), none, always(status(n, "Cache-Control: max-age=60")), twice("miss", "hit")...)
	}
	add("3", "206 is not stored", none, always(status(206, "Cache-Control: max-age=60", "Content-Range: bytes 0-3/10")), twice("miss", "miss")...)
	add("3", "304 to a client's own question is not stored", none, always(answer{status: 304, lines: []string{"Cache-Control: max-age=60"}}),
		do("GET", "/", "miss", `If-None-Match: "x"`), do("GET", "/", "miss", `If-None-Match: "x"`))
	add("3", "a request with a body", none, always(max60), get("miss"))
	add("3", "Set-Cookie is not stored", none, always(ok("Cache-Control: max-age=60", "Set-Cookie: a=b")), twice("miss", "miss")...)
	add("3", "Set-Cookie is stored if told", cache.Options{Private: true}, always(ok("Cache-Control: max-age=60", "Set-Cookie: a=b")), twice("miss", "hit")...)
	add("3", "an event stream is not stored", none, always(ok("Cache-Control: max-age=60", "Content-Type: text/event-stream")), twice("miss", "miss")...)
	add("3", "an answer that is cut is not stored", none, says(answer{lines: []string{"Cache-Control: max-age=60"}, body: "abc", chunked: true}), twice("miss", "hit")...)

	// 3.1: fields
	add("3.1", "fields of the connection are not stored", none,
		always(ok("Cache-Control: max-age=60", "Connection: X-Private, close", "X-Private: 1", "Keep-Alive: timeout=5", "Proxy-Authenticate: x", "X-Public: 1", "TE: x", "Upgrade: x", "Trailer: x")),
		get("miss"), step{want: "hit", has: []string{"X-Public: 1", "!X-Private", "!Connection", "!Keep-Alive", "!Proxy-Authenticate", "!TE", "!Upgrade", "!Trailer"}})
	add("3.1", "a Date is recorded", none, always(max60), get("miss"), step{after: 10 * s, want: "hit", has: []string{"Date: " + at(0) + "\n"}})
	add("3.1", "the Date of the app is kept", none, always(ok("Cache-Control: max-age=60", "Date: "+at(-5*s))),
		get("miss"), step{after: s, want: "hit", has: []string{"Date: " + at(-5*s) + "\n", "Age: 6\n"}})

	// 3.2: update, 4.3.4: freshening
	updated := says(ok("Cache-Control: max-age=10", tag, "X-A: 1", "X-B: 1", "Content-Type: text/plain", "Content-Encoding: gzip"),
		answer{status: 304, lines: []string{"Cache-Control: max-age=30", tag, "X-A: 2", "X-C: 3", "Content-Type: text/html", "Content-Encoding: br", "Set-Cookie: a=b"}})
	add("3.2", "a 304 updates the header", none, updated, get("miss"),
		step{after: 11 * s, want: "revalidated", status: 200, has: []string{"X-A: 2", "X-B: 1", "X-C: 3", "Content-Type: text/plain", "Content-Encoding: gzip", "Set-Cookie: a=b", "Cache-Status: Headgate; fwd=stale; fwd-status=304"}},
		step{after: 29 * s, want: "hit", has: []string{"X-A: 2", "!X-A: 1", "X-B: 1", "X-C: 3", "Content-Type: text/plain", "Age: 29", "!Set-Cookie", "Cache-Control: max-age=30"}})
	add("4.3.4", "a 304 for another version does not freshen", none, says(ok("Cache-Control: max-age=10", tag), answer{status: 304, lines: []string{`ETag: "v2"`}}, ok("Cache-Control: max-age=10")),
		get("miss"), later(11*s, "revalidated"), later(s, "miss"))
	add("4.3.4", "a 304 that forbids storing", none, says(ok("Cache-Control: max-age=10", tag), answer{status: 304, lines: []string{"Cache-Control: private"}}, ok()),
		get("miss"), later(11*s, "revalidated"), later(s, "miss"))

	// 3.5: Authorization
	auth := "Authorization: Basic eDp5"
	add("3.5", "is not stored", none, always(max60), twice("miss", "miss", auth)...)
	add("3.5", "what is stored is not for it", none, always(max60), get("miss"), get("bypass", auth), get("hit"))
	for _, d := range []string{"public, max-age=60", "s-maxage=60", "must-revalidate, max-age=60"} {
		add("3.5", "is stored with "+d, none, always(ok("Cache-Control: "+d)), get("miss", auth), get("hit", auth), get("hit"))
	}
	add("3.5", "is stored if told", cache.Options{Private: true}, always(max60), twice("miss", "hit", auth)...)

	// 4: constructing answers
	add("4", "HEAD is answered from GET", none, always(max60), get("miss"), step{method: "HEAD", want: "hit", status: 200, has: []string{"Age: 0"}})
	add("4", "HEAD fills nothing", none, always(max60), do("HEAD", "/", "bypass"), get("miss"), do("HEAD", "/", "hit"))
	add("4", "a stale answer is not given", none, always(max60), get("miss"), later(59*s, "hit"), later(s, "miss"))

	// 4.1: Vary
	byLang := func(_ int, r wire.Request) answer {
		return answer{lines: []string{"Cache-Control: max-age=60", "Vary: Accept-Language"}, body: r.Fields.Get("Accept-Language")}
	}
	add("4.1", "variants", none, byLang, get("miss", "Accept-Language: de"), get("miss", "Accept-Language: en"), get("hit", "Accept-Language: de"), get("hit", "accept-language: en"), get("miss"), get("hit"))
	add("4.1", "lists are normalized", none, byLang, get("miss", "Accept-Language: de, en;q=0.5"), get("hit", "Accept-Language: de,EN; q=0.5"), get("hit", "Accept-Language: de", "Accept-Language: en;q=0.5"), get("miss", "Accept-Language: en;q=0.5, de"))
	byCoding := func(int, wire.Request) answer { return ok("Cache-Control: max-age=60", "Vary: Accept-Encoding") }
	add("4.1", "codings have no order", none, byCoding, get("miss", "Accept-Encoding: gzip, br;q=1.0"), get("hit", "Accept-Encoding: br,gzip"), get("miss", "Accept-Encoding: br;q=0,gzip"))
	add("4.1", "absent is not empty", none, always(ok("Cache-Control: max-age=60", "Vary: X-A")), get("miss"), get("miss", "X-A: "), get("hit"), get("hit", "X-A: "))
	add("4.1", "Vary: * is never for another", none, always(ok("Cache-Control: max-age=60", "Vary: X-A, *")), twice("miss", "miss")...)
	add("4.1", "several lines", none, always(ok("Cache-Control: max-age=60", "Vary: X-A", "Vary: X-B")), get("miss", "X-A: 1", "X-B: 1"), get("miss", "X-A: 1", "X-B: 2"), get("hit", "X-A: 1", "X-B: 1"))
	add("4.1", "values of others compare exactly", none, always(ok("Cache-Control: max-age=60", "Vary: X-A")), get("miss", "X-A: b"), get("miss", "X-A: B"), get("miss", `X-A: "b , c"`), get("miss", `X-A: "b, c"`))
	add("4.1", "the newest counts when Vary has changed", none,
		says(ok("Cache-Control: max-age=60", "Vary: X-A", "X-N: 1"), ok("Cache-Control: max-age=60", "X-N: 2")),
		get("miss", "X-A: 1"), get("miss", "X-A: 2"), step{want: "hit", lines: []string{"X-A: 1"}, has: []string{"X-N: 2"}})

	// 4.2.1: freshness
	expiry("4.2.1", "s-maxage beats max-age", true, "Cache-Control: max-age=0, s-maxage=60")
	expiry("4.2.1", "s-maxage=0 beats max-age", false, "Cache-Control: max-age=60, s-maxage=0")
	expiry("4.2.1", "max-age beats Expires", true, "Cache-Control: max-age=60", "Expires: "+at(-h))
	expiry("4.2.1", "max-age=0 beats Expires", false, "Cache-Control: max-age=0", "Expires: "+at(h))
	expiry("4.2.1", "Expires counts from Date", false, "Date: "+at(-h), "Expires: "+at(-h+s))
	expiry("4.2.1", "Expires equal to Date", false, "Date: "+at(0), "Expires: "+at(0))
	expiry("4.2.1", "the first of two max-age", true, "Cache-Control: max-age=60, max-age=0")
	expiry("4.2.1", "max-age that is no number", false, "Cache-Control: max-age=abc", "Expires: "+at(h))
	expiry("4.2.1", "negative max-age", false, "Cache-Control: max-age=-1")
	expiry("4.2.1", "fractional max-age", false, "Cache-Control: max-age=60.5")
	expiry("4.2.1", "max-age without a value", false, "Cache-Control: max-age")
	expiry("4.2.1", "quoted max-age", true, `Cache-Control: max-age="60"`)
	expiry("4.2.1", "huge max-age", true, "Cache-Control: max-age=99999999999999999999")
	expiry("4.2.1", "names have no case", true, "cache-CONTROL: MaX-aGe=60")
	expiry("4.2.1", "several lines", true, "Cache-Control: foo", "Cache-Control: max-age=60")
	expiry("4.2.1", "odd white space", true, "Cache-Control:  , ,max-age=60 ,")
	expiry("4.2.1", "a directive inside quotes is none", false, `Cache-Control: foo="max-age=60, bar"`)
	expiry("5.1", "the first of a list of ages", false, "Cache-Control: max-age=60", "Age: 60, 0")
	expiry("5.1", "and not the second", true, "Cache-Control: max-age=60", "Age: 0, 60")
	expiry("5.1", "the first that is no number", true, "Cache-Control: max-age=60", "Age: 60;a=b, 60")
	expiry("5.3", "two Expires that are no dates", false, "Expires: Thu, 18 Aug 2050 2:01:18 GMT", "Expires: Thu, 18 Aug 2050 2:01:19 GMT")
	expiry("5.3", "Expires: 0 is in the past", false, "Expires: 0", "Last-Modified: "+at(-h))
	expiry("5.3", "Expires that is no date", false, "Expires: tomorrow")
	expiry("5.3", "Expires of RFC 850", true, "Expires: "+start.Add(m).Format("Monday, 02-Jan-06 15:04:05 GMT"))

	// 4.2.2: heuristics
	old := "Last-Modified: " + at(-100*m)
	add("4.2.2", "a tenth of the age", none, always(ok(old)), get("miss"), later(599*s, "hit"))
	add("4.2.2", "and no more", none, validated("foo", old), get("miss"), later(601*s, "revalidated"))
	add("4.2.2", "a day at most", none, validated("foo", "Last-Modified: "+at(-1000*h)), get("miss"), later(24*h-m, "hit"), later(2*m, "revalidated"))
	add("4.2.2", "not for statuses without", none, always(status(418, old)), twice("miss", "miss")...)
	add("4.2.2", "not with cookies", none, always(ok(old)), get("miss", "Cookie: a=b"), get("miss", "Cookie: a=b"))
	add("4.2.2", "nor from what was stored without", none, validated("foo", old), get("miss"), get("hit"), get("revalidated", "Cookie: a=b"))
	add("4.2.2", "Last-Modified in the future", none, always(ok("Last-Modified: "+at(h))), twice("miss", "miss")...)

	// 4.2.3: age
	expiry("4.2.3", "Age counts", false, "Cache-Control: max-age=60", "Age: 60")
	expiry("4.2.3", "Age within the lifetime", true, "Cache-Control: max-age=60", "Age: 30")
	expiry("4.2.3", "Date in the past counts", false, "Cache-Control: max-age=60", "Date: "+at(-m))
	expiry("4.2.3", "Age that is no number", true, "Cache-Control: max-age=60", "Age: abc")
	expiry("4.2.3", "the first Age counts", true, "Cache-Control: max-age=60", "Age: 1", "Age: 100")
	expiry("4.2.3", "huge Age", false, "Cache-Control: max-age=60", "Age: 99999999999999999999")
	slow := always(answer{lines: []string{"Cache-Control: max-age=60", "Age: 10"}, body: "x", before: sleep(5 * s)})
	add("4.2.3", "the delay of the answer counts", none, slow, step{want: "miss", has: []string{"Age: 15"}}, step{after: 20 * s, want: "hit", has: []string{"Age: 35", "Cache-Status: Headgate; hit; ttl=25"}})

	// 4.2.4: stale
	broken := func(first answer) func(int, wire.Request) answer { return says(first, status(503)) }
	add("4.2.4", "max-stale", none, always(max60), get("miss"), later(70*s, "stale", "Cache-Control: max-stale=20"), get("stale", "Cache-Control: max-stale"), get("miss", "Cache-Control: max-stale=5"))
	for _, d := range []string{"must-revalidate", "proxy-revalidate", "s-maxage=60"} {
		add("4.2.4", d+" forbids it", none, always(ok("Cache-Control: max-age=60, "+d)), get("miss"), later(70*s, "miss", "Cache-Control: max-stale"))
	}
	add("4.2.4", "an error is not hidden", none, broken(max60), get("miss"), step{after: 70 * s, want: "miss", status: 503})

	// 4.3: validation
	add("4.3.1", "by tag", none, validated("max-age=10", tag), get("miss"),
		step{after: 11 * s, want: "revalidated", status: 200, sent: []string{`If-None-Match: "v1"`, "!If-Modified-Since"}}, later(9*s, "hit"))
	add("4.3.1", "by date", none, validated("max-age=10", old), get("miss"),
		step{after: 11 * s, want: "revalidated", sent: []string{"If-Modified-Since: " + at(-100*m) + "\n", "!If-None-Match"}}, later(9*s, "hit"))
	add("4.3.1", "not by what the client says", none, validated("max-age=10", tag), get("miss"),
		step{after: 11 * s, want: "revalidated", status: 200, lines: []string{`If-None-Match: "other"`}, sent: []string{`If-None-Match: "v1"`, `!If-None-Match: "other"`}})
	add("4.3.1", "a client's question does not keep the whole from being fetched", none, always(ok("Cache-Control: max-age=60", tag)),
		step{want: "miss", status: 304, lines: []string{`If-None-Match: "v1"`}, sent: []string{"!If-None-Match"}}, step{want: "hit", status: 200})
	add("4.3.2", "If-None-Match that matches", none, always(ok("Cache-Control: max-age=60", tag, "Content-Type: text/plain", "X-A: 1")), get("miss"),
		step{want: "hit", status: 304, lines: []string{`If-None-Match: "v0", W/"v1"`}, has: []string{tag, "Cache-Control", "Date", "!Content-Type"}},
		step{want: "hit", status: 200, lines: []string{`If-None-Match: "v2"`}}, step{want: "hit", status: 304, lines: []string{"If-None-Match: *"}})
	add("4.3.2", "If-Modified-Since", none, always(ok("Cache-Control: max-age=60", old)), get("miss"),
		step{want: "hit", status: 304, lines: []string{"If-Modified-Since: " + at(-100*m)}}, step{want: "hit", status: 200, lines: []string{"If-Modified-Since: " + at(-101*m)}},
		step{want: "hit", status: 200, lines: []string{"If-Modified-Since: " + at(0), `If-None-Match: "x"`}})
	add("4.3.2", "other statuses have no 304", none, always(status(404, "Cache-Control: max-age=60", tag)), get("miss"), step{want: "hit", status: 404, lines: []string{`If-None-Match: "v1"`}})
	add("4.3.2", "If-Match is for the app", none, always(max60), get("miss"), get("bypass", `If-Match: "v1"`), get("bypass", "If-Unmodified-Since: "+at(0)))
	add("4.3.3", "a whole answer replaces", none, says(ok("Cache-Control: max-age=10", tag, "X-N: 1"), ok("Cache-Control: max-age=10", `ETag: "v2"`, "X-N: 2")),
		get("miss"), step{after: 11 * s, want: "miss", has: []string{"X-N: 2", "Cache-Status: Headgate; fwd=stale; stored"}}, step{want: "hit", has: []string{"X-N: 2"}})
	add("4.3.3", "one that is not to be stored replaces too", none, says(ok("Cache-Control: max-age=10", tag), ok("Cache-Control: no-store"), ok("Cache-Control: no-store")),
		get("miss"), later(11*s, "miss"), get("miss", "Cache-Control: max-stale"))
	add("4.3.3", "an error is passed on and replaces nothing", none, says(ok("Cache-Control: max-age=10", tag), status(503), answer{status: 304, lines: []string{"Cache-Control: max-age=10"}}),
		get("miss"), step{after: 11 * s, want: "miss", status: 503}, later(s, "revalidated"))
	headed := func(tag string) func(int, wire.Request) answer {
		return func(_ int, r wire.Request) answer {
			if r.Method == "HEAD" {
				return ok("Cache-Control: max-age=30", tag, "X-New: 1")
			}
			return ok("Cache-Control: max-age=10", `ETag: "v1"`)
		}
	}
	add("4.3.5", "HEAD freshens", none, headed(`ETag: "v1"`), get("miss"), step{after: 11 * s, method: "HEAD", want: "bypass"}, step{after: 20 * s, want: "hit", has: []string{"X-New: 1", "Age: 20"}})
	add("4.3.5", "HEAD shows a change", none, headed(`ETag: "v2"`), get("miss"), step{after: 11 * s, method: "HEAD", want: "bypass"}, get("miss", "Cache-Control: max-stale"))

	// 4.4: invalidation
	change := func(lines ...string) func(int, wire.Request) answer {
		return func(_ int, r wire.Request) answer {
			if r.Method == "GET" {
				return max60
			}
			return answer{status: 201, lines: lines}
		}
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "FOO"} {
		add("4.4", method+" invalidates", none, change(), do("GET", "/?q", "miss"), do("GET", "/", "miss"), do(method, "/?q", "bypass"), do("GET", "/?q", "miss"), do("GET", "/", "hit"))
	}
	add("4.4", "OPTIONS does not", none, change(), get("miss"), do("OPTIONS", "/", "bypass"), get("hit"))
	add("4.4", "an error does not", none, func(_ int, r wire.Request) answer {
		if r.Method == "GET" {
			return max60
		}
		return status(400)
	}, get("miss"), do("POST", "/", "bypass"), get("hit"))
	for _, name := range []string{"Location", "Content-Location"} {
		for _, to := range []string{"/b?x", "https://example.com/b?x", "//EXAMPLE.com:443/b?x", "a/../b?x"} {
			add("4.4", name+": "+to, none, change(name+": "+to), do("GET", "/b?x", "miss"), do("POST", "/a", "bypass"), do("GET", "/b?x", "miss"))
		}
		for _, to := range []string{"https://other.example/b", "http://example.com/b", "/c", "://", "https://example.com:8443/b"} {
			add("4.4", name+": "+to+" of somebody else", none, change(name+": "+to), do("GET", "/b", "miss"), do("POST", "/a", "bypass"), do("GET", "/b", "hit"))
		}
	}

	// 5.2.1: Cache-Control of requests
	add("5.2.1.1", "max-age", none, always(max60), get("miss"), later(10*s, "hit", "Cache-Control: max-age=10"), later(s, "miss", "Cache-Control: max-age=10"), get("hit", "Cache-Control: max-age=0"), later(s, "miss", "Cache-Control: max-age=0"))
	add("5.2.1.1", "max-age asks whether it has changed", none, validated("max-age=60", tag), get("miss"), later(11*s, "revalidated", "Cache-Control: max-age=10"), later(s, "hit", "Cache-Control: max-age=10"))
	add("5.2.1.3", "min-fresh", none, always(max60), get("miss"), later(10*s, "hit", "Cache-Control: min-fresh=50"), get("miss", "Cache-Control: min-fresh=51"))
	add("5.2.1.4", "no-cache", none, validated("max-age=60", tag), get("miss"), step{want: "revalidated", lines: []string{"Cache-Control: no-cache"}, has: []string{"Cache-Status: Headgate; fwd=request; fwd-status=304"}})
	add("5.2.1.4", "no-cache stores", none, always(max60), get("miss", "Cache-Control: no-cache"), get("hit"))
	add("5.2.1.4", "reload: off", cache.Options{Reload: notation.Disabled}, always(max60), get("miss"), later(s, "hit", "Cache-Control: no-cache"), get("hit", "Cache-Control: max-age=0"), get("hit", "Pragma: no-cache"), get("hit", "Cache-Control: min-fresh=1000"))
	add("5.2.1.5", "no-store", none, always(max60), get("bypass", "Cache-Control: no-store"), get("miss"))
	add("5.2.1.7", "only-if-cached", none, always(max60), step{want: "unsatisfied", status: 504, lines: []string{"Cache-Control: only-if-cached"}}, get("miss"), get("hit", "Cache-Control: only-if-cached"),
		step{after: 61 * s, want: "unsatisfied", status: 504, lines: []string{"Cache-Control: only-if-cached"}}, get("stale", "Cache-Control: only-if-cached, max-stale"))

	// 5.2.2: of answers
	add("5.2.2.2", "must-revalidate", none, validated("max-age=10, must-revalidate", tag), get("miss"), later(s, "hit"), later(10*s, "revalidated", "Cache-Control: max-stale"))
	expiry("5.2.2.3", "must-understand, understood", true, "Cache-Control: max-age=60, must-understand, no-store")
	add("5.2.2.3", "must-understand, not understood", none, always(status(299, "Cache-Control: max-age=60, must-understand")), twice("miss", "miss")...)
	add("5.2.2.4", "no-cache is asked about each time", none, validated("no-cache, max-age=60", tag), get("miss"), later(s, "revalidated"), get("revalidated", "Cache-Control: max-stale"))
	add("5.2.2.4", "no-cache without validators is not kept", none, always(ok("Cache-Control: no-cache, max-age=60")), twice("miss", "miss")...)
	add("5.2.2.4", "no-cache of fields", none, always(ok(`Cache-Control: max-age=60, no-cache="x-a, Set-Cookie"`, "X-A: 1", "Set-Cookie: a=b", "X-B: 1")),
		step{want: "miss", has: []string{"X-A: 1", "Set-Cookie: a=b"}}, step{want: "hit", has: []string{"!X-A", "!Set-Cookie", "X-B: 1"}})
	expiry("5.2.2.5", "no-store", false, "Cache-Control: max-age=60, no-store")
	expiry("5.2.2.5", "no-store on another line", false, "Cache-Control: max-age=60", "Cache-Control: No-Store")
	expiry("5.2.2.5", "no-store in quotes is none", true, `Cache-Control: max-age=60, foo="no-store"`)
	expiry("5.2.2.7", "private", false, "Cache-Control: private, max-age=60")
	expiry("5.2.2.7", "private of no field is private", false, `Cache-Control: private="", max-age=60`)
	add("5.2.2.7", "private of fields", none, always(ok(`Cache-Control: max-age=60, private="X-A"`, "X-A: 1", "X-B: 1")),
		step{want: "miss", has: []string{"X-A: 1"}}, step{want: "hit", has: []string{"!X-A", "X-B: 1"}})
	add("5.2.2.8", "proxy-revalidate", none, validated("max-age=10, proxy-revalidate", tag), get("miss"), later(11*s, "revalidated", "Cache-Control: max-stale"))
	expiry("5.2.3", "unknown directives", true, `Cache-Control: max-age=60, foo, bar=baz, qux="a,b"`)

	// 5.4: Pragma
	add("5.4", "Pragma without Cache-Control", none, always(max60), get("miss"), get("miss", "Pragma: no-cache"), get("hit", "Pragma: no-cache", "Cache-Control: foo"))
	expiry("5.4", "Pragma of an answer means nothing", true, "Cache-Control: max-age=60", "Pragma: no-cache")
	// 5.5: Warning
	expiry("5.5", "Warning means nothing", true, "Cache-Control: max-age=60", `Warning: 110 x "stale"`)

	all = append(all, others()...)
	all = append(all, targetedRules()...)
	return all
}

// others are the rules of other RFCs and of nginx.
func others() []rule {
	none := cache.Options{}
	max60 := ok("Cache-Control: max-age=60")
	tag := `ETag: "v1"`
	var all []rule
	add := func(section, what string, o cache.Options, app func(int, wire.Request) answer, steps ...step) {
		all = append(all, rule{section, what, o, app, steps})
	}

	// RFC 5861
	swr := func(lines ...string) func(int, wire.Request) answer {
		return func(n int, _ wire.Request) answer { return ok(append(lines, fmt.Sprint("X-N: ", n))...) }
	}
	add("5861-3", "stale-while-revalidate", none, swr("Cache-Control: max-age=10, stale-while-revalidate=20"), get("miss"),
		step{after: 15 * s, want: "stale", has: []string{"X-N: 1", "Cache-Status: Headgate; hit; ttl=-5\n", "Age: 15"}}, step{want: "hit", has: []string{"X-N: 2", "Age: 0"}})
	add("5861-3", "and not longer", none, swr("Cache-Control: max-age=10, stale-while-revalidate=20"), get("miss"), step{after: 30 * s, want: "miss", has: []string{"X-N: 2"}})
	add("5861-3", "by policy", cache.Options{StaleWhileRevalidate: 20 * s}, swr("Cache-Control: max-age=10"), get("miss"), later(15*s, "stale"), get("hit"))
	add("5861-3", "the answer beats the policy", cache.Options{StaleWhileRevalidate: 20 * s}, swr("Cache-Control: max-age=10, stale-while-revalidate=0"), get("miss"), later(15*s, "miss"))
	add("5861-3", "must-revalidate forbids it", cache.Options{StaleWhileRevalidate: 20 * s}, swr("Cache-Control: max-age=10, must-revalidate, stale-while-revalidate=20"), get("miss"), later(15*s, "miss"))
	add("5861-3", "s-maxage forbids it to the policy", cache.Options{StaleWhileRevalidate: 20 * s}, swr("Cache-Control: s-maxage=10"), get("miss"), later(15*s, "miss"))
	add("5861-3", "but not to the answer", none, swr("Cache-Control: s-maxage=10, stale-while-revalidate=20"), get("miss"), later(15*s, "stale"))
	add("5861-3", "a client that wants a new one gets it", none, swr("Cache-Control: max-age=10, stale-while-revalidate=20"), get("miss"), later(15*s, "miss", "Cache-Control: no-cache"))
	sie := func(broken answer, lines ...string) func(int, wire.Request) answer {
		return func(n int, _ wire.Request) answer {
			if n == 1 {
				return ok(lines...)
			}
			return broken
		}
	}
	for _, n := range []int{500, 502, 503, 504} {
		add("5861-4", fmt.Sprintf("stale-if-error and %d", n), none, sie(status(n), "Cache-Control: max-age=10, stale-if-error=20"), get("miss"),
			step{after: 15 * s, want: "stale", status: 200, has: []string{fmt.Sprintf("Cache-Status: Headgate; fwd=stale; fwd-status=%d; detail=stale-if-error", n)}}, step{after: 15 * s, want: "miss", status: n})
	}
	add("5861-4", "no answer at all", none, sie(answer{none: true}, "Cache-Control: max-age=10, stale-if-error=20"), get("miss"), step{after: 15 * s, want: "stale", status: 200})
	add("5861-4", "by policy", cache.Options{StaleIfError: 20 * s}, sie(status(503), "Cache-Control: max-age=10"), get("miss"), later(15*s, "stale"))
	add("5861-4", "404 is no error", none, sie(status(404), "Cache-Control: max-age=10, stale-if-error=20"), get("miss"), step{after: 15 * s, want: "miss", status: 404})
	for _, d := range []string{"must-revalidate", "proxy-revalidate", "no-cache"} {
		add("5861-4", d+" forbids it", cache.Options{StaleIfError: h}, sie(status(503), tag, "Cache-Control: max-age=10, stale-if-error=20, "+d), get("miss"), step{after: 15 * s, want: "miss", status: 503})
	}

	add("5861-4", "s-maxage forbids it to the policy", cache.Options{StaleIfError: h}, sie(status(503), "Cache-Control: s-maxage=10"), get("miss"), step{after: 15 * s, want: "miss", status: 503})

	// RFC 8246
	add("8246", "immutable", none, always(ok("Cache-Control: max-age=60, immutable")), twice("miss", "hit")...)

	// RFC 9110
	ranged := always(answer{lines: []string{"Cache-Control: max-age=60", tag, "Content-Type: text/plain"}, body: "0123456789"})
	add("9110-14", "a range of what is kept", none, ranged, get("miss"),
		step{want: "hit", status: 206, lines: []string{"Range: bytes=2-4"}, has: []string{"Content-Range: bytes 2-4/10\n", tag}},
		step{want: "hit", status: 206, lines: []string{"Range: bytes=0-0,9-9"}, has: []string{"Content-Type: multipart/byteranges; boundary="}},
		step{want: "hit", status: 416, lines: []string{"Range: bytes=10-"}, has: []string{"Content-Range: bytes */10\n"}},
		step{want: "hit", status: 200, lines: []string{"Range: lines=1-2"}},
		step{want: "hit", status: 200, lines: []string{"Range: bytes=2-4", `If-Range: "v2"`}},
		step{want: "hit", status: 206, lines: []string{"Range: bytes=2-4", `If-Range: "v1"`}},
		step{want: "hit", status: 304, lines: []string{"Range: bytes=2-4", `If-None-Match: "v1"`}},
		step{method: "HEAD", want: "hit", status: 200, lines: []string{"Range: bytes=2-4"}})
	add("9110-14", "a range of what is not kept goes to the app", none, ranged, step{want: "bypass", lines: []string{"Range: bytes=2-4"}, sent: []string{"Range: bytes=2-4"}}, get("miss"))
	add("9110-14", "a range of what is stale", none, ranged, get("miss"), step{after: 61 * s, want: "miss", status: 206, lines: []string{"Range: bytes=2-4"}, sent: []string{"!Range", "If-None-Match"}, has: []string{"Content-Range: bytes 2-4/10"}})
	add("9110-14", "Accept-Ranges: none", none, always(ok("Cache-Control: max-age=60", "Accept-Ranges: none")), get("miss"), step{want: "hit", status: 200, lines: []string{"Range: bytes=0-1"}, has: []string{"Accept-Ranges: none"}})
	add("9110-14", "ranges are offered", none, always(max60), get("miss"), step{want: "hit", has: []string{"Accept-Ranges: bytes"}})
	add("9110-7.8", "upgrades", none, always(max60), get("miss"), get("bypass", "Connection: Upgrade", "Upgrade: websocket"))

	// RFC 9211
	add("9211", "what becomes of requests", none, always(ok("Cache-Control: max-age=60", "Vary: X-A", "Cache-Status: Inner; hit")),
		step{want: "miss", has: []string{"Cache-Status: Headgate; fwd=uri-miss; stored\n", "Cache-Status: Inner; hit"}},
		step{want: "hit", has: []string{"Cache-Status: Headgate; hit; ttl=60\n", "!Cache-Status: Inner"}},
		step{want: "miss", lines: []string{"X-A: 1"}, has: []string{"Cache-Status: Headgate; fwd=vary-miss; stored\n"}},
		step{want: "miss", lines: []string{"Cache-Control: no-cache"}, has: []string{"Cache-Status: Headgate; fwd=request; stored\n"}},
		step{method: "POST", want: "bypass", has: []string{"Cache-Status: Headgate; fwd=method\n"}},
		step{method: "HEAD", url: "/x", want: "bypass", has: []string{"Cache-Status: Headgate; fwd=uri-miss\n"}},
		step{url: "/y", want: "unsatisfied", lines: []string{"Cache-Control: only-if-cached"}, has: []string{"Cache-Status: Headgate; detail=only-if-cached\n"}})
	add("9211", "off", cache.Options{On: notation.Disabled}, always(max60), step{want: "bypass", has: []string{"Cache-Status: Headgate; fwd=bypass\n"}}, get("bypass"))

	// nginx: X-Accel-Expires; and tags
	accel := func(what string, fresh bool, lines ...string) {
		second := "miss"
		if fresh {
			second = "hit"
		}
		add("nginx", what, none, always(ok(lines...)), step{want: "miss", has: []string{"!X-Accel-Expires"}}, step{after: s, want: second, has: []string{"!X-Accel-Expires"}})
	}
	accel("X-Accel-Expires alone", true, "X-Accel-Expires: 60")
	accel("X-Accel-Expires beats no-cache", true, "Cache-Control: no-cache", "X-Accel-Expires: 60")
	accel("X-Accel-Expires beats private, for the browser", true, "Cache-Control: private", "X-Accel-Expires: 60")
	accel("X-Accel-Expires: 0", false, "Cache-Control: max-age=60", "X-Accel-Expires: 0")
	accel("X-Accel-Expires: off", false, "Cache-Control: max-age=60", "X-Accel-Expires: off")
	accel("X-Accel-Expires: @time", true, fmt.Sprint("X-Accel-Expires: @", start.Add(m).Unix()))
	accel("X-Accel-Expires: @ the past", false, "Cache-Control: max-age=60", fmt.Sprint("X-Accel-Expires: @", start.Add(-m).Unix()))
	accel("X-Accel-Expires that is none", true, "Cache-Control: max-age=60", "X-Accel-Expires: soon")
	accel("X-Accel-Expires and Set-Cookie", false, "X-Accel-Expires: 60", "Set-Cookie: a=b")
	accel("X-Accel-Expires whatever the Age", true, "X-Accel-Expires: 60", "Age: 1000")
	add("nginx", "X-Accel-Expires lives on with a 304", none, says(ok("X-Accel-Expires: 10", "Cache-Control: private", tag), answer{status: 304}), get("miss"), later(11*s, "revalidated"), later(9*s, "hit"))
	add("tags", "tags are for the cache", none, always(ok("Cache-Control: max-age=60", "Cache-Tag: a, b", "Surrogate-Key: c d")),
		step{want: "miss", has: []string{"!Cache-Tag", "!Surrogate-Key"}}, step{want: "hit", has: []string{"!Cache-Tag", "!Surrogate-Key"}})
	add("tags", "also where nothing is stored", none, always(ok("Cache-Tag: a, b")), step{want: "miss", has: []string{"!Cache-Tag"}})

	// rules of the configuration
	add("ttl", "for answers that say nothing", cache.Options{TTL: ttl(m)}, always(ok()), get("miss"), later(59*s, "hit"), later(2*s, "miss"))
	add("ttl", "for the statuses of the rule", cache.Options{TTL: ttl(m)}, always(status(302)), twice("miss", "miss")...)
	add("ttl", "for other statuses", cache.Options{TTL: ttl(m, 302)}, always(status(302)), twice("miss", "hit")...)
	add("ttl", "the answer counts more", cache.Options{TTL: ttl(m)}, always(ok("Cache-Control: max-age=0")), twice("miss", "miss")...)
	add("ttl", "no-cache counts more", cache.Options{TTL: ttl(m)}, validated("no-cache", tag), twice("miss", "revalidated")...)
	add("ttl", "unless it is forced", cache.Options{TTL: []cache.TTL{{For: m, Force: true}}}, always(ok("Cache-Control: no-cache, max-age=0")), twice("miss", "hit")...)
	add("ttl", "never against no-store", cache.Options{TTL: []cache.TTL{{For: m, Force: true}}}, always(ok("Cache-Control: no-store")), twice("miss", "miss")...)
	add("ttl", "never against private", cache.Options{TTL: []cache.TTL{{For: m, Force: true}}}, always(ok("Cache-Control: private")), twice("miss", "miss")...)
	add("ttl", "never against Set-Cookie", cache.Options{TTL: []cache.TTL{{For: m, Force: true}}}, always(ok("Set-Cookie: a=b")), twice("miss", "miss")...)
	add("ttl", "it may shorten", cache.Options{TTL: []cache.TTL{{For: s, Force: true}}}, always(max60), get("miss"), later(2*s, "miss"))
	return all
}
