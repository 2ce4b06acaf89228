package certs

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Options is the tls section of the configuration. The zero value shows
// certificates of the local authority for local names, and asks Let's Encrypt
// for those of all others.
type Options struct {
	// Issuer makes the certificates that no file covers: "auto" (default),
	// "acme", "internal" (the local authority), "none", or a name of tls.issuers;
	// a word, or a list of which the first that has success. "auto" is the local
	// authority for localhost, *.localhost, *.internal and IP addresses, and for
	// every other name acme and then tls.issuers in their order.
	Issuer []string `yaml:"issuer"`

	// Email is where ACME authorities write to.
	Email string `yaml:"email"`

	// Certificates are shown wherever their names match, before any issuer is
	// asked. The first is also shown to clients that name no known host.
	Certificates []Pair `yaml:"certificates"`

	// ACME is the authority that issuer "acme" asks.
	ACME ACMEOptions `yaml:"acme"`

	// Issuers are more ACME authorities: to fall back on when acme fails, or for
	// sites that name them.
	Issuers []NamedACME `yaml:"issuers"`

	// OnDemand obtains certificates for names that are not known beforehand when
	// the first client asks for them.
	OnDemand OnDemandOptions `yaml:"on_demand"`

	// ECH hides the server name from the network (RFC 9849).
	ECH ECHOptions `yaml:"ech"`

	// Storage keeps certificates, accounts and the local authority:
	// "file:/path", or "redis://[user:password@]host:port/db" for gateways that
	// share them, "rediss://" inside TLS; ?prefix=headgate: goes before its
	// keys, ?lease=15s is the life of a lock. The default is file:/var/lib/headgate; not
	// root: file:$XDG_DATA_HOME/headgate.
	Storage string `yaml:"storage"`

	// MinVersion is the oldest TLS version that is spoken: "1.2" (default) or
	// "1.3".
	MinVersion string `yaml:"min_version"`
}

// SiteOptions is what a site says about its certificates and its clients'.
// Absent keys are those of Options.
type SiteOptions struct {
	Issuer     []string   `yaml:"issuer"`      // as tls.issuer, for the hosts of this site
	MinVersion string     `yaml:"min_version"` // as tls.min_version, for the hosts of this site
	ClientAuth ClientAuth `yaml:"client_auth"` // certificates of clients
}

// ClientAuth asks clients for certificates. The zero value does not.
type ClientAuth struct {
	CA    string `yaml:"ca"`    // PEM file: the authorities whose clients are let in; it turns the check on
	Mode  string `yaml:"mode"`  // "require" (default): a client without a certificate gets none of the site; "request": it may have none
	Depth int    `yaml:"depth"` // intermediates between a client's certificate and one of CA; 1 by default; off: none
	CRL   string `yaml:"crl"`   // PEM or DER file: certificates of clients that are revoked; read again when it changes

	// Certificate also sends the client's certificate to the app (SSL_CLIENT_CERT),
	// which takes some 2 KiB of its buffer-size.
	Certificate bool `yaml:"certificate"`
}

// Pair names the two PEM files of one certificate.
type Pair struct {
	Cert string `yaml:"cert"` // the certificate, then its intermediates in order
	Key  string `yaml:"key"`  // its private key, without a pass phrase
}

// ACMEOptions say how an ACME authority is reached and what it is asked for.
type ACMEOptions struct {
	Directory string `yaml:"directory"` // URL; Let's Encrypt by default
	Roots     string `yaml:"roots"`     // PEM file: roots of a private CA's own https; those of the system by default

	// Challenges are the ways in which control of a name may be proven; http-01
	// and tls-alpn-01 by default. Wildcards need dns-01 or dns-persist-01.
	Challenges []ChallengeOptions `yaml:"challenges"`

	EAB            EAB      `yaml:"eab"`             // external account binding, which some authorities want
	Profile        string   `yaml:"profile"`         // certificate profile, such as shortlived
	PreferredChain string   `yaml:"preferred_chain"` // common name of an issuer in the chain that is wanted, when there are several
	Keys           []string `yaml:"keys"`            // "p256" (default), "p384", "rsa2048", "rsa4096"; of several each client gets the first it can use
}

// NamedACME is an authority with a name of its own.
type NamedACME struct {
	Name        string `yaml:"name"`  // what tls.issuer calls it: 1 to 64 letters, digits, - _ and dots
	Email       string `yaml:"email"` // tls.email by default
	ACMEOptions `yaml:",inline"`
}

// EAB ties an ACME account to one that the operator has with the authority (RFC
// 8555 section 7.3.4).
type EAB struct {
	KeyID string `yaml:"key_id"` // as the authority shows it
	HMAC  Secret `yaml:"hmac"`   // base64url, as the authority shows it
}

// ChallengeOptions is a way to prove control of a name: a word, or for dns-01 a
// map with exactly one of rfc2136, acme_dns and command.
type ChallengeOptions struct {
	Type string `yaml:"type,short"` // http-01, tls-alpn-01, dns-01 or dns-persist-01

	RFC2136 RFC2136 `yaml:"rfc2136"`  // dns-01 by dynamic updates
	ACMEDNS ACMEDNS `yaml:"acme_dns"` // dns-01 through an acme-dns server
	// Command sets and removes the record of dns-01: it is run with three more
	// words, "present" or "cleanup", the record's name with a final dot, and its
	// value. HEADGATE_ACTION, HEADGATE_RECORD and HEADGATE_VALUE hold the same. It
	// has two minutes; a status other than 0 is an error that shows its output.
	Command []string `yaml:"command"`

	Resolvers          []string      `yaml:"resolvers"`           // name servers that are asked where a zone's own are, or are those themselves: host:port, or host for its port 53; those of the system by default
	PropagationDelay   time.Duration `yaml:"propagation_delay"`   // before the first look at a new record; none by default
	PropagationTimeout time.Duration `yaml:"propagation_timeout"` // until every name server of the zone shows the record (2m); off: do not look
	TTL                time.Duration `yaml:"ttl"`                 // of the record; 1m by default
}

// RFC2136 is a name server that takes dynamic updates.
type RFC2136 struct {
	Server    string `yaml:"server"`    // host:port, such as ns1.example.com:53
	Zone      string `yaml:"zone"`      // the server says it by default
	KeyName   string `yaml:"key_name"`  // of TSIG (RFC 8945); none: updates are not signed
	Algorithm string `yaml:"algorithm"` // hmac-sha256 (default), hmac-sha512, hmac-sha384, hmac-sha224 or hmac-sha1
	Key       Secret `yaml:"key"`       // of TSIG, in base64
}

// ACMEDNS is an acme-dns server and the file of its accounts: the JSON that
// acme-dns clients keep, by domain.
type ACMEDNS struct {
	Server   string `yaml:"server"`   // URL, such as https://auth.acme-dns.io; an account's server_url counts more
	Accounts string `yaml:"accounts"` // JSON file: {"example.com": {"username": ..., "password": ..., "fulldomain": ..., "subdomain": ...}}; read at each order
}

// OnDemandOptions say who may have a certificate at first sight.
type OnDemandOptions struct {
	// Ask is whom to ask for permission: a URL, to which ?domain=NAME is added,
	// or pool://POOL/PATH for an app behind this gateway; 200 to 299 is yes. Or
	// subscriptions: the names that uWSGI instances have announced. It turns
	// on-demand certificates on.
	Ask string `yaml:"ask"`

	Rate int `yaml:"rate"` // new certificates in an hour; 100 by default
}

// AskSubscriptions is the Ask that permits the names that were announced.
const AskSubscriptions = "subscriptions"

// ECHOptions turn Encrypted Client Hello on.
type ECHOptions struct {
	PublicName string `yaml:"public_name"` // the name that the network sees; it has to point here too
}

// Secret is a text that is not shown: it logs and prints as "(secret)", and only
// a conversion to string has what is in it.
type Secret string

// String hides the secret; an empty one is "".
func (s Secret) String() string { return s.LogValue().String() }

// GoString is String.
func (s Secret) GoString() string { return s.String() }

// DefaultDirectory is the ACME authority that is asked when none is named.
const DefaultDirectory = "https://acme-v02.api.letsencrypt.org/directory"

// Kind says who makes the certificate of a host.
type Kind string

// The kinds of issuers.
const (
	KindNone     Kind = "none"
	KindInternal Kind = "internal"
	KindACME     Kind = "acme"
)

const (
	fileScheme = "file:"
	issuerAuto = "auto"
)

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

// StorageDir is the directory that Storage names, or the default one.
func (o Options) StorageDir() string {
	s := o.Storage
	if s == "" {
		s = DefaultStorage()
	}
	return filepath.Clean(strings.TrimPrefix(s, fileScheme))
}

func (o Options) storageURL() string {
	if o.Storage == "" {
		return DefaultStorage()
	}
	return o.Storage
}

// publicStorage is the storage without the password that its URL may have.
func (o Options) publicStorage() string {
	u, err := url.Parse(o.storageURL())
	if err != nil {
		return "(unreadable)" // it may hold a password
	}
	return u.Redacted()
}
