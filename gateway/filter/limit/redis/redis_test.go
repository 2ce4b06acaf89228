package redis_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"headgate/gateway/expression"
	"headgate/gateway/filter/limit"
	"headgate/gateway/filter/limit/redis"
)

var client = netip.MustParseAddr("192.0.2.1")

const (
	alone  = "rate limits are counted by this gateway alone"
	shared = "rate limits are shared again"
)

func take(t *testing.T, r *limit.Rates, a netip.Addr, n int) (passed int) {
	t.Helper()
	for range n {
		if r.Take(t.Context(), a, noView).Allowed {
			passed++
		}
	}
	return passed
}

func TestGatewaysShare(t *testing.T) {
	s := start(t)
	var log lines
	a, b := gateway(t, s.url(), &log, "20/h"), gateway(t, s.url(), &log, "20/h")
	var passed atomic.Int64
	var all sync.WaitGroup
	for range 10 {
		for _, g := range []*limit.Rates{a, b} {
			all.Go(func() { passed.Add(int64(take(t, g, client, 10))) })
		}
	}
	all.Wait()
	if n := passed.Load(); n != 20 {
		t.Errorf("%d of 200 requests at two gateways pass, want 20", n)
	}
	v := b.Take(t.Context(), client, noView)
	if v.Allowed || v.RetryAfter < 170*time.Second || v.RetryAfter > 180*time.Second {
		t.Errorf("the verdict is %+v, want 180s", v)
	}
	if n := take(t, a, netip.MustParseAddr("192.0.2.2"), 1); n != 1 {
		t.Error("another client is refused")
	}
	key := "headgate:rate:login:20/h:192.0.2.1"
	if ttl, _ := s.do("PTTL", key).(int64); ttl < 3_590_000 || ttl > 3_600_000 {
		t.Errorf("the key expires in %dms, want 3600000", ttl)
	}
	logged(t, &log, "rate limits", 0)
}

// TestSharedTime: what was taken comes back by the clock of the server, and the key
// goes.
func TestSharedTime(t *testing.T) {
	s := start(t)
	var log lines
	r := gateway(t, s.url(), &log, "10/s")
	begin, passed := time.Now(), 0
	await(t, "30 requests pass", func() bool {
		passed += take(t, r, client, 1)
		return passed == 30
	})
	if d := time.Since(begin); d < 1900*time.Millisecond || d > 5*time.Second {
		t.Errorf("30 requests at 10/s took %v, want 2s or a little more", d)
	}
	await(t, "the key is gone", func() bool { return s.do("EXISTS", "headgate:rate:login:10/s:192.0.2.1") == int64(0) })
}

// TestDeadServer: each gateway counts by itself, at no cost, until it is back.
func TestDeadServer(t *testing.T) {
	s := start(t)
	var log lines
	a, b := gateway(t, s.url(), &log, "5/h"), gateway(t, s.url(), &log, "5/h")
	if n := take(t, a, client, 3) + take(t, b, client, 4); n != 5 {
		t.Fatalf("%d pass, want 5", n)
	}
	s.kill()
	begin := time.Now()
	if n, m := take(t, a, client, 20), take(t, b, client, 20); n != 5 || m != 5 {
		t.Errorf("without the server %d and %d pass, want 5 at each", n, m)
	}
	for i := range 5000 {
		a.Take(t.Context(), netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), noView)
	}
	if d := time.Since(begin); d > 10*time.Second {
		t.Errorf("5000 requests without the server took %v", d)
	}
	logged(t, &log, alone, 2) // one for each gateway
	if !strings.Contains(log.String(), "start redis there") {
		t.Errorf("the log has no cure: %s", log.String())
	}
	s.start()
	other := netip.MustParseAddr("192.0.2.3")
	await(t, "the rate is shared again", func() bool {
		take(t, a, other, 1)
		take(t, b, other, 1)
		return strings.Count(log.String(), shared) == 2
	})
	fresh := netip.MustParseAddr("192.0.2.4")
	if n := take(t, a, fresh, 4) + take(t, b, fresh, 4); n != 5 {
		t.Errorf("after the server is back %d pass, want 5", n)
	}
	logged(t, &log, alone, 2)
}

// TestSilentServer takes connections and says nothing.
func TestSilentServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { _, _ = io.Copy(io.Discard, c); c.Close() })
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() })
	var log lines
	r := gateway(t, "redis://:secret@"+l.Addr().String(), &log, "5/h")
	begin := time.Now()
	if n := take(t, r, client, 1000); n != 5 {
		t.Errorf("%d pass, want 5", n)
	}
	if d := time.Since(begin); d > 5*time.Second {
		t.Errorf("1000 requests took %v, want 50ms and little more", d)
	}
	logged(t, &log, alone, 1)
}

// TestClientThatGoes says nothing of the server.
func TestClientThatGoes(t *testing.T) {
	s := start(t)
	var log lines
	r := gateway(t, s.url(), &log, "5/h")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 10 {
		r.Take(gone, client, noView)
	}
	if n := take(t, r, client, 10); n != 5 {
		t.Errorf("%d pass, want 5", n)
	}
	logged(t, &log, alone, 0)
}

func TestPassword(t *testing.T) {
	s := start(t, "--requirepass", "secret")
	var log lines
	if n := take(t, gateway(t, "redis://:secret@"+s.addr+"?timeout=2s", &log, "5/h"), client, 10); n != 5 {
		t.Errorf("%d pass", n)
	}
	logged(t, &log, alone, 0)
	take(t, gateway(t, "redis://"+s.addr+"?timeout=2s", &log, "5/h"), client, 10)
	logged(t, &log, alone, 1)
	if !strings.Contains(log.String(), "write user and password into the URL") {
		t.Errorf("the log has no cure: %s", log.String())
	}
}

// TestKeysAreHashed: a text may be somebody's token.
func TestKeysAreHashed(t *testing.T) {
	s := start(t)
	servers := &redis.Servers{}
	defer servers.Close()
	r, err := limit.NewRates([]limit.Rate{{Rate: parse(t, "5/h"), Key: `"token-of-ann"`, Store: s.url() + "&prefix=shop:"}}, "sites[0]", limit.Setup{Shared: servers.Open})
	if err != nil {
		t.Fatal(err)
	}
	if v := r.Take(t.Context(), client, func() expression.View { return expression.View{} }); !v.Allowed {
		t.Errorf("got %+v", v)
	}
	keys, _ := s.do("KEYS", "*").([]any)
	if len(keys) != 1 || !strings.HasPrefix(keys[0].(string), "shop:rate:sites[0]:5/h:text:") || strings.Contains(keys[0].(string), "ann") {
		t.Errorf("the keys are %v", keys)
	}
}

func TestServers(t *testing.T) {
	var servers redis.Servers
	a, err := servers.Open("redis://127.0.0.1:1/0")
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := servers.Open("redis://127.0.0.1:1/0"); a != b {
		t.Error("one URL has two servers")
	}
	if c, _ := servers.Open("redis://127.0.0.1:1/1"); a == c {
		t.Error("two URLs have one server")
	}
	if err := servers.Retain([]string{"redis://127.0.0.1:1/1"}); err != nil {
		t.Error(err)
	}
	if b, _ := servers.Open("redis://127.0.0.1:1/0"); a == b {
		t.Error("a server that was dropped is still there")
	}
	if err := servers.Close(); err != nil {
		t.Error(err)
	}
	if _, _, err := a.Take(t.Context(), "x", time.Second, 0); err == nil {
		t.Error("a server that is closed answers")
	}
}

func TestURLs(t *testing.T) {
	for _, url := range []string{"redis://h", "rediss://u:p@h:1/2?prefix=x:", "redis://:p%40@[::1]:6379", "redis://h?timeout=1s"} {
		if s, err := redis.New(url, slog.New(slog.DiscardHandler)); err != nil {
			t.Errorf("%s: %v", url, err)
		} else {
			s.Close()
		}
	}
	for _, url := range []string{
		"", "h", "http://h", "redis://", "redis:h", "redis://u@h", "redis://h:0", "redis://h:99999", "redis://h/x", "redis://h/-1", "redis://:secret@h#x", "redis://:secret@%zz",
		"redis://h?x=1", "redis://h?prefix=", "redis://h?prefix=%0a", "redis://h?prefix=a&prefix=b", "redis://h?prefix=%zz", "redis://h?timeout=0", "redis://h?timeout=1h", "redis://h?timeout=x",
	} {
		_, err := redis.New(url, nil)
		if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), ": write ") {
			t.Errorf("%s: got %v, want a cure", url, err)
		}
	}
}
