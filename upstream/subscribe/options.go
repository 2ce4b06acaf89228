package subscribe

import "time"

// Options are a server for uWSGI's subscriptions (reference: uWSGI docs,
// SubscriptionServer). The zero value has none.
type Options struct {
	// Where uWSGI instances announce themselves: udp:127.0.0.1:2626, or
	// unix:/run/headgate/subscribe.sock, a datagram socket whose senders the kernel
	// names (Linux; elsewhere only its owner may write to it).
	Listen []string `yaml:"listen"`

	// Who may announce what. The first rule whose sender and key match decides;
	// without a rule that matches nothing is taken. By default there is one: any key;
	// over udp from whoever reaches the socket, with addresses of the machine that it
	// comes from; over unix from root and the gateway's own user, with any address.
	Allow []Rule `yaml:"allow"`

	Sign Sign `yaml:"sign"` // signatures that are demanded

	Expire   time.Duration `yaml:"expire"`    // a node that is not announced again for so long is gone (30s)
	MaxKeys  int           `yaml:"max_keys"`  // keys at once (10000)
	MaxNodes int           `yaml:"max_nodes"` // nodes of one key (1000); of all keys together 100000
}

// Rule says what some senders may announce. A list that is absent does not restrict,
// but a rule with only one of from and users is for the senders of that kind alone.
type Rule struct {
	From      []string `yaml:"from"`      // networks of the senders (CIDR or address), for udp
	Users     []string `yaml:"users"`     // users of the senders, by name or number, for unix
	Keys      []string `yaml:"keys"`      // example.com, *.example.com (one label), .example.com (it, and all below)
	Addresses []string `yaml:"addresses"` // of members: networks (10.0.0.0/8), ports included if said (10.0.0.7:3031), or directories (/run/apps/); by default the networks of from, or else the sender's machine (sockets and loopback when that is this one), for unix senders any
	Modifiers []int    `yaml:"modifiers"` // modifier1 that a node may want, 0 by default
	Unsigned  bool     `yaml:"unsigned"`  // true: signatures are not demanded of these
}

// Sign demands signatures as uWSGI makes them (sign=SHA256:/key.pem), with a stricter
// guard against replays. Without Keys none are demanded.
type Sign struct {
	Keys   string        `yaml:"keys"`   // directory of public keys or certificates in PEM, one for each key: example.com.pem, .example.com.pem, in lower case and without a port; read again when it changes
	Digest string        `yaml:"digest"` // sha256 (default), sha384, sha512, sha224 or sha1
	Window time.Duration `yaml:"window"` // by how much the clock of a sender may differ (60s)
}

// Defaults of the options.
const (
	DefaultExpire   = 30 * time.Second
	DefaultMaxKeys  = 10_000
	DefaultMaxNodes = 1000
	DefaultDigest   = "sha256"
	DefaultWindow   = time.Minute
)

// WithDefaults returns o with everything filled in that is not said. Options that
// listen nowhere have nothing to fill in.
func (o Options) WithDefaults() Options {
	if len(o.Listen) == 0 {
		return o
	}
	setDefault(&o.Expire, DefaultExpire)
	setDefault(&o.MaxKeys, DefaultMaxKeys)
	setDefault(&o.MaxNodes, DefaultMaxNodes)
	if o.Sign.Keys != "" {
		setDefault(&o.Sign.Digest, DefaultDigest)
		setDefault(&o.Sign.Window, DefaultWindow)
	}
	return o
}

func setDefault[T comparable](v *T, standard T) {
	var zero T
	if *v == zero {
		*v = standard
	}
}
