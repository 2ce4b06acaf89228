package certs

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	policyPoll   = time.Minute     // between two looks at the files of policies
	policySettle = 2 * time.Second // a file that changed less long ago may be half written
)

// policies say how handshakes differ by the name that a client asks for. They are
// immutable, though what a policy has read from files is not.
type policies struct {
	exact map[string]*policy
	wild  map[string]*policy // by what follows the star: ".example.com"
	rest  *policy            // of names that no site lists
	list  []*policy          // each once
}

// policyKey is what the configuration says of one policy, with its defaults.
type policyKey struct {
	min  uint16
	auth ClientAuth // zero: clients are not asked for certificates
}

// policy is how handshakes for some names are made. Sites with the same key have
// the same policy.
type policy struct {
	key   policyKey
	state atomic.Pointer[policyState] // replaced when a file of key changes

	seen stamps // of files that cannot be used, which has been said; of runPolicies
}

// policyState is a policy with its files as they were at one moment. It is
// immutable.
type policyState struct {
	// id names what the policy means: it is the same in every gateway and after
	// every restart, and another one as soon as other clients are let in. That of
	// policies without client certificates and with the common version is "".
	id      string
	clients *clients // nil: they are not asked for certificates

	once   sync.Once
	config *tls.Config // made at the first handshake
}

// newPolicies reads what o and sites say about handshakes, and the files that they
// name. It reports every mistake at once, each with the key it is about. Policies
// of old whose files have not changed are kept.
func newPolicies(o Options, sites []Site, old *policies, log *slog.Logger) (*policies, error) {
	p := &policies{exact: map[string]*policy{}, wild: map[string]*policy{}}
	var errs []error
	base := policyKey{min: version(o.MinVersion)}
	made := map[policyKey]*policy{}
	add := func(k policyKey, at string) *policy {
		x, done := made[k]
		if !done {
			var err error
			if x, err = newPolicy(k, base, old, log); err != nil {
				errs = append(errs, prefixed(at, err)...)
			}
			made[k] = x
			p.list = append(p.list, x)
		}
		return x
	}
	p.rest = add(base, "")
	for i, site := range sites {
		at := fmt.Sprintf("sites[%d].", i)
		if err := site.Options.Validate(); err != nil {
			errs = append(errs, prefixed(at, err)...)
			continue
		}
		x := add(keyOf(o, site.Options), at)
		for _, host := range site.Hosts {
			p.add(cleanName(host), x)
		}
	}
	if name := o.ECH.PublicName; name != "" {
		if err := checkPublicName(cleanName(name)); err != nil {
			errs = append(errs, fmt.Errorf("ech.public_name: %w", err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	p.shorten()
	return p, nil
}

func (p *policies) add(host string, x *policy) {
	switch {
	case host == "":
		p.rest = x
	case strings.HasPrefix(host, "*."):
		p.wild[host[1:]] = x
	default:
		p.exact[host] = x
	}
}

// shorten forgets the names when all of them have one policy.
func (p *policies) shorten() {
	for _, m := range []map[string]*policy{p.exact, p.wild} {
		for _, x := range m {
			if x != p.rest {
				return
			}
		}
	}
	clear(p.exact)
	clear(p.wild)
}

// of returns the policy of a clean name: exact, then the wildcard of one label,
// then that of the rest. It does not allocate.
func (p *policies) of(name string) *policy {
	if x := p.exact[name]; x != nil {
		return x
	}
	if len(p.wild) > 0 {
		if x := p.wild[parent(name)]; x != nil {
			return x
		}
	}
	return p.rest
}

// prefixed puts the key of a site before each of the joined errors.
func prefixed(at string, err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, e := range j.Unwrap() {
			out = append(out, prefixed(at, e)...)
		}
		return out
	}
	return []error{fmt.Errorf("%s%w", at, err)}
}

// keyOf fills in the defaults of a site's options.
func keyOf(o Options, s SiteOptions) policyKey {
	k := policyKey{min: version(o.MinVersion), auth: s.ClientAuth}
	if s.MinVersion != "" {
		k.min = version(s.MinVersion)
	}
	if k.auth == (ClientAuth{}) {
		return k
	}
	if k.auth.Mode == "" {
		k.auth.Mode = modeRequire
	}
	switch {
	case k.auth.Depth == 0:
		k.auth.Depth = 1
	case k.auth.Depth < 0:
		k.auth.Depth = -1
	}
	return k
}

// version is a version that Validate has checked.
func version(s string) uint16 {
	if s == "1.3" {
		return tls.VersionTLS13
	}
	return tls.VersionTLS12
}

// newPolicy makes a policy, or keeps the one of old. Base is the key of the policy
// whose id is "".
func newPolicy(k, base policyKey, old *policies, log *slog.Logger) (*policy, error) {
	var have *policy
	if old != nil {
		for _, x := range old.list {
			if x.key == k {
				have = x
			}
		}
	}
	if have != nil && (k == base) == (have.state.Load().id == "") && have.state.Load().fresh(k.auth) {
		return have, nil
	}
	st, err := newPolicyState(k, k == base, log)
	if err != nil {
		return nil, err
	}
	x := &policy{key: k}
	x.state.Store(st)
	return x, nil
}

// newPolicyState reads the files of k.
func newPolicyState(k policyKey, base bool, log *slog.Logger) (*policyState, error) {
	st := &policyState{}
	if base {
		return st, nil
	}
	h := sha256.New()
	fmt.Fprintf(h, "min %x\n", k.min)
	if k.auth.CA != "" {
		var err error
		if st.clients, err = loadClients(k.auth, log); err != nil {
			return nil, err
		}
		fmt.Fprintf(h, "mode %s depth %d authorities %x\n", k.auth.Mode, k.auth.Depth, st.clients.sum)
	}
	st.id = base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:15])
	return st, nil
}

// fresh reports whether the files are those that were read.
func (st *policyState) fresh(a ClientAuth) bool {
	return st.clients == nil || st.clients.files == stampsOf(a)
}

// asks reports whether clients are asked for a certificate.
func (st *policyState) asks() bool { return st.clients != nil }

// refresh reads files that have changed, and reports false when one is worth
// another look soon.
func (p *policies) refresh(now time.Time, log *slog.Logger) (settled bool) {
	settled = true
	for _, x := range p.list {
		if !x.refresh(now, log) {
			settled = false
		}
	}
	return settled
}

func (p *policy) refresh(now time.Time, log *slog.Logger) (settled bool) {
	st := p.state.Load()
	if st.clients == nil {
		return true
	}
	p.warn(st.clients, now, log)
	files := stampsOf(p.key.auth)
	switch {
	case files == st.clients.files || files == p.seen:
		return true
	case files.settling(now):
		return false
	}
	next, err := newPolicyState(p.key, false, log)
	if err != nil {
		p.seen = files
		log.Error("files about client certificates have changed and cannot be used, the old ones stay in force", "err", err)
		return true
	}
	log.Info("files about client certificates reloaded", "ca", p.key.auth.CA, "crl", p.key.auth.CRL)
	p.state.Store(next)
	return true
}

// warn says in time that a list of revoked certificates expires.
func (p *policy) warn(c *clients, now time.Time, log *slog.Logger) {
	if c.revoked != nil && !c.revoked.sayAt.IsZero() && !now.Before(c.revoked.sayAt) {
		c.revoked.sayAt = c.revoked.warn(p.key.auth.CRL, now, log)
	}
}
