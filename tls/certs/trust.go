package certs

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// Machine is where a root certificate is made to be trusted. The zero value is
// this machine with the stores of the current user; the fields are for tests
// and for other users' homes.
type Machine struct {
	OS   string // runtime.GOOS
	Root string // put before the paths of the system; "" is /
	Home string // whose browsers; os.UserHomeDir
	UID  int    // without root's rights, commands for the system go through sudo; 0 means os.Geteuid

	// Look finds a command like exec.LookPath, which it is when nil.
	Look func(name string) (string, error)

	// Run runs a command with the terminal's input, so that sudo can ask, and
	// returns what it printed. Nil runs it for real.
	Run func(ctx context.Context, name string, args ...string) (output []byte, err error)
}

// Step is what was done with one trust store.
type Step struct {
	Store   string // "system", or the directory of a browser's database
	Changed bool   // false if there was nothing to do
	Err     error  // why it could not be done, with the cure
}

// anchors are the places where Linux distributions want additional roots, and
// the command that takes them over. The first directory that exists is it.
type anchors struct {
	dir, ext string
	add, del []string
}

func linuxAnchors() []anchors {
	extract := []string{"update-ca-trust", "extract"}
	update := []string{"update-ca-certificates"}
	compat := []string{"trust", "extract-compat"}
	return []anchors{
		{"/etc/pki/ca-trust/source/anchors", ".pem", extract, extract},                                 // Fedora, RHEL
		{"/usr/local/share/ca-certificates", ".crt", update, []string{"update-ca-certificates", "-f"}}, // Debian, Alpine
		{"/etc/pki/trust/anchors", ".pem", update, update},                                             // SUSE
		{"/etc/ca-certificates/trust-source/anchors", ".crt", compat, compat},                          // Arch
	}
}

// Trust makes the system, and the browsers of the user that keep their own
// database (Chromium and Firefox, through certutil), trust the root certificate
// in rootFile. Stores that trust it already are left alone. It returns what
// happened to each store, and an error if rootFile is no root certificate or
// some step has one. It blocks while the commands run, and ends them with ctx.
func (m Machine) Trust(ctx context.Context, rootFile string) ([]Step, error) {
	t, err := m.truster(rootFile)
	if err != nil {
		return nil, err
	}
	steps := []Step{t.system(ctx, true)}
	return t.finish(append(steps, t.browsers(ctx, true)...))
}

// Untrust undoes Trust.
func (m Machine) Untrust(ctx context.Context, rootFile string) ([]Step, error) {
	t, err := m.truster(rootFile)
	if err != nil {
		return nil, err
	}
	steps := []Step{t.system(ctx, false)}
	return t.finish(append(steps, t.browsers(ctx, false)...))
}

// truster is one Machine and one root.
type truster struct {
	Machine
	file string
	root *x509.Certificate
	name string // the same for the same root: "headgate-1f3a…"
}

func (m Machine) truster(rootFile string) (*truster, error) {
	file, err := filepath.Abs(rootFile)
	if err != nil {
		return nil, err
	}
	data, err := readFile(file)
	if err != nil {
		return nil, fileError(err)
	}
	chain, err := parseChain(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if !chain[0].IsCA || !bytes.Equal(chain[0].RawIssuer, chain[0].RawSubject) {
		return nil, fmt.Errorf("%s is not a root certificate", file)
	}
	m.defaults()
	return &truster{Machine: m, file: file, root: chain[0], name: "headgate-" + fingerprint(chain[0])[:16]}, nil
}

func (m *Machine) defaults() {
	if m.OS == "" {
		m.OS = runtime.GOOS
	}
	if m.Home == "" {
		m.Home, _ = os.UserHomeDir() // without a home there are no browsers
	}
	if m.UID == 0 {
		m.UID = os.Geteuid()
	}
	if m.Look == nil {
		m.Look = exec.LookPath
	}
	if m.Run == nil {
		m.Run = func(ctx context.Context, name string, args ...string) ([]byte, error) {
			cmd := exec.CommandContext(ctx, name, args...)
			cmd.Stdin = os.Stdin
			return cmd.CombinedOutput()
		}
	}
}

func (t *truster) finish(steps []Step) ([]Step, error) {
	var errs []error
	for _, s := range steps {
		if s.Err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.Store, s.Err))
		}
	}
	return steps, errors.Join(errs...)
}

func (t *truster) system(ctx context.Context, trust bool) Step {
	st := Step{Store: "system"}
	switch t.OS {
	case "linux":
		st.Changed, st.Err = t.linux(ctx, trust)
	case "darwin":
		st.Changed, st.Err = t.darwin(ctx, trust)
	default:
		st.Err = fmt.Errorf("not supported on %s: import %s by hand", t.OS, t.file)
	}
	return st
}

func (t *truster) linux(ctx context.Context, trust bool) (changed bool, err error) {
	for _, a := range linuxAnchors() {
		dir := filepath.Join(t.Root, a.dir)
		if fi, err := os.Stat(dir); err != nil || !fi.IsDir() {
			continue
		}
		target := filepath.Join(dir, t.name+a.ext)
		have, err := os.ReadFile(target)
		there := err == nil
		if trust {
			if there && bytes.Equal(have, encodeCert(t.root.Raw)) {
				return false, nil
			}
			return true, t.asRoot(ctx, []string{"install", "-m", "0644", t.file, target}, a.add)
		}
		if !there {
			return false, nil
		}
		return true, t.asRoot(ctx, []string{"rm", "-f", target}, a.del)
	}
	return false, fmt.Errorf("no trust store was found: install ca-certificates, or import %s by hand", t.file)
}

// darwin has not been tried on a Mac.
func (t *truster) darwin(ctx context.Context, trust bool) (changed bool, err error) {
	const keychain = "/Library/Keychains/System.keychain"
	if trust {
		return true, t.asRoot(ctx, []string{"security", "add-trusted-cert", "-d", "-r", "trustRoot", "-k", keychain, t.file})
	}
	return true, t.asRoot(ctx, []string{"security", "remove-trusted-cert", "-d", t.file},
		[]string{"security", "delete-certificate", "-c", t.root.Subject.CommonName, keychain})
}

// asRoot runs commands one after the other, through sudo if need be.
func (t *truster) asRoot(ctx context.Context, commands ...[]string) error {
	var sudo []string
	if t.UID != 0 {
		if _, err := t.Look("sudo"); err != nil {
			var lines []string
			for _, c := range commands {
				lines = append(lines, strings.Join(c, " "))
			}
			return fmt.Errorf("needs the rights of root: run as root: %s", strings.Join(lines, " && "))
		}
		sudo = []string{"sudo", "--"}
	}
	for _, c := range commands {
		if err := t.command(ctx, append(sudo[:len(sudo):len(sudo)], c...)); err != nil {
			return err
		}
	}
	return nil
}

func (t *truster) command(ctx context.Context, c []string) error {
	out, err := t.Run(ctx, c[0], c[1:]...)
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(c, " "), err, bytes.TrimSpace(out))
	}
	return nil
}
