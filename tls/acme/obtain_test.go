package acme_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	hg "headgate/tls/acme"
	"headgate/tls/acme/pebbletest"
	"headgate/tls/certs"
)

var (
	_ certs.Issuer      = (*hg.Issuer)(nil)
	_ certs.Revoker     = (*hg.Issuer)(nil)
	_ certs.Preflighter = (*hg.Issuer)(nil)
)

func TestObtain(t *testing.T) {
	t.Parallel()
	w := newStage(t, pebbletest.Options{NonceReject: 15, RetryAfter: 1})
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		what      string
		challenge []string
		names     []string
		key       crypto.Signer
		want      string
	}{
		{"by default", nil, []string{"one.example.com"}, nil, "http-01"},
		{"several names", nil, []string{"a.example.com", "b.example.com", "c.example.net"}, nil, "http-01"},
		{"http-01 alone", []string{"http-01"}, []string{"http.example.com"}, nil, "http-01"},
		{"tls-alpn-01 alone", []string{"tls-alpn-01"}, []string{"tls.example.com", "www.tls.example.com"}, nil, "tls-alpn-01"},
		{"the order of the configuration", []string{"tls-alpn-01", "http-01"}, []string{"order.example.com"}, nil, "tls-alpn-01"},
		{"address by http-01", []string{"http-01"}, []string{"127.0.0.1"}, nil, "http-01"},
		{"address by tls-alpn-01", []string{"tls-alpn-01"}, []string{"127.0.0.1"}, nil, "tls-alpn-01"},
		{"address and name", nil, []string{"ip.example.com", "127.0.0.1"}, nil, "http-01"},
		{"rsa", nil, []string{"rsa.example.com"}, rsaKey, "http-01"},
	} {
		t.Run(tc.what, func(t *testing.T) {
			o := certs.Order{Names: tc.names, Key: tc.key}
			if o.Key == nil {
				o.Key = newKey(t)
			}
			got, leaf := w.order(t, w.issuer(t, with(tc.challenge...)), o)
			if got.Challenge != tc.want {
				t.Errorf("challenge = %q, want %q", got.Challenge, tc.want)
			}
			if pub, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !pub.Equal(o.Key.Public()) {
				t.Error("the certificate is of another key")
			}
			if len(got.Chain) != 2 {
				t.Errorf("%d certificates, want the leaf and an intermediate", len(got.Chain))
			}
			if len(leaf.DNSNames)+len(leaf.IPAddresses) != len(tc.names) {
				t.Errorf("names = %v %v, want %v", leaf.DNSNames, leaf.IPAddresses, tc.names)
			}
		})
	}
	if left := w.storage.keys("challenges/"); len(left) != 0 {
		t.Errorf("answers that were not taken away: %v", left)
	}
	if n := w.ca.Count("newAccount"); n != 1 {
		t.Errorf("%d registrations, want 1 for all issuers with the same storage", n)
	}
	if w.journal.has(slog.LevelError, "") || w.journal.has(slog.LevelWarn, "") {
		t.Error("something was logged above info")
	}
}

// TestNextChallenge: when one does not work the next is tried, in the order of
// the configuration.
func TestNextChallenge(t *testing.T) {
	t.Parallel()
	w := newStage(t, pebbletest.Options{})
	real := w.challenges
	i := w.issuer(t, func(a *certs.Authority) {
		with("tls-alpn-01", "http-01")(a)
		a.Challenges = certs.NewChallenges(nil) // nobody answers from these
	})
	err := fails(t, t.Context(), i, "nobody.example.com",
		"nobody.example.com: the authority", "(tls-alpn-01)", "(http-01)", "; ", "or use the challenge dns-01")
	var refusal *certs.Refusal
	if !errors.As(err, &refusal) {
		t.Errorf("error is a %T, want a refusal", err)
	}
	if n := len(w.ca.Orders()); n != 2 {
		t.Errorf("%d orders, want one for each challenge", n)
	}
	i = w.issuer(t, func(a *certs.Authority) {
		with("tls-alpn-01", "http-01")(a)
		a.Storage = failingALPN{w.storage}
		a.Challenges = certs.NewChallenges(a.Storage)
		w.challenges = a.Challenges
	})
	defer func() { w.challenges = real }()
	if got, _ := w.obtain(t, i, "second.example.com"); got.Challenge != "http-01" {
		t.Errorf("challenge = %q, want http-01 after tls-alpn-01 could not be put in place", got.Challenge)
	}
}

// failingALPN is a storage with no room for certificates.
type failingALPN struct{ *memory }

func (f failingALPN) Store(ctx context.Context, key string, value []byte) error {
	if strings.Contains(key, "tls-alpn-01") {
		return errors.New("no space left on device")
	}
	return f.memory.Store(ctx, key, value)
}

func TestProofThatTheAuthorityRemembers(t *testing.T) {
	t.Parallel()
	w := newStage(t, pebbletest.Options{AuthzReuse: 100})
	i := w.issuer(t, nil)
	w.obtain(t, i, "again.example.com")
	if got, _ := w.obtain(t, i, "again.example.com"); got.Challenge != "" {
		t.Errorf("challenge = %q, want none: the authority remembers", got.Challenge)
	}
}

func TestWhatNoChallengeCanProve(t *testing.T) {
	t.Parallel()
	w := newStage(t, pebbletest.Options{})
	fails(t, t.Context(), w.issuer(t, nil), "*.example.com", "*.example.com", "add dns-01 to challenges")
	dns := func(a *certs.Authority) {
		a.Options.Challenges = []certs.ChallengeOptions{{Type: "dns-01", Command: []string{"/bin/true"}}}
	}
	fails(t, t.Context(), w.issuer(t, dns), "127.0.0.1", "127.0.0.1", "add http-01 or tls-alpn-01")
	if n := w.ca.Count("newAccount") + w.ca.Count("newOrder"); n != 0 {
		t.Errorf("%d requests to the authority, want none", n)
	}
}

func TestServerNameOfAnAddress(t *testing.T) {
	for ip, want := range map[string]string{
		"192.0.2.9":    "9.2.0.192.in-addr.arpa",
		"2001:db8::1":  "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
		"example.com":  "example.com",
		"a.127.0.0.1x": "a.127.0.0.1x",
	} {
		if got := hg.ServerName(ip); got != want {
			t.Errorf("server name of %s = %s, want %s", ip, got, want)
		}
		if a, err := netip.ParseAddr(ip); err == nil && a.Is6() && strings.Count(want, ".") != 33 {
			t.Errorf("%s has %d dots", want, strings.Count(want, "."))
		}
	}
}

func TestExternalAccount(t *testing.T) {
	t.Parallel()
	mac := base64.RawURLEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcde\xfb"))
	w := newStage(t, pebbletest.Options{EAB: map[string]string{"kid-1": mac}})
	eab := func(id, mac string) func(*certs.Authority) {
		return func(a *certs.Authority) {
			a.Options.EAB = certs.EAB{KeyID: id, HMAC: certs.Secret(mac)}
			a.Storage = newMemory()
		}
	}
	fails(t, t.Context(), w.issuer(t, eab("", "")), "no.example.com", "wants an external account", "set eab.key_id and eab.hmac")
	wrong := base64.RawURLEncoding.EncodeToString([]byte("another key, which is as long as it"))
	fails(t, t.Context(), w.issuer(t, eab("kid-1", wrong)), "wrong.example.com", "check eab")
	fails(t, t.Context(), w.issuer(t, eab("kid-2", mac)), "unknown.example.com", "check eab")

	standard := strings.NewReplacer("-", "+", "_", "/").Replace(mac) + "=" // as some authorities show it
	right := eab("kid-1", standard)
	i := w.issuer(t, func(a *certs.Authority) { right(a); a.Storage = w.storage })
	w.obtain(t, i, "right.example.com")
	if key, _ := w.storage.account(t); !strings.HasSuffix(key, "/ops@headgate.test~kid-1.json") {
		t.Errorf("the account is at %s, want the key id in it", key)
	}
}

func TestProfile(t *testing.T) {
	t.Parallel()
	w := newStage(t, pebbletest.Options{Profiles: map[string]time.Duration{"shortlived": 6 * 24 * time.Hour}})
	profile := func(name string) *hg.Issuer {
		return w.issuer(t, func(a *certs.Authority) { a.Options.Profile = name })
	}
	_, leaf := w.obtain(t, profile("shortlived"), "short.example.com")
	if life := leaf.NotAfter.Sub(leaf.NotBefore).Round(time.Hour); life != 6*24*time.Hour {
		t.Errorf("life = %v, want 6 days", life)
	}
	if got := w.ca.Orders()[0].Profile; got != "shortlived" {
		t.Errorf("profile of the order = %q, want shortlived", got)
	}
	fails(t, t.Context(), profile("short"), "x.example.com", `no "short"`, "default, shortlived")
}

func TestPreferredChain(t *testing.T) {
	t.Parallel()
	w := newStage(t, pebbletest.Options{Chains: 2})
	for n, root := range w.ca.Roots() {
		i := w.issuer(t, func(a *certs.Authority) { a.Options.PreferredChain = root.Subject.CommonName })
		got, _ := w.obtain(t, i, "chain.example.com")
		last, err := x509.ParseCertificate(got.Chain[len(got.Chain)-1])
		if err != nil {
			t.Fatal(err)
		}
		if err := last.CheckSignatureFrom(root); err != nil {
			t.Errorf("chain %d: %v", n, err)
		}
	}
	i := w.issuer(t, func(a *certs.Authority) { a.Options.PreferredChain = "Nobody's Root" })
	w.obtain(t, i, "usual.example.com")
	if !w.journal.has(slog.LevelWarn, "preferred") {
		t.Error("nothing is logged about the chain that is not offered")
	}
}

func TestReplaces(t *testing.T) {
	t.Parallel()
	w := newStage(t, pebbletest.Options{})
	i := w.issuer(t, nil)
	_, old := w.obtain(t, i, "r.example.com")
	_, next := w.order(t, i, certs.Order{Names: []string{"r.example.com"}, Key: newKey(t), Replaces: old})
	orders := w.ca.Orders()
	if orders[0].Replaces != "" || orders[1].Replaces == "" {
		t.Errorf("replaces = %q and %q, want the second order to replace the first", orders[0].Replaces, orders[1].Replaces)
	}
	// A second replacement of the same certificate, as after a lost answer.
	w.order(t, i, certs.Order{Names: []string{"r.example.com"}, Key: newKey(t), Replaces: old})
	// One that the authority does not know any more.
	w.ca.Restart()
	w.order(t, i, certs.Order{Names: []string{"r.example.com"}, Key: newKey(t), Replaces: next})
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	w := newStage(t, pebbletest.Options{})
	i := w.issuer(t, nil)
	key := newKey(t)
	_, leaf := w.order(t, i, certs.Order{Names: []string{"revoked.example.com"}, Key: key})
	if revoked, _ := w.ca.Revoked(leaf); revoked {
		t.Fatal("revoked before the time")
	}
	if err := i.Revoke(t.Context(), leaf, key, 1); err != nil {
		t.Fatal(err)
	}
	if revoked, reason := w.ca.Revoked(leaf); !revoked || reason != 1 {
		t.Errorf("revoked = %v for reason %d, want true for 1", revoked, reason)
	}
	if err := i.Revoke(t.Context(), leaf, key, 1); err != nil {
		t.Errorf("once more: %v, want no error", err)
	}
	at, err := i.RenewAt(t.Context(), leaf)
	if err != nil || at.After(time.Now()) {
		t.Errorf("renew at %v, %v, want at once", at, err)
	}
	_, leaf = w.obtain(t, i, "revoked.example.com")
	if err := i.Revoke(t.Context(), leaf, newKey(t), 1); err == nil {
		t.Error("revoked with a key of nobody")
	}
	if err := i.Revoke(t.Context(), leaf, nil, 4); err != nil { // by the account
		t.Error(err)
	}
	if revoked, reason := w.ca.Revoked(leaf); !revoked || reason != 4 {
		t.Errorf("revoked = %v for reason %d, want true for 4", revoked, reason)
	}
}

// TestManyAtOnce: one account, and every order for itself.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	w := newStage(t, pebbletest.Options{})
	gateways := []*hg.Issuer{w.issuer(t, nil), w.issuer(t, nil), w.issuer(t, nil)}
	var group sync.WaitGroup
	var done atomic.Int32
	for n := range 12 {
		group.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), orderTime)
			defer cancel()
			o := certs.Order{Names: []string{"many-" + string(rune('a'+n)) + ".example.com"}, Key: newKey(t)}
			if _, err := gateways[n%3].Obtain(ctx, o); err != nil {
				t.Error(err)
				return
			}
			done.Add(1)
		})
	}
	group.Wait()
	if done.Load() != 12 || w.ca.Count("newAccount") != 1 {
		t.Errorf("%d certificates, %d registrations, want 12 and 1", done.Load(), w.ca.Count("newAccount"))
	}
	if n := w.ca.Count("directory"); n != len(gateways) {
		t.Errorf("%d questions for the directory, want one of each of %d gateways: the ACME library asks under a lock of the process", n, len(gateways))
	}
}

func TestNew(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		o    certs.ACMEOptions
		want string
	}{
		{certs.ACMEOptions{Directory: "http://ca.example.com/dir"}, "directory"},
		{certs.ACMEOptions{Directory: "ca.example.com"}, "directory"},
		{certs.ACMEOptions{Roots: filepath.Join(t.TempDir(), "none.pem")}, "roots"},
		{certs.ACMEOptions{Roots: empty}, "holds no certificate"},
		{certs.ACMEOptions{EAB: certs.EAB{KeyID: "x"}}, "key_id and hmac go together"},
		{certs.ACMEOptions{EAB: certs.EAB{KeyID: "x", HMAC: "###"}}, "not base64url"},
		{certs.ACMEOptions{Challenges: []certs.ChallengeOptions{{Type: "http-01"}, {Type: "http-02"}}}, `challenges[1]: "http-02" is not a challenge`},
		{certs.ACMEOptions{Challenges: []certs.ChallengeOptions{{Type: "dns-01"}}}, "challenges[0]: dns-01"},
	} {
		_, err := hg.New(certs.Authority{Options: tc.o, Storage: newMemory(), Challenges: certs.NewChallenges(nil)})
		says(t, err, tc.want)
	}
	if _, err := hg.New(certs.Authority{Storage: newMemory(), Challenges: certs.NewChallenges(nil)}); err != nil {
		t.Errorf("Let's Encrypt by default: %v", err)
	}
}

// TestObtainByDNS: the challenges in the DNS as the configuration names them.
func TestObtainByDNS(t *testing.T) {
	t.Parallel()
	ns := startNameServer(t, "127.0.0.1:0", "example.org.")
	w := newStage(t, pebbletest.Options{DNS: ns.addr})
	update := certs.ChallengeOptions{Type: "dns-01", Resolvers: []string{ns.addr}, RFC2136: certs.RFC2136{Server: ns.addr, KeyName: keyName, Key: keySecret}}
	i := w.issuer(t, func(a *certs.Authority) {
		a.Options.Challenges = []certs.ChallengeOptions{{Type: "http-01"}, update}
	})
	names := []string{"*.example.org", "example.org"}
	got, err := i.Obtain(t.Context(), certs.Order{Names: names, Key: newKey(t)})
	if err != nil {
		t.Fatal(err)
	}
	if got.Challenge != "dns-01" {
		t.Errorf("challenge = %q, want dns-01, which can prove all names", got.Challenge)
	}
	w.verify(t, got, "x.example.org", "example.org")

	// An order that no single challenge can prove.
	if got, err = i.Obtain(t.Context(), certs.Order{Names: []string{"*.example.org", "127.0.0.1"}, Key: newKey(t)}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []string{"dns-01", "http-01"} {
		if !strings.Contains(got.Challenge, c) {
			t.Errorf("challenge = %q, want %s among them", got.Challenge, c)
		}
	}
	if left := ns.texts("_acme-challenge.example.org."); len(left) != 0 {
		t.Errorf("records that were not taken away: %v", left)
	}

	// A record that is set once, for the account that the issuer has.
	i = w.issuer(t, func(a *certs.Authority) {
		a.Options.Challenges = []certs.ChallengeOptions{{Type: "dns-persist-01", Resolvers: []string{ns.addr}}}
	})
	order := certs.Order{Names: []string{"*.example.org"}, Key: newKey(t)}
	_, err = i.Obtain(t.Context(), order)
	says(t, err, "_validation-persist.example.org. IN TXT", w.ca.Orders()[0].Account, "policy=wildcard")
	ns.add(t, `_validation-persist.example.org. 60 IN TXT "pebble.letsencrypt.org; accounturi=`+w.ca.Orders()[0].Account+`; policy=wildcard"`)
	if got, err = i.Obtain(t.Context(), order); err != nil || got.Challenge != "dns-persist-01" {
		t.Errorf("challenge = %q, %v, want dns-persist-01", got.Challenge, err)
	}
}
