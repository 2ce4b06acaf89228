package upstream_test

import (
	"testing"
	"time"

	"headgate/upstream"
)

func sticky(secret upstream.Secret) upstream.Options {
	return upstream.Options{
		Slots: 1, SlowStart: -1,
		Balance: upstream.Balance{Sticky: upstream.Sticky{Cookie: "member", Secret: secret}},
	}
}

// cookieOf has a request of that cookie answered, and returns who answered and
// what the client has for a cookie then.
func cookieOf(t *testing.T, p *upstream.Pool[*server], cookie string) (member, then string) {
	t.Helper()
	l := acquire(t, p, &request{Sticky: cookie})
	defer ok(l)
	if l.Cookie() != "" {
		cookie = l.Cookie()
	}
	return l.Member().Address, cookie
}

func TestStickyClientsStay(t *testing.T) {
	inWorld(t, sticky(""), members("a", "b", "c"), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
		first, cookie := cookieOf(t, p, "")
		if cookie == "" {
			t.Fatal("no cookie with the first answer")
		}
		for range 10 {
			l := acquire(t, p, &request{Sticky: cookie})
			if l.Member().Address != first || l.Cookie() != "" {
				t.Fatalf("%s, cookie %q, want %s and none", l.Member().Address, l.Cookie(), first)
			}
			ok(l)
		}
		for _, foreign := range []string{"x", cookie + "A", cookie[1:], first} {
			if _, then := cookieOf(t, p, foreign); then == foreign {
				t.Errorf("the value %q is taken", foreign)
			}
		}
	})
}

func TestStickyRequestWaitsForItsBusyMember(t *testing.T) {
	inWorld(t, sticky(""), members("a", "b"), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
		first, cookie := cookieOf(t, p, "")
		l := acquire(t, p, &request{Sticky: cookie})
		c := ask(t.Context(), p, &request{Sticky: cookie})
		waits(t, c)
		if got := visit(t, p, nil); got == first {
			t.Errorf("the busy %s was given", got)
		}
		waits(t, c)
		ok(l)
		r := now(t, c)
		if r.Member().Address != first || r.Cookie() != "" {
			t.Errorf("it went to %s with cookie %q", r.Member().Address, r.Cookie())
		}
		ok(r.lease)
	})
}

func TestStickyRequestGoesElsewhere(t *testing.T) {
	for name, lose := range map[string]func(*testing.T, *world, string){
		"away": func(t *testing.T, w *world, a string) {
			w.setAbsent(a, true)
			_, all := hold(t, w.pool, 2)
			for _, l := range all {
				if l.Member().Address == a {
					l.Fail(errRefused)
				} else {
					ok(l)
				}
			}
		},
		"drained": func(_ *testing.T, w *world, a string) { w.pool.Drain(a, true) },
		"gone": func(t *testing.T, w *world, a string) {
			other := map[string]string{"a": "b", "b": "a"}[a]
			w.apply(t, w.spec(sticky(""), members(other)...))
		},
		"ejected": func(t *testing.T, w *world, a string) { failures(t, w.pool, a, 5) },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, sticky(""), members("a", "b"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
				first, cookie := cookieOf(t, p, "")
				if name == "drained" { // one that waits already goes elsewhere too
					l := acquire(t, p, &request{Sticky: cookie})
					c := ask(t.Context(), p, &request{Sticky: cookie})
					waits(t, c)
					lose(t, w, first)
					r := now(t, c)
					if r.Member().Address == first || r.Cookie() == "" {
						t.Errorf("the one that waited went to %s, cookie %q", r.Member().Address, r.Cookie())
					}
					ok(r.lease)
					ok(l)
				} else {
					lose(t, w, first)
				}
				got, then := cookieOf(t, p, cookie)
				if got == first || then == cookie {
					t.Errorf("it went to %s with the cookie it had: %t", got, then == cookie)
				}
			})
		})
	}
}

// A waiter whose member was not there when it came must not keep those behind it
// from other members once that member is there, and busy.
func TestStickyRequestKeepsNobodyBehindIt(t *testing.T) {
	inWorld(t, sticky(""), members("a", "b"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		first, cookie := cookieOf(t, p, "")
		p.Drain(first, true)
		l := acquire(t, p, nil)
		c := ask(t.Context(), p, &request{Sticky: cookie})
		behind := ask(t.Context(), p, new(request))
		waits(t, c)
		p.Drain(first, false) // the sticky one has it
		r := now(t, c)
		if r.Member().Address != first {
			t.Fatalf("it went to %s", r.Member().Address)
		}
		p.Drain(first, true)
		again := ask(t.Context(), p, &request{Sticky: cookie}) // behind the other one
		p.Drain(first, false)
		ok(l)
		ok(now(t, behind).lease) // of the other member
		ok(now(t, again).lease)  // although its own is busy
		ok(r.lease)
	})
}

func TestStickyRequestsStayOverAPause(t *testing.T) {
	inWorld(t, sticky(""), members("a", "b"), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
		first, cookie := cookieOf(t, p, "")
		p.Pause(time.Now().Add(time.Minute))
		var all []<-chan result
		for range 3 {
			all = append(all, ask(t.Context(), p, &request{Sticky: cookie}))
		}
		p.Resume()
		for _, c := range all {
			r := now(t, c)
			if r.Member().Address != first || r.Cookie() != "" {
				t.Errorf("it went to %s with cookie %q", r.Member().Address, r.Cookie())
			}
			ok(r.lease)
		}
	})
}

// Those of one cookie that wait are no exception to one trial at a time.
func TestStickyRequestsTryOneAtATime(t *testing.T) {
	o := sticky("")
	o.Slots = 5
	inWorld(t, o, members("a", "b"), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
		first, cookie := cookieOf(t, p, "")
		failures(t, p, first, 5)
		after(5600 * time.Millisecond)
		p.Pause(time.Now().Add(time.Minute))
		all := make(chan result, 3)
		for range 3 {
			go func() {
				l, err := p.Acquire(t.Context(), &request{Sticky: cookie})
				all <- result{lease: &l, err: err}
			}()
		}
		after(0)
		p.Resume()
		trial := now(t, all)
		if trial.err != nil || trial.Member().Address != first {
			t.Fatalf("%v", trial.err)
		}
		waits(t, all)
		ok(trial.lease)
		for range 2 {
			r := now(t, all)
			if r.Member().Address != first {
				t.Errorf("it went to %s", r.Member().Address)
			}
			ok(r.lease)
		}
	})
}

// A client that has met a backup goes back once another member is fit again.
func TestStickyRequestStaysAtABackupWhileNoOtherIsFit(t *testing.T) {
	ms := []upstream.Member{{Address: "a"}, {Address: "spare", Backup: true}}
	inWorld(t, sticky(""), ms, func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
		p.Drain("a", true)
		first, cookie := cookieOf(t, p, "")
		if first != "spare" {
			t.Fatal(first)
		}
		if got, _ := cookieOf(t, p, cookie); got != "spare" {
			t.Errorf("with nobody else there it went to %s", got)
		}
		p.Drain("a", false)
		if got, _ := cookieOf(t, p, cookie); got != "a" {
			t.Errorf("with a there again it went to %s", got)
		}
	})
}

func TestStickyCookiesAreOfSecretAndPool(t *testing.T) {
	values := func(pool string, secret upstream.Secret) (out string) {
		inWorld(t, sticky(secret), members("a"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
			if pool != "web" {
				c, err := w.pools.Build(map[string]spec{pool: w.spec(sticky(secret), members("a")...)})
				if err != nil {
					t.Fatal(err)
				}
				c.Apply()
				p = w.pools.Get(pool)
			}
			_, out = cookieOf(t, p, "")
		})
		return out
	}
	const secret, other = "0123456789abcdef0", "0123456789abcdef1"
	first := values("web", secret)
	if values("web", secret) != first {
		t.Error("the same secret makes other values")
	}
	for what, got := range map[string]string{
		"another secret": values("web", other), "another pool": values("shop", secret),
		"no secret": values("web", ""),
	} {
		if got == first || got == "" {
			t.Errorf("%s makes the value %q", what, got)
		}
	}
	if one, two := values("web", ""), values("web", ""); one == two {
		t.Error("without a secret two gateways make the same values")
	}
}

func TestStickyCookiesOutliveAReload(t *testing.T) {
	inWorld(t, sticky(""), members("a", "b"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		first, cookie := cookieOf(t, p, "")
		w.apply(t, w.spec(sticky(""), members("a", "b", "c")...))
		after(time.Second)
		if got, then := cookieOf(t, p, cookie); got != first || then != cookie {
			t.Error("the cookie is lost")
		}
		w.apply(t, w.spec(sticky("a secret of 16 bytes"), members("a", "b", "c")...))
		if _, then := cookieOf(t, p, cookie); then == cookie {
			t.Error("a cookie of another secret is taken")
		}
	})
}
