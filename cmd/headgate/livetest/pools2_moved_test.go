package livetest_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	miekg "github.com/miekg/dns"
)

// nameServer answers for app.test. with one address, that holds for ten minutes as
// Docker's does, or says that there is no such name.
type nameServer struct {
	mu      sync.Mutex // guards the fields below
	address string     // "": there is no such name
	asked   int
}

// startNameServer listens on port 53, the only one that resolv.conf can name.
func startNameServer(t *testing.T, listen, address string) *nameServer {
	t.Helper()
	s := &nameServer{address: address}
	for _, network := range []string{"udp", "tcp"} {
		started := make(chan struct{})
		srv := &miekg.Server{Addr: net.JoinHostPort(listen, "53"), Net: network, Handler: s, NotifyStartedFunc: func() { close(started) }}
		ended := make(chan error, 1)
		go func() { ended <- srv.ListenAndServe() }()
		select {
		case <-started:
		case err := <-ended:
			t.Skip("only root may be a DNS server: ", err)
		}
		t.Cleanup(func() {
			_ = srv.Shutdown()
			<-ended
		})
	}
	return s
}

// ServeDNS implements miekg.Handler.
func (s *nameServer) ServeDNS(w miekg.ResponseWriter, q *miekg.Msg) {
	s.mu.Lock()
	s.asked++
	address := s.address
	s.mu.Unlock()
	m := new(miekg.Msg).SetReply(q)
	m.Authoritative = true
	switch question := q.Question[0]; {
	case question.Name != "app.test.", address == "":
		m.Rcode = miekg.RcodeNameError
	case question.Qtype == miekg.TypeA:
		m.Answer = append(m.Answer, &miekg.A{
			Hdr: miekg.RR_Header{Name: question.Name, Rrtype: miekg.TypeA, Class: miekg.ClassINET, Ttl: 600},
			A:   net.ParseIP(address),
		})
	}
	_ = w.WriteMsg(m) // who asked has gone
}

func (s *nameServer) questions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func (s *nameServer) move(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.address = address
}

// TestMovedContainer: a container is killed, its name has no address for a second,
// and then that of another container. GET requests wait for it and none fails,
// without a reload. The binary runs with a resolv.conf of its own, which only root
// can give it.
func TestMovedContainer(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may mount")
	}
	t.Parallel()
	const server = "127.0.53.4"
	names := startNameServer(t, server, "127.0.0.2")
	dir := shortDir(t)
	resolv := filepath.Join(dir, "resolv.conf")
	write(t, resolv, "nameserver "+server+"\noptions timeout:1\n")
	if err := os.Chmod(resolv, 0o644); err != nil {
		t.Fatal(err)
	}
	at := freePort(t)
	container := func(address string) *app {
		return startMember(t, filepath.Join(dir, address+".sock"), address, 0.01, "--processes", "2", "--socket", address+":"+at)
	}
	old := container("127.0.0.2")
	g := startSiteBy(t, poolsConf{pools: fmt.Sprintf("app: {members: [\"app.test:%s\"]}\n", at), routes: "{pool: app}"},
		need(t, "unshare"), "--mount", "sh", "-c", `mount --bind "$0" /etc/resolv.conf && exec "$@"`, resolv)

	ctx, enough := context.WithCancel(t.Context())
	defer enough()
	done := make(chan outcomes, 1)
	clients := from(t, g.http, 4)
	begin := time.Now()
	go func() {
		done <- shootUntil(ctx, poisson(9, 60, time.Minute, func(*rand.Rand) shot { return shot{path: "/work"} }), clients)
	}()
	<-time.After(time.Second)
	old.killAll(t)
	killed := time.Since(begin)
	names.move("")
	<-time.After(time.Second)
	container("127.0.0.3")
	names.move("127.0.0.3")
	there := time.Since(begin)
	<-time.After(4 * time.Second)
	enough()
	all := <-done
	all.wantAll(t)

	first := time.Duration(0)
	for _, o := range all {
		if o.body == "127.0.0.3" && (first == 0 || o.ended < first) {
			first = o.ended
		}
	}
	by := func(name string) int { return len(all.where(func(o outcome) bool { return o.body == name })) }
	t.Logf("%d requests, %d at the old address, %d at the new; the old container was killed at %.2f s, the new one there at %.2f s, its first answer came %.2f s later; the longest request took %v; the name was asked for %d times",
		len(all), by("127.0.0.2"), by("127.0.0.3"), killed.Seconds(), there.Seconds(), (first - there).Seconds(), all.quantile(1), names.questions())
	if by("127.0.0.2") < 10 || by("127.0.0.3") < 100 || first-there > 3*time.Second {
		t.Error("the container that moved was not found in time")
	}
	p := g.pool(t, "app")
	if len(p.Members) != 1 || p.Members[0].Address != "127.0.0.3:"+at {
		t.Errorf("the members are %+v", p.Members)
	}
}
