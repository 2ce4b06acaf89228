package limit_test

import (
	"bytes"
	"log/slog"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"headgate/gateway/filter/limit"
)

const maxKeys = 16 << 14

func nth(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
}

// TestKeysAreForgotten when they are as good as new.
func TestKeysAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := limit.NewCounters()
		r := rates(t, limit.Setup{Counters: c}, limit.Rate{Rate: rate(t, "5/m")})
		for i := range 10_000 {
			take(t, r, nth(i), 1)
		}
		for range 3 {
			time.Sleep(61 * time.Second)
			for i := range 100 { // others, in all shards
				take(t, r, nth(1_000_000+i), 1)
			}
		}
		if n, _ := c.Keys(); n > 1000 {
			t.Errorf("%d keys are remembered, want 100 and few more", n)
		}
		runtime.KeepAlive(r)
	})
}

// TestManyKeysCannotFreeOne: a client with many addresses makes the table full. One
// that is refused stays so, and memory is bounded.
func TestManyKeysCannotFreeOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := limit.NewCounters()
		r := rates(t, limit.Setup{Counters: c}, limit.Rate{Rate: rate(t, "5/h")})
		take(t, r, one, 5)
		for i := range 2 * maxKeys {
			if !r.Take(t.Context(), nth(i), noView).Allowed {
				t.Fatalf("key %d is refused: there is one with more left to forget", i)
			}
		}
		if n, _ := c.Keys(); n > maxKeys {
			t.Errorf("%d keys are remembered", n)
		}
		if take(t, r, one, 1) != 0 {
			t.Error("a client that was refused is free again")
		}
	})
}

// TestKeysThatAreUsedUp: where all keys are refused, none is forgotten, and new ones
// share what there is.
func TestKeysThatAreUsedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		c := limit.NewCounters()
		r := rates(t, limit.Setup{Counters: c, Log: slog.New(slog.NewTextHandler(&log, nil))}, limit.Rate{Rate: rate(t, "1/h"), Name: "login"})
		passed := take(t, r, one, 1)
		for i := range maxKeys * 11 / 10 {
			passed += take(t, r, nth(i), 1)
		}
		if passed > maxKeys+16 {
			t.Errorf("%d requests pass, want %d and few more", passed, maxKeys)
		}
		if take(t, r, one, 1) != 0 {
			t.Error("a client that was refused is free again")
		}
		if n := strings.Count(log.String(), "a rate limit has too many keys"); n != 1 || !strings.Contains(log.String(), "login") {
			t.Errorf("the log: %s", log.String())
		}
		time.Sleep(time.Hour)
		if n := take(t, r, nth(9_999_999), 3); n != 1 {
			t.Errorf("an hour later %d of a new client pass, want 1", n)
		}
	})
}

// TestRatesThatAreGone leave nothing behind.
func TestRatesThatAreGone(t *testing.T) {
	c := limit.NewCounters()
	for i := range 100 {
		r := rates(t, limit.Setup{Counters: c}, limit.Rate{Rate: rate(t, "1/s"), Name: string(rune('a' + i%26))})
		take(t, r, one, 1)
	}
	for range 100 {
		runtime.GC()
		if _, n := c.Keys(); n == 0 {
			return
		}
	}
	_, n := c.Keys()
	t.Errorf("%d rates are left", n)
}
