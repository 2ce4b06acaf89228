package livetest_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// keyPair makes a key for uWSGI to sign with, and puts the public half where the
// gateway looks for that of a host.
func keyPair(t testing.TB, dir, host string) (private string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	private = filepath.Join(shortDir(t), host+".key")
	write(t, private, pemText("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)))
	write(t, filepath.Join(dir, host+".pem"), pemText("PUBLIC KEY", public))
	return private
}

// signers is where the public keys are.
func (f *fleet) signers() string { return filepath.Join(f.dir, "signers") }

// five are instances of one host, each of another kind.
type five struct {
	*fleet
	host string
	apps map[string]*app
	key  string // of signatures
	from string // the relay that the signed one announces itself by
}

// startFive starts them. The signed one is believed because of its signature, and the
// others because of where they come from.
func startFive(t *testing.T, more string) *five {
	t.Helper()
	s := &five{fleet: newFleet(t), host: "app.fleet.test", apps: map[string]*app{}}
	s.key = keyPair(t, s.signers(), s.host)
	c := fleetConf{
		subscriptions: fmt.Sprintf(`sign: {keys: %q}, allow: [
  {from: [127.0.0.5], keys: [app.fleet.test], addresses: [127.0.0.0/8, "%s/"]},
  {from: [127.0.0.1], keys: [app.fleet.test], unsigned: true}, {users: ["%d"], keys: [app.fleet.test], addresses: ["%s/"], unsigned: true}]`, s.signers(), s.dir, os.Getuid(), s.dir),
		pools: "  apps: {subscriptions: true" + more + "}\n",
	}
	s.fleet.configure(t, c)
	s.process = start(t, s.dir, accepts("unix", s.admin), headgate, "run", "-c", s.file)
	s.learn(t)
	r := startRelay(t, s.udp, "127.0.0.5")
	s.from = r.addr
	s.add(t, "plain", announces(s.udp, s.host, ""), 2)
	s.add(t, "weighted", announces(s.udp, s.host, "weight=3"), 2)
	s.add(t, "signed", s.signed(), 2)
	s.add(t, "datagram", announces(s.unix, s.host, ""), 2)
	s.add(t, "cores", announces(s.udp, s.host, ""), 6)
	s.wantReady(t, 5)
	s.answered(t, s.host)
	return s
}

// signed is how an instance announces itself with a signature.
func (s *five) signed() []string { return announces(s.from, s.host, "sign=SHA256:"+s.key) }

// add starts an instance with so many cores.
func (s *five) add(t *testing.T, name string, options []string, cores int) *app {
	t.Helper()
	processes, threads := fmt.Sprint(cores/2), "2"
	s.apps[name] = s.instance(t, name, 0, append(options, "--processes", processes, "--threads", threads, "--subscribe-freq", "2")...)
	return s.apps[name]
}

// untilShared waits until all of the instances have answered lately.
func (s *five) untilShared(t *testing.T, th *throng, names ...string) {
	t.Helper()
	from := th.now()
	ok := eventually(20*time.Second, func() bool {
		th.mu.Lock()
		defer th.mu.Unlock()
		by := th.all.by(from, math.MaxInt64)
		return !slices.ContainsFunc(names, func(n string) bool { return by[n] == 0 })
	})
	if !ok {
		t.Errorf("not all of %v get requests: %v", names, th.all.by(from, math.MaxInt64))
	}
}

// TestSubscribeFive: five instances, of which one is killed, one leaves and one moves
// under load. Nothing fails but what the killed one was doing and may not be repeated.
func TestSubscribeFive(t *testing.T) {
	t.Parallel()
	s := startFive(t, "")
	if n := s.status(t).Subscriptions.Counters; n["accepted"] < 5 || n["not_allowed"]+n["bad_signature"]+n["malformed"] > 0 {
		t.Errorf("packets: %v", n)
	}
	th := s.startThrong(t, s.host, 4, 0.02, h1, h2, h3)
	s.untilShared(t, th, "plain", "weighted", "signed", "datagram", "cores")
	whole := th.now()
	spend(lasting(2*time.Second, 20*time.Second))
	end := th.now()

	kill := th.now()
	s.apps["cores"].killAll(t)
	spend(lasting(500*time.Millisecond, 5*time.Second))
	s.apps["plain"].tell(t, "q") // it says that it goes, and ends what it has begun
	<-s.apps["plain"].ended
	quit := th.now()
	old := s.apps["signed"] // it moves: there is another one, then the old one goes
	s.add(t, "moved", append(s.signed(), "--socket", "127.0.0.1:0"), 2)
	s.untilShared(t, th, "moved")
	old.tell(t, "q")
	<-old.ended
	moved := th.now()
	s.untilShared(t, th, "weighted", "datagram", "moved")
	spend(lasting(500*time.Millisecond, 10*time.Second))
	all := th.end()

	t.Logf("%d requests; of the five: %v; after the kill at %.1f s, the leave at %.1f s and the move at %.1f s: %v", len(all), all.by(whole, end), kill.Seconds(), quit.Seconds(), moved.Seconds(), all.by(moved, math.MaxInt64))
	s.judge(t, all, kill, 6)
	if late := all.by(quit+100*time.Millisecond, math.MaxInt64)["plain"] + all.by(moved+100*time.Millisecond, math.MaxInt64)["signed"]; late > 0 {
		t.Errorf("%d requests were answered by who has left", late)
	}
}

// judge names the requests that failed. Only a POST may, that was in the killed
// instance, which had room for so many.
func (s *five) judge(t *testing.T, all outcomes, kill time.Duration, room int) {
	t.Helper()
	lost := 0
	for _, o := range all {
		switch {
		case o.ok():
		case o.method == http.MethodPost && o.at <= kill+500*time.Millisecond && o.ended >= kill && strings.Contains(o.body, "cores.sock: closed without an answer"):
			lost++
		default:
			t.Error(o)
		}
	}
	t.Logf("%d POST were in the killed instance", lost)
	if lost > room {
		t.Errorf("%d requests were lost in an instance with %d cores", lost, room)
	}
	if twice := s.ranTwice(t, all, http.MethodPost); len(twice) > 0 {
		t.Errorf("POST ran twice: %v", twice)
	}
}

// TestSubscribeShares: weights and cores are what an instance gets its requests by.
func TestSubscribeShares(t *testing.T) {
	t.Parallel()
	rules := map[string]string{"least": "least-busy", "turns": "round-robin", "any": "random"}
	var pools, sites strings.Builder
	keys := []string{"cores.fleet.test"}
	fmt.Fprint(&pools, "  cores: {subscriptions: true, slow_start: off}\n")
	fmt.Fprint(&sites, "  - {hosts: [cores.fleet.test], http: serve, routes: [{pool: cores}]}\n")
	for name, rule := range rules {
		fmt.Fprintf(&pools, "  %s: {subscriptions: true, slow_start: off, balance: %s}\n", name, rule)
		fmt.Fprintf(&sites, "  - {hosts: [%s.fleet.test], http: serve, routes: [{pool: %s}]}\n", name, name)
		keys = append(keys, name+".fleet.test")
	}
	f := startFleet(t, fleetConf{pools: pools.String(), sites: sites.String()})
	member := func(name string, cores, weight int, keys ...string) {
		options := []string{"--processes", fmt.Sprint(cores / 2), "--threads", "2"}
		for _, k := range keys {
			options = append(options, announces(f.udp, k, fmt.Sprint("weight=", weight))...)
		}
		f.instance(t, name, 0, options...)
	}
	member("light", 6, 1, keys[1:]...)
	member("heavy", 6, 3, keys[1:]...)
	member("small", 2, 1, keys[0])
	member("large", 6, 1, keys[0])
	f.wantReady(t, 8)
	for _, k := range keys {
		f.answered(t, k)
	}

	// One request after the other: in turn, by weight and cores, whatever the speed.
	n := 1200
	for _, row := range []struct {
		host, more string
		sigma      float64 // of the share: of binomial numbers, or none
	}{
		{"least.fleet.test", "heavy", 0}, {"turns.fleet.test", "heavy", 0}, {"any.fleet.test", "heavy", math.Sqrt(0.75 * 0.25 / float64(n))}, {"cores.fleet.test", "large", 0},
	} {
		got := 0
		clients := []*http.Client{f.client(t, h1), f.client(t, h2), f.client(t, h3)}
		for i := range n {
			p := []protocol{h1, h2, h3}[i%3]
			status, body := fetch(clients[i%3], p, row.host, "/")
			if status != http.StatusOK {
				t.Fatalf("%s: %d %s", row.host, status, body)
			}
			if body == row.more {
				got++
			}
		}
		share, most := float64(got)/float64(n), max(5*row.sigma, 0.01)
		t.Logf("%s, one after the other: %s got %.2f %% of %d, due 75 %%, at most %.1f off", row.host, row.more, 100*share, n, 100*most)
		if math.Abs(share-0.75) > most {
			t.Errorf("%s: %s got %.1f %%, want 75 %%", row.host, row.more, 100*share)
		}
	}

	// More than there are cores: each does what its cores can, which is 2 to 6.
	th := f.startThrong(t, "cores.fleet.test", 8, 0.02, h1, h2, h3)
	spend(time.Second)
	from := th.now()
	spend(lasting(2*time.Second, 20*time.Second))
	to := th.now()
	all := th.end()
	all.wantAll(t)
	by := all.by(from, to)
	share := float64(by["large"]) / float64(by["large"]+by["small"])
	t.Logf("cores.fleet.test, 24 clients for 8 cores: large got %.2f %% of %d, due 75 %%", 100*share, by["large"]+by["small"])
	if math.Abs(share-0.75) > 0.05 {
		t.Errorf("cores: large got %.1f %%, want 75 %%", 100*share)
	}
}
