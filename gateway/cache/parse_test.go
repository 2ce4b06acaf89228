package cache_test

import (
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"headgate/gateway/cache"
	"headgate/gateway/wire"
)

// FuzzAnswer: whatever a header says, nothing panics, what is served from the store
// is what came, and what is forbidden in plain words is not stored.
func FuzzAnswer(f *testing.F) {
	f.Add("max-age=60", "Accept-Encoding, X-A", "10", "Thu, 01 Jan 1998 00:00:00 GMT", "30", "de, en;q=0.5")
	f.Add(`private="a, b", no-cache="c`, "*", "-1", "0", "@1", "gzip;q=1.000,br")
	f.Add(`max-age="60\"`, ",,", "999999999999999999999", "", "off", `"a\,b`)
	f.Add("s-maxage=1, stale-while-revalidate=2, stale-if-error=3, must-understand, no-store", "x", "", "x", "", "")
	st := cache.NewStore(cache.Setup{})
	if err := st.Configure(cache.StoreOptions{}); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, control, vary, age, expires, accel, value string) {
		fr := &front{t: t, store: st, policy: policy(t, cache.Options{Reload: 0}), app: &app{}}
		if _, err := st.Purge(cache.Purge{All: true}); err != nil {
			t.Fatal(err)
		}
		var lines []string
		for name, v := range map[string]string{"Cache-Control": control, "Vary": vary, "Age": age, "Expires": expires, "X-Accel-Expires": accel} {
			if v != "" {
				lines = append(lines, name+": "+v)
			}
		}
		fr.app.says = always(answer{lines: lines, body: "body"})
		for range 2 {
			if g := fr.get("/", "X-A: "+value, "Accept-Encoding: "+value, "Accept-Language: "+value, "Cache-Control: "+control); g.status != 504 && (!g.whole || g.body.String() != "body") {
				t.Fatalf("got %v", g)
			}
		}
		fr.get("/", "X-A: "+value)
		g := fr.get("/", "X-A: "+value)
		plain := strings.ToLower(strings.ReplaceAll(control, " ", ""))
		if accel == "" && g.trace[0] == "hit" && (plain == "no-store" || plain == "private" || strings.HasPrefix(plain, "no-store,") && !strings.Contains(plain, "must-understand") || strings.Contains(vary, "*") && !strings.ContainsAny(vary, "abcdefghijklmnopqrstuvwxyz*\"") || strings.TrimSpace(vary) == "*") {
			t.Errorf("control %q, vary %q: stored", control, vary)
		}
	})
}

// FuzzVary: two requests share an answer only if what it varies by means the same,
// which is so if the values are equal but for white space, case, order and
// repetition.
func FuzzVary(f *testing.F) {
	f.Add("Accept-Encoding", "gzip, br", "br,gzip")
	f.Add("Accept-Language", "de, en;q=0.5", "DE,en; q=0.5")
	f.Add("X-A", "a", "b")
	f.Add("accept-encoding", "gzip;q=1", "gzip;q=1.0000001")
	st := cache.NewStore(cache.Setup{})
	if err := st.Configure(cache.StoreOptions{}); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name, a, b string) {
		if name == "" || strings.ContainsAny(name, " \t,*:\"") || wire.Same(name, "Cache-Control") || wire.Same(name, "Pragma") || wire.Same(name, "Range") || wire.Same(name, "If-Match") ||
			wire.Same(name, "If-Unmodified-Since") || wire.Same(name, "Upgrade") || wire.Same(name, "Authorization") || wire.Same(name, "Cookie") || wire.Same(name, "If-None-Match") || wire.Same(name, "If-Modified-Since") {
			t.Skip()
		}
		if _, err := st.Purge(cache.Purge{All: true}); err != nil {
			t.Fatal(err)
		}
		fr := &front{t: t, store: st, policy: policy(t, cache.Options{}), app: &app{says: always(ok("Cache-Control: max-age=60", "Vary: "+name))}}
		ask := func(v string) *got {
			r := request("GET", "/")
			r.Fields = wire.Fields{{Name: name, Value: v}}
			return fr.do(r)
		}
		ask(a)
		if g := ask(a); g.trace[0] != "hit" {
			t.Errorf("%s: %q again: got %v", name, a, g)
		}
		if g := ask(b); g.trace[0] == "hit" && letters(a) != letters(b) {
			t.Errorf("%s: %q and %q share an answer", name, a, b)
		}
	})
}

// letters is what two values that mean the same have in common.
func letters(v string) string {
	seen := map[string]bool{}
	var all strings.Builder
	for part := range strings.SplitSeq(strings.ToLower(v), ",") {
		part = strings.NewReplacer(" ", "", "\t", "").Replace(part)
		if i := strings.LastIndex(part, ";q=1"); i >= 0 && strings.Trim(part[i+4:], "0.") == "" {
			part = part[:i]
		}
		seen[part] = true
	}
	delete(seen, "")
	for {
		least := ""
		for s := range seen {
			if least == "" || s < least {
				least = s
			}
		}
		if least == "" {
			return all.String()
		}
		delete(seen, least)
		all.WriteString(least + ",")
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []cache.Options{{}, {TTL: []cache.TTL{{For: time.Minute, Status: []int{200}}}}, {Query: []string{"a"}, Lock: -1, StaleIfError: -1}} {
		if err := o.Validate(); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
		if d := o.WithDefaults(); d.MaxBody == 0 || d.Lock == 0 || d.On == 0 || d.Reload == 0 {
			t.Errorf("defaults: %+v", d)
		}
	}
	for want, o := range map[string]cache.Options{
		"ttl: 0s is not a time":             {TTL: []cache.TTL{{}}},
		"ttl: answers with status 206":      {TTL: []cache.TTL{{For: s, Status: []int{206}}}},
		"ttl: answers with status 99":       {TTL: []cache.TTL{{For: s, Status: []int{99}}}},
		"ttl: status: a rule for no status": {TTL: []cache.TTL{{For: s, Status: []int{}}}},
		"query: a parameter without a name": {Query: []string{""}},
		"max_body: off would keep nothing":  {MaxBody: -1},
		"query: 257 parameters are more":    {Query: strings.Split(strings.Repeat("a,", 256)+"a", ",")},
		"ttl: 65 rules are more than 64":    {TTL: make([]cache.TTL, 65)},
	} {
		err := o.Validate()
		if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), ": ") {
			t.Errorf("%+v: got %v, want %s", o, err, want)
		}
		if _, err := cache.NewPolicy(o); err == nil {
			t.Errorf("%+v: NewPolicy takes it", o)
		}
	}
	for want, o := range map[string]cache.StoreOptions{
		"memory: ": {Memory: 100}, "dir: cache is not absolute": {Dir: "cache"}, "disk: off": {Disk: -1}, "large: ": {Large: 10},
	} {
		if err := o.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%+v: got %v, want %s", o, err, want)
		}
		if err := cache.NewStore(cache.Setup{}).Configure(o); err == nil {
			t.Errorf("%+v: Configure takes it", o)
		}
	}
	if err := (cache.StoreOptions{Memory: -1}).Validate(); err != nil {
		t.Errorf("memory off: %v", err)
	}
}

// TestMemoryIsBounded by what is used again.
func TestMemoryIsBounded(t *testing.T) {
	f := newFrontWith(t, cache.StoreOptions{Memory: 1 << 20}, cache.Options{}, always(answer{lines: []string{"Cache-Control: max-age=3600"}, body: strings.Repeat("x", 4*kib)}))
	often := []string{"/a", "/b", "/c"}
	for i := range 3000 {
		f.get("/crawled/" + strings.Repeat("x", i%50) + "/" + time.Duration(i).String())
		for _, url := range often {
			f.get(url)
		}
		if st := f.store.Stats(); st.Memory > 1<<20 {
			t.Fatalf("stats: %+v", st)
		}
	}
	st := f.store.Stats()
	if st.Entries < 100 || f.app.count() > 3000+2*len(often) {
		t.Errorf("asked %d times; stats: %+v", f.app.count(), st)
	}
	if err := f.store.Configure(cache.StoreOptions{Memory: -1}); err != nil {
		t.Fatal(err)
	}
	if st := f.store.Stats(); st.Memory != 0 || st.Entries != 0 {
		t.Errorf("memory off: %+v", st)
	}
	if g := f.get("/a"); !g.whole || g.trace[0] != "miss" || f.store.Stats().Entries != 0 {
		t.Errorf("memory off: got %v", g)
	}
}

func TestVariantsAreBounded(t *testing.T) {
	f := newFront(t, cache.Options{}, always(ok("Cache-Control: max-age=3600", "Vary: X-A")))
	for i := range 200 {
		f.get("/", "X-A: "+time.Duration(i).String())
	}
	if st := f.store.Stats(); st.Entries != 64 {
		t.Errorf("stats: %+v", st)
	}
	if g := f.get("/", "X-A: 199ns"); g.trace[0] != "hit" {
		t.Errorf("the newest: got %v", g)
	}
}

// TestSweep takes out what nobody can use or uses.
func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFront(t, cache.Options{}, func(_ int, r wire.Request) answer {
			if r.Target == "/tagged" {
				return ok("Cache-Control: max-age=60", `ETag: "x"`)
			}
			return ok("Cache-Control: max-age=60")
		})
		stop := f.run()
		f.get("/tagged")
		f.get("/plain")
		time.Sleep(2 * m)
		if st := f.store.Stats(); st.Entries != 1 || st.Expired != 1 {
			t.Errorf("after 2m: %+v", st)
		}
		time.Sleep(10 * m)
		if st := f.store.Stats(); st.Entries != 0 || st.Expired != 2 || st.Memory != 0 {
			t.Errorf("after 12m: %+v", st)
		}
		stop()
	})
}

// TestPolicyCountsWhenAnAnswerIsUsed, not only when it is kept.
func TestPolicyCountsWhenAnAnswerIsUsed(t *testing.T) {
	f := newFront(t, cache.Options{Private: true}, always(ok("Cache-Control: max-age=60", "Set-Cookie: a=b")))
	f.get("/")
	if g := f.get("/"); g.trace[0] != "hit" {
		t.Fatalf("got %v", g)
	}
	f.policy = policy(t, cache.Options{})
	if g := f.get("/"); g.trace[0] != "miss" {
		t.Errorf("got %v", g)
	}
	f.app.says = always(ok("Cache-Control: max-age=60"))
	f.get("/")
	if g := f.get("/"); g.trace[0] != "hit" || g.header.Has("Set-Cookie") {
		t.Errorf("what is not permitted must not be in the way: got %v", g)
	}
}

// FuzzPurge: a purge that names a page takes out that page, however it is written,
// and no other.
func FuzzPurge(f *testing.F) {
	f.Add("a/b", "q=1")
	f.Add("ä %/c?d", "")
	f.Add("../x//y/.", "&&=")
	st := cache.NewStore(cache.Setup{})
	if err := st.Configure(cache.StoreOptions{}); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, path, query string) {
		_, _ = st.Purge(cache.Purge{URL: path})
		_, _ = st.Purge(cache.Purge{Prefix: path})
		u := url.URL{Scheme: "https", Host: "example.com", Path: "/" + path, RawQuery: query}
		if _, err := st.Purge(cache.Purge{All: true}); err != nil {
			t.Fatal(err)
		}
		for _, segment := range strings.Split(path, "/") {
			if segment == "" || segment == "." || segment == ".." {
				t.Skip("not canonical")
			}
		}
		if again, err := url.Parse(u.String()); err != nil || again.RawQuery != query || again.Path != u.Path {
			t.Skip("no URL has such a query")
		}
		fr := &front{t: t, store: st, policy: policy(t, cache.Options{}), app: &app{says: always(ok("Cache-Control: max-age=60"))}}
		for _, p := range []string{u.Path, "/other"} {
			r := request("GET", "/")
			r.Path, r.Query = p, query
			fr.do(r)
		}
		if n, err := st.Purge(cache.Purge{URL: u.String()}); n != 1 && u.Path != "/other" || err != nil {
			t.Errorf("%s: removed %d, %v", u.String(), n, err)
		}
		if u.RawQuery = ""; st.Stats().Entries == 1 {
			if n, err := st.Purge(cache.Purge{Prefix: u.String()}); n != 0 && !strings.HasPrefix("/other", u.Path) || err != nil {
				t.Errorf("%s: removed %d more, %v", u.String(), n, err)
			}
		}
	})
}

// TestSweepSparesWhatIsFreshAgain: a 304 gives an answer a new life.
func TestSweepSparesWhatIsFreshAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFront(t, cache.Options{}, validated("max-age=60", `ETag: "x"`))
		stop := f.run()
		f.get("/")
		time.Sleep(61 * s)
		f.app.says = func(int, wire.Request) answer {
			return answer{status: 304, lines: []string{"Cache-Control: max-age=36000"}}
		}
		f.get("/")
		time.Sleep(5 * h)
		if g := f.get("/"); g.trace[0] != "hit" {
			t.Errorf("got %v", g)
		}
		stop()
	})
}
