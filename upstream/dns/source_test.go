package dns_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"headgate/upstream"
	"headgate/upstream/dns"
)

// script is a Resolver that answers what the test says: no socket may be used while
// the clock is that of a synctest bubble. resolver_test.go has real servers.
type script struct {
	begun time.Time
	srv   func(name string) ([]net.SRV, time.Duration, error)

	mu    sync.Mutex // guards the fields below
	hosts map[string]record
	asked map[string][]time.Duration // when
}

type record struct {
	addrs []string
	ttl   time.Duration
	err   error
	takes time.Duration
}

func newScript() *script {
	return &script{begun: time.Now(), hosts: make(map[string]record), asked: make(map[string][]time.Duration)}
}

func (s *script) put(host string, r record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hosts[host] = r
}

// times returns when host was asked for.
func (s *script) times(host string) []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked[host])
}

func (s *script) ask(host string) record {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[host] = append(s.asked[host], time.Since(s.begun))
	r, ok := s.hosts[host]
	if !ok {
		r.err = fmt.Errorf("%w: %s", dns.ErrNoName, host)
	}
	return r
}

func (s *script) Addresses(ctx context.Context, host string) ([]netip.Addr, time.Duration, error) {
	r := s.ask(host)
	select {
	case <-ctx.Done():
		return nil, 0, context.Cause(ctx)
	case <-time.After(r.takes):
	}
	var addrs []netip.Addr
	for _, a := range r.addrs {
		addrs = append(addrs, netip.MustParseAddr(a))
	}
	return addrs, r.ttl, r.err
}

func (s *script) Services(_ context.Context, name string) ([]net.SRV, time.Duration, error) {
	s.ask(name)
	return s.srv(name)
}

var errServer = errors.New("server misbehaving")

func seconds(n ...int) []time.Duration {
	var all []time.Duration
	for _, s := range n {
		all = append(all, time.Duration(s)*time.Second)
	}
	return all
}

func TestNameIsLookedUpAgainWhenItsTTLEnds(t *testing.T) {
	for _, row := range []struct {
		ttl, max time.Duration
		want     []time.Duration
	}{
		{ttl: 10 * time.Second, want: seconds(0, 10, 20, 30, 40)},
		{ttl: 600 * time.Second, want: seconds(0, 30)},
		{ttl: 600 * time.Second, max: 20 * time.Second, want: seconds(0, 20, 40)},
		{ttl: dns.NoTTL, max: 20 * time.Second, want: seconds(0, 5, 10, 15, 20, 25, 30, 35, 40, 45)},
		{ttl: 0, max: 20 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newScript()
			s.put("app", record{addrs: []string{"10.0.0.7"}, ttl: row.ttl})
			_, heard, stop := start(t, dns.Setup{Resolver: s, Options: dns.Options{MaxTTL: row.max}}, "app:3031")
			time.Sleep(49 * time.Second)
			synctest.Wait()
			got := s.times("app")
			if row.ttl == 0 {
				if len(got) != 50 || got[49] != 49*time.Second {
					t.Errorf("ttl 0: %d look-ups in 49 s, want 50", len(got))
				}
			} else if d := cmp.Diff(row.want, got); d != "" {
				t.Errorf("ttl %s, at most %s: %s", row.ttl, row.max, d)
			}
			if said := heard.all(); len(said) != 1 || said[0].pool != "shop" || heard.last() != "10.0.0.7:3031" {
				t.Errorf("said %+v, want 10.0.0.7:3031 once", said)
			}
			stop()
		})
	}
}

func TestMovedAddressIsSaidAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.put("app", record{addrs: []string{"10.0.0.8", "10.0.0.7", "10.0.0.8"}, ttl: 2 * time.Second})
		_, heard, _ := start(t, dns.Setup{Resolver: s, Names: []upstream.Member{
			{Address: "app:3031", Weight: 3, Slots: 8, Backup: true, Stats: ":9191"},
		}})
		time.Sleep(3 * time.Second)
		s.put("app", record{addrs: []string{"10.0.0.7", "10.0.0.8"}, ttl: 2 * time.Second}) // only the order
		time.Sleep(4 * time.Second)
		s.put("app", record{addrs: []string{"10.0.0.9"}, ttl: 2 * time.Second})
		time.Sleep(2 * time.Second)
		synctest.Wait()
		at := func(address string) upstream.Member {
			return upstream.Member{Address: address, Weight: 3, Slots: 8, Backup: true, Stats: ":9191", Name: "app"}
		}
		want := []speech{
			{after: 0, pool: "shop", members: []upstream.Member{at("10.0.0.7:3031"), at("10.0.0.8:3031")}},
			{after: 8 * time.Second, pool: "shop", members: []upstream.Member{at("10.0.0.9:3031")}},
		}
		if d := cmp.Diff(want, heard.all(), cmp.AllowUnexported(speech{})); d != "" {
			t.Error(d)
		}
	})
}

func TestFirstWordHasAllNamesUnlessOneIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.put("a", record{addrs: []string{"10.0.0.1"}, ttl: time.Hour})
		s.put("b", record{addrs: []string{"10.0.0.2"}, ttl: time.Hour, takes: 300 * time.Millisecond})
		s.put("c", record{err: errServer, takes: 400 * time.Millisecond})
		_, heard, stop := start(t, dns.Setup{Resolver: s}, "b:1", "a:1", "c:1")
		time.Sleep(time.Second)
		synctest.Wait()
		if said := heard.all(); len(said) != 1 || said[0].after != 400*time.Millisecond || heard.last() != "10.0.0.1:1 10.0.0.2:1" {
			t.Errorf("said %+v, want both addresses after 400ms", said)
		}
		stop()

		s.put("b", record{addrs: []string{"10.0.0.2"}, ttl: time.Hour, takes: 3 * time.Second})
		_, heard, _ = start(t, dns.Setup{Resolver: s}, "b:1", "a:1", "c:1")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		said := heard.all()
		if len(said) != 2 || said[0].after != time.Second || addresses(said[0].members) != "10.0.0.1:1" || said[1].after != 3*time.Second {
			t.Errorf("said %+v, want a after 1s and both after 3s", said)
		}
	})
}

func TestAddressOfTwoNamesIsSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.put("a", record{addrs: []string{"10.0.0.1", "10.0.0.2"}, ttl: time.Hour})
		s.put("b", record{addrs: []string{"10.0.0.2", "::ffff:10.0.0.3", "fd00::1"}, ttl: time.Hour})
		_, heard, _ := start(t, dns.Setup{Resolver: s, Names: []upstream.Member{{Address: "a:1", Weight: 2}, {Address: "b:1"}}})
		synctest.Wait()
		want := []upstream.Member{
			{Address: "10.0.0.1:1", Weight: 2, Name: "a"},
			{Address: "10.0.0.2:1", Weight: 2, Name: "a"},
			{Address: "10.0.0.3:1", Name: "b"},
			{Address: "[fd00::1]:1", Name: "b"},
		}
		if d := cmp.Diff(want, heard.all()[0].members); d != "" {
			t.Error(d)
		}
	})
}

func TestFailureKeepsTheLastWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, j := newScript(), new(journal)
		s.put("app", record{addrs: []string{"10.0.0.7"}, ttl: 10 * time.Second})
		_, heard, _ := start(t, dns.Setup{Resolver: s, Log: j.log()}, "app:3031")
		time.Sleep(time.Second)
		s.put("app", record{err: errServer})
		time.Sleep(2 * time.Hour)
		s.put("app", record{addrs: []string{"10.0.0.7"}, ttl: 10 * time.Second})
		time.Sleep(time.Minute)
		synctest.Wait()
		if said := heard.all(); len(said) != 1 {
			t.Errorf("said %+v, want nothing after the first word", said)
		}
		if d := cmp.Diff(seconds(0, 10, 11, 13, 17, 25, 41, 71, 101, 131), s.times("app")[:10]); d != "" {
			t.Error(d)
		}
		if j.count("name cannot be looked up") != 1 || j.count("answered for again") != 1 || j.count("host=app") != 2 || j.count("resolv.conf") != 1 {
			t.Errorf("log:\n%s", j)
		}
	})
}

func TestNothingIsSaidWhileNothingIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.put("app", record{err: errServer})
		_, heard, _ := start(t, dns.Setup{Resolver: s}, "app:3031")
		time.Sleep(time.Hour)
		synctest.Wait()
		if said := heard.all(); len(said) != 0 {
			t.Errorf("said %+v, want nothing", said)
		}
	})
}

func TestNameThatHasGoneIsForgottenAfterAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, j := newScript(), new(journal)
		s.put("app", record{addrs: []string{"10.0.0.7"}, ttl: 10 * time.Second})
		_, heard, _ := start(t, dns.Setup{Resolver: s, Log: j.log()}, "app:3031")
		time.Sleep(time.Second)
		gone := record{err: dns.ErrNoName}
		s.put("app", gone)
		time.Sleep(50 * time.Second) // a container is made anew
		s.put("app", record{addrs: []string{"10.0.0.8"}, ttl: 10 * time.Second})
		time.Sleep(10 * time.Second)
		s.put("app", gone)
		time.Sleep(55 * time.Second)
		s.put("app", record{err: errServer}) // nobody says that it is still gone
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if got := heard.last(); got != "10.0.0.8:3031" {
			t.Errorf("while a server fails: %q, want 10.0.0.8:3031", got)
		}
		s.put("app", gone)
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if got := heard.last(); got != "" {
			t.Errorf("when the name has gone: %q, want none", got)
		}
		if j.count("name has gone") != 1 || j.count("network that they share") != 2 {
			t.Errorf("log:\n%s", j)
		}
		s.put("app", record{addrs: []string{"10.0.0.9"}, ttl: 10 * time.Second})
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got := heard.last(); got != "10.0.0.9:3031" {
			t.Errorf("5 s after it came back: %q, want 10.0.0.9:3031", got)
		}
		if n := len(heard.all()); n != 4 {
			t.Errorf("set was called %d times, want 4", n)
		}
	})
}

func TestRefreshLooksAtMostOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.put("app", record{addrs: []string{"10.0.0.7"}, ttl: time.Hour})
		source, heard, _ := start(t, dns.Setup{Resolver: s, Options: dns.Options{MaxTTL: time.Hour}}, "app:3031")
		time.Sleep(10 * time.Second)
		s.put("app", record{addrs: []string{"10.0.0.8"}, ttl: time.Hour})
		source.Refresh()
		synctest.Wait()
		if got := heard.last(); got != "10.0.0.8:3031" {
			t.Errorf("after Refresh: %q, want 10.0.0.8:3031", got)
		}
		for range 30 { // 3 s of a pool in distress
			source.Refresh()
			source.Refresh()
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		if d := cmp.Diff(seconds(0, 10, 11, 12, 13), s.times("app")); d != "" {
			t.Error(d)
		}
	})
}

func TestRefreshDoesNotWaitForTheRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.put("app", record{err: errServer})
		source, heard, _ := start(t, dns.Setup{Resolver: s}, "app:3031")
		time.Sleep(40 * time.Second) // the next is due after 61 s
		s.put("app", record{addrs: []string{"10.0.0.8"}})
		source.Refresh()
		synctest.Wait()
		if got := heard.last(); got != "10.0.0.8:3031" {
			t.Errorf("after Refresh: %q, want 10.0.0.8:3031", got)
		}
	})
}

func TestLookUpThatHangsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, j := newScript(), new(journal)
		s.put("app", record{takes: time.Hour})
		_, _, stop := start(t, dns.Setup{Resolver: s, Log: j.log()}, "app:3031")
		time.Sleep(40 * time.Second) // 15 + 1 + 15 + 2
		synctest.Wait()
		if d := cmp.Diff(seconds(0, 16, 33), s.times("app")); d != "" {
			t.Error(d)
		}
		if j.count("no DNS server answered within 15s") != 1 {
			t.Errorf("log:\n%s", j)
		}
		before := time.Now()
		stop() // in the middle of one
		if d := time.Since(before); d != 0 {
			t.Errorf("Run returned %s after its context ended", d)
		}
	})
}

func TestAddressesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, j := newScript(), new(journal)
		var many []string
		for i := range 300 {
			many = append(many, netip.AddrFrom4([4]byte{10, 0, byte(i / 256), byte(i)}).String())
		}
		_, heard, _ := start(t, dns.Setup{Resolver: s, Log: j.log()}, "app:3031")
		for range 20 {
			rand.Shuffle(len(many), func(i, k int) { many[i], many[k] = many[k], many[i] })
			s.put("app", record{addrs: slices.Clone(many), ttl: time.Second})
			time.Sleep(5 * time.Second)
		}
		synctest.Wait()
		if said := heard.all(); len(said) != 1 || len(said[0].members) != 256 {
			t.Errorf("set was called %d times, want once with 256", len(said))
		}
		if j.count("more addresses than are used") != 1 {
			t.Errorf("log:\n%s", j)
		}
	})
}

func TestAddressesOfNoServerAreLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.put("app", record{addrs: []string{"0.0.0.0", "224.0.0.1", "127.0.0.1"}, ttl: time.Second})
		_, heard, _ := start(t, dns.Setup{Resolver: s}, "app:3031")
		time.Sleep(time.Second)
		synctest.Wait()
		s.put("app", record{addrs: []string{"0.0.0.0", "::"}, ttl: time.Second}) // a filter: as if it had gone
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if got := heard.last(); got != "127.0.0.1:3031" || len(heard.all()) != 1 {
			t.Errorf("said %q, want 127.0.0.1:3031 only", got)
		}
	})
}

func TestNamesThatAreNoneAreLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, j := newScript(), new(journal)
		s.put("app", record{addrs: []string{"10.0.0.7"}})
		_, heard, _ := start(t, dns.Setup{Resolver: s, Log: j.log()}, "app:http", "app:3031")
		synctest.Wait()
		if got := heard.last(); got != "10.0.0.7:3031" || j.count("name is not used") != 1 {
			t.Errorf("said %q, log:\n%s", got, j)
		}
	})
}

func TestSRVRecordsBecomeMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.srv = func(string) ([]net.SRV, time.Duration, error) {
			return []net.SRV{
				{Target: "Spare.example.com.", Port: 3032, Priority: 20, Weight: 0},
				{Target: "one.example.com.", Port: 3031, Priority: 10, Weight: 33},
				{Target: "two.example.com.", Port: 3031, Priority: 10, Weight: 66},
				{Target: "two.example.com.", Port: 3033, Priority: 10, Weight: 33},
				{Target: "gone.example.com.", Port: 3031, Priority: 10, Weight: 33},
				{Target: ".", Port: 3031, Priority: 10, Weight: 1},
				{Target: "one.example.com.", Port: 0, Priority: 10, Weight: 1},
			}, 20 * time.Second, nil
		}
		s.put("one.example.com.", record{addrs: []string{"10.0.0.1"}, ttl: 10 * time.Second})
		s.put("two.example.com.", record{addrs: []string{"10.0.0.2"}, ttl: 15 * time.Second})
		s.put("spare.example.com.", record{addrs: []string{"10.0.0.3", "10.0.0.1"}, ttl: 30 * time.Second})
		_, heard, _ := start(t, dns.Setup{Resolver: s, Names: []upstream.Member{
			{Address: "srv:_uwsgi._tcp.example.com", Weight: 5, Slots: 4, Stats: ":9191"},
		}})
		time.Sleep(11 * time.Second)
		synctest.Wait()
		want := []upstream.Member{
			{Address: "10.0.0.1:3031", Weight: 5, Slots: 4, Stats: ":9191", Name: "one.example.com"},
			{Address: "10.0.0.1:3032", Weight: 5, Slots: 4, Stats: ":9191", Backup: true, Name: "spare.example.com"},
			{Address: "10.0.0.2:3031", Weight: 10, Slots: 4, Stats: ":9191", Name: "two.example.com"},
			{Address: "10.0.0.2:3033", Weight: 5, Slots: 4, Stats: ":9191", Name: "two.example.com"},
			{Address: "10.0.0.3:3032", Weight: 5, Slots: 4, Stats: ":9191", Backup: true, Name: "spare.example.com"},
		}
		if d := cmp.Diff(want, heard.all()[0].members); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff(seconds(0, 10), s.times("_uwsgi._tcp.example.com")); d != "" {
			t.Errorf("the smallest TTL counts: %s", d)
		}
	})
}

func TestSRVTargetKeepsItsAddressesWhileServersFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, j := newScript(), new(journal)
		ttl := 10 * time.Second
		s.srv = func(string) ([]net.SRV, time.Duration, error) {
			return []net.SRV{{Target: "one.", Port: 1}, {Target: "two.", Port: 1}}, ttl, nil
		}
		s.put("one.", record{addrs: []string{"10.0.0.1"}, ttl: ttl})
		s.put("two.", record{addrs: []string{"10.0.0.2"}, ttl: ttl})
		_, heard, _ := start(t, dns.Setup{Resolver: s, Log: j.log()}, "srv:app")
		time.Sleep(time.Second)
		s.put("one.", record{err: errServer})
		s.put("two.", record{addrs: []string{"10.0.0.9"}, ttl: ttl}) // and the other one moves
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := heard.last(); got != "10.0.0.1:1 10.0.0.9:1" {
			t.Errorf("said %q, want the old address of one and the new of two", got)
		}
		if n := len(s.times("two.")); n < 360 {
			t.Errorf("two was looked up %d times in an hour, want each time its TTL ended", n)
		}
		s.put("two.", record{err: errServer})
		time.Sleep(time.Hour)
		s.put("one.", record{addrs: []string{"10.0.0.8"}, ttl: ttl})
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if got := heard.last(); got != "10.0.0.8:1 10.0.0.9:1" || len(heard.all()) != 3 {
			t.Errorf("said %q in %d words, want the new address of one", got, len(heard.all()))
		}
		if j.count("name cannot be looked up") != 1 || !strings.Contains(j.String(), "target one.: server misbehaving") {
			t.Errorf("log:\n%s", j)
		}
	})
}

func TestSRVWithoutServersIsNoName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, j := newScript(), new(journal)
		s.srv = func(string) ([]net.SRV, time.Duration, error) {
			return []net.SRV{{Target: ".", Port: 1}}, time.Second, nil
		}
		_, heard, _ := start(t, dns.Setup{Resolver: s, Log: j.log()}, "srv:app")
		time.Sleep(70 * time.Second)
		synctest.Wait()
		if said := heard.all(); len(said) != 1 || len(said[0].members) != 0 || j.count("say that there is no server") != 1 {
			t.Errorf("said %+v, want nobody; log:\n%s", said, j)
		}
	})
}

// TestWordsAreNewAndInOrder plays with many answers: whatever comes, a word is in
// order, has no address twice, and differs from the one before.
func TestWordsAreNewAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := newScript(), rand.New(rand.NewPCG(1, 2))
		hosts := []string{"a", "b", "c"}
		source, heard, stop := start(t, dns.Setup{Resolver: s}, "a:1", "b:1", "c:1")
		for range 5000 {
			rec := record{ttl: time.Duration(r.IntN(40)-1) * time.Second, takes: time.Duration(r.IntN(3000)) * time.Millisecond}
			if rec.ttl < 0 {
				rec.ttl = dns.NoTTL
			}
			for range r.IntN(4) {
				rec.addrs = append(rec.addrs, fmt.Sprintf("10.0.0.%d", r.IntN(6)))
			}
			switch r.IntN(5) {
			case 0:
				rec.err = errServer
			case 1:
				rec.err = dns.ErrNoName
			}
			s.put(hosts[r.IntN(3)], rec)
			if r.IntN(2) == 0 {
				source.Refresh()
			}
			time.Sleep(time.Duration(r.IntN(4000)) * time.Millisecond)
		}
		stop()
		said := heard.all()
		if len(said) < 500 {
			t.Fatalf("%d words, want hundreds", len(said))
		}
		for i, w := range said {
			for k := 1; k < len(w.members); k++ {
				if w.members[k-1].Address >= w.members[k].Address {
					t.Fatalf("word %d: %s", i, addresses(w.members))
				}
			}
			if i > 0 && slices.Equal(w.members, said[i-1].members) {
				t.Fatalf("words %d and %d are the same: %s", i-1, i, addresses(w.members))
			}
		}
		for _, host := range hosts {
			times := s.times(host)
			for i := 1; i < len(times); i++ {
				if times[i]-times[i-1] < time.Second {
					t.Fatalf("%s was asked for at %s and at %s", host, times[i-1], times[i])
				}
			}
		}
	})
}

// TestRunEndsWhileNamesHaveMoreToSay ends Run in the middle of a word, when other
// names wait to be heard.
func TestRunEndsWhileNamesHaveMoreToSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, setup := newScript(), dns.Setup{}
		for i := range 20 {
			host := fmt.Sprintf("app%d", i)
			s.put(host, record{addrs: []string{fmt.Sprintf("10.0.0.%d", i)}, ttl: 10 * time.Second})
			setup.Names = append(setup.Names, upstream.Member{Address: host + ":1"})
		}
		setup.Resolver = s
		ctx, cancel := context.WithCancel(t.Context())
		words := 0
		err := dns.New(setup).Run(ctx, func(string, []upstream.Member) <-chan struct{} {
			for i := range 20 {
				s.put(fmt.Sprintf("app%d", i), record{addrs: []string{"10.0.1.1"}})
			}
			if words++; words == 2 {
				synctest.Wait() // until all of them want to say something
				cancel()
			}
			return nil
		})
		if err != context.Canceled || time.Since(s.begun) != 10*time.Second {
			t.Errorf("Run = %v after %s, want %v after 10s", err, time.Since(s.begun), context.Canceled)
		}
	})
}
