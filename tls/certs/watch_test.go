package certs_test

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"headgate/tls/certs"
)

// shown is the serial of what a client that asks for name is shown.
func shown(t *testing.T, s *certs.Store, name string) string {
	t.Helper()
	cert, err := s.Get(&tls.ClientHelloInfo{ServerName: name})
	if err != nil || cert == nil {
		t.Fatalf("%s: %v, %v", name, cert, err)
	}
	return cert.Leaf.SerialNumber.String()
}

// link makes name point to target at once, as Kubernetes and certbot do.
func link(t *testing.T, target, name string) {
	t.Helper()
	if err := os.Symlink(target, name+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

func TestWatchReplacedFiles(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	p := a.pair(t, dir, names("a.example.com"))
	s := serving(t, nil, certs.Options{Certificates: []certs.Pair{p}})
	run(t, s.Run)
	for range 2 { // the second time shows that the watch goes on
		old := shown(t, s, "a.example.com")
		a.pair(t, dir, names("a.example.com", "b.example.com"))
		eventually(t, "the new file is served", func() bool { return shown(t, s, "a.example.com") != old })
	}
	if got := s.Snapshot(); len(got) != 1 || len(got[0].Names) != 2 || got[0].Err != "" {
		t.Errorf("snapshot is %+v", got)
	}
}

func TestWatchSymlinkSwaps(t *testing.T) {
	for _, layout := range []string{"kubernetes", "certbot", "directory"} {
		t.Run(layout, func(t *testing.T) {
			a, dir := newAuthority(t), t.TempDir()
			version := func(n string) { a.pair(t, filepath.Join(dir, "archive", n), names("a.example.com")) }
			version("1")
			p := certs.Pair{Cert: filepath.Join(dir, "live", "tls.crt"), Key: filepath.Join(dir, "live", "tls.key")}
			var point func(n string)
			switch layout {
			case "kubernetes": // live/tls.crt -> ..data/tls.crt, live/..data -> ../archive/N
				write(t, filepath.Join(dir, "live", "x"), nil)
				point = func(n string) { link(t, "../archive/"+n, filepath.Join(dir, "live", "..data")) }
				link(t, "..data/tls.crt", p.Cert)
				link(t, "..data/tls.key", p.Key)
			case "certbot": // live/tls.crt -> ../archive/N/tls.crt
				write(t, filepath.Join(dir, "live", "x"), nil)
				point = func(n string) {
					link(t, "../archive/"+n+"/tls.crt", p.Cert)
					link(t, "../archive/"+n+"/tls.key", p.Key)
				}
			case "directory": // live -> archive/N
				point = func(n string) { link(t, filepath.Join(dir, "archive", n), filepath.Join(dir, "live")) }
			}
			point("1")
			s := serving(t, nil, certs.Options{Certificates: []certs.Pair{p}})
			run(t, s.Run)
			for _, n := range []string{"2", "3"} {
				old := shown(t, s, "a.example.com")
				version(n)
				point(n)
				eventually(t, "version "+n+" is served", func() bool { return shown(t, s, "a.example.com") != old })
			}
		})
	}
}

func TestWatchBadFileKeepsOld(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	p := a.pair(t, dir, names("a.example.com"))
	var j journal
	s := serving(t, j.log(), certs.Options{Certificates: []certs.Pair{p}})
	run(t, s.Run)
	old := shown(t, s, "a.example.com")
	write(t, p.Key, keyPEM(t, ecKey(t)))
	const said = "new certificate files cannot be used, the old certificate goes on serving"
	eventually(t, "the error is logged", func() bool { return j.count(said) > 0 })
	if got := shown(t, s, "a.example.com"); got != old {
		t.Error("the old certificate is gone")
	}
	if in := s.Snapshot()[0]; in.Err == "" {
		t.Error("snapshot has no error")
	}
	a.pair(t, dir, names("a.example.com"))
	eventually(t, "the mended files are served", func() bool { return shown(t, s, "a.example.com") != old })
	if in := s.Snapshot()[0]; in.Err != "" {
		t.Errorf("snapshot still has the error %s", in.Err)
	}
}

// TestWatchPolls: what events miss is found within a minute or so, and the same
// bad files are reported once.
func TestWatchPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, dir := newAuthority(t), t.TempDir()
		p := a.pair(t, dir, names("a.example.com"))
		var j journal
		s := serving(t, j.log(), certs.Options{Certificates: []certs.Pair{p}})
		run(t, s.RunPolling)
		synctest.Wait()
		old := shown(t, s, "a.example.com")
		good, err := os.ReadFile(p.Cert)
		if err != nil {
			t.Fatal(err)
		}
		const said = "the old certificate goes on serving"

		// Half written for less than it takes to look twice: nobody is told.
		write(t, p.Cert, good[:len(good)/3])
		time.Sleep(time.Minute + 100*time.Millisecond)
		write(t, p.Cert, good)
		time.Sleep(10 * time.Minute)
		if j.count(said) != 0 {
			t.Errorf("a file in the middle of being written is an error:\n%s", j.buf.String())
		}

		if err := os.Remove(p.Cert); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		if n := j.count(said); n != 1 {
			t.Errorf("the missing file was reported %d times, want once", n)
		}
		if shown(t, s, "a.example.com") != old {
			t.Error("the old certificate is gone")
		}
		a.pair(t, dir, names("a.example.com"))
		time.Sleep(time.Minute + time.Second)
		if shown(t, s, "a.example.com") == old {
			t.Error("the new file is not served after a minute")
		}
	})
}
