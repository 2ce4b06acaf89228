package livetest_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// guarded is a fleet that believes in signatures only, of one sender, and one instance
// that announces itself through a relay.
type guarded struct {
	*fleet
	relay *relay
	key   string
	app   *app
	host  string
}

// startGuarded runs it. Whoever is root here may not announce anything over the socket.
func startGuarded(t *testing.T, options ...string) *guarded {
	t.Helper()
	g := &guarded{fleet: newFleet(t), host: "app.fleet.test"}
	g.key = keyPair(t, g.signers(), g.host)
	g.fleet.configure(t, fleetConf{subscriptions: fmt.Sprintf(
		`sign: {keys: %q}, allow: [{from: [127.0.0.1], keys: [.fleet.test], addresses: [127.0.0.0/8, "%s/"]}, {users: ["64999"]}]`, g.signers(), g.dir)})
	g.process = start(t, g.dir, accepts("unix", g.admin), headgate, "run", "-c", g.file)
	g.learn(t)
	g.relay = startRelay(t, g.udp, "127.0.0.1")
	g.app = g.instance(t, "app", 0, append(append(announces(g.relay.addr, g.host, "sign=SHA256:"+g.key), "--subscribe-freq", "1"), options...)...)
	g.answered(t, g.host)
	return g
}

// attack sends datagrams and says what becomes of them, which must be this, all of it.
// What the instance itself sends meanwhile is accepted. The host answers afterwards.
func (g *guarded) attack(t *testing.T, what string, from *net.UDPConn, datagrams [][]byte, want ...string) {
	t.Helper()
	before := g.status(t).Subscriptions.Counters
	for _, b := range datagrams {
		if _, err := from.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	refused := func() (n int, other string) {
		now := g.status(t).Subscriptions.Counters
		for result, count := range now {
			switch more := count - before[result]; {
			case slices.Contains(want, result):
				n += more
			case more > 0 && result != "accepted":
				other += fmt.Sprintf(" %d %s", more, result)
			}
		}
		return n, other
	}
	if !eventually(5*time.Second, func() bool { n, _ := refused(); return n >= len(datagrams) }) {
		n, other := refused()
		t.Errorf("%s: %d of %d are %v, and%s", what, n, len(datagrams), want, other)
	} else if n, other := refused(); other != "" || n > len(datagrams) {
		t.Errorf("%s: %d of %d are %v, and%s", what, n, len(datagrams), want, other)
	}
	if status, body := g.page(t, h2, g.host); status != http.StatusOK {
		t.Errorf("%s: the host answers %d %s", what, status, body)
	}
	if got, want := g.status(t).ready(), []string{g.host + " unix:" + g.app.socket}; !slices.Equal(got, want) {
		t.Errorf("%s: ready are %v, want %v", what, got, want)
	}
}

// resigned is a packet with another time and whatever else is changed, signed by a key.
func resigned(t *testing.T, d datagram, key *rsa.PrivateKey, at time.Time, change func(name, value string) string) []byte {
	t.Helper()
	var block []byte
	add := func(name, value string) {
		block = binary.LittleEndian.AppendUint16(block, uint16(len(name)))
		block = append(block, name...)
		block = binary.LittleEndian.AppendUint16(block, uint16(len(value)))
		block = append(block, value...)
	}
	for _, name := range []string{"key", "address", "modifier1", "modifier2", "cores", "load", "weight"} {
		add(name, change(name, d.pair(name)))
	}
	add("unix", fmt.Sprint(at.Unix()))
	sum := sha256.Sum256(block)
	sign, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	add("sign", string(sign))
	return append([]byte{0xe0, byte(len(block)), byte(len(block) >> 8), d.b[3]}, block...)
}

func readKey(t *testing.T, file string) *rsa.PrivateKey {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func flipped(b []byte) []byte {
	b = slices.Clone(b)
	b[3] ^= 1
	return b
}

// TestSubscribeForged: packets that were seen, and whatever somebody without the key
// makes of them, are refused, and the instance goes on.
func TestSubscribeForged(t *testing.T) {
	t.Parallel()
	g := startGuarded(t)
	if !eventually(10*time.Second, func() bool { return len(g.relay.packets(g.host, 0)) >= 4 }) {
		t.Fatal("uWSGI does not announce itself again")
	}
	seen := g.relay.packets(g.host, 0)[:3]
	var again, turned, cut, changed [][]byte
	for _, d := range seen {
		again = append(again, d.b)
		turned = append(turned, flipped(d.b))
	}
	first := seen[0].b
	for n := range len(first) {
		cut = append(cut, first[:n])
	}
	for i := 4; i < len(first); i += 3 {
		b := slices.Clone(first)
		b[i] ^= 0x20
		changed = append(changed, b)
	}
	home, away := sender(t, g.udp, "127.0.0.1"), sender(t, g.udp, "127.0.0.9")
	g.attack(t, "replayed", home, again, "replayed")
	g.attack(t, "with byte 3 flipped", home, turned, "replayed")
	g.attack(t, "from another address", away, slices.Concat(again, turned), "not_allowed")
	g.attack(t, "cut", home, cut, "malformed")
	g.attack(t, "changed", home, changed, "malformed", "replayed", "bad_signature", "not_allowed")

	own, other := readKey(t, g.key), readKey(t, keyPair(t, shortDir(t), "evil"))
	as := func(name, value string) string { return value }
	soon := time.Now().Add(10 * time.Second)
	forged := [][]byte{resigned(t, seen[0], other, soon, as), flipped(resigned(t, seen[0], other, soon, as))}
	g.attack(t, "signed by another key", home, forged, "bad_signature")
	g.attack(t, "of another time", home, [][]byte{
		resigned(t, seen[0], own, time.Now().Add(-2*time.Minute), as), resigned(t, seen[0], own, time.Now().Add(2*time.Minute), as), resigned(t, seen[0], own, time.Unix(1<<31-1, 0), as),
	}, "replayed")
	change := func(which, to string) func(string, string) string {
		return func(name, value string) string {
			if name == which {
				return to
			}
			return value
		}
	}
	g.attack(t, "for another host", home, [][]byte{
		resigned(t, seen[0], own, soon, change("key", "www.fleet.test")), resigned(t, seen[0], own, soon, change("key", ".fleet.test")),
	}, "bad_signature")
	g.attack(t, "for what may not be announced", home, [][]byte{
		resigned(t, seen[0], own, soon, change("key", "bank.test")), resigned(t, seen[0], own, soon, change("address", "192.0.2.1:80")),
		resigned(t, seen[0], own, soon, change("modifier1", "100")), resigned(t, seen[0], own, soon, change("address", "/etc/passwd")),
	}, "not_allowed")
	unsigned := func(d datagram) []byte {
		at := strings.Index(string(d.b), "\x04\x00unix")
		b := slices.Clone(d.b[:at])
		binary.LittleEndian.PutUint16(b[1:], uint16(at-4))
		return b
	}
	g.attack(t, "without a signature", home, [][]byte{unsigned(seen[0]), flipped(unsigned(seen[0]))}, "not_allowed")

	// It goes, and nothing of what was seen brings it back, or takes its successor away.
	g.app.tell(t, "q")
	<-g.app.ended
	bye := g.relay.first(t, g.host, 1).b
	if !eventually(10*time.Second, func() bool { return len(g.status(t).Subscriptions.Nodes) == 0 }) {
		t.Fatal("an instance that has unsubscribed is there")
	}
	replayed := g.status(t).Subscriptions.Counters["replayed"]
	everything := slices.Concat(g.relay.packets(g.host, 0), []datagram{{b: flipped(bye)}, {b: bye}})
	for _, d := range everything {
		if _, err := home.Write(d.b); err != nil {
			t.Fatal(err)
		}
	}
	if !eventually(5*time.Second, func() bool { return g.status(t).Subscriptions.Counters["replayed"] == replayed+len(everything) }) {
		t.Errorf("after it has gone: %v, want %d more replayed", g.status(t).Subscriptions.Counters, len(everything))
	}
	if n := g.status(t).Subscriptions.Nodes; len(n) != 0 {
		t.Errorf("a replay has brought back %+v", n)
	}
	g.app = g.instance(t, "app", 0, append(announces(g.relay.addr, g.host, "sign=SHA256:"+g.key), "--subscribe-freq", "1")...)
	g.answered(t, g.host)
	g.attack(t, "an old end", home, [][]byte{bye}, "replayed")
}

// noise makes datagrams of which nothing may come: random ones, and real ones with
// some bytes changed.
func noise(r *rand.Rand, real [][]byte) []byte {
	if r.IntN(2) == 0 {
		b := make([]byte, r.IntN(600))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		if len(b) > 4 && r.IntN(2) == 0 {
			b[0], b[3] = 0xe0, byte(r.IntN(2))
			binary.LittleEndian.PutUint16(b[1:], uint16(len(b)-4))
		}
		return b
	}
	b := slices.Clone(real[r.IntN(len(real))])
	for range 1 + r.IntN(4) {
		switch at := r.IntN(len(b)); r.IntN(4) {
		case 0:
			b[at] = byte(r.Uint32())
		case 1:
			b[at] ^= 1 << r.IntN(8)
		case 2:
			b = b[:at+1]
		case 3:
			b = slices.Insert(b, at, byte(r.Uint32()))
		}
	}
	if len(b) > 4 && r.IntN(2) == 0 {
		binary.LittleEndian.PutUint16(b[1:], uint16(len(b)-4))
	}
	return b
}

// flood sends n datagrams to both sockets as fast as it can, and returns how many of
// them there was room for: the kernel tells who sends over a unix socket.
func (g *guarded) flood(t *testing.T, n int, seed uint64) (sent int, took time.Duration) {
	t.Helper()
	udp := sender(t, g.udp, "127.0.0.1")
	unix, err := net.Dial("unixgram", g.unix)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close()
	var real [][]byte
	for _, d := range g.relay.packets(g.host, 0) {
		real = append(real, d.b)
	}
	r := rand.New(rand.NewPCG(seed, 7))
	batch := make([][]byte, 4096)
	for i := range batch {
		batch[i] = noise(r, real)
	}
	begin := time.Now()
	for i := range n {
		b := batch[i%len(batch)]
		at, bit := 0, byte(0)
		if len(b) > 8 {
			at, bit = 4+r.IntN(len(b)-4), 1<<r.IntN(8) // each is another one
			b[at] ^= bit
		}
		if i%16 == 0 {
			_, err = unix.Write(b)
		} else {
			_, err = udp.Write(b)
		}
		if bit != 0 {
			b[at] ^= bit
		}
		switch {
		case err == nil:
			sent++
		case !errors.Is(err, syscall.EAGAIN):
			t.Fatalf("datagram %d: %v", i, err)
		}
	}
	return sent, time.Since(begin)
}

// TestSubscribeFlood: noise costs neither memory nor the requests much, and changes
// nothing.
func TestSubscribeFlood(t *testing.T) {
	n := 150_000
	if os.Getenv("HEADGATE_TEST_LONG") != "" {
		n = 1_000_000
	}
	g := startGuarded(t, "--processes", "2")
	if !eventually(10*time.Second, func() bool { return len(g.relay.packets(g.host, 0)) >= 3 }) {
		t.Fatal("uWSGI does not announce itself again")
	}
	calm := g.startThrong(t, g.host, 2, 0, h1, h2, h3)
	spend(lasting(time.Second, 10*time.Second))
	before := calm.end()
	before.wantAll(t)
	g.flood(t, 30_000, 1) // what is to be filled is full then
	start, _ := g.resident(t)
	nodes := g.status(t).ready()
	counted := g.status(t).Subscriptions.Counters

	th := g.startThrong(t, g.host, 2, 0, h1, h2, h3)
	cpu := g.cpu(t)
	sent, took := g.flood(t, n, 2)
	used := g.cpu(t) - cpu
	during := th.end()
	during.wantAll(t)
	after, most := g.resident(t)
	if got := g.status(t).ready(); !slices.Equal(got, nodes) || len(got) != 1 || len(g.status(t).Subscriptions.Nodes) != 1 {
		t.Errorf("ready are %v, want %v", got, nodes)
	}
	var all int
	what := ""
	now := g.status(t).Subscriptions.Counters
	for _, result := range []string{"malformed", "not_allowed", "bad_signature", "replayed", "full", "dropped", "unsubscribed", "accepted"} {
		all += now[result] - counted[result]
		what += fmt.Sprintf(" %d %s", now[result]-counted[result], result)
	}
	t.Logf("%d datagrams in %.1f s, of which the gateway counts %d:%s; it used %.1f s of processors", sent, took.Seconds(), all, what, used.Seconds())
	t.Logf("%d MiB before, %d MiB after, at most %d MiB", start, after, most)
	t.Logf("requests before: %d, p50 %v, p99 %v; meanwhile: %d, p50 %v, p99 %v", len(before), before.quantile(0.5), before.quantile(0.99), len(during), during.quantile(0.5), during.quantile(0.99))
	if after > start+12 {
		t.Errorf("memory grew from %d to %d MiB", start, after)
	}
	if all < sent {
		t.Errorf("%d of %d datagrams were not counted", sent-all, sent)
	}
	if now["unsubscribed"] > 0 || now["full"] > 0 {
		t.Errorf("noise was believed: %v", now)
	}
	if p99 := during.quantile(0.99); p99 > time.Second {
		t.Errorf("requests took %v", p99)
	}
	if lines := strings.Count(g.said(), "subscription refused") + strings.Count(g.said(), "more subscriptions refused"); lines > 200 {
		t.Errorf("%d lines of log", lines)
	}
	if !eventually(5*time.Second, func() bool { status, _ := g.page(t, h3, g.host); return status == http.StatusOK }) {
		t.Error("the host does not answer")
	}
}

// cpu is how long a process has kept processors busy.
func (p *process) cpu(t testing.TB) time.Duration {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	var user, system int64
	_, _ = fmt.Sscan(f[11]+" "+f[12], &user, &system) // the kernel writes numbers
	return time.Duration(user+system) * 10 * time.Millisecond
}
