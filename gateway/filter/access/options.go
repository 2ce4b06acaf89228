package access

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"headgate/gateway/notation"
)

// Options say which clients may come by their address: not those of Deny, and if
// there is an Allow only those of it. Others get 403. The zero value lets all come.
type Options struct {
	Allow []string `yaml:"allow"` // networks, CIDR or address
	Deny  []string `yaml:"deny"`  // likewise; it counts more
}

// Validate reports every mistake; each message begins with its key.
func (o Options) Validate() error {
	_, err := New(o)
	return err
}

// WithDefaults returns o: there are none.
func (o Options) WithDefaults() Options { return o }

// parseNetworks reads a list; the errors begin with key and the place in it.
func parseNetworks(key string, list []string) ([]netip.Prefix, error) {
	var errs []error
	out := make([]netip.Prefix, 0, len(list))
	for i, s := range list {
		p, err := parseNetwork(s)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s[%d]: %w", key, i, err))
			continue
		}
		out = append(out, p)
	}
	return out, errors.Join(errs...)
}

// parseNetwork reads a CIDR, or an address as the network of that address alone.
func parseNetwork(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if a, wrong := netip.ParseAddr(s); wrong == nil && a.Zone() == "" {
		p, err = netip.PrefixFrom(a, a.BitLen()), nil
	}
	switch {
	case s == "all":
		return p, errors.New("all is not a network: write 0.0.0.0/0 and ::/0")
	case err != nil:
		return p, fmt.Errorf("%q is not a network: write it like 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7", s)
	case p != p.Masked():
		return p, fmt.Errorf("%q has bits beyond its mask: write %s, or %s for the one address", s, p.Masked(), p.Addr())
	case p.Addr().Is4In6() && p.Bits() >= 96:
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96), nil
	}
	return p, nil
}

// BasicAuth asks for a name and a password (RFC 7617). The zero value is off.
type BasicAuth struct {
	File  string `yaml:"file,short"` // lines of name:hash, see headgate hash-password; read again when it changes; off: nobody is asked
	Realm string `yaml:"realm"`      // that browsers show (restricted)
}

// DefaultRealm is what browsers show when nothing else is said.
const DefaultRealm = "restricted"

// maxRealm bounds a realm, which is in every 401.
const maxRealm = 128

// Enabled reports whether anybody is asked.
func (b BasicAuth) Enabled() bool { return b.File != "" && b.File != "off" }

// WithDefaults returns b with the realm filled in, unless it is off.
func (b BasicAuth) WithDefaults() BasicAuth {
	if b.Enabled() && b.Realm == "" {
		b.Realm = DefaultRealm
	}
	return b
}

// Validate reports every mistake; each message begins with its key. It does not look
// at the file.
func (b BasicAuth) Validate() error {
	switch {
	case b.File == "" && b.Realm != "":
		return errors.New("file: is missing: name the file with the users, which headgate hash-password writes lines for")
	case len(b.Realm) > maxRealm:
		return fmt.Errorf("realm: is longer than %d bytes: write a shorter one", maxRealm)
	}
	for i := range len(b.Realm) {
		if c := b.Realm[i]; c < ' ' || c > '~' {
			return fmt.Errorf("realm: has %q, which browsers do not agree about: write it in ASCII", c)
		}
	}
	return nil
}

// Challenge is the value of WWW-Authenticate in a 401 (RFC 7617, 2 and 2.1).
func (b BasicAuth) Challenge() string {
	realm := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(b.WithDefaults().Realm)
	return `Basic realm="` + realm + `", charset="UTF-8"`
}

// CrossOrigin refuses requests that change something and come from pages of other
// origins, by Sec-Fetch-Site and Origin, as net/http.CrossOriginProtection does.
type CrossOrigin struct {
	On      notation.Switch `yaml:"on,short"` // on (default where cross_origin is written) or off
	Trusted []string        `yaml:"trusted"`  // origins that may, such as https://admin.example.com
}

// Enabled reports whether anything is refused.
func (c CrossOrigin) Enabled() bool { return c.On.Or(notation.On) == notation.On }

// WithDefaults returns c with On filled in.
func (c CrossOrigin) WithDefaults() CrossOrigin {
	c.On = c.On.Or(notation.On)
	return c
}

// Validate reports every mistake; each message begins with its key.
func (c CrossOrigin) Validate() error {
	var errs []error
	for i, origin := range c.Trusted {
		if err := originFault(origin); err != nil {
			errs = append(errs, fmt.Errorf("trusted[%d]: %w", i, err))
		}
	}
	return errors.Join(errs...)
}

// originFault says why no browser writes an origin like s.
func originFault(s string) error {
	scheme, host, ok := strings.Cut(s, "://")
	lower := strings.ToLower(s)
	switch bare, _, path := strings.Cut(host, "/"); {
	case strings.Contains(s, "*"):
		return fmt.Errorf("%q has a *: list each origin, such as https://admin.example.com", s)
	case path:
		return fmt.Errorf("%q has a path, which no origin has: write %s://%s", s, scheme, bare)
	case !ok, http.NewCrossOriginProtection().AddTrustedOrigin(s) != nil, strings.Contains(host, "@"):
		return fmt.Errorf("%q is not an origin: write it like https://admin.example.com", s)
	case lower != s:
		return fmt.Errorf("%q is not in lower case, as browsers write it: write %s", s, lower)
	}
	for scheme, port := range map[string]string{"https://": ":443", "http://": ":80"} {
		if bare, ok := strings.CutSuffix(s, port); ok && strings.HasPrefix(s, scheme) {
			return fmt.Errorf("%q has the usual port, which browsers do not write: write %s", s, bare)
		}
	}
	return nil
}
