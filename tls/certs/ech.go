package certs

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Encrypted Client Hello (RFC 9849). A key is published for echPeriod, and goes
// on being accepted for a week after that, since a record lives on in caches and
// in zones that people edit by hand. Each key that is accepted costs one X25519
// operation per client that has none of ours, which is why there are few.
const (
	echPeriod = 3 * 24 * time.Hour
	echLife   = echPeriod + ringDelay + 7*24*time.Hour
	echKeys   = 12 // that are kept, of all public names

	echVersion   = 0xfe0d
	echX25519    = 0x0020 // DHKEM(X25519, HKDF-SHA256)
	echSHA256    = 0x0001 // HKDF-SHA256
	echNameSpace = 64     // shorter names are padded to it, so that their length does not tell them apart
)

// echAEADs are AES-128-GCM, ChaCha20-Poly1305 and AES-256-GCM.
var echAEADs = [...]uint16{1, 3, 2}

// ech holds the keys of Encrypted Client Hello. Safe for concurrent use.
type ech struct {
	ring ring
	keys atomic.Pointer[echSet]
}

// echSet is what handshakes read. It is immutable.
type echSet struct {
	byName map[string][]tls.EncryptedClientHelloKey // by public name; the one that is published first
	list   []byte                                   // ECHConfigList to publish
}

func newECH(log *slog.Logger) *ech {
	return &ech{ring: ring{
		about: "keys of encrypted client hello", key: "ech/keys.json", lock: "ech-keys", log: log, woken: make(chan struct{}, 1),
		period: echPeriod, life: echLife, most: echKeys,
		valid: func(k ringKey) bool { return checkECHKey(k) == nil },
	}}
}

// use turns ECH on for a public name, or off, and sets where the keys are kept.
func (e *ech) use(st Storage, publicName string) {
	name := cleanName(publicName)
	e.ring.mu.Lock()
	e.ring.fits = nil
	if name != "" {
		e.ring.fits = func(k ringKey) bool { return k.Name == name }
		e.ring.fresh = func(taken []ringKey, now time.Time) (ringKey, error) { return freshECHKey(name, taken, now) }
	}
	e.ring.mu.Unlock()
	if name == "" {
		e.keys.Store(nil)
	}
	e.ring.share(st)
}

// run makes, rotates and shares the keys until ctx ends.
func (e *ech) run(ctx context.Context) { e.ring.run(ctx, e.apply) }

func (e *ech) apply(list []ringKey) {
	e.ring.mu.Lock()
	fits := e.ring.fits
	e.ring.mu.Unlock()
	if fits == nil || len(list) == 0 || !fits(list[0]) {
		e.keys.Store(nil)
		return
	}
	set := &echSet{byName: map[string][]tls.EncryptedClientHelloKey{}}
	for i, k := range list {
		set.byName[k.Name] = append(set.byName[k.Name], tls.EncryptedClientHelloKey{
			Config: k.Config, PrivateKey: k.Secret, SendAsRetry: i == 0,
		})
	}
	set.list = append(binary.BigEndian.AppendUint16(nil, uint16(len(list[0].Config))), list[0].Config...)
	e.keys.Store(set)
}

// forHello is a tls.Config's GetEncryptedClientHelloKeys. The name in hello is the
// outer one. Clients put our public name there; others only pretend to have a key
// (RFC 9849 section 6.2), and nothing is tried for them.
func (e *ech) forHello(hello *tls.ClientHelloInfo) ([]tls.EncryptedClientHelloKey, error) {
	if set := e.keys.Load(); set != nil {
		if keys := set.byName[cleanName(hello.ServerName)]; keys != nil {
			return keys, nil
		}
	}
	return []tls.EncryptedClientHelloKey{}, nil
}

// HTTPSRecord writes the DNS record (RFC 9460, RFC 9848) that tells browsers which
// protocols host speaks, in order of preference, and how its name is encrypted,
// in the form of zone files. A nil configList is left out.
func HTTPSRecord(host string, alpn []string, configList []byte) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s. 300 IN HTTPS 1 .", cleanName(host))
	if len(alpn) > 0 {
		fmt.Fprintf(&b, " alpn=%q", strings.Join(alpn, ","))
	}
	if len(configList) > 0 {
		b.WriteString(" ech=" + base64.StdEncoding.EncodeToString(configList))
	}
	return b.String()
}

// freshECHKey makes a key pair whose id none of taken has.
func freshECHKey(publicName string, taken []ringKey, now time.Time) (ringKey, error) {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return ringKey{}, err
	}
	var id [1]byte
	for {
		_, _ = rand.Read(id[:]) // never fails
		if !slices.ContainsFunc(taken, func(k ringKey) bool { return len(k.Config) > 4 && k.Config[4] == id[0] }) {
			break
		}
	}
	config, err := marshalECHConfig(id[0], key.PublicKey().Bytes(), publicName)
	return ringKey{Made: now, Secret: key.Bytes(), Config: config, Name: publicName}, err
}

// marshalECHConfig writes an ECHConfig (RFC 9849 section 4).
func marshalECHConfig(id byte, public []byte, publicName string) ([]byte, error) {
	if err := checkPublicName(publicName); err != nil {
		return nil, err
	}
	u16 := binary.BigEndian.AppendUint16
	b := append([]byte{id}, 0, 0)
	binary.BigEndian.PutUint16(b[1:], echX25519)
	b = append(u16(b, uint16(len(public))), public...)
	b = u16(b, uint16(4*len(echAEADs)))
	for _, aead := range echAEADs {
		b = u16(u16(b, echSHA256), aead)
	}
	b = append(b, echNameSpace, byte(len(publicName)))
	b = append(b, publicName...)
	b = u16(b, 0) // no extensions
	return append(u16(u16(nil, echVersion), uint16(len(b))), b...), nil
}

// checkECHKey reports whether Config is about the public half of Secret and about
// Name. What else it says is left to the version of this program that wrote it.
func checkECHKey(k ringKey) error {
	key, err := ecdh.X25519().NewPrivateKey(k.Secret)
	if err != nil {
		return err
	}
	if err := checkPublicName(k.Name); err != nil {
		return err
	}
	public := key.PublicKey().Bytes()
	c := k.Config
	const suites = 4 + 1 + 2 + 2 + 32 // where their length stands
	if len(c) < suites+2 {
		return errors.New("the config is cut")
	}
	name := suites + 2 + int(binary.BigEndian.Uint16(c[suites:])) + 1
	switch {
	case binary.BigEndian.Uint16(c) != echVersion || int(binary.BigEndian.Uint16(c[2:])) != len(c)-4:
		return errors.New("the config is of another version or length")
	case binary.BigEndian.Uint16(c[5:]) != echX25519 || int(binary.BigEndian.Uint16(c[7:])) != len(public) || !bytes.Equal(c[9:suites], public):
		return errors.New("the config is not that of the key")
	case len(c) < name+1+len(k.Name) || int(c[name]) != len(k.Name) || string(c[name+1:name+1+len(k.Name)]) != k.Name:
		return errors.New("the config is not that of the public name")
	}
	return nil
}

// checkPublicName refuses what clients would not accept as a public name (RFC 9849
// section 4): it must be a host name, and not look like an IPv4 address.
func checkPublicName(name string) error {
	last := name[strings.LastIndexByte(name, '.')+1:]
	switch {
	case name != cleanName(name) || !isHostName(name) || strings.Contains(name, "_"):
		return fmt.Errorf("%q is not a host name that clients accept: write it like cover.example.com", name)
	case strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x"):
		return fmt.Errorf("%q looks like an IP address: write a name like cover.example.com", name)
	}
	return nil
}
