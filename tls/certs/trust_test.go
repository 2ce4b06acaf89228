package certs_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"headgate/tls/certs"
)

// bench is a machine that exists in a directory: commands are written down, and
// those that copy and remove files do so below it.
type bench struct {
	t    *testing.T
	root string
	file string // the root certificate
	have []string
	ran  []string
	nss  map[string]bool // databases that hold the root
	fail string          // a command that does not work
}

func newBench(t *testing.T, dirs ...string) *bench {
	t.Helper()
	b := &bench{t: t, root: t.TempDir(), nss: map[string]bool{}, have: []string{"certutil", "sudo"}}
	for _, d := range dirs {
		if err := os.MkdirAll(filepath.Join(b.root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(t.TempDir(), "state")
	if _, err := openCA(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	b.file = certs.RootFile(dir)
	return b
}

func (b *bench) machine() certs.Machine {
	return certs.Machine{OS: "linux", Root: b.root, Home: filepath.Join(b.root, "home"), UID: 1000, Run: b.run, Look: b.look}
}

func (b *bench) look(name string) (string, error) {
	if slices.Contains(b.have, name) {
		return "/usr/bin/" + name, nil
	}
	return "", os.ErrNotExist
}

func (b *bench) run(_ context.Context, name string, args ...string) ([]byte, error) {
	line := strings.Join(append([]string{name}, args...), " ")
	line = strings.NewReplacer(b.root, "", b.file, "ROOT").Replace(line)
	if name == "certutil" && args[0] == "-L" {
		if b.nss[args[2]] {
			return nil, nil
		}
		return []byte("could not find cert"), errors.New("exit status 255")
	}
	b.ran = append(b.ran, line)
	if b.fail != "" && strings.Contains(line, b.fail) {
		return []byte("no luck\n"), errors.New("exit status 1")
	}
	words := append([]string{name}, args...)
	if i := slices.Index(words, "install"); i >= 0 {
		data, err := os.ReadFile(words[i+3])
		if err != nil {
			return nil, err
		}
		return nil, os.WriteFile(words[i+4], data, 0o644)
	}
	if i := slices.Index(words, "rm"); i >= 0 {
		return nil, os.Remove(words[i+2])
	}
	if name == "certutil" {
		b.nss[args[2]] = args[0] == "-A"
	}
	return nil, nil
}

func (b *bench) took() []string { ran := b.ran; b.ran = nil; return ran }

func TestTrustDebianAndBrowsers(t *testing.T) {
	b := newBench(t, "usr/local/share/ca-certificates", "home/.pki/nssdb", "home/.mozilla/firefox/abc.default", "home/.mozilla/firefox/empty")
	for _, db := range []string{"home/.pki/nssdb", "home/.mozilla/firefox/abc.default"} {
		write(t, filepath.Join(b.root, db, "cert9.db"), nil)
	}
	steps, err := b.machine().Trust(t.Context(), b.file)
	if err != nil || len(steps) != 3 {
		t.Fatalf("%+v, %v; want three stores", steps, err)
	}
	ran := b.took()
	for i, want := range []string{
		"sudo -- install -m 0644 ROOT /usr/local/share/ca-certificates/headgate-", "sudo -- update-ca-certificates",
		"certutil -A -d sql:/home/.pki/nssdb -t C,, -n headgate-", "certutil -A -d sql:/home/.mozilla/firefox/abc.default -t C,, -n headgate-",
	} {
		if i >= len(ran) || !strings.HasPrefix(ran[i], want) {
			t.Fatalf("command %d of %q, want %q", i, ran, want)
		}
	}
	if steps, err = b.machine().Trust(t.Context(), b.file); err != nil || len(b.took()) != 0 {
		t.Errorf("the second time something was done: %+v, %v", steps, err)
	}
	for _, s := range steps {
		if s.Changed {
			t.Errorf("%s changed the second time", s.Store)
		}
	}
	if _, err = b.machine().Untrust(t.Context(), b.file); err != nil {
		t.Fatal(err)
	}
	ran = b.took()
	if len(ran) != 4 || !strings.HasPrefix(ran[0], "sudo -- rm -f /usr/local/share/ca-certificates/headgate-") || !strings.HasPrefix(ran[3], "certutil -D ") {
		t.Errorf("untrust ran %q", ran)
	}
	if _, err = b.machine().Untrust(t.Context(), b.file); err != nil || len(b.took()) != 0 {
		t.Errorf("untrusting twice: %v", err)
	}
}

func TestTrustOtherSystems(t *testing.T) {
	for dir, want := range map[string]string{
		"etc/pki/ca-trust/source/anchors":          "update-ca-trust extract",
		"etc/pki/trust/anchors":                    "update-ca-certificates",
		"etc/ca-certificates/trust-source/anchors": "trust extract-compat",
	} {
		b := newBench(t, dir)
		if _, err := b.machine().Trust(t.Context(), b.file); err != nil {
			t.Errorf("%s: %v", dir, err)
		}
		if ran := b.took(); len(ran) != 2 || !strings.Contains(ran[0], "/"+dir+"/headgate-") || ran[1] != "sudo -- "+want {
			t.Errorf("%s: ran %q, want %q", dir, ran, want)
		}
	}
}

func TestTrustSaysTheCure(t *testing.T) {
	const debian = "usr/local/share/ca-certificates"
	for _, tt := range []struct {
		dirs, have []string
		fail, want string
	}{
		{nil, []string{"sudo"}, "", "install ca-certificates"},
		{[]string{debian}, nil, "", "run as root: install -m 0644"},
		{[]string{debian}, []string{"sudo"}, "update-ca", "exit status 1: no luck"},
		{[]string{debian}, []string{"sudo", "chromium"}, "", "install libnss3-tools"},
	} {
		b := newBench(t, tt.dirs...)
		b.have, b.fail = tt.have, tt.fail
		if _, err := b.machine().Trust(t.Context(), b.file); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want %q", err, tt.want)
		}
	}
	leaf, _ := newAuthority(t).leaf(t, names("a.example.com"))
	file := filepath.Join(t.TempDir(), "leaf.crt")
	write(t, file, certPEM(leaf))
	if _, err := newBench(t).machine().Trust(t.Context(), file); err == nil || !strings.Contains(err.Error(), "is not a root certificate") {
		t.Errorf("a leaf: %v", err)
	}
}

func TestTrustMakesDatabaseForChromium(t *testing.T) {
	b := newBench(t, "usr/local/share/ca-certificates")
	b.have = append(b.have, "chromium")
	if _, err := b.machine().Trust(t.Context(), b.file); err != nil {
		t.Fatal(err)
	}
	ran := b.took()
	if len(ran) != 4 || ran[2] != "certutil -N -d sql:/home/.pki/nssdb --empty-password" {
		t.Errorf("ran %q", ran)
	}
}
