package certs_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"headgate/tls/certs"
)

// openCA opens the authority in the directory dir.
func openCA(ctx context.Context, dir string) (*certs.CA, error) {
	st, err := openStorage(ctx, "file:"+dir)
	if err != nil {
		return nil, err
	}
	return certs.OpenCA(ctx, st)
}

// obtain has ca make a certificate with a new key.
func obtain(t *testing.T, ca *certs.CA, names ...string) (*x509.Certificate, error) {
	t.Helper()
	got, err := ca.Obtain(t.Context(), certs.Order{Names: names, Key: ecKey(t)})
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(got.Chain[0])
}

func TestCAKeepsItsRoot(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "state")
	first, err := openCA(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	second, err := openCA(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if !first.Made() || second.Made() {
		t.Errorf("made: %v, %v; want true, false", first.Made(), second.Made())
	}
	if !first.Root().Equal(second.Root()) {
		t.Error("the second root is another one")
	}
	file, err := os.ReadFile(certs.RootFile(dir))
	if err != nil || !bytes.Equal(file, second.RootPEM()) {
		t.Errorf("root file %s does not hold RootPEM (%v)", certs.RootFile(dir), err)
	}
	root := second.Root()
	if life := root.NotAfter.Sub(root.NotBefore); life < 9*365*24*time.Hour {
		t.Errorf("root lives %v, want ten years", life)
	}
	if cn := root.Subject.CommonName; !strings.HasPrefix(cn, "Headgate Local Authority ") {
		t.Errorf("root is called %q", cn)
	}
}

func TestCARights(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if _, err := openCA(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]fs.FileMode{"": 0o700, "ca": 0o700, "ca/root.key": 0o600, "ca/root.crt": 0o600} {
		fi, err := os.Stat(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		if fi.Mode().Perm() != want {
			t.Errorf("%q has mode %04o, want %04o", file, fi.Mode().Perm(), want)
		}
	}
}

func TestCARefusesOpenStorage(t *testing.T) {
	for _, tt := range []struct {
		file string
		mode fs.FileMode
		cure string
	}{
		{"", 0o777, "chmod o-w"},
		{"ca", 0o750, "chmod 700"},
		{"ca/root.key", 0o640, "chmod 600"},
	} {
		dir := filepath.Join(t.TempDir(), "state")
		if _, err := openCA(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, tt.file), tt.mode); err != nil {
			t.Fatal(err)
		}
		_, err := openCA(t.Context(), dir)
		if err == nil || !strings.Contains(err.Error(), tt.cure) || !strings.Contains(err.Error(), filepath.Join(dir, tt.file)) {
			t.Errorf("%q with mode %04o: %v, want the cure %q", tt.file, tt.mode, err, tt.cure)
		}
	}
}

func TestCAWithHalfItsFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if _, err := openCA(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "ca", "root.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := openCA(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "bring the key back") {
		t.Errorf("without the key: %v", err)
	}
	// A process that died after the key was written, and before the certificate.
	if err := os.WriteFile(filepath.Join(dir, "ca", "root.key"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(certs.RootFile(dir)); err != nil {
		t.Fatal(err)
	}
	again, err := openCA(t.Context(), dir)
	if err != nil || !again.Made() {
		t.Errorf("after a crash: %v, want a new authority", err)
	}
}

func TestCAUnusableStorage(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, nil)
	if _, err := openCA(t.Context(), filepath.Join(file, "x")); err == nil || !strings.Contains(err.Error(), "set storage to a directory") {
		t.Errorf("below a file: %v", err)
	}
	if os.Geteuid() == 0 {
		t.Skip("root may write everywhere")
	}
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if _, err := openCA(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "give it to uid") {
		t.Errorf("read-only: %v", err)
	}
}

func TestCAStartedAtOnceAgrees(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	var wg sync.WaitGroup
	roots := make([][]byte, 16)
	for i := range roots {
		wg.Go(func() {
			ca, err := openCA(t.Context(), dir)
			if err != nil {
				t.Error(err)
				return
			}
			roots[i] = ca.RootPEM()
		})
	}
	wg.Wait()
	for _, r := range roots {
		if !bytes.Equal(r, roots[0]) {
			t.Fatal("two authorities were made")
		}
	}
}

// TestCAProcess is no test: TestCAProcessesAgree runs it in other processes.
func TestCAProcess(t *testing.T) {
	dir := os.Getenv("CERTS_TEST_STORAGE")
	if dir == "" {
		t.Skip("runs in the processes that TestCAProcessesAgree starts")
	}
	ca, err := openCA(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = os.Stdout.Write(ca.RootPEM())
}

func TestCAProcessesAgree(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	var wg sync.WaitGroup
	out := make([][]byte, 4)
	for i := range out {
		wg.Go(func() {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCAProcess$")
			cmd.Env = append(os.Environ(), "CERTS_TEST_STORAGE="+dir)
			data, err := cmd.Output()
			if err != nil {
				t.Error(err)
			}
			block, _ := pem.Decode(data)
			if block == nil {
				t.Errorf("process printed %q", data)
				return
			}
			out[i] = block.Bytes
		})
	}
	wg.Wait()
	for _, o := range out {
		if !bytes.Equal(o, out[0]) {
			t.Fatal("two processes made two authorities")
		}
	}
}

func TestCAWaitsForTheLockUntilContextEnds(t *testing.T) {
	st := opened(t, filepath.Join(t.TempDir(), "state"))
	if err := st.Lock(t.Context(), "local-authority"); err != nil {
		t.Fatal(err)
	}
	defer st.Unlock(t.Context(), "local-authority")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := certs.OpenCA(ctx, st); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestCAObtain(t *testing.T) {
	ca, err := openCA(t.Context(), filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	cert, err := obtain(t, ca, "Shop.Localhost", "*.shop.internal", "127.0.0.1", "[::1]")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"shop.localhost", "a.shop.internal", "127.0.0.1", "::1"} {
		if _, err := cert.Verify(x509.VerifyOptions{DNSName: name, Roots: pool(ca.Root())}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if life := cert.NotAfter.Sub(cert.NotBefore); life > 90*24*time.Hour {
		t.Errorf("certificate lives %v", life)
	}
	at, err := ca.RenewAt(t.Context(), cert)
	if err != nil || !at.After(time.Now()) || !at.Before(cert.NotAfter) {
		t.Errorf("renew at %v, %v", at, err)
	}
	for _, bad := range [][]string{nil, {""}, {"a b"}, {"-a.localhost"}, {"a..b"}, {strings.Repeat("a.", 130) + "a"}} {
		if _, err := obtain(t, ca, bad...); err == nil {
			t.Errorf("names %q: no error", bad)
		}
	}
}

func TestCAExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "state")
		ca, err := openCA(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Until(ca.Root().NotAfter) - 24*time.Hour)
		cert, err := obtain(t, ca, "localhost")
		if err != nil {
			t.Fatal(err)
		}
		if cert.NotAfter.After(ca.Root().NotAfter) {
			t.Error("certificate outlives its root")
		}
		time.Sleep(25 * time.Hour)
		if _, err := obtain(t, ca, "localhost"); err == nil || !strings.Contains(err.Error(), "expired") {
			t.Errorf("Obtain: %v", err)
		}
		if _, err := openCA(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "expired") {
			t.Errorf("OpenCA: %v", err)
		}
	})
}
