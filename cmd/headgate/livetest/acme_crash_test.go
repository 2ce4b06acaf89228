package livetest_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"headgate/tls/acme/pebbletest"
)

// TestKilledInTheMiddle: kill -9 at any moment of an order loses nothing that the
// authority would count.
func TestKilledInTheMiddle(t *testing.T) {
	storages(t, func(t *testing.T, url string) {
		const kills = 20
		ca := pebbletest.Start(t, pebbletest.Options{})
		names := numbered("site%02d.kill.test", kills+1)
		p := &public{ca: ca, storage: url}
		g := p.gateway(t)
		var asked atomic.Int64
		ca.Fault(func(pebbletest.Request) *pebbletest.Answer {
			asked.Add(1)
			return &pebbletest.Answer{Delay: rand.N(20 * time.Millisecond)} // so that moments are many
		})
		for i := range kills {
			p.sites += site(names[i]) // there is always something to order
			p.configure(t, g)
			until := asked.Load() + int64(rand.N(16)) // requests; an order takes about twelve
			g.process = start(t, filepath.Dir(g.file), func() bool { return true }, headgate, "run", "-c", g.file)
			eventually(time.Second, func() bool { return asked.Load() >= until })
			if g.over() {
				t.Fatalf("start %d: it ended by itself:\n%s", i, g.said())
			}
			g.kill(t)
			if lines := g.lines(`"level":"ERROR"`); len(lines) > 0 {
				t.Errorf("after %d kills: %s", i, lines)
			}
		}
		p.sites += site(names[kills])
		ca.Fault(nil)
		p.run(t, g)
		g.issued(t, 60*time.Second, names...)
		g.wantServed(t, names...)
		if lines := g.lines(`"level":"ERROR"`); len(lines) > 0 {
			t.Errorf("after the last kill: %s", lines)
		}
		if a := accounts(ca); len(a) != 1 {
			t.Errorf("orders of the accounts %v, want one", a)
		}
		t.Logf("%d kills, %d orders for %d names, account asked for %d times", kills, len(ca.Orders()), len(names), ca.Count("newAccount"))
		g.stop(sigterm)
		if url == "" {
			wantWhole(t, p.dir())
		}
	})
}

// TestKilledWhileRegistering: the authority has made the account, and the gateway
// dies before it hears of it.
func TestKilledWhileRegistering(t *testing.T) {
	ca := pebbletest.Start(t, pebbletest.Options{})
	p := &public{ca: ca, sites: site("one.kill.test")}
	g := p.gateway(t)
	var registered atomic.Bool
	ca.Fault(func(r pebbletest.Request) *pebbletest.Answer {
		if r.Kind != "newAccount" {
			return nil
		}
		registered.Store(true)
		return &pebbletest.Answer{Lost: true}
	})
	p.run(t, g)
	if !eventually(20*time.Second, func() bool { return registered.Load() && ca.Count("newAccount") > 0 }) {
		t.Fatal("no account was asked for")
	}
	g.kill(t)
	key := accountKey(t, p)
	ca.Fault(nil)
	p.run(t, g)
	g.issued(t, 20*time.Second, "one.kill.test")
	if accountKey(t, p) != key {
		t.Error("there is a second account")
	}
	wantOneOrder(t, ca, "one.kill.test")
}

// accountKey is the key of the only account in p's storage.
func accountKey(t testing.TB, p *public) string {
	t.Helper()
	text, err := os.ReadFile(accountFile(t, p))
	if err != nil {
		t.Fatal(err)
	}
	var account struct{ Key string }
	if err := json.Unmarshal(text, &account); err != nil || account.Key == "" {
		t.Fatalf("%v in %s", err, text)
	}
	return account.Key
}

func accountFile(t testing.TB, p *public) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(p.dir(), "acme", "*", "*.json"))
	if err != nil || len(files) != 1 {
		t.Fatalf("accounts in the storage: %v, %v", files, err)
	}
	return files[0]
}

// wantWhole looks at every file of a storage.
func wantWhole(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if fi, err := d.Info(); err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", path, fi.Mode(), err)
		}
		if strings.Contains(path, "/certificates/") && strings.HasSuffix(path, "/p256.pem") {
			if _, err := tls.X509KeyPair(data, data); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// tiny makes a file system of the size given, for whoever may.
func tiny(t testing.TB, kib int) (dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may mount")
	}
	dir = shortDir(t)
	if _, stderr, code := run(t, need(t, "mount"), "-t", "tmpfs", "-o", fmt.Sprintf("size=%dk,mode=0700", kib), "headgate-test", dir); code != 0 {
		t.Skipf("this root may not mount: %s", stderr)
	}
	t.Cleanup(func() {
		if !eventually(5*time.Second, func() bool { return exec.Command("umount", dir).Run() == nil }) {
			t.Errorf("%s is still mounted", dir)
		}
	})
	return dir
}

// TestFullDisk: no certificate is ordered that could not be kept, what is there
// goes on, and space is noticed when there is some again.
func TestFullDisk(t *testing.T) {
	dir := tiny(t, 128)
	ca := pebbletest.Start(t, pebbletest.Options{})
	p := &public{ca: ca, storage: "file:" + filepath.Join(dir, "store"), sites: site("first.disk.test")}
	g := p.start(t)
	g.issued(t, 20*time.Second, "first.disk.test")
	old := serial(g.leaf(t, "first.disk.test"))
	filler := filepath.Join(dir, "filler")
	fill(t, filler)

	orders := len(ca.Orders())
	_, stderr, code := run(t, headgate, "certs", "renew", "first.disk.test", "--socket", g.admin)
	if code == 0 || !strings.Contains(stderr, "no space left on device") {
		t.Errorf("certs renew on a full disk: exit code %d: %s", code, stderr)
	}
	p.sites += site("second.disk.test")
	p.reload(t, g)
	g.wantSaid(t, 10*time.Second, `"msg":"no certificate"`, "second.disk.test", "no space left on device", "retry_in")
	g.wantSaid(t, time.Second, `"msg":"certificate not renewed, the old one goes on serving"`, "first.disk.test", "no space left on device")
	if n := len(ca.Orders()); n != orders {
		t.Errorf("%d orders while nothing could be kept", n-orders)
	}
	if got := serial(g.leaf(t, "first.disk.test")); got != old {
		t.Errorf("the certificate %s is served, want the old one, %s", got, old)
	}
	g.kill(t)
	p.run(t, g) // on the full disk
	if got := serial(g.leaf(t, "first.disk.test")); got != old {
		t.Errorf("after a restart %s is served, want the old one, %s", got, old)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	g.issued(t, 60*time.Second, "first.disk.test", "second.disk.test")
	t.Logf("noticed the space by itself after %v", time.Since(begin).Round(100*time.Millisecond))
	g.wantServed(t, "first.disk.test", "second.disk.test")
	if a := accounts(ca); len(a) != 1 {
		t.Errorf("orders of the accounts %v, want one", a)
	}
	wantWhole(t, p.dir())
}

// fill takes all the space there is.
func fill(t testing.TB, file string) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 64 << 10; size > 0; {
		if _, err := f.Write(bytes.Repeat([]byte("x"), size)); err != nil {
			size /= 2
		}
	}
}

// TestReadOnlyStorage: it serves what is there, says so, and orders what is
// missing when it can be kept.
func TestReadOnlyStorage(t *testing.T) {
	dir := tiny(t, 1024)
	ca := pebbletest.Start(t, pebbletest.Options{})
	p := &public{ca: ca, storage: "file:" + filepath.Join(dir, "store"), sites: site("first.disk.test")}
	g := p.start(t)
	g.issued(t, 20*time.Second, "first.disk.test")
	old := serial(g.leaf(t, "first.disk.test"))
	g.stop(sigterm)
	remount := func(how string) {
		if _, stderr, code := run(t, "mount", "-o", "remount,"+how, dir); code != 0 {
			t.Fatal(stderr)
		}
	}
	remount("ro")
	defer remount("rw")
	p.sites += site("second.disk.test")
	p.run(t, g)
	if got := serial(g.leaf(t, "first.disk.test")); got != old {
		t.Errorf("%s is served, want the stored %s", got, old)
	}
	g.wantSaid(t, 10*time.Second, `"msg":"no certificate"`, "second.disk.test", "read-only file system")
	if n := len(ca.Orders()); n != 1 {
		t.Errorf("%d orders while nothing could be kept", n-1)
	}
	remount("rw")
	g.issued(t, 60*time.Second, "first.disk.test", "second.disk.test")
}

// TestBrokenStorage: whatever was damaged while nobody looked is made anew, with
// one line for each.
func TestBrokenStorage(t *testing.T) {
	ca := pebbletest.Start(t, pebbletest.Options{})
	p := &public{ca: ca, sites: site("garbage.broken.test", "short.broken.test", "fine.broken.test")}
	g := p.start(t)
	names := []string{"garbage.broken.test", "short.broken.test", "fine.broken.test"}
	g.issued(t, 20*time.Second, names...)
	fine := serial(g.leaf(t, "fine.broken.test"))
	g.stop(sigterm)

	write(t, filepath.Join(p.dir(), storedKey("garbage.broken.test")), "\x00\x01 this is no certificate\n")
	short := filepath.Join(p.dir(), storedKey("short.broken.test"))
	text, err := os.ReadFile(short)
	if err != nil {
		t.Fatal(err)
	}
	write(t, short, string(text[:200])) // in the middle of the key
	write(t, accountFile(t, p), `{"key": "-----BEGIN`)

	p.run(t, g)
	g.issued(t, 30*time.Second, names...)
	g.wantServed(t, names...)
	if got := serial(g.leaf(t, "fine.broken.test")); got != fine {
		t.Error("the certificate that was not damaged is another one")
	}
	for _, n := range names[:2] {
		if lines := g.lines(`"level":"ERROR"`, n); len(lines) != 1 || !strings.Contains(lines[0], "stored certificate is broken") {
			t.Errorf("the log says of %s: %s", n, lines)
		}
	}
	if lines := g.lines(`"level":"ERROR"`, "the account in the storage cannot be read"); len(lines) != 1 {
		t.Errorf("the log says of the account: %s", lines)
	}
	if n := len(ca.Orders()); n != 5 {
		t.Errorf("%d orders, want three and then two", n)
	}
}

// TestWrongTimes: certificates of the storage that are not valid by the clock of
// this machine, which may be the one that is wrong. They are shown rather than
// none, with a line that says so.
func TestWrongTimes(t *testing.T) {
	ca := pebbletest.Start(t, pebbletest.Options{})
	m := newMint(t)
	const past, future, fine = "past.clock.test", "future.clock.test", "fine.clock.test"
	p := &public{ca: ca, sites: site(past, future, fine)}
	year := 365 * day
	m.stock(t, p, time.Now().Add(-year-80*day), time.Now().Add(-year), past)
	m.stock(t, p, time.Now().Add(year), time.Now().Add(year+90*day), future)
	m.stock(t, p, time.Now().Add(-10*day), time.Now().Add(80*day), fine)
	ca.Fault(func(pebbletest.Request) *pebbletest.Answer { return &pebbletest.Answer{Cut: true} })
	g := p.gateway(t)
	p.run(t, g)
	g.wantSaid(t, 10*time.Second, `"level":"ERROR"`, past, "certificate has expired, it is shown until there is another one")
	g.wantSaid(t, 10*time.Second, `"level":"ERROR"`, past, "certificate not renewed, the old one goes on serving")
	g.wantSaid(t, 10*time.Second, future, "not valid")
	for _, n := range []string{past, future, fine} {
		c, err := g.peek(n)
		if err != nil {
			t.Errorf("%s: %v", n, err)
		} else if c.Issuer.CommonName != "Mint" || !slices.Contains(c.DNSNames, n) {
			t.Errorf("%s: shown is a certificate of %s for %s", n, c.Issuer, c.DNSNames)
		}
	}
	ca.Fault(nil)
	if !eventually(30*time.Second, func() bool { _, err := g.shake(past); return err == nil }) {
		t.Errorf("%s has no new certificate", past)
	}
	if n := len(ca.Orders()); n == 0 || ca.Orders()[0].Names[0] != past {
		t.Errorf("%d orders, want that for %s first", n, past)
	}
}
