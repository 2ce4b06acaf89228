package certs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Options is the tls section of the configuration. The zero value shows
// certificates of the local authority for local names and has none for others.
type Options struct {
	// Issuer makes the certificates that no file covers: "auto" (default),
	// "internal" (the local authority, for every name) or "none". "auto" is the
	// local authority for localhost, *.localhost, *.internal and IP addresses,
	// and ACME for public names; "acme" is ACME for every name. ACME is not
	// supported yet, so a name that needs it is an error.
	Issuer string `yaml:"issuer"`

	// Email is where an ACME authority writes to. No other issuer uses it.
	Email string `yaml:"email"`

	// Certificates are shown wherever their names match, before any issuer is
	// asked. The first is also shown to clients that name no known host.
	Certificates []Pair `yaml:"certificates"`

	// ACME is the place for the settings of the ACME client, which is not
	// supported yet: anything in it is an error.
	ACME map[string]any `yaml:"acme"`

	// Storage keeps the local authority: "file:/path". The default is
	// DefaultStorage.
	Storage string `yaml:"storage"`

	// MinVersion is the oldest TLS version that is spoken: "1.2" (default) or
	// "1.3".
	MinVersion string `yaml:"min_version"`
}

// Pair names the two PEM files of one certificate.
type Pair struct {
	Cert string `yaml:"cert"` // the certificate, then its intermediates in order
	Key  string `yaml:"key"`  // its private key, without a pass phrase
}

// Kind says who makes the certificate of a host.
type Kind string

// The kinds of issuers.
const (
	KindNone     Kind = "none"
	KindInternal Kind = "internal"
)

const fileScheme = "file:"

// Validate reports every mistake at once. Each message starts with the key it
// is about, as in "certificates[0].key: ". It does no I/O; see Check.
func (o Options) Validate() error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	switch o.Issuer {
	case "", "auto", "internal", "none":
	case "acme":
		add("issuer: acme is not supported yet: list certificates, or write internal")
	default:
		add("issuer: %q is not an issuer: write auto, internal or none", o.Issuer)
	}
	if o.Email != "" && !strings.Contains(strings.Trim(o.Email, "@"), "@") {
		add("email: %q is not an address: write it like ops@example.com", o.Email)
	}
	for i, p := range o.Certificates {
		if p.Cert == "" {
			add("certificates[%d].cert: no file is named: give the path of the certificate's PEM file", i)
		}
		if p.Key == "" {
			add("certificates[%d].key: no file is named: give the path of the key's PEM file", i)
		}
	}
	if len(o.ACME) > 0 {
		add("acme: is not supported yet")
	}
	if err := checkStorage(o.Storage); err != nil {
		errs = append(errs, err)
	}
	switch o.MinVersion {
	case "", "1.2", "1.3":
	default:
		add("min_version: %q is not a version that is spoken: write \"1.2\" or \"1.3\"", o.MinVersion)
	}
	return errors.Join(errs...)
}

func checkStorage(s string) error {
	path, isFile := strings.CutPrefix(s, fileScheme)
	switch {
	case s == "":
		return nil
	case strings.HasPrefix(s, "redis:"), strings.HasPrefix(s, "rediss:"):
		return errors.New("storage: redis is not supported yet: write file:/path")
	case !isFile:
		return fmt.Errorf("storage: %q is not a place that can be used: write file:/path", s)
	case !filepath.IsAbs(path):
		return fmt.Errorf("storage: %q is not an absolute path: write file:/path", s)
	}
	return nil
}

// IssuerFor says who makes the certificate of host when no file covers it. Host
// is a name, a wildcard such as *.example.com, an IP address, or "" for
// whatever name a client asks for. A host that no issuer at hand can serve is
// an error that starts with the key "issuer: ".
func (o Options) IssuerFor(host string) (Kind, error) {
	host = cleanName(host)
	switch o.Issuer {
	case "none":
		return KindNone, nil
	case "internal":
		return KindInternal, nil
	case "", "auto":
		if host == "" || isLocal(host) {
			return KindInternal, nil
		}
		if !strings.Contains(strings.TrimPrefix(host, "*."), ".") {
			return "", fmt.Errorf("issuer: no public authority certifies %s: list a certificate for it, or write internal", host)
		}
		return "", fmt.Errorf("issuer: acme is not supported yet, and %s needs it: list a certificate for it, or write internal", host)
	case "acme":
		return "", errors.New("issuer: acme is not supported yet: list certificates, or write internal")
	}
	return "", fmt.Errorf("issuer: %q is not an issuer: write auto, internal or none", o.Issuer)
}

// StorageDir is the directory that Storage names, or the default one.
func (o Options) StorageDir() string {
	s := o.Storage
	if s == "" {
		s = DefaultStorage()
	}
	return filepath.Clean(strings.TrimPrefix(s, fileScheme))
}

// DefaultStorage is what Storage means when it is empty: file:/var/lib/headgate
// for root, else file:$XDG_DATA_HOME/headgate, which without that variable is
// below ~/.local/share.
func DefaultStorage() string {
	const system = fileScheme + "/var/lib/headgate"
	if os.Geteuid() == 0 {
		return system
	}
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return fileScheme + filepath.Join(dir, "headgate")
	}
	home, err := os.UserHomeDir()
	if err != nil || !filepath.IsAbs(home) {
		return system
	}
	return fileScheme + filepath.Join(home, ".local", "share", "headgate")
}
