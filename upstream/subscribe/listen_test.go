package subscribe_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"headgate/upstream/subscribe"
)

// send sends a datagram over udp or to a unix socket.
func send(t testing.TB, network, to string, b []byte) {
	t.Helper()
	c, err := net.Dial(network, to)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
}

func TestSockets(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "new", "s.sock")
	o := subscribe.Options{Listen: []string{"udp:127.0.0.1:0", "udp:[::1]:0", "unix:" + path}}
	s := start(t, o, subscribe.Setup{})
	listen := s.Snapshot().Listen
	if len(listen) != 3 || listen[2] != "unix:"+path {
		t.Fatalf("it listens at %q", listen)
	}
	v4, v6 := strings.TrimPrefix(listen[0], "udp:"), strings.TrimPrefix(listen[1], "udp:")
	send(t, "udp", v4, announce("a.example", ":1"))
	send(t, "udp", v6, announce("a.example", ":1"))
	send(t, "unixgram", path, announce("b.example", "/run/b.sock"))
	want(t, "a.example 127.0.0.1:1, a.example [::1]:1, b.example unix:/run/b.sock", func() string { return nodes(s) })
	for _, n := range s.Snapshot().Nodes {
		if w := fmt.Sprintf("uid %d pid %d", os.Geteuid(), os.Getpid()); n.Key == "b.example" && n.From != w {
			t.Errorf("from %q, want %q", n.From, w)
		}
	}
	for _, b := range [][]byte{make([]byte, 4097), make([]byte, 60000), {}, append(announce("c.example", ":1", "x", strings.Repeat("x", 4096-100)), make([]byte, 200)...)} {
		send(t, "udp", v4, b)
		send(t, "unixgram", path, b)
	}
	want(t, "8", func() string { return fmt.Sprint(s.Snapshot().Counters.Malformed) })
	long := announce("c.example", ":1")
	send(t, "udp", v4, announce("c.example", ":1", "x", strings.Repeat("x", 4096-len(long)-5)))
	want(t, "a.example 127.0.0.1:1, a.example [::1]:1, b.example unix:/run/b.sock, c.example 127.0.0.1:1", func() string { return nodes(s) })

	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o666 {
		t.Errorf("the socket's mode is %v, %v, want that anybody may write", info.Mode(), err)
	}
	use(t, s, subscribe.Options{Listen: []string{"udp:127.0.0.1:0"}})
	if now := s.Snapshot().Listen; len(now) != 1 || now[0] != listen[0] {
		t.Errorf("it listens at %q, want that the first one stays", now)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file of a socket that is closed is there: %v", err)
	}
	send(t, "udp", v4, announce("d.example", ":1"))
	want(t, "a.example 127.0.0.1:1, a.example [::1]:1, b.example unix:/run/b.sock, c.example 127.0.0.1:1, d.example 127.0.0.1:1", func() string { return nodes(s) })
}

// TestSocketFiles: a stale one is replaced; a live one, of whatever kind, and anything
// else is not.
func TestSocketFiles(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	path := func(name string) string { return filepath.Join(dir, name) }
	stale, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path("stale")})
	if err != nil {
		t.Fatal(err)
	}
	stale.Close() // its file stays
	live, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path("live")})
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	stream, err := net.Listen("unix", path("stream"))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if err := os.WriteFile(path("file"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := subscribe.New(subscribe.Setup{})
	for _, name := range []string{"live", "stream", "file"} {
		o := subscribe.Options{Listen: []string{"udp:127.0.0.1:0", "unix:" + path("first"), "unix:" + path(name)}}
		l, err := s.Open(o)
		if err == nil {
			l.Close()
			t.Errorf("%s is taken", name)
		}
		if name != "file" && !errors.Is(err, subscribe.ErrInUse) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Lstat(path("first")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("what was opened before the error is there: %v", err)
		}
		if _, err := os.Lstat(path(name)); err != nil {
			t.Errorf("%s is gone: %v", name, err)
		}
	}
	l, err := s.Open(subscribe.Options{Listen: []string{"unix:" + path("stale")}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := subscribe.New(subscribe.Setup{}).Open(subscribe.Options{Listen: []string{"unix:" + path("stale")}}); !errors.Is(err, subscribe.ErrInUse) {
		t.Errorf("a second server: %v, want ErrInUse", err)
	}
	l.Close()
	l.Close()
	if _, err := os.Lstat(path("stale")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is there after Close: %v", err)
	}
}

// TestReplacedSocketFile: a file that has become another one is not ours to remove.
func TestReplacedSocketFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "s.sock")
	l, err := subscribe.New(subscribe.Setup{}).Open(subscribe.Options{Listen: []string{"unix:" + path}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+".old"); err != nil { // so that its number is not used again
		t.Fatal(err)
	}
	other, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	l.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the socket of somebody else is removed: %v", err)
	}
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = subscribe.New(subscribe.Setup{}).Open(subscribe.Options{Listen: []string{"udp:" + c.LocalAddr().String()}})
	if err == nil || !strings.Contains(err.Error(), "choose another") {
		t.Errorf("got %v, want an error with a cure", err)
	}
}
