package storage_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"headgate/tls/storage"
)

func TestRedisMayComeLater(t *testing.T) {
	addr := freeAddr(t)
	s := open(t, "redis://user:s3cret@"+addr, nil)
	_, load := s.Load(t.Context(), "a/b")
	_, try := s.TryLock(t.Context(), "x")
	for _, err := range []error{load, try, s.Store(t.Context(), "a/b", nil), s.Lock(t.Context(), "x")} {
		wantErr(t, err, addr, "connection refused", "start redis there")
		if strings.Contains(err.Error(), "s3cret") || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("says too much: %v", err)
		}
	}
	if got := fmt.Sprint(s); got != "redis://"+addr+"/0" {
		t.Errorf("it is called %q", got)
	}
}

func TestRedisSurvivesARestart(t *testing.T) {
	srv := newServer(t)
	var j journal
	s := open(t, srv.url(""), j.log())
	store(t, s, "a/b")
	if err := s.Lock(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	for i := range 20 { // connections that will be dead
		store(t, s, fmt.Sprint("c/", i))
	}
	srv.kill()
	_, err := s.Load(t.Context(), "a/b")
	wantErr(t, err, srv.addr, "start redis there")
	srv.start()
	if got, err := s.Load(t.Context(), "a/b"); string(got) != "value of a/b" || err != nil {
		t.Errorf("Load = %q, %v", got, err)
	}
	if err := s.Unlock(t.Context(), "x"); err != nil {
		t.Errorf("Unlock = %v: a lease outlives a restart", err)
	}
}

func TestRedisWaitsForALockOverARestart(t *testing.T) {
	srv := newServer(t)
	s, other := open(t, srv.url("?lease=3s"), nil), open(t, srv.url("?lease=3s"), nil)
	if err := s.Lock(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	srv.kill()
	srv.start()
	eventually(t, "it is renewed", func() bool { return srv.do("PTTL", "headgate:lock:x").(int64) > 2500 })
	if ok, err := other.TryLock(t.Context(), "x"); ok || err != nil {
		t.Errorf("TryLock = %v, %v", ok, err)
	}
	if err := s.Unlock(t.Context(), "x"); err != nil {
		t.Error(err)
	}
}

func TestRedisHolderLearnsThatItsLeaseIsLost(t *testing.T) {
	for name, lose := range map[string]func(*server){
		"gone":    func(s *server) { s.do("DEL", "headgate:lock:x") },
		"taken":   func(s *server) { s.do("SET", "headgate:lock:x", "somebody else") },
		"no word": func(s *server) { s.kill() },
	} {
		t.Run(name, func(t *testing.T) {
			srv := newServer(t)
			var j journal
			s := open(t, srv.url("?lease=1s"), j.log())
			if err := s.Lock(t.Context(), "x"); err != nil {
				t.Fatal(err)
			}
			lose(srv)
			start := time.Now()
			eventually(t, "the log says so", func() bool { return j.count("lock lost") == 1 })
			if d := time.Since(start); d > 1500*time.Millisecond {
				t.Errorf("noticed after %v, want it within the lease", d)
			}
			if err := s.(*storage.Redis).RenewLockLease(t.Context(), "x", time.Minute); !errors.Is(err, storage.ErrLockLost) {
				t.Errorf("RenewLockLease = %v, want %v", err, storage.ErrLockLost)
			}
			if err := s.Unlock(t.Context(), "x"); !errors.Is(err, storage.ErrLockLost) {
				t.Errorf("Unlock = %v, want %v", err, storage.ErrLockLost)
			}
			if name == "taken" && srv.do("GET", "headgate:lock:x") != "somebody else" {
				t.Error("Unlock took the lock away from somebody else")
			}
			if got := j.count("level=ERROR"); got != 1 {
				t.Errorf("%d errors in the log, want 1", got)
			}
		})
	}
}

func TestRedisUnlockNoticesALossByItself(t *testing.T) {
	srv := newServer(t)
	s := open(t, srv.url(""), nil) // the next renewal is seconds away
	if err := s.Lock(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	if err := s.(*storage.Redis).RenewLockLease(t.Context(), "x", time.Hour); err != nil {
		t.Fatal(err)
	}
	if ttl := srv.do("PTTL", "headgate:lock:x").(int64); ttl > 15_000 {
		t.Errorf("the lease is %d ms: a holder that dies would block the others", ttl)
	}
	srv.do("DEL", "headgate:lock:x")
	if err := s.Unlock(t.Context(), "x"); !errors.Is(err, storage.ErrLockLost) {
		t.Errorf("Unlock = %v, want %v", err, storage.ErrLockLost)
	}
	wantErr(t, s.(*storage.Redis).RenewLockLease(t.Context(), "x", 0), "not held here")
	if err := errors.Join(s.Lock(t.Context(), "x"), s.Unlock(t.Context(), "x")); err != nil {
		t.Errorf("the next one: %v", err)
	}
}

// TestRedisThatHangs is a server that accepts and says nothing.
func TestRedisThatHangs(t *testing.T) {
	srv := newServer(t)
	s := open(t, srv.url(""), nil)
	store(t, s, "a")
	if err := srv.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	_, err := s.Load(t.Context(), "a")
	wantErr(t, err, srv.addr, "timeout", "start redis there")
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("took %v, want 3s", d)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start = time.Now()
	if _, err := s.Load(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > time.Second {
		t.Errorf("after %v: %v", time.Since(start), err)
	}
	if err := srv.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(t.Context(), "a"); err != nil {
		t.Errorf("when it goes on: %v", err)
	}
}

func TestRedisRefusals(t *testing.T) {
	srv := newServer(t, "--requirepass", "right", "--user", "weak", "on", ">pw", "~other:*", "+@all")
	for _, c := range []struct {
		login string
		want  []string
	}{
		{"", []string{"NOAUTH", "write user and password"}},
		{":wrongpw@", []string{"WRONGPASS", "correct user and password"}},
		{"weak:pw@", []string{"NOPERM", "ACL SETUSER"}},
	} {
		s := open(t, "redis://"+c.login+srv.addr, nil)
		err := s.Store(t.Context(), "a", nil)
		wantErr(t, err, append(c.want, srv.addr)...)
		if strings.Contains(err.Error(), "wrongpw") {
			t.Errorf("the password is told: %v", err)
		}
	}
	store(t, open(t, "redis://:right@"+srv.addr, nil), "a")
	err := open(t, "redis://:right@"+srv.addr+"/99", nil).Store(t.Context(), "a", nil)
	wantErr(t, err, "correct the number of the database")
}

func TestRedisOutOfMemory(t *testing.T) {
	srv := newServer(t)
	s := open(t, srv.url(""), nil)
	store(t, s, "a")
	srv.do("CONFIG", "SET", "maxmemory", "1")
	wantErr(t, s.Store(t.Context(), "a", []byte("new")), "OOM", "raise maxmemory")
	if got, err := s.Load(t.Context(), "a"); string(got) != "value of a" || err != nil {
		t.Errorf("the old value is %q, %v", got, err)
	}
}

func TestRedisThatForgetsIsToldOfOnce(t *testing.T) {
	srv := newServer(t, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
	var j journal
	s := open(t, srv.url(""), j.log())
	store(t, s, "a", "b")
	if got := j.count("noeviction"); got != 1 {
		t.Errorf("%d warnings, want 1", got)
	}
}

func TestRedisPrefixesAreApart(t *testing.T) {
	srv := newServer(t)
	a, b := open(t, srv.url(""), nil), open(t, srv.url("?prefix=b:"), nil)
	store(t, a, "x/a")
	store(t, b, "x/b")
	if diff := cmp.Diff([]string{"x/b"}, list(t, b, "", true)); diff != "" {
		t.Error(diff)
	}
	if err := errors.Join(a.Lock(t.Context(), "l"), b.Lock(t.Context(), "l")); err != nil {
		t.Error(err)
	}
	if err := b.Delete(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"x/a"}, list(t, a, "", true)); diff != "" {
		t.Error(diff)
	}
	for _, key := range srv.do("KEYS", "*").([]any) {
		if s := key.(string); !strings.HasPrefix(s, "headgate:") && !strings.HasPrefix(s, "b:") {
			t.Errorf("%q has no prefix", s)
		}
	}
	if got := srv.do("EXISTS", "b:index", "b:value:x/b"); got != int64(0) {
		t.Errorf("%v keys stay after all was deleted", got)
	}
}

func TestRedisListDoesNotScan(t *testing.T) {
	srv := newServer(t)
	s := open(t, srv.url(""), nil)
	for i := range 300 {
		store(t, s, fmt.Sprintf("certificates/%d/cert", i))
	}
	srv.do("CONFIG", "RESETSTAT")
	list(t, s, "certificates", true)
	list(t, s, "certificates/7", false)
	stats := srv.do("INFO", "commandstats").(string)
	for _, cmd := range []string{"cmdstat_scan", "cmdstat_keys", "cmdstat_hget"} {
		if strings.Contains(stats, cmd) {
			t.Errorf("%s was used", cmd)
		}
	}
	if !strings.Contains(stats, "cmdstat_zrangebylex:calls=3") { // one, then two for one child
		t.Errorf("not the ranges that were expected: %s", stats)
	}
}

func TestRedisOverTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key := selfSigned(t, dir)
	addr := freeAddr(t)
	_, port, _ := net.SplitHostPort(addr)
	srv := newServer(t, "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-auth-clients", "no")
	s := open(t, "rediss://"+addr, nil)
	_, err := s.Load(t.Context(), "a")
	wantErr(t, err, "SSL_CERT_FILE", addr)
	_, err = open(t, "rediss://"+srv.addr, nil).Load(t.Context(), "a") // the other port, which waits for the end of a line
	wantErr(t, err, "no answer in time", "redis:// without")
	_, err = open(t, "redis://"+addr, nil).Load(t.Context(), "a")
	wantErr(t, err, "rediss:// is with TLS")

	cmd := command("load", "rediss://"+addr, "a")
	cmd.Env = append(cmd.Env, "SSL_CERT_FILE="+cert)
	cmd.Stderr = nil
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("with the authority: %v: %s", err, out)
	}
}

func selfSigned(t *testing.T, dir string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "redis"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	put(t, certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600)
	put(t, keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
	return certFile, keyFile
}

// TestLibraryIsSilent: the library has a log of its own, which goes to stderr.
func TestLibraryIsSilent(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	srv := newServer(t)
	cmd := command("load", srv.url(""), "a")
	cmd.Stderr = w
	srv.kill()
	runErr := cmd.Run()
	_ = w.Close()
	said := make([]byte, 4096)
	n, _ := r.Read(said)
	_ = r.Close()
	if runErr == nil || strings.Count(string(said[:n]), "\n") != 1 || !strings.HasPrefix(string(said[:n]), "redis "+srv.addr) {
		t.Errorf("%v; it said %q", runErr, said[:n])
	}
}
