package certs

import (
	"encoding/base64"
	"net"
	"net/url"
	"slices"
	"strings"
)

const maxIssuerName = 64

func (f *faults) issuers(list []NamedACME) {
	for i, n := range list {
		key := item("issuers", i)
		first := slices.IndexFunc(list, func(o NamedACME) bool { return o.Name == n.Name })
		switch {
		case n.Name == "":
			f.add(key+".name", "is missing: give it one that tls.issuer can list")
		case isIssuerWord(n.Name):
			f.add(key+".name", "%s has a meaning of its own: choose another name", quote(n.Name))
		case !isIssuerName(n.Name):
			f.add(key+".name", "%s cannot be a name: give it 1 to 64 letters, digits, - _ and dots", quote(n.Name))
		case first < i:
			f.add(key+".name", "%s is already the name of %s: choose another name", quote(n.Name), item("issuers", first))
		}
		f.email(key+".email", n.Email)
		f.acme(key, n.ACMEOptions)
	}
}

// isIssuerName reports whether s can be a name of Issuers: it is part of keys in
// the storage.
func isIssuerName(s string) bool {
	for _, r := range s {
		alnum := '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !alnum && r != '-' && r != '_' && r != '.' {
			return false
		}
	}
	return s != "" && len(s) <= maxIssuerName && strings.Trim(s, ".") != ""
}

func (f *faults) acme(key string, o ACMEOptions) {
	f.directory(key+".directory", o.Directory)
	for i, c := range o.Challenges {
		at := item(key+".challenges", i)
		if slices.ContainsFunc(o.Challenges[:i], func(b ChallengeOptions) bool { return b.Type == c.Type && c.Type != "" }) {
			f.add(at, "%s is listed twice: remove one of the two", c.Type)
		}
		f.challenge(at, c)
	}
	switch eab := o.EAB; {
	case eab.HMAC == "" && eab.KeyID != "":
		f.add(key+".eab.hmac", "is missing: give it with its key_id, or remove eab")
	case eab.HMAC != "" && eab.KeyID == "":
		f.add(key+".eab.key_id", "is missing: give it with its hmac, or remove eab")
	case !isBase64(base64.RawURLEncoding, strings.NewReplacer("+", "-", "/", "_").Replace(string(eab.HMAC))): // some show plain base64
		f.add(key+".eab.hmac", "is not base64url: give it as the authority shows it")
	}
	for i, k := range o.Keys {
		f.word(item(key+".keys", i), k, "p256", "p384", "rsa2048", "rsa4096")
		if slices.Index(o.Keys, k) < i {
			f.add(item(key+".keys", i), "%s is listed twice: remove one of the two", quote(k))
		}
	}
}

// isBase64 allows the padding that some tools write and others do not.
func isBase64(enc *base64.Encoding, s string) bool {
	bare := strings.TrimRight(s, "=")
	_, err := enc.DecodeString(bare)
	return err == nil && (bare != "" || s == "")
}

func (f *faults) directory(key, s string) {
	if s == "" {
		return
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" || u.Fragment != "":
		f.add(key, "%s is not a URL: write it like %s", quote(s), DefaultDirectory)
	case u.User != nil:
		f.add(key, "%s has a user: remove it, and set eab for an account with the authority", quote(s))
	case u.Scheme == "http":
		f.add(key, "%s is not protected, and ACME is spoken over https only (RFC 8555 section 6.1): write https, and set roots where its certificate is of a private authority", quote(s))
	}
}

// The challenges.
const (
	challengeHTTP       = "http-01"
	challengeALPN       = "tls-alpn-01"
	challengeDNS        = "dns-01"
	challengeDNSPersist = "dns-persist-01"
)

func (f *faults) challenge(key string, c ChallengeOptions) {
	f.word(key+".type", c.Type, challengeHTTP, challengeALPN, challengeDNS, challengeDNSPersist)
	if c.Type != challengeDNS && c.Type != "" {
		f.onlyDNS(key, c)
		f.resolvers(key, c.Resolvers)
		return
	}
	switch ways := count(c.RFC2136.set(), c.ACMEDNS != ACMEDNS{}, len(c.Command) > 0); {
	case c.Type == "":
		f.add(key+".type", "is missing: give one, such as dns-01")
	case ways == 0:
		f.add(key, "dns-01 does not say how its record is made: give it rfc2136, acme_dns or command")
	case ways > 1:
		f.add(key, "dns-01 says more than one way to make its record: leave one of rfc2136, acme_dns and command")
	}
	f.rfc2136(key+".rfc2136", c.RFC2136)
	f.acmeDNS(key+".acme_dns", c.ACMEDNS)
	if len(c.Command) > 0 && strings.TrimSpace(c.Command[0]) == "" {
		f.add(key+".command", "names no program: give its path first")
	}
	f.resolvers(key, c.Resolvers)
	if c.PropagationDelay < 0 {
		f.add(key+".propagation_delay", "%v is negative: write a time over 0, or remove it", c.PropagationDelay)
	}
	if c.TTL < 0 {
		f.add(key+".ttl", "%v is negative: write a time over 0, or remove it", c.TTL)
	}
}

func (f *faults) resolvers(key string, list []string) {
	for i, r := range list {
		if !isHostPort(r, true) {
			f.add(item(key+".resolvers", i), "%s is not a name server: write it like 10.0.0.2:53", quote(r))
		}
	}
}

func count(conditions ...bool) (n int) {
	for _, c := range conditions {
		if c {
			n++
		}
	}
	return n
}

// onlyDNS reports settings of dns-01 at other challenges, of which dns-persist-01
// also looks at a record.
func (f *faults) onlyDNS(key string, c ChallengeOptions) {
	looks := c.Type == challengeDNSPersist
	for _, s := range []struct {
		key string
		set bool
	}{
		{"rfc2136", c.RFC2136.set()},
		{"acme_dns", c.ACMEDNS != ACMEDNS{}},
		{"command", len(c.Command) > 0},
		{"resolvers", len(c.Resolvers) > 0 && !looks},
		{"propagation_delay", c.PropagationDelay != 0},
		{"propagation_timeout", c.PropagationTimeout != 0 && !looks},
		{"ttl", c.TTL != 0},
	} {
		if s.set {
			f.add(key+"."+s.key, "is of no use to %s: remove it, or write type dns-01", quote(c.Type))
		}
	}
}

// set reports whether r says more than what is a default.
func (r RFC2136) set() bool {
	r.Algorithm = ""
	return r != RFC2136{}
}

func (f *faults) rfc2136(key string, r RFC2136) {
	if r == (RFC2136{}) {
		return
	}
	if !isHostPort(r.Server, false) {
		f.add(key+".server", "%s is not an address with a port: write it like ns1.example.com:53", quote(r.Server))
	}
	if zone := cleanName(r.Zone); r.Zone != "" && !isHostName(zone) {
		f.add(key+".zone", "%s is not a domain: write it like example.com", quote(r.Zone))
	}
	f.word(key+".algorithm", r.Algorithm, "hmac-sha256", "hmac-sha512", "hmac-sha384", "hmac-sha224", "hmac-sha1")
	switch {
	case r.Key == "" && r.KeyName != "":
		f.add(key+".key", "is missing: give it with its key_name, or remove both")
	case r.Key != "" && r.KeyName == "":
		f.add(key+".key_name", "is missing: give it with its key, or remove both")
	case !isBase64(base64.RawStdEncoding, string(r.Key)):
		f.add(key+".key", "is not base64: give it as tsig-keygen shows it")
	}
	if name := cleanName(r.KeyName); name != "" && !isHostName(name) {
		f.add(key+".key_name", "%s is not a name: write it like headgate.", quote(r.KeyName))
	}
}

func (f *faults) acmeDNS(key string, a ACMEDNS) {
	if a == (ACMEDNS{}) {
		return
	}
	u, err := url.Parse(a.Server)
	if err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" {
		f.add(key+".server", "%s is not a URL: write it like https://auth.acme-dns.io", quote(a.Server))
	}
	if a.Accounts == "" {
		f.add(key+".accounts", "is missing: give the JSON file of the accounts")
	}
}

// isHostPort reports whether s is a host, or an IP address, with its port.
func isHostPort(s string, mayLackPort bool) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		if !mayLackPort {
			return false
		}
		host, port = s, "53"
	}
	name := cleanName(host)
	return isPort(port) && (isIP(name) || isHostName(name))
}
