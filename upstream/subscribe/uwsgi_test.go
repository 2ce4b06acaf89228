package subscribe_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"headgate/upstream"
	"headgate/upstream/subscribe"
	"headgate/upstream/uwsgi"
)

// need returns the path of a program.
func need(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is not installed", name)
		}
		t.Skipf("%s is not installed", name)
	}
	return path
}

// instance is a uWSGI master with its workers.
type instance struct {
	cmd   *exec.Cmd
	ended chan struct{}
	out   *journal
}

// launch starts uWSGI with 2 processes of 3 threads and more options; the end of the
// test stops it.
func launch(t *testing.T, args ...string) *instance {
	t.Helper()
	dir := shortDir(t)
	app := "def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'hello']\n"
	if err := os.WriteFile(filepath.Join(dir, "app.py"), []byte(app), 0o600); err != nil {
		t.Fatal(err)
	}
	standard := []string{"--plugin", "python3", "--master", "--processes", "2", "--threads", "3", "--wsgi-file", filepath.Join(dir, "app.py")}
	i := &instance{cmd: exec.Command(need(t, "uwsgi"), append(standard, args...)...), ended: make(chan struct{}), out: &journal{}}
	i.cmd.Stdout, i.cmd.Stderr = i.out, i.out
	i.cmd.Env = []string{"PATH=/usr/bin:/bin"}
	i.cmd.WaitDelay = time.Second // workers that were left hold the pipes
	if err := i.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(i.ended)
		_ = i.cmd.Wait() // it is killed
	}()
	t.Cleanup(func() {
		i.signal(syscall.SIGINT)
		select {
		case <-i.ended:
		case <-time.After(10 * time.Second):
			_ = i.cmd.Process.Kill()
			<-i.ended
		}
		if t.Failed() {
			t.Logf("uwsgi said:\n%s", i.out)
		}
	})
	return i
}

func (i *instance) signal(s os.Signal) { _ = i.cmd.Process.Signal(s) } // it may have ended

// ping is a probe as the gateway's: uWSGI's ping.
func ping(ctx context.Context, m upstream.Member) error {
	a, err := uwsgi.ParseAddress(m.Address)
	if err != nil {
		return err
	}
	c, err := (&net.Dialer{}).DialContext(ctx, a.Network, a.Addr)
	if err != nil {
		return err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	if _, err := c.Write([]byte{100, 0, 0, 0}); err != nil {
		return err
	}
	if _, err = c.Read(make([]byte, 4)); errors.Is(err, io.EOF) {
		return nil // a worker without the plugin
	}
	return err
}

// relay hands on what comes at a UDP port and keeps it.
type relay struct {
	addr string
	mu   sync.Mutex // guards the field below
	seen [][]byte
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	out, err := net.Dial("udp4", to)
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{addr: c.LocalAddr().String()}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for buf := make([]byte, 65536); ; {
			n, _, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			r.mu.Lock()
			r.seen = append(r.seen, bytes.Clone(buf[:n]))
			r.mu.Unlock()
			_, _ = out.Write(buf[:n]) // what is lost comes again
		}
	}()
	t.Cleanup(func() {
		c.Close()
		out.Close()
		<-ended
	})
	return r
}

func (r *relay) packets() [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([][]byte(nil), r.seen...)
}

// real is a server for instances of uWSGI.
func real(t *testing.T, o subscribe.Options) (s *subscribe.Server, w *words) {
	t.Helper()
	need(t, "uwsgi")
	j := &journal{}
	s = start(t, o, subscribe.Setup{Probe: ping, Log: j.logger()})
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the server said:\n%s", j)
		}
	})
	return s, hear(t, s)
}

// TestRealUWSGI: plain and weighted instances over UDP, at a port, at all addresses and
// at a socket; acknowledged; one stops and one is killed.
func TestRealUWSGI(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	s, w := real(t, subscribe.Options{Listen: []string{"udp:127.0.0.1:0"}, Expire: 6 * time.Second})
	at := strings.TrimPrefix(s.Snapshot().Listen[0], "udp:")
	plain, weighted, path := freeTCP(t), freeTCP(t), filepath.Join(dir, "s.sock")
	_, port, err := net.SplitHostPort(weighted)
	if err != nil {
		t.Fatal(err)
	}

	one := launch(t, "--socket", plain, "--subscribe-to", at+":Plain.example:8000", "--subscribe-freq", "1")
	two := launch(t, "--socket", ":"+port, "--subscribe2", "server="+at+",key=plain.example,weight=7", "--subscribe-freq", "1")
	three := launch(t, "--socket", path, "--subscribe2", "server="+at+",key=.wild.example", "--notify-socket", filepath.Join(dir, "n.sock"), "--subscribe-freq", "1")
	want(t, "unix:"+path+"/1/6", func() string { return w.of(".wild.example") })
	both := []string{plain + "/1/6", "127.0.0.1:" + port + "/7/6"}
	if both[0] > both[1] {
		both[0], both[1] = both[1], both[0]
	}
	want(t, strings.Join(both, " "), func() string { return w.of("plain.example") })
	want(t, "heard", func() string {
		if strings.Contains(three.out.String(), "[subscription ack] .wild.example => new node: "+path) {
			return "heard"
		}
		return "no acknowledgement"
	})
	if !s.Knows("a.wild.example") || !s.Knows("plain.example") {
		t.Error("a host that was announced is not known")
	}

	one.signal(syscall.SIGINT)
	want(t, "127.0.0.1:"+port+"/7/6", func() string { return w.of("plain.example") })
	if c := s.Snapshot().Counters; c.Unsubscribed == 0 || c.Expired != 0 {
		t.Errorf("got %+v, want that it has unsubscribed", c)
	}
	two.signal(syscall.SIGKILL)
	want(t, "", func() string { return w.of("plain.example") })
	if c := s.Snapshot().Counters; c.Expired != 1 || c.Malformed+c.NotAllowed+c.Dropped+c.Full != 0 {
		t.Errorf("got %+v, want that one has expired and nothing was refused", c)
	}
	if w.of(".wild.example") == "" {
		t.Error("the others are gone as well")
	}
}

// TestRealUWSGIOverUnix: the kernel names the sender.
func TestRealUWSGIOverUnix(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	server, path := filepath.Join(dir, "server.sock"), filepath.Join(dir, "s.sock")
	s, w := real(t, subscribe.Options{
		Listen: []string{"unix:" + server},
		Allow:  []subscribe.Rule{{Users: []string{fmt.Sprint(os.Geteuid())}, Keys: []string{"unix.example"}, Addresses: []string{dir + "/"}}},
	})
	i := launch(t, "--socket", path, "--subscribe2", "server="+server+",key=unix.example,sni_key=/etc/k.pem,sni_crt=/etc/c.pem",
		"--subscribe2", "server="+server+",key=other.example", "--subscription-notify-socket", filepath.Join(dir, "n.sock"), "--notify-socket", filepath.Join(dir, "n.sock"), "--subscribe-freq", "1")
	want(t, "unix:"+path+"/1/6", func() string { return w.of("unix.example") })
	if n := s.Snapshot().Nodes; len(n) != 1 || n[0].From != fmt.Sprintf("uid %d pid %d", os.Geteuid(), i.cmd.Process.Pid) {
		t.Errorf("got %+v", n)
	}
	want(t, "heard", func() string {
		if strings.Contains(i.out.String(), "[subscription ack] unix.example") {
			return "heard"
		}
		return "no acknowledgement"
	})
	i.signal(syscall.SIGINT)
	want(t, "", func() string { return w.of("unix.example") })
	if c := s.Snapshot().Counters; c.Unsubscribed != 1 || c.NotAllowed == 0 {
		t.Errorf("got %+v", c)
	}
}

// TestRealUWSGISigned: signatures of uWSGI with a key of openssl; what was recorded of
// them is refused, as it was and turned into its opposite.
func TestRealUWSGISigned(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	openssl := need(t, "openssl")
	for _, args := range [][]string{
		{"genrsa", "-out", filepath.Join(dir, "rsa"), "2048"},
		{"rsa", "-in", filepath.Join(dir, "rsa"), "-pubout", "-out", filepath.Join(dir, "rsa.example.pem")},
		{"ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", filepath.Join(dir, "ec")},
		{"ec", "-in", filepath.Join(dir, "ec"), "-pubout", "-out", filepath.Join(dir, "ec.example.pem")},
	} {
		if out, err := exec.Command(openssl, args...).CombinedOutput(); err != nil {
			t.Fatalf("openssl %v: %v\n%s", args, err, out)
		}
	}
	s, w := real(t, subscribe.Options{Listen: []string{"udp:127.0.0.1:0"}, Sign: subscribe.Sign{Keys: dir}})
	r := newRelay(t, strings.TrimPrefix(s.Snapshot().Listen[0], "udp:"))
	addr := freeTCP(t)
	sub := func(key, with string) []string {
		return []string{"--subscribe2", "server=" + r.addr + ",key=" + key + ",sign=SHA256:" + filepath.Join(dir, with)}
	}
	args := append([]string{"--socket", addr, "--subscribe-freq", "1"}, sub("rsa.example", "rsa")...)
	args = append(args, sub("ec.example", "ec")...)
	i := launch(t, args...)
	want(t, addr+"/1/6", func() string { return w.of("rsa.example") })
	want(t, addr+"/1/6", func() string { return w.of("ec.example") })
	more := s.Snapshot().Counters.Accepted + 4 // it goes on
	want(t, "true", func() string { return fmt.Sprint(s.Snapshot().Counters.Accepted >= more) })
	if c := s.Snapshot().Counters; c.BadSignature+c.NotAllowed+c.Malformed != 0 {
		t.Errorf("got %+v", c)
	}
	i.signal(syscall.SIGINT)
	want(t, " and ", func() string { return w.of("rsa.example") + " and " + w.of("ec.example") })
	<-i.ended

	before := s.Snapshot().Counters
	if before.Unsubscribed != 2 || before.Expired != 0 {
		t.Errorf("got %+v, want two that have unsubscribed", before)
	}
	record := r.packets()
	for _, b := range record {
		s.Handle(b, local)
		b[3] ^= 1
		s.Handle(b, local)
	}
	after := s.Snapshot().Counters
	if nodes(s) != "" || after.Replayed-before.Replayed != uint64(2*len(record)) {
		t.Errorf("%d packets were replayed and flipped, %d refused; there are %q", len(record), after.Replayed-before.Replayed, nodes(s))
	}
}

// freeTCP returns an address that nobody listens at.
func freeTCP(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}
