package worker_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"headgate/upstream/worker"
)

func TestSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStand(t)
		st.dir += "/a/b"
		st.Supervisor = worker.New(worker.Setup{Pool: "my shop/ü", Dir: st.dir, Ready: st.m.ready, Load: st.pool.load})
		st.m.use(st.Supervisor)
		st.run(shop)
		path := strings.TrimPrefix(st.pool.members[0].Address, "unix:")
		if filepath.Dir(path) != st.dir || filepath.Base(path) != "my~20shop~2f~c3~bc.1.sock" {
			t.Errorf("the socket is %s", path)
		}
		for file, want := range map[string]os.FileMode{path: os.ModeSocket | 0o600, st.dir: os.ModeDir | 0o700} {
			if is, err := os.Stat(file); err != nil || is.Mode() != want {
				t.Errorf("%s: %v, %v, want %v", file, is.Mode(), err, want)
			}
		}
		listens(t, path)
		st.m.last().crash() // the same socket goes on
		after(time.Second)
		listens(t, path)
		st.end()
	})
}

// listens looks whether a connection is accepted by the kernel.
func listens(t *testing.T, path string) {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Error(err)
		return
	}
	c.Close()
}

// TestDead: what gateways have left that have died is removed, what others have is not.
func TestDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStand(t)
		make := func(name string) string {
			dir := filepath.Join(st.dir, name)
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(dir+"/fifo", nil, 0o600); err != nil {
				t.Fatal(err)
			}
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dir + ".sock", Net: "unix"})
			if err != nil {
				t.Fatal(err)
			}
			l.SetUnlinkOnClose(false)
			l.Close()
			return dir
		}
		make("shop.1")
		make("shop.7")
		make("blog.2.3")
		other := make("other.3")
		if err := errors.Join(os.Remove(other+".sock"), os.WriteFile(other+"/letter", nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		alive := make("shop.2")
		lock, err := os.Open(alive)
		if err != nil {
			t.Fatal(err)
		}
		defer lock.Close()
		if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
			t.Fatal(err)
		}
		st.run(shop)
		st.members("shop.1.sock")
		if err := st.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		st.members("shop.3.sock")
		for _, dead := range []string{"shop.7", "shop.7.sock", "blog.2.3"} {
			if _, err := os.Stat(filepath.Join(st.dir, dead)); err == nil {
				t.Errorf("%s is left", dead)
			}
		}
		for _, dir := range []string{alive, other} {
			if _, err := os.Stat(dir + "/fifo"); err != nil {
				t.Error(err)
			}
			_ = os.RemoveAll(dir)
			_ = os.Remove(dir + ".sock")
		}
		st.end()
	})
}

func TestPlaceName(t *testing.T) {
	seen := map[string]string{}
	for _, pool := range []string{"shop", "Shop", "shop.1", "a/b", "a~2fb", "..", ".", "a b", "ä", strings.Repeat("x", 200), strings.Repeat("x", 201), strings.Repeat("/", 30), strings.Repeat("/", 31)} {
		name, err := worker.PlaceName("/run/headgate/workers", pool)
		if err != nil {
			t.Errorf("%q: %v", pool, err)
		}
		if other, ok := seen[name]; ok {
			t.Errorf("%q and %q are both %s", pool, other, name)
		}
		seen[name] = pool
		if n := len("/run/headgate/workers/" + name + ".123456/stats"); n > 103 {
			t.Errorf("%q: %d bytes", pool, n)
		}
		if strings.ContainsAny(name, "/ %") || name[0] == '.' {
			t.Errorf("%q: %s", pool, name)
		}
	}
	if _, err := worker.PlaceName("/"+strings.Repeat("d", 90), "shop"); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("got %v", err)
	}
}

func TestDirOfOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give directories away")
	}
	synctest.Test(t, func(t *testing.T) {
		st := newStand(t)
		if err := os.Chown(st.dir, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		st.run(shop)
		after(time.Second)
		if err := st.Trouble(); err == nil || !strings.Contains(err.Error(), "belongs to the user 65534") {
			t.Errorf("Trouble() = %v", err)
		}
		st.end()
	})
}
