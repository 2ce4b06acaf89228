package limit_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"headgate/gateway/expression"
	"headgate/gateway/filter/limit"
	"headgate/gateway/wire"
)

func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rates(t, limit.Setup{}, limit.Rate{Rate: rate(t, "5/m"), Name: "login"})
		if n := take(t, r, one, 20); n != 5 {
			t.Fatalf("%d of 20 at once pass, want 5", n)
		}
		if n := take(t, r, two, 20); n != 5 {
			t.Errorf("of another client %d of 20 pass, want 5", n)
		}
		time.Sleep(12*time.Second - time.Millisecond)
		v := r.Take(t.Context(), one, noView)
		if v.Allowed || v.RetryAfter != time.Millisecond || v.Rule != "login" {
			t.Errorf("just before the next: %+v", v)
		}
		time.Sleep(time.Millisecond)
		if n := take(t, r, one, 20); n != 1 {
			t.Errorf("after 12s %d pass, want 1", n)
		}
		time.Sleep(31 * time.Second)
		if n := take(t, r, one, 20); n != 2 {
			t.Errorf("after 31s %d pass, want 2", n)
		}
		time.Sleep(time.Hour)
		if n := take(t, r, one, 20); n != 5 {
			t.Errorf("after an hour %d pass, want 5", n)
		}
	})
}

// TestRateInTheLongRun: however requests come, no more pass than the rate and what
// may come at once.
func TestRateInTheLongRun(t *testing.T) {
	for _, pause := range []time.Duration{time.Millisecond, 7 * time.Millisecond, 99 * time.Millisecond, 101 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			r := rates(t, limit.Setup{}, limit.Rate{Rate: rate(t, "10/s"), Burst: 5})
			passed, tries := 0, int(10*time.Second/pause)
			for range tries {
				passed += take(t, r, one, 1)
				time.Sleep(pause)
			}
			if want := min(tries, 115); passed < want-1 || passed > want {
				t.Errorf("every %v: %d of %d pass in 10s, want %d", pause, passed, tries, want)
			}
		})
	}
}

// TestOneRateTwice would count each request twice.
func TestOneRateTwice(t *testing.T) {
	same := limit.Rate{Rate: rate(t, "10/s"), Name: "all"}
	_, err := limit.NewRates([]limit.Rate{same, same}, "here", limit.Setup{})
	if want := "rate all: name: another rate of this route has it, and each request would count twice: name one of them otherwise"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if _, err := limit.NewRates([]limit.Rate{same, {Rate: rate(t, "10/m"), Name: "all"}, {Rate: same.Rate}, {Rate: same.Rate}}, "here", limit.Setup{}); err != nil {
		t.Error(err)
	}
}

func TestFields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rates(t, limit.Setup{}, limit.Rate{Rate: rate(t, "100/s"), Name: "all"}, limit.Rate{Rate: rate(t, "5/m"), Burst: 1, Name: `a "login"`})
		want := func(v limit.Verdict, left string) {
			t.Helper()
			var f wire.Fields
			v.Fields(&f)
			if got := f.Get("RateLimit-Policy"); got != `"a \"login\"";q=6;w=72` {
				t.Errorf("RateLimit-Policy: %s", got)
			}
			if got := f.Get("RateLimit"); got != left {
				t.Errorf("RateLimit: %s, want %s", got, left)
			}
		}
		want(r.Take(t.Context(), one, noView), `"a \"login\"";r=5;t=12`)
		want(r.Take(t.Context(), one, noView), `"a \"login\"";r=4;t=24`)
		time.Sleep(3500 * time.Millisecond)
		want(r.Take(t.Context(), one, noView), `"a \"login\"";r=3;t=33`)
		take(t, r, one, 3)
		want(r.Take(t.Context(), one, noView), `"a \"login\"";r=0;t=69`)
		var f wire.Fields
		(limit.Verdict{}).Fields(&f)
		if len(f) > 0 {
			t.Errorf("nothing counted, and there is %v", f)
		}
	})
}

func TestAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			key, a, b string
			same      bool
		}{
			{"", "192.0.2.1", "192.0.2.1", true},
			{"", "192.0.2.1", "192.0.2.2", false},
			{"", "192.0.2.1", "::ffff:192.0.2.1", true},
			{"", "2001:db8::1", "2001:db8::2", true},
			{" client.ip ", "2001:db8::1", "2001:db8:0:0:ffff::2", true},
			{"", "2001:db8::1", "2001:db8:0:1::1", false},
			{"", "fe80::1%eth0", "fe80::2%eth1", true},
			{"string(client.ip)", "2001:db8::1", "2001:db8::2", false},
			{"string(client.ip)", "2001:db8::1", "2001:db8::1", true},
		} {
			r := rates(t, limit.Setup{}, limit.Rate{Rate: rate(t, "1/h"), Key: c.key})
			ask := func(addr string) bool {
				a := netip.MustParseAddr(addr)
				return r.Take(t.Context(), a, func() expression.View { return expression.View{Client: a} }).Allowed
			}
			if !ask(c.a) || ask(c.b) == c.same {
				t.Errorf("key %q: %s and %s: want the same: %v", c.key, c.a, c.b, c.same)
			}
		}
		r := rates(t, limit.Setup{}, limit.Rate{Rate: rate(t, "1/h")})
		if n := take(t, r, netip.Addr{}, 3); n != 1 {
			t.Errorf("%d requests of nobody pass, want 1", n)
		}
		if n := take(t, r, netip.IPv6Unspecified(), 3); n != 1 {
			t.Errorf("%d requests of :: pass, want 1: it is not nobody", n)
		}
	})
}

func TestKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rates(t, limit.Setup{}, limit.Rate{Rate: rate(t, "1/h"), Key: `request.header["x-user"]`})
		ask := func(user string) bool {
			h := http.Header{}
			h.Set("X-User", user)
			return r.Take(t.Context(), one, func() expression.View { return expression.View{Header: h, Client: one} }).Allowed
		}
		for _, c := range []struct {
			user string
			want bool
		}{{"ann", true}, {"ann", false}, {"bob", true}, {"", true}, {"", true}, {"ann", false}} {
			if got := ask(c.user); got != c.want {
				t.Errorf("user %q: got %v", c.user, got)
			}
		}
		// A text that is too long to be evaluated is no way around.
		huge := string(make([]byte, 100_000))
		if !ask(huge) || ask(huge+"x") {
			t.Error("requests whose key cannot be had do not share one")
		}
	})
}

func TestSeveralRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rates(t, limit.Setup{}, limit.Rate{Rate: rate(t, "10/m")}, limit.Rate{Rate: rate(t, "3/s")})
		if n := take(t, r, one, 20); n != 3 {
			t.Fatalf("%d pass, want 3", n)
		}
		// What the second refused took nothing of the first.
		passed := 3
		for range 100 {
			time.Sleep(50 * time.Millisecond)
			passed += take(t, r, one, 3)
		}
		if passed != 10 {
			t.Errorf("%d pass in 5s, want 10", passed)
		}
		v := r.Take(t.Context(), one, noView)
		if v.Rule != "here" || v.RetryAfter > 6*time.Second {
			t.Errorf("the verdict is %+v", v)
		}
	})
}

func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rates(t, limit.Setup{}, limit.Rate{Rate: rate(t, "10/s"), Delay: time.Second})
		begin := time.Now()
		var mu sync.Mutex
		passed := map[time.Duration]int{}
		refused := 0
		var all sync.WaitGroup
		for range 30 {
			all.Go(func() {
				v := r.Take(t.Context(), one, noView)
				mu.Lock()
				defer mu.Unlock()
				if !v.Allowed {
					refused++
					return
				}
				if v.Wait != time.Since(begin) {
					t.Errorf("it waited %v and says %v", time.Since(begin), v.Wait)
				}
				passed[v.Wait]++
			})
		}
		all.Wait()
		if refused != 10 || passed[0] != 10 || len(passed) != 11 {
			t.Errorf("%d refused, passed by time: %v; want 10 at once, 10 one after the other, and 10 refused", refused, passed)
		}
		for d := range passed {
			if d%(100*time.Millisecond) != 0 || d > time.Second {
				t.Errorf("one waited %v", d)
			}
		}
	})
}

func TestClientGoesWhileItWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rates(t, limit.Setup{}, limit.Rate{Rate: rate(t, "1/s"), Delay: time.Minute})
		take(t, r, one, 1)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		v := r.Take(ctx, one, noView)
		if v.Allowed || v.RetryAfter != 0 || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			t.Errorf("got %+v", v)
		}
		// Its turn is free again.
		if v := r.Take(t.Context(), one, noView); !v.Allowed || v.Wait != 900*time.Millisecond {
			t.Errorf("the next: %+v, want to wait 900ms", v)
		}
	})
}

func TestWaitersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rates(t, limit.Setup{}, limit.Rate{Rate: rate(t, "1/s"), Delay: time.Second})
		var all sync.WaitGroup
		var mu sync.Mutex
		waited, refused := 0, 0
		for i := range 2000 { // each waits for its own turn
			client := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
			take(t, r, client, 1)
			all.Go(func() {
				v := r.Take(t.Context(), client, noView)
				mu.Lock()
				defer mu.Unlock()
				if v.Allowed {
					waited++
				} else if refused++; v.RetryAfter != time.Second {
					t.Errorf("refused: %+v", v)
				}
			})
		}
		all.Wait()
		if waited != 1024 || refused != 976 {
			t.Errorf("%d waited and %d were refused, want 1024 and 976", waited, refused)
		}
	})
}

func TestCountersOutliveReloads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := limit.Setup{Counters: limit.NewCounters()}
		login := limit.Rate{Rate: rate(t, "5/m"), Name: "login"}
		before := rates(t, s, login)
		take(t, before, one, 10)
		after := rates(t, s, login)
		if n := take(t, after, one, 1); n != 0 {
			t.Error("a reload has forgotten what a client took")
		}
		wider := login
		wider.Burst = 2
		if n := take(t, rates(t, s, wider), one, 5); n != 2 {
			t.Errorf("with two more at once %d pass", n)
		}
		other := limit.Rate{Rate: rate(t, "6/m"), Name: "login"}
		if n := take(t, rates(t, s, other), one, 10); n != 6 {
			t.Errorf("of another rate %d pass, want 6", n)
		}
		place := limit.Rate{Rate: rate(t, "5/m")}
		if n := take(t, rates(t, s, place), one, 10); n != 5 {
			t.Errorf("of one in another place %d pass, want 5", n)
		}
		take(t, before, two, 5)
		if n := take(t, after, two, 1); n != 0 {
			t.Error("the generations do not count together")
		}
	})
}

func TestTooManyRules(t *testing.T) {
	rules := make([]limit.Rate, 9)
	for i := range rules {
		rules[i].Rate = rate(t, "1/s")
	}
	if _, err := limit.NewRates(rules, "here", limit.Setup{}); err == nil {
		t.Error("nine rates are taken")
	}
	if _, err := limit.NewRates([]limit.Rate{{Rate: rate(t, "1/s"), Store: "redis://localhost"}}, "here", limit.Setup{}); err == nil {
		t.Error("a rate is taken whose store nobody has")
	}
}

func TestKnownKeyDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	r := rates(t, limit.Setup{}, limit.Rate{Rate: rate(t, "100/s")}, limit.Rate{Rate: rate(t, "1000/m")})
	v6 := netip.MustParseAddr("2001:db8::1")
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() {
		r.Take(ctx, one, noView)
		r.Take(ctx, v6, noView)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkTake(b *testing.B) {
	r := rates(b, limit.Setup{}, limit.Rate{Rate: rate(b, "1000000/s")})
	for _, keys := range []int{1, 100_000} {
		b.Run(fmt.Sprint(keys), func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					n := i % keys
					r.Take(b.Context(), netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), noView)
				}
			})
		})
	}
}
