package cache_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"headgate/gateway/cache"
	"headgate/gateway/wire"
)

// targetedRules are those of CDN-Cache-Control (RFC 9213).
func targetedRules() []rule {
	var all []rule
	add := func(section, what string, fresh bool, lines ...string) {
		second := "miss"
		if fresh {
			second = "hit"
		}
		all = append(all, rule{section, what, cache.Options{}, always(ok(lines...)), twice("miss", second)})
	}
	const (
		store, never = "Cache-Control: max-age=60", "Cache-Control: no-store"
		cdn          = "CDN-Cache-Control: "
	)
	add("9213-2.2", "it beats Cache-Control", true, never, cdn+"max-age=60")
	add("9213-2.2", "and Expires", false, store, "Expires: "+at(h), cdn+"no-store")
	add("9213-2.2", "also if it says nothing of freshness", false, store, cdn+"public")
	for _, v := range []string{
		"max-age=60, &&&&&", "max-age=60,", ",max-age=60", "max-age=60 public", "max-age =60", "max-age= 60", "max-age=", "MAX-AGE=60", "max-age=60, foo=", `max-age=60, foo="a`, `max-age=60, foo="\a"`,
		"max-age=60, foo=(a b", "max-age=60, foo=(a;)", "max-age=60, foo=(ab\"c\")", "max-age=60;", "max-age=60; =1", "max-age=60, foo=?2", "max-age=60, foo=:a", "max-age=60, foo=:a!:", "max-age=60, foo=1234567890123456",
		"max-age=60, foo=1.", "max-age=60, foo=1.2345", "max-age=60, foo=1234567890123.1", "max-age=60, foo=-", "max-age=60, foo=é", "max-age=60, 1a",
	} {
		add("9213-2.1", "malformed, it is ignored: "+v, false, never, cdn+v)
		add("9213-2.1", "and Cache-Control counts: "+v, true, store, cdn+"no-store, "+v)
	}
	for _, v := range []string{`max-age="60"`, "max-age=60.0", "max-age", "max-age=a", "max-age=(60)", "max-age=60, public=1", `max-age=60, no-store="a"`, "max-age=60, private=1", "max-age=60, no-cache=:YQ==:", "max-age=60, s-maxage=?1"} {
		add("9213-2.1", "with a value of another type, it is ignored: "+v, false, never, cdn+v)
	}
	add("9213-2.1", "empty, it is ignored", true, store, cdn)
	add("9213-2.1", "spaces alone, it is ignored", true, store, cdn+"  ")
	for _, v := range []string{
		"max-age=60;a;b=1; c=\"x\"", "foo, max-age=60", `foo="max-age=0, no-store", max-age=60`, "max-age=0, max-age=60", "max-age=60 \t,\t foo", "*a-b_c.d*=*x, max-age=60", "foo=(), bar=( a  1;x \"y\" );z, max-age=60",
		"foo=:YQ==:, max-age=60", "foo=-1.5, max-age=60", "max-age=60, no-store=?0", "max-age=60, public=?1", `max-age=60, private="X-A"`, `max-age=60, no-cache="X-A"`, "max-age=60, private=x-a", `foo="\"\\", max-age=60`,
		"max-age=999999999999999", "s-maxage=60, max-age=0",
	} {
		add("9213-2.1", "well-formed: "+v, true, never, cdn+v)
	}
	for _, v := range []string{"max-age=60, max-age=0", "max-age=-60", "max-age=60, no-store", "max-age=60, private", `max-age=60, private=""`, "no-cache, max-age=60", `max-age=60, private="X-A", private`} {
		add("9213-2.1", "not to be reused: "+v, false, store, cdn+v)
	}
	add("9213-2.1", "lines are one list", true, never, cdn+"foo", cdn+"max-age=60")
	return all
}

// FuzzTargeted: CDN-Cache-Control counts if it is a dictionary of RFC 8941, and else
// Cache-Control does.
func FuzzTargeted(f *testing.F) {
	for _, r := range targetedRules() {
		_, v, _ := strings.Cut(r.app(1, wire.Request{}).lines[1], ": ")
		f.Add(v)
	}
	const (
		key        = `[a-z*][a-z0-9_.*-]*`
		bare       = `(?:-?[0-9]{1,15}|-?[0-9]{1,12}\.[0-9]{1,3}|"(?:[ !#-\[\]-~]|\\["\\])*"|[A-Za-z*][A-Za-z0-9!#$%&'*+.^_|~:/\x60-]*|:[A-Za-z0-9+/=]*:|\?[01])`
		parameters = `(?:; *` + key + `(?:=` + bare + `)?)*`
		item       = bare + parameters
		list       = `\( *(?:` + item + `(?: +` + item + `)* *)?\)` + parameters
		member     = key + `(?:=(?:` + item + `|` + list + `)|` + parameters + `)`
	)
	dictionary := regexp.MustCompile(`^(?:` + member + `)(?:[ \t]*,[ \t]*` + member + `)*[ \t]*$`)
	known := regexp.MustCompile(`no-store|no-cache|private|public|must-|proxy-|immutable|max-?age|stale-`)
	st := cache.NewStore(cache.Setup{})
	if err := st.Configure(cache.StoreOptions{}); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, v string) {
		if strings.ContainsAny(v, "\r\n\x00") {
			t.Skip() // such a line cannot come
		}
		if _, err := st.Purge(cache.Purge{All: true}); err != nil {
			t.Fatal(err)
		}
		fr := &front{t: t, store: st, policy: policy(t, cache.Options{}), app: &app{}}
		fr.app.says = always(ok("Cache-Control: no-store", "CDN-Cache-Control: max-age=60", "CDN-Cache-Control: "+v))
		fr.get("/")
		valid := dictionary.MatchString(strings.Trim("max-age=60,"+v, " "))
		if hit := fr.get("/").trace[0] == "hit"; hit && !valid || !hit && valid && !known.MatchString(v) {
			t.Errorf("%q: kept %v, is a dictionary %v", v, hit, valid)
		}
	})
}

// TestDates: what a date must look like for a cache (RFC 9110, 5.6.7; RFC 9111, 4.2).
func TestDates(t *testing.T) {
	for v, fresh := range map[string]bool{
		"Thu, 18 Aug 2050 02:01:18 GMT":     true,
		"THU, 18 AUG 2050 02:01:18 GMT":     true,
		"thu, 18 aug 2050 02:01:18 gMT":     true,
		"Mon, 18 Aug 2050 02:01:18 GMT":     true, // it is a Thursday
		"Thursday, 18-Aug-50 02:01:18 GMT":  true,
		"Thu Aug 18 02:01:18 2050":          true,
		"Mon Aug  8 02:01:18 2050":          true,
		"Thu, 18  Aug  2050 02:01:18 GMT":   false,
		"Thu,  18 Aug 2050 02:01:18 GMT":    false,
		"Thu, 18 Aug 2050  02:01:18 GMT":    false,
		"Thu, 18 Aug 2050 2:01:18 GMT":      false,
		"Thu, 18  Aug 2050 2:01:18 GMT":     false,
		"Thu, 8 Aug 2050 02:01:18 GMT":      false,
		"Thu, 18 Aug 2050 02:01:18 UTC":     false,
		"Thu, 18 Aug 2050 02:01:18 AEST":    false,
		"Thu, 18 Aug 2050 02:01:18 +0000":   false,
		"Thu, 18 Aug 2050 02:01:18":         false,
		"Thu, 18 Aug 50 02:01:18 GMT":       false,
		"Thu 18 Aug 2050 02:01:18 GMT":      false,
		"Thu, 18-Aug-2050 02:01:18 GMT":     false,
		"Thu, 18 Aug 2050 02.01.18 GMT":     false,
		"Thursday, 18-Aug-50 02:01:18 PST":  false,
		"Thursday, 18-Aug-50 2:01:18 GMT":   false,
		"Thu Aug 8 02:01:18 2050":           false,
		"Thu Aug 18 02:01:18 2050 GMT":      false,
		"Thu, 18 Aug 2050 02:01:18.5 GMT":   false,
		"Thu, 18 Aug 2050 02:01:18 GMT, x":  false,
		"Thu, 31 Feb 2050 02:01:18 GMT":     false,
		"2050-08-18T02:01:18Z":              false,
		" ":                                 false,
		"GMT":                               false,
		"-1":                                false,
		strings.Repeat("9", 1<<10) + " GMT": false,
	} {
		t.Run("5.3 "+v[:min(len(v), 40)], func(t *testing.T) {
			f := newFront(t, cache.Options{}, always(ok("Expires: "+v, "Date: "+date(time.Now()))))
			f.get("/")
			if got := f.get("/").trace[0] == "hit"; got != fresh {
				t.Errorf("Expires: %s: kept %v, want %v", v, got, fresh)
			}
		})
	}
}
