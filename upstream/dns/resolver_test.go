package dns_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	miekg "github.com/miekg/dns"

	"headgate/upstream/dns"
)

// server is a DNS server on UDP and TCP of one loopback port.
type server struct {
	address string

	mu      sync.Mutex // guards the fields below
	records []string   // of a zone file
	codes   map[string]int
	asked   map[string]int
	silent  bool
}

func serve(t testing.TB, records ...string) *server {
	t.Helper()
	s := &server{records: records, codes: make(map[string]int), asked: make(map[string]int)}
	streams, packets := listen(t)
	s.address = streams.Addr().String()
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait) // after the shutdowns
	for _, srv := range []*miekg.Server{{PacketConn: packets, Handler: s}, {Listener: streams, Handler: s}} {
		started := make(chan struct{})
		srv.NotifyStartedFunc = func() { close(started) }
		wg.Go(func() { _ = srv.ActivateAndServe() })
		<-started
		t.Cleanup(func() { _ = srv.Shutdown() })
	}
	return s
}

// listen returns sockets with one port that is free for both.
func listen(t testing.TB) (net.Listener, net.PacketConn) {
	t.Helper()
	for range 20 {
		streams, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		packets, err := net.ListenPacket("udp", streams.Addr().String())
		if err == nil {
			return streams, packets
		}
		_ = streams.Close()
	}
	t.Fatal("no port is free for TCP and UDP")
	return nil, nil
}

// put replaces the zone.
func (s *server) put(records ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records = records
}

// hush lets the server answer no more.
func (s *server) hush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent = true
}

// Codes of odd replies.
const (
	forged = -1 - iota // without the question's number
	lame               // "ask somebody else"
	cut                // truncated, over TCP too
)

// fail makes questions such as "app.test. AAAA" be answered with a code.
func (s *server) fail(question string, code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.codes[question] = code
}

func (s *server) count(question string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[question]
}

// ServeDNS implements the server's Handler.
func (s *server) ServeDNS(w miekg.ResponseWriter, q *miekg.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, kind := strings.ToLower(q.Question[0].Name), q.Question[0].Qtype
	key := name + " " + miekg.TypeToString[kind]
	s.asked[key]++
	if s.silent {
		return
	}
	r := new(miekg.Msg)
	r.SetReply(q)
	r.RecursionAvailable = true
	code, ok := s.codes[key]
	switch {
	case ok && code == forged:
		r.Rcode = miekg.RcodeNameError
		r.Id++
	case ok && code == lame:
		r.RecursionAvailable = false
	case ok && code == cut:
		s.answerLocked(r, name, kind)
		r.Truncated = true
		_ = w.WriteMsg(r)
		return
	case ok:
		r.Rcode = code
	default:
		s.answerLocked(r, name, kind)
	}
	if _, ok := w.RemoteAddr().(*net.UDPAddr); ok {
		r.Truncate(1232)
	}
	_ = w.WriteMsg(r)
}

// answerLocked follows aliases as a recursive server does.
func (s *server) answerLocked(r *miekg.Msg, name string, kind uint16) {
	known := false
	for range 10 {
		next := ""
		for _, line := range s.records {
			rr, err := miekg.NewRR(line)
			if err != nil {
				panic(err)
			}
			if rr.Header().Name != name {
				continue
			}
			known = true
			if alias, ok := rr.(*miekg.CNAME); ok {
				next = alias.Target
			} else if rr.Header().Rrtype != kind {
				continue
			}
			r.Answer = append(r.Answer, rr)
		}
		if next == "" {
			break
		}
		name = next
	}
	if !known {
		r.Rcode = miekg.RcodeNameError
	}
}

// system is this machine's resolver with another server.
func (s *server) system() dns.System {
	return dns.System{Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, s.address)
	}}
}

func texts(addrs []netip.Addr) string {
	var all []string
	for _, a := range addrs {
		all = append(all, a.String())
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestSystemAddresses(t *testing.T) {
	s := serve(t,
		"one.test. 17 IN A 10.0.0.1",
		"two.test. 40 IN A 10.0.0.1",
		"two.test. 30 IN A 10.0.0.2",
		"two.test. 5 IN AAAA fd00::1", // not used: its TTL does not matter
		"six.test. 9 IN AAAA fd00::6",
		"alias.test. 3 IN CNAME one.test.",
		"dangling.test. 3 IN CNAME nowhere.test.",
		"text.test. 60 IN TXT hello",
		"zero.test. 0 IN A 10.0.0.1",
	)
	s.fail("fails.test. A", miekg.RcodeServerFailure)
	s.fail("fails.test. AAAA", miekg.RcodeServerFailure)
	s.fail("refuses.test. A", miekg.RcodeRefused)
	s.fail("refuses.test. AAAA", miekg.RcodeRefused)
	for host, want := range map[string]struct {
		addrs  string
		ttl    time.Duration
		noName bool
		err    bool
	}{
		"one.test.":      {addrs: "10.0.0.1", ttl: 17 * time.Second},
		"ONE.test.":      {addrs: "10.0.0.1", ttl: 17 * time.Second},
		"two.test.":      {addrs: "10.0.0.1 10.0.0.2", ttl: 30 * time.Second},
		"six.test.":      {addrs: "fd00::6", ttl: 9 * time.Second},
		"alias.test.":    {addrs: "10.0.0.1", ttl: 3 * time.Second},
		"zero.test.":     {addrs: "10.0.0.1", ttl: 0},
		"nowhere.test.":  {noName: true},
		"dangling.test.": {noName: true},
		"text.test.":     {noName: true},
		"fails.test.":    {err: true},
		"refuses.test.":  {err: true},
	} {
		addrs, ttl, err := s.system().Addresses(t.Context(), host)
		if texts(addrs) != want.addrs || ttl != want.ttl || (err != nil) != (want.noName || want.err) || errors.Is(err, dns.ErrNoName) != want.noName {
			t.Errorf("%s: %s for %s, %v; want %+v", host, texts(addrs), ttl, err, want)
		}
	}
}

// TestHalfAnAnswer is of servers that answer for one type only. A records without
// AAAA are enough; AAAA without A would be another set of members.
func TestHalfAnAnswer(t *testing.T) {
	s := serve(t, "app.test. 17 IN A 10.0.0.1", "app.test. 17 IN AAAA fd00::1")
	s.fail("app.test. AAAA", miekg.RcodeServerFailure)
	if addrs, ttl, err := s.system().Addresses(t.Context(), "app.test."); err != nil || texts(addrs) != "10.0.0.1" || ttl != 17*time.Second {
		t.Errorf("AAAA fails: %v for %s, %v; want 10.0.0.1 for 17s", addrs, ttl, err)
	}
	for _, code := range []int{miekg.RcodeServerFailure, miekg.RcodeRefused, lame} {
		s = serve(t, "app.test. 17 IN A 10.0.0.1", "app.test. 17 IN AAAA fd00::1")
		s.fail("app.test. A", code)
		addrs, _, err := s.system().Addresses(t.Context(), "app.test.")
		if err == nil || addrs != nil || errors.Is(err, dns.ErrNoName) || !strings.Contains(err.Error(), "A records of app.test.") {
			t.Errorf("code %d for A: %v, %v; want an error", code, addrs, err)
		}
	}
}

func TestLongAnswersComeOverTCP(t *testing.T) {
	var records, want []string
	for i := range 200 {
		a := fmt.Sprintf("10.0.1.%d", i)
		want = append(want, a)
		records = append(records, fmt.Sprintf("app.test. %d IN A %s", 100+i, a))
	}
	s := serve(t, records...)
	addrs, ttl, err := s.system().Addresses(t.Context(), "app.test.")
	slices.Sort(want)
	if err != nil || texts(addrs) != strings.Join(want, " ") || ttl != 100*time.Second {
		t.Errorf("%d addresses for %s, %v; want 200 for 100s", len(addrs), ttl, err)
	}
	if n := s.count("app.test. A"); n != 2 {
		t.Errorf("asked %d times, want once over UDP and once over TCP", n)
	}
	s.put("app.test. 17 IN A 10.0.0.1") // and what is cut even there is better than nothing
	s.fail("app.test. A", cut)
	if addrs, ttl, err := s.system().Addresses(t.Context(), "app.test."); err != nil || texts(addrs) != "10.0.0.1" || ttl != 17*time.Second {
		t.Errorf("%s for %s, %v; want 10.0.0.1 for 17s", texts(addrs), ttl, err)
	}
}

func TestSystemServices(t *testing.T) {
	s := serve(t,
		"_uwsgi._tcp.app.test. 21 IN SRV 20 0 3032 spare.app.test.",
		"_uwsgi._tcp.app.test. 22 IN SRV 10 5 3031 one.app.test.",
		`_uwsgi._tcp.app.test. 22 IN SRV 10 5 3031 a\032b.app.test.`, // no host name
		"a.test. 4 IN CNAME _uwsgi._tcp.app.test.",
	)
	s.fail("fails.test. SRV", miekg.RcodeServerFailure)
	want := []net.SRV{
		{Target: "one.app.test.", Port: 3031, Priority: 10, Weight: 5},
		{Target: "spare.app.test.", Port: 3032, Priority: 20},
	}
	for name, least := range map[string]time.Duration{"_uwsgi._tcp.app.test": 21 * time.Second, "a.test.": 4 * time.Second} {
		records, ttl, err := s.system().Services(t.Context(), name)
		if d := cmp.Diff(want, records); d != "" || err != nil || ttl != least {
			t.Errorf("%s: for %s, %v, %s", name, ttl, err, d)
		}
	}
	if _, _, err := s.system().Services(t.Context(), "nowhere.test."); !errors.Is(err, dns.ErrNoName) {
		t.Errorf("nowhere.test: %v, want %v", err, dns.ErrNoName)
	}
	if _, _, err := s.system().Services(t.Context(), "fails.test."); err == nil || errors.Is(err, dns.ErrNoName) {
		t.Errorf("fails.test: %v, want an error that is not %v", err, dns.ErrNoName)
	}
}

func TestSystemReadsTheHostsFile(t *testing.T) {
	s := serve(t)
	addrs, ttl, err := s.system().Addresses(t.Context(), "localhost")
	if err != nil && s.count("localhost. A") > 0 {
		t.Skip("the hosts file of this machine has no localhost")
	}
	if err != nil || texts(addrs) != "127.0.0.1" || ttl != dns.NoTTL {
		t.Errorf("localhost: %v for %s, %v; want 127.0.0.1 without a TTL", addrs, ttl, err)
	}
}

func TestLookUpEndsWithItsContext(t *testing.T) {
	s := serve(t)
	s.hush()
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() {
		_, _, err := s.system().Addresses(ctx, "app.test.")
		done <- err
	}()
	poll(t, "the server was asked", func() bool { return s.count("app.test. A") > 0 })
	cancel(cause)
	select {
	case err := <-done:
		if !errors.Is(err, cause) {
			t.Errorf("%v, want %v", err, cause)
		}
	case <-time.After(2 * time.Second):
		t.Error("the look-up goes on 2 s after its context ended")
		<-done
	}
}

func TestLookUpEndsWhileItConnects(t *testing.T) {
	dialing := make(chan struct{}, 16)
	system := dns.System{Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		dialing <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-dialing; cancel() }()
	before := time.Now()
	if _, _, err := system.Addresses(ctx, "app.test."); !errors.Is(err, context.Canceled) || time.Since(before) > 2*time.Second {
		t.Errorf("%v after %s, want %v at once", err, time.Since(before), context.Canceled)
	}
}

// poll waits for the real world.
func poll(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("gave up waiting until %s", what)
		}
	}
}

// TestSourceFollowsARealServer sees a container move, vanish and come back.
func TestSourceFollowsARealServer(t *testing.T) {
	s := serve(t, "app.test. 600 IN A 10.0.0.1", "app.test. 600 IN AAAA fd00::1")
	source, heard, _ := start(t, dns.Setup{Resolver: s.system(), Options: dns.Options{MaxTTL: time.Second}}, "app.test.:3031", "srv:_uwsgi._tcp.app.test.")
	poll(t, "the first address is known", func() bool { return heard.last() == "10.0.0.1:3031" })
	s.put("app.test. 600 IN A 10.0.0.2", "_uwsgi._tcp.app.test. 600 IN SRV 1 1 9000 app.test.")
	source.Refresh()
	poll(t, "the address has moved", func() bool { return heard.last() == "10.0.0.2:3031 10.0.0.2:9000" })
	s.put()
	asked := s.count("app.test. A")
	poll(t, "its absence was seen", func() bool { return s.count("app.test. A") > asked+1 })
	if got := heard.last(); got != "10.0.0.2:3031 10.0.0.2:9000" {
		t.Errorf("without a record: %q, want the last addresses", got)
	}
	s.put("app.test. 600 IN A 10.0.0.3")
	source.Refresh()
	poll(t, "it is back", func() bool { return heard.last() == "10.0.0.2:9000 10.0.0.3:3031" })
}

func TestRunEndsInTheMiddleOfALookUp(t *testing.T) {
	s := serve(t)
	s.hush()
	_, _, stop := start(t, dns.Setup{Resolver: s.system()}, "app.test.:3031", "srv:app.test.")
	poll(t, "both were asked for", func() bool { return s.count("app.test. A") > 0 && s.count("app.test. SRV") > 0 })
	before := time.Now()
	stop()
	if d := time.Since(before); d > 2*time.Second {
		t.Errorf("Run returned %s after its context ended", d)
	}
}

// TestFailureIsNotHiddenByTheSearchList runs itself again where it may write its own
// resolv.conf. There a server fails for app.one.test, and app.two.test and app do
// not exist: package net says "no such host". Of liar.one.test only AAAA records are
// known, since what came for A is forged.
func TestFailureIsNotHiddenByTheSearchList(t *testing.T) {
	if address := os.Getenv("HEADGATE_TEST_DNS"); address != "" {
		s := &server{address: address}
		for _, host := range []string{"app", "web", "liar"} {
			addrs, _, err := s.system().Addresses(t.Context(), host)
			fmt.Printf("%s: %s %t %t\n", host, texts(addrs), err != nil, errors.Is(err, dns.ErrNoName))
		}
		return
	}
	s := serve(t, "app.three.test. 5 IN TXT hello", "web.two.test. 5 IN A 10.0.0.2", "liar.one.test. 5 IN AAAA fd00::1")
	s.fail("liar.one.test. A", forged)
	s.fail("app.one.test. A", miekg.RcodeServerFailure)
	s.fail("app.one.test. AAAA", miekg.RcodeServerFailure)
	conf := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(conf, []byte("nameserver 127.0.0.1\nsearch one.test two.test three.test\noptions ndots:5 timeout:1 attempts:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	mount := []string{"-rm", "sh", "-c", `mount --bind "$0" /etc/resolv.conf && exec "$@"`, conf}
	if out, err := exec.Command("unshare", append(mount, "true")...).CombinedOutput(); err != nil {
		t.Skipf("this system lets nobody have a resolv.conf of his own: %v %s", err, out)
	}
	run := func() string {
		c := exec.Command("unshare", append(mount, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1")...)
		c.Env = append(os.Environ(), "HEADGATE_TEST_DNS="+s.address)
		out, err := c.Output()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	if got := run(); !strings.Contains(got, "app:  true false\nweb: 10.0.0.2 false false\nliar:  true false\n") {
		t.Errorf("while a server fails: %s", got)
	}
	s.mu.Lock()
	clear(s.codes)
	s.mu.Unlock()
	if got := run(); !strings.Contains(got, "app:  true true\n") {
		t.Errorf("when no server fails: %s", got)
	}
}

// FuzzReply lets a server say anything after the question. Nothing panics, and
// what package net takes for addresses is heard with its TTL.
func FuzzReply(f *testing.F) {
	record := func(kind, class uint16, ttl uint32, data ...byte) []byte {
		b := binary.BigEndian.AppendUint16([]byte{0xc0, 12}, kind)
		b = binary.BigEndian.AppendUint16(b, class)
		b = binary.BigEndian.AppendUint32(b, ttl)
		return append(binary.BigEndian.AppendUint16(b, uint16(len(data))), data...)
	}
	a := record(1, 1, 60, 10, 0, 0, 1)
	f.Add(uint16(0x8180), uint16(1), uint16(0), a)
	f.Add(uint16(0x8180), uint16(2), uint16(0), append(record(1, 1, 1<<31, 10, 0, 0, 2), a...))
	f.Add(uint16(0x8180), uint16(2), uint16(0), a) // one is missing
	f.Add(uint16(0x8183), uint16(0), uint16(0), []byte{})
	f.Add(uint16(0x8180), uint16(0), uint16(1), record(41, 1232, 1<<24))
	f.Add(uint16(0x8380), uint16(1), uint16(0), a)
	f.Fuzz(func(t *testing.T, flags, answers, additionals uint16, rest []byte) {
		var wg sync.WaitGroup
		defer wg.Wait()
		system := dns.System{Dial: func(context.Context, string, string) (net.Conn, error) {
			client, conn := net.Pipe()
			wg.Go(func() { babble(conn, flags, answers, additionals, rest) })
			return client, nil
		}}
		addrs, ttl, err := system.Addresses(t.Context(), "app.test.")
		if err == nil && (len(addrs) == 0 || ttl < 0 || ttl > (1<<31-1)*time.Second) {
			t.Errorf("%v for %s", addrs, ttl)
		}
	})
}

// babble answers one question with anything.
func babble(c net.Conn, flags, answers, additionals uint16, rest []byte) {
	defer func() { _ = c.Close() }()
	size := make([]byte, 2)
	if _, err := io.ReadFull(c, size); err != nil {
		return
	}
	q := make([]byte, binary.BigEndian.Uint16(size))
	if _, err := io.ReadFull(c, q); err != nil {
		return
	}
	end := 12
	for end < len(q) && q[end] != 0 {
		end += 1 + int(q[end])
	}
	if end+5 > len(q) {
		return
	}
	b := append([]byte{0, 0}, q[:2]...)
	b = binary.BigEndian.AppendUint16(b, flags)
	b = binary.BigEndian.AppendUint16(b, 1)
	b = binary.BigEndian.AppendUint16(b, answers)
	b = binary.BigEndian.AppendUint16(b, 0)
	b = binary.BigEndian.AppendUint16(b, additionals)
	b = append(append(b, q[12:end+5]...), rest[:min(len(rest), 60000)]...)
	binary.BigEndian.PutUint16(b, uint16(len(b)-2))
	_, _ = c.Write(b)
}
