package subscribe_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"headgate/upstream/subscribe"
)

// TestDescriptorsAreNotTaken: whoever sends some does not fill our table with them.
func TestDescriptorsAreNotTaken(t *testing.T) {
	path := filepath.Join(shortDir(t), "s.sock")
	s := start(t, subscribe.Options{Listen: []string{"unix:" + path}}, subscribe.Setup{})
	c, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(c)
	before := descriptors(t)
	rights := syscall.UnixRights(0, 1, 2)
	for range 100 {
		if err := syscall.Sendmsg(c, announce("a.example", "/run/a.sock"), rights, &syscall.SockaddrUnix{Name: path}, 0); err != nil {
			t.Fatal(err)
		}
	}
	want(t, "100", func() string { return fmt.Sprint(s.Snapshot().Counters.Accepted) })
	if n := descriptors(t); n > before+10 {
		t.Errorf("%d descriptors, were %d", n, before)
	}
	if n := s.Snapshot().Nodes[0]; n.From != fmt.Sprintf("uid %d pid %d", os.Geteuid(), os.Getpid()) {
		t.Errorf("from %q", n.From)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// TestOtherUsers: the kernel says who sends; a user whom no rule names can write to the
// socket, and is refused.
func TestOtherUsers(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	python, err := exec.LookPath("/usr/bin/python3")
	if err != nil {
		t.Skip("there is no python3 to send as somebody else")
	}
	dir := shortDir(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s.sock")
	j := &journal{}
	s := start(t, subscribe.Options{Listen: []string{"unix:" + path}}, subscribe.Setup{Log: j.logger()})
	as := func(uid uint32, b []byte) {
		t.Helper()
		script := fmt.Sprintf("import socket; socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(bytes.fromhex('%x'), %q)", b, path)
		cmd := exec.Command(python, "-c", script)
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	as(65534, announce("a.example", "/run/a.sock"))
	want(t, "1", func() string { return fmt.Sprint(s.Snapshot().Counters.NotAllowed) })
	if !strings.Contains(j.String(), `from="uid 65534`) {
		t.Errorf("the log does not say who: %s", j)
	}
	use(t, s, subscribe.Options{Listen: []string{"unix:" + path}, Allow: []subscribe.Rule{{Users: []string{"nobody"}}, {Users: []string{"1234"}}}})
	as(65534, announce("a.example", "/run/a.sock"))
	want(t, "a.example unix:/run/a.sock", func() string { return nodes(s) })
	as(1234, withdraw("a.example", "/run/a.sock"))
	want(t, "2", func() string { return fmt.Sprint(s.Snapshot().Counters.NotAllowed) })
	as(65534, withdraw("a.example", "/run/a.sock"))
	want(t, "", func() string { return nodes(s) })
}

// ears is a notify socket.
func ears(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestAcknowledgements: a node that is new is acknowledged to a socket of its sender,
// once, and to nothing else.
func TestAcknowledgements(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can own what is somebody else's")
	}
	dir := shortDir(t)
	path := func(name string) string { return filepath.Join(dir, name) }
	mine, other, alien := ears(t, path("mine")), ears(t, path("other")), ears(t, path("alien"))
	for name, uid := range map[string]int{"other": 1000, "alien": 1001} {
		if err := os.Chown(path(name), uid, uid); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(path("mine"), path("link")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path("file"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(path("fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := deaf(t, subscribe.Options{Allow: []subscribe.Rule{{Addresses: []string{"192.0.2.0/24", "127.0.0.0/8"}}}}, subscribe.Setup{})
	alice := subscribe.FromUser(1000, 1)
	n := 0
	from := func(who subscribe.Sender, notify string) {
		n++
		s.Handle(announce("a.example", fmt.Sprintf("192.0.2.7:%d", n), "notify", notify), who)
	}
	for _, name := range []string{"link", "file", "fifo", "none", "", ".", strings.Repeat("x", 200)} {
		from(local, path(name))
		from(alice, path(name))
	}
	from(local, "relative")
	from(local, "@abstract")
	from(local, path("other"))
	from(local, path("alien"))
	from(alice, path("mine"))
	from(alice, path("alien"))
	from(remote, path("mine")) // not on this machine

	last := n + 1
	from(alice, path("other"))
	s.Handle(announce("a.example", fmt.Sprintf("192.0.2.7:%d", last), "notify", path("other")), alice)
	from(local, "/proc/self/cwd/../../.."+path("none"))
	s.Handle(announce("Mine.example:80", ":9", "notify", path("mine")), local)
	if c := s.Snapshot().Counters; c.NotAllowed+c.Malformed != 0 {
		t.Errorf("got %+v, want that all were taken", c)
	}
	buf := make([]byte, 1000)
	if k, err := mine.Read(buf); err != nil || string(buf[:k]) != "[subscription ack] Mine.example:80 => new node: :9" {
		t.Errorf("got %q, %v", buf[:k], err)
	}
	if k, err := other.Read(buf); err != nil || string(buf[:k]) != fmt.Sprintf("[subscription ack] a.example => new node: 192.0.2.7:%d", last) {
		t.Errorf("got %q, %v", buf[:k], err)
	}
	for _, c := range []*net.UnixConn{mine, other, alien} { // all were served in their order
		raw, err := c.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		_ = raw.Read(func(fd uintptr) bool {
			if k, _, err := syscall.Recvfrom(int(fd), buf, syscall.MSG_DONTWAIT); err == nil {
				t.Errorf("%s has got %q too", c.LocalAddr(), buf[:k])
			}
			return true
		})
	}
	if b, err := os.ReadFile(path("file")); string(b) != "mine" {
		t.Errorf("the file has %q, %v", b, err)
	}
}

// TestDeafNotifySocket: one that nobody reads keeps nobody waiting.
func TestDeafNotifySocket(t *testing.T) {
	dir := shortDir(t)
	full := ears(t, filepath.Join(dir, "full"))
	s := deaf(t, subscribe.Options{}, subscribe.Setup{})
	for i := range 5000 {
		s.Handle(announce(fmt.Sprintf("k%d.example", i), ":1", "notify", full.LocalAddr().String()), local)
	}
	heard := ears(t, filepath.Join(dir, "heard"))
	got := make(chan string, 1)
	go func() {
		buf := make([]byte, 1000)
		k, _ := heard.Read(buf)
		got <- string(buf[:k])
	}()
	i := 0
	want(t, "it", func() string { // acks beyond those that wait are not sent
		i++
		s.Handle(announce("last.example", fmt.Sprintf(":%d", i), "notify", heard.LocalAddr().String()), local)
		select {
		case <-got:
			return "it"
		default:
			return "nothing"
		}
	})
}
