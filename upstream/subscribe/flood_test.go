package subscribe_test

import (
	"crypto"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"headgate/upstream/subscribe"
)

// debris makes datagrams that somebody hostile could send: noise, packets that were
// cut and bent, forged signatures, and keys and addresses of all kinds.
type debris struct {
	rand   *rand.Rand
	noise  *rand.ChaCha8
	whom   []subscribe.Sender
	seeds  [][]byte
	forged [][]byte // with signatures that have to be looked at
	made   int
	buffer [2048]byte
}

func newDebris(t testing.TB) *debris {
	now := time.Now().Unix()
	whom := make([]subscribe.Sender, 4096)
	for i := range whom {
		whom[i] = subscribe.FromIP(fmt.Sprintf("10.%d.%d.%d", i%7, i>>8, i&255))
	}
	return &debris{noise: rand.NewChaCha8([32]byte{}), whom: whom, rand: rand.New(rand.NewPCG(1, 2)), forged: [][]byte{
		signed(t, rsaKeys()[1], crypto.SHA256, false, now, standard("a.example", "127.0.0.1:1")),
		announce("a.example", "127.0.0.1:3031", "unix", fmt.Sprint(now), "sign", strings.Repeat("x", 256)),
	}, seeds: [][]byte{
		capture(t), announce("shop.example", "127.0.0.1:3031"), withdraw("shop.example", "127.0.0.1:3031"),
		announce("a.example", "127.0.0.1:9"), withdraw("a.example", "127.0.0.1:9"),
		signed(t, rsaKeys()[0], crypto.SHA256, true, now-3600, standard("a.example", "127.0.0.1:9")),
	}}
}

// The first few thousand of them, and few after that, are forged: what they cost is
// bounded by the second, and a test has not so many.
func (d *debris) next() []byte {
	if d.made++; d.made < 8000 || d.rand.IntN(500) == 0 {
		return append(d.buffer[:0], d.forged[d.rand.IntN(len(d.forged))]...)
	}
	if d.rand.IntN(4) == 0 {
		b := d.buffer[:d.rand.IntN(len(d.buffer))]
		_, _ = d.noise.Read(b) // never fails
		return b
	}
	b := append(d.buffer[:0], d.seeds[d.rand.IntN(len(d.seeds))]...)
	for range d.rand.IntN(4) {
		b[d.rand.IntN(len(b))] = byte(d.rand.Uint32())
	}
	if d.rand.IntN(4) == 0 {
		b = b[:d.rand.IntN(len(b)+1)]
	}
	return b
}

func (d *debris) from() subscribe.Sender {
	if d.rand.IntN(4) == 0 {
		return local
	}
	return d.whom[d.rand.IntN(len(d.whom))]
}

func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

// TestFlood: a million hostile datagrams, and 50000 through a socket, leave memory and
// the members as they were.
func TestFlood(t *testing.T) {
	o, _ := signing(t)
	o.Listen, o.Expire = []string{"udp:127.0.0.1:0"}, time.Hour
	o.Allow = []subscribe.Rule{{From: []string{"10.0.0.0/8"}, Keys: []string{".elsewhere.example"}}, {From: []string{"127.0.0.1"}}}
	s := start(t, o, subscribe.Setup{})
	w := hear(t, s)
	good := func(unix int64) []byte {
		return signed(t, rsaKeys()[0], crypto.SHA256, false, unix, standard("a.example", "127.0.0.1:9"))
	}
	s.Handle(good(time.Now().Unix()-2), local)
	want(t, "127.0.0.1:9/1/6", func() string { return w.of("a.example") })

	n := 1_000_000
	if testing.Short() {
		n = 100_000
	}
	d := newDebris(t)
	for range n / 10 {
		s.Handle(d.next(), d.from())
	}
	before := inUse()
	for range n * 9 / 10 {
		s.Handle(d.next(), d.from())
	}
	c, err := net.Dial("udp4", strings.TrimPrefix(s.Snapshot().Listen[0], "udp:"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 50_000 {
		_, _ = c.Write(d.next()) // the kernel may drop some
	}
	if grown := inUse() - before; grown > 2<<20 {
		t.Errorf("memory has grown by %d bytes", grown)
	}
	if got := nodes(s); got != "a.example 127.0.0.1:9" || w.of("a.example") != "127.0.0.1:9/1/6" || w.count("a.example") != 1 {
		t.Errorf("got %s, %s", got, w.of("a.example"))
	}
	if c := s.Snapshot().Counters; c.Accepted != 1 || c.Malformed == 0 || c.BadSignature == 0 || c.NotAllowed == 0 {
		t.Errorf("got %+v", c)
	}
	want(t, "2", func() string { // who is honest is still heard
		_, _ = c.Write(good(time.Now().Unix()))
		return fmt.Sprint(min(s.Snapshot().Counters.Accepted, 2))
	})
}

// TestFloodOfNodes: one who may announce anything fills the table and no more.
func TestFloodOfNodes(t *testing.T) {
	s := deaf(t, subscribe.Options{Allow: []subscribe.Rule{{Addresses: []string{"10.0.0.0/8"}}}, MaxKeys: 50, MaxNodes: 20}, subscribe.Setup{})
	for i := range 20_000 {
		s.Handle(announce(fmt.Sprintf("k%d.example", i%100), fmt.Sprintf("10.0.%d.%d:%d", i>>8&255, i&255, i%30_000+1)), remote)
	}
	if got := len(s.Snapshot().Nodes); got != 1000 {
		t.Errorf("%d nodes, want 1000", got)
	}
	if c := s.Snapshot().Counters; c.Full != 19_000 {
		t.Errorf("got %+v", c)
	}
}
