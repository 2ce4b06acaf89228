package subscribe_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"headgate/upstream/subscribe"
	"headgate/upstream/uwsgi"
)

// rsaKeys has two, which all tests use: they take time to make.
var rsaKeys = sync.OnceValue(func() [2]*rsa.PrivateKey {
	var keys [2]*rsa.PrivateKey
	for i := range keys {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		keys[i] = key
	}
	return keys
})

// signed makes a packet of pairs with a signature as uWSGI makes it.
func signed(t testing.TB, key crypto.Signer, digest crypto.Hash, unsubscribe bool, unix int64, pairs []string) []byte {
	t.Helper()
	var block []byte
	for i := 0; i < len(pairs); i += 2 {
		block = uwsgi.AppendVar(block, pairs[i], pairs[i+1])
	}
	block = uwsgi.AppendVar(block, "unix", strconv.FormatInt(unix, 10))
	h := digest.New()
	h.Write(block)
	sign, err := key.Sign(rand.Reader, h.Sum(nil), digest)
	if err != nil {
		t.Fatal(err)
	}
	return seal(unsubscribe, uwsgi.AppendVar(block, "sign", string(sign)))
}

func writePEM(t testing.TB, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

func pkixOf(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// signing has options that demand signatures, with the first key for a.example.
func signing(t testing.TB) (o subscribe.Options, dir string) {
	t.Helper()
	dir = t.TempDir()
	writePEM(t, filepath.Join(dir, "a.example.pem"), "PUBLIC KEY", pkixOf(t, rsaKeys()[0]))
	return subscribe.Options{Sign: subscribe.Sign{Keys: dir}}, dir
}

func TestSignatures(t *testing.T) {
	pair := standard("a.example", "127.0.0.1:1")
	mine := rsaKeys()[0]
	o, _ := signing(t)
	synctest.Test(t, func(t *testing.T) {
		now := time.Now().Unix()
		good := signed(t, mine, crypto.SHA256, false, now, pair)
		bent := append([]byte(nil), good...)
		bent[len("xxxxxxkeyxx")] ^= 0x20 // A.example
		for name, row := range map[string]struct {
			packet []byte
			want   string
		}{
			"good":                {good, "Accepted"},
			"a bit of a minute":   {signed(t, mine, crypto.SHA256, false, now+60, pair), "Accepted"},
			"late":                {signed(t, mine, crypto.SHA256, false, now-60, pair), "Accepted"},
			"too early":           {signed(t, mine, crypto.SHA256, false, now+61, pair), "Replayed"},
			"too late":            {signed(t, mine, crypto.SHA256, false, now-61, pair), "Replayed"},
			"far in the future":   {signed(t, mine, crypto.SHA256, false, 1<<39, pair), "Replayed"},
			"without a host":      {signed(t, mine, crypto.SHA256, false, now, standard("a.example", ":1")), "NotAllowed"},
			"any host":            {signed(t, mine, crypto.SHA256, false, now, standard("a.example", "0.0.0.0:1")), "NotAllowed"},
			"another's":           {signed(t, rsaKeys()[1], crypto.SHA256, false, now, pair), "BadSignature"},
			"another digest":      {signed(t, mine, crypto.SHA1, false, now, pair), "BadSignature"},
			"no key":              {signed(t, mine, crypto.SHA256, false, now, standard("b.example", "127.0.0.1:1")), "BadSignature"},
			"a path":              {signed(t, mine, crypto.SHA256, false, now, standard("../a.example", "127.0.0.1:1")), "Malformed"},
			"with a port":         {signed(t, mine, crypto.SHA256, false, now, standard("a.example:8000", "127.0.0.1:1")), "Accepted"},
			"no signature":        {announce("a.example", "127.0.0.1:1"), "NotAllowed"},
			"only a time":         {announce("a.example", ":1", "unix", strconv.FormatInt(now, 10)), "NotAllowed"},
			"without a time":      {announce("a.example", "127.0.0.1:1", "sign", "x"), "BadSignature"},
			"empty":               {announce("a.example", "127.0.0.1:1", "unix", strconv.FormatInt(now, 10), "sign", ""), "BadSignature"},
			"long":                {announce("a.example", "127.0.0.1:1", "unix", strconv.FormatInt(now, 10), "sign", strings.Repeat("x", 2000)), "BadSignature"},
			"changed":             {bent, "BadSignature"},
			"more behind it":      {seal(false, append(append([]byte(nil), good[4:]...), 1, 0, 'x', 0, 0)), "Malformed"},
			"unsubscribe of none": {signed(t, mine, crypto.SHA256, true, now+1, pair), "Unsubscribed"},
		} {
			s := subscribe.New(subscribe.Setup{})
			useDeaf(t, s, o)
			s.Handle(row.packet, local)
			if got := fmt.Sprintf("%+v", s.Snapshot().Counters); !strings.Contains(got, row.want+":1") {
				t.Errorf("%s: got %s, want %s", name, got, row.want)
			}
		}
	})
}

// TestReplays: no packet is taken twice, as what it was or as its opposite, while its
// node is there, after it has unsubscribed and after it has expired.
func TestReplays(t *testing.T) {
	o, _ := signing(t)
	o.Sign.Window = 2 * time.Minute
	key, pairs := rsaKeys()[0], standard("a.example", "127.0.0.1:1")
	synctest.Test(t, func(t *testing.T) {
		s := deaf(t, o, subscribe.Setup{})
		at := func(n int64) int64 { return time.Now().Unix() + n }
		flip := func(b []byte) []byte {
			b = append([]byte(nil), b...)
			b[3] ^= 1
			return b
		}
		var record [][]byte
		send := func(unsubscribe bool, unix int64) {
			record = append(record, signed(t, key, crypto.SHA256, unsubscribe, unix, pairs))
			s.Handle(record[len(record)-1], local)
		}
		replay := func(when string) {
			t.Helper()
			before, was := s.Snapshot().Counters, nodes(s)
			for _, b := range record {
				s.Handle(b, local)
				s.Handle(flip(b), local)
				s.Handle(b, subscribe.FromUser(0, 1))
			}
			after := s.Snapshot().Counters
			if nodes(s) != was || after.Accepted != before.Accepted || after.Unsubscribed != before.Unsubscribed {
				t.Errorf("%s: a replay changes %q into %q: %+v", when, was, nodes(s), after)
			}
		}
		send(false, at(0))
		time.Sleep(time.Second)
		send(false, at(0))
		replay("two subscriptions")
		time.Sleep(10 * time.Second)
		send(false, at(0))
		send(false, at(0)) // the same second
		replay("a third")
		if c := s.Snapshot().Counters; c.Accepted != 3 {
			t.Fatalf("got %+v, want three subscriptions", c)
		}
		send(true, at(1))
		if nodes(s) != "" {
			t.Fatal("it cannot unsubscribe")
		}
		replay("unsubscribed")
		send(false, at(0)) // a brutal reload
		send(false, at(1))
		if nodes(s) != "" {
			t.Error("a time that is not later than that of the unsubscription is taken")
		}
		time.Sleep(2 * time.Second)
		replay("two seconds later")
		send(false, at(0))
		if nodes(s) == "" {
			t.Fatal("it cannot come back")
		}
		replay("come back")
		time.Sleep(40 * time.Second)
		if nodes(s) != "" {
			t.Fatal("it does not expire")
		}
		replay("expired")
		time.Sleep(70 * time.Second)
		replay("all but forgotten")
		time.Sleep(10 * time.Minute)
		replay("out of the window")
		send(false, at(0))
		if nodes(s) == "" {
			t.Error("it cannot come back after a while")
		}
	})
}

// TestOvertaken: what was kept back until its node had unsubscribed does not bring it
// back, even if the node was never heard of.
func TestOvertaken(t *testing.T) {
	o, _ := signing(t)
	synctest.Test(t, func(t *testing.T) {
		s := deaf(t, o, subscribe.Setup{})
		now := time.Now().Unix()
		late := signed(t, rsaKeys()[0], crypto.SHA256, false, now, standard("a.example", "127.0.0.1:1"))
		s.Handle(signed(t, rsaKeys()[0], crypto.SHA256, true, now+1, standard("a.example", "127.0.0.1:1")), local)
		s.Handle(late, local)
		if nodes(s) != "" {
			t.Error("a packet from before the unsubscription is taken")
		}
	})
}

// TestManyGone: when there is too much to remember, less is taken and never more.
func TestManyGone(t *testing.T) {
	o, _ := signing(t)
	synctest.Test(t, func(t *testing.T) {
		s := deaf(t, o, subscribe.Setup{})
		var record [][]byte
		for i := range 200 {
			pairs := standard("a.example", fmt.Sprintf("127.0.0.1:%d", i+1))
			now := time.Now().Unix()
			record = append(record, signed(t, rsaKeys()[0], crypto.SHA256, false, now, pairs))
			s.Handle(record[len(record)-1], local)
			s.Handle(signed(t, rsaKeys()[0], crypto.SHA256, true, now+1, pairs), local)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(2 * time.Second)
		before := s.Snapshot().Counters
		for _, b := range record {
			s.Handle(b, local)
		}
		if c := s.Snapshot().Counters; c.Accepted != before.Accepted || before.Unsubscribed < 100 {
			t.Errorf("%d replays were taken; %+v", c.Accepted-before.Accepted, before)
		}
		s.Handle(signed(t, rsaKeys()[0], crypto.SHA256, false, time.Now().Unix(), standard("a.example", "127.0.0.1:7")), local)
		if nodes(s) == "" {
			t.Error("what is new is not taken")
		}
	})
}

// TestKeyFiles: the kinds of keys, digests, and that a file is read again.
func TestKeyFiles(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	mine := rsaKeys()[0]
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a"}}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, mine.Public(), mine)
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		kind   string
		der    []byte
		signer crypto.Signer
		digest crypto.Hash
		option string
		want   bool
	}{
		"PKIX":        {"PUBLIC KEY", pkixOf(t, mine), mine, crypto.SHA256, "", true},
		"PKCS1":       {"RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&mine.PublicKey), mine, crypto.SHA256, "", true},
		"certificate": {"CERTIFICATE", cert, mine, crypto.SHA256, "", true},
		"EC":          {"PUBLIC KEY", pkixOf(t, ec), ec, crypto.SHA256, "", true},
		"EC, other":   {"PUBLIC KEY", pkixOf(t, ec), mine, crypto.SHA256, "", false},
		"sha1":        {"PUBLIC KEY", pkixOf(t, mine), mine, crypto.SHA1, "sha1", true},
		"sha224":      {"PUBLIC KEY", pkixOf(t, mine), mine, crypto.SHA224, "sha224", true},
		"sha384":      {"PUBLIC KEY", pkixOf(t, mine), mine, crypto.SHA384, "SHA384", true},
		"sha512":      {"PUBLIC KEY", pkixOf(t, ec), ec, crypto.SHA512, "sha512", true},
		"private":     {"RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(mine), mine, crypto.SHA256, "", false},
		"garbage":     {"PUBLIC KEY", []byte("garbage"), mine, crypto.SHA256, "", false},
	} {
		dir := t.TempDir()
		writePEM(t, filepath.Join(dir, ".a.example.pem"), row.kind, row.der)
		s := subscribe.New(subscribe.Setup{})
		useDeaf(t, s, subscribe.Options{Sign: subscribe.Sign{Keys: dir, Digest: row.option}})
		s.Handle(signed(t, row.signer, row.digest, false, time.Now().Unix(), standard(".a.example", "127.0.0.1:1")), local)
		if got := nodes(s) != ""; got != row.want {
			t.Errorf("%s: taken %v, want %v", name, got, row.want)
		}
	}
}

func TestKeyFileIsReadAgain(t *testing.T) {
	o, dir := signing(t)
	synctest.Test(t, func(t *testing.T) {
		s := deaf(t, o, subscribe.Setup{})
		i := 0
		takes := func(key *rsa.PrivateKey) bool {
			i++
			before := s.Snapshot().Counters.Accepted
			s.Handle(signed(t, key, crypto.SHA256, false, time.Now().Unix(), standard("a.example", fmt.Sprintf("127.0.0.1:%d", i))), local)
			return s.Snapshot().Counters.Accepted > before
		}
		first, second := rsaKeys()[0], rsaKeys()[1]
		if !takes(first) || takes(second) {
			t.Fatal("the first key is not the one")
		}
		writePEM(t, filepath.Join(dir, "a.example.pem"), "RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&second.PublicKey))
		if !takes(first) {
			t.Error("it was read again within a second")
		}
		time.Sleep(1100 * time.Millisecond)
		if takes(first) || !takes(second) {
			t.Error("it was not read again after a second")
		}
		both := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pkixOf(t, first)})
		both = append(both, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pkixOf(t, second)})...)
		if err := os.WriteFile(filepath.Join(dir, "a.example.pem"), both, 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(1100 * time.Millisecond)
		if !takes(first) || !takes(second) {
			t.Error("not both keys of a file count")
		}
		if err := os.Remove(filepath.Join(dir, "a.example.pem")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(1100 * time.Millisecond)
		if takes(first) || takes(second) {
			t.Error("a key that is gone counts")
		}
	})
}

// TestSignaturesAreDemanded: of those whose rule does not say otherwise, and of nodes
// that are there when it begins.
func TestSignaturesAreDemanded(t *testing.T) {
	o, _ := signing(t)
	s := subscribe.New(subscribe.Setup{})
	useDeaf(t, s, subscribe.Options{})
	s.Handle(announce("a.example", ":1"), local)
	s.Handle(announce("a.example", ":2"), remote)
	o.Allow = []subscribe.Rule{{From: []string{"127.0.0.1"}, Unsigned: true}, {From: []string{"0.0.0.0/0"}}}
	useDeaf(t, s, o)
	if got, want := nodes(s), "a.example 127.0.0.1:1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	s.Handle(announce("a.example", ":3"), remote)
	s.Handle(announce("a.example", ":4"), local)
	s.Handle(signed(t, rsaKeys()[0], crypto.SHA256, false, time.Now().Unix(), standard("a.example", "192.0.2.7:5")), remote)
	if got, want := nodes(s), "a.example 127.0.0.1:1, a.example 127.0.0.1:4, a.example 192.0.2.7:5"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	s.Handle(withdraw("a.example", "192.0.2.7:5"), remote)
	s.Handle(withdraw("a.example", "192.0.2.7:5"), local)
	if !strings.Contains(nodes(s), "192.0.2.7:5") {
		t.Error("a signed node is taken away without a signature")
	}
}

// TestVerificationsAreBounded: forged signatures cost so much and no more.
func TestVerificationsAreBounded(t *testing.T) {
	o, _ := signing(t)
	synctest.Test(t, func(t *testing.T) {
		s := deaf(t, o, subscribe.Setup{})
		forged := signed(t, rsaKeys()[1], crypto.SHA256, false, time.Now().Unix(), standard("a.example", "192.0.2.7:1"))
		for range 3000 {
			s.Handle(forged, remote)
		}
		c := s.Snapshot().Counters
		if c.BadSignature != 1000 || c.Dropped != 2000 {
			t.Errorf("got %+v, want 1000 that were looked at", c)
		}
		for i := 0; i < 8 && s.Snapshot().Counters.Accepted == 0; i++ {
			other := subscribe.FromIP(fmt.Sprintf("198.51.100.%d", i+1))
			// most likely in another bucket
			s.Handle(signed(t, rsaKeys()[0], crypto.SHA256, false, time.Now().Unix(), standard("a.example", other.String()+":2")), other)
		}
		if s.Snapshot().Counters.Accepted == 0 {
			t.Errorf("the flood of one source keeps out another: %+v", s.Snapshot().Counters)
		}
		time.Sleep(time.Second)
		s.Handle(signed(t, rsaKeys()[0], crypto.SHA256, false, time.Now().Unix(), standard("a.example", "192.0.2.7:3")), remote)
		if got := s.Snapshot().Counters.Accepted; got != 2 {
			t.Errorf("got %d, want that there is a new second", got)
		}
	})
}
